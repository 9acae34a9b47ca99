/**
 * The requests of one connection, taken out of its bytes.
 *
 * It decides where a head, its content and the next request begin and end, and keeps what can't be used yet. It must not
 * know whose bytes they are: `next` tells what was found, and the fields of the decoder hold it.
 *
 * @module
 */

import type { ContentDecoder, ContentLimits } from "../codec/content_decoder.ts";
import { createContentDecoder } from "../codec/request_content.ts";
import { EMPTY_FIELD_SECTION, type FieldSection } from "../../http/field_section.ts";
import type { RequestFraming } from "../codec/framing.ts";
import type { Http1RequestHead, RequestHeadParser } from "../codec/request_head.ts";
import type { HeadParsers } from "./head_parsers.ts";
import { InboundBuffer } from "./inbound_buffer.ts";

/** More bytes are needed. */
export const NEED_MORE = 0;
/** A head is whole: `takeHead()`. */
export const FOUND_HEAD = 1;
/** A piece of content: `bytes` from `start` up to `end`. */
export const FOUND_CONTENT = 2;
/** The content has come whole: `trailers`. */
export const FOUND_END = 3;

/** What is read and thrown away behind the last request; a peer that sends more is cut off. */
const MAX_DISCARDED_BYTES = 32 * 1024 * 1024;

const NO_BYTES = new Uint8Array(0);

/** Decodes the requests of one connection, one after another. */
export class RequestDecoder {
  /** The last piece of content, valid until the next call. */
  bytes: Uint8Array = NO_BYTES;
  start = 0;
  end = 0;
  /** The trailer section of the last content. */
  trailers: FieldSection = EMPTY_FIELD_SECTION;
  /** Bytes of the present content that have come, with their framing. */
  contentBytes = 0;
  readonly #parsers: HeadParsers;
  readonly #limits: ContentLimits;
  readonly #decodeLatin1: (bytes: Uint8Array, start: number, end: number) => string;
  #head: Http1RequestHead | null = null;
  #wasHeadMethod = false;
  #discardedBytes = 0;
  #parser: RequestHeadParser | null = null;
  #content: ContentDecoder | null = null;
  /** What was fed and not used yet lies from `#at` up to `#limit`; it is borrowed, or that of `#kept`. */
  #window: Uint8Array = NO_BYTES;
  #at = 0;
  #limit = 0;
  #kept: InboundBuffer | null = null;

  constructor(
    parsers: HeadParsers,
    limits: ContentLimits,
    decodeLatin1: (bytes: Uint8Array, start: number, end: number) => string,
  ) {
    this.#parsers = parsers;
    this.#limits = limits;
    this.#decodeLatin1 = decodeLatin1;
  }

  /** Bytes that were fed and not used yet. */
  get pendingBytes(): number {
    return this.#limit - this.#at;
  }

  /** Whether more than empty lines of a head has come. */
  get hasBegunHead(): boolean {
    return this.#parser !== null && this.#parser.hasBegun;
  }

  /** Whether the request that is being read, or was taken last, has the method HEAD. */
  get isOfHeadMethod(): boolean {
    return this.#parser === null ? this.#wasHeadMethod : this.#parser.isOfHeadMethod(this.#window, this.#at);
  }

  /** Gives the head that was found, and keeps it no longer: an idle connection must not hold its last head. */
  takeHead(): Http1RequestHead {
    const head = this.#head!;
    this.#head = null;
    this.#wasHeadMethod = head.method === "HEAD";
    return head;
  }

  /** Bytes of the present content still to come; `null` when that is not known. */
  get remainingBytes(): number | null {
    return this.#content === null ? 0 : this.#content.remainingBytes;
  }

  /** Throws bytes away behind the last request. Returns whether that were not too many. */
  discard(byteLength: number): boolean {
    this.#discardedBytes += byteLength;
    return this.#discardedBytes <= MAX_DISCARDED_BYTES;
  }

  /** Takes borrowed bytes, behind those that are kept. */
  feed(borrowed: Uint8Array): void {
    const kept = this.#kept;
    if (kept === null) {
      this.#window = borrowed;
      this.#at = 0;
      this.#limit = borrowed.byteLength;
    } else {
      kept.append(borrowed, 0, borrowed.byteLength);
      this.#window = kept.bytes;
      this.#at = kept.start;
      this.#limit = kept.end;
    }
  }

  /**
   * Goes on to the next thing in the bytes.
   *
   * @throws {TrivetError} With the blame "peer": then nothing that comes can be understood.
   */
  next(): number {
    const content = this.#content;
    if (content !== null) return this.#nextOfContent(content);
    if (this.#at === this.#limit) return NEED_MORE;
    const parser = this.#parser ??= this.#parsers.lend();
    const head = parser.parse(this.#window, this.#at, this.#limit);
    if (head === null) return NEED_MORE;
    this.#at += parser.consumedBytes;
    this.#parser = null;
    this.#parsers.takeBack(parser);
    this.#head = head;
    return FOUND_HEAD;
  }

  /**
   * Expects the content of the head that was found last.
   *
   * @throws {TrivetError} `content-too-large`
   */
  expectContent(framing: RequestFraming): void {
    this.#content = createContentDecoder(framing, this.#limits, this.#decodeLatin1);
    this.contentBytes = 0;
  }

  /** Everything that is left, as it is, for what comes behind HTTP. */
  takeRest(): Uint8Array {
    const rest = this.#window.subarray(this.#at, this.#limit);
    this.#at = this.#limit;
    return rest;
  }

  /** The borrowed bytes go back to their owner: what was not used is copied. */
  keepRest(): void {
    const kept = this.#kept;
    if (this.#at === this.#limit) {
      if (this.#window === NO_BYTES) return;
      this.#kept = null;
      this.#window = NO_BYTES;
      this.#at = this.#limit = 0;
    } else if (kept === null) {
      const buffer = this.#kept = new InboundBuffer();
      buffer.append(this.#window, this.#at, this.#limit);
      this.#window = buffer.bytes;
      this.#at = buffer.start;
      this.#limit = buffer.end;
    } else {
      kept.consumeTo(this.#at);
    }
    this.bytes = NO_BYTES;
  }

  /** No content is expected any more, and what comes can't be understood. */
  giveUpContent(): void {
    this.#content = null;
  }

  /** No request will be read any more. */
  close(): void {
    this.#content = null;
    this.#parser = null;
    this.#at = this.#limit;
  }

  #nextOfContent(content: ContentDecoder): number {
    if (!content.isComplete) {
      const from = this.#at;
      if (from === this.#limit) return NEED_MORE;
      this.#at = content.decode(this.#window, from, this.#limit);
      this.contentBytes += this.#at - from;
      if (content.pieceBytes > 0) {
        this.bytes = this.#window;
        this.start = this.#at - content.pieceBytes;
        this.end = this.#at;
        return FOUND_CONTENT;
      }
      if (!content.isComplete) return NEED_MORE;
    }
    this.#content = null;
    this.trailers = content.trailers;
    return FOUND_END;
  }
}
