/**
 * Cutting short a callback that does not return, from inside its thread: for Deno, which can't do it from outside.
 *
 * `node:vm` runs a script with a timeout, and everything that is called by it. Deno 2.9 takes 10 to 16 µs for a script
 * that does nothing. What is left for a microtask is not part of the run, and is not cut short.
 *
 * It must not know what is called.
 *
 * @module
 */

import { Script } from "node:vm";

/** A script sees globals only. This one is there in Trivet's own threads and nowhere else. */
const RUN = Symbol.for("trivet:run");
/** The longest timeout that `node:vm` takes. */
const MAX_LIMIT_MS = 2 ** 31 - 1;

let run: () => void = () => {};
Object.defineProperty(globalThis, RUN, { value: () => run() });
const script = new Script(`globalThis[Symbol.for(${JSON.stringify(Symbol.keyFor(RUN))})]()`);

/**
 * Calls back, for so long.
 *
 * @param limitMs More than 0.
 * @returns Whether the callback returned. What it throws is thrown on, unchanged.
 */
export function runWithin(limitMs: number, callback: () => void): boolean {
  const outer = run;
  let hasReturned = false;
  let failure: { readonly thrown: unknown } | null = null;
  run = () => {
    // Neither this catch nor one of the callback sees the end of the time: nothing of the script runs on.
    try {
      callback();
    } catch (thrown) {
      failure = { thrown };
    }
    hasReturned = true;
  };
  try {
    script.runInThisContext({ timeout: Math.min(Math.ceil(limitMs), MAX_LIMIT_MS) });
  } catch (error) {
    // The time may end between the callback's return and the script's.
    if (!hasReturned && (error as { code?: unknown }).code !== "ERR_SCRIPT_EXECUTION_TIMEOUT") throw error;
  } finally {
    run = outer;
  }
  rethrow(failure);
  return hasReturned;
}

function rethrow(failure: { readonly thrown: unknown } | null): void {
  if (failure !== null) throw failure.thrown;
}
