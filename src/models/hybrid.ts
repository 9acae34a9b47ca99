/**
 * The hybrid model: all reading and writing on the event loop, every call of the handler on a thread.
 *
 * So a handler that computes holds up the handlers on its thread, and never the loop: connections are accepted, slow
 * clients ended and refusals sent while every thread is busy. It decides which thread runs which exchange, and how many
 * may wait for one. It must not know how threads are kept alive.
 *
 * @module
 */

import type { Exchange } from "../exchange/exchange.ts";
import type { Connection } from "../exchange/connection.ts";
import type { Publication } from "../exchange/publication.ts";
import type { TrivetError } from "../api/errors.ts";
import { type CallKeeper, RemoteCall } from "../threads/remote_call.ts";
import { ThreadPool, type ThreadSeat } from "../threads/thread_pool.ts";
import type { Warnings } from "../api/warnings.ts";
import type { Scheduler, SchedulerStats } from "./scheduler.ts";
import type { ThreadPlacesOptions } from "./thread_places.ts";
import { queueFull, queueTimeout, WaitingLine } from "./waiting_line.ts";

/** What the model is made of. */
export interface HybridOptions extends ThreadPlacesOptions {
  /** Exchanges that may wait for a thread. */
  readonly maxQueue: number;
  readonly warnings: Warnings;
}

/** With a greater part of the threads held up while calls wait, the operator is warned. */
const BUSY_WARNING_SHARE = 0.8;

/** Runs handlers on the least busy of a fixed number of threads. */
export class HybridScheduler implements Scheduler, CallKeeper {
  readonly handlerTimeoutMs: number;
  readonly #options: HybridOptions;
  readonly #pool: ThreadPool;
  readonly #line: WaitingLine<RemoteCall>;
  /** Calls that threads had and had not answered when the freest of them was looked for. */
  #totalLoad = 0;

  /** @param options What the model is made of. */
  constructor(options: HybridOptions) {
    this.#options = options;
    this.handlerTimeoutMs = options.handlerTimeoutMs;
    this.#line = new WaitingLine(options.maxQueue, options.runtime.clock);
    this.#pool = new ThreadPool(options.runtime, options.threads, {
      onFree: () => this.#dispatch(),
      onHeldUp: () => this.#relieve(),
      onLost: (_seat, returned, cause) => this.#onLost(returned, cause),
      onNotStarted: options.onNotStarted,
      onError: options.onError,
      onPublished: options.onPublished,
    });
  }

  start(): Promise<void> {
    return this.#pool.start();
  }

  admit(connection: Connection): void {
    connection.serve();
  }

  run(exchange: Exchange): void {
    const freest = this.#freest();
    const seat = this.#line.length > 0 ? null : freest;
    if (!this.#mayTake(seat)) {
      this.#line.countRefusal();
      exchange.refuse(queueFull(this.#options.warnings, "requests"));
    } else if (seat !== null) {
      this.#pool.give(seat, new RemoteCall(exchange, this));
    } else {
      this.#line.join(new RemoteCall(exchange, this));
    }
  }

  mayPersist(): boolean {
    return true;
  }

  release(_connection: Connection): void {}

  publish(publication: Publication): void {
    this.#pool.publish(publication);
  }

  tick(): void {
    const { queueTimeoutMs } = this.#options;
    if (queueTimeoutMs === 0) return;
    const arrivedBeforeMs = this.nowMs() - queueTimeoutMs;
    for (const call of this.#line.leaveBefore(arrivedBeforeMs)) call.giveUp(queueTimeout());
    this.#refuseHeldUp(arrivedBeforeMs, queueTimeout());
  }

  drain(): void {
    this.#pool.drain();
  }

  stop(): Promise<void> {
    return this.#pool.close();
  }

  stats(): Partial<SchedulerStats> {
    const threads = this.#pool.seats.map((seat) => seat.thread);
    const busy = threads.filter((thread) => thread !== null && thread.load > 0).length;
    const queue = { ...this.#line.stats, waiting: this.#waitingCount() };
    return {
      queue,
      queueWaits: this.#line.waits,
      workers: { total: threads.length, busy },
      threads: this.#pool.counts,
      openSockets: this.#pool.openSockets,
      threadDelay: this.#pool.delays,
    };
  }

  // What calls that no thread has ask for.

  nowMs(): number {
    return this.#options.runtime.clock.nowMs();
  }

  abandoned(call: RemoteCall): void {
    this.#line.leave(call);
  }

  #refuseHeldUp(arrivedBeforeMs: number, error: TrivetError): void {
    let call: RemoteCall | null;
    while ((call = this.#pool.takeBackHeldUp(arrivedBeforeMs)) !== null) call.giveUp(error);
  }

  /** Whatever waits is given to threads as far as they have room. */
  #dispatch(): void {
    while (this.#line.length > 0) {
      const seat = this.#freest();
      if (seat === null) return;
      const call = this.#line.next();
      if (call !== undefined) this.#pool.give(seat, call);
    }
  }

  /** What waits behind a handler that computes is given to threads that come further. */
  #relieve(): void {
    this.#warnIfBusy();
    while (this.#line.length === 0) {
      const seat = this.#freest();
      if (seat === null || seat.thread!.isHeldUp) return;
      const call = this.#pool.takeBackHeldUp();
      if (call === null) return;
      this.#pool.give(seat, call);
    }
  }

  /** Whether there is room for one more call, which is given to a seat or joins the line. */
  #mayTake(seat: ThreadSeat | null): boolean {
    const { maxQueue } = this.#options;
    // Most of the time there is room even if every call that a thread has were waiting.
    if (this.#line.length + this.#totalLoad < maxQueue) return true;
    const thread = seat?.thread ?? null;
    // A call that a thread begins next does not count as waiting.
    if (thread !== null && !thread.isHeldUp && thread.unbegunCount === 0) return true;
    return this.#waitingCount() < maxQueue;
  }

  #warnIfBusy(): void {
    const { seats } = this.#pool;
    const heldUp = seats.filter((seat) => seat.thread?.isHeldUp === true).length;
    if (heldUp <= BUSY_WARNING_SHARE * seats.length) return;
    const waiting = this.#waitingCount();
    if (waiting === 0) return;
    const message = `${heldUp} of ${seats.length} threads are busy, and ${waiting} requests wait.`;
    this.#options.warnings.warn("workers-busy", message);
  }

  /**
   * Of the threads that are likely to begin one more call soon, the one with the fewest calls; those that wait for one
   * come first, since any other may compute. One that is held up gets a call only when all are, and then just one to go
   * on with, which is taken back when another thread is free first.
   */
  #freest(): ThreadSeat | null {
    let freest: ThreadSeat | null = null;
    let leastLoad = Infinity;
    let isIdle = false;
    let totalLoad = 0;
    let heldUp: ThreadSeat | null = null;
    for (const seat of this.#pool.seats) {
      const { thread } = seat;
      if (thread === null) continue;
      totalLoad += thread.load;
      if (!seat.hasRoom) continue;
      if (thread.isHeldUp) {
        if (thread.unbegunCount === 0) heldUp ??= seat;
      } else if (thread.isIdle !== isIdle ? thread.isIdle : thread.load < leastLoad) {
        freest = seat;
        leastLoad = thread.load;
        isIdle = thread.isIdle;
      }
    }
    this.#totalLoad = totalLoad;
    return freest ?? heldUp;
  }

  /**
   * How many calls wait, in the line or with a thread that has not begun them. What a thread that is not held up begins
   * next does not wait.
   */
  #waitingCount(): number {
    let count = this.#line.length;
    for (const { thread } of this.#pool.seats) {
      if (thread === null) continue;
      const { unbegunCount } = thread;
      count += thread.isHeldUp ? unbegunCount : Math.max(0, unbegunCount - 1);
    }
    return count;
  }

  #onLost(returned: readonly RemoteCall[], cause: TrivetError): void {
    this.#options.onCrash(cause);
    // From the last to the first, so that they stand in line in the order in which they came.
    for (const call of [...returned].reverse()) this.#line.rejoin(call, call.waitsSinceMs);
    this.#dispatch();
  }
}
