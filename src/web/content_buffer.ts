/**
 * Content that comes in pieces and was not taken yet.
 *
 * It decides when to allocate, so that content of a known length is copied once and lies where its reader gets it, and
 * so that a peer who merely announces much gets no memory for it. It must not know where content comes from.
 *
 * @module
 */

/** Storage is up to this large if a little of the content has come. */
const EAGER_BYTES = 64 * 1024;
/** How much of the eager storage there is for each byte that has come. */
const EAGER_GROWTH = 32;
/** How much storage there is beyond that for each byte that has come. */
const GROWTH = 4;
/**
 * How much storage grows at least when more came than was wanted: copying stays linear, however small the pieces are.
 */
const SURPLUS_GROWTH = 1.5;

/** So few bytes are copied faster one by one than through a view of them. */
const MAX_LOOPED_BYTES = 32;

const NO_BYTES = new Uint8Array(0);

/** Bytes that are added at the end and taken all at once. Their bound is their owner's. */
export class ContentBuffer {
  /** How many bytes are kept. */
  byteLength = 0;
  #storage: Uint8Array<ArrayBuffer> = NO_BYTES;

  /** Bytes of memory it holds. */
  get storageBytes(): number {
    return this.#storage.byteLength;
  }

  /**
   * Copies borrowed bytes to the end.
   *
   * @param wantedBytes What the buffer may hold before it is taken: there is no storage for more than that in advance.
   */
  append(borrowed: Uint8Array, start: number, end: number, wantedBytes: number): void {
    const neededBytes = this.byteLength + end - start;
    if (neededBytes > this.#storage.byteLength) this.#grow(neededBytes, wantedBytes);
    const storage = this.#storage;
    if (end - start <= MAX_LOOPED_BYTES) {
      for (let from = start, to = this.byteLength; from < end; from++, to++) storage[to] = borrowed[from];
    } else {
      const isAll = start === 0 && end === borrowed.byteLength;
      storage.set(isAll ? borrowed : borrowed.subarray(start, end), this.byteLength);
    }
    this.byteLength = neededBytes;
  }

  /** Adds a piece that is shared with nothing else; see {@linkcode append} for the rest. */
  add(piece: Uint8Array<ArrayBuffer>, wantedBytes: number): void {
    if (this.byteLength > 0) {
      this.append(piece, 0, piece.byteLength, wantedBytes);
    } else {
      this.#storage = piece;
      this.byteLength = piece.byteLength;
    }
  }

  /** What is kept, where it lies until there is more. */
  get kept(): Uint8Array<ArrayBuffer> {
    return this.#storage.subarray(0, this.byteLength);
  }

  /** Gives all that is kept away, in memory of its own. */
  take(): Uint8Array<ArrayBuffer> {
    const storage = this.#storage;
    const taken = storage.byteLength === this.byteLength ? storage : storage.slice(0, this.byteLength);
    this.clear();
    return taken;
  }

  /** Forgets everything. */
  clear(): void {
    this.#storage = NO_BYTES;
    this.byteLength = 0;
  }

  #grow(neededBytes: number, wantedBytes: number): void {
    const earnedBytes = neededBytes > wantedBytes
      ? Math.floor(SURPLUS_GROWTH * this.#storage.byteLength)
      : Math.min(wantedBytes, Math.max(Math.min(EAGER_GROWTH * neededBytes, EAGER_BYTES), GROWTH * neededBytes));
    const grown = new Uint8Array(Math.max(neededBytes, earnedBytes));
    if (this.byteLength > 0) grown.set(this.kept);
    this.#storage = grown;
  }
}
