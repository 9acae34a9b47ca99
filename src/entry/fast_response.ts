/**
 * Makes the global `Response` fast, by being imported: it becomes `HttpResponse`, which costs a server next to nothing
 * to send. Import it first, so that frameworks see it.
 *
 * Servers with threads or several loops do the same on each thread before they load the handler's module. The
 * command-line program does it with `--fast-response`.
 *
 * @example
 * ```ts
 * import "@trivet/http/fast-response";
 *
 * const response = new Response("hello");
 * console.assert(response instanceof Response && response.constructor.name === "Response");
 * ```
 *
 * @example Back to the runtime's own
 * ```ts
 * import { uninstallFastResponse } from "@trivet/http/fast-response";
 *
 * uninstallFastResponse();
 * ```
 *
 * @module
 */

import { installFastResponse } from "../web/fast_response.ts";

export { uninstallFastResponse } from "../web/fast_response.ts";

installFastResponse();
