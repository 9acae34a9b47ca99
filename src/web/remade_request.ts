/**
 * The request as a handler gets it, on runtimes that make a request anew in different ways: `new Request(request,
 * init)`.
 *
 * It decides of which class a request is, and is the one place that knows how a runtime's own class treats a lazy one.
 * Some take it for one of their own. One asks it for its members, and for its method only if it looks like an object of
 * the runtime (Bun), which a lazy request then is. One keeps its state in private fields and throws (Node 24 and
 * newer): there, what middleware is likely to make anew is native from the start, and what is not gives an error that
 * says what to do. No global is changed for it.
 *
 * @module
 */

import { EMPTY_FIELD_SECTION } from "../http/field_section.ts";
import { LazyRequest, toLazyRequest } from "./lazy_request.ts";
import { nativeRequestTakes, refusesContent, toNativeRequest } from "./native_request.ts";
import type { RequestSource } from "./request_source.ts";

/** What becomes of the method in `new Request(lazyRequest, init)`; `"asked"` is kept once it was asked for. */
type Treatment = "kept" | "asked" | "lost" | "refused";

/** `null` until it was tried out. */
let treatment: Treatment | null = null;

/**
 * Makes lazy requests pass `instanceof Request`, and their headers `instanceof Headers`, and tries out how the runtime
 * treats them. A server calls it when it starts, since it loads the runtime's Fetch implementation. Later calls do
 * nothing.
 */
export function linkRequestPrototype(): void {
  if (treatment !== null) return;
  LazyRequest.link();
  treatment = tryTreatment();
  if (treatment !== "lost") return;
  // Bun takes the method of an ordinary object only where there is no `init`, and that of any object of its own always.
  // This is the one that is made in the least time, and no function treats it in a way of its own.
  LazyRequest.standOn(TextDecoder);
  if (tryTreatment() === "kept") treatment = "asked";
}

/** Fields that ask middleware for another method. */
const METHOD_OVERRIDES = ["x-http-method-override", "x-method-override"];

/**
 * What makes requests for handlers; the prototypes are linked before.
 *
 * @param isNative Whether handlers want nothing but requests of the runtime.
 * @param treated How the runtime treats a lazy one.
 */
export function requestMaker(isNative: boolean, treated = treatment): (source: RequestSource) => Request {
  if (isNative) return toNativeRequest;
  return treated === "kept" ? toLazyRequest : (source) => toRequest(source, treated);
}

/**
 * The request as handlers get it: lazy, or native where middleware may well make it anew and that needs a native one:
 * to bound content whose length is not known, or to give it the method that a field asks for. Where a lazy one would
 * lose its method in silence, each is native.
 */
export function toRequest(source: RequestSource, treated = treatment): Request {
  if (treated === "asked" || treated === "lost") {
    if (!nativeRequestTakes(source.method)) return new LoneRequest(source);
    return treated === "asked" ? new LazyRequest(source) : toNativeRequest(source);
  }
  // The method is looked at first, so that the object of the content is not made for each GET.
  const isNative = treated === "refused" && !refusesContent(source.method) && source.content.present &&
    mayBeRemade(source);
  return isNative ? toNativeRequest(source) : new LazyRequest(source);
}

function mayBeRemade({ fields, method }: RequestSource): boolean {
  return (fields.has("transfer-encoding") || METHOD_OVERRIDES.some((name) => fields.has(name))) &&
    nativeRequestTakes(method);
}

/**
 * A lazy request with a method that no request of the runtime can have. Made anew it would be GET on Bun, which asks
 * for `statusText` before; a handler has no reason to, since a request has none.
 */
class LoneRequest extends LazyRequest {
  get statusText(): undefined {
    throw new TypeError(
      `A Request of this runtime can't have the method ${this.method}: make it anew with another one, by the URL: ` +
        "new Request(request.url, { method, headers: request.headers, body: request.body }).",
    );
  }
}

function tryTreatment(): Treatment {
  const content: RequestSource["content"] = {
    present: false,
    collect: () => Promise.resolve(new Uint8Array(0)),
    stream: () => new ReadableStream(),
  };
  const signal = new AbortController().signal;
  const source: RequestSource = {
    method: "POST",
    fields: EMPTY_FIELD_SECTION,
    content,
    url: () => "http://localhost/",
    signal: () => signal,
  };
  try {
    return new Request(new LazyRequest(source), { redirect: "manual" }).method === "POST" ? "kept" : "lost";
  } catch {
    return "refused";
  }
}
