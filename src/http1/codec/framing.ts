/**
 * Message framing: how long the content of a request is (RFC 9112 section 6.3).
 *
 * This one function decides it, for every request. It is strict, because two recipients that disagree about where a
 * request ends is what request smuggling is made of.
 *
 * @module
 */

import { TrivetError } from "../../api/errors.ts";
import { UNKNOWN_LENGTH } from "../../http/request_head.ts";
import { trimOws } from "../../http/token_list.ts";
import { DIGIT, isAllOfClass, isToken } from "../../http/grammar.ts";

/** How the content of a request is delimited: its length in bytes, 0 for none, or {@linkcode CHUNKED}. */
export type RequestFraming = number;

/** By the chunked transfer coding (RFC 9112 section 7.1), the only way to send content of unknown length. */
export const CHUNKED: RequestFraming = UNKNOWN_LENGTH;

/** The fields that message framing hangs on, as they came. */
export interface FramingFields {
  /** The value of the last Content-Length line, or `null` where there is none. */
  readonly contentLength: string | null;
  /** How many Content-Length lines there are. */
  readonly contentLengthLines: number;
  /** The Transfer-Encoding lines joined with commas, or `null` where there is none. */
  readonly transferEncoding: string | null;
}

/**
 * Decides the framing of a request.
 *
 * @param minorVersion The digit after `HTTP/1.`.
 * @param fields The framing fields.
 * @throws {TrivetError} When the framing is faulty or unknown: always with a close, since the end is then uncertain.
 */
export function decideRequestFraming(minorVersion: number, fields: FramingFields): RequestFraming {
  if (fields.transferEncoding !== null) return decideTransferCoding(minorVersion, fields);
  if (fields.contentLength === null) return 0;
  if (fields.contentLengthLines > 1) {
    // RFC 9110 section 8.6 lets a recipient merge identical values; no sane client repeats the field at all.
    throw new TrivetError("content-length-repeated", "The request has more than one Content-Length field line.");
  }
  return parseContentLength(fields.contentLength);
}

function decideTransferCoding(minorVersion: number, fields: FramingFields): RequestFraming {
  if (fields.contentLength !== null) {
    throw new TrivetError(
      "content-length-with-transfer-encoding",
      "The request has both Content-Length and Transfer-Encoding; expected at most one of them.",
    );
  }
  if (minorVersion === 0) {
    throw new TrivetError("transfer-encoding-in-http-1-0", "HTTP/1.0 has no Transfer-Encoding.");
  }
  const codings = (fields.transferEncoding ?? "").toLowerCase().split(",");
  const last = codings.length - 1;
  for (let i = 0; i <= last; i++) {
    const coding = trimOws(codings[i]);
    // RFC 9112 section 6.1: chunked is applied once, and last; else the length of a request can't be determined.
    if ((coding === "chunked") !== (i === last) || !isToken(coding)) {
      throw new TrivetError("transfer-encoding-invalid", "Transfer-Encoding is not exactly one final 'chunked'.");
    }
  }
  if (last > 0) {
    throw new TrivetError("transfer-coding-unknown", "The only transfer coding this server knows is 'chunked'.");
  }
  return CHUNKED;
}

/** `Content-Length = 1*DIGIT` (RFC 9110 section 8.6). */
function parseContentLength(value: string): number {
  if (value === "" || !isAllOfClass(value, 0, value.length, DIGIT)) {
    throw new TrivetError("content-length-invalid", "Content-Length is not a number of decimal digits.");
  }
  const length = Number(value);
  // Beyond this a number of JavaScript is no longer exact, and a wrong length is a smuggled request.
  if (!Number.isSafeInteger(length)) {
    throw new TrivetError("content-too-large", "Content-Length is greater than any content this server takes.");
  }
  return length;
}

/** The error of content beyond its limit, whether the framing tells it or the bytes do. */
export function contentTooLarge(maxContentBytes: number): TrivetError {
  return new TrivetError("content-too-large", `The content has more than ${maxContentBytes} bytes.`);
}
