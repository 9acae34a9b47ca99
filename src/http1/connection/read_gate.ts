/**
 * Whether the socket of a connection is read.
 *
 * It decides what the word of a row of `lifecycle.ts` means now. It must not know why a row says so.
 *
 * @module
 */

import type { TransportConnection } from "../../transport.ts";
import type { Reads } from "./lifecycle.ts";

/** Bytes of further requests, or of a connection that waits for its turn, that are kept until reading stops. */
const MAX_KEPT_BYTES = 64 * 1024;

/** Pauses and resumes one transport. */
export class ReadGate {
  readonly #transport: TransportConnection;
  #isPaused = false;

  constructor(transport: TransportConnection) {
    this.#transport = transport;
  }

  /**
   * Reads on, or not.
   *
   * @param reads What the row of the present state says.
   * @param isCongested Whether the peer does not take what it gets.
   * @param isHeld Whether the reader of the content takes no more for now.
   * @param keptBytes What was read and can't be used yet.
   */
  settle(reads: Reads, isCongested: boolean, isHeld: boolean, keptBytes: number): void {
    if (reads === "by-stream") return;
    const isPaused = reads === "unless-congested"
      ? isCongested
      : reads === "unless-held"
      ? isHeld
      : reads === "until-kept" && keptBytes >= MAX_KEPT_BYTES;
    if (isPaused === this.#isPaused) return;
    this.#isPaused = isPaused;
    if (isPaused) this.#transport.pause();
    else this.#transport.resume();
  }

  /** Reads on: from now on another decides. */
  open(): void {
    if (this.#isPaused) this.#transport.resume();
    this.#isPaused = false;
  }
}
