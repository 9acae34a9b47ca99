/**
 * Places for workers on threads: each worker has a thread of its own, which may compute or block for as long as it likes
 * without holding up another.
 *
 * It decides what becomes of an exchange whose thread is lost. It must not know which connection a worker serves.
 *
 * @module
 */

import type { Exchange } from "../exchange/exchange.ts";
import { TrivetError } from "../api/errors.ts";
import type { Runtime } from "../runtime.ts";
import type { LostCall } from "../threads/handler_thread.ts";
import { type CallKeeper, RemoteCall } from "../threads/remote_call.ts";
import { ThreadPool, type ThreadPoolOptions, type ThreadSeat } from "../threads/thread_pool.ts";
import type { SchedulerStats } from "./scheduler.ts";
import type { WorkPlaces } from "./worker_pool.ts";

/** One thread for each worker. */
export class ThreadPlaces implements WorkPlaces, CallKeeper {
  onReady: (place: number) => void = () => {};
  readonly #pool: ThreadPool;
  readonly #onCrash: (cause: TrivetError) => void;
  /** The call of each worker that waits for a thread: a worker has one exchange at a time. */
  readonly #waiting: (RemoteCall | null)[];

  /**
   * @param runtime The runtime.
   * @param options The threads.
   * @param onCrash Told when a thread was lost.
   */
  constructor(runtime: Runtime, options: ThreadPoolOptions, onCrash: (cause: TrivetError) => void) {
    this.#onCrash = onCrash;
    this.#waiting = new Array(options.size).fill(null);
    this.#pool = new ThreadPool(runtime, options, {
      onFree: (seat) => this.#onFree(seat),
      onLost: (seat, calls, cause) => this.#onLost(seat, calls, cause),
    });
  }

  start(): Promise<void> {
    return this.#pool.start();
  }

  isReady(place: number): boolean {
    return this.#pool.seats[place].thread?.isReady === true;
  }

  run(place: number, exchange: Exchange): void {
    this.#give(place, new RemoteCall(exchange, this));
  }

  drain(error: TrivetError): void {
    this.#waiting.forEach((call, place) => {
      this.#waiting[place] = null;
      call?.exchange.refuse(error);
    });
    this.#pool.drain();
  }

  stop(): Promise<void> {
    return this.#pool.close();
  }

  stats(): Partial<SchedulerStats> {
    return { threads: this.#pool.counts };
  }

  abandoned(call: RemoteCall): void {
    const place = this.#waiting.indexOf(call);
    if (place >= 0) this.#waiting[place] = null;
  }

  #give(place: number, call: RemoteCall): void {
    const seat = this.#pool.seats[place];
    if (seat.thread?.isReady === true) {
      seat.thread.give(call);
      this.#pool.countCall(seat);
    } else {
      this.#waiting[place] = call;
    }
  }

  #onFree(seat: ThreadSeat): void {
    const place = this.#pool.seats.indexOf(seat);
    const call = this.#waiting[place];
    this.#waiting[place] = null;
    if (call !== null) this.#give(place, call);
    else this.onReady(place);
  }

  #onLost(seat: ThreadSeat, calls: readonly LostCall[], cause: TrivetError): void {
    this.#onCrash(cause);
    const place = this.#pool.seats.indexOf(seat);
    const lost = new TrivetError("thread-lost", "The thread that ran the handler was lost.", { cause });
    for (const { call, wasBegun, isSuspect } of calls) {
      if (this.#waiting[place] === null && !isSuspect && call.canBeMadeAgain(wasBegun)) {
        call.takeBack();
        this.#give(place, call);
      } else {
        call.lose(isSuspect ? cause : lost);
      }
    }
  }
}
