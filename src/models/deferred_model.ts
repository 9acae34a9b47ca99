/**
 * A model that is loaded when its server starts.
 *
 * It decides nothing but when; there are no connections before, and nothing to count. What a model leaves out of the
 * contract, this leaves out too: where there is nothing to wait for, a server goes on at once.
 *
 * @module
 */

import type { Connection } from "../exchange/connection.ts";
import type { Exchange } from "../exchange/exchange.ts";
import type { Publication } from "../exchange/publication.ts";
import type { Address } from "../transport.ts";
import type { Announcement } from "./loops/loop_protocol.ts";
import type { Scheduler, SchedulerStats, StopCounts } from "./scheduler.ts";

/** Stands in place of a model. */
export class DeferredModel implements Scheduler {
  readonly #load: () => Promise<Scheduler>;
  #model: Scheduler | null = null;
  #isStopped = false;

  /** @param load Loads and makes the model. */
  constructor(load: () => Promise<Scheduler>) {
    this.#load = load;
  }

  async start(): Promise<void> {
    const model = await this.#load();
    // A server that was stopped meanwhile has no use for threads.
    if (this.#isStopped) return;
    this.#model = model;
    await model.start?.();
  }

  get listeners(): number {
    return this.#model?.listeners ?? 1;
  }

  admit(connection: Connection): void {
    this.#model!.admit(connection);
  }

  run(exchange: Exchange, connection: Connection): void {
    this.#model!.run(exchange, connection);
  }

  mayPersist(): boolean {
    return this.#model!.mayPersist();
  }

  release(connection: Connection): void {
    this.#model!.release(connection);
  }

  publish(publication: Publication): void {
    this.#model?.publish?.(publication);
  }

  tick(): void {
    this.#model?.tick?.();
  }

  get listening(): ((address: Address) => Promise<void>) | undefined {
    const model = this.#model;
    return model?.listening === undefined ? undefined : (address) => model.listening!(address);
  }

  async reloadTls(): Promise<void> {
    await this.#model?.reloadTls?.();
  }

  announce(how: Announcement): void {
    this.#model?.announce?.(how);
  }

  drain(): void {
    this.#model?.drain?.();
  }

  get drained(): (() => Promise<StopCounts>) | undefined {
    const model = this.#model;
    return model?.drained === undefined ? undefined : () => model.drained!();
  }

  cutOff(): void {
    this.#model?.cutOff?.();
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    await this.#model?.stop?.();
  }

  stats(): Partial<SchedulerStats> {
    return this.#model?.stats?.() ?? {};
  }
}
