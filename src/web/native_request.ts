/**
 * Requests of the runtime's own class, made from their parts.
 *
 * It decides what of a request such an object can't have: content of GET and HEAD is left out, and
 * a method that it would change is refused. It must not know why one is made.
 *
 * @module
 */

import { type Bytes, decodeStream, isUnusable, toBytes } from "./native_body.ts";
import { RequestHeaders } from "./request_headers.ts";
import type { RequestSource } from "./request_source.ts";

/** What `new Request()` takes; `duplex` is missing in some type libraries. */
interface NativeRequestInit extends RequestInit {
  duplex?: "half";
}

/**
 * The request as a `Request` of the runtime, with its signal and the content as a stream. Content of a GET or HEAD
 * request is left out, since such a `Request` cannot have it. Throws a `TypeError` when it can't have the method.
 */
export function toNativeRequest(source: RequestSource): Request {
  const hasContent = source.content.present && !refusesContent(source.method);
  return makeNativeRequest(source, new RequestHeaders(source.fields), hasContent ? source.content.stream() : null);
}

/** The same of other headers and another content. */
export function makeNativeRequest(source: RequestSource, headers: Headers, body: BodyInit | null): Request {
  const { method } = source;
  const init: NativeRequestInit = { method, headers, body, duplex: "half", signal: source.signal() };
  const native = new Request(source.url(), init);
  if (native.method !== method) throw new TypeError(`A Request of this runtime can't have the method ${method}.`);
  return readAlike(native);
}

/**
 * Gives one object the ways of reading that a lazy request has: the form parser of every runtime, and what not every
 * version of Node has. Which of both a handler gets depends on the client, so that it must make no difference.
 */
function readAlike(native: Request): Request {
  if (native.body !== null) define(native, "formData", readForm);
  if (!("bytes" in native)) define(native, "bytes", readBytes);
  if (!("textStream" in native)) define(native, "textStream", readTextStream);
  define(native, "clone", cloneAlike);
  return native;
}

function define(native: Request, name: string, value: (this: Request) => unknown): void {
  Object.defineProperty(native, name, { configurable: true, writable: true, value });
}

function cloneAlike(this: Request): Request {
  return readAlike((Object.getPrototypeOf(this) as Request).clone.call(this));
}

async function readForm(this: Request): Promise<FormData> {
  const content = toBytes(await this.arrayBuffer());
  const { parseFormData } = await import("./form_data.ts");
  return parseFormData(content, this.headers.get("content-type"));
}

async function readBytes(this: Request): Promise<Bytes> {
  return toBytes(await this.arrayBuffer());
}

function readTextStream(this: Request): ReadableStream<string> {
  if (isUnusable(this)) throw unusableError();
  return decodeStream(this.body);
}

/** What is said of content that is asked for a second time. */
export function unusableError(): TypeError {
  return new TypeError(
    "The body of the request was read already, or is being read: clone() the request before to read it twice.",
  );
}

/** Whether the runtime's own class carries a method as it is: the Fetch standard writes some in capitals. */
export function nativeRequestTakes(method: string): boolean {
  switch (method) {
    case "GET":
    case "HEAD":
    case "POST":
    case "PUT":
    case "DELETE":
    case "OPTIONS":
    case "PATCH":
      return true;
  }
  try {
    return new Request("http://localhost/", { method }).method === method;
  } catch {
    return false;
  }
}

/** Whether the Fetch standard refuses content with this method, which it takes in any case. */
export function refusesContent(method: string): boolean {
  return /^(?:GET|HEAD)$/i.test(method);
}
