/**
 * Takes a response of either kind apart for sending.
 *
 * It decides what counts as a response and refuses what cannot be sent, so that nothing behind it has to check again.
 * It must not know how a response is framed.
 *
 * @module
 */

import { TrivetError } from "../api/errors.ts";
import { isContentless } from "../http/status.ts";
import { FIELD_VALUE, isAllOfClass } from "../http/grammar.ts";
import { readFieldLines } from "./field_lines.ts";
import { takeHttpResponse } from "./http_response.ts";
import type { ResponseSource } from "./response_source.ts";

/**
 * The parts of what a handler returned: an `HttpResponse`, a `Response` of the runtime, or what has its interface and
 * comes from another realm or library.
 *
 * Throws a `TrivetError`: `response-invalid` when it is no response, its status cannot be sent, its reason phrase is not
 * valid, or its content was read already; `response-field-invalid` when a field cannot be sent.
 */
export function readResponse(response: unknown): ResponseSource {
  if (typeof response !== "object" || response === null) {
    throw invalid(
      `The handler must give a Response, not ${response === null ? "null" : `a value of type ${typeof response}`}`,
    );
  }
  return takeHttpResponse(response) ?? readForeignResponse(response);
}

/** What is asked of a response that this package did not make. */
interface ForeignResponse {
  readonly status?: unknown;
  readonly statusText?: unknown;
  readonly headers?: unknown;
  readonly body?: unknown;
  readonly bodyUsed?: unknown;
}

function readForeignResponse(response: ForeignResponse): ResponseSource {
  const { status, statusText, headers } = response;
  if (typeof status !== "number" || !isHeaders(headers)) {
    throw invalid("The handler must give a Response, not another object");
  }
  if (status === 0) throw invalid("The response is a network error");
  // A runtime may let a handler make what cannot be sent, so its own Response is checked like any other.
  if (status !== 101 && (!Number.isInteger(status) || status < 200 || status > 599)) {
    throw invalid(`The status of the response must be 101 or 200 to 599, not ${status}`);
  }
  if (typeof statusText !== "string" || !isAllOfClass(statusText, 0, statusText.length, FIELD_VALUE)) {
    throw invalid("The statusText of the response has a char that cannot be sent");
  }
  const content = readContent(response);
  if (content !== null && isContentless(status)) throw invalid(`A response with status ${status} has no content`);
  return { status, statusText, fields: readFieldLines(headers), content, streamBytes: null };
}

function readContent(response: ForeignResponse): ReadableStream<Uint8Array> | null {
  // Before `body`, whose getter may lock the stream of a used response or make one in vain.
  if (response.bodyUsed === true) throw invalid("The content of the response was read or sent already");
  const body = response.body ?? null;
  if (body === null) return null;
  if (!isStream(body)) throw invalid("The body of the response is not a ReadableStream");
  if (body.locked) throw invalid("The stream of the response is locked");
  return body;
}

function isHeaders(value: unknown): value is Headers {
  return typeof value === "object" && value !== null && "forEach" in value && "getSetCookie" in value;
}

function isStream(value: unknown): value is ReadableStream<Uint8Array> {
  return typeof value === "object" && value !== null && "getReader" in value && "locked" in value;
}

function invalid(message: string): TrivetError {
  return new TrivetError("response-invalid", `${message}.`);
}
