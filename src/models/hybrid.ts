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
import { TrivetError } from "../api/errors.ts";
import type { Runtime } from "../runtime.ts";
import type { LostCall } from "../threads/handler_thread.ts";
import { type CallKeeper, RemoteCall } from "../threads/remote_call.ts";
import { ThreadPool, type ThreadPoolOptions, type ThreadSeat } from "../threads/thread_pool.ts";
import type { Warnings } from "../api/warnings.ts";
import type { Scheduler, SchedulerStats } from "./scheduler.ts";
import { WaitingLine } from "./waiting_line.ts";

/** What the model is made of. */
export interface HybridOptions {
  readonly runtime: Runtime;
  readonly threads: ThreadPoolOptions;
  /** Exchanges that may wait for a thread. */
  readonly maxQueue: number;
  readonly warnings: Warnings;
  /** Told when a thread was lost. */
  readonly onCrash: (cause: TrivetError) => void;
}

/** Runs handlers on the least busy of a fixed number of threads. */
export class HybridScheduler implements Scheduler, CallKeeper {
  readonly #options: HybridOptions;
  readonly #pool: ThreadPool;
  readonly #line: WaitingLine<RemoteCall>;

  /** @param options What the model is made of. */
  constructor(options: HybridOptions) {
    this.#options = options;
    this.#line = new WaitingLine(options.maxQueue, options.runtime.clock);
    this.#pool = new ThreadPool(options.runtime, options.threads, {
      onFree: () => this.#dispatch(),
      onLost: (_seat, calls, cause) => this.#onLost(calls, cause),
    });
  }

  start(): Promise<void> {
    return this.#pool.start();
  }

  admit(connection: Connection): void {
    connection.serve();
  }

  run(exchange: Exchange): void {
    const seat = this.#line.length > 0 ? null : this.#leastBusy();
    if (seat !== null) {
      this.#give(seat, new RemoteCall(exchange, this));
    } else if (this.#line.hasRoom) {
      this.#line.join(new RemoteCall(exchange, this));
    } else {
      this.#line.countRefusal();
      this.#options.warnings.warn("queue-full", "The queue is full: requests are refused with 503.");
      exchange.refuse(new TrivetError("queue-full", "The server has as many requests waiting as it takes."));
    }
  }

  mayPersist(_connection: Connection): boolean {
    return true;
  }

  release(_connection: Connection): void {}

  drain(error: TrivetError): void {
    for (const call of this.#line.clear()) call.exchange.refuse(error);
    this.#pool.drain();
  }

  stop(): Promise<void> {
    return this.#pool.close();
  }

  stats(): Partial<SchedulerStats> {
    const threads = this.#pool.seats.map((seat) => seat.thread);
    const busy = threads.filter((thread) => thread !== null && thread.load > 0).length;
    return { queue: this.#line.stats, workers: { total: threads.length, busy }, threads: this.#pool.counts };
  }

  abandoned(call: RemoteCall): void {
    this.#line.leave(call);
  }

  #give(seat: ThreadSeat, call: RemoteCall): void {
    seat.thread?.give(call);
    this.#pool.countCall(seat);
  }

  #dispatch(): void {
    while (this.#line.length > 0) {
      const seat = this.#leastBusy();
      if (seat === null) return;
      const call = this.#line.next();
      if (call !== undefined) this.#give(seat, call);
    }
  }

  /** Of the threads that are likely to begin one more call soon, the one with the fewest calls. */
  #leastBusy(): ThreadSeat | null {
    let leastBusy: ThreadSeat | null = null;
    let leastLoad = Infinity;
    for (const seat of this.#pool.seats) {
      const { thread } = seat;
      if (thread === null || !thread.hasRoom || thread.load >= leastLoad) continue;
      leastBusy = seat;
      leastLoad = thread.load;
    }
    return leastBusy;
  }

  #onLost(calls: readonly LostCall[], cause: TrivetError): void {
    this.#options.onCrash(cause);
    const lost = new TrivetError("thread-lost", "The thread that ran the handler was lost.", { cause });
    // From the last to the first, so that they stand in line in the order in which they came.
    for (const { call, wasBegun, isSuspect } of [...calls].reverse()) {
      if (!isSuspect && call.canBeMadeAgain(wasBegun)) {
        call.takeBack();
        this.#line.rejoin(call);
      } else {
        call.lose(isSuspect ? cause : lost);
      }
    }
    this.#dispatch();
  }
}
