/**
 * Bytes that a socket has not taken yet, for runtimes that leave them to us.
 *
 * It decides their order and how many may wait. It must not know sockets.
 *
 * @module
 */

/**
 * Bytes waiting for a socket from which on `write` returns false. The core writes at most 64 KiB at once: with two such
 * writes the next one waits here already while one is under way.
 */
export const HIGH_WATER_BYTES: number = 128 * 1024;

/**
 * What neighbouring pieces are put together to at most, since each write is a system call that costs more than copying
 * as much: the largest single write of the core, with the framing around it.
 */
const MAX_JOINED_BYTES = 72 * 1024;
/** Processors copy ten times slower to where storage is not aligned to this, if they are unlucky with the addresses. */
const ALIGNMENT_BYTES = 64;
/**
 * Storage for joined pieces and copies that is kept for the next ones, because new memory costs as much as the copying.
 */
const MAX_FREE_STORAGES = 32;
/** Fewer bytes have memory of their own. */
const MIN_SHARED_BYTES = 8 * 1024;

const NO_BYTES = new Uint8Array(0);
/** Stands for an empty list, so that a connection whose peer keeps up has none of its own; never written to. */
const NO_PIECES: Uint8Array[] = [];

const freeStorages: Uint8Array[] = [];

/** Bytes that were copied aside, and the storage in which they lie. */
interface StoredCopy {
  readonly copy: Uint8Array;
  readonly storage: Uint8Array;
}

/** A queue of bytes in the order in which they leave. */
export class WriteBacklog {
  /** How many bytes wait. */
  byteLength = 0;
  /** Whether the core was told to wait, and has to be told when all has left. */
  owesDrain = false;
  /** The first of the waiting bytes; nearly always all of them. */
  #head: Uint8Array = NO_BYTES;
  /** What comes behind it, of which the pieces before `#taken` have become the head. */
  #tail: Uint8Array[] = NO_PIECES;
  #taken = 0;
  /** Storage in which the bytes to write next are joined, while they are being written. */
  #storage: Uint8Array | null = null;
  /** Storage in which copies lie that wait, in their order. */
  #copyStorages: Uint8Array[] = NO_PIECES;

  /** Adds bytes at the end. Returns whether there may be more. */
  add(bytes: Uint8Array): boolean {
    if (this.byteLength === 0) {
      this.#head = bytes;
    } else {
      if (this.#tail === NO_PIECES) this.#tail = [];
      this.#tail.push(bytes);
    }
    this.byteLength += bytes.byteLength;
    if (this.byteLength < HIGH_WATER_BYTES) return true;
    this.owesDrain = true;
    return false;
  }

  /** Adds a copy of bytes that are not the backlog's to keep. Returns whether there may be more. */
  addCopy(bytes: Uint8Array, start: number, end: number): boolean {
    const aside = copyAside(bytes, start, end);
    if (aside === null) return this.add(bytes.slice(start, end));
    if (this.#copyStorages === NO_PIECES) this.#copyStorages = [];
    this.#copyStorages.push(aside.storage);
    return this.add(aside.copy);
  }

  /** The bytes to write next, at least one of them unless the backlog is empty. They are valid until `advance`. */
  next(): Uint8Array {
    const tail = this.#tail;
    let end = this.#taken;
    let joinedBytes = this.#head.byteLength;
    while (end < tail.length && joinedBytes + tail[end].byteLength <= MAX_JOINED_BYTES) {
      joinedBytes += tail[end++].byteLength;
    }
    return end === this.#taken ? this.#head : this.#join(end, joinedBytes);
  }

  /** So many bytes of {@linkcode next} have left, and are not looked at any more. */
  advance(writtenBytes: number): void {
    giveStorage(this.#storage);
    this.#storage = null;
    this.byteLength -= writtenBytes;
    let leftBytes = writtenBytes;
    if (leftBytes >= this.#head.byteLength) this.#freeCopy(this.#head);
    while (leftBytes >= this.#head.byteLength && this.#tail !== NO_PIECES) {
      leftBytes -= this.#head.byteLength;
      this.#head = this.#tail[this.#taken++];
      if (leftBytes >= this.#head.byteLength) this.#freeCopy(this.#head);
      if (this.#taken < this.#tail.length) continue;
      this.#tail = NO_PIECES;
      this.#taken = 0;
    }
    this.#head = this.byteLength === 0 ? NO_BYTES : this.#head.subarray(leftBytes);
  }

  /** Forgets everything: the connection is gone. A write may be under way, so that its storage is not used again. */
  clear(): void {
    this.#head = NO_BYTES;
    this.#tail = NO_PIECES;
    this.#taken = 0;
    this.#storage = null;
    this.#copyStorages = NO_PIECES;
    this.byteLength = 0;
    this.owesDrain = false;
  }

  /** A piece has left: if it was a copy, its storage is used again. */
  #freeCopy(piece: Uint8Array): void {
    if (this.#copyStorages[0]?.buffer === piece.buffer) giveStorage(this.#copyStorages.shift()!);
  }

  #join(end: number, byteLength: number): Uint8Array {
    const joined = byteLength < MIN_SHARED_BYTES ? new Uint8Array(byteLength) : this.#takeStorage(byteLength);
    joined.set(this.#head);
    let at = this.#head.byteLength;
    for (let i = this.#taken; i < end; i++) {
      joined.set(this.#tail[i], at);
      at += this.#tail[i].byteLength;
    }
    return joined;
  }

  #takeStorage(byteLength: number): Uint8Array {
    this.#storage = takeStorage();
    // Framing comes first as a rule, and the large piece behind it is the one to align.
    const start = ALIGNMENT_BYTES - this.#head.byteLength % ALIGNMENT_BYTES;
    return this.#storage.subarray(start, start + byteLength);
  }
}

function takeStorage(): Uint8Array {
  return freeStorages.pop() ?? new Uint8Array(MAX_JOINED_BYTES + ALIGNMENT_BYTES);
}

/** Copies bytes into storage that is used again; `null` where they are too few or too many for that. */
export function copyAside(bytes: Uint8Array, start: number, end: number): StoredCopy | null {
  const byteLength = end - start;
  if (byteLength < MIN_SHARED_BYTES || byteLength > MAX_JOINED_BYTES) return null;
  const storage = takeStorage();
  const copyStart = start % ALIGNMENT_BYTES;
  const copy = storage.subarray(copyStart, copyStart + byteLength);
  copy.set(bytes.subarray(start, end));
  return { storage, copy };
}

/** Has storage used again, in which nothing lies any more. */
export function giveStorage(storage: Uint8Array | null): void {
  if (storage !== null && freeStorages.length < MAX_FREE_STORAGES) freeStorages.push(storage);
}
