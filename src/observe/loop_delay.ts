/**
 * How late an event loop is: how much later than asked for it calls back, since something has kept it busy.
 *
 * @module
 */

import type { Clock, Timer } from "../runtime.ts";

/** How often that is looked at. */
const INTERVAL_MS = 100;

/** Tells ten times a second how late this thread's loop is, in milliseconds, until it is cancelled. */
export function watchDelay(clock: Clock, onDelay: (delayMs: number) => void): Timer {
  let lastMs = clock.nowMs();
  return clock.every(INTERVAL_MS, () => {
    const nowMs = clock.nowMs();
    onDelay(Math.max(0, nowMs - lastMs - INTERVAL_MS));
    lastMs = nowMs;
  });
}
