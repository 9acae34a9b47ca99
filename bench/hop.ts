/**
 * The hop to a thread and back: what it costs in CPU time and in latency against calling the handler on the loop, and
 * what the ways from one thread to another cost that there could be.
 *
 * Usage: `deno run -A bench/hop.ts [--runtime=deno,bun,node] [--rounds=3] [--seconds=1] [--quick] [--name=hop]`. Results
 * are written when a name is given; what the file has of runtimes that were not measured is kept. It fails when an answer
 * was wrong.
 *
 * @module
 */

import { runCommand } from "../scripts/command.ts";
import { positiveInteger, select, UsageError } from "./command_line.ts";
import { type BenchRuntime, describeSource, findRuntimes, RUNTIME_NAMES, type RuntimeName } from "./contenders.ts";
import { measureModels } from "./hop/end_to_end.ts";
import { type HopFinding, type HopReport, markdownOf } from "./hop/report.ts";
import type { TransportRound } from "./hop/transport_program.ts";
import { findLoadGenerator, type LoadGenerator } from "./load.ts";
import { machineOfReport } from "./report.ts";

/** What the command line asks for. */
interface Options {
  readonly runtimes: readonly RuntimeName[];
  readonly rounds: number;
  readonly seconds: number;
  /** How long a way between threads is measured each time. */
  readonly transportMs: number;
  readonly name: string | null;
}

const TRANSPORT_DEADLINE_MS = 300_000;

function readOptions(args: readonly string[]): Options {
  let runtimes = RUNTIME_NAMES;
  let rounds = 3;
  let seconds = 1;
  let transportMs = 100;
  let name: string | null = null;
  for (const arg of args) {
    const [option, value = ""] = arg.split(/=(.*)/s);
    if (option === "--runtime") runtimes = select("runtime", RUNTIME_NAMES, value, (each) => each);
    else if (option === "--rounds") rounds = positiveInteger(option, value);
    else if (option === "--seconds") seconds = positiveInteger(option, value);
    else if (option === "--name" && /^[\w-]+$/.test(value)) name = value;
    else if (arg === "--quick") [rounds, transportMs] = [1, 20];
    else throw new UsageError(`Unknown option or value: ${arg}. The head of bench/hop.ts lists them.`);
  }
  return { runtimes, rounds, seconds, transportMs, name };
}

async function measure(
  runtime: BenchRuntime,
  generator: LoadGenerator,
  { rounds, seconds, transportMs }: Options,
  folder: string,
): Promise<HopFinding> {
  const models = await measureModels(runtime, generator, rounds, seconds, folder);
  const program = decodeURIComponent(new URL("hop/transport_program.ts", import.meta.url).pathname);
  const argv = [...runtime.command, program, `${rounds}`, `${transportMs}`];
  const { exitCode, output } = await runCommand(argv, { cwd: folder, deadlineMs: TRANSPORT_DEADLINE_MS });
  const line = output.split("\n").find((each) => each.startsWith("["));
  if (exitCode !== 0 || line === undefined) throw new Error(`The ways between threads were not measured.\n${output}`);
  const transports = JSON.parse(line) as TransportRound[];
  return { runtime: runtime.name, version: runtime.version, models, transports };
}

/** What was kept of an earlier run about other runtimes. */
async function readOthers(path: string, measured: readonly RuntimeName[]): Promise<HopFinding[]> {
  try {
    const { findings } = JSON.parse(await Deno.readTextFile(path)) as HopReport;
    return findings.filter(({ runtime }) => !measured.includes(runtime));
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return [];
    throw error;
  }
}

async function main(): Promise<number> {
  if (Deno.build.os !== "linux") throw new UsageError("The CPU times are read from /proc, which only Linux has.");
  const options = readOptions(Deno.args);
  const root = decodeURIComponent(new URL("..", import.meta.url).pathname).replace(/\/$/, "");
  const folder = await Deno.makeTempDir({ prefix: "trivet-hop-" });
  const path = `${root}/bench/results/${options.name}`;
  const trivet = JSON.parse(await Deno.readTextFile(`${root}/deno.json`)).version + await describeSource(root);
  const generator = await findLoadGenerator(root);
  const findings = options.name === null ? [] : await readOthers(`${path}.json`, options.runtimes);
  try {
    for (const runtime of await findRuntimes(options.runtimes, root, folder)) {
      findings.push(await measure(runtime, generator, options, folder));
      console.log(`Measured on ${runtime.title} ${runtime.version}.`);
    }
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
  findings.sort((a, b) => RUNTIME_NAMES.indexOf(a.runtime) - RUNTIME_NAMES.indexOf(b.runtime));
  const report: HopReport = {
    date: new Date().toISOString(),
    machine: machineOfReport(),
    trivet,
    loadGenerator: generator.title,
    rounds: options.rounds,
    findings,
  };
  const markdown = markdownOf(report);
  console.log(`\n${markdown}`);
  if (options.name !== null) {
    await Deno.mkdir(`${root}/bench/results`, { recursive: true });
    await Deno.writeTextFile(`${path}.json`, `${JSON.stringify(report, null, 2)}\n`);
    await Deno.writeTextFile(`${path}.md`, markdown);
    console.log(`Written to bench/results/${options.name}.json and .md.`);
  }
  return findings.some(({ models }) => models.some(({ problems }) => problems.length > 0)) ? 1 : 0;
}

try {
  Deno.exit(await main());
} catch (error) {
  if (!(error instanceof UsageError)) throw error;
  console.error(error.message);
  Deno.exit(2);
}
