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
import type { ResponseContents, WholeContent } from "../runtime.ts";
import { hasFieldLine, insertFieldLine, readFieldLines } from "./field_lines.ts";
import { takeHttpResponse, TEXT_TYPE } from "./http_response.ts";
import { passedOnLines } from "./fetched_response.ts";
import { readForeignHeaders, toByteStream } from "./foreign_response.ts";
import { isNativeResponse } from "./native_body.ts";
import { areGone } from "./pieces.ts";
import type { ResponseContent, ResponseSource } from "./response_source.ts";
import { storedLength, streamStored } from "./part_sources.ts";

/** What the runtime tells of its own responses. There is one for each process or thread, as there is one class. */
let contents: ResponseContents = {
  takeWhole: () => null,
  namesTextType: true,
  streamTurns: 1,
  streamsFill: false,
  givesOwnBytes: false,
  decodes: () => false,
};

/** Reads responses of the runtime's own class with what the runtime tells of them. A server calls it when it starts. */
export function readContentsWith(given: ResponseContents): void {
  contents = given;
}

/** In how many turns of the event loop a stream has ended whose content was there from the start. */
export function streamTurns(): number {
  return contents.streamTurns;
}

/** Whether the runtime's own streams fill the memory of their reader. */
export function streamsFill(): boolean {
  return contents.streamsFill;
}

/**
 * The parts of what a handler returned: an `HttpResponse`, a `Response` of the runtime, or an object with a status,
 * headers and a body, as other libraries and realms have them. It is a promise where the runtime gives content that is
 * there a little later.
 *
 * Throws or rejects with a `TrivetError`: `response-invalid` when it is no response, its status
 * cannot be sent, its reason phrase is not valid, or its content was read already;
 * `response-field-invalid` when a field cannot be sent. Its content is let go then.
 */
export function readResponse(response: unknown): ResponseSource | Promise<ResponseSource> {
  try {
    if (typeof response !== "object" || response === null) {
      throw invalid(
        `The handler must give a Response, not ${response === null ? "null" : `a value of type ${typeof response}`}`,
      );
    }
    const own = takeHttpResponse(response);
    if (own === null) return readForeignResponse(response);
    const { content } = own;
    if (content === null || typeof content === "string") return toSource(own, content, null);
    if (content instanceof Uint8Array) {
      if (!areGone(content)) return toSource(own, content, null);
      throw invalid("The memory of the body was transferred before it was sent: give the response a copy");
    }
    if (!own.isStream) return readNative(own, content, own.blobBytes, true);
    const stream = readStream(content.body);
    return toSource(own, stream, storedLength(stream));
  } catch (error) {
    discardResponse(response);
    throw error;
  }
}

/** Lets go of a response that is not sent: what its content comes from, such as an open file, is told. */
export function discardResponse(response: unknown): void {
  try {
    const { bodyUsed, body = null } = response as ForeignResponse;
    if (bodyUsed !== true && typeof body === "object" && body !== null) toByteStream(body)?.cancel().catch(ignore);
  } catch {
    // It is no response, or one that is in use.
  }
}

/** The same for one that was taken apart. */
export function discardSource({ content }: ResponseSource): void {
  if (content instanceof ReadableStream) content.cancel().catch(ignore);
}

function ignore(): void {}

/** What is asked of a response that this package did not make. */
interface ForeignResponse {
  readonly status?: unknown;
  readonly statusText?: unknown;
  readonly headers?: unknown;
  readonly body?: unknown;
  readonly bodyUsed?: unknown;
}

function readForeignResponse(response: ForeignResponse): ResponseSource | Promise<ResponseSource> {
  // Asked first: where a library makes its native response when it is needed, the headers are whole only then. And
  // asked before `body`, whose getter may lock the stream of a used response or make one in vain.
  const isUsed = response.bodyUsed === true;
  const { status, statusText = "", headers } = response;
  if (typeof status !== "number" || typeof headers !== "object" || headers === null || !("body" in response)) {
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
  if (isUsed) throw invalid(USED);
  if (isNativeResponse(response)) {
    const lines = readFieldLines(response.headers);
    // Nothing but what was fetched has a URL.
    const fields = response.url === "" ? lines : passedOnLines(lines, contents.decodes);
    const head: ResponseHead = { status, statusText, fields };
    return readNative(head, response, null, contents.namesTextType);
  }
  // What can be refused is looked at before the stream is taken from its owner.
  const fields = readForeignHeaders(headers);
  const { body = null } = response;
  if (body !== null && isContentless(status)) throw invalid(`A response with status ${status} has no content`);
  return { status, statusText, fields, content: readStream(body), streamBytes: null };
}

const USED = "The content of the response was read or sent already";

/** A response without its content. */
type ResponseHead = Pick<ResponseSource, "status" | "statusText" | "fields">;

/**
 * Adds the content of a response of the runtime.
 *
 * @param streamBytes The length of its stream, where that is known.
 * @param isTyped Whether text has a Content-Type already.
 */
function readNative(
  head: ResponseHead,
  response: Response,
  streamBytes: number | null,
  isTyped: boolean,
): ResponseSource | Promise<ResponseSource> {
  let whole: WholeContent | Promise<WholeContent> | null = null;
  try {
    if (!isContentless(head.status)) whole = contents.takeWhole(response);
  } catch (cause) {
    throw invalid(USED, cause);
  }
  const finish = (content: WholeContent): ResponseSource => {
    const typed = isTyped ? head : withTypeOf(head, content);
    if (typeof content === "string" || content instanceof Uint8Array) {
      return toSource(typed, content, null, contents.givesOwnBytes);
    }
    if ("utf8" in content) return toSource(typed, content.utf8, null, contents.givesOwnBytes);
    return toSource(typed, streamStored(content), content.byteLength);
  };
  if (whole instanceof Promise) {
    return whole.then(finish, (cause) => {
      throw invalid(USED, cause);
    });
  }
  if (whole !== null) return finish(whole);
  const stream = readStream(response.body);
  return toSource(isTyped || stream === null ? head : withTypeOf(head, stream), stream, streamBytes);
}

function toSource(
  head: ResponseHead,
  content: ResponseContent,
  streamBytes: number | null,
  ownsContent = false,
): ResponseSource {
  const { status, statusText, fields } = head;
  return { status, statusText, fields, content, streamBytes, ownsContent };
}

/**
 * The head with the Content-Type that the runtime forgot. Where it can't be told whether content was text, clients must
 * not guess: a browser would run what it takes for HTML.
 */
function withTypeOf(head: ResponseHead, content: WholeContent | ReadableStream): ResponseHead {
  if (content instanceof Uint8Array || hasFieldLine(head.fields, "content-type")) return head;
  const fields = head.fields.slice();
  const isText = typeof content === "string" || "utf8" in content;
  if (isText) insertFieldLine(fields, "content-type", TEXT_TYPE);
  else if (!hasFieldLine(fields, NO_SNIFFING)) insertFieldLine(fields, NO_SNIFFING, "nosniff");
  return { ...head, fields };
}

const NO_SNIFFING = "x-content-type-options";

function readStream(body: unknown): ReadableStream<Uint8Array> | null {
  if (body === null || body === undefined) return null;
  if (typeof body === "object" && "locked" in body && body.locked === true) {
    throw invalid("The stream of the response is locked");
  }
  const stream = typeof body === "object" ? toByteStream(body) : null;
  if (stream === null) {
    throw invalid("The body of the response is neither a ReadableStream nor an asynchronous iterable");
  }
  return stream;
}

function invalid(message: string, cause?: unknown): TrivetError {
  return new TrivetError("response-invalid", `${message}.`, cause === undefined ? undefined : { cause });
}
