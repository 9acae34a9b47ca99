/**
 * What one WebSocket sends: gathered, in order, no faster than the client takes it.
 *
 * It decides when frames leave and how much of them waits. It is the one writer of its bytes. It must not know when a
 * connection closes.
 *
 * @module
 */

import type { ByteChannel } from "../exchange/byte_channel.ts";
import type { Runtime } from "../runtime.ts";
import { OP_BINARY, OP_TEXT } from "./codec/frame.ts";
import { frameHeadBytes, MAX_FRAME_HEAD_BYTES, writeFrameHead } from "./codec/frame_encoder.ts";
import type { MessageCompressor } from "./message_compression.ts";

const SLAB_BYTES = 64 * 1024;
/** A frame that may be longer has a buffer of its own, so that a slab is not pinned by what waits. */
const MAX_SLAB_FRAME_BYTES = 16 * 1024;
/**
 * What is handed over at a time, so that a deadline for it is one for so many bytes, whatever the size of a message; and
 * what is not worth another write behind that.
 */
const MAX_WRITE_BYTES = 64 * 1024;
const MAX_REST_BYTES = 4 * 1024;
const UTF8 = new TextEncoder();
/** The most bytes that a char code takes as UTF-8. */
const MAX_UTF8_BYTES = 3;

/** Memory that all WebSockets of a thread write small frames into, one behind the other. What is used up is let go. */
export class FrameSlab {
  bytes: Uint8Array<ArrayBuffer> = new Uint8Array(0);
  usedBytes = 0;
  readonly encodeUtf8: Runtime["encodeUtf8"];

  /** @param encodeUtf8 The runtime's way from text to bytes. */
  constructor(encodeUtf8: Runtime["encodeUtf8"]) {
    this.encodeUtf8 = encodeUtf8;
  }

  /** Makes room for so many bytes in one piece. */
  reserve(bytes: number): void {
    if (this.bytes.byteLength - this.usedBytes >= bytes) return;
    this.bytes = new Uint8Array(SLAB_BYTES);
    this.usedBytes = 0;
  }
}

/** Bytes of frames that have not left. */
interface Piece {
  readonly bytes: Uint8Array<ArrayBuffer>;
  start: number;
  end: number;
}

/** A message, or the frame of a Close, that waits for one before it to be compressed or read. */
interface Waiting {
  readonly opcode: number;
  /** A frame that is made already; its opcode is of no account. */
  readonly frame: Uint8Array<ArrayBuffer> | null;
  readonly content: Uint8Array<ArrayBuffer> | Blob | null;
  readonly bytes: number;
}

/** Sends the frames of one WebSocket. */
export class OutgoingFrames {
  /** Whether the client does not keep up. */
  isCongested = false;
  readonly #slab: FrameSlab;
  readonly #compressor: MessageCompressor | null;
  readonly #thresholdBytes: number;
  readonly #onReady: () => void;
  #channel: ByteChannel | null = null;
  #pieces: Piece[] = [];
  #pieceBytes = 0;
  /** Handed over since the client kept up last. */
  #untakenBytes = 0;
  #waiting: Waiting[] = [];
  #waitingBytes = 0;
  #isPreparing = false;
  /** Payload since everything had left. */
  #payloadBytes = 0;
  #isClosed = false;
  #hasFailed = false;

  /**
   * @param slab Of the thread.
   * @param compressor Compresses messages, where that was agreed on.
   * @param thresholdBytes Shorter messages are not compressed.
   * @param onReady Called when something that had to wait can be flushed, or could not be made.
   */
  constructor(
    slab: FrameSlab,
    compressor: MessageCompressor | null,
    thresholdBytes: number,
    onReady: () => void,
  ) {
    this.#slab = slab;
    this.#compressor = compressor;
    this.#thresholdBytes = thresholdBytes;
    this.#onReady = onReady;
  }

  /** Bytes of messages that the client has not taken. */
  get bufferedBytes(): number {
    return Math.min(this.#payloadBytes, this.#pieceBytes + this.#untakenBytes + this.#waitingBytes);
  }

  /** Whether a message could not be made, so that nothing can be sent any more. */
  get hasFailed(): boolean {
    return this.#hasFailed;
  }

  /** Whether everything is handed over and the client keeps up. */
  get isIdle(): boolean {
    return !this.isCongested && this.#pieces.length === 0 && this.#waiting.length === 0;
  }

  /** Frames can leave from now on. */
  open(channel: ByteChannel): void {
    this.#channel = channel;
  }

  /** Adds a message; bytes are copied. */
  addMessage(message: string | Uint8Array | Blob): void {
    if (this.#isClosed) return;
    if (this.#waiting.length > 0 || this.#mustPrepare(message)) {
      this.#wait(message);
    } else if (typeof message === "string") {
      this.#addText(message);
    } else {
      this.#addBytes(OP_BINARY, message as Uint8Array, false);
      this.#payloadBytes += (message as Uint8Array).byteLength;
    }
  }

  /** Adds a control frame that may overtake messages. */
  addControl(frame: Uint8Array<ArrayBuffer>): void {
    if (!this.#isClosed) this.#addPiece(frame, 0, frame.byteLength);
  }

  /** Adds a frame behind all messages. */
  addLast(frame: Uint8Array<ArrayBuffer>): void {
    if (this.#isClosed) return;
    if (this.#waiting.length === 0) this.#addPiece(frame, 0, frame.byteLength);
    else this.#waiting.push({ opcode: 0, frame, content: null, bytes: 0 });
  }

  /** Hands over what was gathered, as far as the client keeps up. */
  flush(): void {
    const channel = this.#channel;
    if (channel === null || this.#isClosed) return;
    const pieces = this.#pieces;
    let sent = 0;
    while (sent < pieces.length && !this.isCongested) {
      const piece = pieces[sent];
      const { bytes, start } = piece;
      const end = piece.end - start <= MAX_WRITE_BYTES + MAX_REST_BYTES ? piece.end : start + MAX_WRITE_BYTES;
      if (end === piece.end) sent++;
      else piece.start = end;
      this.#pieceBytes -= end - start;
      if (!channel.write(bytes, start, end)) {
        this.isCongested = true;
        this.#untakenBytes = end - start;
      }
    }
    if (sent > 0) this.#pieces = sent === pieces.length ? [] : pieces.slice(sent);
    if (this.isIdle) this.#payloadBytes = 0;
  }

  /** The client has taken what was handed over. */
  drained(): void {
    this.isCongested = false;
    this.#untakenBytes = 0;
    this.flush();
  }

  /** Nothing leaves any more. */
  close(): void {
    this.#isClosed = true;
    this.#pieces = [];
    this.#waiting = [];
    this.#compressor?.close();
  }

  #mustPrepare(message: string | Uint8Array | Blob): boolean {
    if (typeof message !== "string" && !(message instanceof Uint8Array)) return true;
    if (this.#compressor === null) return false;
    const leastBytes = typeof message === "string" ? message.length : message.byteLength;
    return leastBytes >= this.#thresholdBytes;
  }

  #wait(message: string | Uint8Array | Blob): void {
    const content = typeof message === "string"
      ? UTF8.encode(message)
      : message instanceof Uint8Array
      ? new Uint8Array(message)
      : message;
    const bytes = content instanceof Uint8Array ? content.byteLength : content.size;
    const opcode = typeof message === "string" ? OP_TEXT : OP_BINARY;
    this.#waiting.push({ opcode, frame: null, content, bytes });
    this.#waitingBytes += bytes;
    this.#payloadBytes += bytes;
    if (!this.#isPreparing) this.#prepareNext();
  }

  /** Makes the frames of what waits, one behind the other. */
  #prepareNext(): void {
    while (this.#waiting.length > 0) {
      const { opcode, frame, content } = this.#waiting[0];
      if (frame !== null) {
        this.#addPiece(frame, 0, frame.byteLength);
        this.#waiting.shift();
        continue;
      }
      this.#isPreparing = true;
      if (content instanceof Uint8Array) this.#compress(opcode, content);
      else this.#read(opcode, content as Blob);
      if (this.#isPreparing) return;
    }
  }

  #read(opcode: number, blob: Blob): void {
    blob.arrayBuffer().then((buffer) => {
      if (this.#isClosed) return;
      this.#compress(opcode, new Uint8Array(buffer));
      if (!this.#isPreparing) this.#goOn();
    }, () => this.#fail());
  }

  #compress(opcode: number, payload: Uint8Array<ArrayBuffer>): void {
    if (this.#compressor === null || payload.byteLength < this.#thresholdBytes) {
      this.#prepared(opcode, payload, false);
      return;
    }
    let isWithinCall = true;
    this.#compressor.compress(payload, (compressed) => {
      if (this.#isClosed) return;
      if (compressed === null) {
        this.#fail();
        return;
      }
      this.#prepared(opcode, compressed, true);
      if (!isWithinCall) this.#goOn();
    });
    isWithinCall = false;
  }

  #prepared(opcode: number, payload: Uint8Array<ArrayBuffer>, isCompressed: boolean): void {
    this.#isPreparing = false;
    this.#waitingBytes -= this.#waiting.shift()!.bytes;
    this.#addBytes(opcode, payload, isCompressed);
  }

  #goOn(): void {
    this.#prepareNext();
    this.#onReady();
  }

  #fail(): void {
    this.#hasFailed = true;
    this.#onReady();
  }

  /** Text is taken for ASCII until it is encoded: then the head of its frame is as long as was left for it. */
  #addText(text: string): void {
    const slab = this.#slab;
    const maxBytes = MAX_FRAME_HEAD_BYTES + text.length * MAX_UTF8_BYTES;
    if (maxBytes > MAX_SLAB_FRAME_BYTES) {
      this.#addLongText(text);
      return;
    }
    slab.reserve(maxBytes);
    const { bytes, usedBytes: start } = slab;
    const expectedHeadBytes = frameHeadBytes(text.length);
    const payloadAt = start + expectedHeadBytes;
    const payloadBytes = slab.encodeUtf8(text, bytes, payloadAt);
    const headBytes = frameHeadBytes(payloadBytes);
    if (headBytes !== expectedHeadBytes) bytes.copyWithin(start + headBytes, payloadAt, payloadAt + payloadBytes);
    writeFrameHead(bytes, start, OP_TEXT, false, payloadBytes);
    const end = start + headBytes + payloadBytes;
    slab.usedBytes = end;
    this.#payloadBytes += payloadBytes;
    this.#addPiece(bytes, start, end);
  }

  /** Room for what other text needs is three times that of ASCII, and is made only when it is needed. */
  #addLongText(text: string): void {
    const start = frameHeadBytes(text.length);
    const ascii = new Uint8Array(start + text.length);
    const { read } = UTF8.encodeInto(text, ascii.subarray(start));
    if (read === text.length) {
      writeFrameHead(ascii, 0, OP_TEXT, false, text.length);
      this.#addPiece(ascii, 0, ascii.byteLength);
      this.#payloadBytes += text.length;
    } else {
      const payload = UTF8.encode(text);
      this.#addBytes(OP_TEXT, payload, false);
      this.#payloadBytes += payload.byteLength;
    }
  }

  #addBytes(opcode: number, payload: Uint8Array, isCompressed: boolean): void {
    const slab = this.#slab;
    const frameBytes = frameHeadBytes(payload.byteLength) + payload.byteLength;
    const isSmall = frameBytes <= MAX_SLAB_FRAME_BYTES;
    if (isSmall) slab.reserve(frameBytes);
    const bytes = isSmall ? slab.bytes : new Uint8Array(frameBytes);
    const start = isSmall ? slab.usedBytes : 0;
    bytes.set(payload, writeFrameHead(bytes, start, opcode, isCompressed, payload.byteLength));
    if (isSmall) slab.usedBytes = start + frameBytes;
    this.#addPiece(bytes, start, start + frameBytes);
  }

  #addPiece(bytes: Uint8Array<ArrayBuffer>, start: number, end: number): void {
    this.#pieceBytes += end - start;
    const last = this.#pieces.at(-1);
    if (last !== undefined && last.bytes === bytes && last.end === start) last.end = end;
    else this.#pieces.push({ bytes, start, end });
  }
}
