/**
 * The load benchmark: Trivet, the runtimes' own servers and others, under the same load in the same run.
 *
 * Usage: `deno task bench [--quick] [--runtime=deno,bun,node] [--scenario=hello,json] [--contender=trivet,native]
 * [--rounds=3] [--starts=1] [--seconds=0.4] [--warm-up=2] [--before=COMMIT] [--name=load] [--add]`. With `--before` Trivet
 * as of another commit is measured in the same rounds. Results are written when a name is given; with `--add` those of
 * earlier runs of that name stay, so that parts can be measured one after another. It fails when a response of any
 * contender was wrong. It needs Linux and wrk.
 */

import { buildPeers, type ContenderName, CONTENDERS, type Method } from "./load/contenders.ts";
import { findGenerators, MAX_WARM_UPS } from "./load/generators.ts";
import { type Measurement, measureScenario } from "./load/measure.ts";
import { SCENARIOS } from "./load/scenarios.ts";
import { progressLine, sectionsOf } from "./load/sections.ts";
import { STATES, statesOf } from "./load/states.ts";
import { chosen, runExperiments, runProgram } from "./program.ts";
import { type Finding, problemsOf, sectionOf } from "./report.ts";
import { findProgram, installPackages, NO_PACKAGES, RUNTIME_NAMES } from "./runtimes.ts";

const CONTENDER_NAMES = Object.keys(CONTENDERS) as ContenderName[];
/** Up to then the threads of compilers were seen at work on a handler of Hono, on all three runtimes. */
const WARM_UP_REQUESTS = 200_000;
/** Compilers are at work still, so that the figures of a quick run are not the ones to quote. */
const QUICK = { rounds: 1, "warm-up": 0.4 };
const QUICK_CONTENDERS = "trivet,trivet-fast,native";
const MEASURED: readonly string[] = [...SCENARIOS, ...STATES].map(({ name }) => name);
const QUICK_MEASURED = SCENARIOS.filter(({ isQuick }) => isQuick).map(({ name }) => name);

const OPTIONS = { scenario: "", contender: "", rounds: 3, starts: 1, seconds: 0.4, "warm-up": 2, add: false };

await runProgram(OPTIONS, async (options, site) => {
  const { root, folder, runtimes, say } = site;
  const { quick, seconds, starts, name } = options;
  const { rounds, "warm-up": warmUpSeconds } = quick ? QUICK : options;
  const selected = chosen(options.scenario || (quick ? QUICK_MEASURED : MEASURED).join(), MEASURED);
  const contenders = chosen(options.contender || (quick ? QUICK_CONTENDERS : CONTENDER_NAMES.join()), CONTENDER_NAMES);
  const scenarios = SCENARIOS.filter((each) => selected.includes(each.name));
  const { wrk, h2load } = await findGenerators(root);
  const needed = new Set(scenarios.flatMap((each) => each.contenders).filter((each) => contenders.includes(each)));
  const kinds = (kind: string) => [...needed].map((each) => CONTENDERS[each]).filter((each) => each.kind === kind);
  const peers = await buildPeers(kinds("peer").map(({ file }) => file), folder);
  const needsPackages = kinds("package").length > 0 || selected.some((each) => /^(hono|h3|ws)-/.test(each));
  const packages = needsPackages ? await installPackages(folder) : NO_PACKAGES;
  const notes = [...peers.missing];
  if (packages.problem !== "") {
    notes.push(`The packages of npm are left out, since they can't be had: ${packages.problem}`);
  }
  if (h2load === null) notes.push("Loads of so many requests a second are left out, since h2load is missing.");
  for (const note of notes) say(note);
  const method: Method = {
    contenders,
    packages: packages.folder,
    peers,
    folder,
    node: (await findProgram("node", root)).path,
    rounds,
    seconds,
    starts,
    warmUpSeconds,
    warmUpRequests: quick ? 0 : WARM_UP_REQUESTS,
  };

  const measurements: Measurement[] = [];
  for (const scenario of scenarios) {
    if (scenario.requestsPerSecond !== null && h2load === null) continue;
    for (const runtime of runtimes) {
      const found = await measureScenario(scenario, runtime, method);
      measurements.push(...found);
      say(progressLine(scenario, runtime.title, found));
    }
  }
  const experiments = statesOf(method, quick).filter((each) => selected.includes(each.name));
  const states = await runExperiments(experiments, site);
  const versions = { ...site.versions, ...packages.versions, ...peers.versions, wrk, ...h2load !== null && { h2load } };
  const found: Figures = { findings: [...measurements, ...states], versions };
  const figures = options.add && name !== "" ? await added(found, `${root}/bench/results/${name}.json`) : found;
  const ofLoads = sectionsOf(figures.findings.filter((each): each is Measurement => "rounds" in each));
  return {
    title: "Load benchmark",
    method: [
      `Medians of ${
        rounds * starts
      } alternating rounds of ${seconds} s, after ${warmUpSeconds} s of load and then more, up to`,
      `${MAX_WARM_UPS} times as long in all, until ${method.warmUpRequests} requests were answered,`,
      `of servers that were started ${
        starts === 1 ? "once" : `${starts} times`
      }, pinned to one processor where there are two.`,
      ...notes,
    ].join(" "),
    versions: figures.versions,
    sections: ofLoads.toSpliced(-1, 0, ...STATES.map((each) => sectionOf(each, figures.findings))),
    problems: problemsOf(figures.findings.map((each) => ({ ...each, title: `${each.of}, ${each.title}` }))),
    figures,
  };
});

interface Figures {
  readonly findings: readonly Finding[];
  readonly versions: Readonly<Record<string, string>>;
}

/** What was found now, with what is kept of parts of the same run that were measured before. */
async function added({ findings, versions }: Figures, path: string): Promise<Figures> {
  const text = await Deno.readTextFile(path).catch(() => null);
  const kept: Figures = text === null ? { findings: [], versions: {} } : JSON.parse(text).figures;
  const all = [...kept.findings, ...findings];
  const last = new Map(all.map((each) => [`${each.of} ${each.runtime} ${each.title}`, each]));
  const rank = ({ of, runtime }: Finding) => 10 * MEASURED.indexOf(of) + RUNTIME_NAMES.indexOf(runtime);
  return {
    findings: [...last.values()].sort((a, b) => rank(a) - rank(b)),
    versions: { ...kept.versions, ...versions },
  };
}
