/**
 * The comparison lab: the four concurrency models under the same loads, so that one can choose.
 *
 * Usage: `deno task compare [--all] [--quick] [--patient] [--runtime=deno,bun,node] [--rounds=1] [--name=compare]
 * [--experiment=latency,cpu,attack,overload] [--model=blocking,pool-8,…]`. It measures the runtime it is started with,
 * which may also be `bun bench/compare.ts` or `node bench/compare.ts` (Node 22.18 or newer); `--all` measures Deno, Bun
 * and Node 24. With `--patient` it waits while others use the machine, and repeats what they have disturbed. A run of
 * everything writes `bench/results/compare.*`, of one runtime `compare_deno.*` and so on; a quick or partial one only
 * prints, unless it is given a name. It fails when an answer was wrong or a model could not be measured. It needs Linux,
 * whose /proc has the CPU times.
 *
 * @module
 */

import { spawnSync } from "node:child_process";
import process from "node:process";

const DENO_AS_PACKAGE = ["npx", "--yes", "--package=deno@2", "--", "deno"];
const args = process.argv.slice(2);

if ("Deno" in globalThis) {
  const { main } = await import("./compare/run.ts");
  process.exit(await main(args));
}

// Deno is the tool chain: the lab itself runs on it, whatever it measures.
const runtime = "Bun" in globalThis ? "bun" : "node";
const choice = args.some((each) => /^--(?:all|runtime)\b/.test(each))
  ? []
  : [`--runtime=${runtime}`, `--program=${process.execPath}`];
const [npx, ...before] = DENO_AS_PACKAGE;
const self = decodeURIComponent(new URL(import.meta.url).pathname);
const { status } = spawnSync(npx, [...before, "run", "-A", self, ...choice, ...args], { stdio: "inherit" });
process.exit(status ?? 1);
