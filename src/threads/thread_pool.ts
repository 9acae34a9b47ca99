/**
 * A fixed number of threads that run handlers, each of which is replaced when it is lost.
 *
 * It decides when a thread is started, replaced, renewed and ended. It must not know which call goes to which thread.
 *
 * @module
 */

import { TrivetError } from "../api/errors.ts";
import type { Runtime, Timer } from "../runtime.ts";
import { HandlerThread, type LostCall, type ThreadOrders } from "./handler_thread.ts";

/** What the concurrency model is told. */
export interface ThreadPoolEvents {
  /** The thread of a seat can be given calls. */
  onFree(seat: ThreadSeat): void;
  /** The thread of a seat is gone; these calls it had not answered. */
  onLost(seat: ThreadSeat, calls: readonly LostCall[], cause: TrivetError): void;
}

/** How a pool is made. */
export interface ThreadPoolOptions {
  readonly size: number;
  readonly orders: ThreadOrders;
  /** The URL of the module that a thread starts from. */
  readonly entry: string;
  /** Calls after which a thread is replaced by a fresh one; 0 is never. */
  readonly maxCallsPerThread: number;
}

/** Counts of the threads of a pool since its start. */
export interface ThreadCounts {
  /** Ready to run handlers now. */
  ready: number;
  started: number;
  /** Crashed, or ended because a handler took too long. */
  lost: number;
  /** Replaced after as many calls as one thread makes. */
  renewed: number;
}

/** A thread that was ready for this long was not lost at once: the next one is started without delay. */
const STABLE_MS = 1_000;
/** Before a thread is started again whose predecessor was lost soon; it doubles each time. */
const MIN_BACK_OFF_MS = 100;
const MAX_BACK_OFF_MS = 5_000;
/** How often threads are told what need not hurry. */
const REST_INTERVAL_MS = 500;

/** A place in the pool that always has a thread, or is about to get one. */
export interface ThreadSeat {
  /** The thread that is given calls, if it is ready. */
  readonly thread: HandlerThread | null;
}

class Seat implements ThreadSeat {
  thread: HandlerThread | null = null;
  /** The one that is being started, to take the place. */
  successor: HandlerThread | null = null;
  startTimer: Timer | null = null;
  readySinceMs = 0;
  backOffMs = 0;
}

/** Keeps threads. */
export class ThreadPool {
  readonly #runtime: Runtime;
  readonly #options: ThreadPoolOptions;
  readonly #events: ThreadPoolEvents;
  readonly #seats: readonly Seat[];
  /** Every thread that is not gone, those that are retiring among them. */
  readonly #threads = new Set<HandlerThread>();
  readonly #counts: ThreadCounts = { ready: 0, started: 0, lost: 0, renewed: 0 };
  #restTimer: Timer | null = null;
  #isDraining = false;
  #isClosing = false;

  /**
   * @param runtime The runtime.
   * @param options How many threads, and what they do.
   * @param events The concurrency model.
   */
  constructor(runtime: Runtime, options: ThreadPoolOptions, events: ThreadPoolEvents) {
    this.#runtime = runtime;
    this.#options = options;
    this.#events = events;
    this.#seats = Array.from({ length: options.size }, () => new Seat());
  }

  /** The places, as many as there are to be threads. */
  get seats(): readonly ThreadSeat[] {
    return this.#seats;
  }

  /** Counts of threads. */
  get counts(): Readonly<ThreadCounts> {
    const ready = this.#seats.filter((seat) => seat.thread?.isReady === true).length;
    return { ...this.#counts, ready };
  }

  /** Starts all threads. Rejects with a `TrivetError` when one can't be; then none is left. */
  async start(): Promise<void> {
    this.#restTimer = this.#runtime.clock.every(REST_INTERVAL_MS, () => {
      for (const thread of this.#threads) thread.sendRest();
    });
    const results = await Promise.allSettled(this.#seats.map((seat) => this.#startThread(seat)));
    const failure = results.find((result) => result.status === "rejected");
    if (failure === undefined) return;
    await this.close();
    throw failure.reason;
  }

  /** A seat's thread was given another call: it may have had enough of them. */
  countCall(seat: ThreadSeat): void {
    const { maxCallsPerThread } = this.#options;
    const { thread, successor } = seat as Seat;
    if (maxCallsPerThread === 0 || thread === null || successor !== null) return;
    if (thread.callCount >= maxCallsPerThread) this.#renew(seat as Seat);
  }

  /** Tells every handler that the server drains. */
  drain(): void {
    this.#isDraining = true;
    for (const thread of this.#threads) thread.drain();
  }

  /** Ends all threads. Resolves when none is left. */
  async close(): Promise<void> {
    this.#isClosing = true;
    this.#restTimer?.cancel();
    for (const seat of this.#seats) seat.startTimer?.cancel();
    await Promise.all([...this.#threads].map((thread) => thread.close()));
  }

  async #startThread(seat: Seat): Promise<void> {
    const thread = new HandlerThread(this.#runtime, this.#options.orders, {
      onFree: (free) => {
        if (seat.thread === free) this.#events.onFree(seat);
      },
      onGone: (gone, calls, cause) => this.#onGone(seat, gone, calls, cause),
    });
    this.#threads.add(thread);
    this.#counts.started++;
    seat.successor = thread;
    await thread.start(this.#options.entry);
    if (!thread.isReady) throw new TrivetError("thread-crashed", "A thread has ended as soon as it was ready.");
    const predecessor = seat.thread;
    seat.successor = null;
    seat.thread = thread;
    seat.readySinceMs = this.#runtime.clock.nowMs();
    if (this.#isDraining) thread.drain();
    predecessor?.retire();
    this.#events.onFree(seat);
  }

  /** Starts a fresh thread, which takes the place when it is ready; until then the old one goes on. */
  #renew(seat: Seat): void {
    this.#counts.renewed++;
    this.#startThread(seat).catch(() => {
      // The module could be loaded before. The old thread goes on, and is renewed at its next call.
      this.#counts.renewed--;
      if (seat.thread === null && !this.#isClosing) this.#replace(seat);
    });
  }

  #onGone(seat: Seat, gone: HandlerThread, calls: readonly LostCall[], cause: TrivetError | null): void {
    this.#threads.delete(gone);
    if (seat.successor === gone) seat.successor = null;
    const hadSeat = seat.thread === gone;
    if (hadSeat) {
      seat.thread = null;
      if (this.#runtime.clock.nowMs() - seat.readySinceMs >= STABLE_MS) seat.backOffMs = 0;
    }
    if (cause === null || (!hadSeat && calls.length === 0)) return;
    this.#counts.lost++;
    if (hadSeat && !this.#isClosing) this.#replace(seat);
    this.#events.onLost(seat, calls, cause);
  }

  /** At once the first time, later after a delay that grows while threads do not last. */
  #replace(seat: Seat): void {
    if (seat.successor !== null) return;
    const delayMs = seat.backOffMs;
    seat.backOffMs = Math.min(MAX_BACK_OFF_MS, Math.max(MIN_BACK_OFF_MS, 2 * delayMs));
    const start = (): void => {
      seat.startTimer = null;
      if (this.#isClosing) return;
      this.#startThread(seat).catch(() => {
        if (!this.#isClosing && seat.thread === null) this.#replace(seat);
      });
    };
    if (delayMs === 0) start();
    else seat.startTimer = this.#runtime.clock.after(delayMs, start);
  }
}
