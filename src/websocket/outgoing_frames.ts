/**
 * What one WebSocket sends: gathered, in order, no faster than the client takes it.
 *
 * It decides when frames leave and how much of them waits. It is the one writer of its bytes. It must not know when a
 * connection closes.
 *
 * @module
 */

import type { ByteChannel } from "../exchange/byte_channel.ts";
import { OP_BINARY, OP_TEXT } from "./codec/frame.ts";
import { type FrameSlab, MAX_SLAB_FRAME_BYTES, type Piece, toPiece } from "./frame_slab.ts";
import type { MessageCompressor } from "./message_compression.ts";
import type { SendTurns } from "./send_turns.ts";
import type { WebSocketSettings } from "./settings.ts";
import { SharedFrame, type SharedMessage } from "./shared_frames.ts";

/**
 * What is handed over at a time, so that a deadline for it is one for so many bytes, whatever the
 * size of a message; and what is not worth another write behind that.
 */
const MAX_WRITE_BYTES = 64 * 1024;
const MAX_REST_BYTES = 4 * 1024;
/** Small frames that wait for a client are copied, so that they keep no more memory than their bytes. */
const MIN_TAIL_BYTES = 1024;
const MAX_TAIL_BYTES = 64 * 1024;
/** What a message takes beside its payload while it waits for one before it. */
const WAITING_BYTES = 100;
/** Shorter messages are gathered, so that those of one turn leave in one write. */
const MIN_LENT_LENGTH = 8 * 1024;
const UTF8 = new TextEncoder();

/** A message, or the frame of one, that waits for one before it to be compressed or read. */
interface Waiting {
  readonly opcode: number;
  readonly content: SharedFrame | Uint8Array<ArrayBuffer> | Blob;
  readonly bytes: number;
}

/** Sends the frames of one WebSocket. */
export class OutgoingFrames {
  /** Whether the client does not keep up. */
  isCongested = false;
  readonly #slab: FrameSlab;
  readonly #turns: SendTurns;
  readonly #compressor: MessageCompressor | null;
  readonly #thresholdBytes: number;
  readonly #maxBufferedBytes: number;
  readonly #onReady: () => void;
  readonly #onFailed: (cause: unknown) => void;
  #channel: ByteChannel | null = null;
  #first: Piece | null = null;
  #last: Piece | null = null;
  #pieceBytes = 0;
  /** Where small frames are copied that wait. */
  #tail: Uint8Array<ArrayBuffer> | null = null;
  /** Handed over since the client kept up last. */
  #untakenBytes = 0;
  #waiting: Waiting[] = [];
  #waitingBytes = 0;
  #isPreparing = false;
  /** Payload since everything had left. */
  #payloadBytes = 0;
  /** What the thread knows to wait here. */
  #toldBytes = 0;
  #isClosed = false;

  /**
   * @param slab Of the thread.
   * @param turns Of the thread: told how much waits.
   * @param compressor Compresses messages, where that was agreed on.
   * @param settings Which messages are compressed, and how much may wait.
   * @param onReady Called when something that had to wait can be flushed.
   * @param onFailed Called when a message could not be made, and what waited behind it is dropped; only a control frame
   * makes sense then.
   */
  constructor(
    slab: FrameSlab,
    turns: SendTurns,
    compressor: MessageCompressor | null,
    settings: Pick<WebSocketSettings, "compression" | "maxBufferedBytes">,
    onReady: () => void,
    onFailed: (cause: unknown) => void,
  ) {
    this.#slab = slab;
    this.#turns = turns;
    this.#compressor = compressor;
    this.#thresholdBytes = settings.compression?.thresholdBytes ?? Infinity;
    this.#maxBufferedBytes = settings.maxBufferedBytes;
    this.#onReady = onReady;
    this.#onFailed = onFailed;
  }

  /** Bytes of messages that the client has not taken. */
  get bufferedBytes(): number {
    return Math.min(this.#payloadBytes, this.#pieceBytes + this.#untakenBytes + this.#waitingBytes);
  }

  /** All that waits for the client: messages may be empty, and take memory all the same. */
  get keptBytes(): number {
    return this.#pieceBytes + this.#untakenBytes + this.#waitingBytes + this.#waiting.length * WAITING_BYTES;
  }

  /** Whether too much waits beside the payload of messages: it may be as much again. */
  get isOverfull(): boolean {
    return this.keptBytes - this.bufferedBytes > this.#maxBufferedBytes;
  }

  /**
   * Whether a message may be added. What is gathered until the turn is over does not wait for the client: it is handed
   * over before that is judged.
   */
  hasRoomFor(bytes: number): boolean {
    if (this.#mayWait(bytes)) return true;
    this.flush();
    return this.#mayWait(bytes);
  }

  /** Whether everything is handed over and the client keeps up. */
  get isIdle(): boolean {
    return !this.isCongested && this.#first === null && this.#waiting.length === 0;
  }

  /** Frames can leave from now on. */
  open(channel: ByteChannel): void {
    this.#channel = channel;
  }

  /** Adds a message; bytes are copied. */
  addMessage(message: string | Uint8Array | Blob): void {
    if (this.#waiting.length > 0 || this.#mustPrepare(message)) {
      this.#waitForContent(message);
      return;
    }
    if (this.#sendAtOnce(message as string | Uint8Array)) return;
    const piece = typeof message === "string"
      ? this.#slab.makeText(message)
      : this.#slab.makeBytes(OP_BINARY, message as Uint8Array, false);
    this.#payloadBytes += piece.payloadBytes;
    this.#addPiece(piece);
  }

  /** Sends a long message that has nothing to wait for, where its frame need not be kept for that. */
  #sendAtOnce(message: string | Uint8Array): boolean {
    const channel = this.#channel;
    if (message.length < MIN_LENT_LENGTH || channel === null || !channel.takesBorrowed) return false;
    this.flush();
    const piece = this.isIdle ? this.#slab.lend(message) : null;
    if (piece === null || piece.end - piece.start > MAX_WRITE_BYTES + MAX_REST_BYTES) return false;
    if (channel.writeBorrowed(piece.bytes, piece.start, piece.end)) return true;
    this.isCongested = true;
    this.#untakenBytes = piece.end - piece.start;
    this.#payloadBytes += piece.payloadBytes;
    return true;
  }

  /** Adds a message that other sockets send too. */
  addShared(message: SharedMessage): void {
    const frame = this.#sharedFrameOf(message);
    const { piece } = frame;
    this.#payloadBytes += piece?.payloadBytes ?? message.leastBytes;
    if (piece !== null && this.#waiting.length === 0) this.#addPiece(piece);
    else this.#wait({ opcode: 0, content: frame, bytes: message.leastBytes });
  }

  /** Adds a control frame that may overtake messages. */
  addControl(frame: Uint8Array<ArrayBuffer>): void {
    if (!this.#isClosed) this.#addPiece(this.#slab.copy(frame));
  }

  /** Adds a frame behind all messages. */
  addLast(frame: Uint8Array<ArrayBuffer>): void {
    if (this.#isClosed) return;
    const piece = toPiece(frame, 0, frame.byteLength, 0);
    if (this.#waiting.length === 0) this.#addPiece(piece);
    else this.#wait({ opcode: 0, content: new SharedFrame().make(piece), bytes: 0 });
  }

  /** Hands over what was gathered, as far as the client keeps up. */
  flush(): void {
    const channel = this.#channel;
    if (channel === null || this.#isClosed) return;
    let piece = this.#first;
    while (piece !== null && !this.isCongested) {
      const { bytes, start } = piece;
      const end = piece.end - start <= MAX_WRITE_BYTES + MAX_REST_BYTES ? piece.end : start + MAX_WRITE_BYTES;
      if (end === piece.end) this.#first = piece.next;
      else piece.start = end;
      this.#pieceBytes -= end - start;
      if (!channel.write(bytes, start, end)) {
        this.isCongested = true;
        this.#untakenBytes = end - start;
      }
      piece = this.#first;
    }
    if (piece === null) this.#last = this.#tail = null;
    if (this.isIdle) this.#payloadBytes = 0;
    this.#tell();
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
    this.#first = this.#last = this.#tail = null;
    this.#waiting = [];
    this.#pieceBytes = this.#untakenBytes = this.#waitingBytes = 0;
    this.#tell();
    this.#compressor?.close();
  }

  /** One message may be longer than what may wait. */
  #mayWait(bytes: number): boolean {
    if (this.isOverfull) return false;
    const { bufferedBytes } = this;
    return bufferedBytes === 0 || bufferedBytes + bytes <= this.#maxBufferedBytes;
  }

  #tell(): void {
    const { keptBytes } = this;
    if (keptBytes === this.#toldBytes) return;
    this.#turns.keptBytesChanged(keptBytes - this.#toldBytes);
    this.#toldBytes = keptBytes;
  }

  /** What refers to messages before it can't be shared, and what is not compressed may stand between those that do. */
  #sharedFrameOf(message: SharedMessage): SharedFrame {
    if (this.#compressor === null || this.#compressor.tools.serverTakesOver) return message.plain;
    const { serverWindowBits, level } = this.#compressor.tools;
    return message.compressed(serverWindowBits, level, this.#thresholdBytes);
  }

  #mustPrepare(message: string | Uint8Array | Blob): boolean {
    if (typeof message !== "string" && !(message instanceof Uint8Array)) return true;
    if (this.#compressor === null) return false;
    const leastBytes = typeof message === "string" ? message.length : message.byteLength;
    return leastBytes >= this.#thresholdBytes;
  }

  #waitForContent(message: string | Uint8Array | Blob): void {
    const content = typeof message === "string"
      ? UTF8.encode(message)
      : message instanceof Uint8Array
      ? new Uint8Array(message)
      : message;
    const bytes = content instanceof Uint8Array ? content.byteLength : content.size;
    this.#payloadBytes += bytes;
    this.#wait({ opcode: typeof message === "string" ? OP_TEXT : OP_BINARY, content, bytes });
  }

  #wait(waiting: Waiting): void {
    this.#waiting.push(waiting);
    this.#waitingBytes += waiting.bytes;
    if (!this.#isPreparing) this.#prepareNext();
  }

  /** Makes the frames of what waits, one behind the other. */
  #prepareNext(): void {
    while (this.#waiting.length > 0) {
      const { opcode, content } = this.#waiting[0];
      this.#isPreparing = true;
      if (content instanceof SharedFrame) this.#takeShared(content);
      else if (content instanceof Uint8Array) this.#compress(opcode, content);
      else void this.#read(opcode, content);
      if (this.#isPreparing) return;
    }
  }

  #takeShared(frame: SharedFrame): void {
    const { piece } = frame;
    if (piece !== null) {
      this.#prepared(piece);
      return;
    }
    frame.whenMade(() => {
      if (this.#isClosed) return;
      this.#prepared(frame.piece!);
      this.#goOn();
    });
  }

  async #read(opcode: number, blob: Blob): Promise<void> {
    let payload: Uint8Array<ArrayBuffer>;
    try {
      payload = new Uint8Array(await blob.arrayBuffer());
    } catch (cause) {
      this.#fail(cause);
      return;
    }
    if (this.#isClosed) return;
    this.#compress(opcode, payload);
    if (!this.#isPreparing) this.#goOn();
  }

  #compress(opcode: number, payload: Uint8Array<ArrayBuffer>): void {
    if (this.#compressor === null || payload.byteLength < this.#thresholdBytes) {
      this.#prepared(this.#slab.makeBytes(opcode, payload, false));
      return;
    }
    let isWithinCall = true;
    this.#compressor.compress(payload, (compressed) => {
      if (this.#isClosed) return;
      if (compressed === null) {
        this.#fail(undefined);
        return;
      }
      this.#prepared(this.#slab.makeBytes(opcode, compressed, true));
      if (!isWithinCall) this.#goOn();
    });
    isWithinCall = false;
  }

  #prepared(piece: Piece): void {
    this.#isPreparing = false;
    this.#waitingBytes -= this.#waiting.shift()!.bytes;
    this.#addPiece(piece);
  }

  #goOn(): void {
    this.#prepareNext();
    this.#onReady();
  }

  /** Behind it there would be a gap: nothing of what waits is sent. */
  #fail(cause: unknown): void {
    if (this.#isClosed) return;
    this.#waiting = [];
    this.#waitingBytes = 0;
    this.#onFailed(cause);
  }

  #addPiece(piece: Piece): void {
    const { bytes, start, end } = piece;
    const last = this.#last;
    this.#pieceBytes += end - start;
    if (last !== null && last.bytes === bytes && last.end === start) last.end = end;
    else if (this.isCongested && end - start <= MAX_SLAB_FRAME_BYTES) this.#copy(piece);
    else this.#append(piece);
    if (this.isCongested) this.#tell();
  }

  #append(piece: Piece): void {
    if (this.#last === null) this.#first = piece;
    else this.#last.next = piece;
    this.#last = piece;
  }

  /** Keeps a frame that waits in memory of its own, behind others if they are there. */
  #copy({ bytes, start, end, payloadBytes }: Piece): void {
    const last = this.#last;
    const frameBytes = end - start;
    let tail = this.#tail;
    let at = tail !== null && last?.bytes === tail ? last.end : 0;
    if (tail === null || at === 0 || tail.byteLength - at < frameBytes) {
      const roomBytes = Math.min(MAX_TAIL_BYTES, 2 * (tail?.byteLength ?? MIN_TAIL_BYTES / 2));
      tail = this.#tail = new Uint8Array(Math.max(frameBytes, roomBytes));
      at = 0;
    }
    tail.set(bytes.subarray(start, end), at);
    if (at > 0) last!.end = at + frameBytes;
    else this.#append(toPiece(tail, 0, frameBytes, payloadBytes));
  }
}
