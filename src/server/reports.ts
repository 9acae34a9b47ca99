/**
 * What users are told of errors, and how often each was met.
 *
 * It decides that an error is counted once, and told to `onError` or printed. Nothing here can
 * throw: a report that fails is printed, and printing can't fail. It must not know where errors
 * come from.
 *
 * @module
 */

import type { TrivetError } from "../api/errors.ts";
import type { ServeOptions } from "../api/options.ts";
import type { Host } from "../runtime.ts";
import { describeError, tellUser } from "../api/telling.ts";

/** Counts errors and tells them. */
export class Reports {
  /** Errors by code. */
  readonly counts: Map<string, number> = new Map();
  readonly #onError: ServeOptions["onError"];
  readonly #host: Host;

  /**
   * @param onError The user's.
   * @param host Where errors are printed if the user has set none, or it throws.
   */
  constructor(onError: ServeOptions["onError"], host: Host) {
    this.#onError = onError;
    this.#host = host;
  }

  /** Counts an error. */
  count(error: TrivetError): void {
    this.counts.set(error.code, (this.counts.get(error.code) ?? 0) + 1);
  }

  /** Counts and tells an error that belongs to no exchange. */
  report(error: TrivetError): void {
    this.count(error);
    // Nothing waits for a response, so that it does not matter which is given.
    tellUser(this.#host, () => this.tell(error, undefined));
  }

  /** Tells an error, which was counted. Gives what the user wants to be sent in place of the standard response. */
  tell(error: TrivetError, request: Request | undefined): Response | Promise<Response> | void {
    if (this.#onError === undefined) {
      this.#print(error, request);
      return;
    }
    try {
      return this.#onError(error, request);
    } catch (thrown) {
      // The user's own report has failed; its cause is the user's to see, and the peer still gets a response.
      this.#print(thrown);
    }
  }

  #print(thrown: unknown, request?: Request): void {
    this.#host.printError(describeError(thrown, request));
  }
}
