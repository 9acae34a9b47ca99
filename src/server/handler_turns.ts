/**
 * How many handlers are called within one turn of the event loop.
 *
 * Requests of many connections may be readable at once, and each handler may compute for a while. So once a turn has
 * lasted some milliseconds the others wait for the next one: what is finished leaves and others are read first. It must
 * not know which connection an exchange is on, nor where its handler runs.
 *
 * @module
 */

import type { Connection } from "../exchange/connection.ts";
import type { Exchange } from "../exchange/exchange.ts";

/** Handlers are begun for so long within one turn. */
const MAX_TURN_MS = 4;

/** The time, and the way to let others be served. */
export interface HandlerTurnClock {
  preciseNowMs(): number;
  /** Calls back when this turn of the event loop is over. */
  defer(callback: () => void): void;
}

/** Runs exchanges, some of them a turn later. */
export class HandlerTurns {
  readonly #clock: HandlerTurnClock;
  readonly #run: (exchange: Exchange, connection: Connection) => void;
  readonly #endTurn = (): void => this.#end();
  readonly #goOn = (): void => this.#beginWaiting();
  /** When the first handler of this turn was called; negative before that. */
  #beganMs = -1;
  #waiting: { readonly exchange: Exchange; readonly connection: Connection }[] = [];

  /**
   * @param clock The time.
   * @param run Calls the handler of an exchange, or has it called.
   */
  constructor(clock: HandlerTurnClock, run: (exchange: Exchange, connection: Connection) => void) {
    this.#clock = clock;
    this.#run = run;
  }

  /** Runs an exchange, now or when others were served. */
  run(exchange: Exchange, connection: Connection): void {
    if (this.#waiting.length > 0 || !this.#hasTime()) this.#waiting.push({ exchange, connection });
    else this.#run(exchange, connection);
  }

  /** Time is read once a handler. */
  #hasTime(): boolean {
    const nowMs = this.#clock.preciseNowMs();
    if (this.#beganMs >= 0) return nowMs - this.#beganMs < MAX_TURN_MS;
    this.#beganMs = nowMs;
    this.#clock.defer(this.#endTurn);
    return true;
  }

  /** What is finished is written in this same callback of the runtime; the others go on behind the next reads. */
  #end(): void {
    this.#beganMs = -1;
    if (this.#waiting.length > 0) this.#clock.defer(this.#goOn);
  }

  #beginWaiting(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const { exchange, connection } of waiting) {
      // Its client may have gone meanwhile, or its time be over.
      if (exchange.progress === "awaited") this.run(exchange, connection);
    }
  }
}
