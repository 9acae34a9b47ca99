/**
 * Emits the modules of the npm package with what Deno itself has, for machines that do not reach JSR.
 *
 * `deno pack` would leave out the declarations' private halves and every module that is only started by its URL, and
 * writes paths of this machine into its source maps; so the modules go through `deno transpile`, one graph at a time.
 *
 * @module
 */

import { runCommand } from "./command.ts";
import { ENTRY_POINTS } from "./npm_package.ts";
import { rewriteSpecifiers } from "./specifiers.ts";

/** Far more than the few seconds it takes. */
const DEADLINE_MS = 120_000;

/** The part of `deno info --json` that is read here. */
interface Graph {
  readonly modules: readonly { readonly specifier: string }[];
}

/**
 * Emits JavaScript with declarations.
 *
 * @param root The repository.
 * @param folder The folder in which they stand as their sources do in the repository; it is empty.
 * @throws {Error} `deno info` or `deno transpile` failed; the message has its output.
 */
export async function emitWithDeno(root: string, folder: string): Promise<void> {
  const modules = await modulesOfPackage(root);
  await runDeno(root, [
    "transpile",
    "--quiet",
    "--declaration",
    `--outdir=${folder}`,
    ...modules,
  ]);
  await Promise.all(modules.flatMap((path) => {
    const emitted = `${folder}/${path.slice(0, -".ts".length)}`;
    return [completeModule(emitted), completeDeclaration(`${emitted}.d.ts`)];
  }));
}

/** The modules that can be reached from an entry point, types included, relative to the repository. */
async function modulesOfPackage(root: string): Promise<string[]> {
  const paths = new Set<string>();
  for (const { path } of ENTRY_POINTS) {
    const graph: Graph = JSON.parse(await runDeno(root, ["info", "--quiet", "--json", path]));
    const rootUrl = new URL(`file://${root}/`).href;
    for (const { specifier } of graph.modules) {
      if (specifier.startsWith(rootUrl)) paths.add(decodeURIComponent(specifier.slice(rootUrl.length)));
      else if (!specifier.startsWith("node:")) throw new Error(`${path} needs ${specifier}, which is no part of it.`);
    }
  }
  return [...paths].sort();
}

async function completeModule(emitted: string): Promise<void> {
  await Deno.writeTextFile(`${emitted}.js`, rewriteSpecifiers(await Deno.readTextFile(`${emitted}.js`)));
}

/** Takes out the directive in which the compiler names the file it read, with its path on this machine. */
async function completeDeclaration(path: string): Promise<void> {
  const source = await Deno.readTextFile(path);
  await Deno.writeTextFile(path, rewriteSpecifiers(source.replace(/^\/\/\/ <amd-module .*\n/m, "")));
}

async function runDeno(root: string, args: readonly string[]): Promise<string> {
  const { exitCode, output } = await runCommand([Deno.execPath(), ...args], { cwd: root, deadlineMs: DEADLINE_MS });
  if (exitCode !== 0) throw new Error(`deno ${args[0]} failed.\n${output}`);
  return output;
}
