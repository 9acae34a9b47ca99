/**
 * What hooks of crossws get: a peer, and its messages. The shape is that of crossws 0.4, whose classes are not
 * exported.
 *
 * It decides how what a hook sends becomes a message. It must not know when hooks are called.
 *
 * @module
 */

import type { ServerWebSocket } from "../api/websocket.ts";

/** What peers share, and what one is made of. */
export interface PeerParts {
  /** Its WebSocket. */
  readonly socket: ServerWebSocket;
  /** The request that became it. */
  readonly request: Request;
  /** The client's IP address; none for a Unix domain socket. */
  readonly remoteAddress: string | undefined;
  /** To which peers it publishes: those of the same name. */
  readonly namespace: string;
  /** What the hooks keep for it. */
  readonly context: Record<string, unknown>;
  /** The peers of the namespace on this thread. */
  readonly peers: Set<CrosswsPeer>;
}

/** How to wait for a client. */
export interface DrainOptions {
  /** The bytes that may still wait. Default 0. */
  readonly threshold?: number;
  /** Milliseconds between two looks. Default 100. */
  readonly pollInterval?: number;
  /** Ends the wait, which rejects with its reason. */
  readonly signal?: AbortSignal;
}

const INSPECT = Symbol.for("nodejs.util.inspect.custom");

/** The topic of a namespace, and with an empty one that of all. */
export function topicOf(namespace: string, topic: string): string {
  return `crossws\0${namespace}\0${topic}`;
}

/** What hooks may send: what is neither text nor bytes is sent as its text, objects and arrays as JSON. */
export function toMessage(data: unknown): string | ArrayBuffer | ArrayBufferView {
  if (data === undefined || data === null) return "";
  if (typeof data !== "object") return String(data);
  if (data instanceof ArrayBuffer || ArrayBuffer.isView(data)) return data;
  return JSON.stringify(data);
}

/** One client, as hooks of crossws know it. */
export class CrosswsPeer {
  /** To which peers it publishes: those of the same name. */
  readonly namespace: string;
  /** The request that became this WebSocket. */
  readonly request: Request;
  /** The client's IP address; none for a Unix domain socket. */
  readonly remoteAddress: string | undefined;
  /** What the hooks keep for it. */
  readonly context: Record<string, unknown>;
  /** The peers of the same namespace, on this thread. */
  readonly peers: Set<CrosswsPeer>;
  /** The topics that it has subscribed to. */
  readonly topics: Set<string> = new Set();
  readonly #socket: ServerWebSocket;
  #id = "";

  /**
   * Makes the peer of a WebSocket.
   *
   * @param parts What it is made of.
   */
  constructor({ socket, request, remoteAddress, namespace, context, peers }: PeerParts) {
    this.#socket = socket;
    this.request = request;
    this.remoteAddress = remoteAddress;
    this.namespace = namespace;
    this.context = context;
    this.peers = peers;
  }

  /** Unique, and nothing that a client could guess. */
  get id(): string {
    return this.#id ||= crypto.randomUUID();
  }

  /** Trivet's own WebSocket. */
  get websocket(): ServerWebSocket {
    return this.#socket;
  }

  /** Bytes that were sent and that the client has not taken. */
  get bufferedAmount(): number {
    return this.#socket.bufferedAmount;
  }

  /** Sends text or bytes, or another value as JSON. */
  send(data: unknown): void {
    this.#socket.send(toMessage(data) as string);
  }

  /** Sends a Ping. */
  ping(data?: string | ArrayBufferView): void {
    this.#socket.ping(data as string);
  }

  /** Closes the connection. */
  close(code?: number, reason?: string): void {
    this.#socket.close(code, reason);
  }

  /** Closes the connection, which has a deadline of its own. */
  terminate(): void {
    this.close();
  }

  /** Gets what is published under a topic in its namespace. */
  subscribe(topic: string): void {
    this.topics.add(topic);
    this.#socket.subscribe(topicOf(this.namespace, topic));
    this.#socket.subscribe(topicOf("", topic));
  }

  /** Takes that back. */
  unsubscribe(topic: string): void {
    this.topics.delete(topic);
    this.#socket.unsubscribe(topicOf(this.namespace, topic));
    this.#socket.unsubscribe(topicOf("", topic));
  }

  /** Sends to all other subscribers in its namespace, on every thread. */
  publish(topic: string, data: unknown): void {
    this.#socket.publish(topicOf(this.namespace, topic), toMessage(data) as string);
  }

  /** Resolves when the client has taken what was sent, or is gone. */
  async waitForDrain({ threshold = 0, pollInterval = 100, signal }: DrainOptions = {}): Promise<void> {
    signal?.throwIfAborted();
    while (this.bufferedAmount > threshold && this.#socket.readyState === 1) {
      await new Promise((resolve) => setTimeout(resolve, pollInterval));
      signal?.throwIfAborted();
    }
  }

  /** As text. */
  toString(): string {
    return this.id;
  }

  /** As text. */
  [Symbol.toPrimitive](): string {
    return this.id;
  }

  /** What is shown of it in a log. */
  [INSPECT](): unknown {
    return { peer: { id: this.id, ip: this.remoteAddress } };
  }
}

/** One message of a client. */
export class CrosswsMessage {
  /** As it came. */
  readonly rawData: string | ArrayBuffer;
  /** The client that has sent it. */
  readonly peer: CrosswsPeer;
  /** The event of the WebSocket. */
  readonly event: Event;
  #id = "";

  /**
   * Makes a message.
   *
   * @param rawData As it came.
   * @param peer Whose it is.
   * @param event The event of the WebSocket.
   */
  constructor(rawData: string | ArrayBuffer, peer: CrosswsPeer, event: Event) {
    this.rawData = rawData;
    this.peer = peer;
    this.event = event;
  }

  /** Unique. */
  get id(): string {
    return this.#id ||= crypto.randomUUID();
  }

  /** As it came: text is a string. */
  get data(): string | ArrayBuffer {
    return this.rawData;
  }

  /** As bytes, text in UTF-8. */
  uint8Array(): Uint8Array<ArrayBuffer> {
    const { rawData } = this;
    return typeof rawData === "string" ? new TextEncoder().encode(rawData) : new Uint8Array(rawData);
  }

  /** As a buffer. */
  arrayBuffer(): ArrayBuffer {
    return typeof this.rawData === "string" ? this.uint8Array().buffer : this.rawData;
  }

  /** As a Blob. */
  blob(): Blob {
    return new Blob([this.rawData]);
  }

  /** As text. */
  text(): string {
    return typeof this.rawData === "string" ? this.rawData : new TextDecoder().decode(this.rawData);
  }

  /**
   * As a value that is JSON.
   *
   * @throws {SyntaxError} It is no JSON.
   */
  json<T = unknown>(): T {
    return JSON.parse(this.text());
  }

  /** As text. */
  toString(): string {
    return this.text();
  }

  /** As text. */
  [Symbol.toPrimitive](): string {
    return this.text();
  }

  /** What is shown of it in a log. */
  [INSPECT](): unknown {
    return { message: { id: this.id, peer: this.peer, text: this.text() } };
  }
}
