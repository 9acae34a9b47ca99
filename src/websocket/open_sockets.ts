/**
 * The WebSockets that are open on a thread: one clock for the deadlines of all, and what is said to all of them.
 *
 * It decides when deadlines are looked at. It must not know what they are for.
 *
 * @module
 */

import { CoarseClock } from "../exchange/coarse_clock.ts";
import type { Clock } from "../runtime.ts";

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
  readonly #clock: CoarseClock;
  readonly #open: OpenSocket[] = [];
  /** Told when one more or one less is open. */
  onCountChanged: (count: number) => void = () => {};

  /** @param clock The runtime's clock. */
  constructor(clock: Clock) {
    this.#clock = new CoarseClock(clock, [], () => this.#tick());
  }

  /**
   * One more is open.
   *
   * @param shortestMs Its shortest timeout.
   */
  add(socket: OpenSocket, shortestMs: number): void {
    socket.placeAmongOpen = this.#open.push(socket) - 1;
    this.onCountChanged(this.#open.length);
    this.#clock.watch(shortestMs);
    this.#clock.start();
  }

  /** One is closed. The last takes its place. */
  remove(socket: OpenSocket): void {
    const last = this.#open.pop()!;
    if (last !== socket) this.#open[last.placeAmongOpen = socket.placeAmongOpen] = last;
    this.onCountChanged(this.#open.length);
    if (this.#open.length === 0) this.#clock.stop();
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
    return this.#clock.deadlineAfter(timeoutMs);
  }

  /** Tells each that the server is going away. */
  goAway(): void {
    for (const socket of this.#open.slice()) socket.goAway();
  }

  #tick(): void {
    const { nowMs } = this.#clock;
    // From the last to the first: one that is removed gives its place to one that was looked at.
    for (let place = this.#open.length - 1; place >= 0; place--) this.#open[place]?.tick(nowMs);
  }
}
