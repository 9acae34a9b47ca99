/**
 * What a server tells of its requests, as far as the user has asked for it.
 *
 * It decides who observes, and where what is seen goes; without an option that asks for it there is no observer at all.
 *
 * @module
 */

import type { AccessLogFormat } from "../api/access_log.ts";
import { TrivetError } from "../api/errors.ts";
import type { ResolvedOptions } from "../api/resolve_options.ts";
import { tellUser } from "../api/telling.ts";
import type { Observer } from "../exchange/observer.ts";
import { AccessLogObserver, CallbackOutput, LineOutput } from "../observe/access_log.ts";
import { lineMaker } from "../observe/log_lines.ts";
import type { Runtime } from "../runtime.ts";

/** The observers of one event loop. */
export interface Observation {
  /** Told of everything; `null` where nothing is asked for. */
  readonly observer: Observer | null;
  /** Opens what has to be opened. Rejects with a `TrivetError`. */
  readonly prepare: (() => Promise<void>) | null;
  /** Resolves when everything that was seen has left, soon at the latest. */
  readonly flushed: (() => Promise<void>) | null;
}

/** Makes the observers that the options ask for. */
export function observe({ accessLog }: ResolvedOptions, runtime: Runtime): Observation {
  const { host, clock } = runtime;
  if (accessLog === undefined) return { observer: null, prepare: null, flushed: null };
  if (typeof accessLog === "function") {
    const output = new CallbackOutput((entry) => tellUser(host, () => accessLog(entry)));
    const observer = new AccessLogObserver(output, clock);
    return { observer, prepare: null, flushed: () => observer.flushed() };
  }
  const { file } = accessLog;
  const terminal = file === undefined ? host.terminal : null;
  const format: AccessLogFormat = accessLog.format ?? (terminal === null ? "combined" : "short");
  const output = new LineOutput(host.output, lineMaker(format, terminal?.takesColour ?? false));
  const observer = new AccessLogObserver(output, clock);
  const open = async (path: string): Promise<void> => {
    try {
      output.sink = await host.openLog(path);
    } catch (cause) {
      const reason = cause instanceof Error ? cause.message : String(cause);
      throw new TrivetError("log-failed", `The log file ${path} can't be opened: ${reason}`, { cause });
    }
  };
  return {
    observer,
    prepare: file === undefined ? null : () => open(file),
    flushed: () => observer.flushed(),
  };
}
