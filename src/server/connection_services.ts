/**
 * What the connections of one event loop share: the clock, parsers, memory, counts, and the way to the model.
 *
 * It decides which requests the model never sees: health checks, and methods that a native Request can't have. Else it
 * passes on what connections ask for. It must not know what the parts do.
 *
 * @module
 */

import { TrivetError } from "../api/errors.ts";
import type { ResolvedOptions } from "../api/resolve_options.ts";
import { CoarseClock } from "../exchange/coarse_clock.ts";
import type { Connection } from "../exchange/connection.ts";
import { DrainSignal } from "../exchange/drain_signal.ts";
import type { Exchange } from "../exchange/exchange.ts";
import { ENDING, HEALTHY, isHealthCheck } from "../exchange/health_check.ts";
import type { Observer } from "../exchange/observer.ts";
import type { Publication } from "../exchange/publication.ts";
import { ProxyTrust } from "../exchange/proxy_trust.ts";
import { TargetUriComposer } from "../http1/codec/request_target.ts";
import { ResponseHeadBuilder } from "../http1/codec/response_head.ts";
import { GoneClients } from "../exchange/gone_clients.ts";
import { HeadParsers } from "../http1/connection/head_parsers.ts";
import { timeoutsOf } from "../http1/connection/lifecycle.ts";
import { OutboundSlab } from "../http1/connection/outbound.ts";
import { RequestOrigins } from "../http1/connection/request_origins.ts";
import type {
  ConnectionCounters,
  ConnectionService,
  ConnectionSettings,
  ExchangeRunner,
} from "../http1/connection/service.ts";
import type { Scheduler } from "../models/scheduler.ts";
import type { Runtime } from "../runtime.ts";
import { WebSockets } from "../websocket/web_sockets.ts";
import { Admission } from "./admission.ts";
import { OpenConnections } from "./open_connections.ts";
import type { Reports } from "./reports.ts";
import { nativeRequestTakes } from "../web/native_request.ts";
import { requestMaker } from "../web/remade_request.ts";
import type { RequestSource } from "../web/request_source.ts";
import { type TurnClock, TurnShare } from "../web/turn_share.ts";

/** The server as its connections see it. */
export class ConnectionServices implements ConnectionService {
  readonly settings: ConnectionSettings;
  readonly clock: CoarseClock;
  readonly timeouts: readonly number[];
  readonly slab: OutboundSlab;
  readonly headParsers: HeadParsers;
  readonly headBuilder: ResponseHeadBuilder = new ResponseHeadBuilder();
  readonly targetUris: TargetUriComposer;
  readonly origins: RequestOrigins | null;
  readonly counters: ConnectionCounters;
  readonly decodeLatin1: (bytes: Uint8Array, start: number, end: number) => string;
  readonly turnClock: TurnClock;
  readonly observer: Observer | null;
  readonly toRequest: (source: RequestSource) => Request;
  readonly #isNativeRequest: boolean;
  readonly webSockets: WebSockets;
  readonly drainSignal: DrainSignal = new DrainSignal();
  readonly streamShare: TurnShare;
  isEnding = false;
  isDraining = false;
  /** Told of what was published here, where this server is one of several loops. */
  onPublished: (publication: Publication) => void = () => {};
  closesIdle = false;
  /** Called at each tick of the clock, while connections are open. */
  onTick: () => void = () => {};
  /** The connections that are open. */
  readonly open: OpenConnections;
  /** Decides which connections are taken. */
  readonly admission: Admission;
  readonly model: Scheduler;
  /** The model, unless something has to be looked at before it. */
  runner: ExchangeRunner;
  readonly #reports: Reports;
  readonly healthPath: string | undefined;
  /** What is to be done at the end of the turn, for all connections. */
  #deferred: (() => void)[] = [];
  readonly goneClients: GoneClients;

  /**
   * @param options The user's options.
   * @param runtime The runtime the server stands on.
   * @param scheduler The concurrency model.
   * @param reports Where errors are told.
   * @param observer Is told of everything.
   */
  constructor(
    options: ResolvedOptions,
    runtime: Runtime,
    scheduler: Scheduler,
    reports: Reports,
    observer: Observer | null,
  ) {
    this.model = scheduler;
    this.#reports = reports;
    this.healthPath = options.healthPath;
    this.observer = observer;
    this.settings = toSettings(options);
    this.counters = {
      requests: 0,
      bytesReceived: 0,
      bytesSent: 0,
      activeExchanges: 0,
      responses: 0,
      errors: reports.counts,
    };
    const scheme = options.tls === undefined ? "http" : "https";
    this.targetUris = new TargetUriComposer(scheme);
    const { trustProxy } = options;
    this.origins = trustProxy === undefined ? null : new RequestOrigins(new ProxyTrust(trustProxy), scheme);
    this.decodeLatin1 = runtime.decodeLatin1;
    this.slab = new OutboundSlab(runtime);
    this.headParsers = new HeadParsers(this.settings, runtime.decodeLatin1);
    // The runtime is asked once a turn, since that costs about as much as all the rest of a small response.
    const { clock } = runtime;
    this.turnClock = {
      nowMs: () => clock.nowMs(),
      defer: (callback) => {
        if (this.#deferred.push(callback) === 1) clock.defer(() => this.#endTurn());
      },
    };
    this.streamShare = new TurnShare(this.turnClock);
    const { headersTimeoutMs, requestTimeoutMs, keepAliveTimeoutMs, handlerTimeoutMs, writeTimeoutMs, queueTimeoutMs } =
      this.settings;
    this.clock = new CoarseClock(
      runtime.clock,
      [headersTimeoutMs, requestTimeoutMs, keepAliveTimeoutMs, handlerTimeoutMs, writeTimeoutMs, queueTimeoutMs],
      (elapsedMs) => this.#tick(elapsedMs),
    );
    this.timeouts = timeoutsOf(this.settings, this.clock.tickMs);
    this.toRequest = requestMaker(options.nativeRequest);
    this.#isNativeRequest = options.nativeRequest;
    this.webSockets = new WebSockets(runtime, (publication) => {
      scheduler.publish?.(publication);
      this.onPublished(publication);
    });
    this.runner = this.healthPath === undefined && !this.#isNativeRequest ? scheduler : this;
    this.goneClients = new GoneClients(runtime.clock, this.settings.halfCloseTimeoutMs);
    this.open = new OpenConnections(this.clock);
    this.admission = new Admission({ ...options, descriptorLimit: runtime.descriptorLimit() }, this.open, scheduler);
  }

  /** From now on load balancers are told that the server stops, and each client that its connection ends. */
  announce(): void {
    this.isEnding = true;
  }

  /** Nothing new comes: what is open is served to its end. */
  drain(): void {
    this.isDraining = true;
    this.model.drain?.();
    this.open.drain(this.closesIdle);
  }

  /** Has connections closed that have nothing in flight, now or as soon as the server drains. */
  closeIdle(): void {
    this.closesIdle = true;
    if (this.isDraining) this.open.drain(true);
  }

  // What the connections ask for.

  /** Looks at an exchange before the model does. */
  run(exchange: Exchange, connection: Connection): void {
    if (this.#isNativeRequest && !nativeRequestTakes(exchange.method)) {
      exchange.refuse(new TrivetError("method-unsupported", METHOD_UNSUPPORTED));
      return;
    }
    if (this.healthPath !== undefined && isHealthCheck(exchange.head, this.healthPath)) {
      exchange.answer(this.isEnding ? ENDING : HEALTHY);
    } else {
      this.model.run(exchange, connection);
    }
  }

  reportHandlerError(error: TrivetError, exchange: Exchange): Response | Promise<Response> | void {
    return this.#reports.tell(error, requestOf(exchange));
  }

  reportError(error: TrivetError): void {
    this.#reports.report(error);
  }

  countError(error: TrivetError): void {
    this.#reports.count(error);
  }

  connectionRefused(connection: Connection): void {
    this.admission.refused(connection);
  }

  connectionServed(connection: Connection): void {
    this.admission.served(connection);
  }

  connectionClosed(connection: Connection): void {
    this.admission.closed(connection);
    if (this.observer !== null) this.observer.connectionClosed(connection);
    this.open.remove(connection);
  }

  #endTurn(): void {
    const deferred = this.#deferred;
    this.#deferred = [];
    for (const callback of deferred) callback();
  }

  #tick(elapsedMs: number): void {
    this.open.tick(elapsedMs);
    this.onTick();
    this.model.tick?.();
  }
}

/** The request, for a report. Making it may be what has failed: then it is reported without. */
function requestOf(exchange: Exchange): Request | undefined {
  try {
    return exchange.request;
  } catch {
    return undefined;
  }
}

const METHOD_UNSUPPORTED = "The Request of this runtime can't have this method, which must not be changed.";

function toSettings(options: ResolvedOptions): ConnectionSettings {
  return {
    headersTimeoutMs: options.headersTimeout,
    requestTimeoutMs: options.requestTimeout,
    keepAliveTimeoutMs: options.keepAliveTimeout,
    handlerTimeoutMs: options.handlerTimeout,
    writeTimeoutMs: options.writeTimeout,
    queueTimeoutMs: options.queueTimeout,
    halfCloseTimeoutMs: options.halfCloseTimeout,
    minContentBytesPerSecond: options.minDataRate.bytesPerSecond,
    contentRateGraceMs: options.minDataRate.gracePeriod,
    maxFieldSectionBytes: options.maxHeaderSize,
    maxFieldLines: options.maxHeadersCount,
    maxRequestTargetBytes: options.maxRequestTargetSize,
    maxContentBytes: options.maxRequestBodySize,
    maxRequestsPerConnection: options.maxRequestsPerSocket,
    retryAfterSeconds: options.retryAfter,
  };
}
