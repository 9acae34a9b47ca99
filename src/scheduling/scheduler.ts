/**
 * The contract of a concurrency model.
 *
 * A model decides two things, and nothing else differs between the models: when an accepted connection is served
 * (admission), and where a handler runs (execution). It sees connections and exchanges, never bytes.
 *
 * @module
 */

import type { Exchange } from "../connection/exchange.ts";
import type { HttpConnection } from "../connection/http_connection.ts";

/** One concurrency model at work for one server. */
export interface Scheduler {
  /** A connection was accepted: serve it, keep it for later, or refuse it. */
  admit(connection: HttpConnection): void;
  /** Runs the handler for an exchange and gives it the result. */
  run(exchange: Exchange): void;
  /** Whether the connection may persist after its present response. */
  mayPersist(connection: HttpConnection): boolean;
  /** The connection is closed. */
  release(connection: HttpConnection): void;
}
