/**
 * The clients of one server that have sent FIN and may be gone.
 *
 * A FIN behind a complete request nearly always comes from a client that has closed, and sometimes from one that has
 * merely ended its own side, as `nc` does. Such connections are few, so they are watched by a timer of their own: the
 * server's clock, which looks at every connection, need not tick faster for them.
 *
 * It decides when such a client is taken for gone. It must not know what is sent to it.
 *
 * @module
 */

import type { Clock, Timer } from "../runtime.ts";

/** A connection whose client has sent FIN. */
export interface HalfClosed {
  /** Ends the connection if its client counts as gone now. Returns whether it has to be looked at again. */
  watchGone(nowMs: number): boolean;
}

/** The longest time between two looks at the half-closed connections. */
const MAX_INTERVAL_MS = 250;
/** At least so many looks fall into the timeout: a client that is gone is noticed a quarter of it late at most. */
const LOOKS_PER_TIMEOUT = 4;

/** Looks at half-closed connections until they are closed. */
export class GoneClients {
  /** How long a client that has sent FIN counts as present; 0 is not at all, `Infinity` is for ever. */
  readonly timeoutMs: number;
  readonly #clock: Clock;
  readonly #watched: HalfClosed[] = [];
  #timer: Timer | null = null;

  /**
   * @param clock The runtime's clock.
   * @param timeoutMs `halfCloseTimeout`.
   */
  constructor(clock: Clock, timeoutMs: number) {
    this.#clock = clock;
    this.timeoutMs = timeoutMs;
  }

  /** The time, on the clock by which connections are looked at. */
  nowMs(): number {
    return this.#clock.nowMs();
  }

  /** Looks at a connection from now on. */
  watch(connection: HalfClosed): void {
    this.#watched.push(connection);
    // A client that is not waited for at all is gone before it is looked at.
    const timeoutMs = this.timeoutMs === 0 ? Infinity : this.timeoutMs;
    const intervalMs = Math.max(1, Math.min(MAX_INTERVAL_MS, timeoutMs / LOOKS_PER_TIMEOUT));
    this.#timer ??= this.#clock.every(intervalMs, () => this.#look());
  }

  #look(): void {
    const nowMs = this.#clock.nowMs();
    for (const connection of this.#watched.splice(0)) {
      if (connection.watchGone(nowMs)) this.#watched.push(connection);
    }
    if (this.#watched.length > 0) return;
    this.#timer?.cancel();
    this.#timer = null;
  }
}

/** What follows from the FIN of one client. */
export class PeerEnd {
  /** When the client counts as gone, unless it takes something before; 0 until `expect` sets the time. */
  goneAtMs = 0;
  readonly #clients: GoneClients;

  constructor(clients: GoneClients) {
    this.#clients = clients;
  }

  /** Nothing but a response is left for the client. Returns whether it counts as gone at once. */
  expect(connection: HalfClosed): boolean {
    if (this.goneAtMs !== 0) return false;
    this.goneAtMs = this.#clients.nowMs() + this.#clients.timeoutMs;
    if (this.#clients.timeoutMs === 0) return true;
    if (this.#clients.timeoutMs !== Infinity) this.#clients.watch(connection);
    return false;
  }

  /** The transport has taken everything: a client that was gone would have answered with a reset before. */
  seen(): void {
    if (this.goneAtMs !== 0) this.goneAtMs = this.#clients.nowMs() + this.#clients.timeoutMs;
  }

  /**
   * Whether it is too late to begin: of the time of the client more than half has passed while it waited in line. Its
   * first response would begin the time anew, and nothing tells that it is gone before the second.
   */
  get isLate(): boolean {
    return this.goneAtMs !== 0 && this.#clients.nowMs() >= this.goneAtMs - this.#clients.timeoutMs / 2;
  }
}
