/**
 * The calls that a thread was given and has not begun, as far as the event loop knows.
 *
 * It decides how many calls the thread is given at a time, which of them have begun, and which can be taken back
 * because the thread is held up. It must not know what becomes of a call that has begun, nor when anything is sent.
 *
 * @module
 */

import type { Clock } from "../runtime.ts";
import type { OutgoingBatch } from "./batch.ts";
import { Claims, countUpTo, MAX_CLAIMS } from "./claims.ts";
import type { RemoteCall } from "./remote_call.ts";

/** A thread is given as many calls as it is likely to begin within this time; the others wait for the next one free. */
const TARGET_UNBEGUN_MS = 2;
/** How much a batch counts for the pace of a thread, against all before it. */
const PACE_WEIGHT = 0.25;

/** Calls that have not begun. */
export class GivenCalls {
  readonly claims: Claims = new Claims();
  /** Whether the thread has not come further since it was last watched, although it has something to do. */
  isHeldUp = false;
  readonly #clock: Clock;
  /** Given in this turn, and sent when it is over. */
  #unwritten: RemoteCall[] = [];
  /** Those that were sent, each at its sequence modulo the size; `null` for one that has begun or was taken back. */
  readonly #sent: (RemoteCall | null)[] = new Array(MAX_CLAIMS).fill(null);
  #lastSequence = 0;
  /** How far the thread has looked, as of the last time that it was asked. */
  #lookedAt = 0;
  /** How far it has said that it has come. */
  #saidAt = 0;
  /** How many of those it has not looked at were taken back. */
  #withdrawn = 0;
  #window = 1;
  #callMs = TARGET_UNBEGUN_MS;
  /** What it had looked at and said when it was last watched; `null` when it had nothing to do then. */
  #watched: { readonly lookedAt: number; readonly saidAt: number } | null = null;

  /** @param clock Says when a call has begun. */
  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Whether the thread is likely to begin one more call soon. */
  get hasRoom(): boolean {
    return this.#unlookedAt < this.#window;
  }

  /** Whether there is room for one more call, however long it takes until it is begun. */
  get hasPlace(): boolean {
    return this.#unlookedAt < MAX_CLAIMS;
  }

  /** Whether the thread has said that it has looked at everything, so that it waits for calls. */
  get isIdle(): boolean {
    return this.#unwritten.length === 0 && this.#saidAt === this.#lastSequence;
  }

  /** How many calls have not begun. */
  get unbegunCount(): number {
    this.look();
    return this.#unwritten.length + countUpTo(this.#lastSequence, this.#lookedAt) - this.#withdrawn;
  }

  /** Takes a call. */
  add(call: RemoteCall): void {
    this.#unwritten.push(call);
  }

  /** Writes down what was added. */
  write(batch: OutgoingBatch): void {
    if (this.#unwritten.length === 0) return;
    // The places of calls that have begun are used again.
    this.look();
    const calls = this.#unwritten;
    this.#unwritten = [];
    for (const call of calls) {
      const sequence = this.#lastSequence = (this.#lastSequence + 1) | 0;
      this.#sent[sequence & MAX_CLAIMS - 1] = call;
      this.claims.offer(sequence);
      call.write(batch, sequence);
    }
  }

  /** Sees which calls have begun. */
  look(): void {
    const { lookedAt } = this.claims;
    if (lookedAt === this.#lookedAt) return;
    const nowMs = this.#clock.nowMs();
    while (this.#lookedAt !== lookedAt) {
      const place = (this.#lookedAt = (this.#lookedAt + 1) | 0) & MAX_CLAIMS - 1;
      const call = this.#sent[place];
      this.#sent[place] = null;
      if (call === null) this.#withdrawn--;
      else call.begin(nowMs);
    }
  }

  /** Takes a call back. Returns whether that was possible: its handler is never called then. */
  takeBack(call: RemoteCall): boolean {
    const unwritten = this.#unwritten.indexOf(call);
    if (unwritten >= 0) {
      this.#unwritten.splice(unwritten, 1);
      return true;
    }
    const { sequence } = call;
    if (sequence === null || !this.claims.withdraw(sequence)) return false;
    this.#sent[sequence & MAX_CLAIMS - 1] = null;
    this.#withdrawn++;
    return true;
  }

  /** The call that was given first of those that have not begun. */
  get first(): RemoteCall | null {
    this.look();
    for (let sequence = this.#lookedAt; sequence !== this.#lastSequence;) {
      sequence = (sequence + 1) | 0;
      const call = this.#sent[sequence & MAX_CLAIMS - 1];
      if (call !== null) return call;
    }
    return this.#unwritten[0] ?? null;
  }

  /** The thread has looked at all calls up to one, and has begun so many of them in so long. */
  takePace(sequence: number, begun: number, elapsedMs: number): void {
    this.look();
    this.#saidAt = sequence;
    this.isHeldUp = false;
    if (begun === 0) return;
    this.#callMs += (elapsedMs / begun - this.#callMs) * PACE_WEIGHT;
    this.#window = Math.max(1, Math.min(MAX_CLAIMS, Math.floor(TARGET_UNBEGUN_MS / this.#callMs)));
  }

  /**
   * Sees whether the thread has come further since the last time; if not, it is held up. Calls that have not begun wait
   * from then on, as far as anything knows.
   *
   * @returns Whether it has something to do, so that it has to be watched on.
   */
  watch(): boolean {
    this.look();
    if (this.isIdle) {
      this.#watched = null;
      return false;
    }
    const watched = this.#watched;
    this.#watched = { lookedAt: this.#lookedAt, saidAt: this.#saidAt };
    if (watched?.lookedAt !== this.#lookedAt || watched.saidAt !== this.#saidAt) return true;
    this.isHeldUp = true;
    const nowMs = this.#clock.nowMs();
    for (const call of this.#sent) call?.waitFrom(nowMs);
    return true;
  }

  /** What the thread was sent and has not looked at, what was taken back of it included; and what will be sent. */
  get #unlookedAt(): number {
    return this.#unwritten.length + countUpTo(this.#lastSequence, this.claims.lookedAt);
  }
}
