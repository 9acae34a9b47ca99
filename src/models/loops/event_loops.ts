/**
 * The event-driven model on several event loops, each on a thread and with a listener of its own on the same port.
 *
 * New connections are dealt out to the listeners by the operating system (SO_REUSEPORT), or on Deno taken by the one
 * that is free first. It decides when the other loops begin to listen and when they stop, and adds up what they count.
 * The loop of this thread is one of them; the server knows nothing of the connections of the others.
 *
 * @module
 */

import type { Exchange } from "../../exchange/exchange.ts";
import type { Connection } from "../../exchange/connection.ts";
import type { Publication } from "../../exchange/publication.ts";
import type { Address } from "../../transport.ts";
import { addCounts, type Announcement, NO_COUNTS } from "./loop_protocol.ts";
import type { LoopThread } from "./loop_thread.ts";
import type { EventDrivenScheduler } from "../event_driven.ts";
import type { Scheduler, SchedulerStats, StopCounts } from "../scheduler.ts";

/** Serves everything at once, on this loop and on others. */
export class EventLoopsScheduler implements Scheduler {
  readonly #here: EventDrivenScheduler;
  readonly #others: readonly LoopThread[];

  /**
   * @param here The loop of this thread.
   * @param others The loops of other threads.
   * @param onPublished Told what another loop has published.
   */
  constructor(
    here: EventDrivenScheduler,
    others: readonly LoopThread[],
    onPublished: (publication: Publication) => void,
  ) {
    this.#here = here;
    this.#others = others;
    for (const loop of others) {
      loop.onPublished = (publication) => {
        this.publish(publication, loop);
        onPublished(publication);
      };
    }
  }

  get listeners(): number {
    return 1 + this.#others.length;
  }

  async start(): Promise<void> {
    await Promise.all(this.#others.map((loop) => loop.start()));
    // One that was ready may have been lost while others were still loading.
    for (const loop of this.#others) loop.throwIfLost();
  }

  async listening(address: Address): Promise<void> {
    const port = address.transport === "tcp" ? address.port : 0;
    await Promise.all(this.#others.map((loop) => loop.listen(port)));
  }

  async reloadTls(): Promise<void> {
    await Promise.all(this.#others.map((loop) => loop.reloadTls()));
  }

  admit(connection: Connection): void {
    this.#here.admit(connection);
  }

  run(exchange: Exchange): void {
    this.#here.run(exchange);
  }

  mayPersist(): boolean {
    return this.#here.mayPersist();
  }

  release(connection: Connection): void {
    this.#here.release(connection);
  }

  /** Tells all other loops but one. */
  publish(publication: Publication, except: LoopThread | null = null): void {
    for (const loop of this.#others) if (loop !== except) loop.publish(publication);
  }

  announce(how: Announcement): void {
    for (const loop of this.#others) loop.drain(how);
  }

  cutOff(): void {
    for (const loop of this.#others) loop.cutOff();
  }

  async drained(): Promise<StopCounts> {
    const counts = await Promise.all(this.#others.map((loop) => loop.stop()));
    return {
      drained: counts.reduce((sum, { drained }) => sum + drained, 0),
      aborted: counts.reduce((sum, { aborted }) => sum + aborted, 0),
    };
  }

  async stop(): Promise<void> {
    // After a start that has failed a loop may not answer.
    this.cutOff();
    await this.drained();
  }

  stats(): Partial<SchedulerStats> {
    const elsewhere = this.#others.reduce((sum, loop) => addCounts(sum, loop.counts), NO_COUNTS);
    return { loops: 1 + this.#others.filter((loop) => loop.isServing).length, elsewhere };
  }
}
