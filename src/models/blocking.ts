/**
 * The blocking model: the iterative server of the textbooks.
 *
 * One connection at a time is served, from accept to close, and the others wait in line in the order in which they were
 * accepted. A slow client stops all others until a deadline ends it; that is what this model is there to show. The loop
 * of {@linkcode BlockingScheduler} reads as it would over blocking sockets, with `await` in the places in which such a
 * program blocks.
 *
 * @module
 */

import type { Exchange } from "../exchange/exchange.ts";
import { callHandler } from "../exchange/handler_call.ts";
import type { Connection } from "../exchange/connection.ts";
import type { Handler } from "../api/handler.ts";
import type { Clock } from "../runtime.ts";
import type { Warnings } from "../api/warnings.ts";
import type { Scheduler, SchedulerStats } from "./scheduler.ts";
import { queueFull, WaitingLine } from "./waiting_line.ts";

/** What the model is made of. */
export interface BlockingOptions {
  readonly handler: Handler;
  /** Connections that may wait. */
  readonly maxQueue: number;
  /** Whether a connection may persist after a response. */
  readonly persists: boolean;
  readonly clock: Clock;
  readonly warnings: Warnings;
}

/** Serves one connection after another. */
export class BlockingScheduler implements Scheduler {
  readonly #options: BlockingOptions;
  readonly #line: WaitingLine<Connection>;
  /** The connection that is being served. */
  #served: Connection | null = null;
  #wakeAcceptor: (() => void) | null = null;
  #wakeReader: ((exchange: Exchange | null) => void) | null = null;
  /** A request that came before the loop asked for it. */
  #cameEarly: Exchange | null = null;

  /** @param options What the model is made of. */
  constructor(options: BlockingOptions) {
    this.#options = options;
    this.#line = new WaitingLine(options.maxQueue, options.clock);
    this.#serve();
  }

  /** The server: accept, read a request, handle it, send the response, until the connection closes; then the next. */
  async #serve(): Promise<never> {
    while (true) {
      const connection = await this.#accept();
      connection.serve();
      let exchange = await this.#readRequest();
      while (exchange !== null) {
        // It may have been answered or aborted before it was its turn.
        if (exchange.progress === "awaited") this.#call(exchange);
        exchange = await this.#readRequest();
      }
      // Clients that wait in line may leave in the same turn, as they do when their own server ends: they are seen to
      // first.
      if (this.#line.length > 0) await new Promise<void>((resolve) => this.#options.clock.defer(resolve));
    }
  }

  /** One loop calls for all connections: what a handler enters must not go on in it. */
  #call(exchange: Exchange): void {
    const { handler, clock } = this.#options;
    clock.callApart(() => callHandler(handler, exchange));
  }

  /** Waits for the connection that has waited longest. */
  async #accept(): Promise<Connection> {
    while (true) {
      const connection = this.#line.next();
      if (connection !== undefined) return this.#served = connection;
      await new Promise<void>((resolve) => this.#wakeAcceptor = resolve);
    }
  }

  /** Waits for the next request on the connection that is served; `null` when none will come. */
  async #readRequest(): Promise<Exchange | null> {
    const exchange = this.#cameEarly;
    this.#cameEarly = null;
    if (exchange !== null || this.#served === null) return exchange;
    return await new Promise((resolve) => this.#wakeReader = resolve);
  }

  admit(connection: Connection): void {
    if (this.#line.length < this.#options.maxQueue + (this.#served === null ? 1 : 0)) {
      this.#line.join(connection);
      this.#wakeAcceptor?.();
    } else {
      this.#line.countRefusal();
      connection.refuse(queueFull(this.#options.warnings, "connections"));
    }
  }

  run(exchange: Exchange): void {
    const wake = this.#wakeReader;
    this.#wakeReader = null;
    if (wake === null) this.#cameEarly = exchange;
    else wake(exchange);
  }

  mayPersist(): boolean {
    return this.#options.persists;
  }

  release(connection: Connection): void {
    if (this.#line.leave(connection) || this.#served !== connection) return;
    this.#served = null;
    this.#cameEarly = null;
    this.#wakeReader?.(null);
    this.#wakeReader = null;
  }

  stats(): Partial<SchedulerStats> {
    const workers = { total: 1, busy: this.#served === null ? 0 : 1 };
    return { queue: this.#line.stats, queueWaits: this.#line.waits, workers };
  }
}
