/**
 * Storage in which long content is put behind its head, and the parts of content that is longer than that.
 *
 * It decides which content goes there, how what is longer is cut into parts, and that one connection has the storage at
 * a time. New memory for each response can cost many times what encoding or copying into it does; this is written over
 * and over. It must not know what the content is, nor how it is sent.
 *
 * @module
 */

import type { Runtime } from "../../runtime.ts";

/** The runtime's ways from text to bytes. */
export type TextEncoding = Pick<Runtime, "encodeUtf8" | "utf8Length">;

/** Shorter content is put behind its head where many responses share memory that is given away. In chars or bytes. */
export const MIN_LONG_LENGTH: number = 2 * 1024;
/** What is put there at once, in chars or bytes: the storage is three times as large as this, and is kept. */
export const MAX_LONG_LENGTH: number = 64 * 1024;
/** Of a char code of a string. */
export const MAX_UTF8_BYTES_PER_CHAR: number = 3;
/** Where the content begins. A head is put together in front of it, and needs that much for each char at most. */
const CONTENT_START = 16 * 1024;
const MAX_HEAD_CHARS = CONTENT_START / MAX_UTF8_BYTES_PER_CHAR;

const NO_BYTES = new Uint8Array(0);
const writeNothing = (_: Uint8Array, start: number): number => start;

/** What has content in the storage that it did not hand over yet. */
export interface ContentHolder {
  /** Other content comes: what is there moves to memory of its own. */
  keepContent(): void;
}

/** Content that leaves in parts, each made when the one before it has left. */
export class ContentRest {
  /** Bytes of which no part was made. */
  leftBytes: number;
  /** The part that was made last, and where it lies in these bytes. */
  bytes: Uint8Array = NO_BYTES;
  start = 0;
  end = 0;
  readonly #content: string | Uint8Array;
  readonly #storage: LongContent;
  readonly #onLeft: (() => void) | null;
  readonly #partLength: number;
  #at = 0;

  /**
   * @param byteLength Of the content.
   * @param storage Where parts of text are put.
   * @param onLeft Told once nothing of the content is looked at any more.
   */
  constructor(
    content: string | Uint8Array,
    byteLength: number,
    storage: LongContent,
    onLeft: (() => void) | null,
  ) {
    this.#content = content;
    this.leftBytes = byteLength;
    this.#storage = storage;
    this.#onLeft = onLeft;
    // Of text that takes several bytes a char fewer of them make a part.
    this.#partLength = Math.floor(MAX_LONG_LENGTH * content.length / byteLength);
  }

  /** Whether there is no further part. */
  get isOver(): boolean {
    return this.#at === this.#content.length;
  }

  /**
   * Makes the next part. What is put into the storage stays there until other content comes.
   *
   * @param before Bytes that stand before it, or none.
   * @returns Whether there was one.
   */
  take(before: Uint8Array): boolean {
    if (this.isOver) return false;
    const part = this.#next();
    const storage = this.#storage;
    if (typeof part === "string" || before.byteLength > 0) {
      this.leftBytes -= storage.putPart(part);
      this.bytes = storage.bytes;
      this.start = storage.prepend(before);
      this.end = storage.end;
    } else {
      this.bytes = part;
      this.start = 0;
      this.end = part.byteLength;
      this.leftBytes -= part.byteLength;
    }
    return true;
  }

  /** All have left, or are not wanted any more. */
  release(): void {
    this.#onLeft?.();
  }

  #next(): string | Uint8Array {
    const content = this.#content;
    const start = this.#at;
    let end = Math.min(start + this.#partLength, content.length);
    // Two surrogates of one char stay together, and others may go apart.
    if (typeof content === "string" && (content.charCodeAt(end) & 0xfc00) === 0xdc00) end--;
    this.#at = end;
    return typeof content === "string" ? content.slice(start, end) : content.subarray(start, end);
  }
}

/** The storage that all connections of a server share. */
export class LongContent {
  /** What was put there and added to a connection, and is not handed over yet, is this one's. */
  holder: ContentHolder | null = null;
  #bytes = new Uint8Array(0);
  #end = CONTENT_START;
  readonly #encoding: TextEncoding;

  constructor(encoding: TextEncoding) {
    this.#encoding = encoding;
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

  /**
   * Puts content there, text as UTF-8. Returns how many bytes it has, or -1 where it is too short or too long for this
   * storage.
   */
  put(content: string | Uint8Array): number {
    return content.length < MIN_LONG_LENGTH || content.length > MAX_LONG_LENGTH ? -1 : this.putPart(content);
  }

  /** Puts content there, which is not too long. Returns how many bytes it has. */
  putPart(part: string | Uint8Array): number {
    this.holder?.keepContent();
    if (this.#bytes.byteLength === 0) {
      this.#bytes = new Uint8Array(CONTENT_START + MAX_LONG_LENGTH * MAX_UTF8_BYTES_PER_CHAR);
    }
    const byteLength = this.#write(part);
    this.#end = CONTENT_START + byteLength;
    return byteLength;
  }

  /** Puts a head of ASCII in front of the content. Returns where it begins; -1 where it is no ASCII or too long. */
  prependAscii(head: string): number {
    const { length } = head;
    if (length > MAX_HEAD_CHARS || this.#encoding.encodeUtf8(head, this.#bytes, 0) !== length) return -1;
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
  prepend(head: Uint8Array, writeEnd: (bytes: Uint8Array, start: number) => number = writeNothing): number {
    const endBytes = writeEnd(this.#bytes, 0);
    const start = CONTENT_START - endBytes - head.byteLength;
    if (start < 0) return -1;
    this.#bytes.copyWithin(CONTENT_START - endBytes, 0, endBytes);
    this.#bytes.set(head, start);
    return start;
  }

  #write(content: string | Uint8Array): number {
    if (typeof content === "string") return this.#encoding.encodeUtf8(content, this.#bytes, CONTENT_START);
    this.#bytes.set(content, CONTENT_START);
    return content.byteLength;
  }
}
