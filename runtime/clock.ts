/**
 * The clock of Deno, Bun and Node, which have the same timers. Translation only.
 *
 * @module
 */

import type { Clock, Timer } from "../src/runtime.ts";
import { callApart, keepAsyncContext, ownScope } from "./async_context.ts";

/**
 * What these runtimes' timers are, whatever their type declarations say: Deno's are numbers unless asked for Node's.
 */
type TimerHandle = number | { unref(): void };

/** Time as these runtimes have it. */
export const systemTime: Pick<Clock, "nowMs" | "wallTimeMs" | "after"> = {
  nowMs: () => performance.now(),
  wallTimeMs: () => Date.now(),
  after(delayMs, callback): Timer {
    const handle = setTimeout(callback, delayMs);
    return { cancel: () => clearTimeout(handle) };
  },
};

/**
 * Makes the clock.
 *
 * @param unref Lets the process end although a timer is waiting.
 */
export function createSystemClock(unref: (handle: TimerHandle) => void): Clock {
  keepAsyncContext();
  return {
    ...systemTime,
    every(intervalMs, callback): Timer {
      const handle = setInterval(callback, intervalMs);
      unref(handle as TimerHandle);
      return { cancel: () => clearInterval(handle) };
    },
    defer: (callback) => {
      // Each small response is deferred once: it passes through no further function.
      if (ownScope === null) setImmediate(callback);
      else ownScope.runInAsyncScope(setImmediate, undefined, callback);
    },
    callApart,
  };
}
