/**
 * The frames of messages, written into memory that all WebSockets of a thread share.
 *
 * It decides where a frame is written: small ones one behind the other, so that what is sent in one turn leaves in one
 * piece. It must not know which socket sends them.
 *
 * @module
 */

import type { Runtime } from "../runtime.ts";
import { OP_BINARY, OP_TEXT } from "./codec/frame.ts";
import { frameHeadBytes, MAX_FRAME_HEAD_BYTES, writeFrameHead } from "./codec/frame_encoder.ts";

const SLAB_BYTES = 64 * 1024;
/** A frame that may be longer has a buffer of its own, so that a slab is not pinned by what waits. */
export const MAX_SLAB_FRAME_BYTES = 16 * 1024;
/** The longest message whose frame is lent: one such frame leaves in one write. */
const MAX_LENT_BYTES = 64 * 1024;
/**
 * Where the payload of a long frame stands in its memory, with the head before it. Processors copy ten times slower to
 * where memory is not aligned to this, if they are unlucky with the addresses.
 */
const LONG_PAYLOAD_AT = 16;
/** The most bytes that a char code takes as UTF-8. */
export const MAX_UTF8_BYTES = 3;
const UTF8 = new TextEncoder();

/** Bytes of frames that have not left. */
export interface Piece {
  readonly bytes: Uint8Array<ArrayBuffer>;
  start: number;
  end: number;
  /** Of these, behind the head of a frame. */
  readonly payloadBytes: number;
  /** What leaves behind it. */
  next: Piece | null;
}

/** Makes a piece. */
export function toPiece(bytes: Uint8Array<ArrayBuffer>, start: number, end: number, payloadBytes: number): Piece {
  return { bytes, start, end, payloadBytes, next: null };
}

/** Memory for small frames. What is used up is let go. */
export class FrameSlab {
  readonly #encodeUtf8: Runtime["encodeUtf8"];
  #bytes: Uint8Array<ArrayBuffer> = new Uint8Array(0);
  #usedBytes = 0;
  #lent: Uint8Array<ArrayBuffer> | null = null;

  /** @param encodeUtf8 The runtime's way from text to bytes. */
  constructor(encodeUtf8: Runtime["encodeUtf8"]) {
    this.#encodeUtf8 = encodeUtf8;
  }

  /** The frame of a text. It is taken for ASCII until it is encoded: then its head is as long as was left for it. */
  makeText(text: string): Piece {
    const maxBytes = MAX_FRAME_HEAD_BYTES + text.length * MAX_UTF8_BYTES;
    if (maxBytes > MAX_SLAB_FRAME_BYTES) return this.#makeLongText(text);
    this.#reserve(maxBytes);
    const start = this.#usedBytes;
    const bytes = this.#bytes;
    const payloadBytes = this.#writeText(text, bytes, start);
    const end = this.#usedBytes = start + frameHeadBytes(payloadBytes) + payloadBytes;
    return toPiece(bytes, start, end, payloadBytes);
  }

  /** The frame of bytes, which are copied. */
  makeBytes(opcode: number, payload: Uint8Array, isCompressed: boolean): Piece {
    const frameBytes = frameHeadBytes(payload.byteLength) + payload.byteLength;
    const isSmall = frameBytes <= MAX_SLAB_FRAME_BYTES;
    if (isSmall) this.#reserve(frameBytes);
    const bytes = isSmall ? this.#bytes : new Uint8Array(LONG_PAYLOAD_AT + payload.byteLength);
    const start = isSmall ? this.#usedBytes : bytes.byteLength - frameBytes;
    bytes.set(payload, writeFrameHead(bytes, start, opcode, isCompressed, payload.byteLength));
    if (isSmall) this.#usedBytes = start + frameBytes;
    return toPiece(bytes, start, start + frameBytes, payload.byteLength);
  }

  /** A small frame that was made elsewhere, copied behind those before it: many of them leave in one write. */
  copy(frame: Uint8Array): Piece {
    this.#reserve(frame.byteLength);
    const start = this.#usedBytes;
    this.#bytes.set(frame, start);
    this.#usedBytes = start + frame.byteLength;
    return toPiece(this.#bytes, start, this.#usedBytes, 0);
  }

  /**
   * The frame of a message, in memory that is used for the next one too: it has to be sent, or copied, at once. Making
   * memory for a frame costs more than copying as much. `null` where it is too long for that.
   */
  lend(message: string | Uint8Array): Piece | null {
    const isText = typeof message === "string";
    if (message.length > MAX_LENT_BYTES) return null;
    const bytes = this.#lent ??= new Uint8Array(
      LONG_PAYLOAD_AT + MAX_FRAME_HEAD_BYTES + MAX_LENT_BYTES * MAX_UTF8_BYTES,
    );
    const start = LONG_PAYLOAD_AT - frameHeadBytes(message.length);
    let payloadBytes = message.length;
    if (isText) payloadBytes = this.#writeText(message, bytes, start);
    else bytes.set(message, writeFrameHead(bytes, start, OP_BINARY, false, payloadBytes));
    return toPiece(bytes, start, start + frameHeadBytes(payloadBytes) + payloadBytes, payloadBytes);
  }

  /** Writes the frame of a text, for which there is room. Returns the bytes of its payload. */
  #writeText(text: string, bytes: Uint8Array<ArrayBuffer>, start: number): number {
    const expectedHeadBytes = frameHeadBytes(text.length);
    const payloadAt = start + expectedHeadBytes;
    const payloadBytes = this.#encodeUtf8(text, bytes, payloadAt);
    const headBytes = frameHeadBytes(payloadBytes);
    if (headBytes !== expectedHeadBytes) bytes.copyWithin(start + headBytes, payloadAt, payloadAt + payloadBytes);
    writeFrameHead(bytes, start, OP_TEXT, false, payloadBytes);
    return payloadBytes;
  }

  /** Room for what other text needs is three times that of ASCII, and is made only when it is needed. */
  #makeLongText(text: string): Piece {
    const start = frameHeadBytes(text.length);
    const ascii = new Uint8Array(start + text.length);
    const { read } = UTF8.encodeInto(text, ascii.subarray(start));
    if (read !== text.length) return this.makeBytes(OP_TEXT, UTF8.encode(text), false);
    writeFrameHead(ascii, 0, OP_TEXT, false, text.length);
    return toPiece(ascii, 0, ascii.byteLength, text.length);
  }

  /** Makes room for so many bytes in one piece. */
  #reserve(bytes: number): void {
    if (this.#bytes.byteLength - this.#usedBytes >= bytes) return;
    this.#bytes = new Uint8Array(SLAB_BYTES);
    this.#usedBytes = 0;
  }
}
