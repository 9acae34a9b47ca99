/**
 * Bytes that a socket has not taken yet, for runtimes that leave them to us: their order, and how many may wait.
 *
 * It knows nothing of sockets.
 *
 * @module
 */

/**
 * Bytes waiting for a socket from which on `write` returns false. The core writes at most 64 KiB at once: with two such
 * writes the next one waits here already while one is under way.
 */
export const HIGH_WATER_BYTES: number = 128 * 1024;

/** Neighbouring pieces up to this size are put together before they are written, since each write is a system call. */
const MAX_JOINED_PIECE_BYTES = 8 * 1024;
/** What pieces are put together to at most. */
const MAX_JOINED_BYTES = 64 * 1024;

const NO_BYTES = new Uint8Array(0);
/** Stands for an empty list, so that a connection whose peer keeps up has none of its own; never written to. */
const NO_PIECES: Uint8Array[] = [];

/** A queue of bytes in the order in which they leave. */
export class WriteBacklog {
  /** How many bytes wait. */
  byteLength = 0;
  /** Whether the core was told to wait, and has to be told when all has left. */
  owesDrain = false;
  /** The first of the waiting bytes; nearly always all of them. */
  #head: Uint8Array = NO_BYTES;
  /** What comes behind it, of which the pieces before `#taken` have become part of the head. */
  #tail: Uint8Array[] = NO_PIECES;
  #taken = 0;

  /** Adds bytes at the end. Returns whether there may be more. */
  add(bytes: Uint8Array): boolean {
    if (this.byteLength === 0) {
      this.#head = bytes;
    } else if (bytes.byteLength > 0) {
      if (this.#tail === NO_PIECES) this.#tail = [];
      this.#tail.push(bytes);
    }
    this.byteLength += bytes.byteLength;
    if (this.byteLength < HIGH_WATER_BYTES) return true;
    this.owesDrain = true;
    return false;
  }

  /** The bytes to write next, at least one of them unless the backlog is empty. */
  next(): Uint8Array {
    if (this.#tail !== NO_PIECES && this.#head.byteLength <= MAX_JOINED_PIECE_BYTES) this.#joinSmallPieces();
    return this.#head;
  }

  /** So many bytes of {@linkcode next} have left. */
  advance(writtenBytes: number): void {
    this.byteLength -= writtenBytes;
    if (writtenBytes < this.#head.byteLength) this.#head = this.#head.subarray(writtenBytes);
    else if (this.byteLength === 0) this.#head = NO_BYTES;
    else this.#takeFromTail(this.#tail[this.#taken], this.#taken + 1);
  }

  /** Forgets everything: the connection is gone. */
  clear(): void {
    this.#head = NO_BYTES;
    this.#tail = NO_PIECES;
    this.#taken = 0;
    this.byteLength = 0;
    this.owesDrain = false;
  }

  #takeFromTail(head: Uint8Array, taken: number): void {
    this.#head = head;
    this.#taken = taken;
    if (taken < this.#tail.length) return;
    this.#tail = NO_PIECES;
    this.#taken = 0;
  }

  #joinSmallPieces(): void {
    let end = this.#taken;
    let joinedBytes = this.#head.byteLength;
    for (; end < this.#tail.length; end++) {
      const { byteLength } = this.#tail[end];
      if (byteLength > MAX_JOINED_PIECE_BYTES || joinedBytes + byteLength > MAX_JOINED_BYTES) break;
      joinedBytes += byteLength;
    }
    if (end === this.#taken) return;
    const joined = new Uint8Array(joinedBytes);
    joined.set(this.#head);
    let at = this.#head.byteLength;
    for (let i = this.#taken; i < end; i++) {
      joined.set(this.#tail[i], at);
      at += this.#tail[i].byteLength;
    }
    this.#takeFromTail(joined, end);
  }
}
