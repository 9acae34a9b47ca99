/**
 * The concurrency models by name: the one table that knows all of them.
 *
 * @module
 */

import type { AccessLogEntry } from "../api/access_log.ts";
import type { Publication } from "../exchange/publication.ts";
import type { TrivetError } from "../api/errors.ts";
import type { Handler } from "../api/handler.ts";
import type { Model } from "../api/options.ts";
import type { ResolvedOptions } from "../api/resolve_options.ts";
import { tellUser } from "../api/telling.ts";
import type { Runtime } from "../runtime.ts";
import type { LoopThreadOptions } from "./loops/loop_thread.ts";
import { LoopThread } from "./loops/loop_thread.ts";
import type { Warnings } from "../api/warnings.ts";
import { BlockingScheduler } from "./blocking.ts";
import { EventDrivenScheduler } from "./event_driven.ts";
import { EventLoopsScheduler } from "./loops/event_loops.ts";
import { HandlerTurns } from "./handler_turns.ts";
import { HybridScheduler } from "./hybrid.ts";
import { LoopPlaces } from "./loop_places.ts";
import type { Scheduler } from "./scheduler.ts";
import { ThreadPlaces, type ThreadPlacesOptions } from "./thread_places.ts";
import { WorkerPoolScheduler } from "./worker_pool.ts";
import { isFastResponseInstalled } from "../web/fast_response.ts";

/** What models are made of. */
export interface ModelParts {
  readonly options: ResolvedOptions;
  readonly runtime: Runtime;
  /** Calls the user's handler on this loop; a model that runs it on threads has no use for it. */
  readonly handler: Handler;
  /** Where a handler that runs on a thread comes from; `null` where it was given as a function. */
  readonly module: string | null;
  /** The URL of the module that a thread starts from. */
  readonly threadEntry: string;
  /** The options of a server on another thread. */
  readonly loopOrders: LoopThreadOptions["orders"];
  readonly warnings: Warnings;
  /** Tells the user of an error that belongs to no exchange. */
  readonly reportError: (error: TrivetError) => void;
  /** Tells the WebSockets of this thread what was published on another one. */
  readonly onPublished: (publication: Publication) => void;
}

/** One concurrency model, as the table has it. */
export interface ModelEntry {
  /** Whether the handler is called on the loop of this thread, so that its module has to be loaded here. */
  readonly callsHandlerHere: boolean;
  /**
   * Makes the model.
   *
   * @throws {TypeError} It runs handlers on threads, and the handler is a function.
   */
  create(parts: ModelParts): Scheduler;
}

/** The models by name. */
export type ModelTable = Readonly<Record<Model, ModelEntry>>;

/** Where a handler that must not be held up by another has a thread of its own, and a function could not follow it. */
export const MODELS: ModelTable = {
  "blocking": {
    callsHandlerHere: true,
    create: ({ options, handler, runtime, warnings }) =>
      new BlockingScheduler({
        handler,
        maxQueue: options.maxQueue,
        persists: options.blockingPersists,
        clock: runtime.clock,
        warnings,
      }),
  },

  "worker-pool": {
    callsHandlerHere: false,
    create: (parts) => {
      const { options, runtime, handler, module, warnings } = parts;
      const { workers, maxQueue } = options;
      const places = module === null
        ? new LoopPlaces(new HandlerTurns(handler, runtime.clock))
        : new ThreadPlaces(threadPartsFor(parts, workers));
      return new WorkerPoolScheduler({ places, workers, maxQueue, clock: runtime.clock, warnings });
    },
  },

  "event-driven": {
    callsHandlerHere: true,
    create: (parts) => {
      const here = new EventDrivenScheduler(new HandlerTurns(parts.handler, parts.runtime.clock));
      const loops = countLoops(parts);
      if (loops === 1) return here;
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
    },
  },

  "hybrid": {
    callsHandlerHere: false,
    create: (parts) => {
      if (parts.module === null) throw needsModule('The model "hybrid"');
      const { options, warnings } = parts;
      return new HybridScheduler({ ...threadPartsFor(parts, options.threads), maxQueue: options.maxQueue, warnings });
    },
  },
};

/** One loop where the port can't be shared. */
function countLoops({ options, runtime, module, warnings }: ModelParts): number {
  const { loops, hostname = "::", port, unix: unixPath, fd: descriptor, tcpBacklog, tls } = options;
  if (loops === 1) return 1;
  if (module === null) throw needsModule(`The model "event-driven" with ${loops} loops`);
  const why = runtime.whyNotShared({ hostname, port, unixPath, descriptor, tcpBacklog, reusePort: true, tls });
  if (why === null) return loops;
  warnings.warn("loops-unavailable", `Running one event loop instead of ${loops}: ${why}.`);
  return 1;
}

/** What a model needs whose handlers run on threads. */
function threadPartsFor(parts: ModelParts, size: number): ThreadPlacesOptions {
  const { options, module, threadEntry: entry, runtime, warnings } = parts;
  const { nativeRequest, handlerTimeout, maxRequestsPerThread: maxCallsPerThread, maxThreadMemory } = options;
  const callLimitMs = handlerTimeout === 0 ? 0 : CALL_LIMIT_FACTOR * handlerTimeout + CALL_LIMIT_EXTRA_MS;
  const measuresDelay = options.metrics;
  const rejectionsAreFatal = options.unhandledRejections === "fatal";
  const fastResponse = isFastResponseInstalled();
  const orders = { module: module!, nativeRequest, fastResponse, callLimitMs, rejectionsAreFatal, measuresDelay };
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

function needsModule(what: string): TypeError {
  return new TypeError(
    `${what} runs the handler on threads, where a function can't go: give it as \`module\`, a path or a URL.`,
  );
}

/** A handler that took too long was reported as such where it happened. */
function reportLoss({ warnings, reportError }: ModelParts, cause: TrivetError): void {
  warnings.warn("thread-replaced", `A thread was lost and is replaced: ${cause.message}`);
  if (cause.code !== "handler-timeout") reportError(cause);
}

/** Nothing else tells why fewer handlers run than were asked for, or none, until a thread can be started again. */
function warnNotStarted({ warnings }: ModelParts, { message }: TrivetError): void {
  warnings.warn("thread-not-started", `No thread can be started in the place of another one: ${message}`);
}
