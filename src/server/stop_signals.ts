/**
 * Signals of the system that stop a server.
 *
 * It decides what each means: SIGTERM comes from what runs the process and is a restart as a rule; SIGINT comes from
 * a person at a keyboard, and so does either while files are watched. It must not know how a server stops.
 *
 * @module
 */

import type { Server, ShutdownReport } from "../api/server.ts";
import type { Runtime, StopSignal } from "../runtime.ts";

/**
 * One Ctrl+C may arrive twice, from the terminal and passed on by the program that started this one. What comes this
 * soon behind the first signal is the same one.
 */
const SAME_SIGNAL_MS = 500;

/** A change to a file is to be seen at once: the connections and streams of a browser must not hold it up. */
const WATCHED_TIMEOUT_MS = 1_000;

/**
 * The first signal stops gracefully, the second at once.
 *
 * @param onFirst Told of the first one.
 * @returns Resolves when the server has stopped because of a signal.
 */
export function stopOnSignals(
  { host, clock }: Runtime,
  server: Server,
  onFirst: (signal: StopSignal) => void = () => {},
): Promise<ShutdownReport> {
  return new Promise((resolve, reject) => {
    let firstAtMs = -Infinity;
    const ignore = host.onStopSignal((signal) => {
      if (firstAtMs > -Infinity) {
        if (clock.nowMs() - firstAtMs > SAME_SIGNAL_MS) server.stop().catch(() => {});
        return;
      }
      firstAtMs = clock.nowMs();
      onFirst(signal);
      const timeout = host.isWatched ? WATCHED_TIMEOUT_MS : undefined;
      const isAwaited = host.isWatched || signal === "SIGINT";
      server.shutdown(isAwaited ? { delay: 0, closeIdle: true, timeout } : {}).then(resolve, reject);
    });
    // A process that goes on without its server is stopped by the next signal, like any other.
    server.finished.then(ignore, ignore);
  });
}
