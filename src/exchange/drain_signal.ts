/**
 * The signal by which handlers learn that their server drains: one for all exchanges of a thread, made when the first
 * handler asks for it.
 *
 * It decides when that is made. It must not know what drains.
 *
 * @module
 */

import { TrivetError } from "../api/errors.ts";

/** What is told of a server that takes no new connections. */
const DRAINING = "The server is shutting down.";

/** Tells handlers that the server drains. */
export class DrainSignal {
  #controller: AbortController | null = null;
  #hasBegun = false;

  /** Aborts when the server begins to drain. */
  get signal(): AbortSignal {
    if (this.#controller === null) {
      this.#controller = new AbortController();
      if (this.#hasBegun) this.#abort();
    }
    return this.#controller.signal;
  }

  /** The server drains. Calling it again changes nothing. */
  begin(): void {
    if (this.#hasBegun) return;
    this.#hasBegun = true;
    if (this.#controller !== null) this.#abort();
  }

  #abort(): void {
    this.#controller!.abort(new TrivetError("draining", DRAINING));
  }
}
