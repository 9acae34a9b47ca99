/**
 * Storage in which long text becomes bytes, with room for a head before it.
 *
 * It decides which text goes there, and that one connection has it at a time. New memory for each response can cost
 * several times what encoding into it does; this is written over and over. It must not know what the text is, nor how it
 * is sent.
 *
 * @module
 */

import type { Runtime } from "../../runtime.ts";

/** Shorter text is encoded behind its head, where many responses share memory that is given away. */
export const MIN_TEXT_CHARS: number = 2 * 1024;
/** Longer text has memory of its own: the storage is three times as large as this, and is kept. */
const MAX_CHARS = 64 * 1024;
/** Of a char code of a string. */
export const MAX_UTF8_BYTES_PER_CHAR: number = 3;
/** Where the text begins. A head is put together in front of it, and needs that much for each char at most. */
const TEXT_START = 16 * 1024;
const MAX_HEAD_CHARS = TEXT_START / MAX_UTF8_BYTES_PER_CHAR;

/** What has text in the storage that it did not hand over yet. */
export interface TextHolder {
  /** Another text comes: the one there moves to memory of its own. */
  keepText(): void;
}

/** The storage that all connections of a server share. */
export class TextStorage {
  /** What was encoded and added to a connection, and is not handed over yet, is this one's. */
  holder: TextHolder | null = null;
  #bytes = new Uint8Array(0);
  #textEnd = 0;
  readonly #encodeUtf8: Runtime["encodeUtf8"];

  /** @param encodeUtf8 The runtime's fastest way from a string to bytes. */
  constructor(encodeUtf8: Runtime["encodeUtf8"]) {
    this.#encodeUtf8 = encodeUtf8;
  }

  /** The storage. */
  get bytes(): Uint8Array {
    return this.#bytes;
  }

  /** Where the text begins that was encoded last, without a head. */
  get start(): number {
    return TEXT_START;
  }

  /** Where it ends. */
  get end(): number {
    return this.#textEnd;
  }

  /** Puts text into bytes. Returns how many, or -1 where its length is none for this storage. */
  encode(text: string): number {
    if (text.length < MIN_TEXT_CHARS || text.length > MAX_CHARS) return -1;
    this.holder?.keepText();
    if (this.#bytes.byteLength === 0) {
      this.#bytes = new Uint8Array(TEXT_START + MAX_CHARS * MAX_UTF8_BYTES_PER_CHAR);
    }
    const byteLength = this.#encodeUtf8(text, this.#bytes, TEXT_START);
    this.#textEnd = TEXT_START + byteLength;
    return byteLength;
  }

  /** Puts a head of ASCII in front of the text. Returns where it begins; -1 where it is no ASCII or too long. */
  prependAscii(head: string): number {
    const { length } = head;
    if (length > MAX_HEAD_CHARS || this.#encodeUtf8(head, this.#bytes, 0) !== length) return -1;
    const start = TEXT_START - length;
    this.#bytes.copyWithin(start, 0, length);
    return start;
  }

  /**
   * Puts a head in front of the text that lacks its end, and that end.
   *
   * @param writeEnd Writes it to bytes, and returns where it ends.
   * @returns Where the head begins; -1 where it is too long.
   */
  prepend(head: Uint8Array, writeEnd: (bytes: Uint8Array, start: number) => number): number {
    const endBytes = writeEnd(this.#bytes, 0);
    const start = TEXT_START - endBytes - head.byteLength;
    if (start < endBytes) return -1;
    this.#bytes.copyWithin(TEXT_START - endBytes, 0, endBytes);
    this.#bytes.set(head, start);
    return start;
  }
}
