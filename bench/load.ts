/**
 * The load benchmark: Trivet, the runtimes' own servers and others, under the same load in the same run.
 *
 * Usage: `deno task bench [--quick] [--runtime=deno,bun,node] [--scenario=hello,json] [--contender=trivet,native]
 * [--rounds=3] [--starts=1] [--seconds=0.4] [--warm-up=2] [--before=COMMIT] [--name=load] [--add]`. With `--before` Trivet as of
 * another commit is measured in the same rounds. Results are written when a name is given; with `--add` those of earlier
 * runs of that name stay, so that parts can be measured one after another. It fails when a response of
 * any contender was wrong. It needs Linux and wrk.
 *
 * @module
 */

import { buildPeers, type ContenderName, contenderOf, CONTENDERS, NO_PEERS } from "./load/contenders.ts";
import { findGenerators } from "./load/generators.ts";
import { type Measurement, measureScenario, type Method } from "./load/measure.ts";
import { SCENARIOS } from "./load/scenarios.ts";
import { progressLine, sectionsOf } from "./load/sections.ts";
import { measureState, type StateFinding, STATES, stateSections } from "./load/states.ts";
import { amount, choice, NAME, runProgram, type Site, SWITCH, TEXT, type Values } from "./program.ts";
import { type Report, versionsOf } from "./report.ts";
import { describeSource, findRuntimes, installPackages, RUNTIME_NAMES, type RuntimeName } from "./runtimes.ts";

const CONTENDER_NAMES = Object.keys(CONTENDERS) as ContenderName[];
/** Its compilers are at work still, so that the figures of a quick run are not the ones to quote. */
const QUICK_WARM_UP_SECONDS = 0.4;
const QUICK_CONTENDERS: readonly ContenderName[] = ["trivet", "trivet-fast", "native"];
const MEASURED: readonly string[] = [...SCENARIOS, ...STATES].map(({ name }) => name);
const QUICK_MEASURED: readonly string[] = SCENARIOS.filter(({ isQuick }) => isQuick).map(({ name }) => name);

const OPTIONS = {
  quick: SWITCH,
  runtime: choice(RUNTIME_NAMES, (each) => each),
  scenario: choice<string>(MEASURED, (each) => each, []),
  contender: choice<ContenderName>(CONTENDER_NAMES, (each) => each, []),
  rounds: amount(3),
  starts: amount(1),
  seconds: amount(0.4),
  "warm-up": amount(2),
  before: TEXT,
  add: SWITCH,
  name: NAME,
};

await runProgram(OPTIONS, run);

async function run(options: Values<typeof OPTIONS>, site: Site): Promise<{ report: Report; name: string | null }> {
  const { quick, rounds, seconds, starts, name, before } = options;
  const { root, folder, say } = site;
  const selected = options.scenario.length > 0 ? options.scenario : quick ? QUICK_MEASURED : MEASURED;
  const contenders = options.contender.length > 0 ? options.contender : quick ? QUICK_CONTENDERS : CONTENDER_NAMES;
  const scenarios = SCENARIOS.filter((each) => selected.includes(each.name));
  const source = await describeSource(root);
  const runtimes = await findRuntimes(options.runtime, root, folder, before);
  const generators = await findGenerators(root);
  const needed = [...new Set(scenarios.flatMap((each) => each.contenders))].filter((each) => contenders.includes(each));
  const peerFiles = needed.filter((each) => contenderOf(each).isPeer).map((each) => contenderOf(each).file);
  const peers = peerFiles.length === 0 ? NO_PEERS : await buildPeers(peerFiles, folder);
  const needsPackages = needed.some((each) => contenderOf(each).isPackage) ||
    scenarios.some(({ handler }) => /^(hono|h3)/.test(handler));
  const packages = needsPackages ? await installPackages(folder) : { folder: null, versions: {}, problem: "" };
  const notes = [...peers.missing];
  if (packages.problem !== "") {
    notes.push(`The packages of npm are left out, since they can't be had: ${packages.problem}`);
  }
  if (generators.h2load === null) {
    notes.push("Loads of so many requests a second are left out, since h2load is missing.");
  }
  for (const note of notes) say(note);
  const warmUpSeconds = quick ? QUICK_WARM_UP_SECONDS : options["warm-up"];
  const method: Method = {
    rounds: quick ? 1 : rounds,
    seconds,
    starts,
    warmUpSeconds,
    packages: packages.folder ?? "",
    peers,
    contenders,
    folder,
  };

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
  const versions = {
    ...await versionsOf(runtimes, root, source),
    ...packages.versions,
    ...peers.versions,
    wrk: generators.wrk,
    ...generators.h2load !== null && { h2load: generators.h2load },
  };
  const text =
    `Medians of ${method.rounds * starts} alternating rounds of ${seconds} s after ${warmUpSeconds} s of load, ` +
    `of servers that were started ${
      starts === 1 ? "once" : `${starts} times`
    }, pinned to one processor where there are ` +
    `two.${notes.map((note) => ` ${note}`).join("")}`;
  const figures = options.add && name !== null
    ? await added({ measurements, states, versions }, `${root}/bench/results/${name}.json`)
    : { measurements, states, versions };
  return { report: reportOf(figures, text), name };
}

/** What a run has found, as it is kept. */
interface Figures {
  readonly measurements: readonly Measurement[];
  readonly states: readonly StateFinding[];
  readonly versions: Readonly<Record<string, string>>;
}

/** What was found now, in front of what is kept of parts of the same run that were measured before. */
async function added({ measurements, states, versions }: Figures, path: string): Promise<Figures> {
  const text = await Deno.readTextFile(path).catch(() => null);
  const kept: Figures = text === null ? { measurements: [], states: [], versions: {} } : JSON.parse(text).figures;
  const isNew = <T extends { runtime: string; contender: string }>(found: readonly T[], what: (each: T) => string) => {
    const names = new Set(found.map((each) => `${what(each)} ${each.runtime} ${each.contender}`));
    return (each: T) => !names.has(`${what(each)} ${each.runtime} ${each.contender}`);
  };
  const inOrder = <T extends { runtime: RuntimeName }>(all: readonly T[], what: (each: T) => string): readonly T[] =>
    all.toSorted((a, b) =>
      MEASURED.indexOf(what(a)) - MEASURED.indexOf(what(b)) ||
      RUNTIME_NAMES.indexOf(a.runtime) - RUNTIME_NAMES.indexOf(b.runtime)
    );
  const [scenarioOf, stateOf] = [(each: Measurement) => each.scenario, (each: StateFinding) => each.state];
  return {
    measurements: inOrder([...measurements, ...kept.measurements.filter(isNew(measurements, scenarioOf))], scenarioOf),
    states: inOrder([...states, ...kept.states.filter(isNew(states, stateOf))], stateOf),
    versions: { ...kept.versions, ...versions },
  };
}

function reportOf(figures: Figures, method: string): Report {
  const { measurements, states, versions } = figures;
  const sections = sectionsOf(measurements);
  sections.splice(-1, 0, ...stateSections(states));
  const problems = [...measurements, ...states].flatMap(({ runtime, contender, problems, ...what }) =>
    problems.map((problem) =>
      `${"scenario" in what ? what.scenario : what.state} on ${runtime}, ${contender}: ${problem}`
    )
  );
  return { title: "Load benchmark", method, versions, sections, problems, figures };
}
