/**
 * The head of a response, and how its content is delimited (RFC 9112 sections 4 and 6).
 *
 * It decides the framing of every response in one place, which fields of the handler are sent, and what the server
 * adds: Date, Content-Length or Transfer-Encoding, Connection. It must not know how the content is produced.
 *
 * @module
 */

import { TrivetError } from "../../api/errors.ts";
import { isContentless } from "../../http/status.ts";
import { forEachListElement } from "../../http/token_list.ts";
import { DIGIT, isAllOfClass } from "../../http/grammar.ts";
import { HeadShapes, standardStatusLine, statusLine } from "./head_shapes.ts";

/** How the content of a response is delimited: its length in bytes, or one of the constants below. */
export type ResponseFraming = number;

/** By the chunked transfer coding. */
export const RESPONSE_CHUNKED: ResponseFraming = -1;
/** By the end of the connection: for peers that speak HTTP/1.0 and an unknown length. */
export const RESPONSE_UNTIL_CLOSE: ResponseFraming = -2;
/** No content is sent, and nothing is said about its length. */
export const RESPONSE_WITHOUT_LENGTH: ResponseFraming = -3;

/** What the server needs to know of a request to answer it. */
export interface AnsweredRequest {
  readonly method: string;
  readonly minorVersion: number;
}

/**
 * Builds response heads, one at a time. One is enough for a server, since a head is begun and finished in one turn.
 */
export class ResponseHeadBuilder {
  /** Heads that were made before. */
  readonly shapes: HeadShapes = new HeadShapes();
  /** The Content-Length the handler set, or `null`. */
  contentLength: number | null = null;
  /** Whether the handler asked to close the connection after this response. */
  wantsClose = false;
  #lines = "";
  #hasDate = false;
  #hasUpgrade = false;
  #status = 0;

  /**
   * Takes the status and the fields of the handler.
   *
   * Fields that belong to the connection and not to the message (RFC 9110 section 7.6.1) are the server's own; a
   * handler that passes on a response it fetched would else break the framing of this one.
   *
   * @param fields Name, value, name, value; the names in lower case, names and values checked.
   * @throws {TrivetError} `response-content-length-mismatch` for a Content-Length that is no length.
   */
  begin(status: number, statusText: string, fields: readonly string[]): void {
    this.contentLength = null;
    this.wantsClose = false;
    this.#hasDate = false;
    this.#hasUpgrade = false;
    this.#status = status;
    let lines = statusText === "" ? standardStatusLine(status) : statusLine(status, statusText);
    for (let i = 0; i < fields.length; i += 2) {
      if (this.#isSent(fields[i], fields[i + 1])) lines += `${fields[i]}: ${fields[i + 1]}\r\n`;
    }
    this.#lines = lines;
  }

  /**
   * Decides the framing of the response that was begun.
   *
   * @param request What is being answered.
   * @param contentBytes The length of the content if it is known, else `null`.
   * @throws {TrivetError} `response-content-length-mismatch` when the handler's Content-Length is not `contentBytes`.
   */
  decideFraming(request: AnsweredRequest, contentBytes: number | null): ResponseFraming {
    const status = this.#status;
    // RFC 9110 section 8.6: neither 1xx nor 204 says a length.
    if (status < 200 || status === 204) return RESPONSE_WITHOUT_LENGTH;
    // RFC 9110 section 15.3.6: 205 has no content. A length of 0 says so, since RFC 9112 section 6.3 does not except
    // it.
    if (status === 205) return 0;
    const isWithout = status === 304 || (request.method === "HEAD" && (contentBytes ?? 0) === 0);
    // RFC 9110 section 8.6: here Content-Length is that of the content a GET would have had. A response without
    // content may be one whose handler has left it out, so that the length of it is not known.
    if (isWithout) return this.contentLength ?? RESPONSE_WITHOUT_LENGTH;
    if (contentBytes !== null) {
      if (this.contentLength !== null && this.contentLength !== contentBytes) {
        throw contentLengthMismatch(this.contentLength, `${contentBytes} bytes`);
      }
      return contentBytes;
    }
    if (this.contentLength !== null) return this.contentLength;
    return request.minorVersion === 0 ? RESPONSE_UNTIL_CLOSE : RESPONSE_CHUNKED;
  }

  /**
   * Finishes the head.
   *
   * @param framing As {@linkcode decideFraming} decided it.
   * @param dateLine The line of the Date field, for a response that has none.
   * @param connectionOption "close", "keep-alive" or "" for none.
   */
  finish(framing: ResponseFraming, dateLine: string, connectionOption: string): string {
    const date = this.#hasDate ? "" : dateLine;
    // RFC 9110 section 7.8: a sender of Upgrade also sends the connection option "upgrade".
    const upgrade = this.#hasUpgrade ? "upgrade" : "";
    const options = upgrade === "" || connectionOption === ""
      ? upgrade + connectionOption
      : `upgrade, ${connectionOption}`;
    const connection = options === "" ? "" : `Connection: ${options}\r\n`;
    // Put together at once: each step between would be a string of its own.
    return `${this.#lines}${date}${framingLine(framing)}${connection}\r\n`;
  }

  /** Whether a field of the handler is sent as it is; notes those that are not. */
  #isSent(name: string, value: string): boolean {
    switch (name) {
      case "content-length":
        this.#takeContentLength(value);
        return false;
      case "connection":
        forEachListElement(value, (option) => {
          if (option === "close") this.wantsClose = true;
        });
        return false;
      case "transfer-encoding":
      case "keep-alive":
      case "proxy-connection":
        return false;
      case "date":
        this.#hasDate = true;
        return true;
      case "upgrade":
        this.#hasUpgrade = true;
        return true;
      default:
        return true;
    }
  }

  #takeContentLength(value: string): void {
    const length = Number(value);
    if (value === "" || !isAllOfClass(value, 0, value.length, DIGIT) || !Number.isSafeInteger(length)) {
      throw new TrivetError("response-content-length-mismatch", "The response has a Content-Length that is no length.");
    }
    this.contentLength = length;
  }
}

/** The field line that says how the content is delimited; none where it ends with the connection, or has no length. */
function framingLine(framing: ResponseFraming): string {
  if (framing >= 0) return `Content-Length: ${framing}\r\n`;
  return framing === RESPONSE_CHUNKED ? "Transfer-Encoding: chunked\r\n" : "";
}

/** Whether a response to this request has content on the wire (RFC 9112 section 6.3, item 1; 205: RFC 9110 15.3.6). */
export function hasContent(request: AnsweredRequest, status: number): boolean {
  return request.method !== "HEAD" && !isContentless(status);
}

/** The error of a response whose content has another length than its Content-Length. */
export function contentLengthMismatch(contentLength: number, got: string): TrivetError {
  return new TrivetError(
    "response-content-length-mismatch",
    `The response has a Content-Length of ${contentLength} and content of ${got}.`,
  );
}
