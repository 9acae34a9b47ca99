/**
 * The deadlines of all WebSockets of a thread: one timer, whatever their number.
 *
 * It decides how often it looks. It must not know what the deadlines are for.
 *
 * @module
 */

import type { Clock, Timer } from "../runtime.ts";

/** Bounds of a tick, as of the server's own clock. */
const MIN_TICK_MS = 5;
const MAX_TICK_MS = 500;
/** A deadline may be late by at most about this part of the shortest timeout. */
const TICKS_PER_TIMEOUT = 8;

/** What has deadlines. */
export interface Ticking {
  /** Where it stands among the others; the clock's own. */
  placeInClock: number;
  /** Time has passed. */
  tick(nowMs: number): void;
}

/** Ticks while there is something that has deadlines. */
export class SocketClock {
  /** The time at the last tick, or when the clock began to tick. */
  nowMs = 0;
  readonly #clock: Clock;
  #members: Ticking[] = [];
  #tickMs = MAX_TICK_MS;
  #timer: Timer | null = null;

  /** @param clock The runtime's. */
  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /**
   * Ticks for one more.
   *
   * @param shortestMs Its shortest timeout.
   */
  add(member: Ticking, shortestMs: number): void {
    member.placeInClock = this.#members.length;
    this.#members.push(member);
    const tickMs = Math.max(MIN_TICK_MS, Math.min(MAX_TICK_MS, Math.floor(shortestMs / TICKS_PER_TIMEOUT)));
    if (this.#timer !== null && tickMs >= this.#tickMs) return;
    this.#timer?.cancel();
    this.#tickMs = tickMs;
    this.nowMs = this.#clock.nowMs();
    this.#timer = this.#clock.every(tickMs, () => this.#tick());
  }

  /** Ticks for it no longer. The last takes its place. */
  remove(member: Ticking): void {
    const last = this.#members.pop()!;
    if (last !== member) {
      this.#members[member.placeInClock] = last;
      last.placeInClock = member.placeInClock;
    }
    if (this.#members.length > 0) return;
    this.#timer?.cancel();
    this.#timer = null;
  }

  /** The first tick at or behind which something that begins now has taken so long: never early. */
  deadlineAfter(timeoutMs: number): number {
    return this.nowMs + this.#tickMs + timeoutMs;
  }

  #tick(): void {
    this.nowMs = this.#clock.nowMs();
    // From the last to the first: one that is removed gives its place to one that was looked at.
    for (let place = this.#members.length - 1; place >= 0; place--) this.#members[place]?.tick(this.nowMs);
  }
}
