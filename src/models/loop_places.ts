/**
 * Places for workers on the event loop: the handler is called there and then.
 *
 * @module
 */

import type { Exchange } from "../exchange/exchange.ts";
import { callHandler } from "../exchange/handler_call.ts";
import type { Handler } from "../api/handler.ts";
import type { WorkPlaces } from "./worker_pool.ts";

/** As many places as are wanted: calls that wait do not hold each other up. */
export class LoopPlaces implements WorkPlaces {
  onReady: (place: number) => void = () => {};
  readonly #handler: Handler;

  /** @param handler Called on the loop. */
  constructor(handler: Handler) {
    this.#handler = handler;
  }

  isReady(_place: number): boolean {
    return true;
  }

  run(_place: number, exchange: Exchange): void {
    callHandler(this.#handler, exchange);
  }
}
