/**
 * What is said between the thread that has started a server and its other event loops, and what each loop counts.
 *
 * @module
 */

import type { AccessLogEntry } from "../../api/access_log.ts";
import type { ServeModule } from "../../api/options.ts";
import type { Measurements } from "../../api/stats.ts";
import { addMeasurements } from "../../observe/measurements.ts";
import type { ErrorCopy } from "../../threads/error_copy.ts";

/** What one event loop counts. */
export interface LoopCounts {
  readonly open: number;
  readonly accepted: number;
  readonly refused: number;
  readonly requests: number;
  readonly responses: number;
  readonly activeExchanges: number;
  readonly openSockets: number;
  readonly bytesReceived: number;
  readonly bytesSent: number;
  readonly errors: Readonly<Record<string, number>>;
  readonly droppedLines: number;
  readonly measured: Measurements | null;
}

/** The first message to the thread. */
export interface LoopOrders {
  readonly role: "loop";
  /** The options of its server, without what can't cross to a thread. */
  readonly options: ServeModule;
  /** Whether `HttpResponse` stands in place of the global `Response`. */
  readonly fastResponse: boolean;
  /** Whether errors are told to the thread that started it, which may give a response; else they are printed. */
  readonly reportsErrors: boolean;
  /** Whether a rejection that nothing handles ends the thread; else it is told. */
  readonly rejectionsAreFatal: boolean;
  /** Whether each request is told to the thread that started it. */
  readonly tellsRequests: boolean;
}

/** A request as far as it is told to `onError`. */
export interface RequestCopy {
  readonly method: string;
  readonly url: string;
  readonly fields: readonly (readonly [string, string])[];
}

/** A response that `onError` has given. */
export interface ResponseCopy {
  readonly status: number;
  readonly statusText: string;
  readonly fields: readonly (readonly [string, string])[];
  readonly content: Uint8Array<ArrayBuffer> | null;
}

/** How a server stops. */
export interface Announcement {
  /** For so long connections are still accepted. */
  readonly delayMs: number;
  /** Whether connections that have nothing in flight are closed then. */
  readonly closesIdle: boolean;
}

/** What the thread is told behind its orders. */
export type ToLoop =
  | { readonly kind: "listen"; readonly port: number }
  | ({ readonly kind: "drain" } & Announcement)
  | { readonly kind: "reload-tls" }
  | { readonly kind: "cut-off" }
  /** How many of the requests that the loop has told were taken. */
  | { readonly kind: "requests-heard"; readonly count: number }
  | { readonly kind: "response"; readonly reportId: number; readonly response: ResponseCopy | null };

/** What the thread tells. */
export type FromLoop =
  | { readonly kind: "listening"; readonly error: ErrorCopy | null }
  /** What became of a "reload-tls"; as many answers come as there were questions, in their order. */
  | { readonly kind: "tls-reloaded"; readonly error: ErrorCopy | null }
  | { readonly kind: "counts"; readonly counts: LoopCounts }
  | {
    readonly kind: "error";
    readonly reportId: number;
    readonly error: ErrorCopy;
    readonly request: RequestCopy | null;
  }
  /** What a turn has brought for the access log, where that is a function. */
  | { readonly kind: "requests"; readonly entries: readonly AccessLogEntry[] }
  /** One that belongs to no exchange, such as a promise that was rejected and that nothing has handled. */
  | { readonly kind: "loose-error"; readonly error: ErrorCopy }
  | { readonly kind: "stopped"; readonly drained: number; readonly aborted: number; readonly counts: LoopCounts };

/**
 * Whether a message may be one of these. Code of the user's module can post messages as well, which mean nothing here.
 */
export function isFromLoop(message: unknown): message is FromLoop {
  return typeof message === "object" && message !== null && "kind" in message;
}

/** The counts of a loop that has done nothing. */
export const NO_COUNTS: LoopCounts = {
  open: 0,
  accepted: 0,
  refused: 0,
  requests: 0,
  responses: 0,
  activeExchanges: 0,
  openSockets: 0,
  bytesReceived: 0,
  bytesSent: 0,
  errors: {},
  droppedLines: 0,
  measured: null,
};

/** The counts of two loops together. */
export function addCounts(one: LoopCounts, other: LoopCounts): LoopCounts {
  const errors: Record<string, number> = { ...one.errors };
  for (const [code, count] of Object.entries(other.errors)) errors[code] = (errors[code] ?? 0) + count;
  return {
    open: one.open + other.open,
    accepted: one.accepted + other.accepted,
    refused: one.refused + other.refused,
    requests: one.requests + other.requests,
    responses: one.responses + other.responses,
    activeExchanges: one.activeExchanges + other.activeExchanges,
    openSockets: one.openSockets + other.openSockets,
    bytesReceived: one.bytesReceived + other.bytesReceived,
    bytesSent: one.bytesSent + other.bytesSent,
    errors,
    droppedLines: one.droppedLines + other.droppedLines,
    measured: addMeasurements(one.measured, other.measured),
  };
}
