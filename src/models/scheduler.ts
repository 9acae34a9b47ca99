/**
 * The contract of a concurrency model.
 *
 * A model decides two things, and nothing else differs between the models: when an accepted connection is served
 * (admission), and where a handler runs (execution). It sees connections and exchanges, never bytes.
 *
 * @module
 */

import type { Exchange } from "../exchange/exchange.ts";
import type { Connection } from "../exchange/connection.ts";
import type { Publication } from "../exchange/publication.ts";
import type { Histogram, QueueStats, ThreadStats, WorkerStats } from "../api/stats.ts";
import type { TrivetError } from "../api/errors.ts";
import type { Handler } from "../api/handler.ts";
import type { Model } from "../api/options.ts";
import type { ResolvedOptions } from "../api/resolve_options.ts";
import type { Warnings } from "../api/warnings.ts";
import type { Runtime } from "../runtime.ts";
import type { Address } from "../transport.ts";
import type { Announcement, LoopCounts, LoopOrders } from "./loops/loop_protocol.ts";

/** One concurrency model at work for one server. */
export interface Scheduler {
  /** How many listeners the model has at the port, with that of the server; 1 by default. */
  readonly listeners?: number;
  /** A connection was accepted: serve it, keep it for later, or refuse it. */
  admit(connection: Connection): void;
  /** Runs the handler for an exchange, which came on this connection, and gives it the result. */
  run(exchange: Exchange, connection: Connection): void;
  /** Whether a connection may persist after its present response. */
  mayPersist(): boolean;
  /** An admitted connection was served: it waits for its client to close, was refused in line, or is gone. */
  release(connection: Connection): void;

  /** Tells the WebSockets of other threads what was published on this one. */
  publish?(publication: Publication): void;
  /** A tick of the server's clock, while there are connections. */
  tick?(): void;
  /** What the model needs before the server listens. Rejects with a `TrivetError` when it can't be had. */
  start?(): Promise<void>;
  /** The server listens at this address. Rejects with a `TrivetError` when the model can't work there. */
  listening?(address: Address): Promise<void>;
  /** Has other loops read their certificates anew. Rejects with a `TrivetError` where they can't be used. */
  reloadTls?(): Promise<void>;
  /** A graceful stop has begun, in which connections are still accepted; or is to go on sooner than it was said. */
  announce?(how: Announcement): void;
  /** No connection is accepted any more: handlers are told, and everything is served to its end. */
  drain?(): void;
  /** Resolves when the connections that are not the server's own have ended, which `announce` has set off. */
  drained?(): Promise<StopCounts>;
  /** The time of a graceful stop is over: what still runs elsewhere is cut off. */
  cutOff?(): void;
  /** Ends what the model has started. Every connection is closed by now. Resolves when nothing is left. */
  stop?(): Promise<void>;
  /** Counts, as of now. */
  stats?(): Partial<SchedulerStats>;
}

/** How the connections of other loops have ended. */
export interface StopCounts {
  readonly drained: number;
  readonly aborted: number;
}

/** What a model counts. */
export interface SchedulerStats {
  readonly queue: QueueStats;
  /** How long what had its turn has waited for it. */
  readonly queueWaits: Histogram;
  /** How late the threads that run handlers were, where that is measured. */
  readonly threadDelay: Histogram;
  readonly workers: WorkerStats;
  readonly threads: ThreadStats;
  /** WebSockets that are open on threads that run handlers. */
  readonly openSockets: number;
  /** Event loops that serve connections. */
  readonly loops: number;
  /** What other event loops count. */
  readonly elsewhere: LoopCounts;
}

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
  readonly loopOrders: LoopOrders;
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
