/**
 * Masking (RFC 6455 section 5.3): each byte of a payload is combined with one of the four bytes of its frame's key.
 *
 * A key is one number whose lowest byte is for the next byte of the payload, so that a frame whose payload comes in
 * pieces carries nothing but that number from one to the next. This module must not know what the payload is.
 *
 * @module
 */

/** Below this, bytes one by one cost less. */
const MIN_BYTES_FOR_WORDS = 24;
/** The buffer that was unmasked last is kept, unless it is larger. */
const MAX_KEPT_BYTES = 256 * 1024;
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
  const { byteOffset } = bytes;
  const words = wordsOf(bytes.buffer);
  const firstWordAt = start + (-(byteOffset + start) & 3);
  const wordCount = (end - firstWordAt) >>> 2;
  const lastWordEnd = firstWordAt + wordCount * 4;
  const shifted = turnKey(key, firstWordAt - start);
  const firstWord = (byteOffset + firstWordAt) >>> 2;
  return unmaskBytes(bytes, start, firstWordAt, key) |
    unmaskWords(words, firstWord, firstWord + wordCount, shifted) |
    unmaskBytes(bytes, lastWordEnd, end, shifted);
}

let keptBuffer: ArrayBufferLike | null = null;
let keptWords = new Int32Array(0);

/**
 * All of a buffer as words. A view costs as much as unmasking a small message does, and the messages of one read lie in
 * one buffer, which many adapters read into again and again.
 */
function wordsOf(buffer: ArrayBufferLike): Int32Array {
  if (buffer === keptBuffer) return keptWords;
  const words = new Int32Array(buffer, 0, buffer.byteLength >>> 2);
  if (buffer.byteLength <= MAX_KEPT_BYTES) {
    keptBuffer = buffer;
    keptWords = words as Int32Array<ArrayBuffer>;
  }
  return words;
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

function unmaskWords(words: Int32Array, start: number, end: number, key: number): number {
  const wordKey = IS_LITTLE_ENDIAN ? key : swapped(key);
  let bits = 0;
  let at = start;
  // Four in a turn of the loop: V8 takes half the time for them, and JavaScriptCore no more.
  for (const lastAt = end - 3; at < lastAt; at += 4) {
    bits |= (words[at] ^= wordKey) | (words[at + 1] ^= wordKey) | (words[at + 2] ^= wordKey) |
      (words[at + 3] ^= wordKey);
  }
  for (; at < end; at++) bits |= words[at] ^= wordKey;
  return bits;
}

function swapped(key: number): number {
  return (key << 24) | ((key & 0xff00) << 8) | ((key >>> 8) & 0xff00) | (key >>> 24);
}
