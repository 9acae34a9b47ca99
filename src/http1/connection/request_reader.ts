/**
 * The reading side of a connection: what the bytes that come are for.
 *
 * It decides where a head, its content and the next request begin and end, keeps what can't be used yet, and watches how
 * fast content comes. It must not know how requests are answered, nor how the connection is closed: it asks the
 * connection for its state and tells it what it found.
 *
 * @module
 */

import { TrivetError } from "../../api/errors.ts";
import { type ContentDecoder, type ContentSink, createContentDecoder } from "../codec/content_decoder.ts";
import type { RequestHead, RequestHeadParser } from "../codec/request_head.ts";
import type { HttpConnection } from "./http_connection.ts";
import { InboundBuffer } from "./inbound_buffer.ts";

/** Content that may be thrown away to keep a connection; beyond it, a new connection is cheaper for both sides. */
const MAX_SKIPPED_BYTES = 256 * 1024;

/** Takes content that nobody wants. */
const NOBODY: ContentSink = { onContent(): void {} };

/** Reads the requests of one connection, one after another. */
export class RequestReader {
  readonly #connection: HttpConnection;
  /** The parser of the head that has begun to come. */
  #parser: RequestHeadParser | null = null;
  /** What can't be used yet, if there is any. */
  #inbound: InboundBuffer | null = null;
  #decoder: ContentDecoder | null = null;
  #contentBytes = 0;
  #contentActiveMs = 0;
  #skippedBytes = 0;
  #owesContinue = false;
  #isAdvancing = false;

  /** @param connection The connection, which is told what was found. */
  constructor(connection: HttpConnection) {
    this.#connection = connection;
  }

  /** Whether bytes are in use right now: who is called back from there must not begin to use the kept ones. */
  get isAdvancing(): boolean {
    return this.#isAdvancing;
  }

  /** Whether bytes are kept that could not be used yet. */
  get hasKeptBytes(): boolean {
    return this.#inbound !== null && this.#inbound.byteLength > 0;
  }

  /** Whether more than empty lines of a head has come. */
  get hasBegunHead(): boolean {
    return this.#parser !== null && this.#parser.hasBegun;
  }

  /** Whether no content is to come for the request that was read last. */
  get isContentComplete(): boolean {
    return this.#decoder === null;
  }

  /** Whether the peer waits for 100 (Continue) before it sends the content. */
  get owesContinue(): boolean {
    return this.#owesContinue;
  }

  /** Whether what is left of the content is known to be worth throwing away for keeping the connection. */
  get canSkipContent(): boolean {
    if (this.#decoder === null) return true;
    // Content that was announced and not asked for may come or not: only a close makes that sure.
    return !this.#owesContinue && (this.#decoder.remainingBytes ?? 0) <= MAX_SKIPPED_BYTES;
  }

  /** Takes bytes the transport has read, and keeps what can't be used yet. */
  receive(borrowed: Uint8Array): void {
    if (this.#inbound !== null) {
      this.#inbound.append(borrowed, 0, borrowed.byteLength);
      this.goOn();
      return;
    }
    const takenTo = this.#advance(borrowed, 0, borrowed.byteLength);
    if (takenTo === borrowed.byteLength) return;
    this.#inbound = new InboundBuffer();
    this.#inbound.append(borrowed, takenTo, borrowed.byteLength);
  }

  /** Uses what was kept, as far as the connection's state allows. */
  goOn(): void {
    const inbound = this.#inbound;
    if (inbound === null || this.#isAdvancing) return;
    inbound.consumeTo(this.#advance(inbound.bytes, inbound.start, inbound.end));
    if (inbound.byteLength === 0) this.#inbound = null;
  }

  /**
   * Expects the content of a request whose head was read.
   *
   * @param hasCome Whether some of it is there already: then the peer does not wait for 100 (Continue).
   * @throws {TrivetError} `content-too-large`
   */
  beginContent(head: RequestHead, hasCome: boolean): void {
    const { settings, decodeLatin1 } = this.#connection.service;
    this.#decoder = createContentDecoder(head.framing, settings, decodeLatin1);
    this.#contentBytes = 0;
    this.#contentActiveMs = 0;
    this.#skippedBytes = 0;
    this.#owesContinue = head.expectsContinue && !hasCome;
  }

  /** The peer was told to go on. */
  settleContinue(): void {
    this.#owesContinue = false;
  }

  /** Expects no more content: what comes next can't be understood, and must not be. */
  giveUpContent(): void {
    this.#decoder = null;
    this.#owesContinue = false;
  }

  /** Forgets what is kept: no request will be read any more. */
  close(): void {
    this.giveUpContent();
    this.#parser = null;
    if (!this.#isAdvancing) this.#inbound = null;
  }

  /** Counts time in which the peer could send content; returns the error of a peer that is too slow. */
  watchRate(elapsedMs: number): TrivetError | null {
    const { minContentBytesPerSecond, contentRateGraceMs } = this.#connection.service.settings;
    this.#contentActiveMs += elapsedMs;
    if (minContentBytesPerSecond === 0 || this.#contentActiveMs <= contentRateGraceMs) return null;
    if (this.#contentBytes * 1000 >= minContentBytesPerSecond * this.#contentActiveMs) return null;
    return new TrivetError(
      "data-rate-too-low",
      `The content came slower than ${minContentBytesPerSecond} bytes a second.`,
    );
  }

  /** Takes what it can from the bytes; returns the first position not taken. */
  #advance(bytes: Uint8Array, start: number, end: number): number {
    const connection = this.#connection;
    let at = start;
    this.#isAdvancing = true;
    try {
      while (at < end) {
        const before = at;
        const state = connection.state;
        if (state === "idle" || state === "head") at = this.#takeHead(bytes, at, end);
        else if (state === "exchange" || state === "skipping") at = this.#takeContent(bytes, at, end);
        else if (state === "parked") break;
        else {
          connection.takeRest(bytes.subarray(at, end));
          at = end;
        }
        if (at === before && connection.state === state) break;
      }
    } catch (error) {
      connection.failPeer(error as TrivetError);
      at = end;
    } finally {
      this.#isAdvancing = false;
    }
    return at;
  }

  #takeHead(bytes: Uint8Array, start: number, end: number): number {
    const connection = this.#connection;
    if (connection.isBackedUp()) return start;
    if (connection.state === "idle") connection.beginHead();
    const { headParsers } = connection.service;
    const parser = this.#parser ??= headParsers.lend();
    const head = parser.parse(bytes, start, end);
    if (head === null) return start;
    const headEnd = start + parser.consumedBytes;
    this.#parser = null;
    headParsers.takeBack(parser);
    connection.beginExchange(head, headEnd < end);
    return headEnd;
  }

  #takeContent(bytes: Uint8Array, start: number, end: number): number {
    const decoder = this.#decoder;
    if (decoder === null) return start;
    const connection = this.#connection;
    // RFC 9110 section 10.1.1: who has begun to send the content no longer waits for 100 (Continue).
    this.#owesContinue = false;
    const at = decoder.decode(bytes, start, end, connection.exchange?.content ?? NOBODY);
    this.#contentBytes += at - start;
    if (decoder.isComplete) {
      this.#decoder = null;
      connection.completeContent(decoder.trailers);
    } else if (connection.state === "skipping") {
      this.#skippedBytes += at - start;
      if (this.#skippedBytes > MAX_SKIPPED_BYTES) connection.startClosing();
    }
    return at;
  }
}
