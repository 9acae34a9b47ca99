/**
 * The answer to a load balancer that asks whether the server is alive.
 *
 * It decides what such a question looks like. The event loop answers it whatever the concurrency model, without the
 * handler and its threads, and for a connection that waits in line before it is its turn.
 *
 * @module
 */

import type { RequestHead } from "../http/request_head.ts";
import type { ResponseSource } from "../web/response_source.ts";

/** The answer. A server that drains refuses the question, like any other request. */
export const HEALTHY: ResponseSource = {
  status: 200,
  statusText: "",
  fields: ["cache-control", "no-store", "content-type", "text/plain;charset=UTF-8"],
  content: "ok\n",
  streamBytes: null,
};

/** Whether this is the question. */
export function isHealthCheck({ method, pathAndQuery }: RequestHead, healthPath: string): boolean {
  if (method !== "GET" && method !== "HEAD") return false;
  return pathAndQuery === healthPath || pathAndQuery.startsWith(`${healthPath}?`);
}
