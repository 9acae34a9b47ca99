/**
 * The event-driven model: every connection is served at once, and thousands share one event loop.
 *
 * A connection that waits costs some memory and nothing else. The handler runs on the loop, so it must not compute for
 * long.
 *
 * @module
 */

import type { Exchange } from "../exchange/exchange.ts";
import type { Connection } from "../exchange/connection.ts";
import type { HandlerTurns } from "./handler_turns.ts";
import type { Scheduler } from "./scheduler.ts";

/** Serves everything at once, on this loop. */
export class EventDrivenScheduler implements Scheduler {
  readonly #handler: HandlerTurns;

  /** @param handler Called on the loop for each exchange, so often in a turn. */
  constructor(handler: HandlerTurns) {
    this.#handler = handler;
  }

  admit(connection: Connection): void {
    connection.serve();
  }

  run(exchange: Exchange): void {
    this.#handler.call(exchange);
  }

  mayPersist(): boolean {
    return true;
  }

  release(_connection: Connection): void {}
}
