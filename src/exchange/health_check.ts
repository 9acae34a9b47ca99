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

/** The answer of a server that serves. */
export const HEALTHY: ResponseSource = answer(200, "ok\n");
/** The answer of one that will stop soon, and serves as long as it is asked to: it should be asked for nothing more. */
export const ENDING: ResponseSource = answer(503, "stopping\n");

function answer(status: number, content: string): ResponseSource {
  const fields = ["cache-control", "no-store", "content-type", "text/plain;charset=UTF-8"];
  return { status, statusText: "", fields, content, streamBytes: null };
}

/** Whether a request asks whether the server is alive. */
export function isHealthCheck({ method, pathAndQuery }: RequestHead, healthPath: string): boolean {
  if (method !== "GET" && method !== "HEAD") return false;
  return pathAndQuery === healthPath || pathAndQuery.startsWith(`${healthPath}?`);
}
