/**
 * A connection as concurrency models and the server see it, whatever protocol it speaks. Types only.
 *
 * @module
 */

import type { TrivetError } from "../api/errors.ts";
import type { Address } from "../transport.ts";

/** One connection. */
export interface Connection {
  /** Where the connection stands among the open ones of its server, which the server sets; negative when it is gone. */
  placeAmongOpen: number;
  /** Its number among the connections of the model, in a line or with a worker; the model alone sets it. */
  placeInLine: number;
  /** Whether it was answered with an error instead of being served. */
  readonly wasRefused: boolean;
  readonly remoteAddress: Address;
  /** Serves the connection: its requests are read and answered from now on. */
  serve(): void;
  /** Answers with an error and closes, without a request. */
  refuse(error: TrivetError): void;
  /** Answers a refused connection now, although its client has sent nothing yet. */
  answerRefusal(): void;
  /** Closes a connection that has merely waited for another request for so long. Returns whether it did. */
  giveUp(idleForMs: number): boolean;
  /** Whether a request has begun to come, or its response has not left: whether something is lost by an abort. */
  readonly isBusy: boolean;
  /** The server drains: nothing is waited for that has nothing to say. Without a request it closes if it is told to. */
  drain(closesIdle: boolean): void;
  /** Closes at once, whatever is in flight. */
  abort(error: TrivetError): void;
}
