/**
 * Masking (RFC 6455 section 5.3): each byte of a payload is combined with one of the four bytes of its frame's key.
 *
 * A key is one number whose lowest byte is for the next byte of the payload, so that a frame whose payload comes in
 * pieces carries nothing but that number from one to the next. This module must not know what the payload is.
 *
 * @module
 */

/** A view of words costs as much as this many bytes one by one. */
const MIN_BYTES_FOR_WORDS = 48;
const HIGH_BITS_OF_WORD = 0x80808080;
const IS_LITTLE_ENDIAN = new Uint8Array(Uint32Array.of(1).buffer)[0] === 1;

/**
 * Unmasks in place.
 *
 * @param key Its lowest byte is for the byte at `start`.
 * @returns Bits of which 0x80808080 are clear if every byte is ASCII after that; what the other bits are says nothing.
 */
export function unmask(bytes: Uint8Array, start: number, end: number, key: number): number {
  if (end - start < MIN_BYTES_FOR_WORDS) return unmaskBytes(bytes, start, end, key);
  const { buffer, byteOffset } = bytes;
  const firstWordAt = start + (-(byteOffset + start) & 3);
  const wordCount = (end - firstWordAt) >>> 2;
  const lastWordEnd = firstWordAt + wordCount * 4;
  const shifted = turnKey(key, firstWordAt - start);
  return unmaskBytes(bytes, start, firstWordAt, key) |
    unmaskWords(new Int32Array(buffer, byteOffset + firstWordAt, wordCount), shifted) |
    unmaskBytes(bytes, lastWordEnd, end, shifted);
}

/** The key for the byte that comes behind so many bytes. */
export function turnKey(key: number, bytes: number): number {
  const bits = (bytes & 3) * 8;
  return bits === 0 ? key : (key >>> bits) | (key << (32 - bits));
}

/** Whether the bits that {@linkcode unmask} has returned say that everything is ASCII. */
export function areAscii(bits: number): boolean {
  return (bits & HIGH_BITS_OF_WORD) === 0;
}

function unmaskBytes(bytes: Uint8Array, start: number, end: number, key: number): number {
  let bits = 0;
  for (let at = start; at < end; at++) {
    bits |= bytes[at] ^= key & 0xff;
    key = (key >>> 8) | (key << 24);
  }
  return bits;
}

function unmaskWords(words: Int32Array, key: number): number {
  const wordKey = IS_LITTLE_ENDIAN ? key : swapped(key);
  let bits = 0;
  for (let at = 0; at < words.length; at++) bits |= words[at] ^= wordKey;
  return bits;
}

function swapped(key: number): number {
  return (key << 24) | ((key & 0xff00) << 8) | ((key >>> 8) & 0xff00) | (key >>> 24);
}
