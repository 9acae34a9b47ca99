/**
 * One WebSocket: the driver of its decoder and of what it sends.
 *
 * It decides what each frame leads to, when the connection closes and when the client counts as gone. It must not know
 * how messages get to the handler, nor what carries the bytes.
 *
 * @module
 */

import { type ErrorCode, TrivetError } from "../api/errors.ts";
import type { ByteChannel, ByteReceiver } from "../exchange/byte_channel.ts";
import type { TurnShare } from "../web/turn_share.ts";
import { ClosingHandshake } from "./closing_handshake.ts";
import { CLOSE_GOING_AWAY, OP_PING, OP_PONG } from "./codec/frame.ts";
import { FAILED, FOUND_CLOSE, FOUND_MESSAGE, FOUND_PING, NEED_MORE } from "./codec/frame_decoder.ts";
import { encodeFrame } from "./codec/frame_encoder.ts";
import { SocketDeadlines } from "./deadlines.ts";
import { IncomingFrames, type Message } from "./incoming_frames.ts";
import { type CompressionTools, MessageCompressor } from "./message_compression.ts";
import type { OpenSocket } from "./open_sockets.ts";
import { OutgoingFrames } from "./outgoing_frames.ts";
import { ReadGate } from "./read_gate.ts";
import { type GatheringSocket, MAX_KEPT_BYTES } from "./send_turns.ts";
import type { WebSocketSettings } from "./settings.ts";
import type { SharedMessage } from "./shared_frames.ts";
import type { SocketReceiver, SocketService } from "./socket_service.ts";
import type { WebSocketState } from "./socket_states.ts";
import type { Subscriber, Subscription } from "./topics.ts";

/** More frames than that in what came at once count against the share of the turn: few clients send as many. */
const MAX_UNCOUNTED_FRAMES = 16;
const NO_BYTES = new Uint8Array(0);

/** One WebSocket. */
export class WebSocketConnection implements ByteReceiver, OpenSocket, GatheringSocket, Subscriber {
  placeAmongOpen = 0;
  subscriptions: Map<string, Subscription> | null = null;
  readonly #service: SocketService;
  readonly #settings: WebSocketSettings;
  readonly #receiver: SocketReceiver;
  readonly #incoming: IncomingFrames;
  readonly #outgoing: OutgoingFrames;
  readonly #deadlines: SocketDeadlines;
  readonly #closing: ClosingHandshake;
  readonly #gate: ReadGate;
  #channel: ByteChannel | null = null;
  #isDecoding = false;
  #peerHasEnded = false;
  #flushIsDue = false;
  /** The last Ping that could not be answered yet: only the last has to be (RFC 6455 section 5.5.3). */
  #owedPong: Uint8Array<ArrayBuffer> | null = null;

  /**
   * @param service What all of a thread share.
   * @param settings Its bounds.
   * @param compression How messages are compressed, where that was agreed on.
   * @param share How much of a turn a client that always has a next frame may take.
   * @param receiver Is told of it.
   */
  constructor(
    service: SocketService,
    settings: WebSocketSettings,
    compression: CompressionTools | null,
    share: TurnShare,
    receiver: SocketReceiver,
  ) {
    this.#service = service;
    this.#settings = settings;
    this.#receiver = receiver;
    this.#deadlines = new SocketDeadlines(service.open, settings);
    const decode = (): void => this.#decode();
    this.#incoming = new IncomingFrames(settings.maxMessageBytes, compression, service.decodeLatin1, decode);
    this.#gate = new ReadGate(share, decode);
    const compressor = compression === null ? null : new MessageCompressor(compression);
    this.#outgoing = new OutgoingFrames(
      service.slab,
      service.turns,
      compressor,
      settings,
      () => this.#sendReady(),
      (cause) => this.#sendFailed(cause),
    );
    this.#closing = new ClosingHandshake(this.#outgoing, this.#deadlines);
  }

  /** How far it has come. */
  get state(): WebSocketState {
    const { state, asked } = this.#closing;
    return state === "connecting" && asked !== null ? "closing" : state;
  }

  /** Bytes of messages that the client has not taken. */
  get bufferedBytes(): number {
    return this.#outgoing.bufferedBytes;
  }

  get keptBytes(): number {
    return this.#outgoing.keptBytes;
  }

  // What the handler asks for.

  /** Sends a message; outside of "open" nothing is sent. */
  send(message: string | Uint8Array | Blob): void {
    if (this.#closing.state !== "open") return;
    const leastBytes = typeof message === "string"
      ? message.length
      : message instanceof Uint8Array
      ? message.byteLength
      : message.size;
    if (!this.#outgoing.hasRoomFor(leastBytes)) {
      this.fallBehind();
      return;
    }
    this.#outgoing.addMessage(message);
    this.#deadlines.used();
    this.#flushLater();
  }

  /** Gets what is published under a topic; from the open event on. */
  subscribe(topic: string): void {
    if (this.#closing.state === "connecting" || this.#closing.state === "open") {
      this.#service.topics.subscribe(this, topic);
    }
  }

  /** Takes that back. */
  unsubscribe(topic: string): void {
    this.#service.topics.unsubscribe(this, topic);
  }

  /** Gives a message to all other subscribers of a topic. */
  publish(topic: string, message: string | Uint8Array<ArrayBuffer>): void {
    this.#service.publish(topic, message, this);
  }

  /** Hands over what was sent. Returns whether the client keeps up. */
  flush(): boolean {
    this.#flush();
    return this.#outgoing.isIdle;
  }

  /** Sends a Ping; outside of "open" nothing is sent. */
  ping(payload: Uint8Array): void {
    if (this.#closing.state !== "open") return;
    if (this.#outgoing.isOverfull) this.#flush();
    if (this.#outgoing.isOverfull) {
      this.fallBehind();
      return;
    }
    this.#outgoing.addControl(encodeFrame(OP_PING, payload));
    this.#flushLater();
  }

  /** Closes it behind what was sent. */
  close(code: number, reason: string): void {
    const closing = this.#closing;
    if (closing.state === "connecting") closing.asked ??= { code, reason };
    if (closing.state !== "open") return;
    // Behind the Close nothing is sent.
    this.#sendOwedPong();
    closing.begin(code, reason);
    this.#flushLater();
  }

  /** Closes it because the server stops; a client that comes back finds another one. */
  goAway(): void {
    this.close(CLOSE_GOING_AWAY, "The server is going away.");
  }

  /** The receiver takes messages again. */
  resume(): void {
    if (!this.#gate.release()) return;
    this.#deadlines.heard();
    this.#gate.restIfDue();
    this.#decode();
  }

  /** The 101 was sent. The channel tells the connection what happens, from the next turn on. */
  open(createChannel: (receiver: ByteReceiver) => ByteChannel): void {
    const channel = this.#channel = createChannel(this);
    this.#outgoing.open(channel);
    this.#closing.enter("open");
    this.#service.open.add(this, this.#deadlines.shortestMs);
    this.#deadlines.heard();
    this.#deadlines.used();
    const { asked } = this.#closing;
    if (asked === null) this.#receiver.opened();
    else this.close(asked.code, asked.reason);
  }

  /** The 101 never will be sent. */
  abandon(): void {
    if (this.#closing.state === "connecting") this.#leave();
  }

  // What is said to many.

  receive(message: SharedMessage): boolean {
    if (this.#closing.state !== "open") return true;
    if (!this.#outgoing.hasRoomFor(message.leastBytes)) return false;
    this.#outgoing.addShared(message);
    this.#deadlines.used();
    this.#flushLater();
    return true;
  }

  fallBehind(): void {
    this.#cutOff("websocket-backlog", `More than ${this.#settings.maxBufferedBytes} bytes wait for the client.`);
  }

  loseForAll(): void {
    const message = `More than ${MAX_KEPT_BYTES} bytes wait for all clients, and most of them for this one.`;
    this.#cutOff("websocket-backlog", message);
  }

  endTurn(): void {
    this.#flushIsDue = false;
    // Messages that a slow handler has held up stand before the client's Close.
    if (this.#gate.isPaused && this.#closing.state === "closing") this.#decode();
    else this.#flush();
  }

  // What the bytes tell.

  push(borrowed: Uint8Array<ArrayBuffer>): void {
    if (this.#closing.state === "closed" || this.#closing.state === "ending") return;
    this.#deadlines.heard();
    this.#incoming.feed(borrowed);
    this.#decode();
  }

  drained(): void {
    // A client that takes what was sent is there, even if the Ping is still behind it.
    if (!this.#gate.isPaused) this.#deadlines.heard();
    this.#outgoing.drained();
    if (this.#owedPong !== null && this.#closing.state === "open" && !this.#outgoing.isCongested) {
      this.#sendOwedPong();
      this.#outgoing.flush();
    }
    this.#afterFlush();
    if (this.#outgoing.isIdle) this.#receiver.drained();
    this.#decode();
  }

  ended(): void {
    this.#peerHasEnded = true;
    if (this.#closing.state === "open" || this.#closing.state === "closing") this.#decode();
    // The channel closes by itself once both sides have ended.
  }

  closed(): void {
    this.#leave();
  }

  /** A tick of the clock: a client that is not heard is asked, and cut off if it does not answer. */
  tick(nowMs: number): void {
    switch (this.#deadlines.dueAt(nowMs, !this.#gate.isPaused)) {
      case "no-close":
        this.#leave();
        this.#channel!.abort();
        return;
      case "no-pong":
        this.#cutOff("websocket-timeout", "The client has not answered a Ping in time.");
        return;
      case "idle":
        this.close(CLOSE_GOING_AWAY, "No message for too long.");
        return;
      case "ping":
        this.#deadlines.pinged();
        this.ping(NO_BYTES);
    }
  }

  #decode(): void {
    if (this.#isDecoding || this.#closing.state === "connecting") return;
    this.#isDecoding = true;
    let event: number;
    let frames = 0;
    do {
      event = NEED_MORE;
      while (this.#mayDecode()) {
        event = this.#incoming.next();
        if (event === NEED_MORE) break;
        this.#take(event);
        if (++frames > MAX_UNCOUNTED_FRAMES) this.#gate.restIfDue();
      }
      this.#flush();
      // What had to be sent first may have left by now.
    } while (event !== NEED_MORE && this.#mayDecode());
    this.#isDecoding = false;
    if (this.#closing.state === "closed") return;
    this.#incoming.keepRest();
    this.#readOrPause();
    // Everything that came before the client's FIN was decoded, and no Close was among it.
    if (this.#peerHasEnded && this.#mayDecode()) this.#channel!.abort();
  }

  #mayDecode(): boolean {
    if (this.#gate.isResting) return false;
    if (this.#closing.state !== "open" && this.#closing.state !== "closing") return false;
    if (this.#incoming.isWaiting) return false;
    // The handler gets nothing more: only the client's Close is waited for.
    if (this.#closing.state === "closing") return true;
    return this.#gate.takesMessages(this.#outgoing.keptBytes);
  }

  #take(event: number): void {
    const incoming = this.#incoming;
    if (event === FOUND_MESSAGE) this.#deliver(incoming.takeMessage());
    else if (event === FOUND_PING) this.#answerPing(incoming.controlPayload);
    else if (event === FOUND_CLOSE) this.#closing.take(incoming.closeCode, incoming.closeReason);
    else if (event === FAILED) this.#refuse(incoming.closeCode, incoming.closeReason);
  }

  /** As the WebSockets Standard has it, a message is dropped unless the socket is open: the handler has closed it. */
  #deliver(message: Message): void {
    if (this.#closing.state !== "open") return;
    this.#deadlines.used();
    if (!this.#receiver.message(message)) this.#gate.hold();
  }

  #answerPing(payload: Uint8Array): void {
    if (this.#closing.state !== "open") return;
    const pong = encodeFrame(OP_PONG, payload);
    if (this.#outgoing.isCongested) this.#owedPong = pong;
    else this.#outgoing.addControl(pong);
  }

  #sendOwedPong(): void {
    if (this.#owedPong === null) return;
    this.#outgoing.addControl(this.#owedPong);
    this.#owedPong = null;
  }

  /** The client has broken the protocol, or has sent more than is taken (RFC 6455 section 7.1.7). */
  #refuse(code: number, reason: string): void {
    this.#closing.answer(code, reason);
    this.#receiver.failed(new TrivetError("websocket-violation", `${reason} (${code})`));
  }

  /** Frames that had to wait can leave. */
  #sendReady(): void {
    if (this.#closing.state === "closed") return;
    this.#flush();
    if (this.#outgoing.isIdle) this.#receiver.drained();
    this.#decode();
  }

  /** A message could not be compressed, or what was to be sent could not be read; a Close may have waited behind it. */
  #sendFailed(cause: unknown): void {
    this.#closing.giveUp();
    this.#receiver.failed(new TrivetError("handler-failed", "A message could not be read or compressed.", { cause }));
    this.#sendReady();
  }

  /** What is sent within a turn leaves together; what is sent while messages are taken, behind the last of them. */
  #flushLater(): void {
    if (this.#isDecoding || this.#flushIsDue) return;
    this.#flushIsDue = true;
    this.#service.turns.gather(this);
  }

  #flush(): void {
    if (this.#closing.state === "closed") return;
    this.#outgoing.flush();
    this.#afterFlush();
  }

  #afterFlush(): void {
    if (!this.#closing.takeEnd()) return;
    this.#channel!.end();
    this.#channel!.ignore();
  }

  #readOrPause(): void {
    this.#setPaused(this.#closing.state !== "ending" && !this.#mayDecode());
  }

  #setPaused(isPaused: boolean): void {
    if (this.#gate.settle(this.#channel!, isPaused)) this.#deadlines.heard();
  }

  #cutOff(code: ErrorCode, message: string): void {
    if (this.#closing.state === "closed") return;
    this.#leave(new TrivetError(code, message));
    this.#channel!.abort();
  }

  /** Closed before anything is told of it, as the Web has it: whatever is called then finds nothing more to do. */
  #leave(error: TrivetError | null = null): void {
    if (this.#closing.state === "closed") return;
    const hasOpened = this.#closing.state !== "connecting";
    this.#closing.enter("closed");
    this.#service.topics.leave(this);
    this.#incoming.close();
    this.#outgoing.close();
    if (hasOpened) this.#service.open.remove(this);
    if (error !== null) this.#receiver.failed(error);
    const { code, reason, wasClean } = this.#closing;
    this.#receiver.closed(code, reason, wasClean);
  }
}
