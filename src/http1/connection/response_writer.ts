/**
 * The responses of one connection, put into bytes.
 *
 * It decides in which form a response is sent, when its head may go out, and how fast its stream is read. It must not
 * know the connection: it is told whether that persists, and tells how far it has come.
 *
 * @module
 */

import { toTrivetError, type TrivetError } from "../../api/errors.ts";
import { ContentEncoder } from "../codec/content_encoder.ts";
import {
  type AnsweredRequest,
  hasContent,
  RESPONSE_CHUNKED,
  RESPONSE_UNTIL_CLOSE,
  type ResponseFraming,
  type ResponseHeadBuilder,
} from "../codec/response_head.ts";
import { isContentless } from "../../http/status.ts";
import type { ResponseContent, ResponseSource } from "../../web/response_source.ts";
import type { CoarseClock } from "../../exchange/coarse_clock.ts";
import type { Exchange } from "../../exchange/exchange.ts";
import { MAX_LONG_LENGTH } from "./long_content.ts";
import type { Outbound } from "./outbound.ts";
import { trailerLines, wantsTrailers } from "../../exchange/response_trailers.ts";
import { PartReader } from "./part_reader.ts";
import { invalidPiece, toPiece } from "../../web/pieces.ts";
import { takeStored } from "../../web/part_sources.ts";
import type { TurnShare } from "../../web/turn_share.ts";
import { NOTHING_HELD, StreamOut, type StreamOutEvents } from "./stream_out.ts";
import { type StreamRead, StreamStart, type StreamStartEvents } from "../../web/stream_start.ts";

/** There is no response under way, or the whole of it was gathered. */
export const DONE = 0;
/** A stream was begun; its head is held back until its turn is over. */
export const HOLDING = 1;
/** The stream's turn is over: its head may go out. */
export const HEAD_DUE = 2;
/** The head is out, and content comes. */
export const STREAMING = 3;
/** The content has failed: `error`. */
export const FAILED = 4;

/** Content gathered before it is written without waiting for the end of the turn. */
const FLUSH_BYTES = 16 * 1024;
const TEXT_ENCODER = new TextEncoder();

type WholeContent = Exclude<ResponseContent, ReadableStream>;

/** What writers share. */
export interface WriterHost {
  readonly headBuilder: ResponseHeadBuilder;
  readonly clock: CoarseClock;
  readonly streamShare: TurnShare;
}

/** Writes one response after another. */
export class ResponseWriter implements StreamStartEvents, StreamOutEvents, AnsweredRequest {
  /** What is being answered. */
  method = "GET";
  minorVersion: 0 | 1 = 1;
  /** How far the response has come. */
  progress: number = DONE;
  /** Whether the connection persists behind the response whose head was written last. */
  persists = true;
  /** Whether the head of the present response is out. */
  headIsOut = false;
  /** Whether what was gathered goes out now, and not at the end of the turn. */
  isUrgent = false;
  /** The status of the final response whose head was written last, and what was gathered of its content. */
  status = 0;
  contentBytes = 0;
  /** Why the content has failed. */
  error: TrivetError | null = null;
  readonly #host: WriterHost;
  readonly #outbound: Outbound;
  readonly #wake: () => void;
  #stream: StreamOut | null = null;

  constructor(host: WriterHost, outbound: Outbound, wake: () => void) {
    this.#host = host;
    this.#outbound = outbound;
    this.#wake = wake;
  }

  /** Whether the head waits for a first read of a file or a Blob, which may take any time. */
  get isReadingStored(): boolean {
    return this.progress === HOLDING && this.#stream?.start === null;
  }

  /**
   * Begins a response.
   *
   * Afterwards `progress` is `DONE` or `HOLDING`, or `HEAD_DUE` for a stream whose first turn was elsewhere.
   *
   * @throws {TrivetError} With the blame "handler"; nothing was gathered then.
   */
  begin(exchange: Exchange | null, source: ResponseSource, persists: boolean): void {
    const content = source.content;
    const isSent = hasContent(this, source.status);
    if (!(content instanceof ReadableStream)) {
      this.#writeWhole(exchange, source, content, 0, isSent, persists);
    } else if (exchange !== null && (isSent || (source.streamBytes === null && !isContentless(source.status)))) {
      // HEAD waits for the first turn too, which tells the length that GET names (RFC 9110 section 9.3.2).
      this.#beginStream(exchange, source, content);
      return;
    } else {
      // The stream is of no use: its source is told so, and is free to fail at it.
      content.cancel().catch(ignore);
      this.#writeWhole(exchange, source, null, source.streamBytes, isSent, persists);
    }
    this.progress = DONE;
  }

  /** Writes an informational response (RFC 9110 section 15.2). */
  writeInformational(status: number, fields: readonly string[]): void {
    const { headBuilder } = this.#host;
    headBuilder.begin(status, "", fields);
    this.#outbound.appendLatin1(headBuilder.finish(headBuilder.decideFraming(this, 0), "", ""));
  }

  /** The head of the stream goes out, and what was held with it. Returns how far the response has come then. */
  sendHead(persists: boolean): number {
    const stream = this.#stream!;
    const { exchange, source } = stream;
    const isSent = hasContent(this, source.status);
    if (stream.whole !== null || !isSent) {
      try {
        this.#writeWhole(exchange, source, stream.whole, null, isSent, persists);
      } catch (error) {
        return this.#fail(error);
      }
      if (stream.whole === null) this.cancel(undefined);
      return this.#finish();
    }
    const { headBuilder } = this.#host;
    try {
      headBuilder.begin(source.status, source.statusText, source.fields);
      const framing = wantsTrailers(exchange) ? RESPONSE_CHUNKED : headBuilder.decideFraming(this, source.streamBytes);
      this.#outbound.appendLatin1(this.#finishHead(source, framing, persists));
      stream.encoder = new ContentEncoder(framing);
    } catch (error) {
      return this.#fail(error);
    }
    this.headIsOut = true;
    this.progress = STREAMING;
    const { held } = stream;
    stream.held = NOTHING_HELD;
    for (const bytes of held) {
      if (!this.#encode(stream, bytes)) return this.progress;
    }
    this.isUrgent = source.isUnderWay !== true;
    stream.wantsRead = true;
    return STREAMING;
  }

  /** Reads on, once what was gathered is on its way; the driver is woken by what comes. */
  readOn(): void {
    const stream = this.#stream;
    this.isUrgent = false;
    if (stream === null || !stream.wantsRead || this.progress !== STREAMING) return;
    stream.wantsRead = false;
    const { streamShare } = this.#host;
    if (streamShare.take()) this.#readNow(stream);
    else streamShare.wait(() => this.#readNow(stream));
  }

  #readNow(stream: StreamOut): void {
    if (this.#stream === stream) stream.read(this.#host.streamShare);
  }

  /** The rest is not wanted. */
  cancel(reason: unknown): void {
    const stream = this.#stream;
    if (stream === null) return;
    this.#stream = null;
    this.progress = DONE;
    stream.cancel(reason);
  }

  onWhole(content: Uint8Array): void {
    this.#stream!.whole = content;
    this.progress = HEAD_DUE;
    this.#wake();
  }

  onUnderWay(held: readonly Uint8Array[], pending: StreamRead | null): void {
    const stream = this.#stream!;
    stream.held = held;
    stream.pending = pending;
    this.progress = HEAD_DUE;
    this.#wake();
  }

  onStartFailure(cause: unknown): void {
    this.#fail(cause);
    this.#wake();
  }

  takeRead(stream: StreamOut, result: ReadableStreamReadResult<Uint8Array>): void {
    if (this.#stream !== stream) return;
    const bytes = result.done ? null : toPiece(result.value);
    if (this.progress === HOLDING) {
      this.onUnderWay(bytes === null ? NOTHING_HELD : [bytes], null);
      return;
    }
    if (result.done) this.#end(stream);
    else if (bytes === null) this.#fail(invalidPiece());
    else if (this.#encode(stream, bytes)) {
      stream.wantsRead = true;
      this.isUrgent = this.#outbound.gatheredBytes >= FLUSH_BYTES;
    }
    this.#wake();
  }

  takeFailure(stream: StreamOut, cause: unknown): void {
    if (this.#stream !== stream) return;
    this.#fail(cause);
    this.#wake();
  }

  #beginStream(exchange: Exchange, source: ResponseSource, content: ReadableStream<Uint8Array>): void {
    this.headIsOut = false;
    this.progress = source.isUnderWay === true ? HEAD_DUE : HOLDING;
    const stored = takeStored(content);
    if (stored !== null) {
      // What can't be read at all fails before its head is out.
      this.#stream = new StreamOut(this, exchange, source, content, new PartReader(stored));
      this.#stream.read(this.#host.streamShare);
      return;
    }
    const reader = content.getReader();
    const stream = this.#stream = new StreamOut(this, exchange, source, content, reader);
    if (this.progress === HOLDING) stream.start = new StreamStart(reader, this.#host.streamShare, this);
  }

  #encode(stream: StreamOut, bytes: Uint8Array): boolean {
    const { byteLength } = bytes;
    const onLeft = stream.lend(bytes);
    try {
      stream.encoder!.encode(bytes, this.#outbound, onLeft);
      this.contentBytes += byteLength;
      return true;
    } catch (error) {
      onLeft?.();
      this.#fail(error);
      return false;
    }
  }

  #end(stream: StreamOut): void {
    try {
      stream.encoder!.finish(trailerLines(stream.exchange), this.#outbound);
    } catch (error) {
      this.#fail(error);
      return;
    }
    this.#finish();
  }

  #finish(): number {
    this.#stream = null;
    return this.progress = DONE;
  }

  #fail(cause: unknown): number {
    this.cancel(cause);
    this.error = toTrivetError(cause, "response-content-failed", "The content of the response failed.");
    return this.progress = FAILED;
  }

  /** Head and content leave together. */
  #writeWhole(
    exchange: Exchange | null,
    source: ResponseSource,
    content: WholeContent,
    contentBytes: number | null,
    isSent: boolean,
    persists: boolean,
  ): void {
    if (isSent && persists && this.#writeShaped(exchange, source, content)) return;
    const { headBuilder } = this.#host;
    headBuilder.begin(source.status, source.statusText, source.fields);
    const hasTrailers = isSent && exchange !== null && exchange.trailersToSend !== null && wantsTrailers(exchange);
    const outbound = this.#outbound;
    let bytes: Uint8Array | null = null;
    let byteLength = contentBytes;
    const mayBeLong = content !== null && isSent && !hasTrailers;
    const longBytes = mayBeLong ? outbound.takeLong(content) : -1;
    if (longBytes >= 0) {
      const framing = headBuilder.decideFraming(this, longBytes);
      outbound.appendWithLong(this.#finishHead(source, framing, persists));
      this.contentBytes = longBytes;
      return;
    }
    if (mayBeLong && typeof content === "string" && content.length > MAX_LONG_LENGTH) {
      const textBytes = outbound.utf8Length(content);
      const framing = headBuilder.decideFraming(this, textBytes);
      outbound.appendLatin1(this.#finishHead(source, framing, persists));
      outbound.appendText(content, textBytes);
      this.contentBytes = textBytes;
      return;
    }
    if (typeof content === "string") {
      // Most text is ASCII, of which each char is a byte.
      if (isSent && !hasTrailers && headBuilder.contentLength === null) {
        const framing = headBuilder.decideFraming(this, content.length);
        if (outbound.appendAscii(this.#finishHead(source, framing, persists) + content)) {
          this.contentBytes = content.length;
          return;
        }
      }
      if (isSent) bytes = TEXT_ENCODER.encode(content);
      else byteLength = outbound.utf8Length(content);
    } else {
      bytes = content;
    }
    const framing = headBuilder.decideFraming(this, bytes === null ? byteLength : bytes.byteLength);
    const sentBytes = isSent && bytes !== null ? bytes.byteLength : 0;
    if (hasTrailers) {
      // Trailers need the chunked coding, even where the length is known.
      const head = this.#finishHead(source, RESPONSE_CHUNKED, persists);
      const lines = trailerLines(exchange);
      this.contentBytes = sentBytes;
      outbound.appendLatin1(head);
      const encoder = new ContentEncoder(RESPONSE_CHUNKED);
      if (bytes !== null) encoder.encode(bytes, outbound);
      encoder.finish(lines, outbound);
      return;
    }
    outbound.appendLatin1(this.#finishHead(source, framing, persists));
    this.contentBytes = sentBytes;
    if (!isSent || bytes === null) return;
    const isFreed = source.ownsContent === true && bytes.byteLength > MAX_LONG_LENGTH;
    outbound.appendBytes(bytes, isFreed ? () => freeMemory(bytes) : null);
  }

  /** Writes head and content if the head is one that was made before, on a connection that persists. */
  #writeShaped(
    exchange: Exchange | null,
    { status, statusText, fields }: ResponseSource,
    content: WholeContent,
  ): boolean {
    if (exchange === null || exchange.trailersToSend !== null || content === null) return false;
    if (this.minorVersion === 0 || statusText !== "") return false;
    const { headBuilder, clock } = this.#host;
    const start = headBuilder.shapes.startOf(status, fields, clock.dateLine);
    const contentBytes = start === null ? -1 : this.#outbound.appendShaped(start, content);
    if (contentBytes < 0) return false;
    this.status = status;
    this.persists = true;
    this.contentBytes = contentBytes;
    return true;
  }

  #finishHead(source: ResponseSource, framing: ResponseFraming, persists: boolean): string {
    const { headBuilder, clock } = this.#host;
    this.status = source.status;
    this.contentBytes = 0;
    this.persists = persists && !headBuilder.wantsClose && framing !== RESPONSE_UNTIL_CLOSE;
    const option = source.status === 101 ? "" : !this.persists ? "close" : this.minorVersion === 0 ? "keep-alive" : "";
    return headBuilder.finish(framing, clock.dateLine, option);
  }
}

/**
 * Frees memory to which nothing else refers. The collector is late where bytes are large, and new memory costs many
 * times what is copied into it. Node 20 has no `transfer`.
 */
function freeMemory({ buffer, byteLength }: Uint8Array): void {
  if (byteLength === buffer.byteLength) (buffer as ArrayBuffer).transfer?.(0);
}

function ignore(): void {}
