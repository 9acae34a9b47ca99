/**
 * How long a stop waits: for connections until they are cut off, and after that for what should end by itself.
 *
 * It decides when a wait is over, whatever becomes of what is waited for. It must not know what that is, nor what is
 * done then.
 *
 * @module
 */

import type { Clock, Timer } from "../runtime.ts";

/**
 * How long a stop waits for what should end by itself once everything was cut off: the port, other loops, threads. Each
 * of them has a shorter deadline of its own; this one makes sure that a stop ends whatever becomes of them.
 */
const PATIENCE_MS = 3_000;

/** The longest delay that timers of every runtime take. */
const MAX_DELAY_MS = 2 ** 31 - 1;

/** The waits of one stop. */
export class Patience {
  /** Whether the time of the connections is over. */
  isOver = false;
  readonly #clock: Clock;
  readonly #onFailed: (cause: unknown) => void;
  /** When what is open is cut off, and after that, when what does not end is given up. */
  #timer: Timer | null = null;
  #deadlineMs = Infinity;
  /** Leaves the present wait without what it is for. */
  #goOn: () => void = () => {};

  /**
   * @param clock The runtime's clock.
   * @param onFailed Told when something that was waited for has failed; the wait goes on as if it had ended.
   */
  constructor(clock: Clock, onFailed: (cause: unknown) => void) {
    this.#clock = clock;
    this.#onFailed = onFailed;
  }

  /** Calls back at this time, unless that was to happen earlier. */
  bringForward(deadlineMs: number, onDeadline: () => void): void {
    if (this.isOver || deadlineMs >= this.#deadlineMs) return;
    this.#timer?.cancel();
    this.#deadlineMs = deadlineMs;
    const delayMs = Math.max(0, deadlineMs - this.#clock.nowMs());
    this.#timer = this.#clock.after(Math.min(delayMs, MAX_DELAY_MS), onDeadline);
  }

  /** Goes on to the next step after each PATIENCE_MS, whatever is waited for. */
  giveUpSoon(): void {
    this.isOver = true;
    this.#timer?.cancel();
    this.#timer = this.#clock.after(PATIENCE_MS, () => {
      this.giveUpSoon();
      this.#goOn();
    });
  }

  /** Waits for what calls `next` by itself. */
  await(next: () => void): void {
    this.#goOn = next;
  }

  /** Goes on when all of this has ended, whatever has become of it. */
  follow(endings: readonly (Promise<unknown> | void)[], next: () => void): void {
    this.#goOn = next;
    const pending = endings.filter((ending) => ending !== undefined);
    if (pending.length === 0) {
      next();
      return;
    }
    Promise.allSettled(pending).then((results) => {
      for (const result of results) {
        if (result.status === "rejected") this.#onFailed(result.reason);
      }
      next();
    });
  }

  /** The last step is done. */
  end(): void {
    this.#timer?.cancel();
  }
}
