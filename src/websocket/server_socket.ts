/**
 * The WebSocket that a handler has: the Web's interface, and streams beside it.
 *
 * It decides where messages go, what may be asked for and what the handler is blamed for. It must not know frames.
 *
 * @module
 */

import { TrivetError } from "../api/errors.ts";
import type { ServerWebSocket, WebSocketClose } from "../api/websocket.ts";
import type { TurnShare } from "../web/turn_share.ts";
import { CLOSE_NORMAL, CLOSE_WITHOUT_CODE, isCloseCode, MAX_CONTROL_BYTES, MAX_REASON_BYTES } from "./codec/frame.ts";
import type { WebSocketConnection } from "./connection.ts";
import type { Message } from "./incoming_frames.ts";
import type { SocketReceiver } from "./socket_service.ts";
import type { WebSocketState } from "./socket_states.ts";
import { IncomingMessages, OutgoingMessages } from "./message_streams.ts";
import { toPayload, toPublication } from "./payload.ts";
import { SocketCloseEvent, SocketErrorEvent, SocketEvent, SocketEvents, SocketMessageEvent } from "./socket_events.ts";

type Sendable = string | ArrayBufferLike | ArrayBufferView | Blob;

const READY_STATES: Readonly<Record<WebSocketState, 0 | 1 | 2 | 3>> = {
  connecting: 0,
  open: 1,
  closing: 2,
  ending: 2,
  closed: 3,
};

/** What is known of a socket before it opens. */
export interface SocketDescription {
  readonly url: string;
  readonly protocol: string;
  readonly extensions: string;
}

/** The WebSocket of one handler. */
export class ServerSocket extends SocketEvents implements ServerWebSocket {
  static readonly CONNECTING = 0;
  static readonly OPEN = 1;
  static readonly CLOSING = 2;
  static readonly CLOSED = 3;
  readonly CONNECTING = 0;
  readonly OPEN = 1;
  readonly CLOSING = 2;
  readonly CLOSED = 3;
  readonly url: string;
  readonly protocol: string;
  readonly extensions: string;
  readonly #share: TurnShare;
  readonly #reportError: (error: TrivetError) => void;
  readonly #connection: WebSocketConnection;
  #binaryType: "blob" | "arraybuffer" = "blob";
  #incoming: IncomingMessages | null = null;
  #outgoing: OutgoingMessages | null = null;
  #closing: Settlement<WebSocketClose> | null = null;
  #close: WebSocketClose | null = null;
  #failure: TrivetError | null = null;
  /** The handler has closed it or was told that it is closed: what it sends then is a mistake. */
  #mayNotSend = false;
  #wasBlamed = false;

  /**
   * @param description What it is.
   * @param connect Makes its connection, which tells the receiver what happens.
   * @param share How much of a turn its writable stream may take.
   * @param reportError Counts errors, and tells the user of those that are the handler's.
   */
  constructor(
    description: SocketDescription,
    connect: (receiver: SocketReceiver) => WebSocketConnection,
    share: TurnShare,
    reportError: (error: TrivetError) => void,
  ) {
    super((thrown) => {
      const message = "A listener of a WebSocket threw.";
      reportError(new TrivetError("handler-failed", message, { cause: thrown }));
    });
    this.url = description.url;
    this.protocol = description.protocol;
    this.extensions = description.extensions;
    this.#share = share;
    this.#reportError = reportError;
    this.#connection = connect({
      opened: () => this.#takeOpen(),
      message: (message) => this.#takeMessage(message),
      drained: () => this.#outgoing?.drained(),
      failed: (error) => this.#takeFailure(error),
      closed: (code, reason, wasClean) => this.#takeClose({ code, reason, wasClean }),
    });
  }

  get readyState(): 0 | 1 | 2 | 3 {
    return READY_STATES[this.#connection.state];
  }

  get bufferedAmount(): number {
    return this.#connection.bufferedBytes;
  }

  get binaryType(): "blob" | "arraybuffer" {
    return this.#binaryType;
  }

  set binaryType(type: "blob" | "arraybuffer") {
    // As the Web has it, what is unknown changes nothing.
    if (type === "blob" || type === "arraybuffer") this.#binaryType = type;
  }

  get readable(): ReadableStream<Message> {
    return this.#takeIncoming().readable;
  }

  get writable(): WritableStream<string | ArrayBufferLike | ArrayBufferView> {
    if (this.#outgoing === null) {
      const hasOpened = this.readyState !== 0;
      this.#outgoing = new OutgoingMessages(
        {
          send: (message) => {
            if (this.readyState !== 1) throw closedError();
            this.#connection.send(toPayload(message));
            return this.#connection.flush();
          },
          close: () => this.close(CLOSE_NORMAL),
        },
        hasOpened,
        this.#share,
      );
      if (this.#close !== null) this.#outgoing.fail(this.#failure ?? closedError());
    }
    return this.#outgoing.writable;
  }

  get closed(): Promise<WebSocketClose> {
    this.#closing ??= createSettlement();
    if (this.#close !== null) this.#closing.resolve(this.#close);
    return this.#closing.promise;
  }

  [Symbol.asyncIterator](): AsyncIterableIterator<Message> {
    // Taken at once, so that nothing is lost before the loop begins.
    return iterate(this.readable.getReader(), () => this.#close !== null);
  }

  send(message: Sendable): void {
    if (this.readyState === 0) {
      throw new DOMException("Before its open event nothing can be sent to a WebSocket.", "InvalidStateError");
    }
    const payload = toPayload(message);
    if (!this.#mayNotSend) {
      this.#connection.send(payload);
      return;
    }
    if (this.#wasBlamed) return;
    this.#wasBlamed = true;
    this.#reportError(
      new TrivetError("too-late", "A handler sends to a WebSocket that it has closed, or that is closed."),
    );
  }

  subscribe(topic: string): void {
    if (typeof topic !== "string") throw new TypeError(`A topic is a string, got ${typeof topic}.`);
    this.#connection.subscribe(topic);
  }

  unsubscribe(topic: string): void {
    this.#connection.unsubscribe(topic);
  }

  publish(topic: string, message: string | ArrayBufferLike | ArrayBufferView): void {
    const publication = toPublication(topic, message);
    this.#connection.publish(publication.topic, publication.message);
  }

  close(code?: number, givenReason = ""): void {
    if (code !== undefined && !isCloseCode(code)) {
      throw new DOMException(
        `The code of a close must be 1000 to 1003, 1007 to 1014 or 3000 to 4999, got ${code}.`,
        "InvalidAccessError",
      );
    }
    // As the Web does; encoders of some runtimes take nothing but a string.
    const reason = String(givenReason);
    const reasonBytes = new TextEncoder().encode(reason).byteLength;
    if (reasonBytes > MAX_REASON_BYTES) {
      throw new DOMException(
        `The reason of a close has at most ${MAX_REASON_BYTES} bytes, got ${reasonBytes}.`,
        "SyntaxError",
      );
    }
    this.#mayNotSend = true;
    this.#connection.close(code ?? (reason === "" ? CLOSE_WITHOUT_CODE : CLOSE_NORMAL), reason);
  }

  ping(payload: string | ArrayBufferLike | ArrayBufferView = ""): void {
    const bytes = toPayload(payload);
    if (bytes instanceof Blob) throw new TypeError("The payload of a Ping is text or bytes, and no Blob.");
    const encoded = typeof bytes === "string" ? new TextEncoder().encode(bytes) : bytes;
    if (encoded.byteLength > MAX_CONTROL_BYTES) {
      throw new RangeError(`The payload of a Ping has at most ${MAX_CONTROL_BYTES} bytes, got ${encoded.byteLength}.`);
    }
    this.#connection.ping(encoded);
  }

  #takeOpen(): void {
    this.#outgoing?.open();
    this.dispatch(new SocketEvent("open"));
  }

  #takeMessage(message: Message): boolean {
    if (this.#incoming !== null) return this.#incoming.take(message);
    this.dispatch(new SocketMessageEvent(typeof message === "string" ? message : this.#toData(message)));
    return true;
  }

  #takeFailure(error: TrivetError): void {
    this.#failure = error;
    this.#reportError(error);
    this.dispatch(new SocketErrorEvent(error));
  }

  #takeClose(close: WebSocketClose): void {
    const error = this.#failure ?? closedError();
    this.#close = close;
    if (close.wasClean) this.#incoming?.end();
    else this.#incoming?.fail(error);
    this.#outgoing?.fail(error);
    this.dispatch(new SocketCloseEvent(close.code, close.reason, close.wasClean));
    this.#mayNotSend = true;
    this.#closing?.resolve(close);
  }

  #takeIncoming(): IncomingMessages {
    if (this.#incoming !== null) return this.#incoming;
    this.#incoming = new IncomingMessages({
      resume: () => this.#connection.resume(),
      close: () => this.close(CLOSE_NORMAL),
    });
    if (this.#close !== null) this.#incoming.end();
    return this.#incoming;
  }

  #toData(bytes: Uint8Array<ArrayBuffer>): ArrayBuffer | Blob {
    if (this.#binaryType === "blob") return new Blob([bytes]);
    const { buffer, byteOffset, byteLength } = bytes;
    return byteLength === buffer.byteLength ? buffer : buffer.slice(byteOffset, byteOffset + byteLength);
  }
}

/** Something that is waited for and happens once. */
interface Settlement<T> {
  readonly promise: Promise<T>;
  resolve(value: T): void;
}

function createSettlement<T>(): Settlement<T> {
  let resolve!: (value: T) => void;
  const promise = new Promise<T>((resolvePromise) => resolve = resolvePromise);
  return { promise, resolve };
}

const OVER = { done: true, value: undefined } as const;

/**
 * Reads messages until the connection is closed, whether in order or not; leaving the loop closes the connection, also
 * before its first message, where a generator would not notice.
 */
function iterate(
  reader: ReadableStreamDefaultReader<Message>,
  isClosed: () => boolean,
): AsyncIterableIterator<Message> {
  return {
    async next() {
      try {
        const { done, value } = await reader.read();
        return done ? OVER : { done, value };
      } catch (error) {
        // That a client is lost is no fault of the loop, and `closed` tells it.
        if (!isClosed()) throw error;
        return OVER;
      }
    },
    return() {
      reader.cancel().catch(() => {});
      return Promise.resolve(OVER);
    },
    [Symbol.asyncIterator]() {
      return this;
    },
  };
}

function closedError(): TrivetError {
  return new TrivetError("peer-disconnected", "The WebSocket is closed.");
}
