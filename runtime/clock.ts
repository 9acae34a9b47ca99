/**
 * The clock of Deno, Bun and Node, which have the same timers.
 *
 * @module
 */

import type { Clock, Timer } from "../src/runtime.ts";

/** What these runtimes' timers are, whatever their type declarations say: Deno's are numbers unless asked for Node's. */
type TimerHandle = number | { unref(): void };

/**
 * Makes the clock.
 *
 * @param unref Lets the process end although a timer is waiting.
 */
export function createSystemClock(unref: (handle: TimerHandle) => void): Clock {
  const track = (handle: TimerHandle, clear: (handle: TimerHandle) => void): Timer => {
    unref(handle);
    return { cancel: () => clear(handle) };
  };
  return {
    nowMs: () => performance.now(),
    wallTimeMs: () => Date.now(),
    every: (intervalMs, callback) =>
      track(setInterval(callback, intervalMs) as TimerHandle, (handle) => clearInterval(handle as number)),
    after: (delayMs, callback) =>
      track(setTimeout(callback, delayMs) as TimerHandle, (handle) => clearTimeout(handle as number)),
    defer: (callback) => void setImmediate(callback),
  };
}
