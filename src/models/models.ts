/**
 * The concurrency models by name: the one table that knows all of them.
 *
 * What runs on threads is loaded when a server with such a model starts: it is a seventh of the package.
 *
 * @module
 */

import { BlockingScheduler } from "./blocking.ts";
import { DeferredModel } from "./deferred_model.ts";
import { EventDrivenScheduler } from "./event_driven.ts";
import { HandlerTurns } from "./handler_turns.ts";
import { LoopPlaces } from "./loop_places.ts";
import type { ModelParts, ModelTable, Scheduler } from "./scheduler.ts";
import { WorkerPoolScheduler } from "./worker_pool.ts";

/** A model whose handlers run on threads needs a module, since a function can't go to another thread. */
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
      if (module !== null) return deferred((models) => models.workerPool(parts));
      const { workers, maxQueue } = options;
      const places = new LoopPlaces(new HandlerTurns(handler, runtime.clock));
      return new WorkerPoolScheduler({ places, workers, maxQueue, clock: runtime.clock, warnings });
    },
  },

  "event-driven": {
    callsHandlerHere: true,
    create: (parts) => {
      const here = new EventDrivenScheduler(new HandlerTurns(parts.handler, parts.runtime.clock));
      const loops = countLoops(parts);
      if (loops === 1) return here;
      return deferred((models) => models.eventLoops(parts, here, loops));
    },
  },

  "hybrid": {
    callsHandlerHere: false,
    create: (parts) => {
      if (parts.module === null) throw needsModule('The model "hybrid"');
      return deferred((models) => models.hybrid(parts));
    },
  },
};

function deferred(make: (models: typeof import("./on_threads.ts")) => Scheduler): Scheduler {
  return new DeferredModel(async () => make(await import("./on_threads.ts")));
}

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

function needsModule(what: string): TypeError {
  return new TypeError(
    `${what} runs the handler on threads, where a function can't go: give it as \`module\`, a path or a URL.`,
  );
}
