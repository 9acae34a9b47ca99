/**
 * A module with a handler, as servers are given it, whose handler the test that runs beside it has set.
 *
 * Threads in memory load it in the test's own process, and so the handler is a function of the test.
 *
 * @module
 */

import type { Handler } from "../../src/api/handler.ts";

let handler: Handler | null = null;

/** The URL of this module. */
export const HANDLER_MODULE_URL: string = import.meta.url;

/** Sets the handler that this module has from now on. */
export function setHandler(given: Handler): void {
  handler = given;
}

export default {
  fetch(request: Request, info: Parameters<Handler>[1]): Response | Promise<Response> {
    if (handler === null) throw new Error("The test has set no handler.");
    return handler(request, info);
  },
};
