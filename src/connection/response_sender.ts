/**
 * A final response on its way to the peer.
 *
 * It decides in which form the content is sent: in one piece with the head where it is known, else as a stream. It must
 * not know when the connection ends: it tells the connection how the response went.
 *
 * @module
 */

import { type AnsweredRequest, hasContent, RESPONSE_CHUNKED } from "../http1/response_head.ts";
import { isToken } from "../http1/grammar.ts";
import type { ResponseContent, ResponseSource } from "../web/response_source.ts";
import type { Exchange } from "./exchange.ts";
import type { HttpConnection } from "./http_connection.ts";
import { ContentEncoder } from "../http1/content_encoder.ts";
import { StreamedContent } from "./streamed_content.ts";

/** Up to this length a string is looked through for characters beyond ASCII; a longer one is encoded at once. */
const MAX_SCANNED_CHARS = 512;

const textEncoder = new TextEncoder();

/** What a request without a readable head is answered as. */
const UNKNOWN_REQUEST: AnsweredRequest = { method: "GET", minorVersion: 1 };

/**
 * Sends a response.
 *
 * @param exchange What is answered; `null` when the head could not be read.
 * @returns The stream the content comes from, while it lasts; `null` when the whole response was gathered.
 * @throws {TrivetError} With the blame "handler"; nothing was gathered then.
 */
export function sendResponse(
  connection: HttpConnection,
  exchange: Exchange | null,
  source: ResponseSource,
): StreamedContent | null {
  const request = exchange === null ? UNKNOWN_REQUEST : exchange.head;
  const content = source.content;
  if (content instanceof ReadableStream) {
    if (exchange !== null && hasContent(request, source.status)) {
      return new StreamedContent(connection, exchange, source, content);
    }
    // The stream is of no use: its source is told so, and is free to fail at it.
    content.cancel().catch(() => {});
    sendWhole(connection, exchange, request, source, source.status === 101 ? 0 : null, null);
  } else if (content === null) {
    sendWhole(connection, exchange, request, source, 0, null);
  } else if (typeof content === "string" && isShortAscii(content)) {
    sendWhole(connection, exchange, request, source, content.length, content);
  } else {
    const bytes = typeof content === "string" ? textEncoder.encode(content) : content;
    sendWhole(connection, exchange, request, source, bytes.byteLength, bytes);
  }
  return null;
}

/** Sends a response whose content is known: head and content together. */
export function sendWhole(
  connection: HttpConnection,
  exchange: Exchange | null,
  request: AnsweredRequest,
  source: ResponseSource,
  contentBytes: number | null,
  content: Exclude<ResponseContent, ReadableStream>,
): void {
  const { headBuilder, clock } = connection.service;
  headBuilder.begin(source.status, source.statusText, source.fields);
  let framing = headBuilder.decideFraming(request, contentBytes);
  const isSent = hasContent(request, source.status);
  const hasTrailers = isSent && exchange !== null && wantsTrailers(exchange);
  // Trailers need the chunked coding, even where the length is known.
  if (hasTrailers) framing = RESPONSE_CHUNKED;
  const option = connection.responder.decideConnectionOption(exchange, framing, headBuilder.wantsClose, source.status);
  const head = headBuilder.finish(framing, clock.dateLine, option);
  const outbound = connection.outbound;
  if (!isSent || content === null) {
    outbound.appendLatin1(head);
  } else if (hasTrailers) {
    outbound.appendLatin1(head);
    const encoder = new ContentEncoder(framing);
    encoder.encode(typeof content === "string" ? textEncoder.encode(content) : content, outbound);
    encoder.finish(trailerLines(exchange), outbound);
  } else if (typeof content === "string") {
    outbound.appendLatin1(head + content);
  } else {
    outbound.appendLatin1(head);
    outbound.appendBytes(content);
  }
}

/** Whether the response gets a trailer section: the handler has one, and the peer takes it (RFC 9110 section 6.5.1). */
export function wantsTrailers(exchange: Exchange): boolean {
  return exchange.trailersToSend !== null && exchange.head.acceptsTrailers && exchange.head.minorVersion === 1;
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
 * @throws {TypeError} For fields that are not valid, or not allowed there.
 */
export function trailerLines(exchange: Exchange): string {
  if (exchange.trailersToSend === null || !wantsTrailers(exchange)) return "";
  let lines = "";
  for (const [name, value] of new Headers(exchange.trailersToSend())) {
    // deno-lint-ignore no-control-regex -- A value with a control character would split the response.
    if (FORBIDDEN_IN_TRAILERS.has(name) || !isToken(name) || /[\x00-\x08\x0a-\x1f\x7f]/.test(value)) {
      throw new TypeError(`The trailer field "${name}" is not allowed, or its value is not valid.`);
    }
    lines += `${name}: ${value}\r\n`;
  }
  return lines;
}

function isShortAscii(text: string): boolean {
  if (text.length > MAX_SCANNED_CHARS) return false;
  for (let i = 0; i < text.length; i++) {
    if (text.charCodeAt(i) > 0x7f) return false;
  }
  return true;
}
