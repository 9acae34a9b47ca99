/**
 * The payload of a message that comes in several pieces, put together.
 *
 * It decides how much memory is taken before the bytes are there. It must not know frames.
 *
 * @module
 */

/** A message that does not come at once is gathered in at least this much. */
const MIN_BYTES = 1024;
/** What is taken at once for a message that says how long it is. */
const MAX_TRUSTED_BYTES = 128 * 1024;
const NO_BYTES = new Uint8Array(0);

/** The pieces of one message after another. */
export class GatheredMessage {
  /** Bytes of the present message. */
  byteLength = 0;
  #room: Uint8Array<ArrayBuffer> = NO_BYTES;

  /** Whether no piece was added. */
  get isEmpty(): boolean {
    return this.#room === NO_BYTES;
  }

  /** Another message begins, or none is wanted any more. */
  clear(): void {
    this.byteLength = 0;
    this.#room = NO_BYTES;
  }

  /**
   * Adds a piece. The buffer doubles, so that pieces of any size cost no more than their bytes.
   *
   * @param comingBytes How many follow, where that is known; else -1.
   */
  add(bytes: Uint8Array, start: number, end: number, comingBytes: number): void {
    const neededBytes = this.byteLength + end - start;
    if (neededBytes > this.#room.byteLength || this.isEmpty) {
      let roomBytes = Math.max(neededBytes, this.byteLength * 2, MIN_BYTES);
      // The bytes to come are only announced, so that little room is made for them before they are here.
      if (comingBytes >= 0) roomBytes = Math.min(Math.max(roomBytes, MAX_TRUSTED_BYTES), neededBytes + comingBytes);
      const room = new Uint8Array(roomBytes);
      room.set(this.#room.subarray(0, this.byteLength));
      this.#room = room;
    }
    this.#room.set(bytes.subarray(start, end), this.byteLength);
    this.byteLength = neededBytes;
  }

  /** The buffer in which the message begins at 0, and which is not used any more. */
  take(): Uint8Array<ArrayBuffer> {
    const room = this.#room;
    this.#room = NO_BYTES;
    return room;
  }
}
