/**
 * Stress: servers that are started and stopped, whose threads are killed, that are kept busy or attacked, each for a
 * bounded time.
 *
 * Usage: `deno run -A bench/stress.ts [--runtime=deno,bun,node] [--only=rounds,kills,light,attack] [--case=hybrid]
 * [--rounds=100] [--seconds=60] [--quick] [--name=stress]`. It prints what it found as Markdown, writes it to
 * `bench/results/` when it is given a name, and fails when something was violated. It needs Linux, whose /proc has
 * threads and descriptors.
 *
 * @module
 */

import { positiveInteger, select, UsageError } from "./command_line.ts";
import { type BenchRuntime, describeSource, findRuntimes, RUNTIME_NAMES, type RuntimeName } from "./contenders.ts";
import { machineOfReport } from "./report.ts";
import { ATTACK } from "./stress/attack.ts";
import { KILLS } from "./stress/kills.ts";
import { LIGHT } from "./stress/light.ts";
import { type Finding, markdownOf, type StressReport } from "./stress/report.ts";
import { ROUNDS } from "./stress/rounds.ts";
import type { StressOptions, StressProgram } from "./stress/trial.ts";

/** What the command line asks for. */
interface Options extends StressOptions {
  readonly runtimes: readonly RuntimeName[];
  readonly programs: readonly StressProgram[];
  /** A part of the titles of the cases that are run. */
  readonly casePart: string;
  /** Of the files of results; `null` to write none. */
  readonly name: string | null;
}

const PROGRAMS: readonly StressProgram[] = [ROUNDS, KILLS, LIGHT, ATTACK];
const DEFAULT_ROUNDS = 100;
const DEFAULT_SECONDS = 60;

const startMs = performance.now();

function readOptions(args: readonly string[]): Options {
  let isQuick = false;
  let runtimes = RUNTIME_NAMES;
  let programs = PROGRAMS;
  let casePart = "";
  let rounds = DEFAULT_ROUNDS;
  let seconds = DEFAULT_SECONDS;
  let name: string | null = null;
  for (let index = 0; index < args.length; index++) {
    const [option, attached] = args[index].split(/=(.*)/s);
    if (option === "--quick") {
      isQuick = true;
      continue;
    }
    const value = attached ?? args[++index] ?? "";
    if (option === "--runtime") runtimes = select("runtime", RUNTIME_NAMES, value, (each) => each);
    else if (option === "--only") programs = select("program", PROGRAMS, value, (each) => each.name);
    else if (option === "--case") casePart = value;
    else if (option === "--rounds") rounds = positiveInteger(option, value);
    else if (option === "--seconds") seconds = positiveInteger(option, value);
    else if (option === "--name" && /^[\w-]+$/.test(value)) name = value;
    else throw new UsageError(`Unknown option or value: ${args[index]}. The head of bench/stress.ts lists them.`);
  }
  return { isQuick, runtimes, programs, casePart, rounds, seconds, name };
}

async function run(options: Options, root: string, folder: string): Promise<StressReport> {
  const source = await describeSource(root);
  const runtimes = await findRuntimes(options.runtimes, root, folder);
  const findings: Finding[] = [];
  for (const program of options.programs) {
    const runOn = async (runtime: BenchRuntime): Promise<Finding[]> => {
      const found: Finding[] = [];
      for (const { title, run } of program.cases) {
        if (!title.includes(options.casePart)) continue;
        const say = (line: string): void => progress(`${runtime.title}, ${program.name}, ${title}: ${line}`);
        const trial = await run(runtime, options, say);
        found.push({ program: program.name, runtime: runtime.name, trial });
        say(trial.violations.length === 0 ? "nothing violated" : `VIOLATED: ${trial.violations.join("; ")}`);
      }
      return found;
    };
    if (options.isQuick && program.sharesMachine === true) {
      findings.push(...(await Promise.all(runtimes.map(runOn))).flat());
    } else {
      for (const runtime of runtimes) findings.push(...await runOn(runtime));
    }
  }
  return {
    date: new Date().toISOString(),
    machine: machineOfReport(),
    versions: {
      ...Object.fromEntries(runtimes.map(({ title, version }) => [title, version])),
      Trivet: JSON.parse(await Deno.readTextFile(`${root}/deno.json`)).version + source,
    },
    options: { rounds: options.rounds, seconds: options.seconds, isQuick: options.isQuick },
    findings,
  };
}

function progress(line: string): void {
  console.log(`[${((performance.now() - startMs) / 1000).toFixed(0).padStart(4)} s] ${line}`);
}

async function main(): Promise<number> {
  if (Deno.build.os !== "linux") throw new UsageError("Threads and descriptors are read from /proc, of Linux.");
  const options = readOptions(Deno.args);
  const root = decodeURIComponent(new URL("..", import.meta.url).pathname).replace(/\/$/, "");
  const folder = await Deno.makeTempDir({ prefix: "trivet-stress-" });
  let report: StressReport;
  try {
    report = await run(options, root, folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
  const markdown = markdownOf(report, options.programs);
  console.log(`\n${markdown}`);
  if (options.name !== null) {
    const path = `${root}/bench/results/${options.name}`;
    await Deno.mkdir(`${root}/bench/results`, { recursive: true });
    await Deno.writeTextFile(`${path}.json`, `${JSON.stringify(report, null, 2)}\n`);
    await Deno.writeTextFile(`${path}.md`, markdown);
    console.log(`Written to bench/results/${options.name}.json and .md.`);
  }
  const violated = report.findings.filter(({ trial }) => trial.violations.length > 0).length;
  if (violated > 0) console.log(`In ${violated} cases something was violated; it is listed above.`);
  return violated === 0 ? 0 : 1;
}

try {
  Deno.exit(await main());
} catch (error) {
  if (!(error instanceof UsageError)) throw error;
  console.error(error.message);
  Deno.exit(2);
}
