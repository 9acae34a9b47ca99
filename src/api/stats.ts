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
  /** Whether a graceful stop is under way. */
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
  /** Responses that were given whole to the transport, since the start. */
  readonly responses: number;
  /** Exchanges in flight now. */
  readonly activeExchanges: number;
  /** WebSockets, on all threads. */
  readonly webSockets: {
    /** Open now. */
    readonly open: number;
  };
  /** Bytes read from peers. */
  readonly bytesReceived: number;
  /** Bytes handed to the transport. */
  readonly bytesSent: number;
  /** Errors since the start, by code. */
  readonly errors: Readonly<Record<string, number>>;
  /** What waits for its turn. */
  readonly queue: QueueStats;
  /** Who serves connections or runs handlers. */
  readonly workers: WorkerStats;
  /** Threads that run handlers. */
  readonly threads: ThreadStats;
  /** Event loops that serve connections. */
  readonly loops: number;
  /** Lines that outputs and log files did not take, on every event loop: they are closed, full or slow. */
  readonly droppedLines: number;
}

/** What a server is doing. */
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

/** Who serves connections ("blocking", "worker-pool") or runs handlers ("hybrid"); none in "event-driven". */
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
