/**
 * A response whose content is known when it is sent: head and content leave together.
 *
 * It decides what of the content is sent. It must not know where the content came from.
 *
 * @module
 */

import { ContentEncoder } from "../codec/content_encoder.ts";
import { type AnsweredRequest, hasContent, RESPONSE_CHUNKED, type ResponseFraming } from "../codec/response_head.ts";
import type { ResponseContent, ResponseSource } from "../../web/response_source.ts";
import type { Exchange } from "../../exchange/exchange.ts";
import type { HttpConnection } from "./http_connection.ts";
import { trailerLines, wantsTrailers } from "../../exchange/response_trailers.ts";

const textEncoder = new TextEncoder();

/** Content that is known. */
type WholeContent = Exclude<ResponseContent, ReadableStream>;

/**
 * Sends a response whose content is known: head and content together.
 *
 * @param exchange What is answered; `null` when the head of the request could not be read.
 * @param request What the server knows of the request.
 * @param source The response, whose own content is not looked at.
 * @param content The content; text is sent as UTF-8.
 * @param contentBytes The length of content that is not here because nobody gets it; `null` where nobody knows it.
 * @throws {TrivetError} With the blame "handler"; nothing was gathered then.
 */
export function sendWhole(
  connection: HttpConnection,
  exchange: Exchange | null,
  request: AnsweredRequest,
  source: ResponseSource,
  content: WholeContent,
  contentBytes: number | null = 0,
): void {
  const { headBuilder } = connection.service;
  headBuilder.begin(source.status, source.statusText, source.fields);
  const isSent = hasContent(request, source.status);
  const hasTrailers = isSent && exchange !== null && wantsTrailers(exchange);
  let bytes: Uint8Array | null = null;
  if (typeof content === "string") {
    const mayGuess = isSent && !hasTrailers && headBuilder.contentLength === null;
    if (mayGuess && sendAscii(connection, exchange, request, source, content)) return;
    bytes = textEncoder.encode(content);
  } else {
    bytes = content;
  }
  const framing = headBuilder.decideFraming(request, bytes === null ? contentBytes : bytes.byteLength);
  const { outbound } = connection;
  if (hasTrailers) {
    // Trailers need the chunked coding, even where the length is known.
    const head = finishHead(connection, exchange, source, RESPONSE_CHUNKED);
    const lines = trailerLines(exchange);
    outbound.appendLatin1(head);
    const encoder = new ContentEncoder(RESPONSE_CHUNKED);
    if (bytes !== null) encoder.encode(bytes, outbound);
    encoder.finish(lines, outbound);
    return;
  }
  outbound.appendLatin1(finishHead(connection, exchange, source, framing));
  if (isSent && bytes !== null) outbound.appendBytes(bytes);
}

/**
 * Most text is ASCII, of which each char is a byte. So its length is taken for that of its bytes, and what was encoded
 * tells whether it is: looking at each char before would take longer than all the rest of a small response.
 *
 * @returns Whether it was sent; else nothing was.
 */
function sendAscii(
  connection: HttpConnection,
  exchange: Exchange | null,
  request: AnsweredRequest,
  source: ResponseSource,
  text: string,
): boolean {
  const framing = connection.service.headBuilder.decideFraming(request, text.length);
  return connection.outbound.appendAscii(finishHead(connection, exchange, source, framing) + text);
}

function finishHead(
  { service, responder }: HttpConnection,
  exchange: Exchange | null,
  source: ResponseSource,
  framing: ResponseFraming,
): string {
  const { headBuilder, clock } = service;
  const option = responder.decideConnectionOption(exchange, framing, headBuilder.wantsClose, source.status);
  return headBuilder.finish(framing, clock.dateLine, option);
}
