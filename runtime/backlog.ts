/**
 * Bytes that a socket could not take at once, for runtimes that leave them to us.
 *
 * @module
 */

/** Bytes waiting for a socket before `write` returns false. */
export const HIGH_WATER_BYTES: number = 64 * 1024;

/** Pieces below this size are put together before they are written, up to the high water. */
const MAX_JOINED_PIECE_BYTES = 8 * 1024;

/** A queue of bytes in the order in which they leave. */
export class WriteBacklog {
  /** How many bytes wait. */
  byteLength = 0;
  /** Whether the core was told to wait, and has to be told when all has left. */
  owesDrain = false;
  #pieces: Uint8Array[] = [];
  #first = 0;

  /** Adds bytes at the end. Returns whether there may be more. */
  add(bytes: Uint8Array): boolean {
    this.#pieces.push(bytes);
    this.byteLength += bytes.byteLength;
    if (this.byteLength < HIGH_WATER_BYTES) return true;
    this.owesDrain = true;
    return false;
  }

  /** The bytes to write next. Small pieces are joined, since each write costs a call of the system. */
  next(): Uint8Array {
    const first = this.#pieces[this.#first];
    const isLast = this.#first + 1 === this.#pieces.length;
    if (isLast || first.byteLength > MAX_JOINED_PIECE_BYTES) return first;
    return this.#joinSmallPieces();
  }

  /** So many bytes of {@linkcode next} have left. */
  advance(writtenBytes: number): void {
    this.byteLength -= writtenBytes;
    const first = this.#pieces[this.#first];
    if (writtenBytes < first.byteLength) {
      this.#pieces[this.#first] = first.subarray(writtenBytes);
      return;
    }
    this.#first++;
    if (this.#first < this.#pieces.length) return;
    this.#pieces = [];
    this.#first = 0;
  }

  /** Forgets everything: the connection is gone. */
  clear(): void {
    this.#pieces = [];
    this.#first = 0;
    this.byteLength = 0;
    this.owesDrain = false;
  }

  #joinSmallPieces(): Uint8Array {
    let end = this.#first;
    let joinedBytes = 0;
    while (end < this.#pieces.length) {
      const { byteLength } = this.#pieces[end];
      if (byteLength > MAX_JOINED_PIECE_BYTES || joinedBytes + byteLength > HIGH_WATER_BYTES) break;
      joinedBytes += byteLength;
      end++;
    }
    if (end === this.#first + 1) return this.#pieces[this.#first];
    const joined = new Uint8Array(joinedBytes);
    let at = 0;
    for (let i = this.#first; i < end; i++) {
      joined.set(this.#pieces[i], at);
      at += this.#pieces[i].byteLength;
    }
    this.#pieces[end - 1] = joined;
    this.#first = end - 1;
    return joined;
  }
}
