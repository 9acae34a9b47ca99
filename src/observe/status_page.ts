/**
 * A page that shows what a server does, live: for an application to mount.
 *
 * It decides what stands on the page: figures of `stats()` and what follows from two of them, and so no address, path
 * or header value of any client. The page, its style and its script come from the same path and load nothing else, so
 * that it works under a Content-Security-Policy which allows neither inline code nor other origins; it sends one of its
 * own.
 *
 * @module
 */

import type { Server } from "../api/server.ts";
import { wrongArgument } from "../api/wrong_calls.ts";
import { HttpResponse } from "../web/http_response.ts";
import { ICON, PAGE, SCRIPT, STYLE } from "./status_page_parts.ts";

const POLICY =
  "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; " +
  "form-action 'none'; frame-ancestors 'none'";

const HEADERS: Readonly<Record<string, string>> = {
  "cache-control": "no-store",
  "content-security-policy": POLICY,
  "referrer-policy": "no-referrer",
  "x-content-type-options": "nosniff",
};

/** What there is beside the page, by the query. */
const PARTS: Readonly<Record<string, readonly [contentType: string, content: string]>> = {
  "": ["text/html; charset=utf-8", PAGE],
  "?style": ["text/css; charset=utf-8", STYLE],
  "?icon": ["image/svg+xml; charset=utf-8", ICON],
  "?script": ["text/javascript; charset=utf-8", SCRIPT],
};

/**
 * Makes a handler for a page that shows what a server does: requests a second, latency, connections, queue, workers,
 * threads, how late event loops are, and errors by code, each second anew. Latency and lateness need a server with the
 * option `metrics`. Mount it at one path, where only your own can reach it; its parts are asked for with a query.
 *
 * @param server The server that is shown, whatever serves the handler.
 * @throws {TypeError} It is no server.
 *
 * @example
 * ```ts
 * import { serve } from "@trivet/http";
 * import { statusPage } from "@trivet/http/observe";
 *
 * const server = serve({ port: 0, hostname: "127.0.0.1", metrics: true }, () => new Response("hello"));
 * const inside = serve({ port: 0, hostname: "127.0.0.1" }, statusPage(server));
 * await Promise.all([server.ready(), inside.ready()]);
 * const page = await (await fetch(inside.url)).text();
 * console.assert(page.startsWith("<!doctype html>"));
 * await Promise.all([server.shutdown(), inside.shutdown()]);
 * ```
 */
export function statusPage(server: Pick<Server, "stats">): (request: Request) => Response {
  if (typeof server?.stats !== "function") throw wrongArgument("statusPage()", server, "a server of serve()");
  return (request) => {
    if (request.method !== "GET" && request.method !== "HEAD") {
      return new HttpResponse("Method Not Allowed", { status: 405, headers: { ...HEADERS, allow: "GET, HEAD" } });
    }
    const { search } = new URL(request.url);
    if (search === "?figures") return HttpResponse.json(server.stats(), { headers: HEADERS });
    const [contentType, content] = PARTS[search] ?? PARTS[""];
    return new HttpResponse(content, { headers: { ...HEADERS, "content-type": contentType } });
  };
}
