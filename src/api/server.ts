/**
 * What `serve()` gives: types only.
 *
 * @module
 */

import type { Address } from "../transport.ts";
import type { ServerStats } from "./stats.ts";

/** How a server has stopped. Connections that were refused with 503, then or before, are in neither count. */
export interface ShutdownReport {
  /** Connections that were open when the stop began, or came after that, and have closed in order. */
  readonly drained: number;
  /** Connections that were cut off with a request or a response on its way; those without are drained. */
  readonly aborted: number;
  /** How long it took, in milliseconds. */
  readonly durationMs: number;
}

/** How to stop gracefully. */
export interface ShutdownOptions {
  /**
   * Milliseconds, 0 to 2 147 483 647, in which the stop is only announced: `healthPath` answers 503 and every response
   * says `Connection: close`, while everything is accepted and answered. Make it longer than your load balancer takes
   * to notice. Default: the option `drainDelay`.
   */
  readonly delay?: number | undefined;
  /**
   * Milliseconds, 0 to 2 147 483 647, after the delay, until what is still open is cut off. Default: the option
   * `drainTimeout`.
   */
  readonly timeout?: number | undefined;
  /**
   * Closes connections that have no request in flight as soon as the delay is over, as Ctrl+C does. It ends a server at
   * once that only browsers hold open, and loses a request that is on its way just then, so that it is no choice behind
   * a proxy. Default false: a client that was not told keeps its connection for one more request, until
   * `keepAliveTimeout` or the deadline.
   */
  readonly closeIdle?: boolean | undefined;
}

/**
 * A running server, as `serve()` gives it.
 *
 * @example
 * ```ts
 * import { serve } from "@trivet/http";
 *
 * await using server = await serve({ port: 0, hostname: "127.0.0.1" }, () => new Response("hello")).ready();
 * const response = await fetch(server.url);
 * console.assert(await response.text() === "hello");
 * ```
 */
export interface Server extends AsyncDisposable {
  /**
   * Where the server listens. It is known after `ready()`; on Deno and Bun, with a function as handler and over TCP
   * without TLS, already when `serve()` returns.
   *
   * @throws {TrivetError} `not-listening` before it is known.
   */
  readonly addr: Address;
  /** The TCP port, 0 for a Unix domain socket. Throws as `addr` does. */
  readonly port: number;
  /** A URL under which this machine reaches the server, with a slash at its end. Throws as `addr` does. */
  readonly url: string;
  /**
   * Resolves to the server when it listens, on every event loop.
   *
   * Rejects with a `TrivetError`: `listen-failed` when it can't, for example because the port is taken, with the
   * runtime's own error as its `cause`; `tls-invalid` when a certificate or its key can't be used; `module-invalid`
   * when the handler's module can't be loaded; `log-failed` when the file of `accessLog` can't be opened. When nothing
   * looks at this promise the failure ends the process, as an unhandled rejection does.
   */
  ready(): Promise<Server>;
  /** Resolves when the last connection is closed and the last thread has ended; rejects when it could not start. */
  readonly finished: Promise<void>;
  /**
   * Stops gracefully: no request that was taken is lost. For `delay` the stop is only announced; then what the system
   * has accepted already is taken and the port is free. Requests on connections that are open are answered, each with
   * `Connection: close`, and what waits in a queue gets its turn. At the deadline what is left is cut off, and every
   * thread is ended. A later call waits for the same stop; its `delay` and `timeout` count if they end earlier.
   *
   * Rejects with a `TypeError` for what is no option of it, and with a `RangeError` for a delay or a timeout out of its
   * range; the server goes on then.
   */
  shutdown(options?: ShutdownOptions): Promise<ShutdownReport>;
  /** Stops at once: cuts off every connection, also during a graceful stop. */
  stop(): Promise<ShutdownReport>;
  /**
   * Sends a message to every WebSocket of the server that has subscribed to a topic, on every event loop and thread;
   * see `ServerWebSocket.subscribe`. A thread that has not taken 16 MiB of what was published misses what follows,
   * which is reported as `publish-backlog`.
   *
   * @throws {TypeError} For a topic that is no string, or a Blob.
   */
  publish(topic: string, message: string | ArrayBufferLike | ArrayBufferView): void;
  /**
   * Reads the certificates and keys that the option `tls` names anew, on every event loop: connections from now on get
   * them, and open ones stay. Resolves to whether any has changed.
   *
   * Rejects with a `TrivetError`, and keeps what it has: `tls-invalid` when they can't be used, `not-listening` while
   * the server does not listen; with a `TypeError` when the server has no option `tls`.
   */
  reloadTls(): Promise<boolean>;
  /** Counts, as of now. */
  stats(): ServerStats;
  /**
   * The counts as text that Prometheus reads: in its own format, version 0.0.4, or as OpenMetrics 1.0. What other event
   * loops measure is at most a tenth of a second old, and what threads measure a second.
   *
   * @throws {TypeError} The server was not given the option `metrics`.
   */
  metrics(format?: "prometheus" | "openmetrics"): Promise<string>;
  /**
   * Has the server answer a request of this process, without a socket: for tests, and wherever a `fetch` is asked for.
   * It goes the way of every request: the same limits and deadlines, the same model and the same errors, over a
   * connection of its own from 127.0.0.1 that counts like any other. It waits until the server listens.
   *
   * A path counts from `url`. The server sees the scheme that it speaks, whatever that of the URL is. Redirects are not
   * followed, content is not decoded, and there is no connection to be upgraded.
   *
   * Rejects with a `TrivetError`: what `ready()` rejects with, and `draining` once a stop has gone so far that nothing
   * new is taken; with the reason of `request.signal`; with a `TypeError` for a request with the field Upgrade, and
   * when the server closes the connection before the head of a response.
   *
   * @example
   * ```ts
   * import { serve } from "@trivet/http";
   *
   * await using server = serve({ port: 0, onListen() {} }, (request) => new Response(request.method));
   * const response = await server.fetch("/", { method: "POST", body: "hello" });
   * console.assert(await response.text() === "POST");
   * ```
   */
  readonly fetch: (input: string | URL | Request, init?: RequestInit) => Promise<Response>;
  /** Lets the listener keep the process alive, as it does from the start. */
  ref(): void;
  /** Lets the process end although the server listens. */
  unref(): void;
}
