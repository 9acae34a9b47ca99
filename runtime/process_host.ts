/**
 * The process as Bun and Node show it, in the form of the contract.
 *
 * @module
 */

import type { Host } from "../src/runtime.ts";

/**
 * Makes the host of a runtime that has Node's `process`.
 *
 * @param args The arguments behind the program's own name.
 * @param locate Finds the file of a path.
 */
export function createProcessHost(args: readonly string[], locate: Host["locate"]): Host {
  return {
    args,
    print: (line) => void process.stdout.write(`${line}\n`),
    printError: (line) => void process.stderr.write(`${line}\n`),
    onStopSignal(callback) {
      process.on("SIGINT", callback).on("SIGTERM", callback);
      return () => void process.off("SIGINT", callback).off("SIGTERM", callback);
    },
    exit: (code) => void process.exit(code),
    locate,
  };
}
