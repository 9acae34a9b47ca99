/**
 * Threads that are none: the same process runs them, so that a test decides what happens and when.
 *
 * They keep the contract of `src/runtime.ts`. What is sent is copied or moved as between real threads, so that what
 * can't cross fails here too. What a thread does is a function that is given the thread's own runtime.
 *
 * @module
 */

import type { Clock, ParentThread, Thread, ThreadEvents, Timer } from "../../src/runtime.ts";
import { describeFailure, failureToError } from "../../runtime/thread_failure.ts";

/** A thread as a test sees it. */
export interface MemoryThread {
  /** The URL of the module that a real thread would run. */
  readonly entry: string;
  /** Whether it has not ended. */
  readonly isAlive: boolean;
  /** Whether it was ended with `terminate`. */
  readonly wasTerminated: boolean;
  /** Whether an uncaught error has ended it. */
  readonly hasCrashed: boolean;
  /** Whether it would keep the process alive. */
  readonly isReferenced: boolean;
  /** Stands still, as a thread that is busy: messages to and from it wait, and so do its timers. */
  freeze(): void;
  /** Goes on. */
  thaw(): void;
  /** Ends, with an uncaught error. */
  crash(error: Error): void;
  /** Has the next `runWithin` with a limit be cut short: its callback is not called. */
  cutShortOnce(): void;
  /** A promise of its program is rejected, and nothing handles it. */
  reject(thrown: unknown): void;
  /** Its program posts a message that is its own. */
  say(message: unknown): void;
}

/** What the runtime within a thread is made of. */
export interface ThreadSurroundings {
  readonly clock: Clock;
  parentThread(): Promise<ParentThread>;
}

/** Starts the function that runs in a thread; rejects when that fails. */
export type RunThread = (inside: ThreadSurroundings) => Promise<void>;

/** Both ends of a thread, together with what a test may do to it. */
export class MemoryThreadEnds implements Thread, MemoryThread {
  readonly entry: string;
  isAlive = true;
  wasTerminated = false;
  hasCrashed = false;
  isReferenced = true;
  readonly #events: ThreadEvents;
  readonly #inbox: Mailbox;
  readonly #outbox: Mailbox;
  readonly #clock: ThreadClock;
  #mustCutShort = false;
  #takeRejection: ((thrown: unknown) => void) | null = null;

  constructor(entry: string, events: ThreadEvents, clock: Clock, run: RunThread) {
    this.entry = entry;
    this.#events = events;
    this.#clock = new ThreadClock(clock, (act) => this.#runInside(act));
    this.#inbox = new Mailbox();
    this.#outbox = new Mailbox();
    this.#outbox.open((message) => events.onMessage(message));
    queueMicrotask(() => {
      if (!this.isAlive) return;
      const surroundings = { clock: this.#clock, parentThread: () => Promise.resolve(this.#createParent()) };
      run(surroundings).catch((thrown) => this.#fail(thrown));
    });
  }

  post(message: unknown, transfer?: ArrayBuffer[]): void {
    if (this.isAlive) this.#inbox.send(message, transfer);
  }

  terminate(): void {
    if (!this.isAlive) return;
    this.wasTerminated = true;
    this.#outbox.discard();
    this.#end(undefined);
  }

  ref(): void {
    this.isReferenced = true;
  }

  unref(): void {
    this.isReferenced = false;
  }

  freeze(): void {
    this.#inbox.hold();
    this.#outbox.hold();
    this.#clock.hold();
  }

  thaw(): void {
    this.#inbox.release();
    this.#outbox.release();
    this.#clock.release();
  }

  crash(error: Error): void {
    this.#fail(error);
  }

  cutShortOnce(): void {
    this.#mustCutShort = true;
  }

  reject(thrown: unknown): void {
    if (this.#takeRejection === null) this.#fail(thrown);
    else this.#runInside(() => this.#takeRejection?.(thrown));
  }

  say(message: unknown): void {
    if (this.isAlive) this.#outbox.send(message, undefined);
  }

  #createParent(): ParentThread {
    return {
      post: (message, transfer) => {
        if (this.isAlive) this.#outbox.send(message, transfer);
      },
      listen: (onMessage) => this.#inbox.open((message) => this.#runInside(() => onMessage(message))),
      runWithin: (limitMs, callback) => {
        if (limitMs > 0 && this.#mustCutShort) return this.#mustCutShort = false;
        callback();
        return true;
      },
      onRejection: (callback) => void (this.#takeRejection = callback),
      exit: () => this.#end(undefined),
    };
  }

  /** What a listener or a timer throws is an uncaught error. */
  #runInside(act: () => void): void {
    try {
      act();
    } catch (thrown) {
      this.#fail(thrown);
    }
  }

  #fail(thrown: unknown): void {
    this.#end(failureToError(describeFailure(thrown)));
  }

  #end(cause: Error | undefined): void {
    if (!this.isAlive) return;
    this.isAlive = false;
    this.hasCrashed = cause !== undefined;
    this.#inbox.discard();
    this.#clock.stop();
    // A frozen thread that ends has nothing left to wait for. What it sent before it ends arrives before the end.
    this.#outbox.release();
    this.#outbox.whenEmpty(() => this.#events.onExit(cause));
  }
}

/** Messages in one direction. Each arrives in a microtask of its own. */
class Mailbox {
  #messages: unknown[] = [];
  #take: ((message: unknown) => void) | null = null;
  #onEmpty: (() => void) | null = null;
  #isHeld = false;
  #isScheduled = false;

  send(message: unknown, transfer: ArrayBuffer[] | undefined): void {
    this.#messages.push(structuredClone(message, { transfer }));
    this.#schedule();
  }

  open(take: (message: unknown) => void): void {
    this.#take = take;
    this.#schedule();
  }

  hold(): void {
    this.#isHeld = true;
  }

  release(): void {
    this.#isHeld = false;
    this.#schedule();
  }

  discard(): void {
    this.#messages = [];
  }

  whenEmpty(callback: () => void): void {
    this.#onEmpty = callback;
    this.#schedule();
  }

  #schedule(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    queueMicrotask(() => {
      this.#isScheduled = false;
      this.#deliverNext();
    });
  }

  #deliverNext(): void {
    if (this.#isHeld || this.#take === null) return;
    if (this.#messages.length > 0) {
      this.#schedule();
      this.#take(this.#messages.shift());
      return;
    }
    const onEmpty = this.#onEmpty;
    this.#onEmpty = null;
    onEmpty?.();
  }
}

/** The clock of a thread: it stands still with its thread and ends with it. */
class ThreadClock implements Clock {
  readonly #clock: Clock;
  readonly #run: (act: () => void) => void;
  readonly #timers = new Set<Timer>();
  #held: (() => void)[] | null = null;
  #isStopped = false;

  constructor(clock: Clock, run: (act: () => void) => void) {
    this.#clock = clock;
    this.#run = run;
  }

  nowMs(): number {
    return this.#clock.nowMs();
  }

  wallTimeMs(): number {
    return this.#clock.wallTimeMs();
  }

  every(intervalMs: number, callback: () => void): Timer {
    return this.#add((call) => this.#clock.every(intervalMs, call), callback);
  }

  after(delayMs: number, callback: () => void): Timer {
    return this.#add((call) => this.#clock.after(delayMs, call), callback);
  }

  readonly defer = (callback: () => void): void => this.#clock.defer(() => this.#call(callback));

  callApart(callback: () => void): void {
    callback();
  }

  hold(): void {
    this.#held ??= [];
  }

  release(): void {
    const held = this.#held ?? [];
    this.#held = null;
    for (const callback of held) this.#call(callback);
  }

  stop(): void {
    this.#isStopped = true;
    this.#held = null;
    for (const timer of this.#timers) timer.cancel();
    this.#timers.clear();
  }

  #add(start: (call: () => void) => Timer, callback: () => void): Timer {
    // Promises of a thread that has ended are still settled here, which would begin nothing where threads are real.
    if (this.#isStopped) return { cancel: () => {} };
    let isCancelled = false;
    const timer = start(() => this.#call(() => isCancelled || callback()));
    this.#timers.add(timer);
    return {
      cancel: () => {
        isCancelled = true;
        timer.cancel();
        this.#timers.delete(timer);
      },
    };
  }

  #call(callback: () => void): void {
    if (this.#isStopped) return;
    if (this.#held === null) this.#run(callback);
    else this.#held.push(callback);
  }
}
