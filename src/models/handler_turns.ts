/**
 * The calls of handlers on this event loop.
 *
 * Requests of many connections may be readable at once, and each handler may compute for a while. So once handlers have
 * computed for some milliseconds in a turn the others wait for the next one: what is finished leaves and others are
 * read first. It must not know which connection an exchange is on, nor which model calls.
 *
 * Time is read once, behind each handler, and the end of the turn is asked for only when there is something to measure;
 * so what computes little costs a look at the clock. Time in which the loop was idle is taken for a handler's: what is
 * read in the same turn as the first request behind it waits for the next turn, which then has nothing else to do.
 *
 * @module
 */

import type { Handler } from "../api/handler.ts";
import type { Exchange } from "../exchange/exchange.ts";
import { callHandler } from "../exchange/handler_call.ts";
import type { Clock } from "../runtime.ts";

/** How long handlers compute within one turn until no further one is begun. */
const MAX_TURN_MS = 4;
/**
 * A call that has taken less has computed nothing. When a thousand connections are readable, their turn is longer than
 * it may be without any handler that computes, and to call them a turn later costs a tenth of the whole request.
 */
const COUNTED_MS = 0.05;
/** When handlers have computed for so long, the end of the turn is asked for. */
const NOTICED_MS = 1;

/** Calls a handler, sometimes a turn later. */
export class HandlerTurns {
  readonly #handler: Handler;
  readonly #clock: Clock;
  readonly #endTurn = (): void => this.#end();
  readonly #goOn = (): void => this.#callWaiting();
  #spentMs = 0;
  #lastMs: number;
  #isEndDue = false;
  readonly #waiting: Exchange[] = [];

  /**
   * @param handler The user's.
   * @param clock The runtime's clock.
   */
  constructor(handler: Handler, clock: Clock) {
    this.#handler = handler;
    this.#clock = clock;
    this.#lastMs = clock.nowMs();
  }

  /** Calls the handler for an exchange, now or when others were served. */
  call(exchange: Exchange): void {
    if (this.#spentMs >= MAX_TURN_MS || this.#waiting.length > 0) this.#waiting.push(exchange);
    else this.#callNow(exchange);
  }

  #callNow(exchange: Exchange): void {
    callHandler(this.#handler, exchange);
    const nowMs = this.#clock.nowMs();
    const tookMs = nowMs - this.#lastMs;
    if (tookMs >= COUNTED_MS) this.#spentMs += tookMs;
    this.#lastMs = nowMs;
    if (this.#spentMs < NOTICED_MS || this.#isEndDue) return;
    this.#isEndDue = true;
    this.#clock.defer(this.#endTurn);
  }

  /** What is finished is written in this same callback of the runtime; the others go on behind the next reads. */
  #end(): void {
    this.#isEndDue = false;
    this.#spentMs = 0;
    if (this.#waiting.length > 0) this.#clock.defer(this.#goOn);
  }

  /** The next request of a connection that was answered comes behind those that wait. */
  #callWaiting(): void {
    const waiting = this.#waiting;
    this.#lastMs = this.#clock.nowMs();
    let taken = 0;
    while (taken < waiting.length && this.#spentMs < MAX_TURN_MS) {
      const exchange = waiting[taken++];
      // Its client may have gone meanwhile, or its time be over. What the handler before has entered is not for this
      // one.
      if (exchange.progress === "awaited") this.#clock.callApart(() => this.#callNow(exchange));
    }
    waiting.splice(0, taken);
  }
}
