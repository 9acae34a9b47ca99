/**
 * What waits to be handed to the transport, in order: pieces in memory of their own, and long content, whose parts are
 * made when the transport takes them.
 *
 * It decides what leaves together. It must not know what the pieces mean, nor until when the peer has to take them.
 *
 * @module
 */

import type { TransportConnection } from "../../transport.ts";
import { ContentRest } from "./long_content.ts";

/**
 * The largest single write. A peer that takes this much within the write timeout is alive, however large the response
 * is; the transport's own high water is of the same order.
 */
export const MAX_WRITE_BYTES: number = 64 * 1024;
/** What is handed over together: the largest single write, and framing around it. */
export const MAX_JOINT_WRITE_BYTES: number = 72 * 1024;

/** What is handed over with a part behind it, such as a head. */
const MAX_AHEAD_BYTES = 8 * 1024;

const NO_BYTES = new Uint8Array(0);

/** The queue of one connection, while anything waits there. */
export class PieceQueue {
  /** How many bytes wait, those that are still to be made included. */
  byteLength = 0;
  /** Whether bytes have lost their memory that had to be sent: the peer must not be told that all came. */
  hasLostBytes = false;
  /** In order; those before `#sent` have left. */
  readonly #waiting: (Uint8Array | ContentRest)[] = [];
  #sent = 0;

  /** Whether nothing waits. */
  get isEmpty(): boolean {
    return this.#sent === this.#waiting.length && !this.hasLostBytes;
  }

  /** Adds bytes, divided into pieces that are no larger than a write; none may be empty. */
  add(bytes: Uint8Array): void {
    const { byteLength } = bytes;
    this.byteLength += byteLength;
    for (let at = 0; at < byteLength; at += MAX_WRITE_BYTES) {
      this.#waiting.push(byteLength <= MAX_WRITE_BYTES ? bytes : bytes.subarray(at, at + MAX_WRITE_BYTES));
    }
  }

  /** Adds what is left of long content. */
  addRest(rest: ContentRest): void {
    this.byteLength += rest.leftBytes;
    this.#waiting.push(rest);
  }

  /** Hands over as much as the transport takes. Returns whether it takes more. */
  writeTo(transport: TransportConnection): boolean {
    const waiting = this.#waiting;
    let isFree = true;
    while (isFree && this.#sent < waiting.length) {
      const next = waiting[this.#sent];
      if (next instanceof ContentRest) isFree = this.#writeParts(next, NO_BYTES, transport);
      else isFree = this.#writeAhead(next, transport) ?? this.#writeJointly(next, transport);
    }
    return isFree;
  }

  /** Forgets what waits: nothing of it is looked at any more. */
  discard(): void {
    for (let at = this.#sent; at < this.#waiting.length; at++) {
      const waits = this.#waiting[at];
      if (waits instanceof ContentRest) waits.release();
    }
  }

  /** Hands a short piece over with the first part behind it, if that follows; `null` where it does not. */
  #writeAhead(piece: Uint8Array, transport: TransportConnection): boolean | null {
    const rest = this.#waiting[this.#sent + 1];
    if (!(rest instanceof ContentRest) || piece.byteLength > MAX_AHEAD_BYTES || piece.byteLength === 0) return null;
    this.#sent++;
    return this.#writeParts(rest, piece, transport);
  }

  /** Hands over parts of long content, what stands before them first. Returns whether the transport takes more. */
  #writeParts(rest: ContentRest, before: Uint8Array, transport: TransportConnection): boolean {
    let isFree = true;
    let ahead = before;
    while (isFree && rest.take(ahead)) {
      const { bytes, start, end } = rest;
      ahead = NO_BYTES;
      this.byteLength -= end - start;
      isFree = transport.writeBorrowed(bytes, start, end);
    }
    if (!rest.isOver) return false;
    this.#sent++;
    rest.release();
    // The parts must be as long as the runtime has said of the whole: the head has told the peer so.
    this.hasLostBytes ||= rest.leftBytes !== 0;
    return isFree && !this.hasLostBytes;
  }

  /** Hands over the next pieces, as many as may go together. Returns whether the transport takes more. */
  #writeJointly(piece: Uint8Array, transport: TransportConnection): boolean {
    const waiting = this.#waiting;
    const first = this.#sent;
    let jointBytes = piece.byteLength;
    let end = first + 1;
    this.hasLostBytes ||= jointBytes === 0;
    for (; end < waiting.length; end++) {
      const next = waiting[end];
      if (next instanceof ContentRest || jointBytes + next.byteLength > MAX_JOINT_WRITE_BYTES) break;
      // No piece is empty when it is added.
      this.hasLostBytes ||= next.byteLength === 0;
      jointBytes += next.byteLength;
    }
    if (this.hasLostBytes) return false;
    this.#sent = end;
    this.byteLength -= jointBytes;
    if (end === first + 1) return transport.write(piece, 0, jointBytes);
    return transport.writeAll(waiting.slice(first, end) as Uint8Array[]);
  }
}
