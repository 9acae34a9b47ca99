/**
 * One stream on its way out: what is known of it, and how its pieces are read.
 *
 * It decides whose memory a piece is read into. It must not know how the content is framed.
 *
 * @module
 */

import type { Exchange } from "../../exchange/exchange.ts";
import { takeFilling } from "../../web/part_sources.ts";
import { streamsFill } from "../../web/read_response.ts";
import type { ResponseSource } from "../../web/response_source.ts";
import type { StreamRead, StreamStart } from "../../web/stream_start.ts";
import type { TurnShare } from "../../web/turn_share.ts";
import type { ContentEncoder } from "../codec/content_encoder.ts";
import { PartReader } from "./part_reader.ts";

/** What a read has brought. */
export interface StreamOutEvents {
  takeRead(stream: StreamOut, result: ReadableStreamReadResult<Uint8Array>): void;
  takeFailure(stream: StreamOut, cause: unknown): void;
}

/** What gives the pieces. */
type PieceReader = PartReader | ReadableStreamDefaultReader<Uint8Array>;

/** Smaller pieces cost little where their memory is new. */
const MIN_FILLING_BYTES = 32 * 1024;

/** No piece. */
export const NOTHING_HELD: readonly Uint8Array[] = [];

/** One stream. */
export class StreamOut {
  /** While its first turn is not over. */
  start: StreamStart | null = null;
  /** Its content, where it has ended within that. */
  whole: Uint8Array | null = null;
  /** What it gave before its head was out. */
  held: readonly Uint8Array[] = NOTHING_HELD;
  /** A read that is under way already. */
  pending: StreamRead | null = null;
  encoder: ContentEncoder | null = null;
  wantsRead = false;
  readonly exchange: Exchange;
  readonly source: ResponseSource;
  readonly #content: ReadableStream<Uint8Array>;
  #reader: PieceReader;
  /** Whether it may fill memory of the server, as far as is known. */
  #mayFill: boolean;
  /** Of the piece that was sent last. */
  #lastBytes = 0;
  readonly #onRead: (result: ReadableStreamReadResult<Uint8Array>) => void;
  readonly #onFailure: (cause: unknown) => void;

  constructor(
    events: StreamOutEvents,
    exchange: Exchange,
    source: ResponseSource,
    content: ReadableStream<Uint8Array>,
    reader: PieceReader,
  ) {
    this.exchange = exchange;
    this.source = source;
    this.#content = content;
    this.#reader = reader;
    this.#mayFill = streamsFill() && !(reader instanceof PartReader);
    this.#onRead = (result) => events.takeRead(this, result);
    this.#onFailure = (cause) => events.takeFailure(this, cause);
  }

  /** Reads the next piece. */
  read(share: TurnShare): void {
    const { pending } = this;
    if (pending === null && this.#mayFill && this.#lastBytes >= MIN_FILLING_BYTES) this.#fillMemory(share);
    this.pending = null;
    (pending ?? this.#reader.read()).then(this.#onRead, this.#onFailure);
  }

  /** A piece is sent. Returns what is to be called when nothing looks at it any more, if it is only lent. */
  lend(bytes: Uint8Array): (() => void) | null {
    this.#lastBytes = bytes.byteLength;
    return this.#reader instanceof PartReader ? this.#reader.lend() : null;
  }

  /** The rest is not wanted. */
  cancel(reason: unknown): void {
    this.start?.cancel(reason);
    this.#reader.cancel(reason).catch(() => {});
  }

  /** Reads on into memory of the server, if the stream can do that. */
  #fillMemory(share: TurnShare): void {
    this.#mayFill = false;
    (this.#reader as ReadableStreamDefaultReader).releaseLock();
    const filling = takeFilling(this.#content, (callback) => share.defer(callback));
    this.#reader = filling === null ? this.#content.getReader() : new PartReader(filling);
  }
}
