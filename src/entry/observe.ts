/**
 * Handlers that show what a server does, for an application to mount: its metrics, for Prometheus, and a page.
 *
 * @example
 * ```ts
 * import { serve } from "@trivet/http";
 * import { metricsHandler } from "@trivet/http/observe";
 *
 * const server = serve({ port: 0, hostname: "127.0.0.1", metrics: true }, () => new Response("hello"));
 * const inside = serve({ port: 0, hostname: "127.0.0.1" }, metricsHandler(server));
 * await Promise.all([server.ready(), inside.ready()]);
 * await Promise.all([server.shutdown(), inside.shutdown()]);
 * ```
 *
 * @module
 */

export { metricsHandler } from "../observe/metrics_handler.ts";
export { statusPage } from "../observe/status_page.ts";
