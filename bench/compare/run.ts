/**
 * A run of the lab: every experiment for every model on every runtime that is asked for, one after another.
 *
 * @module
 */

import { UsageError } from "../command_line.ts";
import { type BenchRuntime, describeSource, findRuntimes } from "../contenders.ts";
import { machineOfReport } from "../report.ts";
import { chartOf } from "./chart.ts";
import type { Contestant } from "./contestants.ts";
import type { Experiment, Round } from "./experiment.ts";
import { formatRate } from "./format.ts";
import { Lab } from "./lab.ts";
import { CLIENTS } from "./latency_experiment.ts";
import { type CompareOptions, readOptions } from "./options.ts";
import { Patience } from "./patience.ts";
import { type CompareReport, type Finding, type LabSetup, markdownOf, problemsOf, progressLine } from "./report.ts";

const startMs = performance.now();

/** Runs what the arguments ask for, and gives the exit code. */
export async function main(args: readonly string[]): Promise<number> {
  try {
    if (Deno.build.os !== "linux") throw new UsageError("CPU times and memory are read from /proc, of Linux.");
    const options = readOptions(args);
    const root = decodeURIComponent(new URL("../..", import.meta.url).pathname).replace(/\/$/, "");
    const folder = await Deno.makeTempDir({ prefix: "trivet-compare-" });
    let report: CompareReport;
    try {
      report = await run(options, root, folder);
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
    return await conclude(report, options, root);
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    console.error(error.message);
    return 2;
  }
}

async function run(options: CompareOptions, root: string, folder: string): Promise<CompareReport> {
  const source = await describeSource(root);
  const runtimes = await findRuntimes(options.runtimes, root, folder, { program: options.program ?? undefined });
  const labs: LabSetup[] = [];
  const findings: Finding[] = [];
  for (const runtime of runtimes) {
    const lab = new Lab(runtime, options.isQuick);
    const patience = new Patience(options.isPatient);
    await patience.untilQuiet();
    labs.push(await setUp(lab));
    for (const experiment of options.experiments) {
      findings.push(...await measureExperiment(lab, experiment, options, patience));
    }
  }
  return {
    date: new Date().toISOString(),
    machine: machineOfReport(),
    versions: {
      ...Object.fromEntries(runtimes.map(({ title, version }) => [title, version])),
      Trivet: JSON.parse(await Deno.readTextFile(`${root}/deno.json`)).version + source,
    },
    isQuick: options.isQuick,
    repetitions: options.repetitions,
    seconds: (performance.now() - startMs) / 1000,
    labs,
    findings,
  };
}

async function setUp(lab: Lab): Promise<LabSetup> {
  await lab.calibrate();
  const load = await lab.measureGenerator(CLIENTS, lab.isQuick ? 0.5 : 2);
  const { computeRounds, generatorPerSecond } = lab;
  say(
    lab.runtime,
    `the load client reaches ${
      formatRate(generatorPerSecond)
    } requests/s against raw TCP; ${computeRounds} rounds of ` +
      "the hash are a heavy request",
  );
  return { runtime: lab.runtime.name, computeRounds, generatorPerSecond, generatorCpuShare: load.clientCpuShare };
}

async function measureExperiment(
  lab: Lab,
  experiment: Experiment,
  { isQuick, models, repetitions }: CompareOptions,
  patience: Patience,
): Promise<Finding[]> {
  const chosen = (isQuick ? experiment.quickContestants : experiment.contestants)
    .filter(({ name }) => models.includes(name));
  const rounds = chosen.map((): Round[][] => []);
  const failures = chosen.map(() => "");
  const discarded = chosen.map(() => 0);
  for (let repetition = 0; repetition < repetitions; repetition++) {
    // Every other time backwards, so that a machine that gets slower or faster favours nobody.
    const order = repetition % 2 === 0 ? chosen : chosen.toReversed();
    for (const contestant of order) {
      const at = chosen.indexOf(contestant);
      if (failures[at] !== "") continue;
      try {
        const found = await patience.measure(() => measureContestant(lab, experiment, contestant));
        rounds[at].push(found.rounds);
        discarded[at] += found.discarded;
      } catch (error) {
        failures[at] = error instanceof Error ? error.message : String(error);
        say(lab.runtime, `${experiment.name}: ${contestant.title}: FAILED. ${failures[at]}`);
      }
    }
  }
  return chosen.map(({ name }, at) => ({
    runtime: lab.runtime.name,
    experiment: experiment.name,
    contestant: name,
    rounds: rounds[at],
    discarded: discarded[at],
    failure: failures[at],
  }));
}

async function measureContestant(lab: Lab, experiment: Experiment, contestant: Contestant): Promise<Round[]> {
  const rounds = await experiment.measure(lab, contestant);
  for (const round of rounds) say(lab.runtime, `${experiment.name}: ${progressLine(contestant, round, experiment)}`);
  return rounds;
}

function say({ title }: BenchRuntime, line: string): void {
  console.log(`[${((performance.now() - startMs) / 1000).toFixed(0).padStart(3)} s] ${title}, ${line}`);
}

async function conclude(report: CompareReport, options: CompareOptions, root: string): Promise<number> {
  const { experiments, name } = options;
  const markdown = markdownOf(report, experiments, name ?? "");
  console.log(`\n${markdown}`);
  if (name !== null) {
    const folder = `${root}/bench/results`;
    await Deno.mkdir(folder, { recursive: true });
    await Deno.writeTextFile(`${folder}/${name}.json`, `${JSON.stringify(report, null, 2)}\n`);
    await Deno.writeTextFile(`${folder}/${name}.md`, markdown);
    for (const experiment of experiments) {
      const chart = chartOf(report, experiment);
      if (chart !== null) await Deno.writeTextFile(`${folder}/${name}_${experiment.name}.svg`, chart);
    }
    console.log(`Written to bench/results/${name}.json and .md, with a chart for each experiment beside them.`);
  }
  const problems = problemsOf(report);
  if (problems.length > 0) console.log(`There were ${problems.length} problems; they are listed above.`);
  return problems.length === 0 ? 0 : 1;
}
