/**
 * The open connections of one server.
 *
 * It decides which accepted connections are taken, passes the transport's events to them, and lets the clock tick for
 * them. It must not know what a connection does with its bytes, nor where handlers run, nor when the server stops.
 *
 * @module
 */

import { CoarseClock } from "../exchange/coarse_clock.ts";
import type { Exchange } from "../exchange/exchange.ts";
import { HeadParsers } from "../http1/connection/head_parsers.ts";
import { Http1Connection } from "../http1/connection/http1_connection.ts";
import { timeoutsOf } from "../http1/connection/lifecycle.ts";
import { OutboundSlab } from "../http1/connection/outbound.ts";
import type { Connection } from "../exchange/connection.ts";
import type {
  ConnectionCounters,
  ConnectionService,
  ConnectionSettings,
  GoneWatcher,
} from "../http1/connection/service.ts";
import { TrivetError } from "../api/errors.ts";
import { TargetUriComposer } from "../http1/codec/request_target.ts";
import { ResponseHeadBuilder } from "../http1/codec/response_head.ts";
import type { ResolvedOptions } from "../api/options.ts";
import type { Address, Clock, Runtime, Timer, TransportConnection, TransportEvents } from "../runtime.ts";
import type { Scheduler } from "../models/scheduler.ts";
import { WebSockets } from "../websocket/web_sockets.ts";
import type { ResponseSource } from "../web/response_source.ts";

/**
 * Connections beyond the limit that are told so at the same time; more are closed without a word, since the telling must
 * not become the overload.
 */
const MAX_REFUSALS_AT_ONCE = 256;

/** The connections of one server, and what they share. */
export class OpenConnections implements TransportEvents, ConnectionService {
  readonly settings: ConnectionSettings;
  readonly clock: CoarseClock;
  readonly timeouts: readonly number[];
  readonly #runtimeClock: Clock;
  readonly #gone: GoneWatcher[] = [];
  #goneTimer: Timer | null = null;
  readonly slab: OutboundSlab;
  readonly headParsers: HeadParsers;
  readonly headBuilder: ResponseHeadBuilder = new ResponseHeadBuilder();
  readonly targetUris: TargetUriComposer;
  readonly counters: ConnectionCounters = {
    requests: 0,
    bytesReceived: 0,
    bytesSent: 0,
    activeExchanges: 0,
    responses: 0,
    errors: new Map(),
  };
  readonly decodeLatin1: (bytes: Uint8Array, start: number, end: number) => string;
  /** What is to be done at the end of the turn, for all connections. */
  #deferred: (() => void)[] = [];
  readonly defer: (callback: () => void) => void;
  readonly webSockets: WebSockets;
  isDraining = false;
  /** Connections accepted since the start. */
  acceptedCount = 0;
  /** Of these, refused because of a limit. */
  refusedCount = 0;
  /** Called whenever a connection has closed. */
  onChange: () => void = () => {};
  readonly #options: ResolvedOptions;
  readonly #scheduler: Scheduler;
  /** In no order: who leaves is replaced by the last one. See `threads/call_table.ts` for what a `Set` would cost. */
  readonly #open: Http1Connection[] = [];
  readonly #openByIp = new Map<string, number>();
  #refusals = 0;

  /**
   * @param options The user's options.
   * @param scheduler The concurrency model.
   * @param runtime The runtime the server stands on.
   */
  constructor(options: ResolvedOptions, scheduler: Scheduler, runtime: Runtime) {
    this.#options = options;
    this.#scheduler = scheduler;
    this.settings = toSettings(options);
    this.targetUris = new TargetUriComposer(options.tls === undefined ? "http" : "https");
    this.decodeLatin1 = runtime.decodeLatin1;
    this.slab = new OutboundSlab(runtime.encodeUtf8);
    this.headParsers = new HeadParsers(this.settings, runtime.decodeLatin1);
    // The runtime is asked once a turn, since that costs about as much as all the rest of a small response.
    const { defer } = runtime.clock;
    this.defer = (callback) => {
      if (this.#deferred.push(callback) === 1) defer(() => this.#endTurn());
    };
    const { headersTimeoutMs, requestTimeoutMs, keepAliveTimeoutMs, handlerTimeoutMs, writeTimeoutMs } = this.settings;
    this.clock = new CoarseClock(
      runtime.clock,
      [headersTimeoutMs, requestTimeoutMs, keepAliveTimeoutMs, handlerTimeoutMs, writeTimeoutMs],
      (elapsedMs) => this.#tick(elapsedMs),
    );
    this.#runtimeClock = runtime.clock;
    this.webSockets = new WebSockets(runtime);
    this.timeouts = timeoutsOf(this.settings, this.clock.tickMs);
  }

  /** How many connections are open. */
  get count(): number {
    return this.#open.length;
  }

  /** Takes nothing new, refuses what waits for its turn, and closes what has nothing in flight. */
  drain(): void {
    this.isDraining = true;
    this.#scheduler.drain?.(new TrivetError("draining", "The server is shutting down and takes no new requests."));
    for (const connection of this.#open.slice()) connection.drain();
  }

  /** Cuts off every connection. Returns how many there were. */
  abort(error: TrivetError): number {
    const cut = this.#open.slice();
    for (const connection of cut) connection.abort(error);
    return cut.length;
  }

  // What the transport tells.

  onOpen(transport: TransportConnection): void {
    this.acceptedCount++;
    this.clock.start();
    const limit = this.#reachedLimit(transport.remoteAddress);
    if (limit !== null && this.#refusals >= MAX_REFUSALS_AT_ONCE) {
      this.refusedCount++;
      this.countError(limit);
      transport.abort();
      return;
    }
    const connection = new Http1Connection(transport, this);
    transport.session = connection;
    connection.placeAmongOpen = this.#open.push(connection) - 1;
    this.#countByIp(transport.remoteAddress, 1);
    if (limit === null) {
      this.#scheduler.admit(connection);
      return;
    }
    connection.refuse(limit);
  }

  onData(transport: TransportConnection, borrowed: Uint8Array): void {
    (transport.session as Http1Connection | undefined)?.onData(borrowed);
  }

  onDrain(transport: TransportConnection): void {
    (transport.session as Http1Connection | undefined)?.onDrain();
  }

  onEnd(transport: TransportConnection): void {
    (transport.session as Http1Connection | undefined)?.onEnd();
  }

  onClose(transport: TransportConnection, cause?: Error): void {
    (transport.session as Http1Connection | undefined)?.onClose(cause);
  }

  onAcceptError(cause: Error): void {
    this.reportError(
      new TrivetError("accept-failed", "A connection could not be accepted; accepting goes on.", { cause }),
    );
  }

  // What the connections ask for.

  run(exchange: Exchange): void {
    const { healthPath } = this.#options;
    if (healthPath !== undefined && isHealthCheck(exchange, healthPath)) exchange.answer(HEALTHY);
    else this.#scheduler.run(exchange);
  }

  mayPersist(connection: Connection): boolean {
    return this.#scheduler.mayPersist(connection);
  }

  reportHandlerError(error: TrivetError, exchange: Exchange): Response | Promise<Response> | void {
    return this.#report(error, exchange.request);
  }

  /** Counts and tells an error that belongs to no exchange. */
  reportError(error: TrivetError): void {
    this.countError(error);
    // There is nobody to send a response to, so that it does not matter what is given.
    Promise.resolve(this.#report(error, undefined)).catch((thrown) => console.error(thrown));
  }

  countError(error: TrivetError): void {
    const { errors } = this.counters;
    errors.set(error.code, (errors.get(error.code) ?? 0) + 1);
  }

  preciseNowMs(): number {
    return this.#runtimeClock.nowMs();
  }

  watchGone(connection: GoneWatcher): void {
    this.#gone.push(connection);
    const everyMs = Math.max(1, Math.min(250, this.settings.halfCloseTimeoutMs / 4));
    this.#goneTimer ??= this.#runtimeClock.every(everyMs, () => this.#lookAtGone());
  }

  mayTellRefusal(error: TrivetError): boolean {
    this.refusedCount++;
    this.#refusals++;
    // Those that waited when the server began to drain were bounded by the line they stood in.
    return error.code === "draining" || this.#refusals <= MAX_REFUSALS_AT_ONCE;
  }

  connectionServed(connection: Connection): void {
    if (!connection.wasRefused) this.#scheduler.release(connection);
  }

  connectionClosed(connection: Connection): void {
    const last = this.#open.pop()!;
    if (last !== connection as unknown) this.#open[last.placeAmongOpen = connection.placeAmongOpen] = last;
    this.#countByIp(connection.remoteAddress, -1);
    if (connection.wasRefused) this.#refusals--;
    if (this.#open.length === 0) this.clock.stop();
    this.onChange();
  }

  #report(error: TrivetError, request: Request | undefined): Response | Promise<Response> | void {
    const { onError } = this.#options;
    try {
      if (onError !== undefined) return onError(error, request);
      console.error(error);
    } catch (thrown) {
      // The user's own report has failed; its cause is the user's to see, and the peer still gets a response.
      console.error(thrown);
    }
  }

  #reachedLimit(peer: Address): TrivetError | null {
    const { maxConnections, maxConnectionsPerIp } = this.#options;
    const served = this.#open.length - this.#refusals;
    if (maxConnections > 0 && served >= maxConnections) {
      return new TrivetError("connection-limit", "The server has as many connections as it takes.");
    }
    if (maxConnectionsPerIp > 0 && (this.#openByIp.get(ipOf(peer)) ?? 0) >= maxConnectionsPerIp) {
      return new TrivetError("connection-limit", "The server has as many connections from this address as it takes.");
    }
    return null;
  }

  #countByIp(peer: Address, change: 1 | -1): void {
    if (this.#options.maxConnectionsPerIp === 0) return;
    const ip = ipOf(peer);
    const count = (this.#openByIp.get(ip) ?? 0) + change;
    if (count === 0) this.#openByIp.delete(ip);
    else this.#openByIp.set(ip, count);
  }

  #endTurn(): void {
    const deferred = this.#deferred;
    this.#deferred = [];
    for (const callback of deferred) callback();
  }

  #lookAtGone(): void {
    const nowMs = this.preciseNowMs();
    const still = this.#gone.splice(0).filter((connection) => connection.watchGone(nowMs));
    this.#gone.push(...still);
    if (this.#gone.length > 0) return;
    this.#goneTimer?.cancel();
    this.#goneTimer = null;
  }

  #tick(elapsedMs: number): void {
    for (const connection of this.#open.slice()) connection.tick(elapsedMs);
    this.#scheduler.tick?.();
  }
}

/** The answer to a health check. A server that drains has refused it before, like any other request. */
const HEALTHY: ResponseSource = {
  status: 200,
  statusText: "",
  fields: ["cache-control", "no-store", "content-type", "text/plain;charset=UTF-8"],
  content: "ok\n",
  streamBytes: null,
};

function isHealthCheck({ method, head }: Exchange, healthPath: string): boolean {
  if (method !== "GET" && method !== "HEAD") return false;
  const { pathAndQuery } = head;
  return pathAndQuery === healthPath || pathAndQuery.startsWith(`${healthPath}?`);
}

/** The peers of a Unix domain socket count as one. */
function ipOf(address: Address): string {
  return address.transport === "tcp" ? address.hostname : "";
}

function toSettings(options: ResolvedOptions): ConnectionSettings {
  return {
    headersTimeoutMs: options.headersTimeout,
    requestTimeoutMs: options.requestTimeout,
    keepAliveTimeoutMs: options.keepAliveTimeout,
    handlerTimeoutMs: options.handlerTimeout,
    writeTimeoutMs: options.writeTimeout,
    halfCloseTimeoutMs: options.halfCloseTimeout,
    minContentBytesPerSecond: options.minDataRate.bytesPerSecond,
    contentRateGraceMs: options.minDataRate.gracePeriod,
    maxFieldSectionBytes: options.maxHeaderSize,
    maxFieldLines: options.maxHeadersCount,
    maxRequestTargetBytes: options.maxRequestTargetSize,
    maxContentBytes: options.maxRequestBodySize,
    maxRequestsPerConnection: options.maxRequestsPerSocket,
    retryAfterSeconds: options.retryAfter,
    nativeRequest: options.nativeRequest,
  };
}
