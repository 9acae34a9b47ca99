/**
 * A clock that moves only when a test says so.
 *
 * @module
 */

import type { Clock, Timer } from "../../src/runtime.ts";

/** Where virtual time begins. */
export const VIRTUAL_EPOCH_MS: number = Date.UTC(2026, 0, 1);

/** Turns of the real event loop in which promises and streams come to rest; each drains all microtasks. */
const SETTLING_TURNS = 3;

interface Pending {
  dueMs: number;
  readonly intervalMs: number | null;
  readonly callback: () => void;
}

/** Time for tests: nothing is due before {@linkcode advance}. */
export class VirtualClock implements Clock {
  readonly #pending = new Set<Pending>();
  #deferred: (() => void)[] = [];
  #nowMs = 0;

  nowMs(): number {
    return this.#nowMs;
  }

  wallTimeMs(): number {
    return VIRTUAL_EPOCH_MS + this.#nowMs;
  }

  every(intervalMs: number, callback: () => void): Timer {
    return this.#add({ dueMs: this.#nowMs + intervalMs, intervalMs, callback });
  }

  after(delayMs: number, callback: () => void): Timer {
    return this.#add({ dueMs: this.#nowMs + delayMs, intervalMs: null, callback });
  }

  readonly defer = (callback: () => void): void => {
    this.#deferred.push(callback);
  };

  callApart(callback: () => void): void {
    callback();
  }

  /** Timers that are waiting, so that a test can see that none is left. */
  get pendingCount(): number {
    return this.#pending.size;
  }

  /** Lets everything happen that needs no time to pass. */
  async settle(): Promise<void> {
    for (let turn = 0; turn < SETTLING_TURNS || this.#deferred.length > 0; turn++) {
      await new Promise<void>((resolve) => setImmediate(resolve));
      const deferred = this.#deferred;
      this.#deferred = [];
      for (const callback of deferred) callback();
    }
  }

  /** Moves time on, in order through all that becomes due. */
  async advance(ms: number): Promise<void> {
    await this.settle();
    const untilMs = this.#nowMs + ms;
    for (let next = this.#nextDue(untilMs); next !== null; next = this.#nextDue(untilMs)) {
      this.#nowMs = Math.max(this.#nowMs, next.dueMs);
      if (next.intervalMs === null) this.#pending.delete(next);
      else next.dueMs += next.intervalMs;
      next.callback();
      await this.settle();
    }
    this.#nowMs = untilMs;
  }

  /** A turn of the loop that takes so long: what becomes due meanwhile is called back once, behind it. */
  async holdUp(ms: number): Promise<void> {
    this.#nowMs += ms;
    for (const pending of [...this.#pending].filter(({ dueMs }) => dueMs <= this.#nowMs)) {
      if (pending.intervalMs === null) this.#pending.delete(pending);
      else pending.dueMs = this.#nowMs + pending.intervalMs;
      pending.callback();
    }
    await this.settle();
  }

  #add(pending: Pending): Timer {
    this.#pending.add(pending);
    return { cancel: () => void this.#pending.delete(pending) };
  }

  #nextDue(untilMs: number): Pending | null {
    let next: Pending | null = null;
    for (const pending of this.#pending) {
      if (pending.dueMs <= untilMs && (next === null || pending.dueMs < next.dueMs)) next = pending;
    }
    return next;
  }
}
