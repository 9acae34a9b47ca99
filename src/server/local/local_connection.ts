/**
 * A connection to the server from within its own process: a transport without a socket.
 *
 * It decides in which turn of the event loop each end hears of the other, as `src/transport.ts` has it for every
 * transport. So what comes through it is met by the same limits and deadlines as what comes from a network. It must not
 * know HTTP.
 *
 * @module
 */

import type { Address, TransportConnection, TransportEvents, TransportSession } from "../../transport.ts";

/** The client's end, as the connection tells it what the server does. */
export interface LocalClient {
  /** Bytes came, which belong to the server. Returns whether more is wanted before `wantsMore` is called. */
  onBytes(bytes: Uint8Array): boolean;
  /** Nothing more comes. */
  onEnd(): void;
}

/** Bytes that are given to the server in one event, as much as an adapter reads at once. */
const MAX_READ_BYTES = 64 * 1024;

/** Bytes on their way to the server. */
interface Sending {
  readonly bytes: Uint8Array;
  /** How many of them the server has. */
  at: number;
  /** The server has them all, or the connection is gone. */
  readonly done: () => void;
}

/** Both ends of a connection within the process. The server has the one that is a transport. */
export class LocalConnection implements TransportConnection {
  session: TransportSession | undefined = undefined;
  readonly negotiatedProtocol = null;
  readonly tls = null;
  readonly remoteAddress: Address = { transport: "tcp", hostname: "127.0.0.1", port: 0 };
  readonly localAddress: Address;
  readonly #events: TransportEvents;
  readonly #client: LocalClient;
  readonly #defer: (callback: () => void) => void;
  readonly #sending: Sending[] = [];
  #turnIsDue = false;
  #isPaused = false;
  #isCongested = false;
  #owesDrain = false;
  #clientHasEnded = false;
  #endWasTold = false;
  #serverHasEnded = false;
  #isClosed = false;
  #closeWasTold = false;
  #cause: Error | undefined = undefined;

  /**
   * Makes it; `open` opens it.
   *
   * @param events Take what the client does.
   * @param client Takes what the server does.
   * @param localAddress Where the server listens.
   * @param defer Calls back at the end of the turn.
   */
  constructor(
    events: TransportEvents,
    client: LocalClient,
    localAddress: Address,
    defer: (callback: () => void) => void,
  ) {
    this.#events = events;
    this.#client = client;
    this.localAddress = localAddress;
    this.#defer = defer;
  }

  // The client's end.

  /** Opens it, which must not happen inside a call of the core. */
  open(): void {
    this.#events.onOpen(this);
  }

  /** Sends bytes. Resolves when the server has read them, or will not read any more. */
  send(bytes: Uint8Array): Promise<void> {
    if (this.#isClosed || this.#clientHasEnded || bytes.byteLength === 0) return Promise.resolve();
    return new Promise((done) => {
      this.#sending.push({ bytes, at: 0, done });
      this.#schedule();
    });
  }

  /** Sends FIN behind what was sent. */
  endOfClient(): void {
    this.#clientHasEnded = true;
    this.#schedule();
  }

  /** The client leaves without a word. */
  reset(): void {
    this.#close(new Error("The client has left."));
  }

  /** The client has taken what it has got. */
  wantsMore(): void {
    this.#isCongested = false;
    if (this.#owesDrain) this.#schedule();
  }

  // The server's end.

  write(bytes: Uint8Array, start = 0, end = bytes.byteLength): boolean {
    if (this.#serverHasEnded || this.#isClosed) return false;
    this.#isCongested = !this.#client.onBytes(bytes.subarray(start, end));
    if (this.#isCongested) this.#owesDrain = true;
    return !this.#isCongested;
  }

  writeBorrowed(bytes: Uint8Array, start: number, end: number): boolean {
    return this.write(bytes.slice(start, end));
  }

  writeAll(pieces: readonly Uint8Array[]): boolean {
    let isFree = false;
    for (const piece of pieces) isFree = this.write(piece);
    return isFree;
  }

  /** There is no listener with TLS in front of it. */
  startTls(): void {}

  pause(): void {
    this.#isPaused = true;
  }

  resume(): void {
    this.#isPaused = false;
    this.#schedule();
  }

  end(): void {
    if (this.#serverHasEnded || this.#isClosed) return;
    this.#serverHasEnded = true;
    this.#owesDrain = false;
    this.#client.onEnd();
    this.#schedule();
  }

  watchPeer(): void {}

  abort(): void {
    this.#close(undefined);
  }

  cutOff(): void {
    this.#close(undefined);
  }

  #close(cause: Error | undefined): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#cause = cause;
    for (const { done } of this.#sending.splice(0)) done();
    if (!this.#serverHasEnded) this.#client.onEnd();
    this.#schedule();
  }

  /** The server hears of nothing inside a call of its own. */
  #schedule(): void {
    if (this.#turnIsDue || this.#closeWasTold) return;
    this.#turnIsDue = true;
    this.#defer(() => {
      this.#turnIsDue = false;
      if (this.#tellServer()) this.#schedule();
    });
  }

  /** Tells the server one thing at most; returns whether there may be another one. */
  #tellServer(): boolean {
    if (this.#isClosed) {
      this.#closeWasTold = true;
      this.#events.onClose(this, this.#cause);
      return false;
    }
    if (this.#owesDrain && !this.#isCongested) {
      this.#owesDrain = false;
      this.#events.onDrain(this);
      return true;
    }
    if (this.#isPaused) return false;
    if (this.#sending.length > 0) {
      this.#deliver(this.#sending[0]);
      return true;
    }
    if (this.#clientHasEnded && !this.#endWasTold) {
      this.#endWasTold = true;
      this.#events.onEnd(this);
      return true;
    }
    if (this.#endWasTold && this.#serverHasEnded) this.#close(undefined);
    return false;
  }

  #deliver(sending: Sending): void {
    const { bytes, at, done } = sending;
    sending.at = Math.min(at + MAX_READ_BYTES, bytes.byteLength);
    if (sending.at === bytes.byteLength) {
      this.#sending.shift();
      done();
    }
    this.#events.onData(this, bytes.subarray(at, sending.at), sending.at - at);
  }
}
