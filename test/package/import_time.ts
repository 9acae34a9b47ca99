/**
 * How long Node takes to import the package, over a module that imports nothing.
 *
 * Each figure is the median of whole processes, the two programs in turn, so that both meet the same noise. It is
 * printed and judges nothing: a busy machine would fail it.
 *
 * @module
 */

import { type InstalledRuntime, succeed } from "./installation.ts";
import { PACKAGE_NAME } from "./programs.ts";

const RUNS = 15;
/** What the import should cost at most. */
const AIM_MS = 15;

/** Measures and prints a line for each Node. */
export async function printImportTimes(folder: string, nodes: readonly InstalledRuntime[]): Promise<void> {
  await Deno.writeTextFile(`${folder}/empty.mjs`, "");
  await Deno.writeTextFile(`${folder}/import_only.mjs`, `import "${PACKAGE_NAME}";\n`);
  for (const node of nodes) {
    const times: Record<string, number[]> = { "empty.mjs": [], "import_only.mjs": [] };
    for (let count = 0; count < RUNS; count++) {
      for (const name of Object.keys(times)) times[name].push(await millisecondsOf(node.command(name), folder));
    }
    const [empty, imported] = Object.values(times).map(median);
    const overMs = imported - empty;
    console.log(
      `Import on Node ${node.version}: ${overMs.toFixed(1)} ms over an empty module's ${empty.toFixed(1)} ms ` +
        `(median of ${RUNS}, aim below ${AIM_MS} ms)`,
    );
  }
}

async function millisecondsOf(argv: readonly string[], folder: string): Promise<number> {
  const startMs = performance.now();
  await succeed(argv, folder);
  return performance.now() - startMs;
}

function median(values: readonly number[]): number {
  return [...values].sort((left, right) => left - right)[Math.floor(values.length / 2)];
}
