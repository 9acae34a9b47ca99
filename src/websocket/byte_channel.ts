/**
 * The bytes under a WebSocket: what it asks of them, and what they tell it. Types only.
 *
 * Whatever carries the bytes of an upgraded connection can stand behind these two, with back-pressure both ways. It must
 * not know that they are frames.
 *
 * @module
 */

/** What is asked. */
export interface ByteChannel {
  /**
   * Takes the bytes from `start` up to `end`, which belong to it from now on. Returns whether the peer keeps up; where it
   * does not, `drained` is told once.
   */
  write(bytes: Uint8Array<ArrayBuffer>, start: number, end: number): boolean;
  /** Stops reading; at most one more `push` follows until `resume`. */
  pause(): void;
  /** Reads again. */
  resume(): void;
  /** Sends what was written, then FIN. */
  end(): void;
  /** Closes at once, in both directions. */
  abort(): void;
}

/** What is told. Never within a call of what is asked, and nothing behind `closed`. */
export interface ByteReceiver {
  /** Bytes came. They may be changed, and are the receiver's until it returns. */
  push(borrowed: Uint8Array<ArrayBuffer>): void;
  /** The peer has taken what was written. */
  drained(): void;
  /** The peer has sent FIN. */
  ended(): void;
  /** Nothing goes either way any more. */
  closed(): void;
}
