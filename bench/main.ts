/**
 * The load benchmark: Trivet, the runtimes' own servers and others, under the same load in the same run.
 *
 * Usage: `deno task bench [--quick] [--runtime=deno,bun,node] [--scenario=hello,json] [--contender=trivet,before]
 * [--rounds=3] [--seconds=2] [--before=COMMIT] [--name=load]`. With `--before` Trivet as of another commit is measured beside it. A run of
 * everything writes `bench/results/load.*`; a quick or partial one only prints, unless it is given a name. It fails when
 * a response of any contender was wrong. It needs Linux, whose /proc has the CPU times.
 *
 * @module
 */

import {
  CONTENDERS,
  describeSource,
  findRuntimes,
  installPackages,
  type Packages,
  RUNTIME_NAMES,
  type RuntimeName,
} from "./contenders.ts";
import { chartOf } from "./chart.ts";
import { positiveInteger, select, UsageError } from "./command_line.ts";
import { type IdleMemory, measureIdleMemory } from "./idle_memory.ts";
import { findLoadGenerator } from "./load.ts";
import { findSteadyGenerator } from "./steady_load.ts";
import { type Measurement, measureScenario, type Method } from "./measure.ts";
import { type BenchReport, idleFigure, machineOfReport, markdownOf, progressLine } from "./report.ts";
import { type ContenderName, type Scenario, SCENARIOS } from "./scenarios.ts";

/** What the command line asks for. */
interface Options {
  readonly quick: boolean;
  readonly runtimes: readonly RuntimeName[];
  readonly scenarios: readonly Scenario[];
  /** Who is measured; `null` for all. */
  readonly contenders: readonly ContenderName[] | null;
  readonly measuresIdle: boolean;
  readonly rounds: number;
  readonly seconds: number;
  /** The commit to compare with; `null` for none. */
  readonly before: string | null;
  /** Of the files of results; `null` to write none. */
  readonly name: string | null;
}

const DEFAULT_NAME = "load";
const DEFAULT_ROUNDS = 3;
const DEFAULT_SECONDS = 2;
/** What JavaScript is compiled by last comes after a second or two: with one, Trivet takes up to 25 % more. */
const WARM_UP_SECONDS = 3;
const IDLE_CONNECTIONS = 10_000;
const QUICK_IDLE_CONNECTIONS = 1_000;
/** The name by which the memory of idle connections is selected among the scenarios. */
const IDLE = "idle";
const NO_PACKAGES: Packages = { folder: null, versions: {}, problem: "" };

function readOptions(args: readonly string[]): Options {
  let quick = false;
  let runtimes = RUNTIME_NAMES;
  let scenarios: readonly Scenario[] = SCENARIOS;
  let contenders: readonly ContenderName[] | null = null;
  let measuresIdle = true;
  let rounds: number | null = null;
  let seconds: number | null = null;
  let before: string | null = null;
  let name: string | null = null;
  for (let index = 0; index < args.length; index++) {
    const [option, attached] = args[index].split(/=(.*)/s);
    if (option === "--quick") {
      quick = true;
      continue;
    }
    const value = attached ?? args[++index] ?? "";
    if (option === "--runtime") runtimes = select("runtime", RUNTIME_NAMES, value, (runtime) => runtime);
    else if (option === "--contender") {
      contenders = select("contender", Object.keys(CONTENDERS) as ContenderName[], value, (contender) => contender);
    } else if (option === "--scenario") {
      const selected = select("scenario", [...SCENARIOS.map((scenario) => scenario.name), IDLE], value, (each) => each);
      scenarios = SCENARIOS.filter((scenario) => selected.includes(scenario.name));
      measuresIdle = selected.includes(IDLE);
    } else if (option === "--before" && value !== "") before = value;
    else if (option === "--rounds") rounds = positiveInteger(option, value);
    else if (option === "--seconds") seconds = positiveInteger(option, value);
    else if (option === "--name" && /^[\w-]+$/.test(value)) name = value;
    else throw new UsageError(`Unknown option or value: ${args[index]}. The head of bench/main.ts lists them.`);
  }
  const isOfAll = runtimes.length === RUNTIME_NAMES.length && scenarios.length === SCENARIOS.length && measuresIdle;
  const isWhole = isOfAll && contenders === null && !quick && before === null;
  return {
    quick,
    runtimes,
    scenarios,
    contenders,
    measuresIdle,
    before,
    rounds: rounds ?? (quick ? 1 : DEFAULT_ROUNDS),
    seconds: seconds ?? (quick ? 1 : DEFAULT_SECONDS),
    name: name ?? (isWhole ? DEFAULT_NAME : null),
  };
}

/** Quick runs leave out what is from npm, and warm up by being measured. */
function contendersOf({ quick, contenders }: Options): ContenderName[] {
  const names = Object.keys(CONTENDERS) as ContenderName[];
  return names.filter((name) => (!quick || !CONTENDERS[name].isPackage) && (contenders?.includes(name) ?? true));
}

async function run(options: Options, root: string, folder: string): Promise<BenchReport> {
  const source = await describeSource(root);
  const runtimes = await findRuntimes(options.runtimes, root, folder, { before: options.before ?? undefined });
  const needsPackages = !options.quick && options.runtimes.includes("node");
  const packages = needsPackages ? await installPackages(folder) : NO_PACKAGES;
  if (packages.problem !== "") console.log(`Without the packages of npm, which could not be had: ${packages.problem}`);
  const generator = await findLoadGenerator(root);
  const steadyGenerator = await findSteadyGenerator(root);
  const { rounds, seconds } = options;
  const warmUpSeconds = options.quick ? 0 : WARM_UP_SECONDS;
  const notes = packages.problem === "" ? [] : [`The packages of npm could not be had: ${packages.problem}`];
  const canBeSteady = steadyGenerator !== null && warmUpSeconds > 0;
  if (!canBeSteady && options.scenarios.some(({ requestsPerSecond }) => requestsPerSecond !== null)) {
    notes.push("The loads of so many requests a second were left out: they need h2load and a warm-up.");
  }
  const method: Method = {
    rounds,
    seconds,
    warmUpSeconds,
    generator,
    steadyGenerator,
    packages,
    contenders: contendersOf(options),
    folder,
  };
  const measurements: Measurement[] = [];
  for (const scenario of options.scenarios) {
    if (scenario.requestsPerSecond !== null && !canBeSteady) continue;
    for (const runtime of runtimes) {
      const found = await measureScenario(scenario, runtime, method);
      measurements.push(...found);
      console.log(progressLine(scenario, runtime.title, found));
    }
  }
  const idle: IdleMemory[] = [];
  for (const runtime of options.measuresIdle ? runtimes : []) {
    const found = await measureIdleMemory(runtime, options.quick ? QUICK_IDLE_CONNECTIONS : IDLE_CONNECTIONS);
    idle.push(...found);
    console.log(`idle connections on ${runtime.title}, KiB each: ${found.map(idleFigure).join(", ")}`);
  }
  return {
    date: new Date().toISOString(),
    machine: machineOfReport(),
    versions: {
      ...Object.fromEntries(runtimes.map(({ title, version }) => [title, version])),
      ...packages.versions,
      Trivet: JSON.parse(await Deno.readTextFile(`${root}/deno.json`)).version + source,
      "load generators": [generator, ...steadyGenerator === null ? [] : [steadyGenerator]].map(({ title }) => title)
        .join(" and "),
    },
    method: { rounds, seconds, warmUpSeconds },
    notes,
    measurements,
    idle,
  };
}

async function main(): Promise<number> {
  if (Deno.build.os !== "linux") throw new UsageError("The CPU times are read from /proc, which only Linux has.");
  const options = readOptions(Deno.args);
  const root = decodeURIComponent(new URL("..", import.meta.url).pathname).replace(/\/$/, "");
  const folder = await Deno.makeTempDir({ prefix: "trivet-bench-" });
  let report: BenchReport;
  try {
    report = await run(options, root, folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
  const markdown = markdownOf(report);
  console.log(`\n${markdown}`);
  if (options.name !== null) {
    const path = `${root}/bench/results/${options.name}`;
    await Deno.mkdir(`${root}/bench/results`, { recursive: true });
    await Deno.writeTextFile(`${path}.json`, `${JSON.stringify(report, null, 2)}\n`);
    await Deno.writeTextFile(`${path}.md`, markdown);
    await Deno.writeTextFile(`${path}.svg`, chartOf(report));
    console.log(`Written to bench/results/${options.name}.json, .md and .svg.`);
  }
  const wrong = [...report.measurements, ...report.idle].filter(({ problems }) => problems.length > 0);
  if (wrong.length > 0) console.log(`${wrong.length} measurements had problems; they are listed above.`);
  return wrong.length === 0 ? 0 : 1;
}

try {
  Deno.exit(await main());
} catch (error) {
  if (!(error instanceof UsageError)) throw error;
  console.error(error.message);
  Deno.exit(2);
}
