/**
 * A place in a pool that always has a thread, or is about to get one.
 *
 * It decides when its thread has made enough calls and how soon a lost one is replaced. It must not know how threads
 * are started, nor what they run.
 *
 * @module
 */

import type { Clock, Timer } from "../runtime.ts";
import { StateTable } from "../states.ts";
import type { HandlerThread } from "./handler_thread.ts";

/** What stands at a place. */
export type SeatState = "vacant" | "filling" | "held" | "renewing" | "renewed" | "closed";

/** The states of a place for a thread. */
export const SEAT_STATES: StateTable<SeatState> = new StateTable<SeatState>("a place for a thread", "vacant", {
  vacant: {
    filling: "a thread is being started",
    closed: "the server stops",
  },
  filling: {
    held: "the thread is ready",
    vacant: "the thread could not be started, and another one is tried later",
    closed: "the server stops",
  },
  held: {
    renewing: "its thread has nearly made as many calls as one thread makes, and a fresh one is being started",
    vacant: "its thread was lost",
    closed: "the server stops",
  },
  renewing: {
    renewed: "the fresh thread is ready",
    held: "no fresh thread could be started, and the one that is there goes on",
    filling: "the thread before was lost",
    closed: "the server stops",
  },
  renewed: {
    held: "the thread before has made its calls, or one of the two was lost",
    closed: "the server stops",
  },
  closed: {},
});

/** A fresh thread is started when this part of the calls was made, so that it is ready in time. */
const RENEWAL_SHARE = 0.9;
/** So many threads are replaced at once; beyond that there is a delay, which doubles with each. */
const MAX_LOSSES_AT_ONCE = 10;
/** A loss is forgotten after this time. */
const FORGET_LOSS_MS = 1_000;
const MIN_LOSS_DELAY_MS = 50;
/** Requests wait for the thread meanwhile, so that this stays well below what a client would wait for. */
const MAX_LOSS_DELAY_MS = 500;
/** Before another start after one that has failed, in which nothing is served; it doubles each time. */
const MIN_START_DELAY_MS = 100;
const MAX_START_DELAY_MS = 5_000;

/** One place. */
export class Seat {
  /** The thread that is given calls. */
  thread: HandlerThread | null = null;
  #state: SeatState = SEAT_STATES.initial;
  /** The one that is being started, or is ready and waits to take the place. */
  #successor: HandlerThread | null = null;
  readonly #maxCalls: number;
  /** How many calls its thread may make. */
  #callLimit: number;
  #losses = 0;
  #lostAtMs = 0;
  #startDelayMs = MIN_START_DELAY_MS;
  #timer: Timer | null = null;

  /** @param maxCalls How many calls one thread makes; 0 is no bound. */
  constructor(maxCalls: number) {
    this.#maxCalls = maxCalls === 0 ? Infinity : maxCalls;
    this.#callLimit = this.#maxCalls;
  }

  get state(): SeatState {
    return this.#state;
  }

  /** Whether its thread can be given a call now, however long it takes until it is begun. */
  get isReady(): boolean {
    return this.thread !== null && this.thread.isReady && !this.isSpent;
  }

  /** Whether its thread is likely to begin one more call soon. */
  get hasRoom(): boolean {
    return this.thread !== null && this.thread.hasRoom && !this.isSpent;
  }

  /** Whether its thread has made as many calls as it may. */
  get isSpent(): boolean {
    return this.thread !== null && this.thread.callCount >= this.#callLimit;
  }

  /** Whether it is time to start a fresh thread. */
  get isDue(): boolean {
    return this.#state === "held" && this.thread!.callCount >= RENEWAL_SHARE * this.#callLimit;
  }

  /** A thread is being started for it. */
  begin(successor: HandlerThread): void {
    this.#enter(this.#state === "held" ? "renewing" : "filling");
    this.#timer = null;
    this.#successor = successor;
  }

  /** The thread that was being started is ready. */
  take(successor: HandlerThread): void {
    this.#startDelayMs = MIN_START_DELAY_MS;
    if (this.#state === "renewing") {
      this.#enter("renewed");
      return;
    }
    this.#enter("held");
    this.#seat(successor);
  }

  /** The thread that was being started can't be. */
  fail(): void {
    if (this.#state === "closed") return;
    this.#successor = null;
    if (this.#state === "renewing") this.#callLimit += this.#maxCalls;
    this.#enter(this.#state === "renewing" ? "held" : "vacant");
  }

  /** The fresh thread takes the place of the one before, which is returned. */
  moveOn(): HandlerThread {
    const before = this.thread!;
    this.#enter("held");
    this.#seat(this.#successor!);
    return before;
  }

  /** A thread is gone that was ready. */
  lose(gone: HandlerThread, nowMs: number): void {
    if (this.#state === "closed") return;
    if (this.#state === "renewed" && gone === this.#successor) {
      this.#successor = null;
      this.#enter("held");
    } else if (gone === this.thread) {
      this.#losses = Math.max(0, this.#losses - (nowMs - this.#lostAtMs) / FORGET_LOSS_MS) + 1;
      this.#lostAtMs = nowMs;
      this.thread = null;
      if (this.#state === "renewed") {
        this.#enter("held");
        this.#seat(this.#successor!);
      } else this.#enter(this.#state === "renewing" ? "filling" : "vacant");
    }
  }

  /** How long to wait before a lost thread is replaced. */
  get delayAfterLossMs(): number {
    const excess = Math.floor(this.#losses) - MAX_LOSSES_AT_ONCE;
    return excess <= 0 ? 0 : Math.min(MAX_LOSS_DELAY_MS, MIN_LOSS_DELAY_MS * 2 ** (excess - 1));
  }

  /** How long to wait after a start that has failed; longer each time. */
  nextStartDelayMs(): number {
    const delayMs = this.#startDelayMs;
    this.#startDelayMs = Math.min(MAX_START_DELAY_MS, 2 * delayMs);
    return delayMs;
  }

  /** Calls back after a delay, unless the place is closed by then. */
  startAfter(clock: Clock, delayMs: number, start: () => void): void {
    this.#timer = clock.after(delayMs, start);
  }

  /** No thread is started for it any more. */
  close(): void {
    if (this.#state === "closed") return;
    this.#enter("closed");
    this.#timer?.cancel();
    this.#timer = null;
  }

  #seat(thread: HandlerThread): void {
    this.thread = thread;
    this.#successor = null;
    this.#callLimit = this.#maxCalls;
  }

  #enter(state: SeatState): void {
    this.#state = SEAT_STATES.enter(this.#state, state);
  }
}
