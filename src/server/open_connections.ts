/**
 * The open connections of one event loop: which they are, and what is done to all of them.
 *
 * It must not know which connections are taken, nor what they do with their bytes.
 *
 * @module
 */

import type { TrivetError } from "../api/errors.ts";
import type { ConnectionActivity } from "../api/stats.ts";
import type { CoarseClock } from "../exchange/coarse_clock.ts";
import type { Connection } from "../exchange/connection.ts";
import type { TransportSession } from "../transport.ts";

/** A connection as the server holds it: an end of the transport that models can serve and the clock can tick. */
export interface HeldConnection extends Connection, TransportSession {
  /** So much time has passed since the tick before, or since the connection was opened. */
  tick(elapsedMs: number): void;
  /** What it does now. */
  readonly activity: ConnectionActivity;
}

/** The connections that are open. */
export class OpenConnections {
  /** Of those that are open, the ones that are told that they are refused, or wait for their end after that. */
  refusedNow = 0;
  /** Called whenever a connection has closed. */
  onClosed: () => void = () => {};
  readonly #clock: CoarseClock;
  /** In no order: one that leaves is replaced by the last one. `threads/call_table.ts` says what a `Set` would cost. */
  readonly #open: HeldConnection[] = [];

  /** @param clock The server's clock, which ticks while there is a connection to be looked at. */
  constructor(clock: CoarseClock) {
    this.#clock = clock;
  }

  /** How many connections are open. */
  get count(): number {
    return this.#open.length;
  }

  /** Of these, the ones that were not refused. */
  get servedCount(): number {
    return this.#open.length - this.refusedNow;
  }

  /** How many of them do what now. */
  countByActivity(): Record<ConnectionActivity, number> {
    const counts = { waiting: 0, idle: 0, active: 0, upgraded: 0, closing: 0 };
    for (const { activity } of this.#open) counts[activity]++;
    return counts;
  }

  /** A connection was opened. */
  add(connection: HeldConnection): void {
    this.#clock.start();
    connection.placeAmongOpen = this.#open.push(connection) - 1;
  }

  /** A connection is gone. */
  remove(connection: Connection): void {
    const last = this.#open.pop()!;
    if (last !== connection) this.#open[last.placeAmongOpen = connection.placeAmongOpen] = last;
    connection.placeAmongOpen = -1;
    if (this.#open.length === 0) this.#clock.stop();
    this.onClosed();
  }

  /** Tells each that time has passed. One that closes at that must not keep another one from hearing it. */
  tick(elapsedMs: number): void {
    for (const connection of this.#open.slice()) connection.tick(elapsedMs);
  }

  /** The server drains; what has nothing in flight is closed if that is asked for. */
  drain(closesIdle: boolean): void {
    for (const connection of this.#open.slice()) connection.drain(closesIdle);
  }

  /**
   * Closes every connection at once. Returns how many of them were cut off by that, and had not
   * been refused anyway.
   */
  abort(error: TrivetError): number {
    let cut = 0;
    for (const connection of this.#open.slice()) {
      if (connection.isBusy && !connection.wasRefused) cut++;
      connection.abort(error);
    }
    return cut;
  }
}
