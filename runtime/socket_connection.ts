/**
 * What the connections of all adapters have in common: which event may be told when.
 *
 * It decides the order of the events at the end of a connection, and that none is told inside a call of the core. It
 * knows no runtime's sockets, and moves no byte.
 *
 * @module
 */

import type { Address, TlsInfo, TransportConnection, TransportEvents, TransportSession } from "../src/transport.ts";

/**
 * How far reading has come. A FIN that comes while reading is paused is held; `end-due` is the moment between `resume`
 * and the microtask that tells it.
 */
type Input = "flowing" | "paused" | "end-held" | "end-due" | "ended";

/** How far writing has come: `ending` while what was written before `end` is still leaving. */
type Output = "open" | "ending" | "ended";

/**
 * How a connection closes: `orderly` when both directions have ended, so that what the system still holds must reach
 * the peer; `aborted` when that does not matter; `cut-off` when the peer must see that the connection failed.
 */
export type CloseManner = "orderly" | "aborted" | "cut-off";

/** A connection whose events come in the order of the contract, whatever its socket does. */
export abstract class SocketConnection implements TransportConnection {
  session: TransportSession | undefined = undefined;
  protected readonly events: TransportEvents;
  protected input: Input = "flowing";
  protected output: Output = "open";
  /** Whether nothing but `onClose` is told any more. */
  protected isClosed = false;
  #isPeerWatched = false;
  #remoteAddress: Address | null = null;
  #localAddress: Address | null = null;

  constructor(events: TransportEvents) {
    this.events = events;
  }

  /** Sockets forget it when they close, so it is found out when they open. */
  get remoteAddress(): Address {
    return this.#remoteAddress!;
  }

  get localAddress(): Address {
    return this.#localAddress ??= this.findLocalAddress();
  }

  /** Only TLS negotiates one. */
  get negotiatedProtocol(): string | null {
    return null;
  }

  get tls(): TlsInfo | null {
    return null;
  }

  startTls(_rest: Uint8Array): void {
    throw new Error("The listener of this connection has no certificate.");
  }

  abstract write(bytes: Uint8Array, start?: number, end?: number): boolean;
  abstract writeBorrowed(bytes: Uint8Array, start: number, end: number): boolean;
  abstract writeAll(pieces: readonly Uint8Array[]): boolean;

  pause(): void {
    if (this.input === "end-due") this.input = "end-held";
    if (this.input !== "flowing" || this.isClosed) return;
    this.input = "paused";
    this.pauseSocket();
  }

  resume(): void {
    if (this.isClosed) return;
    if (this.input === "paused") {
      this.input = "flowing";
      this.resumeSocket();
    } else if (this.input === "end-held") {
      this.input = "end-due";
      queueMicrotask(() => this.#tellDueEnd());
    }
  }

  watchPeer(): void {
    if (this.#isPeerWatched || this.isClosed) return;
    this.#isPeerWatched = true;
    try {
      this.keepAliveSocket();
    } catch {
      // The peer has reset the connection, which is told by what is under way; or it is of a kind that has no such thing.
    }
  }

  end(): void {
    if (this.output !== "open" || this.isClosed) return;
    this.output = "ending";
    this.endSocket();
  }

  abort(): void {
    this.#close("aborted", undefined);
  }

  cutOff(): void {
    this.#close("cut-off", undefined);
  }

  protected abstract findRemoteAddress(): Address;
  protected abstract findLocalAddress(): Address;
  protected abstract pauseSocket(): void;
  protected abstract resumeSocket(): void;
  /** Sets SO_KEEPALIVE. */
  protected abstract keepAliveSocket(): void;
  /** Has what was written sent, then FIN, and calls {@linkcode outputEnded}. */
  protected abstract endSocket(): void;
  /** Closes for good. The socket may be closed already. */
  protected abstract destroySocket(manner: CloseManner): void;

  /** The connection is accepted. */
  protected opened(): void {
    this.#remoteAddress = this.findRemoteAddress();
    this.events.onOpen(this);
  }

  /** The peer's FIN has come. */
  protected inputEnded(): void {
    if (this.isClosed) return;
    if (this.input === "paused") this.input = "end-held";
    else if (this.input === "flowing") this.#tellEnd();
  }

  /** Our FIN has left, or is about to. */
  protected outputEnded(): void {
    this.output = "ended";
    this.#closeWhenBothEnded();
  }

  /** The connection is gone, or has to go: closes the socket and tells it. */
  protected close(cause: Error | undefined): void {
    const isOrderly = this.input === "ended" && this.output === "ended" && cause === undefined;
    this.#close(isOrderly ? "orderly" : "aborted", cause);
  }

  /** What was held back is not told any more. */
  #close(manner: CloseManner, cause: Error | undefined): void {
    if (this.isClosed) return;
    this.isClosed = true;
    this.destroySocket(manner);
    queueMicrotask(() => this.events.onClose(this, cause));
  }

  #tellDueEnd(): void {
    if (this.input === "end-due" && !this.isClosed) this.#tellEnd();
  }

  #tellEnd(): void {
    this.input = "ended";
    this.events.onEnd(this);
    this.#closeWhenBothEnded();
  }

  #closeWhenBothEnded(): void {
    if (this.input === "ended" && this.output === "ended") this.close(undefined);
  }
}
