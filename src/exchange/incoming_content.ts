/**
 * The content of one request on its way from the connection to its reader.
 *
 * It decides what is kept until it is read, and when the connection should stop reading. It must not know how the
 * content is framed, nor what the reader makes of it.
 *
 * @module
 */

import { TrivetError } from "../api/errors.ts";
import { UNKNOWN_LENGTH } from "../http/request_head.ts";
import { ContentBuffer } from "../web/content_buffer.ts";
import type { RequestContent } from "../web/request_source.ts";

/** Content kept for a reader that does not keep up, before the connection stops reading from the peer. */
const HIGH_WATER_BYTES = 64 * 1024;

/** What the content asks of its connection. */
export interface ContentSupply {
  /** Content is wanted: time for 100 (Continue), and to read on from the peer if that was stopped. */
  demandContent(): void;
  /** How much is kept for the reader has changed: read on from the peer, or stop. */
  contentKeptChanged(): void;
}

/** What takes the content. */
type Consumer = "none" | "collector" | "stream" | "discarded";

/** Whether more content comes. */
type Arrival = "arriving" | "complete" | "failed";

/** The promise of the whole content. */
interface Collector {
  resolve(whole: Uint8Array<ArrayBuffer>): void;
  reject(error: TrivetError): void;
}

/** The content of one request. */
export class IncomingContent implements RequestContent {
  readonly present: boolean;
  readonly #supply: ContentSupply;
  /** Bytes of the whole content; `Infinity` while that is not known. */
  readonly #announcedBytes: number;
  #consumer: Consumer = "none";
  #arrival: Arrival;
  readonly #kept = new ContentBuffer();
  #error: TrivetError | null = null;
  #collector: Collector | null = null;
  #stream: ReadableByteStreamController | null = null;
  #isPulled = false;
  #wasPulled = false;
  #hasStarted = false;

  /**
   * @param contentLength Its length in bytes, 0 where there is none, or `UNKNOWN_LENGTH`.
   * @param supply The connection.
   */
  constructor(contentLength: number, supply: ContentSupply) {
    this.present = contentLength !== 0;
    this.#announcedBytes = contentLength === UNKNOWN_LENGTH ? Infinity : contentLength;
    this.#supply = supply;
    this.#arrival = this.present ? "arriving" : "complete";
  }

  /** Whether the reader has taken as much as it wants for now. */
  get isHeld(): boolean {
    return this.#kept.byteLength >= HIGH_WATER_BYTES && this.#consumer !== "collector";
  }

  /**
   * Whether its reader has begun and wants the rest. Of a stream that was just made that can't be told yet: the Streams
   * Standard pulls it a microtask later, also for a read that waits. The connection is called when it can.
   */
  get isBeingRead(): boolean {
    if (this.#consumer !== "stream") return this.#consumer === "collector";
    return this.#stream !== null && (this.#wasPulled || !this.#hasStarted);
  }

  /** Whether its reader has thrown it away, or the rest of it. */
  get isDiscarded(): boolean {
    return this.#consumer === "discarded";
  }

  collect(): Promise<Uint8Array<ArrayBuffer>> {
    if (this.#consumer !== "none") return Promise.reject(this.#whyNotAgain());
    this.#consumer = "collector";
    return new Promise((resolve, reject) => {
      this.#collector = { resolve, reject };
      if (this.#arrival === "arriving") this.#supply.demandContent();
      else this.#settleCollector();
    });
  }

  /** Takes the content if all of it is here already; else `null`, and nothing was taken. */
  takeWhole(): Uint8Array<ArrayBuffer> | null {
    if (this.#arrival !== "complete" || this.#consumer !== "none") return null;
    this.#consumer = "collector";
    return this.#kept.take();
  }

  /**
   * Takes the content as a stream.
   *
   * @param isReadAtOnce Whether it is certain to be read, although no read has come yet.
   */
  stream(isReadAtOnce = false): ReadableStream<Uint8Array<ArrayBuffer>> {
    if (this.#consumer !== "none") {
      const error = this.#whyNotAgain();
      return new ReadableStream({ type: "bytes", start: (controller) => controller.error(error) });
    }
    this.#consumer = "stream";
    this.#wasPulled = isReadAtOnce;
    // One microtask for the stream's own start, and one for its first pull.
    Promise.resolve().then(ignore).then(() => {
      this.#hasStarted = true;
      if (!this.#wasPulled) this.#supply.contentKeptChanged();
    });
    // The first pull is a microtask away, and the response may be out by then.
    if (isReadAtOnce && this.#arrival === "arriving") this.#supply.demandContent();
    return new ReadableStream<Uint8Array<ArrayBuffer>>({
      type: "bytes",
      start: (controller) => {
        if (this.#error === null) this.#stream = controller as ReadableByteStreamController;
        else controller.error(this.#error);
      },
      pull: () => {
        this.#isPulled = this.#wasPulled = true;
        this.#feedStream();
        if (this.#arrival === "arriving" && !this.isHeld) this.#supply.demandContent();
      },
      cancel: () => {
        this.#stream = null;
        this.discard();
      },
    });
  }

  /** Takes a borrowed piece of the content. */
  append(bytes: Uint8Array, start: number, end: number): void {
    if (this.#consumer === "discarded") return;
    this.#kept.append(bytes, start, end, this.#wantedBytes());
    this.#keptMore();
  }

  /** Takes a piece of the content that is shared with nothing else. */
  keep(piece: Uint8Array<ArrayBuffer>): void {
    if (this.#consumer === "discarded") return;
    this.#kept.add(piece, this.#wantedBytes());
    this.#keptMore();
  }

  /** The message is complete. */
  complete(): void {
    if (this.#arrival !== "arriving") return;
    this.#arrival = "complete";
    this.#settleCollector();
    this.#feedStream();
  }

  /** The rest will not come. */
  fail(error: TrivetError): void {
    if (this.#arrival !== "arriving") return;
    this.#arrival = "failed";
    this.#error = error;
    this.#kept.clear();
    this.#settleCollector();
    this.#stream?.error(error);
    this.#stream = null;
  }

  /** The rest is not wanted: it is thrown away as it comes. */
  discard(): void {
    this.#consumer = "discarded";
    this.#kept.clear();
    this.#supply.contentKeptChanged();
  }

  /** What a second reader is told. The first one is not disturbed, nor is taken back what was thrown away. */
  #whyNotAgain(): TrivetError {
    return this.#error ?? new TrivetError("too-late", "The content of the request was taken or thrown away before.");
  }

  #settleCollector(): void {
    const collector = this.#collector;
    if (collector === null) return;
    this.#collector = null;
    if (this.#error !== null) collector.reject(this.#error);
    else collector.resolve(this.#kept.take());
  }

  /**
   * What will be kept before it is taken: all of it, or as much as may wait; a stream that keeps up
   * takes any piece.
   */
  #wantedBytes(): number {
    if (this.#consumer === "collector") return this.#announcedBytes;
    if (this.#consumer === "stream" && this.#kept.byteLength === 0) return 0;
    return Math.min(this.#announcedBytes, HIGH_WATER_BYTES);
  }

  #keptMore(): void {
    if (this.#consumer === "stream") this.#feedStream();
    if (this.isHeld) this.#supply.contentKeptChanged();
  }

  /** Gives the stream one read's worth, or its end. */
  #feedStream(): void {
    const stream = this.#stream;
    if (stream === null) return;
    if (this.#isPulled && this.#kept.byteLength > 0) {
      this.#isPulled = false;
      stream.enqueue(this.#kept.take());
    }
    if (this.#arrival === "complete" && this.#kept.byteLength === 0) {
      this.#stream = null;
      stream.close();
      // The Streams Standard leaves a pending BYOB read open on close until it is answered with nothing.
      stream.byobRequest?.respond(0);
    }
  }
}

function ignore(): void {}
