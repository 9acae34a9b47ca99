/**
 * The one clock of a server, or of a thread's WebSockets: the time as of its last tick, and the Date field of the
 * present second.
 *
 * Reading it costs a field access, where asking the system costs a call, several times for each request. It ticks only
 * while it has something to watch.
 *
 * It decides when the clock ticks. It must not know what is watched.
 *
 * @module
 */

import { formatImfFixdate } from "../http/dates.ts";
import type { Clock, Timer } from "../runtime.ts";

/**
 * Bounds of a tick: a shorter one costs more than it tells, and a longer one would have Date lag behind by a second.
 */
const MIN_TICK_MS = 5;
const MAX_TICK_MS = 500;
/** A deadline may be late by at most about this part of the shortest timeout. */
const TICKS_PER_TIMEOUT = 8;

/** A clock that is exact to a tick. */
export class CoarseClock {
  /**
   * The time that was counted up to the last tick. What passes while the loop is held up counts as one tick, since what
   * clients have sent meanwhile has not been read.
   */
  nowMs = 0;
  /** The field line of Date with its CRLF (RFC 9110 section 6.6.1). */
  dateLine = "";
  /** The time between ticks; {@linkcode watch} alone shortens it. */
  tickMs: number = MAX_TICK_MS;
  readonly #clock: Clock;
  readonly #onTick: (elapsedMs: number) => void;
  #timer: Timer | null = null;
  #tickedAtMs = 0;
  #dateSecond = -1;

  /**
   * @param clock The runtime's clock.
   * @param timeoutsMs The timeouts to be watched; 0 stands for none.
   * @param onTick Called at each tick with the time that was counted since the tick before.
   */
  constructor(clock: Clock, timeoutsMs: readonly number[], onTick: (elapsedMs: number) => void) {
    this.#clock = clock;
    this.#onTick = onTick;
    for (const timeoutMs of timeoutsMs) this.watch(timeoutMs);
    this.#refreshDate();
  }

  /** Ticks often enough for one more timeout from now on; 0 stands for none. */
  watch(timeoutMs: number): void {
    const tickMs = Math.max(MIN_TICK_MS, Math.floor(timeoutMs / TICKS_PER_TIMEOUT));
    if (timeoutMs === 0 || tickMs >= this.tickMs) return;
    const isTicking = this.#timer !== null;
    // What has passed since the last tick is not counted: a deadline may be late by that, and never early.
    this.stop();
    this.tickMs = tickMs;
    if (isTicking) this.start();
  }

  /** The first tick at or behind which a phase that begins now has taken this long: never early. 0 is never. */
  deadlineAfter(timeoutMs: number): number {
    return timeoutMs === 0 ? Infinity : this.nowMs + this.tickMs + timeoutMs;
  }

  /** Begins to tick; calling it again changes nothing. */
  start(): void {
    if (this.#timer !== null) return;
    this.#tickedAtMs = this.#clock.nowMs();
    this.#refreshDate();
    this.#timer = this.#clock.every(this.tickMs, () => this.#tick());
  }

  /** Stops ticking, until started again. */
  stop(): void {
    this.#timer?.cancel();
    this.#timer = null;
  }

  #tick(): void {
    const beforeMs = this.#tickedAtMs;
    this.#tickedAtMs = this.#clock.nowMs();
    const countedMs = Math.min(this.#tickedAtMs - beforeMs, this.tickMs);
    this.nowMs += countedMs;
    this.#refreshDate();
    this.#onTick(countedMs);
  }

  #refreshDate(): void {
    const wallTimeMs = this.#clock.wallTimeMs();
    const second = Math.floor(wallTimeMs / 1000);
    if (second === this.#dateSecond) return;
    this.#dateSecond = second;
    this.dateLine = `Date: ${formatImfFixdate(wallTimeMs)}\r\n`;
  }
}
