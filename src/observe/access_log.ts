/**
 * The access log of one event loop: each request once, when its response has ended.
 *
 * It decides what of a request is told, and gathers what a turn of the loop has brought, so that an output is written
 * to once a turn. It must not know how a line looks, nor what is behind the output, which never makes it wait.
 *
 * @module
 */

import type { AccessLogEntry } from "../api/access_log.ts";
import type { TrivetError } from "../api/errors.ts";
import type { Connection } from "../exchange/connection.ts";
import type { Exchange } from "../exchange/exchange.ts";
import type { Observer } from "../exchange/observer.ts";
import type { Clock, LineSink } from "../runtime.ts";
import type { Address } from "../transport.ts";
import type { LineMaker } from "./log_lines.ts";

/** What takes the requests of a turn. */
export interface LogOutput {
  /** Takes one request. */
  add(entry: AccessLogEntry): void;
  /** The turn is over. */
  endTurn(): void;
  /** Resolves when everything has left, soon at the latest. */
  flushed(): Promise<void>;
}

/** Tells an output of requests. */
export class AccessLogObserver implements Observer {
  readonly #output: LogOutput;
  readonly #clock: Clock;
  readonly #endTurn = (): void => this.#flush();
  #isTurnOpen = false;

  /**
   * @param output Takes the requests.
   * @param clock The runtime's clock.
   */
  constructor(output: LogOutput, clock: Clock) {
    this.#output = output;
    this.#clock = clock;
  }

  connectionOpened(): void {}

  connectionClosed(): void {}

  requestBegun(): void {}

  responseEnded(
    { head, remoteAddress }: Exchange,
    isWhole: boolean,
    status: number,
    contentBytes: number,
    beganAtMs: number,
    nowMs: number,
  ): void {
    // Clocks count in fractions whose last digits mean nothing.
    const durationMs = Math.round((nowMs - beganAtMs) * 1_000) / 1_000;
    this.#add({
      time: Math.round(this.#clock.wallTimeMs() - durationMs),
      remoteAddress: nameOf(remoteAddress),
      method: head.method,
      target: head.pathAndQuery,
      protocol: head.protocol,
      status,
      bytes: contentBytes,
      durationMs,
      referer: head.fields.get("referer"),
      userAgent: head.fields.get("user-agent"),
      aborted: !isWhole,
      error: null,
    });
  }

  requestRefused({ remoteAddress }: Connection, error: TrivetError, contentBytes: number): void {
    this.#add({
      time: this.#clock.wallTimeMs(),
      remoteAddress: nameOf(remoteAddress),
      method: null,
      target: null,
      protocol: null,
      status: error.status ?? 0,
      bytes: contentBytes,
      durationMs: 0,
      referer: null,
      userAgent: null,
      aborted: false,
      error: error.code,
    });
  }

  /** Resolves when everything has left, soon at the latest. */
  flushed(): Promise<void> {
    this.#flush();
    return this.#output.flushed();
  }

  #add(entry: AccessLogEntry): void {
    this.#output.add(entry);
    if (this.#isTurnOpen) return;
    this.#isTurnOpen = true;
    this.#clock.defer(this.#endTurn);
  }

  #flush(): void {
    this.#isTurnOpen = false;
    this.#output.endTurn();
  }
}

/** Writes lines. */
export class LineOutput implements LogOutput {
  /** Takes the lines. */
  sink: LineSink;
  readonly #makeLine: LineMaker;
  #lines = "";
  #count = 0;

  /**
   * @param sink Takes the lines.
   * @param makeLine Makes them.
   */
  constructor(sink: LineSink, makeLine: LineMaker) {
    this.sink = sink;
    this.#makeLine = makeLine;
  }

  add(entry: AccessLogEntry): void {
    this.#lines += `${this.#makeLine(entry)}\n`;
    this.#count++;
  }

  endTurn(): void {
    if (this.#count === 0) return;
    this.sink.write(this.#lines, this.#count);
    this.#lines = "";
    this.#count = 0;
  }

  flushed(): Promise<void> {
    return this.sink.flushed();
  }
}

/** Calls a function. */
export class CallbackOutput implements LogOutput {
  readonly #tell: (entry: AccessLogEntry) => void;
  #entries: AccessLogEntry[] = [];

  /** @param tell Called with each request; it must not throw. */
  constructor(tell: (entry: AccessLogEntry) => void) {
    this.#tell = tell;
  }

  add(entry: AccessLogEntry): void {
    this.#entries.push(entry);
  }

  endTurn(): void {
    const entries = this.#entries;
    this.#entries = [];
    for (const entry of entries) this.#tell(entry);
  }

  flushed(): Promise<void> {
    return Promise.resolve();
  }
}

function nameOf(address: Address): string {
  return address.transport === "tcp" ? address.hostname : "unix:";
}
