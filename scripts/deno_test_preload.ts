/**
 * Makes uncaught errors visible under `deno test`, which preloads this module.
 *
 * An error thrown from a timer, a microtask or a socket's callback fails a test of Bun and Node. Deno 2.9 drops it
 * without a word while a test of node:test runs, and the test passes. The line printed here is what the runner of all
 * tests looks for.
 *
 * @module
 */

import { UNCAUGHT_ERROR_LINE } from "./test_runtimes.ts";

globalThis.addEventListener("error", (event) => console.error(`\n${UNCAUGHT_ERROR_LINE}`, event.error));
