/**
 * The payload of messages, compressed and decompressed as was agreed on (RFC 7692 section 7.2).
 *
 * It decides what is done at once and what in a stream, and how many streams work at a time. It must not know frames.
 *
 * @module
 */

import type { Deflate, DeflateStream } from "../runtime.ts";
import { joinPieces } from "../web/pieces.ts";
import type { DeflateAgreement } from "./codec/extensions.ts";

/** Up to this length, before and after, a payload is treated at once: that costs less than handing it over. */
const MAX_SYNCHRONOUS_BYTES = 16 * 1024;
/** Streams that work at a time, over all WebSockets: as ws has it, since each takes up to 300 KiB. */
const MAX_JOBS = 10;
/** The bytes that end each message, and are not sent. */
const TAIL = Uint8Array.of(0x00, 0x00, 0xff, 0xff);
/** Behind a message that none refers to, an empty block that is the last shows whether the message was whole. */
const TAIL_AND_LAST_BLOCK = Uint8Array.of(...TAIL, 0x01, 0x00, 0x00, 0xff, 0xff);
const NO_BYTES = new Uint8Array(0);

/** Why the payload of a message was not given. */
export type DecompressionFailure = "too-long" | "not-deflate";

/** Called with the payload, or why there is none. May be called at once. */
export type OnPayload = (payload: Uint8Array<ArrayBuffer> | DecompressionFailure) => void;

/** Lets only so many streams work at a time; the others wait in order. */
export class CompressionJobs {
  #running = 0;
  readonly #waiting: (() => boolean)[] = [];

  /** Calls back when it is its turn, to begin. Where that returns true, `end` must follow. */
  begin(job: () => boolean): void {
    if (this.#running >= MAX_JOBS) {
      this.#waiting.push(job);
      return;
    }
    this.#running++;
    if (!job()) this.end();
  }

  /** A job has ended, or was given up. Of those that wait, thousands may be closed: they take no turn. */
  end(): void {
    for (let next = this.#waiting.shift(); next !== undefined; next = this.#waiting.shift()) {
      if (next()) return;
    }
    this.#running--;
  }
}

/** What a server compresses with. */
export interface CompressorTools extends Pick<DeflateAgreement, "serverTakesOver" | "serverWindowBits"> {
  readonly deflate: Deflate;
  readonly jobs: CompressionJobs;
  readonly level: number;
}

/** What a WebSocket needs to compress and to decompress. */
export interface CompressionTools
  extends CompressorTools, Pick<DeflateAgreement, "clientTakesOver" | "clientWindowBits"> {}

/** Compresses what the server sends, one message at a time. */
export class MessageCompressor {
  readonly tools: CompressorTools;
  readonly #job: Job;

  constructor(tools: CompressorTools) {
    const { deflate, serverWindowBits, level, jobs } = tools;
    this.tools = tools;
    this.#job = new Job(jobs, () => deflate.createCompressor(serverWindowBits, level));
  }

  /** Compresses the next message; `onDone` may be called at once, and is given `null` where that failed. */
  compress(payload: Uint8Array, onDone: (compressed: Uint8Array<ArrayBuffer> | null) => void): void {
    const { deflate, serverTakesOver, serverWindowBits, level } = this.tools;
    if (!serverTakesOver && payload.byteLength <= MAX_SYNCHRONOUS_BYTES) {
      onDone(withoutTail(deflate.compress(payload, serverWindowBits, level)));
      return;
    }
    this.#job.run(payload, Infinity, serverTakesOver, (result) => {
      onDone(typeof result === "string" ? null : withoutTail(result));
    });
  }

  /** Frees what it holds. */
  close(): void {
    this.#job.close();
  }
}

/** Decompresses what the client sends, one message at a time. */
export class MessageDecompressor {
  readonly #tools: CompressionTools;
  readonly #maxBytes: number;
  readonly #job: Job;

  /** @param maxBytes The longest message. */
  constructor(tools: CompressionTools, maxBytes: number) {
    const { deflate, clientTakesOver, clientWindowBits, jobs } = tools;
    this.#tools = tools;
    this.#maxBytes = maxBytes;
    this.#job = new Job(jobs, () => deflate.createDecompressor(clientWindowBits, !clientTakesOver));
  }

  /** Decompresses the next message, whose bytes are borrowed. */
  decompress(borrowed: Uint8Array, onPayload: OnPayload): void {
    // RFC 7692 section 7.2.3.6 has a byte for an empty message. Without it there is nothing that zlib could take.
    if (borrowed.byteLength === 0) {
      onPayload(NO_BYTES);
      return;
    }
    const { deflate, clientTakesOver, clientWindowBits } = this.#tools;
    const bytes = withTail(borrowed, clientTakesOver ? TAIL : TAIL_AND_LAST_BLOCK);
    if (!clientTakesOver && bytes.byteLength <= MAX_SYNCHRONOUS_BYTES) {
      const maxBytes = Math.min(this.#maxBytes, MAX_SYNCHRONOUS_BYTES);
      let payload: Uint8Array<ArrayBuffer> | null;
      try {
        payload = deflate.decompress(bytes, clientWindowBits, maxBytes);
      } catch {
        onPayload("not-deflate");
        return;
      }
      if (payload !== null || maxBytes === this.#maxBytes) {
        onPayload(payload ?? "too-long");
        return;
      }
    }
    this.#job.run(bytes, this.#maxBytes, clientTakesOver, onPayload);
  }

  /** Frees what it holds. */
  close(): void {
    this.#job.close();
  }
}

/** The stream of one direction, while it works and, where messages refer to those before, in between. */
class Job {
  readonly #jobs: CompressionJobs;
  readonly #create: () => DeflateStream;
  #stream: DeflateStream | null = null;
  #isRunning = false;
  #isClosed = false;

  constructor(jobs: CompressionJobs, create: () => DeflateStream) {
    this.#jobs = jobs;
    this.#create = create;
  }

  run(bytes: Uint8Array, maxBytes: number, staysOpen: boolean, onPayload: OnPayload): void {
    this.#jobs.begin(() => {
      if (this.#isClosed) return false;
      this.#isRunning = true;
      const stream = this.#stream ??= this.#create();
      const pieces: Uint8Array<ArrayBuffer>[] = [];
      let pieceBytes = 0;
      const finish = (result: Uint8Array<ArrayBuffer> | DecompressionFailure): void => {
        this.#isRunning = false;
        this.#jobs.end();
        if (!staysOpen || typeof result === "string") this.#closeStream();
        onPayload(result);
      };
      const onPiece = (piece: Uint8Array<ArrayBuffer>): boolean => {
        pieceBytes += piece.byteLength;
        if (pieceBytes > maxBytes) {
          // Not within the call of the stream that has given it.
          Promise.resolve().then(() => this.#isClosed ? undefined : finish("too-long"));
          return false;
        }
        pieces.push(piece);
        return true;
      };
      stream.run(bytes, onPiece, (error) => finish(error === null ? joinPieces(pieces, pieceBytes) : "not-deflate"));
      return true;
    });
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#closeStream();
    if (this.#isRunning) this.#jobs.end();
    this.#isRunning = false;
  }

  #closeStream(): void {
    this.#stream?.close();
    this.#stream = null;
  }
}

function withTail(bytes: Uint8Array, tail: Uint8Array): Uint8Array<ArrayBuffer> {
  const all = new Uint8Array(bytes.byteLength + tail.byteLength);
  all.set(bytes);
  all.set(tail, bytes.byteLength);
  return all;
}

/** RFC 7692 section 7.2.1: the last four bytes are not sent. */
function withoutTail(bytes: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
  return bytes.subarray(0, bytes.byteLength - TAIL.byteLength);
}
