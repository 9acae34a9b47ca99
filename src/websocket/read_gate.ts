/**
 * Whether the client of one WebSocket is read, and what was read of it is taken.
 *
 * It decides what holds a client up: a handler that takes no further message, what waits for the client itself, and the
 * share of a turn. It must not know frames, nor why a connection closes.
 *
 * @module
 */

import type { ByteChannel } from "../exchange/byte_channel.ts";
import type { TurnShare } from "../web/turn_share.ts";

/** Above this, the client is not read until it has taken what waits: an echo must not pile up. */
const MAX_BUFFERED_WHILE_READING = 1024 * 1024;

/** Holds up one client. */
export class ReadGate {
  /** The share of this turn is used up: others are served before the next frame. */
  isResting = false;
  isPaused = false;
  /** The handler takes no further message for now. */
  #isHeld = false;
  readonly #share: TurnShare;
  readonly #goOn: () => void;

  /**
   * @param share How much of a turn a client that always has a next frame may take.
   * @param goOn Called when others were served.
   */
  constructor(share: TurnShare, goOn: () => void) {
    this.#share = share;
    this.#goOn = goOn;
  }

  /** Takes no frame until others were served, where the share of this turn is used up. */
  restIfDue(): void {
    if (this.isResting || this.#share.take()) return;
    this.isResting = true;
    this.#share.wait(() => {
      this.isResting = false;
      this.#goOn();
    });
  }

  /** The handler takes no further message. */
  hold(): void {
    this.#isHeld = true;
  }

  /** The handler takes messages again. Returns whether it did not. */
  release(): boolean {
    const wasHeld = this.#isHeld;
    this.#isHeld = false;
    return wasHeld;
  }

  /**
   * Whether a further message is taken.
   *
   * @param keptBytes What waits for the client.
   */
  takesMessages(keptBytes: number): boolean {
    return !this.#isHeld && keptBytes <= MAX_BUFFERED_WHILE_READING;
  }

  /** Reads on or not. Returns whether it reads on where it did not. */
  settle(channel: ByteChannel, isPaused: boolean): boolean {
    if (this.isPaused === isPaused) return false;
    this.isPaused = isPaused;
    if (isPaused) channel.pause();
    else channel.resume();
    return !isPaused;
  }
}
