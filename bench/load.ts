/**
 * The load benchmark: Trivet, the runtimes' own servers and others, under the same load in the same run.
 *
 * Usage: `deno task bench [--quick] [--runtime=deno,bun,node] [--scenario=hello,json] [--contender=trivet,native]
 * [--rounds=3] [--starts=1] [--seconds=0.4] [--warm-up=2] [--before=COMMIT] [--name=load] [--add]`. With `--before` Trivet
 * as of another commit is measured in the same rounds. Results are written when a name is given; with `--add` those of
 * earlier runs of that name stay, so that parts can be measured one after another. It fails when a response of any
 * contender was wrong. It needs Linux and wrk.
 *
 * @module
 */

import { type ContenderName, contenderOf, CONTENDERS, type Found } from "./load/contenders.ts";
import { findGenerators } from "./load/generators.ts";
import { type Measurement, measureScenario, type Method } from "./load/measure.ts";
import { buildPeers } from "./load/peers.ts";
import { SCENARIOS } from "./load/scenarios.ts";
import { progressLine, sectionsOf } from "./load/sections.ts";
import { measureState, type StateFinding, STATES, stateSections } from "./load/states.ts";
import { amount, choice, runProgram, SWITCH } from "./program.ts";
import { findProgram, installPackages, NO_PACKAGES, RUNTIME_NAMES, type RuntimeName } from "./runtimes.ts";

const CONTENDER_NAMES = Object.keys(CONTENDERS) as ContenderName[];
/** Its compilers are at work still, so that the figures of a quick run are not the ones to quote. */
const QUICK_WARM_UP_SECONDS = 0.4;
const QUICK_CONTENDERS: readonly ContenderName[] = ["trivet", "trivet-fast", "native"];
const MEASURED: readonly string[] = [...SCENARIOS, ...STATES].map(({ name }) => name);
const QUICK_MEASURED: readonly string[] = SCENARIOS.filter(({ isQuick }) => isQuick).map(({ name }) => name);

const OPTIONS = {
  scenario: choice<string>(MEASURED, []),
  contender: choice<ContenderName>(CONTENDER_NAMES, []),
  rounds: amount(3),
  starts: amount(1),
  seconds: amount(0.4),
  "warm-up": amount(2),
  add: SWITCH,
};

await runProgram(OPTIONS, async (options, { root, folder, runtimes, versions, say }) => {
  const { quick, seconds, starts, name } = options;
  const selected = options.scenario.length > 0 ? options.scenario : quick ? QUICK_MEASURED : MEASURED;
  const contenders = options.contender.length > 0 ? options.contender : quick ? QUICK_CONTENDERS : CONTENDER_NAMES;
  const scenarios = SCENARIOS.filter((each) => selected.includes(each.name));
  const generators = await findGenerators(root);
  const needed = new Set(scenarios.flatMap((each) => each.contenders).filter((each) => contenders.includes(each)));
  const kinds = (kind: string) => [...needed].map(contenderOf).filter((each) => each.kind === kind);
  const peers = await buildPeers(kinds("peer").map(({ file }) => file), folder);
  const needsPackages = kinds("package").length > 0 || selected.some((each) => /^(hono|h3|ws)-/.test(each));
  const packages = needsPackages ? await installPackages(folder) : NO_PACKAGES;
  const notes = [...peers.missing];
  if (packages.problem !== "") {
    notes.push(`The packages of npm are left out, since they can't be had: ${packages.problem}`);
  }
  if (generators.h2load === null) {
    notes.push("Loads of so many requests a second are left out, since h2load is missing.");
  }
  for (const note of notes) say(note);
  const warmUpSeconds = quick ? QUICK_WARM_UP_SECONDS : options["warm-up"];
  const rounds = quick ? 1 : options.rounds;
  const node = (await findProgram("node", root)).path;
  const found: Found = { packages: packages.folder, peers };
  const method: Method = { ...found, rounds, seconds, starts, warmUpSeconds, contenders, folder, node };

  const measurements: Measurement[] = [];
  for (const scenario of scenarios) {
    if (scenario.requestsPerSecond !== null && (generators.h2load === null || warmUpSeconds === 0)) continue;
    for (const runtime of runtimes) {
      const found = await measureScenario(scenario, runtime, method);
      measurements.push(...found);
      say(progressLine(scenario, runtime.title, found));
    }
  }
  const states: StateFinding[] = [];
  for (const state of STATES.filter((each) => selected.includes(each.name))) {
    const found = await measureState(state, runtimes, method, quick);
    states.push(...found);
    say(`${state.title}: ${found.map((each) => `${each.contender} ${each.figures.join(" ")}`).join("; ")}`);
  }
  const { wrk, h2load } = generators;
  const ofAll = { ...versions, ...packages.versions, ...peers.versions, wrk, ...h2load !== null && { h2load } };
  const all = { measurements, states, versions: ofAll };
  const figures = options.add && name !== null ? await added(all, `${root}/bench/results/${name}.json`) : all;
  const started = starts === 1 ? "once" : `${starts} times`;
  return {
    title: "Load benchmark",
    method: `Medians of ${rounds * starts} alternating rounds of ${seconds} s after ${warmUpSeconds} s of load, of ` +
      `servers that were started ${started}, pinned to one processor where there are two.` +
      notes.map((note) => ` ${note}`).join(""),
    versions: figures.versions,
    sections: [...sectionsOf(figures.measurements).toSpliced(-1, 0, ...stateSections(figures.states))],
    problems: [
      ...figures.measurements.flatMap((each) => problemsOf(each.scenario, each)),
      ...figures.states.flatMap((each) => problemsOf(each.state, each)),
    ],
    figures,
  };
});

function problemsOf(what: string, { runtime, contender, problems }: Measurement | StateFinding): string[] {
  return problems.map((problem) => `${what} on ${runtime}, ${contender}: ${problem}`);
}

/** What a run has found, as it is kept. */
interface Figures {
  readonly measurements: readonly Measurement[];
  readonly states: readonly StateFinding[];
  readonly versions: Readonly<Record<string, string>>;
}

/** What was found now, with what is kept of parts of the same run that were measured before. */
async function added({ measurements, states, versions }: Figures, path: string): Promise<Figures> {
  const text = await Deno.readTextFile(path).catch(() => null);
  const kept: Figures = text === null ? { measurements: [], states: [], versions: {} } : JSON.parse(text).figures;
  const joined = <T extends { runtime: RuntimeName; contender: string }>(
    now: readonly T[],
    before: readonly T[],
    what: (each: T) => string,
  ): T[] => {
    const key = (each: T) => `${what(each)} ${each.runtime} ${each.contender}`;
    const found = new Map([...before, ...now].map((each) => [key(each), each]));
    const rank = (each: T) => 10 * MEASURED.indexOf(what(each)) + RUNTIME_NAMES.indexOf(each.runtime);
    return [...found.values()].sort((a, b) => rank(a) - rank(b));
  };
  return {
    measurements: joined(measurements, kept.measurements, ({ scenario }) => scenario),
    states: joined(states, kept.states, ({ state }) => state),
    versions: { ...kept.versions, ...versions },
  };
}
