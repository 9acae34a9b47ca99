/**
 * The options of `serve()`, as a user sets them.
 *
 * It names and describes them. Their defaults and bounds are in `option_rules.ts`; what they are used for it must not
 * know.
 *
 * @module
 */

import type { AccessLog } from "./access_log.ts";
import type { TrivetError } from "./errors.ts";
import type { Handler } from "./handler.ts";
import type { Address, TlsOptions } from "../transport.ts";
import type { Warning } from "./warnings.ts";

/** The concurrency models: when a connection is served, and where its handler runs. */
export type Model = "blocking" | "worker-pool" | "event-driven" | "hybrid";

/** What a rejection on a thread that nothing handles does. */
export type UnhandledRejections = "report" | "fatal";

/** How slow the content of a request may come. */
export interface MinDataRate {
  /** Bytes per second, on average since the content began; 0 is no bound. Default 240, as in Kestrel. */
  readonly bytesPerSecond: number;
  /** Milliseconds in which it may be slower. Default 5000, as in Kestrel. */
  readonly gracePeriod: number;
}

/** Which proxies are believed what they say of their clients, and where they say it. */
export interface ProxyTrustOptions {
  /**
   * The proxies: "loopback" for those on this machine, ranges of addresses such as "10.0.0.0/8", or how many proxies
   * there are one behind another, 1 to 100. A Unix domain socket counts as loopback. With a number, every peer is
   * believed.
   */
  readonly from: "loopback" | readonly string[] | number;
  /**
   * What they write: "x-forwarded" for the fields `X-Forwarded-For`, `-Proto` and `-Host`, or "forwarded" for
   * `Forwarded` (RFC 7239). The other one is not read, since a client can send what its proxy does not write. Default
   * "x-forwarded".
   */
  readonly header?: "x-forwarded" | "forwarded" | undefined;
  /** Whether they also say for which host the client has asked. Default false: that is the request's own host. */
  readonly host?: boolean | undefined;
}

/** Which proxies open connections for others. */
export interface ProxyProtocolOptions {
  /** The proxies: "loopback", or ranges of addresses; as in {@linkcode ProxyTrustOptions.from}. */
  readonly from: "loopback" | readonly string[];
}

/**
 * What `serve()` can be told. Times are in milliseconds, 0 to 2 147 483 647 (24 days), and sizes in bytes; a timeout of
 * 0 is none, but for `halfCloseTimeout` and `drainTimeout`. An option that is `undefined` has its default.
 *
 * @example
 * ```ts
 * import { type ServeOptions } from "@trivet/http";
 *
 * const options: ServeOptions = { port: 0, hostname: "127.0.0.1", keepAliveTimeout: 5_000 };
 * ```
 */
export interface ServeOptions {
  /** The TCP port, 0 to 65535, or its decimal digits; 0 lets the system choose. Default 8000. */
  readonly port?: number | string | undefined;
  /**
   * The address to listen at; an IPv6 address may stand in brackets. Default "::": every address of the machine, those
   * of IPv4 too; "0.0.0.0" where it has no IPv6.
   */
  readonly hostname?: string | undefined;
  /**
   * The path of a Unix domain socket to listen at in place of TCP, of at most 107 bytes. A file that a killed server has
   * left there is replaced unless something listens at it, and the file is removed at the end.
   */
  readonly unix?: string | undefined;
  /**
   * Who may connect to the Unix domain socket, as `chmod` takes it: 0o660, or "660". Default: what the umask leaves.
   */
  readonly unixMode?: number | string | undefined;
  /**
   * A socket that listens already and was handed to this process, by its descriptor, in place of an address; systemd's
   * first one is 3. The process that has bound it keeps what waits to be accepted while no server runs.
   */
  readonly fd?: number | undefined;
  /** Shuts the server down gracefully when it aborts. */
  readonly signal?: AbortSignal | undefined;
  /**
   * Shuts the server down gracefully on SIGTERM, and on SIGINT without a delay and without waiting for what is idle; at
   * once on a second one. The process ends when nothing else keeps it alive. A container needs it: its first process,
   * with the number 1, ignores SIGTERM unless it listens to it. Default false; true for the command.
   */
  readonly handleSignals?: boolean | undefined;
  /** Called once the server listens. Default: prints the address. */
  readonly onListen?: ((address: Address) => void) | undefined;
  /**
   * Told of errors that are the user's: a handler that threw or took too long, a response that can't be sent, a failure
   * to accept. The thrown value is the error's `cause`. May return the response to send in place of the standard one of
   * a handler that failed. Default: prints the error.
   */
  readonly onError?: ((error: TrivetError, request?: Request) => Response | Promise<Response> | void) | undefined;
  /** Speaks TLS. Certificates and keys are read anew by `server.reloadTls()`, and each 5 seconds with `tlsWatch`. */
  readonly tls?: TlsOptions | undefined;
  /**
   * Looks every 5 seconds whether the files that `tls` names have changed, through symbolic links too. New connections
   * get what is new; what can't be used is told to `onWarning`, and the server goes on with what it has. Default false.
   */
  readonly tlsWatch?: boolean | undefined;
  /**
   * Believes proxies what they say of their clients: `info.remoteAddr`, `info.requestIP()` and `request.url` are the
   * client's then. Addresses are read from the right, up to the first that is no trusted proxy's. What other peers say
   * changes nothing. Default: none is believed.
   *
   * @example
   * ```ts
   * import { type ServeOptions } from "@trivet/http";
   *
   * const options: ServeOptions = { trustProxy: { from: "loopback", host: true } };
   * ```
   */
  readonly trustProxy?: ProxyTrustOptions | undefined;
  /**
   * Has every connection begin with a header of the PROXY protocol, version 1 or 2, before TLS: `info.remoteAddr` and
   * the limits by address are then those of the client that the proxy speaks for. What comes from elsewhere, or begins
   * otherwise, is closed. Default: none.
   */
  readonly proxyProtocol?: ProxyProtocolOptions | undefined;
  /** Shares the port with other processes through SO_REUSEPORT. Default false. */
  readonly reusePort?: boolean | undefined;
  /** Connections the system holds until they are accepted, 1 to 65535. Default: the runtime's. */
  readonly tcpBacklog?: number | undefined;
  /**
   * Told of what an operator should know and no request is to blame for: a full queue, hardly a free worker. Each at
   * most once in 10 seconds. Default: prints the message.
   */
  readonly onWarning?: ((warning: Warning) => void) | undefined;
  /**
   * The concurrency model. Default "event-driven".
   *
   * - `"blocking"`: one connection at a time, from accept to close, the others wait in line. One slow client stops
   *   all others until a deadline ends it. Each response closes its connection unless `keepAliveTimeout` is set. It is
   *   there to learn from and to compare with.
   * - `"worker-pool"`: `workers` workers, each of which owns a connection from start to close; up to `maxQueue` further
   *   ones wait in line. With `fetch` a worker is a slot on the event loop, with `module` it is a thread.
   * - `"event-driven"`: everything at once on one event loop, or with `module` on `loops` of them.
   * - `"hybrid"`: all reading and writing on the event loop, every call of the handler, given as `module`, on one of
   *   `threads` threads; up to `maxQueue` exchanges wait for one.
   */
  readonly model?: Model | undefined;
  /**
   * In place of a handler: the path, relative to the folder of the program's main module, or the URL of a module whose
   * default export has a `fetch` function. Where handlers run on threads, each thread loads the module for itself.
   */
  readonly module?: string | URL | undefined;
  /** Workers of the model "worker-pool", 1 to 1024. Default: twice the cores. */
  readonly workers?: number | undefined;
  /** Threads of the model "hybrid", 1 to 256. Default: the cores. */
  readonly threads?: number | undefined;
  /** Event loops of the model "event-driven", 1 to 256; more than one need `module`. Default 1. */
  readonly loops?: number | undefined;
  /**
   * Connections ("blocking", "worker-pool") or exchanges ("hybrid") that wait for their turn; further ones get a 503.
   * 0 to 1 000 000; with 0 nothing waits. Default 1000.
   */
  readonly maxQueue?: number | undefined;
  /**
   * Milliseconds for which a connection ("blocking", "worker-pool") or an exchange ("hybrid", "worker-pool") waits for
   * its turn, until it gets a 503; 0 for no bound. Default 30 000.
   */
  readonly queueTimeout?: number | undefined;
  /**
   * Calls of the handler that one thread makes before a fresh one takes its place; it makes more only while no fresh
   * thread can be started. Default 0: no bound.
   */
  readonly maxRequestsPerThread?: number | undefined;
  /**
   * Bytes to which the heap of a thread may grow before the thread is ended and replaced, on Node. Deno and Bun can't
   * bound it: there a warning says so. From 16 MiB, which a thread takes to start, to 64 GiB. Default 0: the runtime's
   * own bound. On Node 24 one object that needs 16 MiB more at once, such as a Map of a million entries that grows, can
   * still end the process.
   */
  readonly maxThreadMemory?: number | undefined;
  /**
   * What a promise that is rejected on a thread, and that nothing handles, does: "report" tells `onError` and counts
   * it, "fatal" ends the thread, which is replaced. On the thread of `serve()` the process decides. Default "report".
   */
  readonly unhandledRejections?: UnhandledRejections | undefined;
  /**
   * A path, such as "/health", at which GET and HEAD are answered by the event loop itself, without the handler and its
   * threads: with 200, and with 503 once a graceful stop has begun. Default: none.
   */
  readonly healthPath?: string | undefined;
  /**
   * Logs each request when its response has ended: `true`, a format, `{ format, file }`, or a function. It never holds
   * requests up: what an output does not take is dropped, and `stats().droppedLines` counts it. Default: none; on a
   * terminal, `trivet serve` has `true`.
   */
  readonly accessLog?: AccessLog | undefined;
  /**
   * Measures each request, and how late event loops are, for `server.metrics()` and `stats().measured`. Default false:
   * then only the other counts of `stats()` are kept.
   */
  readonly metrics?: boolean | undefined;
  /** Hands the handler a Request of the runtime itself, at the cost of making one for each request. Default false. */
  readonly nativeRequest?: boolean | undefined;
  /** Seconds a refused peer is asked to wait, 0 to 86 400. Default 5. */
  readonly retryAfter?: number | undefined;
  /**
   * Milliseconds for the head of a request, from its first byte (of the first request, from the accept) to its last; 0
   * for no bound. A client that has sent a part of it gets a 408. Default 15 000.
   */
  readonly headersTimeout?: number | undefined;
  /**
   * Milliseconds for a whole request, from its first byte to its last, less the time it waits for the handler; 0 for no
   * bound. Beyond it the client gets a 408. Default 120 000.
   */
  readonly requestTimeout?: number | undefined;
  /**
   * Milliseconds for which a persistent connection waits for its next request, and one that a handler has upgraded for
   * the handler to take one of its streams; 0 for no bound. Default 75 000.
   */
  readonly keepAliveTimeout?: number | undefined;
  /**
   * Milliseconds for the handler to give a response, from its call on; then the client gets a 503. Default 0: no bound.
   */
  readonly handlerTimeout?: number | undefined;
  /** Milliseconds for the client to take 64 KiB of a response, until it is cut off; 0 for no bound. Default 30 000. */
  readonly writeTimeout?: number | undefined;
  /**
   * Milliseconds for a client that has ended its own side of the connection behind a complete request. Nearly always it
   * has closed the connection, and sometimes, as `nc -N` does, it still reads: so its response is waited for this long,
   * and after each part of it that the client could take once more; then the request aborts. 0 aborts it at once, and
   * `Infinity` never, unlike the other timeouts. Default 1 000.
   */
  readonly halfCloseTimeout?: number | undefined;
  /**
   * Milliseconds for which a graceful stop is only announced: `healthPath` answers 503 and every response says
   * `Connection: close`, while everything is accepted and answered. Make it longer than your load balancer takes to
   * notice. Default 0; for the command 1 000 where it has a `healthPath`.
   */
  readonly drainDelay?: number | undefined;
  /**
   * Milliseconds for what is open, from the end of `drainDelay` until it is cut off. 0 cuts it off at once, unlike the
   * other timeouts. Default 10 000.
   */
  readonly drainTimeout?: number | undefined;
  /** The slowest that the content of a request may come. Default: 240 bytes per second, after 5 seconds. */
  readonly minDataRate?: { readonly [K in keyof MinDataRate]?: MinDataRate[K] | undefined } | undefined;
  /** Bytes of a header or trailer section. 256 to 1 MiB, default 16 KiB. Beyond it the client gets a 431. */
  readonly maxHeaderSize?: number | undefined;
  /** Field lines of a header or trailer section. 1 to 10 000, default 100. Beyond it the client gets a 431. */
  readonly maxHeadersCount?: number | undefined;
  /** Bytes of a request-target. 16 to 1 MiB, default 8 KiB. Beyond it the client gets a 414. */
  readonly maxRequestTargetSize?: number | undefined;
  /** Bytes of the content of a request; 0 allows none. Default 16 MiB. Beyond it the client gets a 413. */
  readonly maxRequestBodySize?: number | undefined;
  /**
   * Open connections, on each event loop; further ones get a 503. 0 is no bound. Default: seven eighths of the
   * descriptors that the process may have open, divided among the loops; 0 where that is not known (on other systems
   * than Linux, and on Deno without the permission to read `/proc/self/limits`).
   */
  readonly maxConnections?: number | undefined;
  /** Open connections from one address, on each event loop; further ones get a 503. Default 0: no bound. */
  readonly maxConnectionsPerIp?: number | undefined;
  /** Requests on one connection, which is closed behind the last of them. Default 0: no bound. */
  readonly maxRequestsPerSocket?: number | undefined;
}

/** Options and handler in one object, as `export default { fetch }` modules have them. */
export interface ServeInit extends ServeOptions {
  /** The handler. */
  readonly fetch: Handler;
}

/** Options that name the module of the handler, in place of the handler itself. */
export interface ServeModule extends ServeOptions {
  /** See {@linkcode ServeOptions.module}. */
  readonly module: string | URL;
}
