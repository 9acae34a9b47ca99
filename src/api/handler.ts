/**
 * What a handler is, and what it is told beside the request: types only.
 *
 * @module
 */

import type { TraceContext } from "../http/trace_context.ts";
import type { Address, TlsInfo } from "../transport.ts";
import type { WebSocketAnswer, WebSocketOptions } from "./websocket.ts";

/**
 * Answers one request.
 *
 * May be asynchronous. A handler that throws or rejects gives the peer a 500; see `onError`.
 *
 * @example
 * ```ts
 * import { type Handler, HttpResponse } from "@trivet/http";
 *
 * const handler: Handler = (request, info) =>
 *   HttpResponse.json({ path: new URL(request.url).pathname, peer: info.remoteAddr });
 * ```
 */
export type Handler = (request: Request, info: HandlerInfo) => Response | Promise<Response>;

/** An object that has its handler as a method, such as an application of Hono, h3 or Elysia. */
export interface HandlerObject {
  /** The handler. It is called as a method of the object. */
  fetch(request: Request, info: HandlerInfo): Response | Promise<Response>;
}

/** What a handler can know and do beside reading the request. */
export interface HandlerInfo {
  /**
   * The client's address: the peer's, or what a proxy says of it where the options `trustProxy` and `proxyProtocol`
   * trust that. Its port is 0 where the proxy does not tell it.
   */
  readonly remoteAddr: Address;
  /** The address at the other end of the socket: the client's, or that of a proxy in front. */
  readonly peerAddr: Address;
  /** The address at which the connection was accepted. */
  readonly localAddr: Address;
  /**
   * What was agreed on in the TLS handshake of the connection; `null` without TLS, and where it is asked for only when
   * the connection is gone.
   *
   * @example
   * ```ts
   * import { type Handler } from "@trivet/http";
   *
   * const handler: Handler = (_request, { tls }) =>
   *   tls?.peerCertificate ? new Response(`hello ${tls.peerCertificate.subject}`) : new Response(null, { status: 401 });
   * ```
   */
  readonly tls: TlsInfo | null;
  /**
   * The client's address, as handlers written for Bun ask for it; `null` for a Unix domain socket. The same as
   * {@linkcode HandlerInfo.remoteAddr}.
   *
   * @param request Of no account: the address is that of the request the handler was called with.
   */
  requestIP(request?: Request): PeerAddress | null;
  /**
   * The trace that the request is part of (W3C Trace Context): what its fields `traceparent` and `tracestate` say;
   * `null` where there are none in order. Anyone can send these fields: they say what a trace is called, and nothing to
   * rely on.
   *
   * @example
   * ```ts
   * import { type Handler } from "@trivet/http";
   *
   * const handler: Handler = (_request, { trace }) => {
   *   console.log(`trace ${trace?.traceId ?? "none"}`);
   *   return new Response("hello");
   * };
   * ```
   */
  readonly trace: TraceContext | null;
  /**
   * Resolves when the response has left the server whole; rejects with a `TrivetError` if it could not be delivered.
   */
  readonly completed: Promise<void>;
  /**
   * Aborts when the server drains, which is when a graceful stop begins or, with a `drainDelay`, when that is over. A
   * response that goes on by itself, such as an event stream, should end soon then, or it is cut off when the time of
   * `shutdown()` is over.
   *
   * It is one signal for all requests. Look at `aborted` between two events; or listen for `abort`, and take the
   * listener away when the response has ended, since it would be kept until the server stops.
   *
   * @example
   * ```ts
   * import { type Handler } from "@trivet/http";
   *
   * const handler: Handler = (_request, { draining }) => {
   *   async function* events(): AsyncGenerator<string> {
   *     while (!draining.aborted) {
   *       yield `data: ${new Date().toISOString()}\n\n`;
   *       await new Promise((resolve) => setTimeout(resolve, 1_000));
   *     }
   *   }
   *   const body = ReadableStream.from(events()).pipeThrough(new TextEncoderStream());
   *   return new Response(body, { headers: { "content-type": "text/event-stream" } });
   * };
   * ```
   */
  readonly draining: AbortSignal;
  /**
   * The trailer section of a chunked request (RFC 9110 section 6.5): resolves when the content is complete, empty where
   * there is none; rejects when the content does not come whole. Read the content first: what is not read may not come.
   * Never merged into the header section, because a trailer must not change how a request is understood.
   */
  readonly trailers: Promise<Headers>;
  /**
   * Sends an informational response before the final one (RFC 9110 section 15.2), for example 103 (Early Hints). Does
   * nothing for HTTP/1.0, which knows none, nor when the client has left.
   *
   * @param status 102 to 199; 100 is sent by the server itself and 101 belongs to {@linkcode upgrade}.
   * @throws {RangeError} For another status.
   * @throws {TypeError | TrivetError} For invalid fields (`response-field-invalid`), or behind the response
   * (`too-late`).
   */
  inform(status: number, headers?: HeadersInit): void;
  /**
   * Sets the trailer section of the response (RFC 9110 section 6.5.1). It is sent only to a peer that said
   * `TE: trailers`, whose response is then chunked; others get the response without it. The function is called when the
   * content has ended, and must give the fields at once; what it throws, a promise, and a field that may not stand in
   * trailers fail the response.
   *
   * @throws {TrivetError} `too-late` behind the response.
   */
  sendTrailers(trailers: () => HeadersInit): void;
  /**
   * Takes the connection out of HTTP (RFC 9110 section 7.8). Return the response, whose status is 101, from the
   * handler; then the promise gives the connection. It is closed where neither of its streams is taken within
   * `keepAliveTimeout`.
   *
   * @param protocol One of the protocols the request's Upgrade field offers, compared without regard to case.
   * @param init The fields of the 101 beside Upgrade and Connection.
   * @throws {TrivetError} `upgrade-not-requested` when the request does not ask for that protocol, or has content that
   * was not read to its end; `too-late` behind the response or another upgrade.
   */
  upgrade(protocol: string, init?: { headers?: HeadersInit }): UpgradeAnswer;
  /**
   * Takes the connection over as a WebSocket (RFC 6455). Return the response, whose status is 101, from the handler;
   * the socket opens then. As `Deno.upgradeWebSocket(request, options)`.
   *
   * @throws {TrivetError} `websocket-upgrade-required` (426), `websocket-request-invalid` (400) or
   * `websocket-origin-refused` (403) for a request that asks for no WebSocket, or asks in a wrong way. One that the
   * handler does not catch is answered with its status, and not told to `onError`.
   * @throws {TypeError | RangeError} For wrong options.
   */
  upgradeWebSocket(options?: WebSocketOptions): WebSocketAnswer;
  /**
   * Sends a message to every WebSocket of the server that has subscribed to a topic, on whichever thread; see
   * {@linkcode ServerWebSocket.subscribe}. It may also be called behind the response.
   *
   * @throws {TypeError} For a topic that is no string, or a Blob.
   *
   * @example
   * ```ts
   * import { type Handler } from "@trivet/http";
   *
   * const handler: Handler = async (request, info) => {
   *   info.publish("news", await request.text());
   *   return new Response(null, { status: 204 });
   * };
   * ```
   */
  publish(topic: string, message: string | ArrayBufferLike | ArrayBufferView): void;
}

/** A peer's address, as `requestIP` gives it. */
export interface PeerAddress {
  /** The IP address, without brackets. */
  readonly address: string;
  /** The version of IP that it belongs to. */
  readonly family: "IPv4" | "IPv6";
  /** The port; 0 where a proxy does not tell it. */
  readonly port: number;
}

/** The two halves of an upgrade. */
export interface UpgradeAnswer {
  /** The 101 (Switching Protocols) to return from the handler. */
  readonly response: Response;
  /** The raw connection, once the response has been sent; rejects if it never is. */
  readonly connection: Promise<UpgradedConnection>;
}

/** A connection that has left HTTP: bytes in both directions, with back-pressure. */
export interface UpgradedConnection {
  /** What the peer sends, the bytes that came right behind the request included. */
  readonly readable: ReadableStream<Uint8Array>;
  /** What the peer gets. Closing it sends FIN, aborting it closes the connection. */
  readonly writable: WritableStream<Uint8Array>;
  /** The peer's address. */
  readonly remoteAddr: Address;
  /** The address at which the connection was accepted. */
  readonly localAddr: Address;
}
