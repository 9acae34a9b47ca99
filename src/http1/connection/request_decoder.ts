/**
 * The requests of one connection, taken out of its bytes.
 *
 * It decides where a head, its content and the next request begin and end, and keeps what can't be used yet. It must
 * not know the connection: `next` tells what was found, and the fields of the decoder hold it.
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
/** A head is whole: `head`. */
export const FOUND_HEAD = 1;
/** A piece of content: `bytes` from `start` up to `end`. */
export const FOUND_CONTENT = 2;
/** The content has come whole: `trailers`. */
export const FOUND_END = 3;

/** How much is read and thrown away behind the last request; a peer that sends more is cut off. */
const MAX_DISCARDED_BYTES = 32 * 1024 * 1024;

/** A longer head is not looked at before its turn. */
const MAX_PEEKED_BYTES = 4 * 1024;
const LF = 10;

const NO_BYTES = new Uint8Array(0);

/** Decodes the requests of one connection, one after another. */
export class RequestDecoder {
  /** The head that was found. The driver that takes it sets this to `null`: an idle connection must not keep it. */
  head: Http1RequestHead | null = null;
  /** The last piece of content, valid until the next call. */
  bytes: Uint8Array = NO_BYTES;
  start = 0;
  end = 0;
  /** The trailer section of the last content. */
  trailers: FieldSection = EMPTY_FIELD_SECTION;
  /** Bytes of the present content that have come, with their framing. */
  contentBytes = 0;
  /** Bytes that were fed and not used yet. */
  pendingBytes = 0;
  readonly #parsers: HeadParsers;
  readonly #limits: ContentLimits;
  readonly #decodeLatin1: (bytes: Uint8Array, start: number, end: number) => string;
  #wasHeadMethod = false;
  #discardedBytes = 0;
  #parser: RequestHeadParser | null = null;
  #content: ContentDecoder | null = null;
  /** Where the bytes lie that were fed and not used yet, from `#at` on: borrowed, or those of `#kept`. */
  #window: Uint8Array = NO_BYTES;
  #at = 0;
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

  /** Whether more than empty lines of a head has come. */
  get hasBegunHead(): boolean {
    return this.#parser !== null && this.#parser.hasBegun;
  }

  /** Whether the request that is being read, or was taken last, has the method HEAD; one that waits is looked at. */
  isOfHeadMethod(): boolean {
    if (this.#parser === null && this.#content === null && this.pendingBytes > 0) this.#passHead();
    return this.#parser === null ? this.#wasHeadMethod : this.#parser.isOfHeadMethod(this.#window, this.#at);
  }

  #passHead(): void {
    try {
      this.next();
    } catch {
      // It is refused, whatever is wrong with it.
    }
    this.head = null;
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

  /** Takes borrowed bytes, those before `end`, behind those that are kept. */
  feed(borrowed: Uint8Array, end: number): void {
    const kept = this.#kept;
    if (kept === null) {
      this.#window = borrowed;
      this.#at = 0;
      this.pendingBytes = end;
    } else {
      kept.append(borrowed, 0, end);
      this.#look(kept);
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
    if (this.pendingBytes === 0) return NEED_MORE;
    const parsers = this.#parsers;
    // Until its head is found incomplete a connection has no parser of its own.
    const parser = this.#parser ?? parsers.shared;
    let head: Http1RequestHead | null = null;
    try {
      head = parser.parse(this.#window, this.#at, this.#at + this.pendingBytes);
    } finally {
      if (head === null && parser === parsers.shared) this.#parser = parsers.giveAway();
    }
    if (head === null) return NEED_MORE;
    this.#at += parser.consumedBytes;
    this.pendingBytes -= parser.consumedBytes;
    this.#parser = null;
    this.#wasHeadMethod = head.method === "HEAD";
    this.head = head;
    return FOUND_HEAD;
  }

  /**
   * The head of what was fed, if that is one whole head and nothing else. The bytes stay where they are, for `next`.
   * Most of what comes is told apart by its last bytes, and what is long is not looked at, so that bytes which trickle
   * in are not looked at over and over again.
   */
  peekHead(): Http1RequestHead | null {
    const end = this.#at + this.pendingBytes;
    const isWhole = this.pendingBytes <= MAX_PEEKED_BYTES && this.#window[end - 1] === LF &&
      this.#window[end - 3] === LF;
    if (!isWhole || this.#parser !== null) return null;
    const parser = this.#parsers.shared;
    let head: Http1RequestHead | null = null;
    try {
      head = parser.parse(this.#window, this.#at, end);
    } catch {
      // It is answered when it is its turn.
    }
    if (head === null) this.#parsers.giveAway();
    return head !== null && parser.consumedBytes === this.pendingBytes ? head : null;
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
    const rest = this.#window.subarray(this.#at, this.#at + this.pendingBytes);
    this.pendingBytes = 0;
    return rest;
  }

  /** The borrowed bytes go back to their owner: what was not used is copied. */
  keepRest(): void {
    const kept = this.#kept;
    if (this.pendingBytes === 0) {
      this.#kept = null;
      this.#window = NO_BYTES;
    } else if (kept === null) {
      const buffer = this.#kept = new InboundBuffer();
      buffer.append(this.#window, this.#at, this.#at + this.pendingBytes);
      this.#look(buffer);
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
    this.pendingBytes = 0;
  }

  #look(kept: InboundBuffer): void {
    this.#window = kept.bytes;
    this.#at = kept.start;
    this.pendingBytes = kept.byteLength;
  }

  #nextOfContent(content: ContentDecoder): number {
    if (!content.isComplete) {
      if (this.pendingBytes === 0) return NEED_MORE;
      const from = this.#at;
      this.#at = content.decode(this.#window, from, from + this.pendingBytes);
      this.pendingBytes -= this.#at - from;
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
