/**
 * How much of a turn of the event loop may be taken by what always has a next step.
 *
 * A stream that always has a next piece never lets the loop turn: each read is answered within the same turn, for as
 * long as the client takes what is sent. A client that floods a WebSocket has a next frame as long, and one that
 * pipelines without pause a next request. So they have some milliseconds, and then others are served.
 *
 * It decides when a share is used up, and who goes on first behind that. It must not know what a step does, nor for
 * whom.
 *
 * @module
 */

import type { Clock } from "../runtime.ts";

/** How long steps are made within one turn. */
const MAX_TURN_MS = 4;
/** Most streams make one step in a turn, and a step takes about a microsecond: the time is read at each so many. */
const STEPS_A_LOOK = 4;

/** The exact time, and the end of a turn. */
export type TurnClock = Pick<Clock, "defer" | "nowMs">;

/** One share of each turn: of all streams and WebSockets of a thread, or of one connection. */
export class TurnShare {
  readonly #clock: TurnClock;
  readonly #stepsALook: number;
  readonly #onTurnEnd = (): void => this.#endTurn();
  #steps = 0;
  /** When the time was first read in this turn; -1 while it was not. */
  #beganMs = -1;
  #isUsedUp = false;
  readonly #waiting: (() => void)[] = [];

  /**
   * @param clock The time, and the end of a turn.
   * @param stepsALook At each so many steps the time is read: 1 where a single step may take long.
   */
  constructor(clock: TurnClock, stepsALook = STEPS_A_LOOK) {
    this.#clock = clock;
    this.#stepsALook = stepsALook;
  }

  /** Calls back when this turn of the event loop is over. */
  defer(callback: () => void): void {
    this.#clock.defer(callback);
  }

  /** Whether one more step may be made in this turn; if not, it has to {@linkcode wait}. */
  take(): boolean {
    if (this.#isUsedUp) return false;
    if (++this.#steps % this.#stepsALook !== 0) return true;
    const nowMs = this.#clock.nowMs();
    if (this.#beganMs < 0) {
      this.#beganMs = nowMs;
      this.defer(this.#onTurnEnd);
    }
    this.#isUsedUp = nowMs - this.#beganMs >= MAX_TURN_MS;
    return !this.#isUsedUp;
  }

  /** Calls back when others were served. */
  wait(goOn: () => void): void {
    this.#waiting.push(goOn);
  }

  /** Whether something waits for others to be served. */
  get isAwaited(): boolean {
    return this.#waiting.length > 0;
  }

  #endTurn(): void {
    this.#beganMs = -1;
    this.#isUsedUp = false;
    // What has to wait again stands behind what had nothing of this turn.
    for (let left = this.#waiting.length; left > 0 && this.take(); left--) this.#waiting.shift()!();
  }
}
