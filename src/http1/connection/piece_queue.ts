/**
 * What waits to be handed to the transport, in order: pieces in memory of their own, and behind them what is left of one
 * long content, whose parts are made when the transport takes them.
 *
 * It decides what leaves together. It must not know what the pieces mean, nor until when the peer has to take them.
 *
 * @module
 */

import type { TransportConnection } from "../../transport.ts";
import type { ContentRest } from "./long_content.ts";

/**
 * The largest single write. A peer that takes this much within the write timeout is alive, however large the response
 * is; the transport's own high water is of the same order.
 */
export const MAX_WRITE_BYTES: number = 64 * 1024;
/** What is handed over together: the largest single write, and framing around it. */
export const MAX_JOINT_WRITE_BYTES: number = 72 * 1024;

/** The queue of one connection, while anything waits there. */
export class PieceQueue {
  /** How many bytes wait, those that are still to be made included. */
  byteLength = 0;
  /** Whether bytes have lost their memory that had to be sent: the peer must not be told that all came. */
  hasLostBytes = false;
  /** In order; those before `#sentPieces` are sent. */
  readonly #pieces: Uint8Array[] = [];
  #sentPieces = 0;
  #rest: ContentRest | null = null;

  /** Whether nothing waits but what is left of long content. */
  get hasNoPieces(): boolean {
    return this.#sentPieces === this.#pieces.length;
  }

  /** Whether long content has more than its pieces. */
  get hasRest(): boolean {
    return this.#rest !== null;
  }

  /** Whether nothing waits. */
  get isEmpty(): boolean {
    return this.hasNoPieces && this.#rest === null && !this.hasLostBytes;
  }

  /** Adds bytes, divided into pieces that are no larger than a write; none may be empty. */
  add(bytes: Uint8Array): void {
    const { byteLength } = bytes;
    this.byteLength += byteLength;
    for (let at = 0; at < byteLength; at += MAX_WRITE_BYTES) {
      this.#pieces.push(byteLength <= MAX_WRITE_BYTES ? bytes : bytes.subarray(at, at + MAX_WRITE_BYTES));
    }
  }

  /** Adds what is left of long content; no other may be there. */
  hold(rest: ContentRest): void {
    this.#rest = rest;
    this.byteLength += rest.leftBytes;
  }

  /** Makes all that is left pieces: something else comes behind it. */
  closeRest(): void {
    const rest = this.#rest;
    if (rest === null) return;
    while (rest.take(false)) {
      this.byteLength -= rest.bytes.byteLength;
      this.add(rest.bytes);
    }
    this.#endRest(rest);
  }

  /** Hands over as much as the transport takes. Returns whether it takes more. */
  writeTo(transport: TransportConnection): boolean {
    while (this.#sentPieces < this.#pieces.length) {
      if (!this.#writeJointly(transport)) return false;
    }
    const rest = this.#rest;
    if (rest === null) return true;
    let isFree = true;
    while (isFree && rest.take(true)) {
      const { bytes, start, end } = rest;
      this.byteLength -= end - start;
      isFree = transport.writeBorrowed(bytes, start, end);
    }
    if (rest.isOver) {
      this.#endRest(rest);
      rest.free();
    }
    return isFree && !this.hasLostBytes;
  }

  /** Hands over the next pieces, as many as may go together. Returns whether the transport takes more. */
  #writeJointly(transport: TransportConnection): boolean {
    const pieces = this.#pieces;
    const first = this.#sentPieces;
    let jointBytes = pieces[first].byteLength;
    let end = first + 1;
    this.hasLostBytes ||= jointBytes === 0;
    while (end < pieces.length && jointBytes + pieces[end].byteLength <= MAX_JOINT_WRITE_BYTES) {
      // No piece is empty when it is added.
      this.hasLostBytes ||= pieces[end].byteLength === 0;
      jointBytes += pieces[end++].byteLength;
    }
    if (this.hasLostBytes) return false;
    this.#sentPieces = end;
    this.byteLength -= jointBytes;
    if (end === first + 1) return transport.write(pieces[first], 0, jointBytes);
    const isWhole = end - first === pieces.length;
    return transport.writeAll(isWhole ? pieces : pieces.slice(first, end));
  }

  /** Nothing is left. The parts must be as long as the runtime has said of the whole: the head has told the peer so. */
  #endRest(rest: ContentRest): void {
    this.#rest = null;
    this.hasLostBytes ||= rest.leftBytes !== 0;
  }
}
