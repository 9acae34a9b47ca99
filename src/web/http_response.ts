/**
 * A response as `Response`, made of what the handler gave and of nothing else until it is asked for.
 *
 * It decides what a valid response is (status, reason phrase, field lines) and what owns its content. It must not know
 * how a response is framed or sent.
 *
 * @module
 */

import { TrivetError } from "../api/errors.ts";
import { isContentless } from "../http/status.ts";
import { FIELD_VALUE, isAllOfClass } from "../http/grammar.ts";
import {
  type FieldLines,
  hasFieldLine,
  insertFieldLine,
  NO_FIELD_LINES,
  readFieldLines,
  toFieldLines,
} from "./field_lines.ts";
import { toByteStream } from "./foreign_response.ts";
import { type Bytes, decodeStream, isUnusable, nativeResponse, toBlob, toBytes, usedResponse } from "./native_body.ts";
import { defineInspection, forwardMissing, forwardState, linkPrototype } from "./prototype_link.ts";

/** The content was handed over to be sent: it counts as read. */
const SENT = Symbol("sent");

/** Where the content is: as it was given; in a native object, which knows what was read of it; or sent. */
type ContentState = string | Bytes | Response | typeof SENT | null;

/** The media types the Fetch standard gives to content of these kinds. */
export const TEXT_TYPE = "text/plain;charset=UTF-8";
const JSON_TYPE = "application/json";
const FORM_TYPE = "application/x-www-form-urlencoded;charset=UTF-8";

/** The field lines of a response without any of its own; shared by all of them. */
const TEXT_LINES: FieldLines = ["content-type", TEXT_TYPE];
const JSON_LINES: FieldLines = ["content-type", JSON_TYPE];

const UTF8_ENCODER = new TextEncoder();

/** Joins the class to that of the runtime. */
let link: () => void;
/** The native responses that stand for others. Few ever need one: a cache of the runtime takes nothing else. */
const natives = new WeakMap<object, Response>();

/** An {@linkcode HttpResponse}, taken apart. */
export interface HttpResponseParts {
  readonly status: number;
  readonly statusText: string;
  readonly fields: FieldLines;
  /** The content, or the native response that holds it. */
  readonly content: string | Bytes | Response | null;
  /** The size of a Blob that is the content. */
  readonly blobBytes: number | null;
  /** Whether the content is a stream, of which nothing whole can be taken. */
  readonly isStream: boolean;
}

/**
 * Takes a response apart for sending; its content counts as read from then on. Gives `null` when the object is not an
 * {@linkcode HttpResponse}. Throws `response-invalid` when the content was read or sent already, and
 * `response-field-invalid` when a field was set through `headers` that cannot be sent.
 */
export let takeHttpResponse: (value: object) => HttpResponseParts | null;

/**
 * A `Response` that costs next to nothing to make.
 *
 * It has the interface and the semantics of the Fetch standard and passes `instanceof Response`, so it can stand
 * wherever a handler makes a `Response`. Where it differs:
 *
 * - Status 101 is allowed, to switch protocols.
 * - Field values may not hold control chars (the global class refuses NUL, CR and LF only), and the status must be an
 *   integer, not what converts to one.
 * - Bytes are not copied: do not change them after they were given.
 * - What can be iterated asynchronously is a body too, as the streams of Node are.
 * - The headers of `redirect()` and `error()` can be changed.
 *
 * @example
 * ```ts
 * import { HttpResponse } from "@trivet/http";
 *
 * const response = new HttpResponse("made", { status: 201, headers: { location: "/things/7" } });
 * console.assert(response instanceof Response);
 * console.assert(response.headers.get("content-type") === "text/plain;charset=UTF-8");
 * ```
 */
export class HttpResponse implements Response {
  #status = 200;
  #statusText = "";
  /** Sorted and checked. Of no account once `#headers` was made. */
  #lines: FieldLines;
  /** Made when a handler asks for them; it may then change them. */
  #headers: Headers | null = null;
  #content: ContentState;
  /** The size of a Blob that is the content: its stream does not tell. */
  #blobBytes: number | null = null;
  /** Whether the native object that holds the content was made of a stream. */
  #isStream = false;

  /**
   * Makes a response.
   *
   * @param body The content; none when `null` or absent. A string gets the Content-Type `text/plain;charset=UTF-8`.
   * @param init `status` (101, or 200 to 599; default 200), `statusText` (the reason phrase, RFC 9112 section 4;
   * default the standard one of the status code) and `headers`.
   * @throws {RangeError} The status is another one.
   * @throws {TypeError} A field, the reason phrase or the body is not valid, or the status forbids content.
   */
  constructor(body?: BodyInit | null, init?: ResponseInit) {
    // A response can be made before any server was started; it passes `instanceof` all the same.
    if (!linked) linkResponsePrototype();
    let lines = NO_FIELD_LINES;
    if (init !== undefined && init !== null) {
      if (init.status !== undefined) this.#status = checkStatus(init.status);
      if (init.statusText !== undefined) this.#statusText = checkStatusText(init.statusText);
      if (init.headers !== undefined) lines = toFieldLines(init.headers);
    }
    if (body === undefined || body === null) {
      this.#content = null;
    } else {
      if (this.#status !== 200) checkAllowsContent(this.#status);
      if (typeof body === "string") {
        this.#content = body;
        lines = withContentType(lines, TEXT_LINES);
      } else if (body instanceof Uint8Array) {
        this.#content = body as Bytes;
      } else {
        const { content, lines: defaultLines } = takeBody(body);
        this.#content = content;
        if (body instanceof Blob) this.#blobBytes = body.size;
        else this.#isStream = isNative(content) && !(body instanceof FormData);
        lines = withContentType(lines, defaultLines);
      }
    }
    this.#lines = lines;
  }

  /**
   * A response with the JSON text of a value and the Content-Type `application/json`.
   *
   * @throws {TypeError} The value has no JSON text.
   *
   * @example
   * ```ts
   * import { HttpResponse } from "@trivet/http";
   *
   * const response = HttpResponse.json({ ready: true });
   * console.assert(await response.text() === '{"ready":true}');
   * ```
   */
  static json(value: unknown, init?: ResponseInit): HttpResponse {
    const text: string | undefined = JSON.stringify(value);
    if (text === undefined) throw new TypeError(`A value of the type ${typeof value} has no JSON text.`);
    const response = new HttpResponse(null, init);
    checkAllowsContent(response.#status);
    response.#content = text;
    response.#lines = withContentType(response.#lines, JSON_LINES);
    return response;
  }

  /**
   * A response that sends the client to another URL.
   *
   * @param url An absolute URL: a server has no base against which another could be resolved. To send a relative
   * reference, set the field: `new HttpResponse(null, { status: 302, headers: { location: "/there" } })`.
   * @param status 301, 302, 303, 307 or 308. Default 302.
   * @throws {RangeError} The status is another one.
   * @throws {TypeError} The URL is not valid or not absolute.
   *
   * @example
   * ```ts
   * import { HttpResponse } from "@trivet/http";
   *
   * const response = HttpResponse.redirect("https://example.com/there", 308);
   * console.assert(response.headers.get("location") === "https://example.com/there");
   * ```
   */
  static redirect(url: string | URL, status = 302): HttpResponse {
    const location = new URL(url).href;
    if (status !== 301 && status !== 302 && status !== 303 && status !== 307 && status !== 308) {
      throw new RangeError(`The status of a redirect is ${status}, allowed are 301, 302, 303, 307 and 308.`);
    }
    return new HttpResponse(null, { status, headers: { location } });
  }

  /** A network error. It is part of the interface; sent, it becomes a `500`. */
  static error(): HttpResponse {
    const response = new HttpResponse();
    response.#status = 0;
    return response;
  }

  /** The status code. */
  get status(): number {
    return this.#status;
  }

  /** Whether the status code is 200 to 299. */
  get ok(): boolean {
    return this.#status >= 200 && this.#status <= 299;
  }

  /** The reason phrase that was given; empty for the standard one. */
  get statusText(): string {
    return this.#statusText;
  }

  /** The header section. It may be changed until the response is sent. */
  get headers(): Headers {
    if (this.#headers !== null) return this.#headers;
    const headers = new Headers();
    const lines = this.#lines;
    for (let i = 0; i < lines.length; i += 2) headers.append(lines[i], lines[i + 1]);
    return this.#headers = headers;
  }

  /** `"default"`, or `"error"` when made by {@linkcode HttpResponse.error}. */
  get type(): ResponseType {
    return this.#status === 0 ? "error" : "default";
  }

  /** Always empty: the response was not fetched. */
  get url(): string {
    return "";
  }

  /** Always false: the response was not fetched. */
  get redirected(): boolean {
    return false;
  }

  /** The content as a byte stream; `null` when there is none. */
  get body(): ReadableStream<Uint8Array<ArrayBuffer>> | null {
    return this.#content === null ? null : this.#holder().body;
  }

  /** Whether the content was read, in whole or in part, or sent. */
  get bodyUsed(): boolean {
    const content = this.#content;
    return content === SENT || (isNative(content) && content.bodyUsed);
  }

  /** The content, decoded as UTF-8 and without a byte order mark. */
  text(): Promise<string> {
    return this.#holder().text();
  }

  /** The content, parsed as JSON. */
  // deno-lint-ignore no-explicit-any -- the type the Fetch standard's `Body` has in every type library
  json(): Promise<any> {
    return this.#holder().json();
  }

  /** The content. */
  arrayBuffer(): Promise<ArrayBuffer> {
    return this.#holder().arrayBuffer();
  }

  /** The content. */
  bytes(): Promise<Uint8Array<ArrayBuffer>> {
    return this.#holder().arrayBuffer().then(toBytes);
  }

  /** The content; its type is that of the Content-Type field. */
  async blob(): Promise<Blob> {
    return toBlob(await this.arrayBuffer(), this.headers.get("content-type"));
  }

  /** The fields of a form in the content. */
  async formData(): Promise<FormData> {
    const content = new Uint8Array(await this.arrayBuffer());
    const { parseFormData } = await import("./form_data.ts");
    return parseFormData(content, this.headers.get("content-type"));
  }

  /** The content as a stream of strings, decoded as UTF-8. Throws a `TypeError` where `clone` does. */
  textStream(): ReadableStream<string> {
    if (this.#isUnusable()) throw unusableError();
    return decodeStream(this.body);
  }

  /**
   * A response with the same parts. Throws a `TypeError` when the content was read or sent, or its stream is locked.
   */
  clone(): HttpResponse {
    if (this.#isUnusable()) throw unusableError();
    const content = this.#content;
    const copy = new HttpResponse();
    copy.#status = this.#status;
    copy.#statusText = this.#statusText;
    copy.#lines = this.#lines;
    copy.#headers = this.#headers === null ? null : new Headers(this.#headers);
    copy.#blobBytes = this.#blobBytes;
    copy.#isStream = this.#isStream;
    copy.#content = isNative(content) ? content.clone() : content;
    return copy;
  }

  /** The native object that holds the content. Without content it is one that can be read again and again. */
  #holder(): Response {
    const content = this.#content;
    if (content === null) return new (nativeResponse())(null);
    if (isNative(content)) return content;
    if (content === SENT) return this.#content = usedResponse();
    // Not every runtime replaces the lone surrogates of a string it was given.
    return this.#content = new (nativeResponse())(typeof content === "string" ? UTF8_ENCODER.encode(content) : content);
  }

  /** The native response that stands for this one where a runtime wants one of its own. Both have the same content. */
  #toNative(): Response {
    const known = natives.get(this);
    if (known !== undefined) return known;
    const init = { status: this.#status, statusText: this.#statusText, headers: this.headers };
    const native = new (nativeResponse())(this.body, init);
    natives.set(this, native);
    return native;
  }

  #isUnusable(): boolean {
    const content = this.#content;
    return content === SENT || (isNative(content) && isUnusable(content));
  }

  /** Takes the content for sending. */
  #takeContent(): string | Bytes | Response | null {
    const content = this.#content;
    if (content === null) return null;
    // Whether its stream is locked is left to what reads it: looking would make the stream.
    if (content === SENT || (isNative(content) && content.bodyUsed)) {
      throw new TrivetError(
        "response-invalid",
        "The body of the response was read or sent already: make a response for each request.",
      );
    }
    this.#content = SENT;
    return content;
  }

  static {
    link = () => {
      const native = nativeResponse();
      linkPrototype(HttpResponse, native);
      const toNative = (response: HttpResponse): Response => response.#toNative();
      forwardMissing(HttpResponse, native, toNative);
      forwardState(HttpResponse, new native(null), toNative);
    };
    takeHttpResponse = (value) => {
      if (!(#content in value)) return null;
      if (value.#status === 0) {
        throw new TrivetError("response-invalid", "The handler gave Response.error(), which stands for no response.");
      }
      const fields = value.#headers === null ? value.#lines : readFieldLines(value.#headers);
      const content = value.#takeContent();
      return {
        status: value.#status,
        statusText: value.#statusText,
        fields,
        content,
        blobBytes: value.#blobBytes,
        isStream: value.#isStream,
      };
    };
  }
}

let linked = false;

/**
 * Makes objects of {@linkcode HttpResponse} pass `instanceof Response`. A server calls it when it starts, and the first
 * response does, since it loads the runtime's Fetch implementation. Later calls do nothing.
 */
export function linkResponsePrototype(): void {
  if (linked) return;
  linked = true;
  link();
  defineInspection(
    HttpResponse,
    ({ status, statusText, headers, bodyUsed }) => ({ status, statusText, headers, bodyUsed }),
  );
}

function isNative(content: ContentState): content is Response {
  return typeof content === "object" && content !== null && !(content instanceof Uint8Array);
}

function checkStatus(status: number): number {
  if (Number.isInteger(status) && (status === 101 || (status >= 200 && status <= 599))) return status;
  throw new RangeError(`The status is ${status}, allowed is 101 or a whole number from 200 to 599.`);
}

/** `reason-phrase = 1*( HTAB / SP / VCHAR / obs-text )` (RFC 9112 section 4): the chars of a field value. */
function checkStatusText(statusText: string): string {
  const text = String(statusText);
  if (isAllOfClass(text, 0, text.length, FIELD_VALUE)) return text;
  throw new TypeError(`The statusText ${JSON.stringify(text.slice(0, 100))} has a char that can't be sent.`);
}

function checkAllowsContent(status: number): void {
  if (isContentless(status)) throw new TypeError(`A response with status ${status} can't have a body: give null.`);
}

function unusableError(): TypeError {
  return new TypeError(
    "The body of the response was read or sent already, or is being read: clone() the response before.",
  );
}

/** The lines with the Content-Type of the default ones, unless they have their own. */
function withContentType(lines: FieldLines, defaultLines: FieldLines): FieldLines {
  if (lines.length === 0) return defaultLines;
  if (defaultLines.length === 0 || hasFieldLine(lines, "content-type")) return lines;
  const copy = lines.slice();
  insertFieldLine(copy, defaultLines[0], defaultLines[1]);
  return copy;
}

/** Content that is neither a string nor bytes, and the lines with its default Content-Type. */
function takeBody(body: unknown): { content: string | Bytes | Response; lines: FieldLines } {
  if (ArrayBuffer.isView(body)) {
    return { content: new Uint8Array(body.buffer, body.byteOffset, body.byteLength) as Bytes, lines: NO_FIELD_LINES };
  }
  if (body instanceof ArrayBuffer) return { content: new Uint8Array(body), lines: NO_FIELD_LINES };
  if (body instanceof URLSearchParams) return { content: body.toString(), lines: ["content-type", FORM_TYPE] };
  if (typeof body !== "object" || body === null) return { content: String(body), lines: TEXT_LINES };
  const held = body instanceof Blob || body instanceof FormData ? body : toByteStream(body);
  // The Fetch standard makes a string of anything else.
  if (held === null) return { content: String(body), lines: TEXT_LINES };
  const native = new (nativeResponse())(held as BodyInit);
  const contentType = native.headers.get("content-type");
  return { content: native, lines: contentType === null ? NO_FIELD_LINES : ["content-type", contentType] };
}
