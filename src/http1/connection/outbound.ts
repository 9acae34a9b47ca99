/**
 * What a connection sends: the one writer of its socket.
 *
 * It decides how text and bytes become as few writes as possible, and knows whether the peer keeps up and until when it
 * has to. It must not know what the bytes mean.
 *
 * @module
 */

import type { CoarseClock } from "../../exchange/coarse_clock.ts";
import type { Clock } from "../../runtime.ts";
import type { TransportConnection } from "../../transport.ts";
import {
  type ContentHolder,
  ContentRest,
  LongContent,
  MAX_UTF8_BYTES_PER_CHAR,
  MIN_LONG_LENGTH,
  type TextEncoding,
} from "./long_content.ts";
import { MAX_JOINT_WRITE_BYTES, MAX_WRITE_BYTES, PieceQueue } from "./piece_queue.ts";

/** Storage from which many small writes are cut. A write owns its part for ever; a used-up slab is left to them. */
const SLAB_BYTES = 32 * 1024;
/** Smaller bytes are copied behind the text before them; larger ones become a write of their own. */
const MAX_COPIED_BYTES = 8 * 1024;

/** The digits of a length, and two line ends. */
const MAX_LENGTH_BYTES = 20;
/** Shorter text is encoded char by char, which is faster than to call the encoder. */
const MAX_LOOPED_CHARS = 48;

const NO_BYTES = new Uint8Array(0);

/** The storage that all connections of a server cut their small writes from. */
export class OutboundSlab {
  /** The present storage. */
  bytes: Uint8Array = new Uint8Array(SLAB_BYTES);
  /** Bytes of it that are given away. */
  usedBytes = 0;
  /** Where long content is put behind its head. */
  readonly long: LongContent;
  readonly #encoding: TextEncoding;

  constructor(encoding: TextEncoding) {
    this.#encoding = encoding;
    this.long = new LongContent(encoding);
  }

  /** Makes sure that so many contiguous bytes are free (at most the size of a slab). */
  reserve(neededBytes: number): void {
    if (this.usedBytes + neededBytes <= this.bytes.byteLength) return;
    this.bytes = new Uint8Array(SLAB_BYTES);
    this.usedBytes = 0;
  }

  /** Writes text to the free part if it is ASCII; there must be room as for UTF-8. Returns whether it is. */
  writeAscii(text: string): boolean {
    const { length } = text;
    if (length > MAX_LOOPED_CHARS) return this.writeUtf8(text) === length;
    const { bytes, usedBytes } = this;
    for (let i = 0; i < length; i++) {
      const charCode = text.charCodeAt(i);
      if (charCode > 0x7f) return false;
      bytes[usedBytes + i] = charCode;
    }
    return true;
  }

  /** How many bytes text takes as UTF-8. */
  utf8Length(text: string): number {
    return this.#encoding.utf8Length(text);
  }

  /** Writes text to the free part as UTF-8, for which the caller has reserved room. Returns how many bytes it takes. */
  writeUtf8(text: string): number {
    return this.#encoding.encodeUtf8(text, this.bytes, this.usedBytes);
  }
}

/** What the connections of a server share for sending. */
export interface OutboundHost {
  readonly slab: OutboundSlab;
  readonly clock: CoarseClock;
  /** Where sent bytes are counted. */
  readonly counters: { bytesSent: number };
  /** Tells when this turn of the event loop is over. */
  readonly turnClock: Pick<Clock, "defer">;
  /** How long the peer may take for what the transport holds; 0 is no bound. */
  readonly settings: { readonly writeTimeoutMs: number };
}

/** Writes a length in digits and two line ends. Returns where they end. */
function writeLength(bytes: Uint8Array, start: number, length: number): number {
  let unit = 1;
  while (length >= unit * 10) unit *= 10;
  let at = start;
  for (let left = length; unit >= 1; unit = unit === 1 ? 0 : (unit / 10) | 0) {
    const digit = (left / unit) | 0;
    bytes[at++] = 0x30 + digit;
    left -= digit * unit;
  }
  bytes[at++] = 13;
  bytes[at++] = 10;
  bytes[at++] = 13;
  bytes[at++] = 10;
  return at;
}

/** Gathers what one connection sends until it is flushed. */
export class Outbound implements ContentHolder {
  readonly #transport: TransportConnection;
  readonly #slab: OutboundSlab;
  readonly #host: OutboundHost;
  /** What waits before the open piece; rarely there. */
  #queue: PieceQueue | null = null;
  /** The storage the open piece is cut from, and where it lies in it. */
  #openBytes: Uint8Array = NO_BYTES;
  #openStart = 0;
  #openEnd = 0;
  /** Whether that storage is the one of long content, which others use next. */
  #isBorrowed = false;
  #isFlushDue = false;
  /** Whether the transport holds more than it likes, until its next drain. */
  isCongested = false;
  /** When the peer must have taken what the transport holds, on the clock of the server. */
  writeAtMs = Infinity;

  /**
   * @param transport Where to.
   * @param host What the server's connections share.
   */
  constructor(transport: TransportConnection, host: OutboundHost) {
    this.#transport = transport;
    this.#slab = host.slab;
    this.#host = host;
  }

  /** Whether so much was gathered that it is handed over before more is. */
  get isFull(): boolean {
    return this.gatheredBytes > MAX_WRITE_BYTES;
  }

  /** Bytes gathered and not handed to the transport yet. */
  get gatheredBytes(): number {
    const openBytes = this.#openEnd - this.#openStart;
    return this.#queue === null ? openBytes : this.#queue.byteLength + openBytes;
  }

  /** Whether bytes are lost that had to be sent: the peer must not be told that all came. */
  get hasLostBytes(): boolean {
    return this.#queue?.hasLostBytes === true;
  }

  /**
   * Adds text whose char codes are its bytes, as in a message head: field values may have obs-text (RFC 9110 section
   * 5.5). Nearly all of it is ASCII, for which the encoder of UTF-8 gives the same bytes, and fastest.
   */
  appendLatin1(text: string): void {
    if (!this.appendAscii(text)) this.appendBytes(latin1Bytes(text));
  }

  /**
   * Adds text if it is ASCII, and not too long for a slab.
   *
   * @returns Whether it was added; else nothing was.
   */
  appendAscii(text: string): boolean {
    const length = text.length;
    if (length * MAX_UTF8_BYTES_PER_CHAR > SLAB_BYTES) return false;
    this.#open(length * MAX_UTF8_BYTES_PER_CHAR);
    const slab = this.#slab;
    if (!slab.writeAscii(text)) return false;
    slab.usedBytes += length;
    this.#openEnd = slab.usedBytes;
    return true;
  }

  /** How many bytes text takes. */
  utf8Length(text: string): number {
    return this.#slab.utf8Length(text);
  }

  /**
   * Takes long content, for {@linkcode appendWithLong} with the head that names the number of its bytes. Nothing else may
   * be added in between.
   *
   * @returns How many bytes it has; -1 where its length is none for that, or where it would only be copied once more.
   */
  takeLong(content: string | Uint8Array): number {
    // Bytes have memory to wait in.
    return this.gatheredBytes > 0 && typeof content !== "string" ? -1 : this.#slab.long.put(content);
  }

  /** Adds a head, and behind it the content that was taken for it. */
  appendWithLong(head: string): void {
    const { long } = this.#slab;
    const start = long.prependAscii(head);
    if (start >= 0) {
      this.#addLong(start);
      return;
    }
    this.appendLatin1(head);
    this.#appendCopy(long.start);
  }

  /** Adds text that is too long to be taken, of which `byteLength` is the length. */
  appendText(text: string, byteLength: number): void {
    this.#appendParts(text, byteLength, null);
  }

  /**
   * Adds a head that lacks the digits of its Content-Length and what stands behind them, and the content, if that is
   * short bytes, short text of ASCII, or long content that {@linkcode takeLong} takes.
   *
   * @returns How many bytes of content were added; -1 where nothing was.
   */
  appendShaped(head: Uint8Array, content: string | Uint8Array): number {
    const isText = typeof content === "string";
    if (content.length >= MIN_LONG_LENGTH) {
      const byteLength = this.takeLong(content);
      if (byteLength >= 0) {
        const start = this.#slab.long.prepend(head, (bytes, at) => writeLength(bytes, at, byteLength));
        if (start < 0) return -1;
        this.#addLong(start);
        return byteLength;
      }
    }
    const length = content.length;
    const headBytes = head.byteLength;
    const neededBytes = headBytes + MAX_LENGTH_BYTES + (isText ? length * MAX_UTF8_BYTES_PER_CHAR : length);
    if (neededBytes > SLAB_BYTES || (!isText && length > MAX_COPIED_BYTES)) return -1;
    this.#open(neededBytes);
    const slab = this.#slab;
    const start = slab.usedBytes;
    slab.bytes.set(head, start);
    const contentStart = writeLength(slab.bytes, start + headBytes, length);
    if (isText) {
      slab.usedBytes = contentStart;
      if (!slab.writeAscii(content)) {
        slab.usedBytes = start;
        return -1;
      }
    } else slab.bytes.set(content, contentStart);
    slab.usedBytes = contentStart + length;
    this.#openEnd = slab.usedBytes;
    return length;
  }

  /**
   * Adds bytes, which belong to the transport from here on, or are lent.
   *
   * @param onLeft Given for bytes that are lent: they are not looked at any more.
   */
  appendBytes(bytes: Uint8Array, onLeft: (() => void) | null = null): void {
    const byteLength = bytes.byteLength;
    if (byteLength > MAX_COPIED_BYTES) {
      if (onLeft !== null) {
        this.#appendParts(bytes, byteLength, onLeft);
        return;
      }
      this.#closeOpenPiece();
      this.#openQueue().add(bytes);
      return;
    }
    this.#open(byteLength);
    this.#slab.bytes.set(bytes, this.#openEnd);
    this.#openEnd += byteLength;
    this.#slab.usedBytes = this.#openEnd;
    onLeft?.();
  }

  /**
   * Hands bytes over as they are, behind what was gathered: their writer has gathered them already, and copying or
   * dividing them would cost more than the write. They belong to the transport from here on, unless they are borrowed.
   * Returns whether everything was handed over.
   */
  pass(bytes: Uint8Array, start: number, end: number, areBorrowed: boolean): boolean {
    const mustGather = this.gatheredBytes > 0 || this.isCongested || end - start > MAX_JOINT_WRITE_BYTES;
    if (mustGather) {
      this.appendBytes(areBorrowed ? bytes.slice(start, end) : bytes.subarray(start, end));
      return this.flush();
    }
    this.#write(bytes, start, end, areBorrowed);
    return !this.isCongested;
  }

  /** Hands over as much as the peer takes. Returns whether that was everything. */
  flush(): boolean {
    if (this.isCongested) return false;
    const queue = this.#queue;
    if (this.#openEnd > this.#openStart && queue === null) {
      const bytes = this.#openBytes;
      const start = this.#openStart;
      const end = this.#openEnd;
      const isBorrowed = this.#isBorrowed;
      this.#releaseOpenPiece();
      this.#write(bytes, start, end, isBorrowed);
    } else {
      this.#closeOpenPiece();
      this.#releaseOpenPiece();
    }
    if (this.#queue !== null) this.#writeQueue(this.#queue);
    return !this.isCongested;
  }

  /**
   * Has what was gathered handed over when this turn of the event loop is over, once however often that is asked for.
   *
   * @param flush Hands it over, unless it was meanwhile.
   */
  flushLater(flush: () => void): void {
    if (this.#isFlushDue) return;
    this.#isFlushDue = true;
    this.#host.turnClock.defer(() => {
      this.#isFlushDue = false;
      if (this.gatheredBytes > 0) flush();
    });
  }

  /** The transport has sent what it held, and takes more. */
  drained(): void {
    this.isCongested = false;
    this.writeAtMs = Infinity;
  }

  /** Forgets what was gathered: the connection is gone. */
  discard(): void {
    this.#queue?.discard();
    this.#queue = null;
    this.#releaseOpenPiece();
  }

  /** See {@linkcode ContentHolder.keepContent}. */
  keepContent(): void {
    this.#closeOpenPiece();
  }

  /** Adds the content that was taken, whose head begins at `start`. It stays in its storage if it can leave at once. */
  #addLong(start: number): void {
    const { long } = this.#slab;
    const byteLength = long.end - start;
    if (this.gatheredBytes > 0 || byteLength > MAX_JOINT_WRITE_BYTES) {
      this.#appendCopy(start);
      return;
    }
    long.holder = this;
    this.#isBorrowed = true;
    this.#openBytes = long.bytes;
    this.#openStart = start;
    this.#openEnd = long.end;
  }

  /** Adds a copy of the content that was taken, from `start` on. */
  #appendCopy(start: number): void {
    const { bytes, end } = this.#slab.long;
    this.appendBytes(end - start > MAX_COPIED_BYTES ? bytes.slice(start, end) : bytes.subarray(start, end));
  }

  #appendParts(content: string | Uint8Array, byteLength: number, onLeft: (() => void) | null): void {
    this.#closeOpenPiece();
    this.#openQueue().addRest(new ContentRest(content, byteLength, this.#slab.long, onLeft));
  }

  #openQueue(): PieceQueue {
    return this.#queue ??= new PieceQueue();
  }

  /** An idle connection must not hold on to a slab that others have used up. */
  #releaseOpenPiece(): void {
    if (this.#isBorrowed) {
      this.#isBorrowed = false;
      this.#slab.long.holder = null;
    }
    this.#openBytes = NO_BYTES;
    this.#openStart = 0;
    this.#openEnd = 0;
  }

  #write(bytes: Uint8Array, start: number, end: number, areBorrowed: boolean): void {
    const transport = this.#transport;
    this.#host.counters.bytesSent += end - start;
    if (!(areBorrowed ? transport.writeBorrowed(bytes, start, end) : transport.write(bytes, start, end))) {
      this.#congest();
    }
  }

  /** The wait for the peer begins, for each write anew. */
  #congest(): void {
    this.isCongested = true;
    this.writeAtMs = this.#host.clock.deadlineAfter(this.#host.settings.writeTimeoutMs);
  }

  #writeQueue(queue: PieceQueue): void {
    const { byteLength } = queue;
    const isFree = queue.writeTo(this.#transport);
    this.#host.counters.bytesSent += byteLength - queue.byteLength;
    if (!isFree) this.#congest();
    if (queue.isEmpty) this.#queue = null;
  }

  /** Makes the open piece one that ends where the slab's free part begins, with so many bytes of room. */
  #open(neededBytes: number): void {
    const slab = this.#slab;
    slab.reserve(neededBytes);
    if (this.#openBytes === slab.bytes && this.#openEnd === slab.usedBytes) return;
    // The slab is a new one, or another connection has written in between.
    if (this.#openEnd > this.#openStart) this.#closeOpenPiece();
    this.#openBytes = slab.bytes;
    this.#openStart = slab.usedBytes;
    this.#openEnd = slab.usedBytes;
  }

  #closeOpenPiece(): void {
    if (this.#openEnd === this.#openStart) return;
    const bytes = this.#openBytes;
    if (this.#isBorrowed) {
      this.#openQueue().add(bytes.slice(this.#openStart, this.#openEnd));
      this.#releaseOpenPiece();
      return;
    }
    this.#openQueue().add(bytes.subarray(this.#openStart, this.#openEnd));
    this.#openStart = this.#openEnd;
  }
}

function latin1Bytes(text: string): Uint8Array {
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  return bytes;
}
