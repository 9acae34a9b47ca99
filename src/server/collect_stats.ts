/**
 * Puts together what `stats()` reports.
 *
 * It decides what is added up over several loops and threads. It must not know where the sums are shown.
 *
 * @module
 */

import type { Model } from "../api/options.ts";
import type { Measurements, ServerState, ServerStats } from "../api/stats.ts";
import { addCounts, type LoopCounts, NO_COUNTS } from "../models/loops/loop_protocol.ts";
import type { Scheduler, SchedulerStats } from "../models/scheduler.ts";
import { NO_DURATIONS } from "../observe/histogram.ts";
import type { LoopMeasurements } from "../observe/measurements.ts";
import type { ConnectionServices } from "./connection_services.ts";

const NO_SCHEDULER_STATS: SchedulerStats = {
  queue: { waiting: 0, longestWaitMs: 0, refused: 0 },
  workers: { total: 0, busy: 0 },
  threads: { ready: 0, started: 0, lost: 0, renewed: 0 },
  openSockets: 0,
  queueWaits: NO_DURATIONS,
  threadDelay: NO_DURATIONS,
  loops: 1,
  elsewhere: NO_COUNTS,
};

/** What the connections of one event loop count. */
function countConnections(
  { open, admission, counters, webSockets }: ConnectionServices,
  droppedLines: number,
  measured: Measurements | null,
): LoopCounts {
  const { requests, responses, activeExchanges, bytesReceived, bytesSent, errors } = counters;
  return {
    open: open.count,
    accepted: admission.acceptedCount,
    refused: admission.refusedCount,
    requests,
    responses,
    activeExchanges,
    openSockets: webSockets.count,
    bytesReceived,
    bytesSent,
    errors: Object.fromEntries(errors),
    droppedLines,
    measured,
  };
}

/** Puts a snapshot together. */
export function collectStats(
  state: ServerState,
  model: Model,
  uptimeMs: number,
  services: ConnectionServices,
  scheduler: Scheduler,
  droppedLines: number,
  loopMeasured: LoopMeasurements | null,
): ServerStats {
  const { elsewhere, openSockets: openOnThreads, queueWaits, threadDelay, ...schedulerStats } = {
    ...NO_SCHEDULER_STATS,
    ...scheduler.stats?.(),
  };
  const measured = loopMeasured === null
    ? null
    : { connections: services.open.countByActivity(), ...loopMeasured, queueWaits, threadDelay };
  const { open, accepted, refused, openSockets, ...counts } = addCounts(
    countConnections(services, droppedLines, measured),
    elsewhere,
  );
  return {
    state,
    draining: state === "draining",
    model,
    uptimeMs,
    connections: { open, accepted, refused },
    webSockets: { open: openSockets + openOnThreads },
    ...counts,
    ...schedulerStats,
  };
}
