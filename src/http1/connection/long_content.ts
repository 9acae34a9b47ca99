/**
 * Storage in which long content is put behind its head.
 *
 * It decides which content goes there, and that one connection has it at a time. New memory for each response can cost
 * several times what encoding or copying into it does; this is written over and over. It must not know what the content
 * is, nor how it is sent.
 *
 * @module
 */

import type { Runtime } from "../../runtime.ts";

/** Shorter content is put behind its head where many responses share memory that is given away. In chars or bytes. */
export const MIN_LONG_LENGTH: number = 2 * 1024;
/** Longer content has memory of its own: the storage is three times as large as this, and is kept. */
const MAX_LENGTH = 64 * 1024;
/** Of a char code of a string. */
export const MAX_UTF8_BYTES_PER_CHAR: number = 3;
/** Where the content begins. A head is put together in front of it, and needs that much for each char at most. */
const CONTENT_START = 16 * 1024;
const MAX_HEAD_CHARS = CONTENT_START / MAX_UTF8_BYTES_PER_CHAR;

/** What has content in the storage that it did not hand over yet. */
export interface ContentHolder {
  /** Other content comes: what is there moves to memory of its own. */
  keepContent(): void;
}

/** The storage that all connections of a server share. */
export class LongContent {
  /** What was put there and added to a connection, and is not handed over yet, is this one's. */
  holder: ContentHolder | null = null;
  #bytes = new Uint8Array(0);
  #end = 0;
  readonly #encodeUtf8: Runtime["encodeUtf8"];

  /** @param encodeUtf8 The runtime's fastest way from a string to bytes. */
  constructor(encodeUtf8: Runtime["encodeUtf8"]) {
    this.#encodeUtf8 = encodeUtf8;
  }

  /** The storage. */
  get bytes(): Uint8Array {
    return this.#bytes;
  }

  /** Where the content begins that was put there last, without a head. */
  get start(): number {
    return CONTENT_START;
  }

  /** Where it ends. */
  get end(): number {
    return this.#end;
  }

  /** Puts content there, text as UTF-8. Returns its bytes, or -1 where its length is none for this storage. */
  put(content: string | Uint8Array): number {
    if (content.length < MIN_LONG_LENGTH || content.length > MAX_LENGTH) return -1;
    this.holder?.keepContent();
    if (this.#bytes.byteLength === 0) {
      this.#bytes = new Uint8Array(CONTENT_START + MAX_LENGTH * MAX_UTF8_BYTES_PER_CHAR);
    }
    const byteLength = this.#write(content);
    this.#end = CONTENT_START + byteLength;
    return byteLength;
  }

  /** Puts a head of ASCII in front of the content. Returns where it begins; -1 where it is no ASCII or too long. */
  prependAscii(head: string): number {
    const { length } = head;
    if (length > MAX_HEAD_CHARS || this.#encodeUtf8(head, this.#bytes, 0) !== length) return -1;
    const start = CONTENT_START - length;
    this.#bytes.copyWithin(start, 0, length);
    return start;
  }

  /**
   * Puts a head in front of the content that lacks its end, and that end.
   *
   * @param writeEnd Writes it to bytes, and returns where it ends.
   * @returns Where the head begins; -1 where it is too long.
   */
  prepend(head: Uint8Array, writeEnd: (bytes: Uint8Array, start: number) => number): number {
    const endBytes = writeEnd(this.#bytes, 0);
    const start = CONTENT_START - endBytes - head.byteLength;
    if (start < endBytes) return -1;
    this.#bytes.copyWithin(CONTENT_START - endBytes, 0, endBytes);
    this.#bytes.set(head, start);
    return start;
  }

  #write(content: string | Uint8Array): number {
    if (typeof content === "string") return this.#encodeUtf8(content, this.#bytes, CONTENT_START);
    this.#bytes.set(content, CONTENT_START);
    return content.byteLength;
  }
}
