/**
 * Makes the models that run handlers on other threads, or whole event loops.
 *
 * It decides what threads are told and when one that was lost is reported. It must not know how a model uses them.
 *
 * @module
 */

import type { AccessLogEntry } from "../api/access_log.ts";
import type { TrivetError } from "../api/errors.ts";
import { tellUser } from "../api/telling.ts";
import type { ThreadOrders } from "../threads/handler_thread.ts";
import { isFastResponseInstalled } from "../web/fast_response.ts";
import type { EventDrivenScheduler } from "./event_driven.ts";
import { HybridScheduler } from "./hybrid.ts";
import { EventLoopsScheduler } from "./loops/event_loops.ts";
import { LoopThread } from "./loops/loop_thread.ts";
import type { ModelParts, Scheduler } from "./scheduler.ts";
import { ThreadPlaces, type ThreadPlacesOptions } from "./thread_places.ts";
import { WorkerPoolScheduler } from "./worker_pool.ts";

/** The model "worker-pool", with a thread for each worker. */
export function workerPool(parts: ModelParts): Scheduler {
  const { options, runtime, warnings } = parts;
  const { workers, maxQueue } = options;
  const places = new ThreadPlaces(threadPartsFor(parts, workers));
  return new WorkerPoolScheduler({ places, workers, maxQueue, clock: runtime.clock, warnings });
}

/** The model "hybrid". */
export function hybrid(parts: ModelParts): Scheduler {
  const { options, warnings } = parts;
  return new HybridScheduler({ ...threadPartsFor(parts, options.threads), maxQueue: options.maxQueue, warnings });
}

/**
 * The model "event-driven" with several event loops.
 *
 * @param here The loop of this thread.
 * @param loops How many there are, with that.
 */
export function eventLoops(parts: ModelParts, here: EventDrivenScheduler, loops: number): Scheduler {
  const { runtime, options, threadEntry: entry, loopOrders: orders, reportError, onPublished } = parts;
  const onCrash = (cause: TrivetError): void => reportLoss(parts, cause);
  const onNotStarted = (cause: TrivetError): void => warnNotStarted(parts, cause);
  const { onError, accessLog } = options;
  const onRequest = (request: AccessLogEntry): void => {
    if (typeof accessLog === "function") tellUser(runtime.host, () => accessLog(request));
  };
  const others = Array.from(
    { length: loops - 1 },
    () => new LoopThread({ runtime, entry, orders, onError, onRequest, onCrash, onNotStarted, reportError }),
  );
  return new EventLoopsScheduler(here, others, onPublished);
}

/** What a model needs whose handlers run on threads. */
function threadPartsFor(parts: ModelParts, size: number): ThreadPlacesOptions {
  const { options, module, threadEntry: entry, runtime, warnings } = parts;
  const { nativeRequest, handlerTimeout, maxRequestsPerThread: maxCallsPerThread, maxThreadMemory } = options;
  const callLimitMs = handlerTimeout === 0 ? 0 : CALL_LIMIT_FACTOR * handlerTimeout + CALL_LIMIT_EXTRA_MS;
  const orders: ThreadOrders = {
    module: module!,
    nativeRequest,
    fastResponse: isFastResponseInstalled(),
    callLimitMs,
    halfCloseTimeoutMs: options.halfCloseTimeout,
    takeTimeoutMs: options.keepAliveTimeout,
    rejectionsAreFatal: options.unhandledRejections === "fatal",
    measuresDelay: options.metrics,
  };
  if (maxThreadMemory > 0 && !runtime.limitsThreadMemory) {
    warnings.warn("thread-memory-unbounded", `maxThreadMemory has no effect: ${runtime.name} can't bound a thread.`);
  }
  return {
    runtime,
    threads: {
      size,
      entry,
      maxCallsPerThread,
      maxHeapBytes: maxThreadMemory,
      watchesAlways: handlerTimeout > 0,
      orders,
    },
    queueTimeoutMs: options.queueTimeout,
    handlerTimeoutMs: handlerTimeout,
    onCrash: (cause) => reportLoss(parts, cause),
    onNotStarted: (cause) => warnNotStarted(parts, cause),
    onError: parts.reportError,
    onPublished: parts.onPublished,
  };
}

/** A call is cut short on its thread when the event loop, whose clock is coarse, has surely given it up. */
const CALL_LIMIT_FACTOR = 1.5;
const CALL_LIMIT_EXTRA_MS = 100;

/** A handler that took too long was reported as such where it happened. */
function reportLoss({ warnings, reportError }: ModelParts, cause: TrivetError): void {
  warnings.warn("thread-replaced", `A thread was lost and is replaced: ${cause.message}`);
  if (cause.code !== "handler-timeout") reportError(cause);
}

/** Nothing else tells why fewer handlers run than were asked for, or none, until a thread can be started again. */
function warnNotStarted({ warnings }: ModelParts, { message }: TrivetError): void {
  warnings.warn("thread-not-started", `No thread can be started in the place of another one: ${message}`);
}
