/**
 * A bounded line in which connections or exchanges wait for their turn.
 *
 * It decides who is next: who has waited longest. It must not know what is waited for.
 *
 * @module
 */

import type { Clock } from "../runtime.ts";
import type { QueueStats } from "./scheduler.ts";

/** First in, first out; whoever waits can also leave. */
export class WaitingLine<T> {
  readonly #maxWaiting: number;
  readonly #clock: Clock;
  /** Who waits, with the time of arrival. A Map keeps the order and lets anybody leave at no cost. */
  readonly #waiting = new Map<T, number>();
  #longestWaitMs = 0;
  #refused = 0;

  /**
   * @param maxWaiting How many may wait.
   * @param clock Measures how long.
   */
  constructor(maxWaiting: number, clock: Clock) {
    this.#maxWaiting = maxWaiting;
    this.#clock = clock;
  }

  /** How many wait. */
  get length(): number {
    return this.#waiting.size;
  }

  /** Whether there is room for one more. */
  get hasRoom(): boolean {
    return this.#waiting.size < this.#maxWaiting;
  }

  /** Joins the line at its end. */
  join(newcomer: T): void {
    this.#waiting.set(newcomer, this.#clock.nowMs());
  }

  /** Counts somebody who was turned away. */
  countRefusal(): void {
    this.#refused++;
  }

  /** Puts somebody who had their turn in vain in front of everybody else. */
  rejoin(returned: T): void {
    const others = [...this.#waiting];
    this.#waiting.clear();
    this.#waiting.set(returned, this.#clock.nowMs());
    for (const [other, sinceMs] of others) this.#waiting.set(other, sinceMs);
  }

  /** Whose turn it is; they leave the line. */
  next(): T | undefined {
    for (const [first, sinceMs] of this.#waiting) {
      this.#waiting.delete(first);
      this.#longestWaitMs = Math.max(this.#longestWaitMs, this.#clock.nowMs() - sinceMs);
      return first;
    }
    return undefined;
  }

  /** Leaves the line before it was their turn. Returns whether they stood there. */
  leave(waiting: T): boolean {
    return this.#waiting.delete(waiting);
  }

  /** Empties the line, and gives those who stood there in order. */
  clear(): T[] {
    const everybody = [...this.#waiting.keys()];
    this.#waiting.clear();
    return everybody;
  }

  /** Counts, as of now. */
  get stats(): QueueStats {
    let longestWaitMs = this.#longestWaitMs;
    for (const sinceMs of this.#waiting.values()) {
      longestWaitMs = Math.max(longestWaitMs, this.#clock.nowMs() - sinceMs);
      break;
    }
    return { waiting: this.#waiting.size, longestWaitMs: Math.round(longestWaitMs), refused: this.#refused };
  }
}
