/**
 * Whether a thread still listens: it is asked, and takes too long to answer or not.
 *
 * It decides when a thread counts as lost because it says nothing. It must not know why the thread is asked, nor what
 * becomes of its calls.
 *
 * @module
 */

import { StateTable } from "../states.ts";
import type { TrivetError } from "../api/errors.ts";
import type { Clock, Timer } from "../runtime.ts";

/** Whether the thread listens, as far as is known. */
export type LifeState = "heard" | "asked" | "suspected";

/** The states of a sign of life. */
export const LIFE_STATES: StateTable<LifeState> = new StateTable<LifeState>("a sign of life", "heard", {
  heard: {
    asked: "a call that it may still run was given up: it gets no other until it answers",
    suspected: "the time of a call is over: it is lost if it does not answer in time",
  },
  asked: {
    heard: "it has answered the last question",
    suspected: "the time of a call is over",
  },
  suspected: {
    heard: "it has answered the last question",
    asked: "it has answered the question of the suspicion, and was asked again since",
  },
});

/** A thread in which a handler took too long is asked to say something, and is lost if it does not within this time. */
export const ANSWER_TIMEOUT_MS = 250;

/** What is done about it. */
export interface LifeEvents {
  /** Puts the question to the thread, which answers with its number. */
  ask(question: number): void;
  /** The thread has not answered in time. */
  onSilence(suspicion: TrivetError): void;
}

/** The sign of life of one thread. */
export class SignOfLife {
  readonly #clock: Clock;
  readonly #events: LifeEvents;
  #state: LifeState = LIFE_STATES.initial;
  #lastQuestion = 0;
  /** The question that the suspected thread has to answer. */
  #suspectedSince = 0;
  #timer: Timer | null = null;
  /** Why the thread is taken for lost if it does not answer. */
  #suspicion: TrivetError | null = null;

  /**
   * @param clock Says when it has taken too long.
   * @param events What is done about it.
   */
  constructor(clock: Clock, events: LifeEvents) {
    this.#clock = clock;
    this.#events = events;
  }

  get state(): LifeState {
    return this.#state;
  }

  /** Why the thread is taken for lost if it ends now. */
  get suspicion(): TrivetError | null {
    return this.#suspicion;
  }

  /** Asks whether the thread listens, however long it takes to answer. */
  ask(): void {
    if (this.#state === "heard") this.#enter("asked");
    this.#events.ask(++this.#lastQuestion);
  }

  /** Asks whether the thread listens; if it does not say so in time, it is lost for this reason. */
  suspect(suspicion: TrivetError): void {
    this.#events.ask(++this.#lastQuestion);
    if (this.#state === "suspected") return;
    this.#enter("suspected");
    this.#suspectedSince = this.#lastQuestion;
    this.#suspicion = suspicion;
    this.#timer = this.#clock.after(ANSWER_TIMEOUT_MS, () => this.#events.onSilence(suspicion));
  }

  /**
   * The thread has answered. What answers an earlier question says nothing about what the thread has done since.
   *
   * @returns Whether it was suspected, and is not any more.
   */
  hear(question: number): boolean {
    const isLast = question === this.#lastQuestion;
    if (this.#state === "asked" && isLast) this.#enter("heard");
    if (this.#state !== "suspected" || question < this.#suspectedSince) return false;
    this.#enter(isLast ? "heard" : "asked");
    this.end();
    return true;
  }

  /** The thread is gone, or asked to end: nothing is waited for any more. */
  end(): void {
    this.#timer?.cancel();
    this.#timer = null;
    this.#suspicion = null;
  }

  #enter(state: LifeState): void {
    this.#state = LIFE_STATES.enter(this.#state, state);
  }
}
