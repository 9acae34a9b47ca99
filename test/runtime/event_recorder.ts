/**
 * The core's place in a test of a transport: it notes what it is told and sees whether a rule was broken.
 *
 * The rules that hold in every situation are checked here, with each event and each call; a test says only what its own
 * situation adds.
 *
 * @module
 */

import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import type {
  Address,
  ListenOptions,
  TransportConnection,
  TransportEvents,
  TransportSession,
} from "../../src/transport.ts";

/** Long enough for a busy machine; a test that passes never waits for it. */
const DEADLINE_MS = 30_000;

/** TCP on loopback, at a port that the system chooses. */
export const AT_ANY_PORT: ListenOptions = {
  hostname: "127.0.0.1",
  port: 0,
  unixPath: undefined,
  tcpBacklog: undefined,
  reusePort: false,
  tls: undefined,
};

/** What a test does within an event. */
export interface EventHooks {
  readonly onOpen?: (connection: RecordedConnection) => void;
  readonly onData?: (connection: RecordedConnection, text: string) => void;
  readonly onDrain?: (connection: RecordedConnection) => void;
  readonly onEnd?: (connection: RecordedConnection) => void;
  readonly onClose?: (connection: RecordedConnection) => void;
}

/** The events of one listener. */
export class EventRecorder implements TransportEvents {
  /** Rules that were broken, in words. */
  readonly violations: string[] = [];
  /** Every connection, in the order in which they were opened. */
  readonly connections: RecordedConnection[] = [];
  /** Failures of accepting. */
  readonly acceptErrors: Error[] = [];
  /** What happens within the events of the connections opened from now on. */
  hooks: EventHooks = {};
  #waits = new Set<() => void>();
  #isInside = false;

  onOpen(transport: TransportConnection): void {
    if (transport.session !== undefined) this.violations.push("The session slot is not empty when a connection opens.");
    const connection = new RecordedConnection(transport, this, this.hooks);
    transport.session = connection;
    this.connections.push(connection);
    this.#tell(() => connection.hooks.onOpen?.(connection), "onOpen");
  }

  onSecure(): void {
    this.violations.push("onSecure without startTls.");
  }

  onData(transport: TransportConnection, borrowed: Uint8Array, end: number): void {
    this.#tell(() => this.#find(transport, "onData")?.onData(borrowed, end), "onData");
  }

  onDrain(transport: TransportConnection): void {
    this.#tell(() => this.#find(transport, "onDrain")?.onDrain(), "onDrain");
  }

  onEnd(transport: TransportConnection): void {
    this.#tell(() => this.#find(transport, "onEnd")?.onEnd(), "onEnd");
  }

  onClose(transport: TransportConnection, cause?: Error): void {
    this.#tell(() => this.#find(transport, "onClose")?.onClose(cause), "onClose");
  }

  onAcceptError(cause: Error): void {
    this.acceptErrors.push(cause);
    this.#tell(() => {}, "onAcceptError");
  }

  /** Waits until something is true, looking after each event. */
  until(isTrue: () => boolean, what: string): Promise<void> {
    return new Promise((resolve, reject) => {
      const look = (): void => {
        if (!isTrue()) return;
        clearTimeout(timer);
        this.#waits.delete(look);
        resolve();
      };
      const timer = setTimeout(() => {
        this.#waits.delete(look);
        const states = this.connections.map((connection) => connection.log.slice(-8).join(" ")).slice(-4);
        reject(new Error(`${what}: not within ${DEADLINE_MS} ms; the last events were ${JSON.stringify(states)}.`));
      }, DEADLINE_MS);
      this.#waits.add(look);
      look();
    });
  }

  /** Calls the transport, in which no event may happen. */
  call<T>(act: () => T): T {
    const wasInside = this.#isInside;
    this.#isInside = true;
    try {
      return act();
    } finally {
      this.#isInside = wasInside;
    }
  }

  #find(transport: TransportConnection, event: string): RecordedConnection | undefined {
    if (transport.session instanceof RecordedConnection) return transport.session;
    this.violations.push(`${event} before onOpen.`);
    return undefined;
  }

  #tell(act: () => void, event: string): void {
    if (this.#isInside) this.violations.push(`${event} within a call or within another event.`);
    try {
      this.call(act);
    } catch (error) {
      this.violations.push(String(error));
    }
    for (const look of [...this.#waits]) look();
  }
}

/** One connection of a transport, with what happened to it. */
export class RecordedConnection implements TransportSession {
  /** The events, in order; "data" for each onData. */
  readonly log: string[] = [];
  /** What happens within its events. */
  readonly hooks: EventHooks;
  /** What it received, as char codes. */
  received = "";
  /** What onClose gave as the cause. */
  cause: Error | undefined;
  readonly #transport: TransportConnection;
  readonly #recorder: EventRecorder;
  #owesDrain = false;
  #hasEnded = false;
  #wasAborted = false;
  #isPaused = false;
  #dataSincePause = 0;

  constructor(transport: TransportConnection, recorder: EventRecorder, hooks: EventHooks) {
    this.#transport = transport;
    this.#recorder = recorder;
    this.hooks = hooks;
  }

  /** The addresses of the peer and of this end. */
  get addresses(): { remote: Address; local: Address } {
    return { remote: this.#transport.remoteAddress, local: this.#transport.localAddress };
  }

  /** How often an event was told. */
  count(event: string): number {
    return this.log.filter((told) => told === event).length;
  }

  get isClosed(): boolean {
    return this.log.includes("close");
  }

  /** Waits until an event was told for the first time. */
  until(event: string): Promise<void> {
    return this.#recorder.until(() => this.log.includes(event), event);
  }

  /** Waits until so many bytes were received. */
  untilReceived(byteLength: number): Promise<void> {
    return this.#recorder.until(() => this.received.length >= byteLength, `${byteLength} bytes`);
  }

  write(content: string | Uint8Array, start?: number, end?: number): boolean {
    const bytes = typeof content === "string" ? new TextEncoder().encode(content) : content;
    return this.#noteWrite(this.#recorder.call(() => this.#transport.write(bytes, start, end)));
  }

  writeAll(texts: readonly string[]): boolean {
    const pieces = texts.map((text) => new TextEncoder().encode(text));
    return this.#noteWrite(this.#recorder.call(() => this.#transport.writeAll(pieces)));
  }

  /** Lends the bytes, and changes them behind it. */
  writeBorrowed(text: string): boolean {
    const bytes = new TextEncoder().encode(`-${text}-`);
    const end = bytes.byteLength - 1;
    const isFree = this.#recorder.call(() => this.#transport.writeBorrowed(bytes, 1, end));
    bytes.fill(0);
    return this.#noteWrite(isFree);
  }

  #noteWrite(isFree: boolean): boolean {
    const isOver = this.#hasEnded || this.#wasAborted || this.isClosed;
    if (isOver && isFree) this.#broken("write returned true after end, abort or close");
    if (!isOver && !isFree) this.#owesDrain = true;
    return isFree;
  }

  pause(): void {
    this.#isPaused = true;
    this.#dataSincePause = 0;
    this.#recorder.call(() => this.#transport.pause());
  }

  resume(): void {
    this.#isPaused = false;
    this.#recorder.call(() => this.#transport.resume());
  }

  watchPeer(): void {
    this.#recorder.call(() => this.#transport.watchPeer());
  }

  end(): void {
    this.#hasEnded = true;
    this.#recorder.call(() => this.#transport.end());
  }

  abort(): void {
    if (!this.isClosed) this.#wasAborted = true;
    this.#recorder.call(() => this.#transport.abort());
  }

  cutOff(): void {
    if (!this.isClosed) this.#wasAborted = true;
    this.#recorder.call(() => this.#transport.cutOff());
  }

  onData(borrowed: Uint8Array, end: number): void {
    this.#note("data");
    if (end === 0) this.#broken("onData without a byte");
    if (this.log.includes("end")) this.#broken("onData after onEnd");
    if (this.#isPaused && ++this.#dataSincePause > 1) this.#broken("a second onData after pause");
    const text = decode(borrowed.subarray(0, end));
    this.received += text;
    this.hooks.onData?.(this, text);
    assert.equal(decode(borrowed.subarray(0, end)), text, "a view changed before its onData returned");
  }

  onDrain(): void {
    this.#note("drain");
    if (!this.#owesDrain) this.#broken("onDrain that nobody waits for");
    if (this.#hasEnded) this.#broken("onDrain after end");
    this.#owesDrain = false;
    this.hooks.onDrain?.(this);
  }

  onEnd(): void {
    if (this.log.includes("end")) this.#broken("a second onEnd");
    this.#note("end");
    if (this.#isPaused) this.#broken("onEnd while paused");
    this.hooks.onEnd?.(this);
  }

  onClose(cause: Error | undefined): void {
    if (this.isClosed) this.#broken("a second onClose");
    if (this.#wasAborted && cause !== undefined) this.#broken("a cause after abort or cutOff");
    this.log.push("close");
    this.cause = cause;
    this.hooks.onClose?.(this);
  }

  #note(event: string): void {
    if (this.isClosed) this.#broken(`${event} after onClose`);
    else if (this.#wasAborted) this.#broken(`${event} after abort`);
    this.log.push(event);
  }

  #broken(rule: string): void {
    this.#recorder.violations.push(`${rule} (after ${this.log.slice(-6).join(" ")})`);
  }
}

function decode(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("latin1");
}
