/**
 * The lab: the four concurrency models under the same loads, so that one can choose.
 *
 * Usage: `deno task models [--quick] [--runtime=deno] [--experiment=latency,cpu,attack,overload]
 * [--model=blocking,pool-8,…] [--rounds=1] [--name=models]`. Of more rounds than one the middle one is shown. Results are
 * written when a name is given. It fails when an answer was wrong or a model could not be measured. It needs Linux.
 *
 * @module
 */

import { CLIENTS, type Experiment, EXPERIMENTS } from "./models/experiments.ts";
import { type ContestantName, contestantOf, CONTESTANTS, Lab, type Round } from "./models/lab.ts";
import { amount, choice, runProgram, type Site } from "./program.ts";
import { messageOf, percent, type Section } from "./report.ts";
import { RUNTIME_TITLES, type RuntimeName } from "./runtimes.ts";

/** What was found of a contestant on a runtime in one case: the round in the middle. */
interface Row {
  readonly runtime: RuntimeName;
  readonly contestant: ContestantName;
  readonly round: Round;
}

const MODELS = Object.keys(CONTESTANTS) as ContestantName[];
/** A round in which everything else took more than this part of a core is called disturbed. */
const DISTURBED_SHARE = 0.3;

const OPTIONS = { experiment: choice(EXPERIMENTS.map(({ name }) => name)), model: choice(MODELS), rounds: amount(1) };

await runProgram(OPTIONS, async ({ quick, experiment, model, rounds: repetitions }, site) => {
  const experiments = EXPERIMENTS.filter(({ name }) => experiment.includes(name));
  const rows = new Map(experiments.map((experiment): [Experiment, Row[]] => [experiment, []]));
  const client: string[][] = [];
  const problems: string[] = [];
  for (const runtime of site.runtimes) {
    const lab = new Lab(runtime, quick);
    await lab.setUp(CLIENTS);
    const { computeRounds, clientPerSecond, clientCpuShare } = lab;
    const setUp = [String(Math.round(clientPerSecond)), percent(clientCpuShare), String(computeRounds)];
    site.say(
      `${runtime.title}: the client reaches ${setUp[0]} requests/s; ${computeRounds} rounds are a heavy request`,
    );
    for (const experiment of experiments) {
      const contestants = (quick ? experiment.quick : experiment.contestants)
        .filter((each) => model.includes(each));
      const found = await measure(lab, experiment, contestants, repetitions, site, problems);
      rows.get(experiment)!.push(...found);
    }
    const rounds = [...rows.values()].flat().filter((row) => row.runtime === runtime.name).map(({ round }) => round);
    const most = (of: (round: Round) => number) => Math.max(0, ...rounds.map(of));
    client.push([
      runtime.title,
      ...setUp,
      String(Math.round(most(({ load }) => answersOf(load.flows) / load.seconds))),
      percent(most(({ load }) => load.clientCpuShare)),
      percent(most(({ load }) => load.otherCpuShare)),
    ]);
  }
  const sections: Section[] = [...rows].map(([experiment, found]) => sectionOf(experiment, found));
  sections.push({
    title: "Whether the client limits the figures",
    text:
      "What it reaches against a listener on raw TCP that parses nothing, with the same connections, and at most in " +
      "these experiments; shares are of one core.",
    head: ["", "requests/s, raw TCP", "its CPU", "rounds of the hash", "most requests/s", "its CPU", "others' CPU"],
    rows: client,
    notes: disturbedOf([...rows.values()].flat()),
  });
  return {
    title: "The models compared",
    method: repetitions === 1 ? "One round of each." : `The middle one of ${repetitions} rounds of each.`,
    sections,
    problems,
    figures: [...rows].map(([experiment, found]) => ({ experiment: experiment.name, found })),
  };
});

async function measure(
  lab: Lab,
  experiment: Experiment,
  contestants: readonly ContestantName[],
  repetitions: number,
  { say }: Site,
  problems: string[],
): Promise<Row[]> {
  const { name: runtime, title } = lab.runtime;
  const found = new Map(contestants.map((contestant): [ContestantName, Round[]] => [contestant, []]));
  for (let repetition = 0; repetition < repetitions; repetition++) {
    // Every other time backwards, so that a machine that gets slower or faster favours no model.
    for (const contestant of repetition % 2 === 0 ? contestants : contestants.toReversed()) {
      const name = `${title}, ${experiment.name}, ${contestant}`;
      try {
        const rounds = await experiment.measure(lab, contestant);
        found.get(contestant)!.push(...rounds);
        for (const round of rounds) {
          const figures = Object.entries(experiment.columns).map(([column, of]) => `${column} ${of(round)}`);
          say(`${name} ${round.case}: ${figures.join(", ")}`);
          problems.push(...round.problems.map((problem) => `${name}: ${problem}`));
        }
      } catch (error) {
        problems.push(`${name}: ${messageOf(error)}`);
      }
    }
  }
  return [...found].flatMap(([contestant, rounds]) =>
    [...new Set(rounds.map((round) => round.case))].map((each): Row => {
      const ofCase = rounds.filter((round) => round.case === each);
      const sorted = ofCase.toSorted((a, b) => (experiment.mark(a).to ?? 0) - (experiment.mark(b).to ?? 0));
      return { runtime, contestant, round: sorted[sorted.length >> 1] };
    })
  );
}

function sectionOf(
  { name, title, text, columns, chart, mark, contestants }: Experiment,
  rows: readonly Row[],
): Section {
  const hasCases = rows.some(({ round }) => round.case !== "");
  const titleOf = ({ contestant, round }: Row) =>
    [contestantOf(contestant).title, round.case].filter((part) => part !== "").join(", ");
  // The runtimes of a contestant stand beside each other.
  const sorted = rows.toSorted((a, b) => contestants.indexOf(a.contestant) - contestants.indexOf(b.contestant));
  const titles = [...new Set(sorted.map(titleOf))];
  const groups = titles.map((group) => ({
    title: group,
    marks: rows.filter((row) => titleOf(row) === group).map(({ runtime, round }) => ({ runtime, ...mark(round) })),
  }));
  return {
    title,
    text,
    head: ["model", ...hasCases ? ["with"] : [], "runtime", ...Object.keys(columns)],
    rows: titles.flatMap((group) => rows.filter((row) => titleOf(row) === group)).map((
      { contestant, runtime, round },
    ) => [
      contestantOf(contestant).title,
      ...hasCases ? [round.case] : [],
      RUNTIME_TITLES[runtime],
      ...Object.values(columns).map((of) => of(round)),
    ]),
    ...rows.length > 0 && { chart: { suffix: `_${name}`, drawing: { ...chart, groups } } },
  };
}

function answersOf(flows: Round["load"]["flows"]): number {
  return Object.values(flows).reduce((sum, { answered, refused }) => sum + answered + refused, 0);
}

function disturbedOf(rows: readonly Row[]): string[] {
  const disturbed = rows.filter(({ round }) => round.load.otherCpuShare > DISTURBED_SHARE)
    .map(({ runtime, contestant, round }) => `${runtime} ${contestant} ${round.case}`.trim());
  return disturbed.length === 0
    ? []
    : [`Others used the machine meanwhile, to be read with that in mind: ${disturbed.join(", ")}.`];
}
