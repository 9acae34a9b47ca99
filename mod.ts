/**
 * Trivet: one HTTP/1.1 server for Deno, Bun and Node, over raw TCP.
 *
 * @example
 * ```ts
 * import { serve } from "@trivet/http";
 *
 * const server = await serve({ port: 0, hostname: "127.0.0.1" }, (request) => {
 *   return new Response(`You asked for ${new URL(request.url).pathname}`);
 * }).ready();
 * await server.shutdown();
 * ```
 *
 * @module
 */

import { detectRuntime } from "./runtime/detect.ts";
import type { Handler, HandlerObject } from "./src/api/handler.ts";
import { THREAD_ENTRY } from "./src/entry/thread_entry.ts";
import { createServer } from "./src/server/create_server.ts";
import type { ServeInit, ServeModule, ServeOptions } from "./src/api/options.ts";
import type { Server } from "./src/api/server.ts";

export type { AccessLog, AccessLogEntry, AccessLogFormat, AccessLogOptions } from "./src/api/access_log.ts";
export type {
  Address,
  ClientCertificates,
  PeerCertificate,
  TcpAddress,
  TlsIdentity,
  TlsInfo,
  TlsOptions,
  UnixAddress,
} from "./src/transport.ts";
export type {
  Handler,
  HandlerInfo,
  HandlerObject,
  PeerAddress,
  UpgradeAnswer,
  UpgradedConnection,
} from "./src/api/handler.ts";
export type {
  MinDataRate,
  Model,
  ProxyProtocolOptions,
  ProxyTrustOptions,
  ServeInit,
  ServeModule,
  ServeOptions,
  UnhandledRejections,
} from "./src/api/options.ts";
export type { Server, ShutdownOptions, ShutdownReport } from "./src/api/server.ts";
export type { TraceContext } from "./src/http/trace_context.ts";
export type {
  ConnectionActivity,
  Histogram,
  Measurements,
  QueueStats,
  ServerState,
  ServerStats,
  StatusClass,
  ThreadStats,
  WorkerStats,
} from "./src/api/stats.ts";
export type {
  ServerWebSocket,
  WebSocketAnswer,
  WebSocketClose,
  WebSocketCloseEvent,
  WebSocketCompression,
  WebSocketErrorEvent,
  WebSocketEvents,
  WebSocketListener,
  WebSocketListenerOptions,
  WebSocketMessageEvent,
  WebSocketOptions,
} from "./src/api/websocket.ts";
export type { Warning, WarningCode } from "./src/api/warnings.ts";
export { type Blame, type ErrorCode, TrivetError } from "./src/api/errors.ts";
export { HttpResponse } from "./src/web/http_response.ts";

/**
 * Serves HTTP. Returns the server at once; it listens when `ready()` resolves.
 *
 * @param served What answers each request: a handler; an application, which is an object of a class, or a function,
 * that has a `fetch` and of which nothing else is read; or options that hold the handler as `fetch`, or name the module
 * that has it, see {@linkcode ServeInit} and {@linkcode ServeModule}.
 * @throws {TypeError} For a handler that is no function, an unknown option, one of the wrong type, or one that has no
 * effect beside the others.
 * @throws {RangeError} For a number out of its range.
 *
 * @example The handler alone, at port 8000
 * ```ts ignore
 * import { serve } from "@trivet/http";
 *
 * serve((request) => new Response(`Hello from ${request.url}`));
 * ```
 */
export function serve(served: Handler | HandlerObject | ServeInit | ServeModule): Server;
/**
 * Serves HTTP with options and a handler.
 *
 * @param options See {@linkcode ServeOptions}.
 * @param handler Answers each request: a function, or an object such as the application of a framework.
 * @throws {TypeError | RangeError} As without options.
 *
 * @example With options
 * ```ts
 * import { serve } from "@trivet/http";
 *
 * const server = serve({ port: 0, hostname: "127.0.0.1", handlerTimeout: 10_000 }, () => new Response("hello"));
 * await server.ready();
 * await server.shutdown({ timeout: 1_000 });
 * ```
 *
 * @example An application
 * ```ts
 * import { serve } from "@trivet/http";
 *
 * class Application {
 *   greeting = "hello";
 *   fetch(): Response {
 *     return new Response(this.greeting);
 *   }
 * }
 * const server = serve({ port: "0", hostname: "[::1]" }, new Application());
 * await server.ready();
 * await server.shutdown();
 * ```
 */
export function serve(options: ServeOptions, handler: Handler | HandlerObject): Server;
export function serve(first: Handler | HandlerObject | ServeOptions, second?: Handler | HandlerObject): Server {
  return createServer(detectRuntime(), THREAD_ENTRY, first, second);
}
