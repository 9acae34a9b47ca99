/**
 * A request as `Request`, made from its parts at the moment a handler asks for them.
 *
 * It decides what owns the content: the source, until it is taken; then its taker, once. It must not know
 * how the request came or how its content is framed.
 *
 * @module
 */

import {
  type Bytes,
  decodeStream,
  ignoreOutcome,
  isUnusable,
  nativeResponse,
  toBlob,
  toBytes,
  usedResponse,
} from "./native_body.ts";
import { makeNativeRequest, refusesContent, unusableError } from "./native_request.ts";
import { defineInspection, forwardMissing, forwardState, linkPrototype } from "./prototype_link.ts";
import { RequestHeaders } from "./request_headers.ts";
import type { RequestSource } from "./request_source.ts";

/**
 * Where the content is: `"untaken"` in the source; `"collected"` by a method that read all of it; or in a native
 * response that was given the stream, which knows whether its body was disturbed. A `ReadableStream` does not tell.
 */
type ContentState = "untaken" | "collected" | Response;

const UTF8_DECODER = new TextDecoder();

/** What every lazy request is made as: an ordinary object, unless {@linkcode LazyRequest.standOn} says otherwise. */
class Foundation {}

/**
 * The `Request` a handler gets.
 *
 * It has the interface and the semantics of the Fetch standard and passes `instanceof Request`. What differs from a
 * `Request` made by the runtime:
 *
 * - `new Request(request)`, `new Request(request, init)` and `fetch(request)` depend on the runtime: see
 *   `docs/differences.md`. `request.clone()` in place of `request` works everywhere, and so does
 *   `new Request(url, request)`.
 * - Forms are read alike on every runtime: see {@linkcode LazyRequest.formData}.
 * - GET and HEAD may have content, as RFC 9110 section 9.3.1 allows. It can be read here; {@linkcode LazyRequest.clone}
 *   and the native request made for `fetch` drop it, since the Fetch standard allows them none.
 */
export class LazyRequest extends Foundation implements Request {
  readonly #source: RequestSource;
  #headers: RequestHeaders | null = null;
  #contentState: ContentState = "untaken";
  /** The request that stands for this one where a runtime wants one of its own. */
  #native: Request | null = null;

  /** @param source The request in parts. Nothing is asked of it yet. */
  constructor(source: RequestSource) {
    super();
    this.#source = source;
  }

  /** The method, case-sensitive. */
  get method(): string {
    return this.#source.method;
  }

  /** The target URI (RFC 9110 section 7.1). */
  get url(): string {
    return this.#source.url();
  }

  /** The header section. */
  get headers(): RequestHeaders {
    return this.#headers ??= new RequestHeaders(this.#source.fields);
  }

  /** Aborts if and only if the response could not be delivered. */
  get signal(): AbortSignal {
    return this.#source.signal();
  }

  /** The content as a byte stream; `null` when the request has none. */
  get body(): ReadableStream<Bytes> | null {
    return this.#source.content.present ? this.#holder().body : null;
  }

  /** Whether the content was read, in whole or in part. */
  get bodyUsed(): boolean {
    const state = this.#contentState;
    if (state === "untaken") return false;
    return state === "collected" || state.bodyUsed;
  }

  /** The content, decoded as UTF-8 and without a byte order mark. */
  text(): Promise<string> {
    return this.#collect().then(decodeText);
  }

  /** The content, decoded as UTF-8 and parsed as JSON. Rejects with a `SyntaxError` when it is not JSON. */
  // deno-lint-ignore no-explicit-any -- the type the Fetch standard's `Body` has in every type library
  json(): Promise<any> {
    return this.#collect().then(decodeJson);
  }

  /** The content. */
  bytes(): Promise<Bytes> {
    return this.#collect();
  }

  /** The content. */
  arrayBuffer(): Promise<ArrayBuffer> {
    return this.#collect().then(toArrayBuffer);
  }

  /** The content; its type is that of the Content-Type field. */
  async blob(): Promise<Blob> {
    return toBlob(await this.#collect(), this.headers.get("content-type"));
  }

  /**
   * The fields of a form, sent as `application/x-www-form-urlencoded` or as `multipart/form-data`: read alike on every
   * runtime, strictly by RFC 7578. Rejects with a `TypeError` when the content is no such form.
   */
  async formData(): Promise<FormData> {
    const content = await this.#collect();
    const { parseFormData } = await import("./form_data.ts");
    return parseFormData(content, this.headers.get("content-type"));
  }

  /** The content as a stream of strings, decoded as UTF-8. Throws a `TypeError` where `clone` does. */
  textStream(): ReadableStream<string> {
    if (this.#isUnusable()) throw unusableError();
    return decodeStream(this.body);
  }

  /**
   * A `Request` of the runtime with the same parts, whose content can be read besides that of this one. Content of a
   * GET or HEAD request is left out. Throws a `TypeError` when the content was read or its stream is locked, or when a
   * Request of the runtime can't have the method.
   */
  clone(): Request {
    if (this.#isUnusable()) throw unusableError();
    const body = this.#nativeHasContent() ? this.#holder().body : null;
    if (body === null) return makeNativeRequest(this.#source, this.headers, null);
    const [kept, given] = body.tee();
    this.#contentState = new (nativeResponse())(kept);
    // The native request that stood for this one has the stream that was just divided.
    this.#native = null;
    return makeNativeRequest(this.#source, this.headers, given);
  }

  // What only browsers give a meaning. The values are those of `new Request(url)` by the Fetch standard.

  /** Always `"default"`. */
  get cache(): RequestCache {
    return "default";
  }
  /** Always `"same-origin"`. */
  get credentials(): RequestCredentials {
    return "same-origin";
  }
  /** Always empty. */
  get destination(): RequestDestination {
    return "";
  }
  /** Always `"half"`: a client sends its request before it reads the response. */
  get duplex(): "half" {
    return "half";
  }
  /** Always empty. */
  get integrity(): string {
    return "";
  }
  /** Always false. */
  get isHistoryNavigation(): boolean {
    return false;
  }
  /** Always false. */
  get isReloadNavigation(): boolean {
    return false;
  }
  /** Always false; it has nothing to do with persistent connections. */
  get keepalive(): boolean {
    return false;
  }
  /** Always `"cors"`. */
  get mode(): RequestMode {
    return "cors";
  }
  /** Always `"follow"`. */
  get redirect(): RequestRedirect {
    return "follow";
  }
  /** Always `"about:client"`; the Referer field is in the headers. */
  get referrer(): string {
    return "about:client";
  }
  /** Always empty. */
  get referrerPolicy(): ReferrerPolicy {
    return "";
  }

  /** Takes all of the content, wherever it is. A request without content gives none as often as it is asked. */
  #collect(): Promise<Bytes> {
    const state = this.#contentState;
    if (state === "untaken") {
      const content = this.#source.content;
      if (!content.present) return Promise.resolve(new Uint8Array(0));
      this.#contentState = "collected";
      return content.collect();
    }
    if (state === "collected") return Promise.reject(unusableError());
    return state.arrayBuffer().then(toBytes);
  }

  /** The native response that holds the content, which must be present. */
  #holder(): Response {
    const state = this.#contentState;
    if (typeof state !== "string") return state;
    const holder = state === "untaken" ? new (nativeResponse())(this.#source.content.stream()) : usedResponse();
    this.#contentState = holder;
    return holder;
  }

  /** Whether a method that takes the content would fail. */
  #isUnusable(): boolean {
    const state = this.#contentState;
    return typeof state === "string" ? state === "collected" : isUnusable(state);
  }

  /** Whether a native request can hold the content: there is some, and the Fetch standard allows it to the method. */
  #nativeHasContent(): boolean {
    return this.#source.content.present && !refusesContent(this.#source.method);
  }

  /**
   * The native request that stands for this one. Both have the same stream and headers, so that content read and fields
   * changed through either are so for both.
   */
  #toNative(): Request {
    if (this.#native !== null) return this.#native;
    const hasContent = this.#nativeHasContent();
    if (hasContent && this.#isUnusable()) {
      // Not kept: the lock on a stream can be released again.
      const native = makeNativeRequest(this.#source, this.headers, "");
      ignoreOutcome(native.arrayBuffer());
      return native;
    }
    const native = makeNativeRequest(this.#source, this.headers, hasContent ? this.#holder().body : null);
    RequestHeaders.share(this.headers, native.headers);
    return this.#native = native;
  }

  /**
   * From now on lazy requests are made by the constructor of another class. Of that they have nothing but how the
   * runtime has made them: not what it lets its objects do.
   */
  static standOn(foundation: new () => object): void {
    Object.setPrototypeOf(LazyRequest, foundation);
  }

  static #linked = false;

  /**
   * Makes objects of this class pass `instanceof Request`, and their headers `instanceof Headers`. Later calls do
   * nothing.
   */
  static link(): void {
    if (LazyRequest.#linked) return;
    LazyRequest.#linked = true;
    RequestHeaders.link();
    const toNative = (request: LazyRequest) => request.#toNative();
    linkPrototype(LazyRequest, Request);
    forwardMissing(LazyRequest, Request, toNative);
    defineInspection(LazyRequest, ({ method, url, headers, bodyUsed }) => ({ method, url, headers, bodyUsed }));
    forwardState(LazyRequest, new Request("http://localhost/"), toNative);
  }
}

function decodeText(bytes: Bytes): string {
  return UTF8_DECODER.decode(bytes);
}

function decodeJson(bytes: Bytes): unknown {
  return JSON.parse(UTF8_DECODER.decode(bytes));
}

function toArrayBuffer(bytes: Bytes): ArrayBuffer {
  const buffer = bytes.buffer;
  return buffer.byteLength === bytes.byteLength ? buffer : bytes.slice().buffer;
}

/** The request as handlers get it where the runtime makes any of it anew. */
export function toLazyRequest(source: RequestSource): Request {
  return new LazyRequest(source);
}
