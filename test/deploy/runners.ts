/**
 * The runtimes that serve in these tests, and how each runs the command of this checkout.
 *
 * @module
 */

import { fileURLToPath } from "node:url";
import { TEST_RUNTIMES } from "../../scripts/test_runtimes.ts";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const CLI = fileURLToPath(new URL("../../src/entry/cli.ts", import.meta.url));

const RUNNERS: readonly { readonly name: string; readonly args: readonly string[] }[] = [
  { name: "deno", args: ["run", "--allow-all", "--no-check", "--quiet"] },
  { name: "bun", args: ["run"] },
  { name: "node@24", args: ["--no-warnings"] },
];

/** A runtime with the command, to which arguments are added. */
export interface Runner {
  readonly runtime: string;
  readonly command: readonly string[];
}

/** Finds each runtime. */
export function findContenders(): Promise<Runner[]> {
  return Promise.all(RUNNERS.map(async ({ name, args }) => {
    const { path, version } = await TEST_RUNTIMES.find((runtime) => runtime.name === name)!.find(ROOT);
    return { runtime: `${name.replace(/@.*/, "")} ${version}`, command: [path, ...args, CLI] };
  }));
}
