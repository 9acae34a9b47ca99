/**
 * A bounded line in which connections or exchanges wait for their turn.
 *
 * It decides which is next, the one that has waited longest, and what is said to one that waits in vain. It must not
 * know what is waited for.
 *
 * @module
 */

import { TrivetError } from "../api/errors.ts";
import type { Warnings } from "../api/warnings.ts";
import type { Clock } from "../runtime.ts";
import type { Histogram, QueueStats } from "../api/stats.ts";
import { Durations } from "../observe/histogram.ts";

/** What can wait in a line. */
export interface Waiter {
  /** The number of its place, which the line sets. What does not stand in the line may have any. */
  placeInLine: number;
}

const INITIAL_PLACES = 64;

/**
 * First in, first out; what waits can also leave.
 *
 * The places are in a ring. A `Map` keeps the order too, but whatever has passed through one survives V8's collections
 * of young objects (`threads/call_table.ts` says why).
 */
export class WaitingLine<T extends Waiter> {
  readonly #maxWaiting: number;
  readonly #clock: Clock;
  /** What waits, each at its number modulo the size, a power of two; `null` behind those that have left. */
  #ring: (T | null)[] = new Array(INITIAL_PLACES).fill(null);
  /** When each of them came. */
  #arrivedMs: number[] = new Array(INITIAL_PLACES).fill(0);
  /** The number of the first place, which is taken unless the line is empty. */
  #first = 0;
  /** The number behind the last place. */
  #end = 0;
  #length = 0;
  #longestWaitMs = 0;
  readonly #waits = new Durations();
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
    return this.#length;
  }

  /** Whether there is room for one more. */
  get hasRoom(): boolean {
    return this.#length < this.#maxWaiting;
  }

  /** Joins the line at its end. */
  join(newcomer: T): void {
    this.#makeRoom();
    this.#seat(newcomer, this.#end++, this.#clock.nowMs());
  }

  /** Counts one that was turned away. */
  countRefusal(): void {
    this.#refused++;
  }

  /** Puts one that had its turn in vain in front of all others; it has waited since then, or from now on. */
  rejoin(returned: T, sinceMs: number): void {
    this.#makeRoom();
    this.#seat(returned, --this.#first, Math.min(sinceMs, this.#clock.nowMs()));
  }

  /** What has waited since before a time leaves the line, in order. */
  *leaveBefore(arrivedMs: number): Generator<T> {
    while (this.#length > 0 && this.#arrivedMs[this.#at(this.#first)] <= arrivedMs) yield this.next()!;
  }

  /** The one whose turn it is; it leaves the line. */
  next(): T | undefined {
    const first = this.#ring[this.#at(this.#first)];
    if (first === null) return undefined;
    this.#longestWaitMs = this.#longestWaitUntilNow();
    this.#waits.add(this.#clock.nowMs() - this.#arrivedMs[this.#at(this.#first)]);
    this.leave(first);
    return first;
  }

  /** Leaves the line before it was its turn. Returns whether it stood there. */
  leave(waiting: T): boolean {
    const at = this.#at(waiting.placeInLine);
    if (this.#ring[at] !== waiting) return false;
    this.#ring[at] = null;
    this.#length--;
    while (this.#first < this.#end && this.#ring[this.#at(this.#first)] === null) this.#first++;
    return true;
  }

  /** Counts, as of now. */
  get stats(): QueueStats {
    const longestWaitMs = this.#longestWaitUntilNow();
    return { waiting: this.#length, longestWaitMs: Math.round(longestWaitMs), refused: this.#refused };
  }

  /** How long those that had their turn, or had waited too long for it, have waited. */
  get waits(): Histogram {
    return this.#waits.histogram;
  }

  #longestWaitUntilNow(): number {
    if (this.#length === 0) return this.#longestWaitMs;
    return Math.max(this.#longestWaitMs, this.#clock.nowMs() - this.#arrivedMs[this.#at(this.#first)]);
  }

  #at(place: number): number {
    return place & this.#ring.length - 1;
  }

  #seat(waiter: T, place: number, arrivedMs: number): void {
    waiter.placeInLine = place;
    this.#ring[this.#at(place)] = waiter;
    this.#arrivedMs[this.#at(place)] = arrivedMs;
    this.#length++;
  }

  /** When no place is left, those that wait move up to where others have left; if most are there, to a larger ring. */
  #makeRoom(): void {
    const size = this.#ring.length;
    if (this.#end - this.#first < size) return;
    const arrivedMs = this.#arrivedMs;
    const places = arrivedMs.map((_, index) => this.#at(this.#first + index));
    const waiters = places.map((at) => this.#ring[at]);
    const newSize = 2 * this.#length > size ? 2 * size : size;
    this.#ring = new Array(newSize).fill(null);
    this.#arrivedMs = new Array(newSize).fill(0);
    this.#first = this.#end = this.#length = 0;
    for (const [index, waiter] of waiters.entries()) {
      if (waiter !== null) this.#seat(waiter, this.#end++, arrivedMs[places[index]]);
    }
  }
}

/** The queue is full, which the operator is warned of. */
export function queueFull(warnings: Warnings, what: "connections" | "requests"): TrivetError {
  warnings.warn("queue-full", `The queue is full: ${what} are refused with 503.`);
  return new TrivetError("queue-full", `The server has as many ${what} waiting as it takes.`);
}

/** It was not its turn in time. */
export function queueTimeout(): TrivetError {
  return new TrivetError("queue-timeout", "The server was too busy to take this up in time.");
}
