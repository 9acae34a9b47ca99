/**
 * The bytes of a connection that has left HTTP: what is asked of them, and what they tell. Types only.
 *
 * Streams and WebSockets stand on these two alike, and whatever carries the bytes stands behind them, with
 * back-pressure both ways. It must not know what the bytes mean.
 *
 * @module
 */

import type { UpgradedConnection } from "../api/handler.ts";

/** What is asked of the bytes. */
export interface ByteChannel {
  /**
   * Takes the bytes from `start` up to `end`, which belong to it from now on. Returns whether the peer keeps up; where
   * it does not, `drained` is told once.
   */
  write(bytes: Uint8Array<ArrayBuffer>, start: number, end: number): boolean;
  /** Whether lending bytes spares memory that would have to be made for them. */
  readonly takesBorrowed: boolean;
  /** Does what `write` does with bytes that are the caller's again when it returns. */
  writeBorrowed(bytes: Uint8Array<ArrayBuffer>, start: number, end: number): boolean;
  /** Stops reading; at most one more `push` follows until `resume`. */
  pause(): void;
  /** Reads again. */
  resume(): void;
  /** Sends what was written, then FIN. */
  end(): void;
  /** Drops whatever still comes. Behind `end` the peer's FIN is then waited for, but not for long. */
  ignore(): void;
  /** Closes at once, in both directions. An error of the server as `reason` is the one that is counted. */
  abort(reason?: unknown): void;
}

/** What a receiver of the bytes is told; nothing follows `closed`. */
export interface ByteReceiver {
  /** Bytes came. They may be changed, and are the receiver's until it returns. */
  push(borrowed: Uint8Array<ArrayBuffer>): void;
  /** The peer has taken what was written. */
  drained(): void;
  /** The peer has sent FIN. */
  ended(): void;
  /** Nothing goes either way any more. `cause` is set where that was not in order. */
  closed(cause: Error | undefined): void;
}

/** An upgraded connection whose bytes can be had without streams, by what is part of the server. */
export interface ByteConnection extends UpgradedConnection {
  /**
   * Tells a receiver of the bytes from now on, those included that have come already. Once, and only where neither
   * stream was asked for.
   */
  takeBytes(receiver: ByteReceiver): ByteChannel;
}
