/**
 * What one WebSocket receives: its messages and control frames, out of its bytes, in order and decompressed.
 *
 * It decides when a message is whole and which fault of the client is told. It must not know what follows from either.
 *
 * @module
 */

import { CLOSE_INVALID_PAYLOAD, CLOSE_TOO_BIG } from "./codec/frame.ts";
import { FAILED, FOUND_CLOSE, FOUND_MESSAGE, FrameDecoder, NEED_MORE } from "./codec/frame_decoder.ts";
import { type CompressionTools, MessageDecompressor } from "./message_compression.ts";

/** What a message is: text, or bytes that the receiver owns. */
export type Message = string | Uint8Array<ArrayBuffer>;

/** Takes messages out of the bytes of one client. */
export class IncomingFrames {
  /** The code and the reason of a Close, or those to answer with where the client breaks the protocol. */
  closeCode = 0;
  closeReason = "";
  readonly #decoder: FrameDecoder;
  readonly #decompressor: MessageDecompressor | null;
  readonly #onReady: () => void;
  #message: Message = "";
  /** A message is being decompressed: what is behind it waits. */
  #isDecompressing = false;
  /** What a message that was decompressed later turned out to be. */
  #laterEvent = NEED_MORE;

  /**
   * @param maxMessageBytes The longest message.
   * @param compression How messages are compressed, where that was agreed on.
   * @param decodeLatin1 The runtime's way from bytes to a string.
   * @param onReady Called when a message was decompressed that had to wait.
   */
  constructor(
    maxMessageBytes: number,
    compression: CompressionTools | null,
    decodeLatin1: (bytes: Uint8Array, start: number, end: number) => string,
    onReady: () => void,
  ) {
    this.#decoder = new FrameDecoder({ maxMessageBytes, mayBeCompressed: compression !== null }, decodeLatin1);
    this.#decompressor = compression === null ? null : new MessageDecompressor(compression, maxMessageBytes);
    this.#onReady = onReady;
  }

  /** Whether nothing can be found before `onReady`. */
  get isWaiting(): boolean {
    return this.#isDecompressing;
  }

  /** Takes borrowed bytes, which it changes. */
  feed(borrowed: Uint8Array<ArrayBuffer>): void {
    this.#decoder.feed(borrowed);
  }

  /** Keeps what was fed and not used yet, because the bytes go back to their owner. */
  keepRest(): void {
    this.#decoder.keepRest();
  }

  /** Goes on to the next thing in the bytes, and tells as the decoder does what it is. */
  next(): number {
    if (this.#laterEvent !== NEED_MORE) {
      const event = this.#laterEvent;
      this.#laterEvent = NEED_MORE;
      return event;
    }
    const decoder = this.#decoder;
    const event = decoder.next();
    if (event === FOUND_MESSAGE) return this.#takeMessage();
    if (event === FOUND_CLOSE || event === FAILED) {
      this.closeCode = decoder.closeCode;
      this.closeReason = decoder.closeReason;
    }
    return event;
  }

  /** The message that was found. A connection that is idle must not keep its last one, so that it is given once. */
  takeMessage(): Message {
    const message = this.#message;
    this.#message = "";
    return message;
  }

  /** The payload of the control frame that was found; valid until the next call of `next`. */
  get controlPayload(): Uint8Array {
    const { bytes, start, end } = this.#decoder;
    return bytes.subarray(start, end);
  }

  /** Takes nothing more. */
  close(): void {
    this.#decoder.close();
    this.#decompressor?.close();
  }

  #takeMessage(): number {
    const decoder = this.#decoder;
    if (decoder.isCompressed) return this.#decompress(decoder.isText);
    if (decoder.isText) {
      this.#message = decoder.text;
      decoder.text = "";
    } else {
      const { bytes, start, end, isOwnBuffer } = decoder;
      this.#message = isOwnBuffer ? bytes : bytes.slice(start, end);
    }
    return FOUND_MESSAGE;
  }

  #decompress(isText: boolean): number {
    const { bytes, start, end } = this.#decoder;
    let event = NEED_MORE;
    let isWithinCall = true;
    this.#isDecompressing = true;
    this.#decompressor!.decompress(bytes.subarray(start, end), (payload) => {
      this.#isDecompressing = false;
      if (payload === "too-long") event = this.#fail(CLOSE_TOO_BIG, "The message is too long.");
      else if (payload === "not-deflate") event = this.#fail(CLOSE_INVALID_PAYLOAD, "The payload is not DEFLATE.");
      else event = this.#takeDecompressed(payload, isText);
      if (isWithinCall) return;
      this.#laterEvent = event;
      this.#onReady();
    });
    isWithinCall = false;
    return event;
  }

  #takeDecompressed(payload: Uint8Array<ArrayBuffer>, isText: boolean): number {
    const message = isText ? this.#decoder.decodeText(payload) : payload;
    if (message === null) return this.#fail(CLOSE_INVALID_PAYLOAD, "The text is not UTF-8.");
    this.#message = message;
    return FOUND_MESSAGE;
  }

  #fail(code: number, reason: string): number {
    this.#decoder.close();
    this.closeCode = code;
    this.closeReason = reason;
    return FAILED;
  }
}
