/**
 * A message for many WebSockets: its frames, each made once for all sockets that can send the same bytes.
 *
 * It decides how many kinds of frames there are: one that is not compressed, also for sockets whose messages refer to
 * those before them, and one for each window and level of the others. It must not know sockets and topics.
 *
 * @module
 */

import type { Deflate } from "../runtime.ts";
import { OP_BINARY, OP_TEXT } from "./codec/frame.ts";
import { type FrameSlab, MAX_UTF8_BYTES, type Piece, toPiece } from "./frame_slab.ts";
import { type CompressionJobs, MessageCompressor } from "./message_compression.ts";

/** A frame that was made, or is being made. */
export class SharedFrame {
  #piece: Piece | null = null;
  #waiters: (() => void)[] = [];

  /** What is to be sent, for one socket; `null` until it was made. */
  get piece(): Piece | null {
    const piece = this.#piece;
    return piece === null ? null : toPiece(piece.bytes, piece.start, piece.end, piece.payloadBytes);
  }

  /** It was made. Returns itself. */
  make(piece: Piece): SharedFrame {
    this.#piece = piece;
    const waiters = this.#waiters;
    this.#waiters = [];
    for (const wake of waiters) wake();
    return this;
  }

  /** Calls back when it was made, which it was not yet. */
  whenMade(callback: () => void): void {
    this.#waiters.push(callback);
  }
}

/** What frames of a message are made with. */
export interface FrameTools {
  readonly slab: FrameSlab;
  readonly deflate: Deflate;
  readonly jobs: CompressionJobs;
}

/** One message for many sockets. */
export class SharedMessage {
  /** As many bytes as its payload has at least. */
  readonly leastBytes: number;
  readonly #message: string | Uint8Array;
  readonly #tools: FrameTools;
  #plain: SharedFrame | null = null;
  #payload: Uint8Array<ArrayBuffer> | null = null;
  /** Frames that are compressed, by window and level. */
  #compressed: Map<number, SharedFrame> | null = null;

  /** @param message The message, whose bytes may be changed when the turn is over. */
  constructor(message: string | Uint8Array, tools: FrameTools) {
    this.leastBytes = typeof message === "string" ? message.length : message.byteLength;
    this.#message = message;
    this.#tools = tools;
  }

  /** The frame that is not compressed. */
  get plain(): SharedFrame {
    if (this.#plain !== null) return this.#plain;
    const { slab } = this.#tools;
    const message = this.#message;
    const piece = typeof message === "string" ? slab.makeText(message) : slab.makeBytes(OP_BINARY, message, false);
    return this.#plain = new SharedFrame().make(piece);
  }

  /** The frame for a window and a level, where the message is as long as the threshold; else the plain one. */
  compressed(windowBits: number, level: number, thresholdBytes: number): SharedFrame {
    if (this.leastBytes * MAX_UTF8_BYTES < thresholdBytes) return this.plain;
    const payload = this.#payload ??= this.#copyPayload();
    if (payload.byteLength < thresholdBytes) return this.plain;
    const kind = windowBits * 16 + level;
    const known = (this.#compressed ??= new Map()).get(kind);
    if (known !== undefined) return known;
    const frame = new SharedFrame();
    this.#compressed.set(kind, frame);
    this.#compress(frame, payload, windowBits, level);
    return frame;
  }

  #compress(frame: SharedFrame, payload: Uint8Array, serverWindowBits: number, level: number): void {
    const { slab, deflate, jobs } = this.#tools;
    const opcode = typeof this.#message === "string" ? OP_TEXT : OP_BINARY;
    const compressor = new MessageCompressor({ deflate, jobs, level, serverWindowBits, serverTakesOver: false });
    compressor.compress(payload, (compressed) => {
      // What can't be compressed can be sent as it is.
      frame.make(slab.makeBytes(opcode, compressed ?? payload, compressed !== null));
    });
  }

  #copyPayload(): Uint8Array<ArrayBuffer> {
    return typeof this.#message === "string" ? new TextEncoder().encode(this.#message) : new Uint8Array(this.#message);
  }
}
