/**
 * Places for workers on threads: each worker has a thread of its own, which may compute or block for as long as it
 * likes without holding up another.
 *
 * It decides what becomes of an exchange while its thread is replaced. It must not know which connection a worker
 * serves.
 *
 * @module
 */

import type { Exchange } from "../exchange/exchange.ts";
import type { Publication } from "../exchange/publication.ts";
import type { TrivetError } from "../api/errors.ts";
import type { Runtime } from "../runtime.ts";
import { type CallKeeper, RemoteCall } from "../threads/remote_call.ts";
import { ThreadPool, type ThreadPoolOptions, type ThreadSeat } from "../threads/thread_pool.ts";
import type { SchedulerStats } from "./scheduler.ts";
import { queueTimeout } from "./waiting_line.ts";
import type { WorkPlaces } from "./worker_pool.ts";

/** What a model is made of whose handlers run on threads. */
export interface ThreadPlacesOptions {
  readonly runtime: Runtime;
  readonly threads: ThreadPoolOptions;
  /** How long an exchange may wait for its thread; 0 is without a bound. */
  readonly queueTimeoutMs: number;
  readonly handlerTimeoutMs: number;
  /** Told when a thread was lost. */
  readonly onCrash: (cause: TrivetError) => void;
  /** Told when no thread could be started in the place of another one. */
  readonly onNotStarted: (cause: TrivetError) => void;
  /** Told of an error that belongs to no exchange. */
  readonly onError: (error: TrivetError) => void;
  /** Told of what handlers publish, for WebSockets that are on no thread of the model. */
  readonly onPublished: (publication: Publication) => void;
}

/** One thread for each worker. */
export class ThreadPlaces implements WorkPlaces, CallKeeper {
  onReady: (place: number) => void = () => {};
  readonly handlerTimeoutMs: number;
  readonly #options: ThreadPlacesOptions;
  readonly #pool: ThreadPool;
  /** The call of each worker that waits for a thread: a worker has one exchange at a time. */
  readonly #waiting: (RemoteCall | null)[];

  /** @param options What the places are made of. */
  constructor(options: ThreadPlacesOptions) {
    this.#options = options;
    this.handlerTimeoutMs = options.handlerTimeoutMs;
    this.#waiting = new Array(options.threads.size).fill(null);
    this.#pool = new ThreadPool(options.runtime, options.threads, {
      onFree: (seat) => this.#onFree(seat),
      // The thread of a worker is its own: what waits for it can go nowhere else.
      onHeldUp: () => {},
      onLost: (seat, returned, cause) => this.#onLost(seat, returned, cause),
      onNotStarted: options.onNotStarted,
      onError: options.onError,
      onPublished: options.onPublished,
    });
  }

  start(): Promise<void> {
    return this.#pool.start();
  }

  isReady(place: number): boolean {
    return this.#pool.seats[place].isReady;
  }

  run(place: number, exchange: Exchange): void {
    this.#give(place, new RemoteCall(exchange, this));
  }

  publish(publication: Publication): void {
    this.#pool.publish(publication);
  }

  tick(): void {
    const { queueTimeoutMs } = this.#options;
    if (queueTimeoutMs === 0) return;
    const arrivedBeforeMs = this.nowMs() - queueTimeoutMs;
    for (const call of this.#waiting) {
      if (call === null || call.waitsSinceMs > arrivedBeforeMs) continue;
      this.abandoned(call);
      call.giveUp(queueTimeout());
    }
    let call: RemoteCall | null;
    while ((call = this.#pool.takeBackHeldUp(arrivedBeforeMs)) !== null) call.giveUp(queueTimeout());
  }

  drain(): void {
    this.#pool.drain();
  }

  stop(): Promise<void> {
    return this.#pool.close();
  }

  stats(): Partial<SchedulerStats> {
    const { counts: threads, openSockets, delays: threadDelay } = this.#pool;
    return { threads, openSockets, threadDelay };
  }

  nowMs(): number {
    return this.#options.runtime.clock.nowMs();
  }

  abandoned(call: RemoteCall): void {
    const place = this.#waiting.indexOf(call);
    if (place >= 0) this.#waiting[place] = null;
  }

  #give(place: number, call: RemoteCall): void {
    const seat = this.#pool.seats[place];
    if (seat.isReady) {
      this.#pool.give(seat, call);
    } else {
      call.waitFrom(this.nowMs());
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

  /** A worker has one exchange at a time, so that at most one call comes back. */
  #onLost(seat: ThreadSeat, returned: readonly RemoteCall[], cause: TrivetError): void {
    this.#options.onCrash(cause);
    const place = this.#pool.seats.indexOf(seat);
    for (const call of returned) this.#give(place, call);
  }
}
