/**
 * What one event loop measures of its requests, and how that of several is added up.
 *
 * It decides what is measured: counts and durations by method and class of status, and how late the loop is. It must
 * not know how that is shown.
 *
 * @module
 */

import type { Measurements, StatusClass } from "../api/stats.ts";
import type { Exchange } from "../exchange/exchange.ts";
import type { Observer } from "../exchange/observer.ts";
import { METHOD_NAMES, placeOfMethod } from "../http/methods.ts";
import type { Clock, Timer } from "../runtime.ts";
import { addHistograms, Durations } from "./histogram.ts";
import { watchDelay } from "./loop_delay.ts";

/** The classes of status codes, each at its first digit; 0 where none was sent. */
export const STATUS_CLASSES: readonly StatusClass[] = ["none", "1xx", "2xx", "3xx", "4xx", "5xx"];

/** What a loop measures itself; the states of connections and the waits in lines are others' to tell. */
export type LoopMeasurements = Omit<Measurements, "connections" | "queueWaits" | "threadDelay">;

/** Measures the requests of one event loop. */
export class RequestMeter implements Observer {
  /** A place for each method and class. */
  readonly #counts: number[] = new Array(METHOD_NAMES.length * STATUS_CLASSES.length).fill(0);
  readonly #durations = STATUS_CLASSES.map(() => new Durations());
  #aborted = 0;
  readonly #delays = new Durations();
  readonly #delayWatch: Timer;

  /** @param clock The runtime's clock. */
  constructor(clock: Clock) {
    this.#delayWatch = watchDelay(clock, (delayMs) => this.#delays.add(delayMs));
  }

  connectionOpened(): void {}

  connectionClosed(): void {}

  requestBegun(): void {}

  responseEnded(
    exchange: Exchange,
    isWhole: boolean,
    status: number,
    _bytes: number,
    beganAtMs: number,
    nowMs: number,
  ): void {
    const digit = Math.floor(status / 100);
    this.#counts[placeOfMethod(exchange.method) * STATUS_CLASSES.length + digit]++;
    this.#durations[digit].add(nowMs - beganAtMs);
    if (!isWhole) this.#aborted++;
  }

  /** What is refused without being an exchange is counted by its error. */
  requestRefused(): void {}

  /** What was measured until now. */
  get measurements(): LoopMeasurements {
    const responses: Record<string, Record<StatusClass, number>> = {};
    for (const [place, method] of METHOD_NAMES.entries()) {
      const start = place * STATUS_CLASSES.length;
      const counts = this.#counts.slice(start, start + STATUS_CLASSES.length);
      if (counts.some((count) => count > 0)) responses[method] = byClass((digit) => counts[digit]);
    }
    return {
      responses,
      aborted: this.#aborted,
      durations: byClass((digit) => this.#durations[digit].histogram),
      loopDelay: this.#delays.histogram,
    };
  }

  /** Measures nothing any more. */
  end(): void {
    this.#delayWatch.cancel();
  }
}

/** The measurements of two loops together; `null` where none measures. */
export function addMeasurements(one: Measurements | null, other: Measurements | null): Measurements | null {
  if (one === null || other === null) return one ?? other;
  const responses: Record<string, Readonly<Record<StatusClass, number>>> = { ...one.responses };
  for (const [method, counts] of Object.entries(other.responses)) {
    const before = responses[method];
    responses[method] = before === undefined ? counts : addCounts(before, counts);
  }
  return {
    connections: addCounts(one.connections, other.connections),
    responses,
    aborted: one.aborted + other.aborted,
    durations: byClass((digit) => {
      const status = STATUS_CLASSES[digit];
      return addHistograms(one.durations[status], other.durations[status]);
    }),
    queueWaits: addHistograms(one.queueWaits, other.queueWaits),
    loopDelay: addHistograms(one.loopDelay, other.loopDelay),
    threadDelay: addHistograms(one.threadDelay, other.threadDelay),
  };
}

/** What a loop that is gone had measured: its connections are gone too. */
export function withoutConnections(measured: Measurements | null): Measurements | null {
  return measured === null
    ? null
    : { ...measured, connections: { waiting: 0, idle: 0, active: 0, upgraded: 0, closing: 0 } };
}

function byClass<T>(make: (digit: number) => T): Record<StatusClass, T> {
  return Object.fromEntries(STATUS_CLASSES.map((name, digit) => [name, make(digit)])) as Record<StatusClass, T>;
}

function addCounts<Name extends string>(
  one: Readonly<Record<Name, number>>,
  other: Readonly<Record<Name, number>>,
): Record<Name, number> {
  const sum: Record<Name, number> = { ...one };
  for (const name of Object.keys(other) as Name[]) sum[name] += other[name];
  return sum;
}
