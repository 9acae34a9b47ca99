/**
 * Whether bytes are UTF-8 (RFC 3629 section 4), while they come.
 *
 * It keeps its place within a char, so that any split gives the same answer, and says no at the first byte behind which
 * nothing could make the text valid (RFC 6455 section 8.1). It must not know where a message begins or ends.
 *
 * @module
 */

/** Checks one text, piece by piece. */
export class Utf8Check {
  /** Bytes that are missing of the present char. */
  #missing = 0;
  /** The next byte of it lies between these. */
  #lowest = 0x80;
  #highest = 0xbf;

  /** Whether the text may end here. */
  get isAtBoundary(): boolean {
    return this.#missing === 0;
  }

  /** Begins another text. */
  reset(): void {
    this.#missing = 0;
    this.#lowest = 0x80;
    this.#highest = 0xbf;
  }

  /** Takes the next piece. Returns whether the text can still be valid. */
  take(bytes: Uint8Array, start: number, end: number): boolean {
    for (let at = start; at < end; at++) {
      const byte = bytes[at];
      if (this.#missing === 0) {
        if (byte >= 0x80 && !this.#begin(byte)) return false;
      } else {
        if (byte < this.#lowest || byte > this.#highest) return false;
        this.#lowest = 0x80;
        this.#highest = 0xbf;
        this.#missing--;
      }
    }
    return true;
  }

  /** Takes the first byte of a char of several; bounds the second where other forms would be longer than need be. */
  #begin(byte: number): boolean {
    if (byte < 0xc2 || byte > 0xf4) return false;
    this.#missing = byte < 0xe0 ? 1 : byte < 0xf0 ? 2 : 3;
    if (byte === 0xe0) this.#lowest = 0xa0;
    else if (byte === 0xed) this.#highest = 0x9f;
    else if (byte === 0xf0) this.#lowest = 0x90;
    else if (byte === 0xf4) this.#highest = 0x8f;
    return true;
  }
}
