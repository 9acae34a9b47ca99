/**
 * Spans of OpenTelemetry for the requests that a handler answers.
 *
 * It decides what a span of a request is called and has: the conventions for HTTP server spans of OpenTelemetry (stable
 * since 1.23). The API of OpenTelemetry is handed in, so that nothing is imported and every version of it will do that
 * has these few functions; the program that sets up its SDK decides where spans go.
 *
 * @module
 */

import type { Handler, HandlerInfo } from "../api/handler.ts";
import { TrivetError } from "../api/errors.ts";
import { wrongArgument } from "../api/wrong_calls.ts";
import { VERSION } from "../api/version.ts";
import { METHOD_NAMES, OTHER_METHOD, placeOfMethod } from "../http/methods.ts";
import { isNativeResponse } from "../web/native_body.ts";

/** What is used of the package `@opentelemetry/api`, of which the whole module is handed in. */
export interface OpenTelemetryApi {
  /** The contexts of asynchronous calls. */
  readonly context: {
    active(): unknown;
    // deno-lint-ignore no-explicit-any -- The context is a type of the package, which is not there to be named.
    with<T>(context: any, fn: () => T): T;
  };
  /** Reads contexts of requests. */
  readonly propagation: {
    // deno-lint-ignore no-explicit-any -- As above.
    extract(context: any, carrier: Headers, getter: HeadersGetter): unknown;
  };
  /** Gives tracers. */
  readonly trace: {
    getTracer(name: string, version?: string): OpenTelemetryTracer;
    // deno-lint-ignore no-explicit-any -- As above.
    setSpan(context: any, span: any): unknown;
  };
  /** Told of what a tracer or a span throws, which costs no request its response. */
  readonly diag?: {
    error(message: string, ...args: unknown[]): void;
  };
}

/** What is used of a tracer. */
export interface OpenTelemetryTracer {
  /** Begins a span. */
  // deno-lint-ignore no-explicit-any -- As above.
  startSpan(name: string, options: { kind: number; attributes: SpanAttributes }, context: any): OpenTelemetrySpan;
}

/** What is used of a span. */
export interface OpenTelemetrySpan {
  /** Sets one attribute. */
  setAttribute(name: string, value: string | number): unknown;
  /** Says whether what it stands for has failed. */
  setStatus(status: { code: number; message?: string }): unknown;
  /** Notes what was thrown. */
  recordException(exception: Error | string): void;
  /** Ends it. */
  end(): void;
}

/** Reads fields of a request, as propagators ask for them. */
export interface HeadersGetter {
  /** The value of a field. */
  get(carrier: Headers, key: string): string | undefined;
  /** The names of all fields. */
  keys(carrier: Headers): string[];
}

/** Attributes of a span. */
export type SpanAttributes = Record<string, string | number>;

/** `SpanKind.SERVER` and `SpanStatusCode.ERROR` of the API. */
const KIND_SERVER = 1;
const STATUS_ERROR = 2;

const HEADERS_GETTER: HeadersGetter = {
  get: (headers, key) => headers.get(key) ?? undefined,
  keys: (headers) => [...headers.keys()],
};

/**
 * Wraps a handler so that each request has a span, which is the active one within the handler and ends when the
 * response has left the server, or can't any more. The span continues the trace that the request names, by the
 * propagator that was set up. It is called by the method; set `http.route` and a better name where your router knows
 * the route.
 *
 * The wrapped handler can be served under every model: on threads, in the module that they load, which sets up the SDK.
 *
 * @param api The module `@opentelemetry/api`.
 * @param handler The handler.
 * @throws {TypeError} One of them is something else.
 *
 * @example
 * ```ts ignore
 * import * as api from "@opentelemetry/api";
 * import { serve } from "@trivet/http";
 * import { withOpenTelemetry } from "@trivet/http/opentelemetry";
 *
 * serve(withOpenTelemetry(api, () => new Response("hello")));
 * ```
 */
export function withOpenTelemetry(api: OpenTelemetryApi, handler: Handler): Handler {
  if (typeof api?.trace?.getTracer !== "function") {
    throw wrongArgument("withOpenTelemetry()", api, "the module @opentelemetry/api, as import * as api gives it");
  }
  if (typeof handler !== "function") {
    throw wrongArgument("withOpenTelemetry()", handler, "a handler behind the API, such as app.fetch");
  }
  return (request, info) => {
    const { context, diag } = api;
    const attempt = <T>(act: () => T): T | null => {
      try {
        return act();
      } catch (error) {
        diag?.error("@trivet/http: the span of a request has failed.", error);
        return null;
      }
    };
    const begun = attempt(() => beginSpan(api, request, info));
    if (begun === null) return handler(request, info);
    const { span, active } = begun;
    /** The status of what the handler gave, as far as it has given something. */
    let status: number | null = null;
    let isOver = false;
    /** Notes how the handler has ended; too late for a response in place of which another one was sent. */
    const describe = (act: () => number): void => {
      if (!isOver) status = attempt(act);
    };
    const end = (): void => {
      isOver = true;
      attempt(() => span.end());
    };
    info.completed.then(end, (cause) => {
      attempt(() => describeUndelivered(span, cause, status));
      end();
    });
    return context.with(active, () => {
      let given: Response | Promise<Response>;
      try {
        given = handler(request, info);
      } catch (thrown) {
        describe(() => describeThrown(span, thrown));
        throw thrown;
      }
      if (typeof (given as { then?: unknown } | null)?.then !== "function") {
        describe(() => describeResponse(span, given as Response));
        return given;
      }
      return (given as Promise<Response>).then((response) => {
        describe(() => describeResponse(span, response));
        return response;
      }, (thrown) => {
        describe(() => describeThrown(span, thrown));
        throw thrown;
      });
    });
  };
}

/** Begins the span of a request, and makes the context in which it is the active one. */
function beginSpan(
  { context, propagation, trace }: OpenTelemetryApi,
  request: Request,
  info: HandlerInfo,
): { span: OpenTelemetrySpan; active: unknown } {
  const parent = propagation.extract(context.active(), request.headers, HEADERS_GETTER);
  const { method } = request;
  const isKnown = METHOD_NAMES[placeOfMethod(method)] !== OTHER_METHOD;
  const attributes = describeRequest(request, info, isKnown);
  const span = trace.getTracer("@trivet/http", VERSION).startSpan(isKnown ? method : "HTTP", {
    kind: KIND_SERVER,
    attributes,
  }, parent);
  return { span, active: trace.setSpan(parent, span) };
}

function describeRequest(request: Request, info: HandlerInfo, isKnown: boolean): SpanAttributes {
  const { method, headers } = request;
  const { protocol, hostname, port, pathname, search } = new URL(request.url);
  const scheme = protocol.slice(0, -1);
  const attributes: SpanAttributes = {
    "http.request.method": isKnown ? method : OTHER_METHOD,
    "url.scheme": scheme,
    "url.path": pathname,
    "server.address": hostname,
    "server.port": port === "" ? (scheme === "https" ? 443 : 80) : Number(port),
    "network.protocol.name": "http",
  };
  if (!isKnown) attributes["http.request.method_original"] = method;
  if (search !== "") attributes["url.query"] = search.slice(1);
  const userAgent = headers.get("user-agent");
  if (userAgent !== null) attributes["user_agent.original"] = userAgent;
  const { remoteAddr, peerAddr } = info;
  if (remoteAddr.transport === "tcp") attributes["client.address"] = remoteAddr.hostname;
  if (peerAddr.transport === "tcp") {
    attributes["network.peer.address"] = peerAddr.hostname;
    attributes["network.peer.port"] = peerAddr.port;
  } else {
    attributes["network.transport"] = "unix";
  }
  return attributes;
}

// Each of these gives the status that the response has or would have.

/** What is no Response becomes a 500. */
function describeResponse(span: OpenTelemetrySpan, response: Response | null | undefined): number {
  const status = response?.status;
  return typeof status === "number" ? describeStatus(span, status) : describeStatus(span, 500, "response-invalid");
}

/** An error of a server is one of 5xx: with others the server has done what it should. */
function describeStatus(span: OpenTelemetrySpan, status: number, errorType: string = String(status)): number {
  span.setAttribute("http.response.status_code", status);
  if (status >= 500) describeFailure(span, errorType);
  return status;
}

function describeFailure(span: OpenTelemetrySpan, errorType: string, message?: string): void {
  span.setAttribute("error.type", errorType);
  span.setStatus({ code: STATUS_ERROR, ...message === undefined ? {} : { message } });
}

/** A Response that is thrown is the response, and an error of the server has its own; whatever else becomes a 500. */
function describeThrown(span: OpenTelemetrySpan, thrown: unknown): number {
  if (typeof thrown === "object" && thrown !== null && isNativeResponse(thrown)) return describeResponse(span, thrown);
  const status = thrown instanceof TrivetError ? thrown.status ?? 500 : 500;
  if (status < 500) return describeStatus(span, status);
  const error = thrown instanceof Error ? thrown : new Error(textOf(thrown));
  span.recordException(error);
  span.setAttribute("http.response.status_code", status);
  describeFailure(span, error.name, error.message);
  return status;
}

/**
 * The response could not be sent whole, or the server has sent its own, such as at a deadline. One that says what the
 * peer has done wrong is no failure.
 */
function describeUndelivered(span: OpenTelemetrySpan, cause: unknown, given: number | null): void {
  const { code, status } = (cause ?? {}) as { code?: unknown; status?: unknown };
  if (given === null && typeof status === "number") describeStatus(span, status, String(code));
  else if (given === null || given !== status) describeFailure(span, typeof code === "string" ? code : "undelivered");
}

function textOf(thrown: unknown): string {
  try {
    return String(thrown);
  } catch {
    return "What was thrown can't be shown.";
  }
}
