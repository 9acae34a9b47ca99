/**
 * Fairness on Deno: when its event loop looks at sockets.
 *
 * The loop is a task of tokio, which asks the system about sockets when no task is ready, and otherwise behind every
 * 61st turn of one. So while each turn leaves something to do at once, a callback that is due or a read of bytes that
 * are there, nothing new is seen for 61 turns: a quarter of a second, with turns of 4 ms. Therefore a loop that was
 * busy for a while is left without anything to do until a timer is over. It must not know what is done in a turn.
 *
 * @module
 */

import { scheduleApart } from "./async_context.ts";

/** A turn that has lasted as long is over as soon as that can be: further reads are left to the next one. */
const LONG_TURN_MS = 4;
/** Shorter turns are not counted: 61 of them hold others up for a tenth of a second at most. */
const COUNTED_TURN_MS = 1.5;
/** A loop that was busy for so long rests: the timer takes 2 ms, a twentieth of what others wait at most. */
const MAX_BUSY_MS = 40;

/** The turns of the event loop of a thread. */
export class LoopTurns {
  readonly #onTurnEnd = (): void => this.#endTurn();
  readonly #onRested = (): void => this.#callBack(performance.now());
  #deferred: (() => void)[] = [];
  /** Whether the end of this turn will be told. */
  #isEndDue = false;
  #beganMs = 0;
  /** What turns have taken since sockets were looked at for sure. */
  #busyMs = 0;

  /** Calls back when this turn is over, and sockets were looked at if that was due. */
  readonly defer = (callback: () => void): void => {
    this.#deferred.push(callback);
    if (!this.#isEndDue) this.#begin();
  };

  /** Whether this turn has lasted long since it was asked for the first time. */
  isLong(): boolean {
    if (this.#isEndDue) return performance.now() - this.#beganMs > LONG_TURN_MS;
    this.#begin();
    return false;
  }

  #begin(): void {
    this.#isEndDue = true;
    this.#beganMs = performance.now();
    scheduleApart(setImmediate, this.#onTurnEnd);
  }

  #endTurn(): void {
    const nowMs = performance.now();
    const turnMs = nowMs - this.#beganMs;
    if (turnMs > COUNTED_TURN_MS) this.#busyMs += turnMs;
    if (this.#busyMs < MAX_BUSY_MS) {
      this.#callBack(nowMs);
      return;
    }
    this.#busyMs = 0;
    setTimeout(this.#onRested, 0);
  }

  /** What is deferred now is called in another turn, to which the callbacks belong. */
  #callBack(beganMs: number): void {
    const deferred = this.#deferred;
    this.#deferred = [];
    this.#isEndDue = false;
    // Each but the first is called by itself, so that promises settle between two of them, as between callbacks of the
    // loop: what one has begun may be whole then.
    for (let i = 1; i < deferred.length; i++) setImmediate(deferred[i]);
    // Nothing was deferred where only the length of the turn is to be measured.
    deferred[0]?.();
    if (this.#isEndDue) this.#beganMs = beganMs;
  }
}
