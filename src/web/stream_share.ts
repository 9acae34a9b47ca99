/**
 * How much of a turn of the event loop the streams of handlers may take.
 *
 * A stream that always has a next piece never lets the loop turn: each read is answered within the same turn, for as long
 * as the client takes what is sent. A client that floods a WebSocket has a next frame as long. So together they have some
 * milliseconds, and then others are served. It must not know what is read or written, nor for whom.
 *
 * @module
 */

import type { Clock } from "../runtime.ts";

/** How long streams go on within one turn. */
const MAX_TURN_MS = 4;
/** The time is read at each so many steps: most streams make one step in a turn, and a step takes about a microsecond. */
const STEPS_A_LOOK = 4;

/** The share of all streams of one event loop, or of one thread. */
export class StreamShare {
  readonly #clock: Pick<Clock, "defer" | "nowMs">;
  readonly #onTurnEnd = (): void => this.#endTurn();
  #steps = 0;
  /** When streams were first looked at in this turn; -1 while they were not. */
  #beganMs = -1;
  #isUsedUp = false;
  #waiting: (() => void)[] = [];

  /** @param clock The time, and the end of a turn. */
  constructor(clock: Pick<Clock, "defer" | "nowMs">) {
    this.#clock = clock;
  }

  /** Calls back when this turn of the event loop is over. */
  defer(callback: () => void): void {
    this.#clock.defer(callback);
  }

  /** Whether a stream may make one more step in this turn; if not, it has to {@linkcode wait}. */
  take(): boolean {
    if (this.#isUsedUp) return false;
    if (++this.#steps % STEPS_A_LOOK !== 0) return true;
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

  #endTurn(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    this.#beganMs = -1;
    this.#isUsedUp = false;
    for (const goOn of waiting) goOn();
  }
}
