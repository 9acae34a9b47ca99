/**
 * A handler that answers with the metrics of a server, for Prometheus to ask.
 *
 * It decides which format a client gets. It must not know what the metrics are.
 *
 * @module
 */

import type { Server } from "../api/server.ts";
import { wrongArgument } from "../api/wrong_calls.ts";
import { HttpResponse } from "../web/http_response.ts";
import type { MetricsFormat } from "./exposition.ts";

const CONTENT_TYPES: Readonly<Record<MetricsFormat, string>> = {
  prometheus: "text/plain; version=0.0.4; charset=utf-8",
  openmetrics: "application/openmetrics-text; version=1.0.0; charset=utf-8",
};

/**
 * Makes a handler for the metrics of a server that has the option `metrics`: in the text format of Prometheus, version
 * 0.0.4, or in OpenMetrics where the field Accept asks for it. Mount it where only your own can reach it, best at a
 * port of its own.
 *
 * @param server The server that is measured, whatever serves the handler.
 * @throws {TypeError} It is no server.
 *
 * @example
 * ```ts
 * import { serve } from "@trivet/http";
 * import { metricsHandler } from "@trivet/http/observe";
 *
 * const server = serve({ port: 0, hostname: "127.0.0.1", metrics: true }, () => new Response("hello"));
 * const inside = serve({ port: 0, hostname: "127.0.0.1" }, metricsHandler(server));
 * await Promise.all([server.ready(), inside.ready()]);
 * const metrics = await (await fetch(inside.url)).text();
 * console.assert(metrics.includes("trivet_connections"));
 * await Promise.all([server.shutdown(), inside.shutdown()]);
 * ```
 */
export function metricsHandler(server: Pick<Server, "metrics">): (request: Request) => Promise<Response> {
  if (typeof server?.metrics !== "function") throw wrongArgument("metricsHandler()", server, "a server of serve()");
  return async (request) => {
    if (request.method !== "GET" && request.method !== "HEAD") {
      return new HttpResponse("Method Not Allowed", { status: 405, headers: { allow: "GET, HEAD" } });
    }
    const format = chooseFormat(request.headers.get("accept"));
    const headers = { "content-type": CONTENT_TYPES[format], "cache-control": "no-store", "vary": "accept" };
    return new HttpResponse(await server.metrics(format), { headers });
  };
}

/** OpenMetrics for a client that names it and does not like the other better (RFC 9110 section 12.5.1). */
export function chooseFormat(accept: string | null): MetricsFormat {
  const asked = weightOf("application/openmetrics-text", accept);
  return asked > 0 && asked >= weightOf("text/plain", accept) ? "openmetrics" : "prometheus";
}

/** The greatest weight that a field Accept gives to a type by its name; 0 where it is not named. */
function weightOf(type: string, accept: string | null): number {
  let weight = 0;
  for (const range of (accept ?? "").split(",")) {
    const [name, ...parameters] = range.split(";").map((part) => part.trim().toLowerCase());
    if (name !== type) continue;
    const q = parameters.find((parameter) => parameter.startsWith("q="))?.slice(2) ?? "1";
    if (/^(?:0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?)$/.test(q)) weight = Math.max(weight, Number(q));
  }
  return weight;
}
