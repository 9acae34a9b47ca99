/**
 * The first turn of a response's stream, or as many as the runtime takes to give what is there.
 *
 * What a stream gives before the turn of the event loop is over is held back. So content that was there from the start,
 * however its stream cuts it up, is known whole, and content that really streams is not delayed by more than that. It
 * decides which of the two it is. It must not know what becomes of the content.
 *
 * @module
 */

import { areGone, invalidPiece, joinPieces, toPiece } from "./pieces.ts";
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

/** Content held back in more than one piece, before the end of the turn is not waited for. */
const MAX_HELD_BYTES = 64 * 1024;

/** Reads a stream until its first turns are over. */
export class StreamStart {
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>;
  readonly #share: TurnShare;
  readonly #events: StreamStartEvents;
  readonly #onRead = (result: ReadableStreamReadResult<Uint8Array>): void => this.#take(result);
  readonly #onFailure = (cause: unknown): void => this.#fail(cause);
  #held: Uint8Array[] = [];
  #heldBytes = 0;
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
    if (this.#isOver) return;
    this.#isOver = true;
    this.#held = [];
    this.#reader.cancel(reason).catch(() => {});
  }

  #endTurns(turns: number): void {
    this.#share.defer(() => {
      if (turns === 1) this.#handOver();
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
      this.#events.onWhole(joinPieces(this.#held, this.#heldBytes));
      return;
    }
    const bytes = toPiece(result.value);
    if (bytes === null) {
      this.#fail(invalidPiece());
      return;
    }
    const isSecond = this.#held.length > 0;
    this.#held.push(bytes);
    this.#heldBytes += bytes.byteLength;
    if (isSecond && this.#heldBytes > MAX_HELD_BYTES) this.#handOver();
    else if (this.#share.take()) this.#read();
    else this.#share.wait(() => this.#readOn());
  }

  #readOn(): void {
    if (!this.#isOver) this.#read();
  }

  #handOver(): void {
    if (this.#isOver || this.#failIfGone()) return;
    this.#isOver = true;
    this.#events.onUnderWay(this.#held, this.#pending);
  }

  /** What is held can have lost its memory meanwhile. */
  #failIfGone(): boolean {
    const isGone = this.#held.some(areGone);
    if (isGone) this.#fail(invalidPiece());
    return isGone;
  }

  #fail(cause: unknown): void {
    if (this.#isOver) return;
    this.cancel(cause);
    this.#events.onStartFailure(cause);
  }
}
