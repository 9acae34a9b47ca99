/**
 * A final response on its way to the peer.
 *
 * It decides in which form the content is sent: in one piece with the head where it is known, else as a stream. It must
 * not know when the connection ends: it tells the connection how the response went.
 *
 * @module
 */

import { type AnsweredRequest, hasContent } from "../codec/response_head.ts";
import type { ResponseSource } from "../../web/response_source.ts";
import type { Exchange } from "../../exchange/exchange.ts";
import type { HttpConnection } from "./http_connection.ts";
import { StreamedContent } from "./streamed_content.ts";
import { sendWhole } from "./whole_response.ts";

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
    sendWhole(connection, exchange, request, source, null, source.streamBytes);
  } else {
    sendWhole(connection, exchange, request, source, content);
  }
  return null;
}
