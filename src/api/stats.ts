/**
 * What `stats()` reports.
 *
 * @module
 */

import type { OpenConnections } from "../server/open_connections.ts";
import type { Model } from "./options.ts";
import type { QueueStats, Scheduler, SchedulerStats, ThreadStats, WorkerStats } from "../models/scheduler.ts";
import type { ServerState } from "../server/server_state.ts";
import { addCounts, type LoopCounts, NO_COUNTS } from "../models/loops/loop_protocol.ts";

/** A snapshot of a server's counts. Those of event loops on other threads are at most a tenth of a second old. */
export interface ServerStats {
  /** What the server is doing. */
  readonly state: ServerState;
  /** Whether a graceful stop is under way: new requests get a 503. */
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
}

const NO_SCHEDULER_STATS: SchedulerStats = {
  queue: { waiting: 0, longestWaitMs: 0, refused: 0 },
  workers: { total: 0, busy: 0 },
  threads: { ready: 0, started: 0, lost: 0, renewed: 0 },
  loops: 1,
  elsewhere: NO_COUNTS,
};

/** What the connections of one event loop count. */
export function countConnections(connections: OpenConnections): LoopCounts {
  const { requests, responses, activeExchanges, bytesReceived, bytesSent, errors } = connections.counters;
  return {
    open: connections.count,
    accepted: connections.acceptedCount,
    refused: connections.refusedCount,
    requests,
    responses,
    activeExchanges,
    bytesReceived,
    bytesSent,
    errors: Object.fromEntries(errors),
  };
}

/** Puts a snapshot together. */
export function collectStats(
  state: ServerState,
  model: Model,
  uptimeMs: number,
  connections: OpenConnections,
  scheduler: Scheduler,
): ServerStats {
  const { elsewhere, ...schedulerStats } = { ...NO_SCHEDULER_STATS, ...scheduler.stats?.() };
  const { open, accepted, refused, ...counts } = addCounts(countConnections(connections), elsewhere);
  return {
    state,
    draining: state === "draining",
    model,
    uptimeMs,
    connections: { open, accepted, refused },
    ...counts,
    ...schedulerStats,
  };
}
