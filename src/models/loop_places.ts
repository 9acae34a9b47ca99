/**
 * Places for workers on the event loop: the handler is called there and then.
 *
 * @module
 */

import type { Exchange } from "../exchange/exchange.ts";
import type { HandlerTurns } from "./handler_turns.ts";
import type { WorkPlaces } from "./worker_pool.ts";

/** As many places as are wanted: calls that wait do not hold each other up. */
export class LoopPlaces implements WorkPlaces {
  onReady: (place: number) => void = () => {};
  readonly #handler: HandlerTurns;

  /** @param handler Called on the loop, so often in a turn. */
  constructor(handler: HandlerTurns) {
    this.#handler = handler;
  }

  isReady(_place: number): boolean {
    return true;
  }

  run(_place: number, exchange: Exchange): void {
    this.#handler.call(exchange);
  }
}
