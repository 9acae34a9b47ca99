/**
 * What all connections of one server share, and what they ask of it.
 *
 * The server makes one and hands it to each connection; the connection knows the server by nothing else.
 *
 * @module
 */

import type { TrivetError } from "../../api/errors.ts";
import type { ContentLimits } from "../codec/content_decoder.ts";
import type { RequestHeadLimits } from "../codec/request_head.ts";
import type { TargetUriComposer } from "../codec/request_target.ts";
import type { ResponseHeadBuilder } from "../codec/response_head.ts";
import type { CoarseClock } from "../../exchange/coarse_clock.ts";
import type { GoneClients } from "../../exchange/gone_clients.ts";
import type { Observer } from "../../exchange/observer.ts";
import type { Exchange, ExchangeServices } from "../../exchange/exchange.ts";
import type { HeadParsers } from "./head_parsers.ts";
import type { RequestOrigins } from "./request_origins.ts";
import type { Connection } from "../../exchange/connection.ts";
import type { OutboundSlab } from "./outbound.ts";
import type { TurnClock } from "../../web/turn_share.ts";

/** The bounds of every connection, in milliseconds, bytes and counts; a timeout of 0 is none. */
export interface ConnectionSettings extends RequestHeadLimits, ContentLimits {
  readonly headersTimeoutMs: number;
  readonly requestTimeoutMs: number;
  readonly keepAliveTimeoutMs: number;
  readonly handlerTimeoutMs: number;
  readonly writeTimeoutMs: number;
  /** How long a connection may wait for its turn. */
  readonly queueTimeoutMs: number;
  /** How long a client that has sent FIN counts as present; 0 is not at all, `Infinity` for ever. */
  readonly halfCloseTimeoutMs: number;
  /** The slowest content may come, in bytes per second; 0 is no bound. */
  readonly minContentBytesPerSecond: number;
  /** How long content may come slower at first. */
  readonly contentRateGraceMs: number;
  /** Requests served on one connection; 0 is no bound. */
  readonly maxRequestsPerConnection: number;
  /** What Retry-After says when there is more work than the server takes. */
  readonly retryAfterSeconds: number;
}

/** Counts of one server since its start, for `stats()`. */
export interface ConnectionCounters {
  requests: number;
  bytesReceived: number;
  bytesSent: number;
  /** Exchanges in flight now. */
  activeExchanges: number;
  /** Final responses that were gathered whole. */
  responses: number;
  /** Errors by code. */
  readonly errors: Map<string, number>;
}

/** What exchanges are given to. */
export interface ExchangeRunner {
  run(exchange: Exchange, connection: Connection): void;
}

/** The server as its connections see it. */
export interface ConnectionService extends ExchangeServices {
  readonly settings: ConnectionSettings;
  readonly clock: CoarseClock;
  /** The timeouts by deadline, see `lifecycle.ts`. */
  readonly timeouts: readonly number[];
  readonly slab: OutboundSlab;
  readonly headParsers: HeadParsers;
  readonly goneClients: GoneClients;
  readonly headBuilder: ResponseHeadBuilder;
  readonly targetUris: TargetUriComposer;
  /** What finds out which client asks, in place of `targetUris`, where a proxy may say so. */
  readonly origins: RequestOrigins | null;
  readonly counters: ConnectionCounters;
  /** Is told of requests and responses, where something observes. */
  readonly observer: Observer | null;
  /** Where load balancers ask whether the server is alive, if they do. */
  readonly healthPath: string | undefined;
  /** Whether the server will stop: no connection persists any more. */
  readonly isEnding: boolean;
  /** Whether it accepts nothing any more, and waits for what is open to end. */
  readonly isDraining: boolean;
  /** Whether that closes connections which have nothing in flight. */
  readonly closesIdle: boolean;
  /** The runtime's way from bytes to a string. */
  decodeLatin1(bytes: Uint8Array, start: number, end: number): string;
  /** The exact time, and the end of a turn, for which the runtime is asked once for all. */
  readonly turnClock: TurnClock;
  /** Has the handler called, or answers in its place; the exchange takes the result. */
  readonly runner: ExchangeRunner;
  /** The concurrency model, which decides whether a connection may persist after its present response. */
  readonly model: { mayPersist(): boolean };
  /** Tells the user of an error that is the handler's; may give a response to send in place of the standard one. */
  reportHandlerError(error: TrivetError, exchange: Exchange): Response | Promise<Response> | void;
  /** Counts and tells an error that is no handler's and belongs to no exchange. */
  reportError(error: TrivetError): void;
  /** Counts an error. */
  countError(error: TrivetError): void;
  /** The connection is told that it is refused. */
  connectionRefused(connection: Connection): void;
  /** The model has no more to do with the connection: it lingers behind its FIN, is refused in line, or is gone. */
  connectionServed(connection: Connection): void;
  /** The connection is gone. */
  connectionClosed(connection: Connection): void;
}
