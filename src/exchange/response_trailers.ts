/**
 * The trailer section of a response.
 *
 * It decides whether a response gets one and which fields may stand there.
 *
 * @module
 */

import { readFieldLines } from "../web/field_lines.ts";
import type { Exchange } from "./exchange.ts";

/** Whether the response gets a trailer section: the handler has one, and the peer takes it (RFC 9110 section 6.5.1). */
export function wantsTrailers(exchange: Exchange): boolean {
  return exchange.trailersToSend !== null && exchange.head.acceptsTrailers;
}

/** Fields that direct framing, routing or authentication, and must not come in trailers (RFC 9110 section 6.5.1). */
const FORBIDDEN_IN_TRAILERS = new Set([
  "authorization",
  "connection",
  "content-encoding",
  "content-length",
  "content-range",
  "content-type",
  "host",
  "set-cookie",
  "te",
  "trailer",
  "transfer-encoding",
]);

/**
 * The trailer section the handler has set, as field lines.
 *
 * @throws {TypeError | TrivetError} For fields that are not valid, or not allowed there.
 */
export function trailerLines(exchange: Exchange): string {
  if (exchange.trailersToSend === null || !wantsTrailers(exchange)) return "";
  const trailers = exchange.trailersToSend();
  if (isPromiseLike(trailers)) {
    trailers.then(ignore, ignore);
    throw new TypeError("The function given to sendTrailers() returned a promise, expected headers.");
  }
  let lines = "";
  const fields = readFieldLines(new Headers(trailers));
  for (let i = 0; i < fields.length; i += 2) {
    if (FORBIDDEN_IN_TRAILERS.has(fields[i])) {
      throw new TypeError(`The field "${fields[i]}" is not allowed in trailers.`);
    }
    lines += `${fields[i]}: ${fields[i + 1]}\r\n`;
  }
  return lines;
}

/** A function that is `async` gives its fields too late: the content has ended when it is called. */
function isPromiseLike(value: unknown): value is PromiseLike<unknown> {
  return typeof (value as { then?: unknown } | null)?.then === "function";
}

function ignore(): void {}
