/**
 * The response to an error: the one place where an error becomes a message.
 *
 * It decides how much a client is told. It must not know how the response is sent.
 *
 * @module
 */

import type { TrivetError } from "../api/errors.ts";
import { reasonPhrase } from "../http/status.ts";
import type { ResponseSource } from "../web/response_source.ts";

/**
 * Makes the response to an error. A peer that is to blame is told why, in words of this server that hold nothing of
 * what it sent; of a handler's error it is told nothing but the status.
 */
export function createErrorResponse(error: TrivetError, retryAfterSeconds: number): ResponseSource {
  const status = error.status ?? 500;
  const explanation = error.blame === "handler" ? reasonPhrase(status) : error.message;
  const fields = ["content-type", "text/plain;charset=UTF-8"];
  // RFC 9110 section 10.2.3: with 503, how long the service is expected to be unavailable.
  if (error.blame === "overload") fields.push("retry-after", String(retryAfterSeconds));
  // RFC 9110 section 15.5.22 and RFC 6455 section 4.4: to which protocol, and which version of it is spoken.
  if (error.code === "websocket-upgrade-required") fields.push("upgrade", "websocket", "sec-websocket-version", "13");
  return { status, statusText: "", fields, content: `${explanation}\n`, streamBytes: null };
}
