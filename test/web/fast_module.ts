/**
 * A handler that tells whether the global `Response` was HttpResponse, when its module was loaded and when it is called.
 *
 * @module
 */

import type { ServeInit } from "../../src/api/options.ts";

const wasFast = isFast();

/** HttpResponse can switch protocols; the runtime's own can't. */
function isFast(): boolean {
  try {
    return new Response(null, { status: 101 }).status === 101;
  } catch {
    return false;
  }
}

/** Answers with both. */
export function fetch(): Response {
  return Response.json({ wasFast, isFast: isFast() });
}

const init: ServeInit = { fetch };

export default init;
