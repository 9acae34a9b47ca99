/**
 * How long Node takes to import the package, over a module that imports nothing, and beside its own `node:http`.
 *
 * Each figure is the median of whole processes, the programs in turn, so that both meet the same noise. It is
 * printed and judges nothing: a busy machine would fail it.
 *
 * @module
 */

import { type InstalledRuntime, succeed } from "./installation.ts";
import { PACKAGE_NAME } from "./programs.ts";

const RUNS = 15;
/** What the import should cost at most. */
const AIM_MS = 10;

/** Measures and prints a line for each Node. */
export async function printImportTimes(folder: string, nodes: readonly InstalledRuntime[]): Promise<void> {
  const programs = { empty: "", imported: `import "${PACKAGE_NAME}";\n`, builtin: 'import "node:http";\n' };
  for (const [name, text] of Object.entries(programs)) await Deno.writeTextFile(`${folder}/${name}.mjs`, text);
  for (const node of nodes) {
    const times: Record<keyof typeof programs, number[]> = { empty: [], imported: [], builtin: [] };
    for (let count = 0; count < RUNS; count++) {
      for (const [name, found] of Object.entries(times)) {
        found.push(await millisecondsOf(node.command(`${name}.mjs`), folder));
      }
    }
    const emptyMs = median(times.empty);
    console.log(
      `Import on Node ${node.version}: ${(median(times.imported) - emptyMs).toFixed(1)} ms over an empty module's ` +
        `${emptyMs.toFixed(1)} ms (median of ${RUNS}, aim below ${AIM_MS} ms); node:http takes ` +
        `${(median(times.builtin) - emptyMs).toFixed(1)} ms`,
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
