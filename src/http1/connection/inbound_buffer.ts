/**
 * The bytes of a connection that came but could not be used yet: part of a head, or the next request.
 *
 * It decides when to allocate and when to let go, so that an idle connection holds no memory here. It must not know
 * what the bytes mean.
 *
 * @module
 */

const EMPTY = new Uint8Array(0);
const MIN_BYTES = 256;
/** Storage for more bytes than these grows by half, and not to the double of what is needed. */
const MAX_DOUBLED_BYTES = 128 * 1024;
const SLOW_GROWTH = 1.5;

/** A contiguous queue of bytes. Its bound is its owner's: the owner stops reading, or fails, when it holds too much. */
export class InboundBuffer {
  /** The storage; only the part from {@linkcode start} up to {@linkcode end} is meant. */
  bytes: Uint8Array = EMPTY;
  /** Where the kept bytes begin. */
  start = 0;
  /** Where they end. */
  end = 0;

  /** How many bytes are kept. */
  get byteLength(): number {
    return this.end - this.start;
  }

  /** Copies borrowed bytes to the end of the queue. */
  append(borrowed: Uint8Array, start: number, end: number): void {
    const addedBytes = end - start;
    if (this.end + addedBytes > this.bytes.byteLength) this.#makeRoom(addedBytes);
    this.bytes.set(start === 0 && end === borrowed.byteLength ? borrowed : borrowed.subarray(start, end), this.end);
    this.end += addedBytes;
  }

  /** Forgets the bytes before a position of the storage. */
  consumeTo(position: number): void {
    if (position === this.end) this.clear();
    else this.start = position;
  }

  /** Forgets everything, storage too. */
  clear(): void {
    this.bytes = EMPTY;
    this.start = 0;
    this.end = 0;
  }

  #makeRoom(addedBytes: number): void {
    const keptBytes = this.byteLength;
    const neededBytes = keptBytes + addedBytes;
    const target = neededBytes <= this.bytes.byteLength ? this.bytes : new Uint8Array(this.#sizeFor(neededBytes));
    if (target === this.bytes) target.copyWithin(0, this.start, this.end);
    else target.set(this.bytes.subarray(this.start, this.end));
    this.bytes = target;
    this.start = 0;
    this.end = keptBytes;
  }

  /**
   * Growing by a share of what there was keeps the copying of a head that trickles in linear in its length. The first
   * bytes are often all there are, so that their storage is no larger than they are.
   */
  #sizeFor(neededBytes: number): number {
    if (this.bytes === EMPTY) return Math.max(MIN_BYTES, neededBytes);
    if (neededBytes <= MAX_DOUBLED_BYTES) return 2 * neededBytes;
    return Math.max(neededBytes, Math.floor(SLOW_GROWTH * this.bytes.byteLength));
  }
}
