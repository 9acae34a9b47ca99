/**
 * The WebSockets that are open on a thread: one timer for the deadlines of all, and what is said to all of them.
 *
 * It decides how often deadlines are looked at. It must not know what they are for.
 *
 * @module
 */

import type { Clock, Timer } from "../runtime.ts";

/** Bounds of a tick, as of the server's own clock. */
const MIN_TICK_MS = 5;
const MAX_TICK_MS = 500;
/** A deadline may be late by at most about this part of the shortest timeout. */
const TICKS_PER_TIMEOUT = 8;

/** A WebSocket, as far as it is one of many. */
export interface OpenSocket {
  /** Where it stands among those that are open. */
  placeAmongOpen: number;
  /** All bytes that wait for its client. */
  readonly keptBytes: number;
  /** Time has passed. */
  tick(nowMs: number): void;
  /** The server is going away. */
  goAway(): void;
  /** It is lost, since the most waits for it and too much for all. */
  loseForAll(): void;
}

/** The WebSockets that are open. It ticks while there are some. */
export class OpenSockets {
  /**
   * The time that was counted up to the last tick. What passes while the loop is held up counts as one tick, since what
   * clients have sent meanwhile has not been read.
   */
  nowMs = 0;
  readonly #clock: Clock;
  readonly #open: OpenSocket[] = [];
  #tickMs = MAX_TICK_MS;
  #tickedAtMs = 0;
  #timer: Timer | null = null;
  /** Told when one more or one less is open. */
  onCountChanged: (count: number) => void = () => {};

  /** @param clock The runtime's clock. */
  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /**
   * One more is open.
   *
   * @param shortestMs Its shortest timeout.
   */
  add(socket: OpenSocket, shortestMs: number): void {
    socket.placeAmongOpen = this.#open.push(socket) - 1;
    this.onCountChanged(this.#open.length);
    const tickMs = Math.max(MIN_TICK_MS, Math.min(MAX_TICK_MS, Math.floor(shortestMs / TICKS_PER_TIMEOUT)));
    if (this.#timer !== null && tickMs >= this.#tickMs) return;
    if (this.#timer === null) this.#tickedAtMs = this.#clock.nowMs();
    else this.#count();
    this.#timer?.cancel();
    this.#tickMs = tickMs;
    this.#timer = this.#clock.every(tickMs, () => this.#tick());
  }

  /** One is closed. The last takes its place. */
  remove(socket: OpenSocket): void {
    const last = this.#open.pop()!;
    if (last !== socket) this.#open[last.placeAmongOpen = socket.placeAmongOpen] = last;
    this.onCountChanged(this.#open.length);
    if (this.#open.length > 0) return;
    this.#timer?.cancel();
    this.#timer = null;
  }

  /** How many are open. */
  get count(): number {
    return this.#open.length;
  }

  /** The one for whose client the most waits. */
  largest(): OpenSocket | null {
    let largest: OpenSocket | null = null;
    let mostBytes = -1;
    for (const socket of this.#open) {
      const { keptBytes } = socket;
      if (keptBytes <= mostBytes) continue;
      largest = socket;
      mostBytes = keptBytes;
    }
    return largest;
  }

  /** The first tick at or behind which something that begins now has taken so long: never early. */
  deadlineAfter(timeoutMs: number): number {
    return this.nowMs + this.#tickMs + timeoutMs;
  }

  /** Tells each that the server is going away. */
  goAway(): void {
    for (const socket of this.#open.slice()) socket.goAway();
  }

  #count(): void {
    const beforeMs = this.#tickedAtMs;
    this.#tickedAtMs = this.#clock.nowMs();
    this.nowMs += Math.min(this.#tickedAtMs - beforeMs, this.#tickMs);
  }

  #tick(): void {
    this.#count();
    // From the last to the first: one that is removed gives its place to one that was looked at.
    for (let place = this.#open.length - 1; place >= 0; place--) this.#open[place]?.tick(this.nowMs);
  }
}
