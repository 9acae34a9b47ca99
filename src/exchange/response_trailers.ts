/**
 * The trailer section of a response.
 *
 * It decides whether a response gets one and which fields may stand there. It must not know how it is framed.
 *
 * @module
 */

import { readFieldLines } from "../web/field_lines.ts";
import type { Exchange } from "./exchange.ts";

/** Whether the response gets a trailer section: the handler has one, and the peer takes it (RFC 9110 section 6.5.1). */
export function wantsTrailers(exchange: Exchange): boolean {
  return exchange.trailersToSend !== null && exchange.head.acceptsTrailers;
}

/**
 * Fields that must not come in trailers, by what they direct (RFC 9110 section 6.5.1); as in RFC 7230 section 4.1.2,
 * which names them.
 */
const BARRED_FROM_TRAILERS: ReadonlySet<string> = new Set([
  // Message framing and the connection.
  ...[
    "connection",
    "content-length",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
  ],
  // Routing.
  "host",
  // Request modifiers: controls and conditionals.
  ...["cache-control", "expect", "max-forwards", "pragma", "range"],
  ...["if-match", "if-modified-since", "if-none-match", "if-range", "if-unmodified-since"],
  // Authentication, and cookies, which are used for it (RFC 6265).
  ...["authorization", "proxy-authenticate", "proxy-authorization", "www-authenticate", "cookie", "set-cookie"],
  // Response control.
  ...["age", "date", "expires", "location", "retry-after", "vary", "warning"],
  // How the content is processed.
  ...["content-encoding", "content-range", "content-type"],
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
    if (BARRED_FROM_TRAILERS.has(fields[i])) {
      throw new TypeError(`The field "${fields[i]}" is not allowed in trailers (RFC 9110 section 6.5.1).`);
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
