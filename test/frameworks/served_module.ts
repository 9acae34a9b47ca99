/**
 * The applications of these suites, put where their packages are, and the command that serves one.
 *
 * @module
 */

import { type InstalledRuntime, ROOT } from "../package/installation.ts";

/**
 * Copies modules of `apps/` beside the packages they import. One that imports a framework is kept as text, because
 * `deno check` would look for the framework.
 */
export async function copyModules(user: string, modules: readonly string[]): Promise<void> {
  // Deno looks for packages where its configuration says, and that of the command is the repository's.
  await Deno.writeTextFile(`${user}/deno.json`, JSON.stringify({ nodeModulesDir: "manual" }));
  for (const module of modules) {
    const path = new URL(`apps/${module}`, import.meta.url);
    const source = await Deno.readTextFile(path).catch(() => Deno.readTextFile(new URL(`${path}.txt`)));
    await Deno.writeTextFile(`${user}/${module}`, source);
  }
}

/** The command that serves a module: Deno and Bun run Trivet from its source, Node from the npm package. */
export function serveCommand(
  runtime: InstalledRuntime,
  user: string,
  module: string,
  options: readonly string[],
): string[] {
  const args = ["serve", module, "--hostname", "127.0.0.1", ...options];
  if (runtime.isNode) return runtime.command(`${user}/node_modules/.bin/trivet`, ...args);
  const command = runtime.command(`${ROOT}/src/entry/cli.ts`, ...args);
  return runtime.name === "deno" ? command.toSpliced(2, 0, "--config=deno.json") : command;
}
