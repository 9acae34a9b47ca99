/**
 * WebSockets as a handler sees them: types only.
 *
 * @module
 */

/**
 * What `info.upgradeWebSocket()` can be told. Times are in milliseconds, 0 to 2 147 483 647 (24 days), and sizes in
 * bytes; a timeout of 0 is none.
 *
 * @example
 * ```ts
 * import { type Handler, type WebSocketOptions } from "@trivet/http";
 *
 * const options: WebSocketOptions = { origin: "same", protocol: "chat.v1", maxMessageSize: 64 * 1024 };
 * const handler: Handler = (_request, info) => {
 *   const { response, socket } = info.upgradeWebSocket(options);
 *   socket.onmessage = (event) => socket.send(event.data);
 *   return response;
 * };
 * ```
 */
export interface WebSocketOptions {
  /**
   * The protocols that the server speaks, the preferred first, or a function that chooses one of those that the client
   * offers. Where none fits the connection has none. Default: none.
   */
  readonly protocol?: string | readonly string[] | ((offered: readonly string[]) => string | undefined) | undefined;
  /**
   * Pages of which origin may connect. Browsers let every page connect to every WebSocket, and send their cookies
   * along: where cookies or the network say who may do what, set it. `"same"`: pages of the host that is asked. A list:
   * origins such as `"https://a.example"`. A function is given the value of Origin, `null` where there is none, which
   * the others refuse with 403, and says at once whether it may. Default: any.
   */
  readonly origin?: "same" | readonly string[] | ((origin: string | null) => boolean) | undefined;
  /**
   * Compresses messages with permessage-deflate (RFC 7692) where the client offers it. Off by default: it costs memory
   * and time, and a secret that is compressed together with what an attacker has chosen can be guessed from its length.
   */
  readonly compress?: boolean | WebSocketCompression | undefined;
  /** Bytes of a message; a longer one closes the connection with 1009. 1 to 1 GiB, default 16 MiB. */
  readonly maxMessageSize?: number | undefined;
  /**
   * Bytes that may wait until the client takes them. A `send` beyond it, unless nothing else waits, cuts the connection
   * off. 1 to 1 GiB, default 16 MiB.
   */
  readonly maxBufferedAmount?: number | undefined;
  /** Milliseconds without anything from the client, after which it is sent a Ping; 0 for never. Default 30 000. */
  readonly pingInterval?: number | undefined;
  /** Milliseconds that a client may stay silent after a Ping, until it is cut off; 0 for no bound. Default 20 000. */
  readonly pongTimeout?: number | undefined;
  /**
   * Milliseconds in which no message has come or gone, after which the connection is closed with 1001; 0 for never.
   * Default 3 600 000, an hour.
   */
  readonly idleTimeout?: number | undefined;
  /** Milliseconds for the client to close the connection once it was told to; 0 for no bound. Default 10 000. */
  readonly closeTimeout?: number | undefined;
}

/** How messages are compressed. */
export interface WebSocketCompression {
  /**
   * Whether a message may refer to those before it. They get smaller, for up to 300 KiB of memory a connection. Default
   * false.
   */
  readonly contextTakeover?: boolean | undefined;
  /** Bytes from which on a message is compressed; shorter ones are sent as they are. 0 to 1 GiB, default 1024. */
  readonly threshold?: number | undefined;
  /** The level of compression: from 1, the fastest, to 9, the smallest. Default 6, as zlib's. */
  readonly level?: number | undefined;
  /** The window of what the server sends: 2 to the power of it, in bytes. 9 to 15, default 15. */
  readonly serverMaxWindowBits?: number | undefined;
  /**
   * The window of what the client sends, 9 to 15. Below 15, clients that can't be told of it send uncompressed. Default
   * 15.
   */
  readonly clientMaxWindowBits?: number | undefined;
}

/** The two halves of an upgrade to WebSocket. */
export interface WebSocketAnswer {
  /** The 101 (Switching Protocols) to return from the handler. */
  readonly response: Response;
  /** The WebSocket, which opens once the response was sent. */
  readonly socket: ServerWebSocket;
}

/** A message came. */
export interface WebSocketMessageEvent extends Event {
  /** Text is a string; bytes are what `binaryType` says. */
  // deno-lint-ignore no-explicit-any -- As in the Web's MessageEvent: code for that has to fit.
  readonly data: any;
}

/** The connection is closed. */
export interface WebSocketCloseEvent extends Event {
  /** What the client gave as its code: 1005 where it gave none, 1006 where it did not close the connection in order. */
  readonly code: number;
  /** What the client gave as its reason. */
  readonly reason: string;
  /** Whether both sides have sent a Close frame. */
  readonly wasClean: boolean;
}

/** The connection has failed; a close event follows. */
export interface WebSocketErrorEvent extends Event {
  /** Why: a `TrivetError`. */
  readonly error: Error;
  /** The message of the error. */
  readonly message: string;
}

/** How a connection was closed. */
export interface WebSocketClose {
  /** As in {@linkcode WebSocketCloseEvent}. */
  readonly code: number;
  /** As in {@linkcode WebSocketCloseEvent}. */
  readonly reason: string;
  /** As in {@linkcode WebSocketCloseEvent}. */
  readonly wasClean: boolean;
}

/** The events of a {@linkcode ServerWebSocket} by name. */
export interface WebSocketEvents {
  /** Messages can be sent. */
  readonly open: Event;
  /** A message came. */
  readonly message: WebSocketMessageEvent;
  /** The connection has failed. */
  readonly error: WebSocketErrorEvent;
  /** The connection is closed. Always the last. */
  readonly close: WebSocketCloseEvent;
}

/**
 * The server's end of a WebSocket: the Web's WebSocket interface, and streams with back-pressure in addition.
 *
 * Messages come as events, or through `readable` once that was asked for. A listener that throws, or whose promise
 * rejects, is reported to `onError` and changes nothing else.
 *
 * @example Back-pressure: a client that sends faster than its messages are stored is not read
 * ```ts
 * import { type Handler } from "@trivet/http";
 *
 * async function store(_message: string | Uint8Array): Promise<void> {}
 *
 * const handler: Handler = (_request, info) => {
 *   const { response, socket } = info.upgradeWebSocket();
 *   (async () => {
 *     for await (const message of socket) await store(message);
 *   })();
 *   return response;
 * };
 * ```
 */
export interface ServerWebSocket extends EventTarget, AsyncIterable<string | Uint8Array<ArrayBuffer>> {
  /** 0 */
  readonly CONNECTING: 0;
  /** 1 */
  readonly OPEN: 1;
  /** 2 */
  readonly CLOSING: 2;
  /** 3 */
  readonly CLOSED: 3;
  /** 0 until the 101 was sent, 1 while messages can be sent, 2 while the connection closes, 3 behind that. */
  readonly readyState: 0 | 1 | 2 | 3;
  /** The URL of the request, with the scheme "ws" or "wss". */
  readonly url: string;
  /** The protocol that was chosen; empty where none was. */
  readonly protocol: string;
  /** The extensions that were agreed on. */
  readonly extensions: string;
  /** As what bytes come in events. Default "blob", as on the Web. */
  binaryType: "blob" | "arraybuffer";
  /** Bytes that were sent and that the client has not taken yet. */
  readonly bufferedAmount: number;
  /** Called when messages can be sent. */
  // deno-lint-ignore no-explicit-any -- As on the Web, whose handlers have to fit.
  onopen: ((event: any) => unknown) | null;
  /** Called with each message. */
  // deno-lint-ignore no-explicit-any -- As above.
  onmessage: ((event: any) => unknown) | null;
  /** Called when the connection has failed. */
  // deno-lint-ignore no-explicit-any -- As above.
  onerror: ((event: any) => unknown) | null;
  /** Called when the connection is closed. */
  // deno-lint-ignore no-explicit-any -- As above.
  onclose: ((event: any) => unknown) | null;
  /**
   * Sends a message. Once the connection closes it does nothing.
   *
   * @throws {DOMException} `InvalidStateError` before the open event.
   */
  send(message: string | ArrayBufferLike | ArrayBufferView | Blob): void;
  /**
   * Gets what is published under a topic from now on, by {@linkcode ServerWebSocket.publish}, `info.publish` or
   * `server.publish`, until it is closed. Again, it changes nothing. A message is sent as by `send`: a client for which
   * more than `maxBufferedAmount` waits is cut off, and not sent some of the messages only.
   *
   * @throws {TypeError} For a topic that is no string.
   *
   * @example A chat with rooms
   * ```ts
   * import { type Handler } from "@trivet/http";
   *
   * const handler: Handler = (request, info) => {
   *   const room = new URL(request.url).pathname;
   *   const { response, socket } = info.upgradeWebSocket({ origin: "same" });
   *   // Bytes can be published, and a Blob can't.
   *   socket.binaryType = "arraybuffer";
   *   socket.subscribe(room);
   *   socket.onmessage = (event) => socket.publish(room, event.data);
   *   return response;
   * };
   * ```
   */
  subscribe(topic: string): void;
  /** Takes a subscription back; one that is not there changes nothing. */
  unsubscribe(topic: string): void;
  /**
   * Sends a message to every WebSocket of the server that has subscribed to a topic, but not to this one.
   *
   * @throws {TypeError} For a topic that is no string, or a Blob.
   */
  publish(topic: string, message: string | ArrayBufferLike | ArrayBufferView): void;
  /**
   * Closes the connection behind what was sent.
   *
   * @param code 1000 or 3000 to 4999, as on the Web, or 1001 to 1003 or 1007 to 1014, which servers may send.
   * @param reason At most 123 bytes as UTF-8.
   * @throws {DOMException} `InvalidAccessError` for another code, `SyntaxError` for a longer reason.
   */
  close(code?: number, reason?: string): void;
  /**
   * Sends a Ping, which the client answers by itself. Not needed to notice clients that are gone: `pingInterval` does.
   *
   * @param payload At most 125 bytes.
   * @throws {RangeError} For more.
   * @throws {TypeError} For a Blob.
   */
  ping(payload?: string | ArrayBufferLike | ArrayBufferView): void;
  /**
   * The messages, instead of events, from now on: what is not read is not taken from the client either. It ends when
   * the connection is closed in order, and fails otherwise.
   */
  readonly readable: ReadableStream<string | Uint8Array<ArrayBuffer>>;
  /** Sends messages. A write resolves when the client keeps up. Closing it closes the connection with 1000. */
  readonly writable: WritableStream<string | ArrayBufferLike | ArrayBufferView>;
  /** Resolves when the connection is closed, however that came. */
  readonly closed: Promise<WebSocketClose>;
  /** Reads `readable` until the connection is closed, however that came; leaving the loop closes it with 1000. */
  [Symbol.asyncIterator](): AsyncIterableIterator<string | Uint8Array<ArrayBuffer>>;
  /** As of any `EventTarget`, with the types of this one's events. */
  addEventListener<Name extends keyof WebSocketEvents>(
    type: Name,
    listener: ((event: WebSocketEvents[Name]) => unknown) | null,
    options?: boolean | WebSocketListenerOptions,
  ): void;
  /** As of any `EventTarget`. */
  addEventListener(
    type: string,
    listener: WebSocketListener | null,
    options?: boolean | WebSocketListenerOptions,
  ): void;
}

/** A function or an object that is called with events. */
export type WebSocketListener =
  // deno-lint-ignore no-explicit-any -- As on the Web, whose handlers have to fit.
  | ((event: any) => unknown)
  // deno-lint-ignore no-explicit-any -- As above.
  | { handleEvent(event: any): unknown };

/** How a listener is called. */
export interface WebSocketListenerOptions {
  /** Once only. */
  readonly once?: boolean | undefined;
  /** Until it aborts. */
  readonly signal?: AbortSignal | undefined;
  /** Makes no difference. */
  readonly capture?: boolean | undefined;
  /** Makes no difference. */
  readonly passive?: boolean | undefined;
}
