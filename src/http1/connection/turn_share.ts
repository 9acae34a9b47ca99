/**
 * How much of a turn of the event loop one connection may take.
 *
 * A client that pipelines without pause always has a next request, and whatever it asks for, others are to be served
 * between. Time is read once a request, and not at all for the first one.
 *
 * It decides when a connection has had its share. It must not know what is asked for.
 *
 * @module
 */

/** How long one connection may answer pipelined requests before others are served. */
const MAX_TURN_MS = 4;

/** The time, and the way to let others be served. */
export interface TurnClock {
  preciseNowMs(): number;
  /** Calls back when this turn of the event loop is over. */
  defer(callback: () => void): void;
}

/** The share of one connection, which has begun a request in this turn already. */
export class TurnShare {
  readonly #clock: TurnClock;
  readonly #goOn: () => void;
  readonly #onTurnEnd = (): void => this.#endTurn();
  /** When the second request of this turn was begun; -1 while there was none. */
  #beganMs = -1;
  #isUsedUp = false;

  /**
   * @param clock The time.
   * @param goOn Called when others were served, if the share was used up.
   */
  constructor(clock: TurnClock, goOn: () => void) {
    this.#clock = clock;
    this.#goOn = goOn;
  }

  /** Whether one more request may be begun now; if not, the connection is called when it may go on. */
  take(): boolean {
    if (this.#isUsedUp) return false;
    const nowMs = this.#clock.preciseNowMs();
    if (this.#beganMs < 0) {
      this.#beganMs = nowMs;
      // There may be several reads in a turn, of which this class is not told.
      this.#clock.defer(this.#onTurnEnd);
    }
    this.#isUsedUp = nowMs - this.#beganMs >= MAX_TURN_MS;
    return !this.#isUsedUp;
  }

  #endTurn(): void {
    const wasUsedUp = this.#isUsedUp;
    this.#beganMs = -1;
    this.#isUsedUp = false;
    if (wasUsedUp) this.#goOn();
  }
}
