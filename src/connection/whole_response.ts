/**
 * A response whose content is known when it is sent: head and content leave together.
 *
 * It decides what of the content is sent. It must not know where the content came from.
 *
 * @module
 */

import { ContentEncoder } from "../http1/content_encoder.ts";
import { type AnsweredRequest, hasContent, RESPONSE_CHUNKED } from "../http1/response_head.ts";
import type { ResponseContent, ResponseSource } from "../web/response_source.ts";
import type { Exchange } from "./exchange.ts";
import type { HttpConnection } from "./http_connection.ts";
import { trailerLines, wantsTrailers } from "./response_trailers.ts";

const textEncoder = new TextEncoder();
const NO_BYTES = new Uint8Array(0);

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
  if (hasTrailers) {
    const lines = trailerLines(exchange);
    outbound.appendLatin1(head);
    const encoder = new ContentEncoder(framing);
    encoder.encode(typeof content === "string" ? textEncoder.encode(content) : content ?? NO_BYTES, outbound);
    encoder.finish(lines, outbound);
  } else if (!isSent || content === null) {
    outbound.appendLatin1(head);
  } else if (typeof content === "string") {
    outbound.appendLatin1(head + content);
  } else {
    outbound.appendLatin1(head);
    outbound.appendBytes(content);
  }
}
