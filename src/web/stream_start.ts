/**
 * The first turn of a response's stream, or as many as the runtime takes to give what is there.
 *
 * What a stream gives before the turn of the event loop is over is held back. So content that was there from the start,
 * however its stream cuts it up, is known whole, and content that really streams is not delayed by more than that. It
 * decides which of the two it is. It must not know what becomes of the content.
 *
 * @module
 */

import { ContentBuffer } from "./content_buffer.ts";
import { areGone, invalidPiece, toPiece } from "./pieces.ts";
import { streamTurns } from "./read_response.ts";
import type { TurnShare } from "./turn_share.ts";

/** One read of a stream. */
export type StreamRead = Promise<ReadableStreamReadResult<Uint8Array>>;

/** What the first turn has brought. Exactly one of these is called, unless the start is cancelled. */
export interface StreamStartEvents {
  /** The stream has ended: this is all of it. */
  onWhole(content: Uint8Array): void;
  /** The stream goes on. `pending` is a read that is under way already. */
  onUnderWay(pieces: readonly Uint8Array[], pending: StreamRead | null): void;
  /** The stream has failed, or gave what is neither bytes nor text. */
  onStartFailure(cause: unknown): void;
}

/** Content held back in more than one piece; behind that the end of the turn is not waited for. */
const MAX_HELD_BYTES = 64 * 1024;
/** Most streams of small pieces end within so many bytes. */
const EXPECTED_BYTES = 1024;
const NO_BYTES = new Uint8Array(0);

/** Reads a stream until its first turns are over. */
export class StreamStart {
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>;
  readonly #share: TurnShare;
  readonly #events: StreamStartEvents;
  readonly #onRead = (result: ReadableStreamReadResult<Uint8Array>): void => this.#take(result);
  readonly #onFailure = (cause: unknown): void => this.#fail(cause);
  /** What the stream has given, as long as that is a single piece. */
  #first: Uint8Array | null = null;
  /** More pieces are put together as they come, and live no longer than that. */
  #joined: ContentBuffer | null = null;
  #pending: StreamRead | null = null;
  #isOver = false;

  /**
   * Begins to read.
   *
   * @param reader Of the stream; what is told that it is under way reads on with it.
   * @param share How much of the turn it may take, and when that is over.
   * @param events Told what the turn has brought.
   */
  constructor(
    reader: ReadableStreamDefaultReader<Uint8Array>,
    share: TurnShare,
    events: StreamStartEvents,
  ) {
    this.#reader = reader;
    this.#share = share;
    this.#events = events;
    this.#endTurns(streamTurns());
    this.#read();
  }

  /** The content is not wanted. */
  cancel(reason: unknown): void {
    this.#isOver = true;
    this.#reader.cancel(reason).catch(() => {});
  }

  #endTurns(turns: number): void {
    this.#share.defer(() => {
      if (turns === 1) this.#handOver(null);
      else if (!this.#isOver) this.#endTurns(turns - 1);
    });
  }

  #read(): void {
    this.#pending = this.#reader.read();
    this.#pending.then(this.#onRead, this.#onFailure);
  }

  #take(result: ReadableStreamReadResult<Uint8Array>): void {
    if (this.#isOver) return;
    this.#pending = null;
    if (result.done) {
      if (this.#failIfGone()) return;
      this.#isOver = true;
      this.#events.onWhole(this.#joined?.kept ?? this.#first ?? NO_BYTES);
      return;
    }
    const bytes = toPiece(result.value);
    if (bytes === null) {
      this.#fail(invalidPiece());
      return;
    }
    if (this.#holds(bytes)) {
      if (this.#share.take()) this.#read();
      else this.#share.wait(() => this.#readOn());
    } else this.#handOver(bytes);
  }

  /** Holds a piece back, if there is room for it. */
  #holds(bytes: Uint8Array): boolean {
    const first = this.#first;
    if (first === null) {
      this.#first = bytes;
      return true;
    }
    const heldBytes = this.#joined?.byteLength ?? first.byteLength;
    if (heldBytes + bytes.byteLength > MAX_HELD_BYTES) return false;
    if (this.#joined === null) {
      if (areGone(first)) return false;
      this.#joined = new ContentBuffer();
      this.#joined.append(first, 0, first.byteLength, EXPECTED_BYTES);
    }
    this.#joined.append(bytes, 0, bytes.byteLength, EXPECTED_BYTES);
    return true;
  }

  #readOn(): void {
    if (!this.#isOver) this.#read();
  }

  #handOver(last: Uint8Array | null): void {
    if (this.#isOver || this.#failIfGone()) return;
    this.#isOver = true;
    const pieces: Uint8Array[] = [];
    const held = this.#joined?.kept ?? this.#first;
    if (held !== null) pieces.push(held);
    if (last !== null) pieces.push(last);
    this.#events.onUnderWay(pieces, this.#pending);
  }

  /** A piece that is held as it is can have lost its memory meanwhile. */
  #failIfGone(): boolean {
    const isGone = this.#joined === null && this.#first !== null && areGone(this.#first);
    if (isGone) this.#fail(invalidPiece());
    return isGone;
  }

  #fail(cause: unknown): void {
    if (this.#isOver) return;
    this.cancel(cause);
    this.#events.onStartFailure(cause);
  }
}
