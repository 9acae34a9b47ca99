/**
 * Emits JavaScript for Node: what a user of the npm package gets, and the tests with it.
 *
 * Types are stripped by `deno transpile`, specifiers end in `.js`, everything that is no TypeScript is copied, and each
 * file has its source map inline. It neither checks types nor decides what is published.
 *
 * Usage: `deno run -A scripts/emit.ts [folder]`; the folder is `.emit` unless given, and is replaced.
 *
 * @module
 */

import { runCommand } from "./command.ts";
import { rewriteSpecifiers } from "./specifiers.ts";

const FOLDERS = ["src", "runtime", "test", "examples", "scripts"];
/** Far more than the second it takes. */
const DEADLINE_MS = 60_000;

/**
 * Emits the repository's modules into a folder, in which they stand as they do in the repository.
 *
 * @param root The repository.
 * @param output The folder, which is made if it does not exist.
 * @returns The number of modules.
 * @throws {Error} `deno transpile` failed; the message has its output.
 */
export async function emit(root: string, output: string): Promise<number> {
  const modules: string[] = [];
  const others: string[] = [];
  for await (const path of filesOf(root)) {
    (path.endsWith(".ts") && !path.endsWith(".d.ts") ? modules : others).push(path);
  }
  await Deno.mkdir(output, { recursive: true });
  const transpile = [
    Deno.execPath(),
    "transpile",
    "--quiet",
    "--no-check",
    "--source-map=inline",
    `--outdir=${output}`,
  ];
  const result = await runCommand([...transpile, ...modules], { cwd: root, deadlineMs: DEADLINE_MS });
  if (result.exitCode !== 0) throw new Error(`deno transpile failed.\n${result.output}`);

  await Promise.all(modules.map(async (path) => {
    const emitted = `${output}/${path.slice(0, -3)}.js`;
    const source = await Deno.readTextFile(emitted);
    try {
      await Deno.writeTextFile(emitted, rewriteSpecifiers(source));
    } catch (cause) {
      throw new Error(`The specifiers of ${path} could not be rewritten.`, { cause });
    }
  }));
  await Promise.all(others.map(async (path) => {
    await Deno.mkdir(`${output}/${path.slice(0, Math.max(0, path.lastIndexOf("/")))}`, { recursive: true });
    await Deno.copyFile(`${root}/${path}`, `${output}/${path}`);
  }));
  const { name, version } = JSON.parse(await Deno.readTextFile(`${root}/deno.json`));
  const exports = {
    ".": "./mod.js",
    "./cli": "./src/entry/cli.js",
    "./fast-response": "./src/entry/fast_response.js",
    "./static": "./src/entry/static.js",
    "./crossws": "./src/entry/crossws.js",
  };
  await Deno.writeTextFile(
    `${output}/package.json`,
    JSON.stringify({ name, version, type: "module", exports }, null, 2),
  );
  return modules.length;
}

/** The files of the top folder and everything in the folders that are emitted, relative to the repository. */
async function* filesOf(root: string): AsyncGenerator<string> {
  for await (const entry of Deno.readDir(root)) {
    if (entry.isFile && !entry.name.startsWith(".")) yield entry.name;
  }
  for (const folder of FOLDERS) yield* filesBelow(root, folder);
}

async function* filesBelow(root: string, folder: string): AsyncGenerator<string> {
  for await (const entry of Deno.readDir(`${root}/${folder}`)) {
    const path = `${folder}/${entry.name}`;
    if (entry.isDirectory) yield* filesBelow(root, path);
    else if (entry.isFile) yield path;
  }
}

if (import.meta.main) {
  const root = decodeURIComponent(new URL("..", import.meta.url).pathname).replace(/\/$/, "");
  const output = Deno.args[0] ?? `${root}/.emit`;
  await Deno.remove(output, { recursive: true }).catch(() => undefined);
  const count = await emit(root, output);
  console.log(`Emitted ${count} modules into ${output}.`);
}
