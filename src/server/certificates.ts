/**
 * The certificates of a server that is running: read anew when that is asked for, or when their files have changed.
 *
 * It decides when they are read, and what is told of those that can't be used: then the server goes on with what it
 * has. It must not know what is in them.
 *
 * @module
 */

import { TrivetError } from "../api/errors.ts";
import type { Warnings } from "../api/warnings.ts";
import type { Scheduler } from "../models/scheduler.ts";
import type { Clock, Timer } from "../runtime.ts";
import type { Listener } from "../transport.ts";

/** How often files are looked at: soon enough for a certificate, and of no weight. */
const WATCH_INTERVAL_MS = 5_000;

/** An error of the runtime as one of ours, if it says that certificates can't be used. */
export function toTlsError(cause: unknown): TrivetError | null {
  if (!(cause instanceof Error) || (cause as { code?: unknown }).code !== "ERR_TLS_MATERIAL") return null;
  return new TrivetError("tls-invalid", cause.message, { cause });
}

/** The certificates of one server, on all its event loops. */
export class Certificates {
  readonly #clock: Clock;
  readonly #scheduler: Scheduler;
  readonly #warnings: Warnings;
  #listener: Listener | null = null;
  #timer: Timer | null = null;
  /** The reading under way: one at a time, so that what was read last is what holds. */
  #reading: Promise<unknown> = Promise.resolve();
  /** Whether other loops have yet to read what was read here. */
  #isDueElsewhere = false;
  /** What was wrong when they were last looked at, and whether that was told. */
  #fault: string | null = null;
  #isTold = false;

  /**
   * @param clock The runtime's clock.
   * @param scheduler The concurrency model, which may have other loops.
   * @param warnings Where certificates are told that can't be used.
   */
  constructor(clock: Clock, scheduler: Scheduler, warnings: Warnings) {
    this.#clock = clock;
    this.#scheduler = scheduler;
    this.#warnings = warnings;
  }

  /** Takes the listener whose certificates these are, and watches their files if that was asked for. */
  use(listener: Listener, isWatched: boolean): void {
    this.#listener = listener;
    if (isWatched) this.#timer = this.#clock.every(WATCH_INTERVAL_MS, () => this.#look());
  }

  /** The listener closes. */
  stop(): void {
    this.#timer?.cancel();
    this.#timer = null;
    this.#listener = null;
  }

  /**
   * Reads them anew. Resolves to whether they have changed.
   *
   * @throws {TrivetError} `tls-invalid` where they can't be used, and `not-listening` where nothing uses them.
   */
  reload(): Promise<boolean> {
    const reading = this.#reading.then(() => this.#read());
    this.#reading = reading.catch(() => {});
    return reading;
  }

  async #read(): Promise<boolean> {
    if (this.#listener === null) {
      throw new TrivetError(
        "not-listening",
        "Certificates are read anew only while the server listens: await server.ready() first.",
      );
    }
    try {
      if (await this.#listener.reloadTls()) this.#isDueElsewhere = true;
    } catch (cause) {
      throw toTlsError(cause) ?? cause;
    }
    if (!this.#isDueElsewhere) return false;
    await this.#scheduler.reloadTls?.();
    this.#isDueElsewhere = false;
    return true;
  }

  /** Files are replaced one after the other, so a fault is told of only when the next look finds it again. */
  async #look(): Promise<void> {
    let fault: string | null = null;
    try {
      await this.reload();
    } catch (error) {
      fault = (error as Error).message;
    }
    if (this.#timer === null) return;
    if (fault !== this.#fault) {
      this.#fault = fault;
      this.#isTold = false;
    } else if (fault !== null && !this.#isTold) {
      this.#isTold = true;
      this.#warnings.warn("tls-invalid", `${fault} The server goes on with the certificates it has.`);
    }
  }
}
