/**
 * What an observer of a server is told: the seam for access logs, metrics and traces.
 *
 * Nothing is paid while none is set but a comparison for each event: no object, no closure, and no clock is read. This
 * module must not know what observers do with what they are told.
 *
 * @module
 */

import type { TrivetError } from "../api/errors.ts";
import type { Connection } from "./connection.ts";
import type { Exchange } from "./exchange.ts";

/** Told of everything that happens on one event loop, within the call in which it happens. It must not throw. */
export interface Observer {
  /** A connection was accepted, and it was decided which protocol speaks on it. */
  connectionOpened(connection: Connection): void;
  /** A connection is gone. */
  connectionClosed(connection: Connection): void;
  /** The head of a request has come whole. */
  requestBegun(exchange: Exchange, nowMs: number): void;
  /**
   * The last byte of a response was gathered for sending; or it will not be. Exactly once for each request that has
   * begun.
   *
   * @param isWhole Whether it was: of an exchange that was aborted the response to the error may be sent whole.
   * @param status The status code that was sent, 0 where none was.
   * @param contentBytes Bytes of content that were gathered, without their framing.
   * @param beganAtMs When the request had begun.
   */
  responseEnded(
    exchange: Exchange,
    isWhole: boolean,
    status: number,
    contentBytes: number,
    beganAtMs: number,
    nowMs: number,
  ): void;
  /**
   * An error was answered to what is no request, or to a connection that is not served: there is no exchange.
   *
   * @param contentBytes Bytes of content that were gathered.
   */
  requestRefused(connection: Connection, error: TrivetError, contentBytes: number, nowMs: number): void;
}
