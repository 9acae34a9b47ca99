/**
 * A fixed number of threads that run handlers, each of which is replaced when it is lost.
 *
 * It decides when a thread is started, replaced, renewed and ended, and which calls are taken back from a thread that
 * is held up. It must not know which call goes to which thread.
 *
 * @module
 */

import type { Histogram, ThreadStats } from "../api/stats.ts";
import { Durations } from "../observe/histogram.ts";
import { TrivetError } from "../api/errors.ts";
import type { Publication } from "../exchange/publication.ts";
import type { Runtime, Timer } from "../runtime.ts";
import { HandlerThread, type ThreadOrders } from "./handler_thread.ts";
import type { RemoteCall } from "./remote_call.ts";
import { Seat } from "./thread_seat.ts";

/** What the concurrency model is told. */
export interface ThreadPoolEvents {
  /** The thread of a seat can be given calls. */
  onFree(seat: ThreadSeat): void;
  /** Some threads are held up: calls that they have not begun may be of more use elsewhere. */
  onHeldUp(): void;
  /** The thread of a seat is gone; these calls can be made on another one. */
  onLost(seat: ThreadSeat, returned: readonly RemoteCall[], cause: TrivetError): void;
  /** No thread could be started in the place of another one; it is tried again. */
  onNotStarted(cause: TrivetError): void;
  /** An error that belongs to no exchange. */
  onError(error: TrivetError): void;
  /** A handler has published to WebSockets, of which those of all threads are told already. */
  onPublished(publication: Publication): void;
}

/** How a pool is made. */
export interface ThreadPoolOptions {
  readonly size: number;
  readonly orders: ThreadOrders;
  /** The URL of the module that a thread starts from. */
  readonly entry: string;
  /** Calls after which a thread is replaced by a fresh one; 0 is never. */
  readonly maxCallsPerThread: number;
  /** Whether it has to be known when each call has begun, because the time of handlers is bounded. */
  readonly watchesAlways: boolean;
  /** How large the heap of a thread may grow, where that can be bounded; 0 is the runtime's own bound. */
  readonly maxHeapBytes: number;
}

/** How often threads are told what need not hurry. */
const REST_INTERVAL_MS = 500;
/** How often threads that have something to do are looked at; one is held up when it has not come further meanwhile. */
const WATCH_INTERVAL_MS = 2;
/** A turn of a thread that takes longer has begun a handler that computes, which others are likely to follow. */
const LONG_TURN_MS = 20;
/**
 * For so many times as long every thread begins one call a turn: else the responses of all that it has begun in the
 * turn wait for the one that computes. It makes light calls dearer by half.
 */
const LONG_TURN_ECHO = 5;
/**
 * And for no longer than this. Calls that compute nothing share a turn of about a millisecond: where a handler computes
 * less often than once a second, fewer than one in a thousand of them are in the turn that it holds up.
 */
const MAX_LONG_TURN_ECHO_MS = 1_000;

/** A place in the pool that always has a thread, or is about to get one. */
export interface ThreadSeat {
  /** The thread that is given calls, if it is ready. */
  readonly thread: HandlerThread | null;
  /** Whether its thread can be given a call now, however long it takes until it is begun. */
  readonly isReady: boolean;
  /** Whether its thread is likely to begin one more call soon. */
  readonly hasRoom: boolean;
}

/** Keeps threads. */
export class ThreadPool {
  readonly #runtime: Runtime;
  readonly #options: ThreadPoolOptions;
  readonly #events: ThreadPoolEvents;
  readonly #seats: readonly Seat[];
  /** Every thread that is not gone, those that are retiring among them. */
  readonly #threads = new Set<HandlerThread>();
  readonly #counts = { started: 0, lost: 0, renewed: 0 };
  readonly #delays = new Durations();
  #restTimer: Timer | null = null;
  #isDraining = false;
  #isClosed = false;
  #watchTimer: Timer | null = null;
  /** Until when threads begin one call a turn; 0 while they do not. */
  #oneATurnUntilMs = 0;

  /**
   * @param runtime The runtime.
   * @param options How many threads, and what they do.
   * @param events The concurrency model.
   */
  constructor(runtime: Runtime, options: ThreadPoolOptions, events: ThreadPoolEvents) {
    this.#runtime = runtime;
    this.#options = options;
    this.#events = events;
    this.#seats = Array.from({ length: options.size }, () => new Seat(options.maxCallsPerThread));
  }

  /** The places, as many as there are to be threads. */
  get seats(): readonly ThreadSeat[] {
    return this.#seats;
  }

  /** Counts of threads. */
  get counts(): ThreadStats {
    const ready = this.#seats.filter((seat) => seat.isReady).length;
    return { ...this.#counts, ready };
  }

  /** How late its threads were, where that is measured. */
  get delays(): Histogram {
    return this.#delays.histogram;
  }

  /** WebSockets that are open on its threads. */
  get openSockets(): number {
    let count = 0;
    for (const thread of this.#threads) count += thread.openSockets;
    return count;
  }

  /** Starts all threads. Rejects with a `TrivetError` as soon as one can't be; then the pool is to be closed. */
  async start(): Promise<void> {
    this.#restTimer = this.#runtime.clock.every(REST_INTERVAL_MS, () => {
      for (const thread of this.#threads) {
        thread.sendRest();
        // A thread that has answered everything may compute all the same.
        if (!thread.isIdle) this.#startWatching();
      }
    });
    await Promise.all(this.#seats.map((seat) => this.#fill(seat)));
  }

  /** Gives a call to the thread of a seat, which must be ready. */
  give(seat: ThreadSeat, call: RemoteCall): void {
    const { thread } = seat;
    if (thread === null) return;
    // An idle thread begins the call at once and needs no watching, unless its handler has a timeout, which runs from
    // the moment at which the call was begun.
    if (thread.load > 0 || !thread.isIdle || this.#options.watchesAlways) this.#startWatching();
    thread.give(call);
    this.#considerRenewal(seat as Seat);
  }

  /**
   * Takes back the call that has waited longest on a thread that is held up.
   *
   * @param arrivedBeforeMs Only one that is known to wait since then.
   * @returns `null` when there is none.
   */
  takeBackHeldUp(arrivedBeforeMs = Infinity): RemoteCall | null {
    let longest: RemoteCall | null = null;
    let holder: HandlerThread | null = null;
    for (const thread of this.#threads) {
      if (!thread.isHeldUp) continue;
      const call = thread.firstUnbegun;
      if (call === null || call.waitsSinceMs > arrivedBeforeMs) continue;
      if (longest !== null && call.waitsSinceMs >= longest.waitsSinceMs) continue;
      longest = call;
      holder = thread;
    }
    if (longest === null || holder === null) return null;
    // The call may have been begun just now: then its thread is not held up, or by another call.
    return holder.takeBack(longest) ? longest : this.takeBackHeldUp(arrivedBeforeMs);
  }

  /** Tells the WebSockets of all threads but one what was published. */
  publish(publication: Publication, except: HandlerThread | null = null): void {
    for (const thread of this.#threads) if (thread !== except) thread.publish(publication);
  }

  /** Tells every handler that the server drains. */
  drain(): void {
    this.#isDraining = true;
    for (const thread of this.#threads) thread.drain();
  }

  /** Ends all threads. Resolves when none is left. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#restTimer?.cancel();
    this.#stopWatching();
    for (const seat of this.#seats) seat.close();
    await Promise.all([...this.#threads].map((thread) => thread.close()));
  }

  #watch(): void {
    let isBusy = false;
    let isHeldUp = false;
    for (const thread of this.#threads) {
      if (thread.watch()) isBusy = true;
      if (thread.isHeldUp) isHeldUp = true;
    }
    if (this.#oneATurnUntilMs !== 0) {
      isBusy = true;
      if (this.#runtime.clock.nowMs() >= this.#oneATurnUntilMs) this.#setOneATurn(0);
    }
    if (!isBusy) this.#stopWatching();
    if (!isHeldUp) return;
    try {
      this.#events.onHeldUp();
    } catch (fault) {
      this.#events.onError(new TrivetError("internal-error", "Calls could not be taken back.", { cause: fault }));
    }
  }

  #noteTurn(durationMs: number): void {
    if (durationMs <= LONG_TURN_MS || this.#isClosed) return;
    const echoMs = Math.min(LONG_TURN_ECHO * durationMs, MAX_LONG_TURN_ECHO_MS);
    this.#setOneATurn(this.#runtime.clock.nowMs() + echoMs);
    this.#startWatching();
  }

  #setOneATurn(untilMs: number): void {
    this.#oneATurnUntilMs = untilMs;
    for (const thread of this.#threads) thread.beginsOneATurn = untilMs !== 0;
  }

  #startWatching(): void {
    this.#watchTimer ??= this.#runtime.clock.every(WATCH_INTERVAL_MS, () => this.#watch());
  }

  #stopWatching(): void {
    this.#watchTimer?.cancel();
    this.#watchTimer = null;
  }

  /** Starts a thread for a seat. Rejects when that fails. */
  async #fill(seat: Seat): Promise<void> {
    const thread = new HandlerThread(this.#runtime, this.#options.orders, {
      onFree: () => this.#events.onFree(seat),
      onGone: (gone, returned, cause) => this.#onGone(seat, gone, returned, cause),
      onError: (error) => this.#events.onError(error),
      onTurn: (durationMs) => this.#noteTurn(durationMs),
      onDelays: (delaysMs) => delaysMs.forEach((delayMs) => this.#delays.add(delayMs)),
      onPublished: (publisher, publication) => {
        this.publish(publication, publisher);
        this.#events.onPublished(publication);
      },
    });
    this.#threads.add(thread);
    this.#counts.started++;
    seat.begin(thread);
    try {
      await thread.start(this.#options.entry, this.#options.maxHeapBytes);
    } catch (error) {
      seat.fail();
      throw error;
    }
    if (seat.state === "closed") return;
    seat.take(thread);
    if (this.#isDraining) thread.drain();
    this.#moveOn(seat);
    this.#events.onFree(seat);
  }

  /** A seat's thread was given another call: it may have had enough of them. */
  #considerRenewal(seat: Seat): void {
    this.#moveOn(seat);
    if (seat.isDue) this.#fillLater(seat, 0);
  }

  /** The fresh thread of a seat takes the place of the one before if that has had enough. */
  #moveOn(seat: Seat): void {
    if (seat.state !== "renewed" || !seat.isSpent) return;
    this.#counts.renewed++;
    seat.moveOn().retire();
  }

  #onGone(seat: Seat, gone: HandlerThread, returned: readonly RemoteCall[], cause: TrivetError | null): void {
    this.#threads.delete(gone);
    seat.lose(gone, this.#runtime.clock.nowMs());
    // A thread that was not ready yet is not lost: its start has failed.
    if (cause === null || !gone.wasReady) return;
    this.#counts.lost++;
    if (seat.state === "vacant") this.#fillLater(seat, seat.delayAfterLossMs);
    this.#events.onLost(seat, returned, cause);
  }

  /** Starts a thread for a seat, and again if that fails, each time after a longer delay. */
  #fillLater(seat: Seat, delayMs: number): void {
    const start = (): void => {
      this.#fill(seat).catch((error) => {
        if (!(error instanceof TrivetError)) {
          const message = "A thread could not be given what waits for it.";
          this.#events.onError(new TrivetError("internal-error", message, { cause: error }));
        } else if (seat.state !== "closed") {
          this.#events.onNotStarted(error);
        }
        if (seat.state === "vacant") this.#fillLater(seat, seat.nextStartDelayMs());
        // The thread that is there goes on, and calls may wait for it.
        else if (seat.state === "held") this.#events.onFree(seat);
      });
    };
    if (delayMs === 0) start();
    else seat.startAfter(this.#runtime.clock, delayMs, start);
  }
}
