/**
 * A stream of bytes from one thread to another, with credit.
 *
 * The sender may be `CREDIT_BYTES` ahead of the reader; what the reader has taken is given back as credit. It decides
 * when a chunk may leave, and must not know which content it is of.
 *
 * @module
 */

import { areGone, invalidPiece, toPiece } from "../web/pieces.ts";
import type { TurnShare } from "../web/turn_share.ts";

/** How many bytes may be on their way, or wait to be read, at the other thread: four reads of a socket. */
export const CREDIT_BYTES: number = 256 * 1024;
/** What a chunk takes of the credit beside its bytes, since it takes memory and time however small it is. */
const CHUNK_BYTES = 100;
/** Credit is given back in pieces of at least this size, so that a chunk does not cost two messages. */
const MIN_GRANT_BYTES = CREDIT_BYTES / 4;

/** What a chunk takes of the credit. */
export function creditFor(bytes: Uint8Array): number {
  return CHUNK_BYTES + bytes.byteLength;
}

/** Where a sender's chunks go. */
export interface ChunkTarget {
  chunk(bytes: Uint8Array): void;
  end(): void;
  fail(cause: unknown): void;
}

/** Reads a stream and sends its chunks as they are, as far as the credit goes. */
export class StreamSender {
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>;
  readonly #share: TurnShare;
  readonly #target: ChunkTarget;
  readonly #onRead = (result: ReadableStreamReadResult<Uint8Array>): void => this.#take(result);
  readonly #onFailure = (cause: unknown): void => this.fail(cause);
  #creditBytes = CREDIT_BYTES;
  /** Read ahead, so that the end of the stream is seen even while there is no credit. */
  #held: Uint8Array | null = null;
  #isOver = false;

  /**
   * @param reader Of what is sent; it is read from now on.
   * @param share How much of a turn it may take.
   * @param target Takes the chunks.
   * @param pending A read that is under way already.
   */
  constructor(
    reader: ReadableStreamDefaultReader<Uint8Array>,
    share: TurnShare,
    target: ChunkTarget,
    pending: Promise<ReadableStreamReadResult<Uint8Array>> | null = null,
  ) {
    this.#reader = reader;
    this.#share = share;
    this.#target = target;
    (pending ?? reader.read()).then(this.#onRead, this.#onFailure);
  }

  /** Whether nothing more is sent. */
  get isOver(): boolean {
    return this.#isOver;
  }

  /** Sends what was read before. */
  sendFirst(pieces: readonly Uint8Array[]): void {
    for (const bytes of pieces) {
      this.#creditBytes -= creditFor(bytes);
      this.#target.chunk(bytes);
    }
  }

  /** The reader has taken so many bytes. */
  grant(bytes: number): void {
    this.#creditBytes += bytes;
    if (this.#held === null || this.#creditBytes <= 0) return;
    const held = this.#held;
    this.#held = null;
    this.#send(held);
  }

  /** The rest is not wanted. */
  cancel(reason: unknown): void {
    this.#isOver = true;
    this.#held = null;
    this.#reader.cancel(reason).catch(ignore);
  }

  /** Nothing more comes, and what is held is not wanted without it. */
  fail(cause: unknown): void {
    if (this.#isOver) return;
    this.cancel(cause);
    this.#target.fail(cause);
  }

  #read(): void {
    this.#reader.read().then(this.#onRead, this.#onFailure);
  }

  #take(result: ReadableStreamReadResult<Uint8Array>): void {
    if (this.#isOver) return;
    if (result.done) {
      this.#isOver = true;
      this.#target.end();
      return;
    }
    const bytes = toPiece(result.value);
    if (bytes === null) {
      this.fail(invalidPiece());
      return;
    }
    if (this.#creditBytes > 0) this.#send(bytes);
    else this.#held = bytes;
  }

  #send(bytes: Uint8Array): void {
    // What was held can have lost its memory meanwhile.
    if (areGone(bytes)) {
      this.fail(invalidPiece());
      return;
    }
    if (bytes.byteLength > 0) {
      // Counted first: the target may give the buffer away.
      this.#creditBytes -= creditFor(bytes);
      this.#target.chunk(bytes);
    }
    if (this.#share.take()) this.#read();
    else this.#share.wait(() => this.#read());
  }
}

/** What is kept for a writer that does not wait for what it writes. */
const HIGH_WATER_BYTES = 64 * 1024;

/** A stream that is written, whose chunks go to another thread as far as the credit goes. */
export class SentStream {
  readonly writable: WritableStream<Uint8Array>;
  readonly #share: TurnShare;
  readonly #target: ChunkTarget;
  #controller!: WritableStreamDefaultController;
  #creditBytes = CREDIT_BYTES;
  /** The write that waits for credit. */
  #pendingWrite: { resolve(): void; reject(error: unknown): void } | null = null;
  #isOver = false;

  /**
   * @param share How much of a turn it may take.
   * @param target Takes the chunks, which are the writer's again then.
   */
  constructor(share: TurnShare, target: ChunkTarget) {
    this.#share = share;
    this.#target = target;
    this.writable = new WritableStream<Uint8Array>({
      start: (controller) => {
        this.#controller = controller;
        // The stream itself waits for a write that is under way, and that may wait for a client that takes nothing.
        controller.signal.addEventListener("abort", () => this.#fail(controller.signal.reason));
      },
      write: (chunk) => this.#write(chunk),
      close: () => {
        this.#isOver = true;
        target.end();
      },
    }, new ByteLengthQueuingStrategy({ highWaterMark: HIGH_WATER_BYTES }));
  }

  /** Whether nothing more is sent. */
  get isOver(): boolean {
    return this.#isOver;
  }

  /** The reader has taken so many bytes. */
  grant(bytes: number): void {
    this.#creditBytes += bytes;
    if (this.#creditBytes > 0) this.#pendingWrite?.resolve();
  }

  /** The rest is not wanted. */
  cancel(reason: unknown): void {
    this.#isOver = true;
    this.#controller.error(reason);
    this.#pendingWrite?.reject(reason);
  }

  #write(chunk: Uint8Array): Promise<void> | void {
    const bytes = toPiece(chunk);
    if (bytes === null) {
      const error = invalidPiece();
      this.#fail(error);
      throw error;
    }
    this.#creditBytes -= creditFor(bytes);
    this.#target.chunk(bytes);
    if (this.#creditBytes <= 0) {
      return new Promise((resolve, reject) => {
        this.#pendingWrite = { resolve, reject };
      });
    }
    return this.#share.take() ? undefined : new Promise((resolve) => this.#share.wait(resolve));
  }

  #fail(cause: unknown): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#target.fail(cause);
    this.#pendingWrite?.reject(cause);
  }
}

/** What a receiver tells the sender. */
export interface ChunkSource {
  credit(bytes: number): void;
  cancel(reason: unknown): void;
}

/** Counts what was taken of the chunks that came, and gives it back as credit. */
export class CreditAccount {
  readonly #source: ChunkSource;
  #owedBytes = 0;

  /** @param source Where the credit goes. */
  constructor(source: ChunkSource) {
    this.#source = source;
  }

  /** So many bytes more were taken. */
  taken(bytes: number): void {
    this.#owedBytes += bytes;
    if (this.#owedBytes < MIN_GRANT_BYTES) return;
    this.#source.credit(this.#owedBytes);
    this.#owedBytes = 0;
  }
}

/** A stream whose chunks come from another thread. */
export class ReceivedStream {
  /** The stream. */
  readonly readable: ReadableStream<Uint8Array>;
  readonly #account: CreditAccount;
  #controller: ReadableStreamDefaultController<Uint8Array> | null = null;
  #queuedBytes = 0;
  #failure: { readonly cause: unknown } | null = null;

  /** @param source The sender. */
  constructor(source: ChunkSource) {
    this.#account = new CreditAccount(source);
    this.readable = new ReadableStream<Uint8Array>({
      start: (controller) => {
        this.#controller = controller;
      },
      pull: () => this.#settle(),
      cancel: (reason) => {
        this.#controller = null;
        source.cancel(reason);
      },
    }, { highWaterMark: CREDIT_BYTES, size: creditFor });
  }

  /** A chunk came. */
  push(bytes: Uint8Array): void {
    if (this.#controller === null) return;
    this.#queuedBytes += creditFor(bytes);
    this.#controller.enqueue(bytes);
  }

  /** The stream has ended. */
  end(): void {
    this.#controller?.close();
    this.#controller = null;
  }

  /** The stream has failed, behind the chunks that came before. */
  fail(cause: unknown): void {
    this.#failure = { cause };
    this.#settle();
  }

  /** What has left the queue since the last time was taken by the reader. */
  #settle(): void {
    if (this.#controller === null) return;
    const queuedBytes = CREDIT_BYTES - (this.#controller.desiredSize ?? 0);
    this.#account.taken(this.#queuedBytes - queuedBytes);
    this.#queuedBytes = queuedBytes;
    if (queuedBytes > 0 || this.#failure === null) return;
    this.#controller.error(this.#failure.cause);
    this.#controller = null;
  }
}

/** Writes chunks that come from another thread to a stream. */
export class WrittenStream {
  /** Resolves when nothing more is written. */
  readonly closed: Promise<void>;
  readonly #writer: WritableStreamDefaultWriter<Uint8Array>;
  readonly #account: CreditAccount;

  /**
   * @param writable The stream.
   * @param source The sender.
   */
  constructor(writable: WritableStream<Uint8Array>, source: ChunkSource) {
    this.#writer = writable.getWriter();
    this.#account = new CreditAccount(source);
    this.closed = this.#writer.closed.catch((cause) => source.cancel(cause));
  }

  /** A chunk came. */
  push(bytes: Uint8Array): void {
    const credit = creditFor(bytes);
    this.#writer.write(bytes).then(() => this.#account.taken(credit), ignore);
  }

  /** The stream has ended. */
  end(): void {
    this.#writer.close().catch(ignore);
  }

  /** The stream has failed: what was not taken yet is dropped. */
  fail(cause: unknown): void {
    this.#writer.abort(cause).catch(ignore);
  }
}

function ignore(): void {}
