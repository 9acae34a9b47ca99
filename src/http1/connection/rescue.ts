/**
 * The response in place of a handler's that has failed: the policy of `onError`.
 *
 * It decides whether `onError` may give one. It must not know how it is sent.
 *
 * @module
 */

import type { TrivetError } from "../../api/errors.ts";
import type { Exchange } from "../../exchange/exchange.ts";
import { discardResponse, readResponse } from "../../web/read_response.ts";
import type { ResponseSource } from "../../web/response_source.ts";
import type { ConnectionService } from "./service.ts";

/** What `onError` gives for an exchange, or `null` where that can't be sent. */
export type Rescue = Promise<ResponseSource | null>;

/**
 * Tells the user that a handler has failed.
 *
 * @returns What is sent in its place when it is there; `null` at once where `onError` gave nothing. Each exchange gets
 * one chance: the standard response takes the place of a custom one that fails too.
 */
export function askForRescue(service: ConnectionService, exchange: Exchange, error: TrivetError): Rescue | null {
  service.countError(error);
  // What the handler had set is not meant for a response in its place.
  exchange.trailersToSend = null;
  const given = service.reportHandlerError(error, exchange);
  if (given === undefined || exchange.hasCustomResponse) {
    discard(given);
    return null;
  }
  exchange.hasCustomResponse = true;
  return Promise.resolve(given).then(readResponse).then(unlessUpgrade).catch(() => null);
}

/** Tells the user that a response which can't be replaced any more has failed: what `onError` gives is ignored. */
export function reportFailure(service: ConnectionService, exchange: Exchange, error: TrivetError): void {
  service.countError(error);
  discard(service.reportHandlerError(error, exchange));
}

/** Counts an error that was answered in place of the handler, and tells the user of a handler that took too long. */
export function countRefusal(service: ConnectionService, exchange: Exchange, error: TrivetError): void {
  if (error.code === "handler-timeout") reportFailure(service, exchange, error);
  else service.countError(error);
}

/** An upgrade is the handler's alone. */
function unlessUpgrade(source: ResponseSource): ResponseSource | null {
  return source.status === 101 ? null : source;
}

function discard(given: Response | Promise<Response> | void): void {
  if (given !== undefined) Promise.resolve(given).then(discardResponse, () => {});
}
