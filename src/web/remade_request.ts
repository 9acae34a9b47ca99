/**
 * The request as a handler gets it, on runtimes that make a request anew in different ways: `new Request(request, init)`.
 *
 * It decides of which class a request is, and is the one place that knows how a runtime's own class treats a lazy one. Some
 * take it for one of their own. One keeps its state in private fields and throws (Node 24 and newer). One asks it for its
 * members, and takes its method only where there is no `init` (Bun). On both, what middleware is likely to make anew is
 * native from the start, and what is not gives an error that says what to do, wherever that can be noticed. No global is
 * changed for it.
 *
 * @module
 */

import { EMPTY_FIELD_SECTION } from "../http/field_section.ts";
import { LazyRequest, toLazyRequest } from "./lazy_request.ts";
import { nativeRequestTakes, refusesContent, toNativeRequest } from "./native_request.ts";
import type { RequestSource } from "./request_source.ts";

/** What becomes of the method in `new Request(lazyRequest, init)`. */
type Treatment = "kept" | "lost" | "refused";

/** `null` until it was tried out. */
let treatment: Treatment | null = null;

/**
 * Makes lazy requests pass `instanceof Request`, and their headers `instanceof Headers`, and tries out how the runtime
 * treats them. A server calls it when it starts, since it loads the runtime's Fetch implementation. Later calls do nothing.
 */
export function linkRequestPrototype(): void {
  LazyRequest.link();
  treatment ??= tryTreatment();
}

/** Fields that ask middleware for another method. */
const METHOD_OVERRIDES = ["x-http-method-override", "x-method-override"];

/**
 * What makes requests for handlers; the prototypes are linked before.
 *
 * @param isNative Whether handlers want nothing but requests of the runtime.
 */
export function requestMaker(isNative: boolean): (source: RequestSource) => Request {
  if (isNative) return toNativeRequest;
  return treatment === "kept" ? toLazyRequest : toRequest;
}

/**
 * The request as handlers get it: lazy, or native where middleware may well make it anew and that needs a native one: to
 * bound content whose length is not known, or to give it the method that a field asks for.
 */
export function toRequest(source: RequestSource): Request {
  if (treatment === "kept") return new LazyRequest(source);
  if (source.content.present && mayBeRemade(source)) return toNativeRequest(source);
  return treatment === "lost" ? new WatchedRequest(source) : new LazyRequest(source);
}

function mayBeRemade({ fields, method }: RequestSource): boolean {
  return (fields.has("transfer-encoding") || METHOD_OVERRIDES.some((name) => fields.has(name))) &&
    nativeRequestTakes(method) && !refusesContent(method);
}

/** Of the members that Bun asks for, one after another, how many were asked for; the method would have come behind them. */
const BODY = 1;
const BODY_AND_URL = 2;
const BODY_URL_AND_SIGNAL = 3;

/**
 * A lazy request that notices when it is made anew with other headers, and throws: it would be GET, unless `init` names the
 * method, which can't be seen here. Then Bun asks for the members `body`, `url`, `signal` and `redirect`, in this order and
 * for nothing else in between; a handler has no reason to.
 */
class WatchedRequest extends LazyRequest {
  #asked = 0;

  override get body(): LazyRequest["body"] {
    this.#asked = BODY;
    return super.body;
  }

  override get url(): string {
    this.#asked = this.#asked === BODY ? BODY_AND_URL : 0;
    return super.url;
  }

  override get signal(): AbortSignal {
    this.#asked = this.#asked === BODY_AND_URL ? BODY_URL_AND_SIGNAL : 0;
    return super.signal;
  }

  override get method(): string {
    this.#asked = 0;
    return super.method;
  }

  override get redirect(): RequestRedirect {
    if (this.#asked === BODY_URL_AND_SIGNAL && super.method !== "GET") {
      throw new TypeError(
        "new Request(request, { headers }) would make GET of this request here: give it request.clone(), or set the" +
          " option nativeRequest to true.",
      );
    }
    return super.redirect;
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
    return new Request(new LazyRequest(source), { headers: { a: "b" } }).method === "POST" ? "kept" : "lost";
  } catch {
    return "refused";
  }
}
