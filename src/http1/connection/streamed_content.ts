/**
 * The content of a response that comes from a stream.
 *
 * It decides when the head goes out, how fast the stream is read, and what happens when it fails. It must not know how
 * the connection goes on afterwards.
 *
 * The head is held back until the stream has ended or the turn of the event loop is over. So content that was there from
 * the start, however its stream cuts it up, gets a Content-Length and leaves in one piece, and content that really
 * streams is not delayed.
 *
 * @module
 */

import { TrivetError } from "../../api/errors.ts";
import { ContentEncoder } from "../codec/content_encoder.ts";
import { RESPONSE_CHUNKED } from "../codec/response_head.ts";
import type { ResponseSource } from "../../web/response_source.ts";
import type { Exchange } from "../../exchange/exchange.ts";
import type { HttpConnection } from "./http_connection.ts";
import { trailerLines, wantsTrailers } from "../../exchange/response_trailers.ts";
import { type StreamRead, StreamStart, type StreamStartEvents } from "../../web/stream_start.ts";
import { sendWhole } from "./whole_response.ts";

/** Content gathered before it is written without waiting for the end of the turn. */
const FLUSH_BYTES = 16 * 1024;

/**
 * | from      | to          | when                                                        |
 * |-----------|-------------|-------------------------------------------------------------|
 * | `holding` | `sending`   | the turn is over, or enough is held                         |
 * | `holding` | `finished`  | the stream has ended: its length is known                   |
 * | `sending` | `congested` | the peer does not keep up                                   |
 * | `congested` | `sending`  | the transport has drained                                   |
 * | `sending` | `finished`  | the stream has ended                                        |
 * | any       | `cancelled` | the stream failed, or the connection is gone                |
 */
type Phase = "holding" | "sending" | "congested" | "finished" | "cancelled";

/** Sends one response from its stream. */
export class StreamedContent implements StreamStartEvents {
  readonly #connection: HttpConnection;
  readonly #exchange: Exchange;
  readonly #source: ResponseSource;
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>;
  readonly #onRead = (result: ReadableStreamReadResult<Uint8Array>): void => this.#takeRead(result);
  readonly #onFailure = (cause: unknown): void => this.#fail(cause);
  #phase: Phase = "holding";
  #start: StreamStart | null = null;
  /** A read that is under way and that nobody waits for. */
  #pending: StreamRead | null = null;
  #encoder: ContentEncoder | null = null;
  #flushIsDeferred = false;
  #isReading = false;

  /** Takes the stream; nothing is read before {@linkcode start}. */
  constructor(
    connection: HttpConnection,
    exchange: Exchange,
    source: ResponseSource,
    stream: ReadableStream<Uint8Array>,
  ) {
    this.#connection = connection;
    this.#exchange = exchange;
    this.#source = source;
    this.#reader = stream.getReader();
  }

  /** Whether the head has not gone out yet. */
  get isHoldingHead(): boolean {
    return this.#phase === "holding";
  }

  /**
   * Begins to read. The head goes out at the end of the turn even if nothing could be read: the peer may wait for it. Of
   * a stream that comes from another thread the first turn is over.
   */
  start(): void {
    if (this.#source.isUnderWay === true) {
      this.onUnderWay([], null);
    } else {
      this.#start = new StreamStart(this.#reader, this.#connection.service.defer, this);
    }
  }

  /** The peer keeps up again. */
  resume(): void {
    if (this.#phase !== "congested") return;
    this.#phase = "sending";
    this.#read();
  }

  /** Nobody wants the rest. */
  cancel(reason: unknown): void {
    if (this.#phase === "finished" || this.#phase === "cancelled") return;
    this.#phase = "cancelled";
    this.#start?.cancel(reason);
    this.#reader.cancel(reason).catch(() => {});
  }

  onWhole(content: Uint8Array): void {
    try {
      sendWhole(this.#connection, this.#exchange, this.#exchange.head, this.#source, content);
    } catch (error) {
      this.#fail(error);
      return;
    }
    this.#finish();
  }

  onStartFailure(cause: unknown): void {
    this.#fail(cause);
  }

  /** The head goes out, and what was held with it. */
  onUnderWay(held: readonly Uint8Array[], pending: StreamRead | null): void {
    const connection = this.#connection;
    const { headBuilder, clock } = connection.service;
    const { status, statusText, fields, streamBytes } = this.#source;
    this.#pending = pending;
    try {
      headBuilder.begin(status, statusText, fields);
      const framing = wantsTrailers(this.#exchange)
        ? RESPONSE_CHUNKED
        : headBuilder.decideFraming(this.#exchange.head, streamBytes);
      const option = connection.responder.decideConnectionOption(
        this.#exchange,
        framing,
        headBuilder.wantsClose,
        status,
      );
      connection.outbound.appendLatin1(headBuilder.finish(framing, clock.dateLine, option));
      this.#encoder = new ContentEncoder(framing);
    } catch (error) {
      this.#fail(error);
      return;
    }
    this.#phase = "sending";
    for (const bytes of held) {
      if (!this.#encode(bytes)) return;
    }
    this.#goOn(this.#start !== null);
  }

  /** Has one read under way, never two. */
  #read(): void {
    if (this.#isReading) return;
    this.#isReading = true;
    const read = this.#pending ?? this.#reader.read();
    this.#pending = null;
    read.then(this.#onRead, this.#onFailure);
  }

  #takeRead(result: ReadableStreamReadResult<Uint8Array>): void {
    this.#isReading = false;
    if (this.#phase === "cancelled") return;
    if (result.done) {
      this.#end();
      return;
    }
    const bytes = result.value;
    if (bytes instanceof Uint8Array) this.#send(bytes);
    else this.#fail(new TypeError("The stream of a Response gave a chunk that is not a Uint8Array."));
  }

  #send(bytes: Uint8Array): void {
    if (!this.#encode(bytes) || this.#phase === "congested") return;
    this.#goOn(this.#connection.outbound.gatheredBytes >= FLUSH_BYTES);
  }

  #encode(bytes: Uint8Array): boolean {
    try {
      this.#encoder!.encode(bytes, this.#connection.outbound);
      return true;
    } catch (error) {
      this.#fail(error);
      return false;
    }
  }

  /** Writes now or at the end of the turn, and reads on unless the peer does not keep up. */
  #goOn(isFlushedNow: boolean): void {
    if (isFlushedNow) {
      if (!this.#connection.flush()) {
        this.#phase = "congested";
        return;
      }
    } else {
      this.#deferFlush();
    }
    this.#read();
  }

  #deferFlush(): void {
    if (this.#flushIsDeferred) return;
    this.#flushIsDeferred = true;
    this.#connection.service.defer(() => {
      this.#flushIsDeferred = false;
      if (this.#phase === "sending") this.#connection.flush();
    });
  }

  #end(): void {
    try {
      this.#encoder!.finish(trailerLines(this.#exchange), this.#connection.outbound);
    } catch (error) {
      this.#fail(error);
      return;
    }
    this.#finish();
  }

  #finish(): void {
    this.#phase = "finished";
    this.#connection.responder.gathered(this.#exchange);
  }

  #fail(cause: unknown): void {
    if (this.#phase === "cancelled" || this.#phase === "finished") return;
    const isBegun = this.#phase !== "holding";
    this.cancel(cause);
    const error = cause instanceof TrivetError
      ? cause
      : new TrivetError("response-content-failed", "The content of the response failed.", { cause });
    this.#connection.responder.failContent(this.#exchange, error, isBegun);
  }
}
