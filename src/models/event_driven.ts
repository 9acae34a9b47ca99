/**
 * The event-driven model: every connection is served at once, and thousands share one event loop.
 *
 * A connection that waits costs some memory and nothing else. The handler runs on the loop, so it must not compute for
 * long.
 *
 * @module
 */

import type { Exchange } from "../exchange/exchange.ts";
import { callHandler } from "../exchange/handler_call.ts";
import type { Connection } from "../exchange/connection.ts";
import type { Handler } from "../api/handler.ts";
import type { Scheduler } from "./scheduler.ts";

/** Serves everything at once, on this loop. */
export class EventDrivenScheduler implements Scheduler {
  readonly #handler: Handler;

  /** @param handler Called on the loop for each exchange. */
  constructor(handler: Handler) {
    this.#handler = handler;
  }

  admit(connection: Connection): void {
    connection.serve();
  }

  run(exchange: Exchange): void {
    callHandler(this.#handler, exchange);
  }

  mayPersist(_connection: Connection): boolean {
    return true;
  }

  release(_connection: Connection): void {}
}
