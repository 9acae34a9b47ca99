/**
 * What the showcase says of the process it runs in.
 *
 * @module
 */

import process from "node:process";

/** The runtimes by the name they have among `process.versions`; Deno and Bun have "node" too, which comes last. */
const RUNTIMES = [["deno", "Deno"], ["bun", "Bun"], ["node", "Node"]] as const;

/** The runtime and its version, such as "Deno 2.9.6". */
export const runtimeName: string = nameRuntime();

/** The memory the process has, in bytes. */
export function memoryBytes(): number {
  return process.memoryUsage().rss;
}

function nameRuntime(): string {
  const versions: Readonly<Record<string, string | undefined>> = process.versions;
  for (const [key, name] of RUNTIMES) {
    if (versions[key] !== undefined) return `${name} ${versions[key]}`;
  }
  return "an unknown runtime";
}
