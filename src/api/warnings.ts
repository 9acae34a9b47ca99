/**
 * Warnings: what an operator should know and no request is to blame for.
 *
 * It decides how often the same warning is told. It must not know what it is about.
 *
 * @module
 */

import type { Clock, Host } from "../runtime.ts";
import { tellUser } from "./telling.ts";

/** The stable name of a warning. */
export type WarningCode =
  /** Work is refused because as much is waiting as may wait. */
  | "queue-full"
  /** More than 80 % of the workers are busy. */
  | "workers-busy"
  /** A thread of the handler was lost and is replaced; `onError` is told why. */
  | "thread-replaced"
  /** No thread can be started in the place of another one, which is tried again and again. */
  | "thread-not-started"
  /** Connections have taken nearly every descriptor that the process may have. */
  | "descriptors-low"
  /** Fewer event loops run than were asked for. */
  | "loops-unavailable"
  /** The runtime can't bound the memory of a thread. */
  | "thread-memory-unbounded"
  /** A connection did not begin with the PROXY header that `proxyProtocol` asks for, or came from elsewhere. */
  | "proxy-header-invalid"
  /** New certificates can't be used, so that the server goes on with those it has. */
  | "tls-invalid";

/** What `onWarning` is told. */
export interface Warning {
  /** The stable name of this warning. */
  readonly code: WarningCode;
  /** One line for a human. */
  readonly message: string;
}

/** A warning that lasts is told again this often. */
const INTERVAL_MS = 10_000;

/** Tells warnings, each at most once in an interval. */
export class Warnings {
  readonly #clock: Clock;
  readonly #host: Host;
  readonly #onWarning: ((warning: Warning) => void) | undefined;
  readonly #toldAtMs = new Map<WarningCode, number>();

  /**
   * @param clock The runtime's clock.
   * @param host Where warnings are printed.
   * @param onWarning The user's; without it warnings are printed.
   */
  constructor(clock: Clock, host: Host, onWarning: ((warning: Warning) => void) | undefined) {
    this.#clock = clock;
    this.#host = host;
    this.#onWarning = onWarning;
  }

  /** Tells a warning, unless the same one was told a moment ago. */
  warn(code: WarningCode, message: string): void {
    const nowMs = this.#clock.nowMs();
    if (nowMs - (this.#toldAtMs.get(code) ?? -Infinity) < INTERVAL_MS) return;
    this.#toldAtMs.set(code, nowMs);
    if (this.#onWarning === undefined) this.#host.printError(`Trivet: ${message}`);
    else tellUser(this.#host, () => this.#onWarning!({ code, message }));
  }
}
