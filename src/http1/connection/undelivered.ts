/**
 * Responses that are complete, and of which the transport has not taken every byte yet.
 *
 * It decides which exchanges are told that theirs was delivered. It must not know when bytes leave.
 *
 * @module
 */

import type { TrivetError } from "../../api/errors.ts";
import type { Exchange } from "../../exchange/exchange.ts";

/** Exchanges whose handler, or the thread it ran on, wants to know whether the response was delivered. */
export class Undelivered {
  #exchanges: Exchange[] = [];

  get isEmpty(): boolean {
    return this.#exchanges.length === 0;
  }

  add(exchange: Exchange): void {
    this.#exchanges.push(exchange);
  }

  /** Everything that was gathered has left. */
  deliver(): void {
    for (const exchange of this.#takeAll()) exchange.deliver();
  }

  /** What has not left never will. */
  abort(error: TrivetError): void {
    for (const exchange of this.#takeAll()) exchange.abort(error);
  }

  /** Telling an exchange runs code of the user, which may add to the list. */
  #takeAll(): Exchange[] {
    const exchanges = this.#exchanges;
    this.#exchanges = [];
    return exchanges;
  }
}
