/**
 * What `stats()` reports: types only.
 *
 * @module
 */

import type { Model } from "./options.ts";

/** A snapshot of a server's counts. Those of event loops on other threads are at most a tenth of a second old. */
export interface ServerStats {
  /** What the server is doing. */
  readonly state: ServerState;
  /** Whether `state` is "draining". */
  readonly draining: boolean;
  /** The concurrency model. */
  readonly model: Model;
  /** Milliseconds since the server was made. */
  readonly uptimeMs: number;
  /** Connections. */
  readonly connections: {
    /** Open now. */
    readonly open: number;
    /** Accepted since the start. */
    readonly accepted: number;
    /** Of these, answered with 503 or closed because of a limit. */
    readonly refused: number;
  };
  /** Requests whose head was read, since the start. */
  readonly requests: number;
  /** Responses that were gathered whole for sending, since the start. */
  readonly responses: number;
  /** Exchanges in flight now. */
  readonly activeExchanges: number;
  /** WebSockets, on all threads. */
  readonly webSockets: {
    /** Open now. */
    readonly open: number;
  };
  /** Bytes read from clients. */
  readonly bytesReceived: number;
  /** Bytes handed to the transport. */
  readonly bytesSent: number;
  /** Errors since the start, by code. */
  readonly errors: Readonly<Record<string, number>>;
  /** What waits for its turn. */
  readonly queue: QueueStats;
  /** The workers that serve connections, or the threads that run handlers. */
  readonly workers: WorkerStats;
  /** Threads that run handlers. */
  readonly threads: ThreadStats;
  /** Event loops that serve connections. */
  readonly loops: number;
  /** Lines that outputs and log files did not take, on every event loop: they are closed, full or slow. */
  readonly droppedLines: number;
  /** What is measured with the option `metrics`; `null` without it. */
  readonly measured: Measurements | null;
}

/** How durations are spread. Every figure is in milliseconds. */
export interface Histogram {
  /** The longest duration of each bucket but the last, which has no bound. */
  readonly bounds: readonly number[];
  /** How many durations each bucket has: one more than there are bounds. */
  readonly counts: readonly number[];
  /** All durations together. */
  readonly sum: number;
}

/** The first digit of a status code; `"none"` where none was sent. */
export type StatusClass = "none" | "1xx" | "2xx" | "3xx" | "4xx" | "5xx";

/**
 * What an open connection does: it waits for its turn, has no request, has one, has left HTTP by an upgrade, or is
 * being closed.
 */
export type ConnectionActivity = "waiting" | "idle" | "active" | "upgraded" | "closing";

/** What the option `metrics` has a server measure, on every event loop. */
export interface Measurements {
  /** Open connections by what they do now. */
  readonly connections: Readonly<Record<ConnectionActivity, number>>;
  /**
   * Responses since the start, by method and class of status. Methods that are not RFC 9110's or PATCH are `_OTHER`.
   */
  readonly responses: Readonly<Record<string, Readonly<Record<StatusClass, number>>>>;
  /** Of these, those that could not be sent whole. */
  readonly aborted: number;
  /** From the end of a request's head until the last byte of its response was gathered for sending. */
  readonly durations: Readonly<Record<StatusClass, Histogram>>;
  /** How long connections ("blocking", "worker-pool") or requests ("hybrid") have waited in the queue. */
  readonly queueWaits: Histogram;
  /** How late the event loops that serve connections were, looked at ten times a second. */
  readonly loopDelay: Histogram;
  /** How late the threads that run handlers were, likewise. */
  readonly threadDelay: Histogram;
}

/**
 * What a server is doing: it starts; it listens; it stops, and connections are open yet; the last one is closed, and
 * threads are ended; nothing is left of it, also when it could not start.
 */
export type ServerState = "starting" | "listening" | "draining" | "joining" | "stopped";

/** What waits for its turn: connections in the models "blocking" and "worker-pool", exchanges in "hybrid". */
export interface QueueStats {
  /** Waiting now. */
  readonly waiting: number;
  /** The longest that anything has waited since the start, in milliseconds. */
  readonly longestWaitMs: number;
  /** Refused with 503 since the start because the queue was full. */
  readonly refused: number;
}

/** The workers ("blocking", "worker-pool") or the threads that run handlers ("hybrid"); none in "event-driven". */
export interface WorkerStats {
  /** How many there are. */
  readonly total: number;
  /** Of these, with a connection or an exchange. */
  readonly busy: number;
}

/** Threads that run handlers. */
export interface ThreadStats {
  /** Ready now. */
  readonly ready: number;
  /** Started since the start. */
  readonly started: number;
  /** Crashed, or ended because a handler took too long. */
  readonly lost: number;
  /** Replaced because of `maxRequestsPerThread`. */
  readonly renewed: number;
}
