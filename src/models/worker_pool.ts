/**
 * The worker pool: a line of accepted connections, and workers each of which owns one connection from start to close.
 *
 * It decides which worker serves which connection, and when a worker gives a connection up because others wait. It must
 * not know what a worker runs the handler on: a slot of the event loop, or a thread of its own.
 *
 * @module
 */

import type { Exchange } from "../exchange/exchange.ts";
import type { Connection } from "../exchange/connection.ts";
import type { Publication } from "../exchange/publication.ts";
import type { Clock } from "../runtime.ts";
import type { Warnings } from "../api/warnings.ts";
import type { Scheduler, SchedulerStats } from "./scheduler.ts";
import { queueFull, WaitingLine } from "./waiting_line.ts";

/** What the workers run handlers on: as many places as there are workers, known by their number. */
export interface WorkPlaces {
  /** Makes the places ready. */
  start?(): Promise<void>;
  /** Whether the handler can be called at this place now. */
  isReady(place: number): boolean;
  /** Calls the handler there. */
  run(place: number, exchange: Exchange): void;
  /** Tells WebSockets at the places what was published. */
  publish?(publication: Publication): void;
  /** A tick of the server's clock. */
  tick?(): void;
  /** Handlers are told that the server drains. */
  drain?(): void;
  /** Gives the places up. Resolves when nothing is left of them. */
  stop?(): Promise<void>;
  stats?(): Partial<SchedulerStats>;
  /** Set by the model, called when a place has become ready. */
  onReady: (place: number) => void;
}

/** What the model is made of. */
export interface WorkerPoolOptions {
  readonly places: WorkPlaces;
  readonly workers: number;
  /** Connections that may wait. */
  readonly maxQueue: number;
  readonly clock: Clock;
  readonly warnings: Warnings;
}

/** With a greater part of the workers busy, the operator is warned: soon connections have to wait. */
const BUSY_WARNING_SHARE = 0.8;
/**
 * While others wait, a persistent connection without a request is closed after this time. At once would be too soon: a
 * client that sends its next request just then would lose it.
 */
const GIVE_UP_AFTER_MS = 1_000;

/** Serves each connection by one of a fixed number of workers. */
export class WorkerPoolScheduler implements Scheduler {
  /** Absent where the places are ready from the start, so that the server can listen at once. */
  readonly start?: () => Promise<void>;
  readonly #options: WorkerPoolOptions;
  readonly #line: WaitingLine<Connection>;
  /** The connection of each worker; `null` while it has none. */
  readonly #connections: (Connection | null)[];
  /** Workers that have one. */
  #busy = 0;

  /** @param options What the model is made of. */
  constructor(options: WorkerPoolOptions) {
    this.#options = options;
    this.#line = new WaitingLine(options.maxQueue, options.clock);
    this.#connections = new Array(options.workers).fill(null);
    const { places } = options;
    places.onReady = (worker) => this.#takeNext(worker);
    if (places.start !== undefined) this.start = () => places.start!();
  }

  admit(connection: Connection): void {
    const worker = this.#findFreeWorker();
    if (worker >= 0) {
      this.#serve(worker, connection);
    } else if (this.#line.hasRoom) {
      this.#line.join(connection);
    } else {
      this.#line.countRefusal();
      connection.refuse(queueFull(this.#options.warnings, "connections"));
    }
  }

  run(exchange: Exchange, connection: Connection): void {
    const worker = this.#workerOf(connection);
    if (worker >= 0) this.#options.places.run(worker, exchange);
  }

  /** While others wait, no connection keeps a worker for a next request that may come or not. */
  mayPersist(): boolean {
    return this.#line.length === 0;
  }

  release(connection: Connection): void {
    if (this.#line.leave(connection)) return;
    const worker = this.#workerOf(connection);
    if (worker < 0) return;
    this.#connections[worker] = null;
    this.#busy--;
    // Clients that wait in line may leave in the same turn, as they do when their own server ends: they are seen to
    // first.
    if (this.#line.length > 0) this.#options.clock.defer(() => this.#takeNext(worker));
  }

  publish(publication: Publication): void {
    this.#options.places.publish?.(publication);
  }

  tick(): void {
    this.#options.places.tick?.();
    this.#giveUpIdle();
  }

  /** A worker whose connection merely waits for another request is of more use to those that wait for a worker. */
  #giveUpIdle(): void {
    let wanted = this.#line.length;
    if (wanted === 0) return;
    // One that gives up is released, and another may have the worker at once.
    for (const connection of this.#connections.slice()) {
      if (connection?.giveUp(GIVE_UP_AFTER_MS) === true && --wanted === 0) return;
    }
  }

  drain(): void {
    this.#options.places.drain?.();
  }

  stop(): Promise<void> {
    return this.#options.places.stop?.() ?? Promise.resolve();
  }

  stats(): Partial<SchedulerStats> {
    const workers = { total: this.#options.workers, busy: this.#busy };
    const { stats: queue, waits: queueWaits } = this.#line;
    return { queue, queueWaits, workers, ...this.#options.places.stats?.() };
  }

  /** A connection that has left the line has the number of its worker for its place. */
  #workerOf(connection: Connection): number {
    return this.#connections[connection.placeInLine] === connection ? connection.placeInLine : -1;
  }

  #findFreeWorker(): number {
    if (this.#busy === this.#options.workers || this.#line.length > 0) return -1;
    return this.#connections.findIndex((connection, worker) => connection === null && this.#isReady(worker));
  }

  #isReady(worker: number): boolean {
    return this.#options.places.isReady(worker);
  }

  #serve(worker: number, connection: Connection): void {
    this.#connections[worker] = connection;
    connection.placeInLine = worker;
    const busy = ++this.#busy;
    const { workers, warnings } = this.#options;
    if (busy > workers * BUSY_WARNING_SHARE) {
      warnings.warn(
        "workers-busy",
        `${busy} of ${workers} workers are busy, and ${this.#line.length} connections wait.`,
      );
    }
    connection.serve();
  }

  /** A worker is free: the connection that has waited longest is served. */
  #takeNext(worker: number): void {
    if (this.#connections[worker] !== null || !this.#isReady(worker)) return;
    const connection = this.#line.next();
    if (connection !== undefined) this.#serve(worker, connection);
  }
}
