/**
 * One WebSocket: the driver of its decoder and of what it sends.
 *
 * It decides what each frame leads to, when the connection closes and when the client counts as gone. It must not know
 * how messages get to the handler, nor what carries the bytes.
 *
 * @module
 */

import { TrivetError } from "../api/errors.ts";
import type { ByteChannel, ByteReceiver } from "../exchange/byte_channel.ts";
import { StateTable } from "../states.ts";
import { CLOSE_ABNORMAL, CLOSE_GOING_AWAY, CLOSE_INTERNAL_ERROR, CLOSE_INVALID_PAYLOAD } from "./codec/frame.ts";
import { CLOSE_TOO_BIG, OP_PING, OP_PONG } from "./codec/frame.ts";
import { FAILED, FOUND_CLOSE, FOUND_MESSAGE, FOUND_PING, FrameDecoder, NEED_MORE } from "./codec/frame_decoder.ts";
import { encodeCloseFrame, encodeFrame } from "./codec/frame_encoder.ts";
import { SocketDeadlines } from "./deadlines.ts";
import { type CompressionTools, MessageCompressor, MessageDecompressor } from "./message_compression.ts";
import { type FrameSlab, OutgoingFrames } from "./outgoing_frames.ts";
import type { WebSocketSettings } from "./settings.ts";
import type { OpenSocket, OpenSockets } from "./open_sockets.ts";

/** How far a WebSocket has come. */
export type WebSocketState = "connecting" | "open" | "closing" | "ending" | "closed";

/** The states of a WebSocket. */
export const WEBSOCKET_STATES: StateTable<WebSocketState> = new StateTable<WebSocketState>(
  "a WebSocket",
  "connecting",
  {
    connecting: {
      open: "the 101 was sent",
      closed: "the 101 will never be sent",
    },
    open: {
      closing: "the server's Close is due, that of the client has not come",
      ending: "the client's Close has come, or it has broken the protocol: the server's Close is due, then FIN",
      closed: "the connection is gone or is cut off",
    },
    closing: {
      ending: "the client's Close has come, or it has broken the protocol: FIN is due",
      closed: "the connection is gone or is cut off",
    },
    ending: {
      closed: "the connection is gone or is cut off",
    },
    closed: {},
  },
);

/** What a message is: text, or bytes that the receiver owns. */
export type Message = string | Uint8Array<ArrayBuffer>;

/** What is told of a WebSocket. What is thrown within is its own matter. */
export interface SocketReceiver {
  /** Messages can be sent. */
  opened(): void;
  /** A message came. Returns whether the next one is wanted; where it is not, `resume` of the connection says when. */
  message(message: Message): boolean;
  /** The client keeps up again. */
  drained(): void;
  /** The connection has failed; `closed` follows. */
  failed(error: TrivetError): void;
  /** The connection is gone. Always the last. */
  closed(code: number, reason: string, wasClean: boolean): void;
}

/** What all WebSockets of a thread share. */
export interface SocketService {
  readonly open: OpenSockets;
  readonly slab: FrameSlab;
  /** The runtime's way from bytes to a string. */
  decodeLatin1(bytes: Uint8Array, start: number, end: number): string;
}

/** Above this, the client is not read until it has taken what waits: an echo must not pile up. */
const MAX_BUFFERED_WHILE_READING = 1024 * 1024;
const NO_BYTES = new Uint8Array(0);

/** One WebSocket. */
export class WebSocketConnection implements ByteReceiver, OpenSocket {
  placeAmongOpen = 0;
  readonly #service: SocketService;
  readonly #settings: WebSocketSettings;
  readonly #receiver: SocketReceiver;
  readonly #decoder: FrameDecoder;
  readonly #decompressor: MessageDecompressor | null;
  readonly #outgoing: OutgoingFrames;
  readonly #deadlines: SocketDeadlines;
  #channel: ByteChannel | null = null;
  #state: WebSocketState = WEBSOCKET_STATES.initial;
  /** What the handler has asked for before the connection was open. */
  #closeAsked: { readonly code: number; readonly reason: string } | null = null;
  #closeCode = CLOSE_ABNORMAL;
  #closeReason = "";
  #wasClean = false;
  #isDecoding = false;
  #isDecompressing = false;
  /** The receiver takes no further message for now. */
  #isHeld = false;
  #isPaused = false;
  #peerHasEnded = false;
  #hasEnded = false;
  #flushIsDue = false;
  /** The last Ping that could not be answered yet: only the last has to be (RFC 6455 section 5.5.3). */
  #owedPong: Uint8Array<ArrayBuffer> | null = null;

  /**
   * @param service What all of a thread share.
   * @param settings Its bounds.
   * @param compression How messages are compressed, where that was agreed on.
   * @param receiver Is told of it.
   */
  constructor(
    service: SocketService,
    settings: WebSocketSettings,
    compression: CompressionTools | null,
    receiver: SocketReceiver,
  ) {
    this.#service = service;
    this.#settings = settings;
    this.#receiver = receiver;
    this.#deadlines = new SocketDeadlines(service.open, settings);
    const { maxMessageBytes } = settings;
    const limits = { maxMessageBytes, mayBeCompressed: compression !== null };
    this.#decoder = new FrameDecoder(limits, service.decodeLatin1);
    this.#decompressor = compression === null ? null : new MessageDecompressor(compression, maxMessageBytes);
    const compressor = compression === null ? null : new MessageCompressor(compression);
    const thresholdBytes = settings.compression?.thresholdBytes ?? Infinity;
    this.#outgoing = new OutgoingFrames(service.slab, compressor, thresholdBytes, () => this.#outgoingReady());
  }

  /** How far it has come. */
  get state(): WebSocketState {
    return this.#state === "connecting" && this.#closeAsked !== null ? "closing" : this.#state;
  }

  /** Bytes of messages that the client has not taken. */
  get bufferedBytes(): number {
    return this.#outgoing.bufferedBytes;
  }

  // What the handler asks for.

  /** Sends a message; outside of "open" nothing is sent. */
  send(message: string | Uint8Array | Blob): void {
    if (this.#state !== "open") return;
    const outgoing = this.#outgoing;
    const { bufferedBytes } = outgoing;
    const leastBytes = typeof message === "string"
      ? message.length
      : message instanceof Uint8Array
      ? message.byteLength
      : message.size;
    if (bufferedBytes > 0 && bufferedBytes + leastBytes > this.#settings.maxBufferedBytes) {
      this.#cutOff(
        new TrivetError("websocket-backlog", `More than ${this.#settings.maxBufferedBytes} bytes wait for the client.`),
      );
      return;
    }
    outgoing.addMessage(message);
    this.#deadlines.used();
    this.#flushLater();
  }

  /** Hands over what was sent. Returns whether the client keeps up. */
  flush(): boolean {
    this.#flush();
    return this.#outgoing.isIdle;
  }

  /** Sends a Ping; outside of "open" nothing is sent. */
  ping(payload: Uint8Array): void {
    if (this.#state !== "open") return;
    this.#outgoing.addControl(encodeFrame(OP_PING, payload));
    this.#flushLater();
  }

  /** Closes it behind what was sent. */
  close(code: number, reason: string): void {
    if (this.#state === "connecting") this.#closeAsked ??= { code, reason };
    if (this.#state !== "open") return;
    this.#enter("closing");
    this.#outgoing.addLast(encodeCloseFrame(code, reason));
    this.#deadlines.closing();
    this.#flushLater();
  }

  /** Closes it because the server stops; a client that comes back finds another one. */
  goAway(): void {
    this.close(CLOSE_GOING_AWAY, "The server is going away.");
  }

  /** The receiver takes messages again. */
  resume(): void {
    if (!this.#isHeld) return;
    this.#isHeld = false;
    this.#deadlines.heard();
    this.#decode();
  }

  /** The 101 was sent. The channel tells the connection what happens, from the next turn on. */
  open(createChannel: (receiver: ByteReceiver) => ByteChannel): void {
    const channel = this.#channel = createChannel(this);
    this.#outgoing.open(channel);
    this.#enter("open");
    this.#service.open.add(this, this.#deadlines.shortestMs);
    this.#deadlines.heard();
    this.#deadlines.used();
    if (this.#closeAsked === null) this.#receiver.opened();
    else this.close(this.#closeAsked.code, this.#closeAsked.reason);
  }

  /** The 101 never will be sent. */
  abandon(): void {
    if (this.#state === "connecting") this.#leave();
  }

  // What the bytes tell.

  push(borrowed: Uint8Array<ArrayBuffer>): void {
    if (this.#state === "closed" || this.#state === "ending") return;
    this.#deadlines.heard();
    this.#decoder.feed(borrowed);
    this.#decode();
  }

  drained(): void {
    // Who takes what was sent is there, even if the Ping is still behind it.
    if (!this.#isPaused) this.#deadlines.heard();
    this.#outgoing.drained();
    if (this.#owedPong !== null && !this.#outgoing.isCongested) {
      this.#outgoing.addControl(this.#owedPong);
      this.#owedPong = null;
      this.#outgoing.flush();
    }
    this.#afterFlush();
    if (this.#state === "open" && this.#outgoing.isIdle) this.#receiver.drained();
    this.#decode();
  }

  ended(): void {
    this.#peerHasEnded = true;
    if (this.#state === "open" || this.#state === "closing") this.#decode();
    // The channel closes by itself once both sides have ended.
  }

  closed(): void {
    this.#leave();
  }

  /** A tick of the clock: a client that is not heard is asked, and cut off if it does not answer. */
  tick(nowMs: number): void {
    switch (this.#deadlines.dueAt(nowMs, !this.#isPaused)) {
      case "no-close":
        this.#cutOff(null);
        return;
      case "no-pong":
        this.#cutOff(new TrivetError("websocket-timeout", "The client has not answered a Ping in time."));
        return;
      case "idle":
        this.close(CLOSE_GOING_AWAY, "No message for too long.");
        return;
      case "ping":
        this.#deadlines.pinged();
        this.ping(NO_BYTES);
    }
  }

  // The rest is its own.

  #decode(): void {
    if (this.#isDecoding || this.#state === "connecting") return;
    this.#isDecoding = true;
    let event: number;
    do {
      event = NEED_MORE;
      while (this.#mayDecode()) {
        event = this.#decoder.next();
        if (event === NEED_MORE) break;
        this.#take(event);
      }
      this.#flush();
      // What had to be sent first may have left by now.
    } while (event !== NEED_MORE && this.#mayDecode());
    this.#isDecoding = false;
    if (this.#state === "closed") return;
    this.#decoder.keepRest();
    this.#readOrPause();
    if (this.#peerHasEnded && this.#mayDecode()) this.#peerIsGone();
  }

  #mayDecode(): boolean {
    if (this.#state !== "open" && this.#state !== "closing") return false;
    return !this.#isDecompressing && !this.#isHeld && !this.#mustCatchUp();
  }

  /** Whether so much waits for the client that it is not read until it has taken that. */
  #mustCatchUp(): boolean {
    return this.#state === "open" && this.#outgoing.bufferedBytes > MAX_BUFFERED_WHILE_READING;
  }

  #take(event: number): void {
    const decoder = this.#decoder;
    if (event === FOUND_MESSAGE) {
      this.#takeMessage();
    } else if (event === FOUND_PING) {
      this.#answerPing(decoder.bytes.subarray(decoder.start, decoder.end));
    } else if (event === FOUND_CLOSE) {
      this.#takeClose(decoder.closeCode, decoder.closeReason);
    } else if (event === FAILED) {
      this.#refuse(decoder.closeCode, decoder.closeReason);
    }
  }

  #takeMessage(): void {
    const decoder = this.#decoder;
    if (decoder.isCompressed) {
      this.#decompress(decoder.isText);
    } else if (decoder.isText) {
      const { text } = decoder;
      // A connection that is idle must not keep its last message.
      decoder.text = "";
      this.#deliver(text);
    } else {
      const { bytes, start, end, isOwnBuffer } = decoder;
      this.#deliver(isOwnBuffer ? bytes : bytes.slice(start, end));
    }
  }

  #decompress(isText: boolean): void {
    const { bytes, start, end } = this.#decoder;
    let isWithinCall = true;
    this.#isDecompressing = true;
    this.#decompressor!.decompress(bytes.subarray(start, end), (payload) => {
      this.#isDecompressing = false;
      if (this.#state === "closed") return;
      if (payload === "too-long") this.#refuse(CLOSE_TOO_BIG, "The message is too long.");
      else if (payload === "not-deflate") this.#refuse(CLOSE_INVALID_PAYLOAD, "The payload is not DEFLATE.");
      else this.#takeDecompressed(payload, isText);
      if (!isWithinCall) this.#decode();
    });
    isWithinCall = false;
  }

  #takeDecompressed(payload: Uint8Array<ArrayBuffer>, isText: boolean): void {
    if (!isText) {
      this.#deliver(payload);
      return;
    }
    const text = this.#decoder.decodeText(payload);
    if (text === null) this.#refuse(CLOSE_INVALID_PAYLOAD, "The text is not UTF-8.");
    else this.#deliver(text);
  }

  /** RFC 6455 section 1.4: what comes behind the server's own Close is not for the handler. */
  #deliver(message: Message): void {
    if (this.#state !== "open") return;
    this.#deadlines.used();
    if (!this.#receiver.message(message)) this.#isHeld = true;
  }

  #answerPing(payload: Uint8Array): void {
    if (this.#state !== "open") return;
    const pong = encodeFrame(OP_PONG, payload);
    if (this.#outgoing.isCongested) this.#owedPong = pong;
    else this.#outgoing.addControl(pong);
  }

  #takeClose(code: number, reason: string): void {
    this.#closeCode = code;
    this.#closeReason = reason;
    this.#wasClean = true;
    // RFC 6455 section 5.5.1: a Close is answered with the code that it had; its sender is told that as its own reason.
    if (this.#state === "open") this.#outgoing.addLast(encodeCloseFrame(code, reason));
    this.#enter("ending");
    this.#deadlines.closing();
  }

  /** The client has broken the protocol, or has sent more than is taken (RFC 6455 section 7.1.7). */
  #refuse(code: number, reason: string): void {
    if (this.#state === "open") this.#outgoing.addLast(encodeCloseFrame(code, reason));
    this.#decoder.close();
    this.#enter("ending");
    this.#deadlines.closing();
    this.#receiver.failed(new TrivetError("websocket-violation", `${reason} (${code})`));
  }

  #peerIsGone(): void {
    this.#channel!.abort();
  }

  /** A message could not be compressed, or what was to be sent could not be read; or frames that waited can leave. */
  #outgoingReady(): void {
    if (this.#state === "closed") return;
    if (this.#outgoing.hasFailed && this.#state === "open") {
      this.#outgoing.addControl(encodeCloseFrame(CLOSE_INTERNAL_ERROR, ""));
      this.#enter("closing");
      this.#deadlines.closing();
      this.#receiver.failed(new TrivetError("handler-failed", "A message could not be read or compressed."));
    }
    this.#flush();
    if (this.#outgoing.isIdle) this.#receiver.drained();
    this.#decode();
  }

  /** What is sent within a turn leaves together. */
  #flushLater(): void {
    if (this.#isDecoding || this.#flushIsDue) return;
    this.#flushIsDue = true;
    queueMicrotask(() => {
      this.#flushIsDue = false;
      this.#flush();
    });
  }

  #flush(): void {
    if (this.#state === "closed") return;
    this.#outgoing.flush();
    this.#afterFlush();
  }

  /** Behind its Close and the client's a server ends the connection first (RFC 6455 section 7.1.1). */
  #afterFlush(): void {
    if (this.#state !== "ending" || this.#hasEnded || !this.#outgoing.isIdle) return;
    this.#hasEnded = true;
    this.#setPaused(false);
    this.#channel!.end();
    this.#channel!.ignore();
  }

  #readOrPause(): void {
    this.#setPaused(this.#state !== "ending" && !this.#mayDecode());
  }

  #setPaused(isPaused: boolean): void {
    if (this.#isPaused === isPaused) return;
    this.#isPaused = isPaused;
    if (isPaused) {
      this.#channel!.pause();
    } else {
      this.#deadlines.heard();
      this.#channel!.resume();
    }
  }

  #cutOff(error: TrivetError | null): void {
    if (error !== null) this.#receiver.failed(error);
    this.#channel!.abort();
    this.#leave();
  }

  #leave(): void {
    if (this.#state === "closed") return;
    const hasOpened = this.#state !== "connecting";
    this.#enter("closed");
    this.#decoder.close();
    this.#outgoing.close();
    this.#decompressor?.close();
    if (hasOpened) this.#service.open.remove(this);
    this.#receiver.closed(this.#closeCode, this.#closeReason, this.#wasClean);
  }

  #enter(state: WebSocketState): void {
    this.#state = WEBSOCKET_STATES.enter(this.#state, state);
  }
}
