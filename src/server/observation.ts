/**
 * What a server tells of its requests, as far as the user has asked for it.
 *
 * It decides what observes, and where what is seen goes; without an option that asks for it there is no observer at
 * all.
 *
 * @module
 */

import type { AccessLogFormat } from "../api/access_log.ts";
import { TrivetError } from "../api/errors.ts";
import type { ResolvedOptions } from "../api/resolve_options.ts";
import { tellUser } from "../api/telling.ts";
import type { Connection } from "../exchange/connection.ts";
import type { Exchange } from "../exchange/exchange.ts";
import type { Observer } from "../exchange/observer.ts";
import { AccessLogObserver, CallbackOutput, LineOutput } from "../observe/access_log.ts";
import { lineMaker } from "../observe/log_lines.ts";
import { type LoopMeasurements, RequestMeter } from "../observe/measurements.ts";
import type { Runtime } from "../runtime.ts";

/** What is seen of one event loop. */
export interface Observation {
  /** Told of everything; `null` where nothing is asked for. */
  readonly observer: Observer | null;
  /** Opens what has to be opened. Rejects with a `TrivetError`. */
  readonly prepare: (() => Promise<void>) | null;
  /** What was measured until now; `null` where nothing is. */
  measured(): LoopMeasurements | null;
  /** Every connection is gone: resolves when everything that was seen has left, soon at the latest. */
  end(): Promise<void> | void;
}

/** What is seen where nothing is asked for. */
export const NOTHING_OBSERVED: Observation = {
  observer: null,
  prepare: null,
  measured: () => null,
  end: () => {},
};

/** Makes the observers that the options ask for. */
export function observe({ accessLog, metrics }: ResolvedOptions, runtime: Runtime): Observation {
  const log = accessLog === undefined ? null : openLog(accessLog, runtime);
  const meter = metrics ? new RequestMeter(runtime.clock) : null;
  if (log === null && meter === null) return NOTHING_OBSERVED;
  return {
    observer: log === null || meter === null ? log?.observer ?? meter : new BothObservers(log.observer, meter),
    prepare: log?.prepare ?? null,
    measured: () => meter?.measurements ?? null,
    end() {
      meter?.end();
      return log?.observer.flushed();
    },
  };
}

function openLog(accessLog: NonNullable<ResolvedOptions["accessLog"]>, { host, clock }: Runtime): {
  readonly observer: AccessLogObserver;
  readonly prepare: (() => Promise<void>) | null;
} {
  if (typeof accessLog === "function") {
    const output = new CallbackOutput((entry) => tellUser(host, () => accessLog(entry)));
    return { observer: new AccessLogObserver(output, clock), prepare: null };
  }
  const { file } = accessLog;
  const terminal = file === undefined ? host.terminal : null;
  const format: AccessLogFormat = accessLog.format ?? (terminal === null ? "combined" : "short");
  const output = new LineOutput(host.output, lineMaker(format, terminal?.takesColour ?? false));
  const open = async (path: string): Promise<void> => {
    try {
      output.sink = await host.openLog(path);
    } catch (cause) {
      const reason = cause instanceof Error ? cause.message : String(cause);
      throw new TrivetError("log-failed", `The log file ${path} can't be opened: ${reason}`, { cause });
    }
  };
  return { observer: new AccessLogObserver(output, clock), prepare: file === undefined ? null : () => open(file) };
}

/** Tells two observers. */
class BothObservers implements Observer {
  readonly #one: Observer;
  readonly #other: Observer;

  constructor(one: Observer, other: Observer) {
    this.#one = one;
    this.#other = other;
  }

  connectionOpened(connection: Connection): void {
    this.#one.connectionOpened(connection);
    this.#other.connectionOpened(connection);
  }

  connectionClosed(connection: Connection): void {
    this.#one.connectionClosed(connection);
    this.#other.connectionClosed(connection);
  }

  requestBegun(exchange: Exchange, nowMs: number): void {
    this.#one.requestBegun(exchange, nowMs);
    this.#other.requestBegun(exchange, nowMs);
  }

  responseEnded(
    exchange: Exchange,
    isWhole: boolean,
    status: number,
    contentBytes: number,
    beganAtMs: number,
    nowMs: number,
  ): void {
    this.#one.responseEnded(exchange, isWhole, status, contentBytes, beganAtMs, nowMs);
    this.#other.responseEnded(exchange, isWhole, status, contentBytes, beganAtMs, nowMs);
  }

  requestRefused(connection: Connection, error: TrivetError, contentBytes: number, nowMs: number): void {
    this.#one.requestRefused(connection, error, contentBytes, nowMs);
    this.#other.requestRefused(connection, error, contentBytes, nowMs);
  }
}
