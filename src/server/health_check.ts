/**
 * The answer to a load balancer that asks whether the server is alive.
 *
 * It decides what such a question looks like, and answers for the event loop, without the handler and its threads.
 *
 * @module
 */

import type { Exchange } from "../exchange/exchange.ts";
import type { ResponseSource } from "../web/response_source.ts";

/** A server that drains has refused the question before, like any other request. */
const HEALTHY: ResponseSource = {
  status: 200,
  statusText: "",
  fields: ["cache-control", "no-store", "content-type", "text/plain;charset=UTF-8"],
  content: "ok\n",
  streamBytes: null,
};

/** The answer, if this is the question; else `null`. */
export function answerToHealthCheck({ method, head }: Exchange, healthPath: string): ResponseSource | null {
  if (method !== "GET" && method !== "HEAD") return null;
  const { pathAndQuery } = head;
  return pathAndQuery === healthPath || pathAndQuery.startsWith(`${healthPath}?`) ? HEALTHY : null;
}
