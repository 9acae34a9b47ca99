/**
 * Joins the emitted modules of the npm package into a few.
 *
 * Node takes half a millisecond or more for each module it loads, whatever is in it: a hundred of them cost every start,
 * and every thread, some 40 ms, and what they share in one file costs a quarter of that. The entry points stay modules of
 * their own and share one that has the rest, so that a class is the same whichever of them it came through. They stand in
 * one folder, because the module of threads is found beside the module that starts one.
 *
 * @module
 */

import { runCommand } from "./command.ts";
import { filesBelow } from "./npm_finish.ts";
import { emittedPath, ENTRY_POINTS, MODULE_FOLDER } from "./npm_package.ts";

/** Pinned, so that the same sources give the same package. */
const ESBUILD = "esbuild@0.25.12";
/** Nothing that an older Node than this does not have is left in the code. */
const TARGET = "node20";
/** Enough to download it on a slow line. */
const DEADLINE_MS = 120_000;

/**
 * Replaces the emitted modules by a few.
 *
 * @param output The package's folder.
 * @param emittedFolder The folder in it that has the emitted modules.
 * @throws {Error} esbuild could not be had, or failed.
 */
export async function bundleModules(output: string, emittedFolder: string): Promise<void> {
  await shareAll(emittedFolder);
  const folder = `${output}/${MODULE_FOLDER}`;
  await runEsbuild(output, [
    ...ENTRY_POINTS.map(({ path }) => `${emittedFolder}/${path.replace(/\.ts$/, ".js")}`),
    "--bundle",
    "--splitting",
    "--platform=node",
    // Comments go with the white space, which comes back: Node reads a fifth less before it runs anything.
    "--minify-whitespace",
    "--entry-names=[name]",
    "--chunk-names=[name]-[hash]",
    `--outdir=${folder}`,
  ]);
  for (const { path } of ENTRY_POINTS) await Deno.stat(`${output}/${emittedPath(path)}`);
  // Lines stay lines: Node prints the one in which an error was thrown, and a debugger steps through them.
  const modules = (await filesBelow(folder)).map((name) => `${folder}/${name}`);
  await runEsbuild(output, [...modules, "--line-limit=120", "--allow-overwrite", `--outdir=${folder}`]);
  for (const path of modules) await restoreNames(path);
}

async function runEsbuild(cwd: string, args: readonly string[]): Promise<void> {
  const esbuild = ["npx", "--yes", `--package=${ESBUILD}`, "--", "esbuild"];
  const common = ["--format=esm", `--target=${TARGET}`, "--log-level=warning"];
  const result = await runCommand([...esbuild, ...args, ...common], { cwd, deadlineMs: DEADLINE_MS });
  if (result.exitCode !== 0) throw new Error(`esbuild failed.\n${result.output}`);
}

/** What each thread loads: it serves no connection, and what is only for those stays a module that it does not read. */
const FOR_THREADS: ReadonlySet<string> = new Set([
  "src/entry/thread_main.js",
  "runtime/worker_threads.js",
  "runtime/interruption.js",
]);

/**
 * Has every entry point, and every module that is loaded later, reach what the main one does: what is reached by all of
 * them is put into one module, or into two where threads need only a part.
 */
async function shareAll(emitted: string): Promise<void> {
  const [main, ...others] = ENTRY_POINTS.map(({ path }) => path.replace(/\.ts$/, ".js"));
  for (const path of [...others, ...await loadedLater(emitted)]) {
    if (FOR_THREADS.has(path)) continue;
    const up = "../".repeat(path.split("/").length - 1);
    await Deno.writeTextFile(`${emitted}/${path}`, `\nimport "${up}${main}";\n`, { append: true });
  }
}

/** The modules of the package that others load when they need them, relative to the folder, which may have more than it. */
async function loadedLater(emitted: string): Promise<Set<string>> {
  const found = new Set<string>();
  for (const path of await filesBelow(emitted)) {
    if (!/^(?:src|runtime)\/.*\.js$/.test(path)) continue;
    const text = await Deno.readTextFile(`${emitted}/${path}`);
    for (const [, specifier] of text.matchAll(/\bimport\("(\.[^"]+)"\)/g)) {
      found.add(new URL(specifier, `file:///${path}`).pathname.slice(1));
    }
  }
  return found;
}

/**
 * Has classes show the names they have in the sources: one that refers to itself is called `_Name` by esbuild. It could
 * keep every name of every function, too, at the cost of an eighth of the time that importing the package takes.
 */
async function restoreNames(path: string): Promise<void> {
  const text = await Deno.readTextFile(path);
  const renamed = [...text.matchAll(/\bclass _(\w+)/g)].map(([, original]) => original);
  const lines = renamed.map((each) =>
    `Object.defineProperty(${each}, "name", { value: "${each}", configurable: true });\n`
  );
  await Deno.writeTextFile(path, text + lines.join(""));
}
