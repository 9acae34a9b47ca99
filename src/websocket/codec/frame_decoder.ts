/**
 * The messages and control frames of one client, taken out of its bytes (RFC 6455 section 5).
 *
 * It decides what a frame is, where a message ends and with which close code a wrong one is
 * answered. Whatever is wrong is told at the first byte that shows it. It must not know where its
 * bytes come from: `next` tells what was found, and the fields of the decoder hold it. Payload is
 * unmasked where it lies.
 *
 * @module
 */

import {
  CLOSE_INVALID_PAYLOAD,
  CLOSE_PROTOCOL_ERROR,
  CLOSE_TOO_BIG,
  CLOSE_WITHOUT_CODE,
  CONTROL_BIT,
  FIN_BIT,
  isCloseCode,
  MASK_BIT,
  MAX_CONTROL_BYTES,
  OP_BINARY,
  OP_CLOSE,
  OP_CONTINUATION,
  OP_PING,
  OP_PONG,
  OP_TEXT,
  RESERVED_BITS,
  RSV1_BIT,
} from "./frame.ts";
import { GatheredMessage } from "./gathered_message.ts";
import { areAscii, turnKey, unmask } from "./masking.ts";
import { Utf8Check } from "./utf8_check.ts";

/** More bytes are needed. */
export const NEED_MORE = 0;
/** A message is whole: its payload, and `text` where it is text that is not compressed. */
export const FOUND_MESSAGE = 1;
/** A Ping: its payload. */
export const FOUND_PING = 2;
/** A Pong: its payload. */
export const FOUND_PONG = 3;
/** A Close: `closeCode` and `closeReason`. What comes behind it is dropped. */
export const FOUND_CLOSE = 4;
/** The client breaks the protocol: `closeCode` and `closeReason` to answer with. What comes behind it is dropped. */
export const FAILED = 5;

// What is expected next.
const FIRST_BYTE = 0;
const SECOND_BYTE = 1;
const LENGTH_BYTES = 2;
const KEY_BYTES = 3;
const PAYLOAD = 4;
const NOTHING = 5;

/** DEFLATE may make content longer, by 5 bytes for each block that it stores as it is (RFC 1951 section 3.2.4). */
const MAX_STORED_OVERHEAD = 1 / 512;

const NO_BYTES = new Uint8Array(0);
const UTF8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** What a decoder may take. */
export interface FrameLimits {
  /** The longest message, in bytes. */
  readonly maxMessageBytes: number;
  /** Whether the client may send messages that are compressed. */
  readonly mayBeCompressed: boolean;
}

/** Decodes the frames of one client. */
export class FrameDecoder {
  /** The payload that was found, from `start` up to `end`; valid until the next call of `next`. */
  bytes: Uint8Array<ArrayBuffer> = NO_BYTES;
  start = 0;
  end = 0;
  /** Whether the buffer of `bytes` holds nothing else and is used by nothing else: it may be kept. */
  isOwnBuffer = false;
  /** Whether the message is text. */
  isText = false;
  /** Whether the payload of the message has to be inflated. */
  isCompressed = false;
  /** The message, where it is text that is not compressed. */
  text = "";
  closeCode = 0;
  closeReason = "";
  readonly #limits: FrameLimits;
  readonly #decodeLatin1: (bytes: Uint8Array, start: number, end: number) => string;
  readonly #utf8 = new Utf8Check();
  #window: Uint8Array<ArrayBuffer> = NO_BYTES;
  #at = 0;
  #limit = 0;
  #expected = FIRST_BYTE;
  // The present frame.
  #opcode = 0;
  #isFinal = false;
  /** Bytes still to come of its length or its key, and what came of them. */
  #missingBytes = 0;
  #lengthBytes = 0;
  #length = 0;
  #key = 0;
  /** Bytes of its payload still to come. */
  #remainingBytes = 0;
  // The present message.
  #isInMessage = false;
  readonly #gathered = new GatheredMessage();
  #textBits = 0;
  /** The payload of a control frame that does not come at once. */
  #control: Uint8Array<ArrayBuffer> | null = null;
  #controlBytes = 0;

  /**
   * @param limits What it may take.
   * @param decodeLatin1 The runtime's way from bytes to a string.
   */
  constructor(limits: FrameLimits, decodeLatin1: (bytes: Uint8Array, start: number, end: number) => string) {
    this.#limits = limits;
    this.#decodeLatin1 = decodeLatin1;
  }

  /** Bytes that were fed and not used yet. */
  get pendingBytes(): number {
    return this.#limit - this.#at;
  }

  /** Takes borrowed bytes, which it changes, behind those that are kept. */
  feed(borrowed: Uint8Array<ArrayBuffer>): void {
    this.#window = this.#at === this.#limit ? borrowed : joined(this.#window.subarray(this.#at, this.#limit), borrowed);
    this.#at = 0;
    this.#limit = this.#window.byteLength;
  }

  /** Keeps what was fed and not used yet, because the bytes go back to their owner. */
  keepRest(): void {
    this.#window = this.#at === this.#limit ? NO_BYTES : this.#window.slice(this.#at, this.#limit);
    this.#at = 0;
    this.#limit = this.#window.byteLength;
  }

  /** Takes nothing more: what comes is dropped. */
  close(): void {
    this.#expected = NOTHING;
    this.#gathered.clear();
    this.#control = null;
    this.#window = NO_BYTES;
    this.#at = 0;
    this.#limit = 0;
  }

  /** Goes on to the next thing in the bytes. */
  next(): number {
    while (this.#at < this.#limit) {
      const byte = this.#window[this.#at];
      let found = NEED_MORE;
      if (this.#expected < PAYLOAD) this.#at++;
      switch (this.#expected) {
        case FIRST_BYTE:
          found = this.#takeFirst(byte);
          break;
        case SECOND_BYTE:
          found = this.#takeSecond(byte);
          break;
        case LENGTH_BYTES:
          found = this.#takeLength(byte);
          break;
        case KEY_BYTES:
          found = this.#takeKey(byte);
          break;
        case PAYLOAD:
          found = this.#takePayload();
          break;
        default:
          this.#at = this.#limit;
      }
      if (found !== NEED_MORE) return found;
    }
    return NEED_MORE;
  }

  /** The text of a payload that was decompressed, or `null` where it is not UTF-8. */
  decodeText(payload: Uint8Array): string | null {
    return this.#decode(payload, 0, payload.byteLength, -1);
  }

  #takeFirst(byte: number): number {
    const opcode = byte & 0x0f;
    const isControl = (opcode & CONTROL_BIT) !== 0;
    if ((byte & RESERVED_BITS) !== 0) return this.#refuse("A reserved bit is set.");
    const isCompressed = (byte & RSV1_BIT) !== 0;
    if (isCompressed && !this.#limits.mayBeCompressed) return this.#refuse("A reserved bit is set.");
    // RFC 7692 section 6.1: the bit stands on the first frame of a message only.
    if (isCompressed && opcode !== OP_TEXT && opcode !== OP_BINARY) {
      return this.#refuse("The bit of compression is set on a frame that begins no message.");
    }
    const isFinal = (byte & FIN_BIT) !== 0;
    if (isControl) {
      if (opcode > OP_PONG) return this.#refuse("The opcode is unknown.");
      if (!isFinal) return this.#refuse("A control frame is fragmented.");
    } else if (opcode === OP_CONTINUATION) {
      if (!this.#isInMessage) return this.#refuse("A continuation continues no message.");
    } else {
      if (opcode > OP_BINARY) return this.#refuse("The opcode is unknown.");
      if (this.#isInMessage) return this.#refuse("A message begins before the one before it has ended.");
      this.#beginMessage(opcode, isCompressed);
    }
    this.#opcode = opcode;
    this.#isFinal = isFinal;
    this.#expected = SECOND_BYTE;
    return NEED_MORE;
  }

  #beginMessage(opcode: number, isCompressed: boolean): void {
    this.#isInMessage = true;
    this.isText = opcode === OP_TEXT;
    this.isCompressed = isCompressed;
    this.#textBits = 0;
    this.#gathered.clear();
  }

  #takeSecond(byte: number): number {
    if ((byte & MASK_BIT) === 0) return this.#refuse("A frame of the client is not masked.");
    const length = byte & 0x7f;
    if ((this.#opcode & CONTROL_BIT) !== 0) {
      if (length > MAX_CONTROL_BYTES) return this.#refuse("A control frame is longer than 125 bytes.");
      if (this.#opcode === OP_CLOSE && length === 1) return this.#refuse("A Close frame has half a code.");
    }
    if (length < 126) {
      this.#length = length;
      return this.#endLength();
    }
    this.#length = 0;
    this.#lengthBytes = this.#missingBytes = length === 126 ? 2 : 8;
    this.#expected = LENGTH_BYTES;
    return NEED_MORE;
  }

  #takeLength(byte: number): number {
    if (this.#missingBytes === 8 && byte > 0x7f) return this.#refuse("A length has more than 63 bits.");
    this.#length = this.#length * 256 + byte;
    if (--this.#missingBytes > 0) return NEED_MORE;
    // RFC 6455 section 5.2: the minimal number of bytes must be used.
    const isShortest = this.#lengthBytes === 2 ? this.#length > 125 : this.#length > 0xffff;
    return isShortest ? this.#endLength() : this.#refuse("A length is not in its shortest form.");
  }

  #endLength(): number {
    const length = this.#length;
    if ((this.#opcode & CONTROL_BIT) === 0 && this.#gathered.byteLength + length > this.#maxPayloadBytes()) {
      return this.#fail(CLOSE_TOO_BIG, `The message is longer than ${this.#limits.maxMessageBytes} bytes.`);
    }
    this.#remainingBytes = length;
    this.#controlBytes = 0;
    this.#key = 0;
    this.#missingBytes = 4;
    this.#expected = KEY_BYTES;
    return NEED_MORE;
  }

  #maxPayloadBytes(): number {
    const { maxMessageBytes } = this.#limits;
    if (!this.isCompressed) return maxMessageBytes;
    return maxMessageBytes + Math.ceil(maxMessageBytes * MAX_STORED_OVERHEAD) + MAX_CONTROL_BYTES;
  }

  #takeKey(byte: number): number {
    this.#key |= byte << (8 * (4 - this.#missingBytes));
    if (--this.#missingBytes > 0) return NEED_MORE;
    this.#expected = PAYLOAD;
    // A frame without payload has come whole with its key.
    return this.#length === 0 ? this.#takePayload() : NEED_MORE;
  }

  #takePayload(): number {
    const start = this.#at;
    const end = Math.min(this.#limit, start + this.#remainingBytes);
    const bits = unmask(this.#window, start, end, this.#key);
    this.#at = end;
    this.#key = turnKey(this.#key, end - start);
    this.#remainingBytes -= end - start;
    if ((this.#opcode & CONTROL_BIT) !== 0) return this.#takeControl(start, end);
    this.#textBits |= bits;
    const isWhole = this.#remainingBytes === 0 && this.#isFinal;
    if (isWhole) this.#isInMessage = false;
    if (this.#remainingBytes === 0) this.#expected = FIRST_BYTE;
    const gathered = this.#gathered;
    if (isWhole && gathered.isEmpty) return this.#foundMessage(this.#window, start, end, false);
    if (this.isText && !this.isCompressed && !this.#checkText(start, end, bits, isWhole)) return FAILED;
    // How long the message gets is known in its last frame.
    gathered.add(this.#window, start, end, this.#isFinal ? this.#remainingBytes : -1);
    if (!isWhole) return NEED_MORE;
    return this.#foundMessage(gathered.take(), 0, gathered.byteLength, true);
  }

  /** Checks a piece of a text that comes in several, so that a wrong one is not waited for any longer. */
  #checkText(start: number, end: number, bits: number, isWhole: boolean): boolean {
    const utf8 = this.#utf8;
    if (this.#gathered.isEmpty) utf8.reset();
    const isValid = utf8.isAtBoundary && areAscii(bits) || utf8.take(this.#window, start, end);
    if (isValid && (!isWhole || utf8.isAtBoundary)) return true;
    this.#failText();
    return false;
  }

  #foundMessage(bytes: Uint8Array<ArrayBuffer>, start: number, end: number, isOwnBuffer: boolean): number {
    this.#found(bytes, start, end);
    this.isOwnBuffer = isOwnBuffer && end === bytes.byteLength;
    if (!this.isText || this.isCompressed) return FOUND_MESSAGE;
    const text = this.#decode(bytes, start, end, this.#textBits);
    if (text === null) return this.#failText();
    this.text = text;
    return FOUND_MESSAGE;
  }

  #takeControl(start: number, end: number): number {
    const isWhole = this.#remainingBytes === 0;
    if (isWhole && this.#controlBytes === 0) {
      this.#found(this.#window, start, end);
    } else {
      const control = this.#control ??= new Uint8Array(MAX_CONTROL_BYTES);
      control.set(this.#window.subarray(start, end), this.#controlBytes);
      this.#controlBytes += end - start;
      if (!isWhole) return NEED_MORE;
      this.#found(control, 0, this.#controlBytes);
    }
    this.#expected = FIRST_BYTE;
    if (this.#opcode === OP_PING) return FOUND_PING;
    return this.#opcode === OP_PONG ? FOUND_PONG : this.#foundClose();
  }

  #foundClose(): number {
    const { bytes, start, end } = this;
    this.closeCode = CLOSE_WITHOUT_CODE;
    this.closeReason = "";
    if (start < end) {
      const code = bytes[start] * 256 + bytes[start + 1];
      if (!isCloseCode(code)) return this.#refuse("A Close frame has a code that is not allowed.");
      const reason = this.#decode(bytes, start + 2, end, -1);
      if (reason === null) return this.#fail(CLOSE_INVALID_PAYLOAD, "The reason of a Close frame is not UTF-8.");
      this.closeCode = code;
      this.closeReason = reason;
    }
    this.close();
    return FOUND_CLOSE;
  }

  #found(bytes: Uint8Array<ArrayBuffer>, start: number, end: number): void {
    this.bytes = bytes;
    this.start = start;
    this.end = end;
  }

  /** The text of bytes, or `null` where they are not UTF-8. */
  #decode(bytes: Uint8Array, start: number, end: number, bits: number): string | null {
    if (areAscii(bits)) return start === end ? "" : this.#decodeLatin1(bytes, start, end);
    try {
      return UTF8.decode(bytes.subarray(start, end));
    } catch {
      return null;
    }
  }

  #failText(): number {
    return this.#fail(CLOSE_INVALID_PAYLOAD, "The text is not UTF-8.");
  }

  #refuse(reason: string): number {
    return this.#fail(CLOSE_PROTOCOL_ERROR, reason);
  }

  #fail(closeCode: number, reason: string): number {
    this.close();
    this.closeCode = closeCode;
    this.closeReason = reason;
    return FAILED;
  }
}

function joined(first: Uint8Array, second: Uint8Array): Uint8Array<ArrayBuffer> {
  const both = new Uint8Array(first.byteLength + second.byteLength);
  both.set(first);
  both.set(second, first.byteLength);
  return both;
}
