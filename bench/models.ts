/**
 * The lab: the four concurrency models under the same loads, so that one can choose.
 *
 * Usage: `deno task models [--quick] [--runtime=deno] [--experiment=latency,cpu,attack,overload]
 * [--model=blocking,pool-8,…] [--rounds=1] [--name=models]`. Of more rounds than one the middle one is shown. Results are
 * written when a name is given. It fails when an answer was wrong or a model could not be measured. It needs Linux.
 *
 * @module
 */

import { type Experiment, EXPERIMENTS } from "./models/experiments.ts";
import { type ContestantName, contestantOf, CONTESTANTS, Lab, type Round } from "./models/lab.ts";
import { amount, choice, runProgram, type Site } from "./program.ts";
import { type Finding, messageOf, nameOf, percent, problemsOf, type Section, sectionOf } from "./report.ts";

/** The round in the middle of a contestant on a runtime in one case. */
interface Row extends Finding {
  readonly contestant: ContestantName;
  readonly details: Round["load"];
}

/** A round in which everything else took more than this part of a core is called disturbed. */
const DISTURBED_SHARE = 0.3;

const OPTIONS = {
  experiment: choice(EXPERIMENTS.map(({ name }) => name)),
  model: choice(Object.keys(CONTESTANTS) as ContestantName[]),
  rounds: amount(1),
};

await runProgram(OPTIONS, async ({ quick, experiment, model, rounds: repetitions }, site) => {
  const experiments = EXPERIMENTS.filter(({ name }) => experiment.includes(name));
  const rows: Row[] = [];
  const failures: string[] = [];
  const client: string[][] = [];
  for (const runtime of site.runtimes) {
    const lab = new Lab(runtime, quick);
    await lab.setUp();
    const setUp = [String(Math.round(lab.clientPerSecond)), percent(lab.clientCpuShare), String(lab.computeRounds)];
    site.say(`${runtime.title}: the client reaches ${setUp[0]} requests/s; ${setUp[2]} rounds are a heavy request`);
    const found: Row[] = [];
    for (const each of experiments) {
      const contestants = (quick ? each.quick : each.contestants).filter((name) => model.includes(name));
      found.push(...await measure(lab, each, contestants, repetitions, site, failures));
    }
    const most = (of: (load: Round["load"]) => number) => Math.max(0, ...found.map(({ details }) => of(details)));
    const answered = most(({ flows, seconds }) =>
      Object.values(flows).reduce((sum, { answered, refused }) => sum + answered + refused, 0) / seconds
    );
    const shares = [most((load) => load.clientCpuShare), most((load) => load.otherCpuShare)];
    client.push([runtime.title, ...setUp, String(Math.round(answered)), ...shares.map(percent)]);
    rows.push(...found);
  }
  const disturbed = rows.filter(({ details }) => details.otherCpuShare > DISTURBED_SHARE).map(nameOf);
  const sections: Section[] = experiments.map((each) => {
    // The runtimes of a contestant stand beside each other.
    const rank = ({ contestant }: Row) => each.contestants.indexOf(contestant);
    const titles = rows.filter(({ of }) => of === each.name).sort((a, b) => rank(a) - rank(b)).map((row) => row.title);
    return sectionOf(each, rows.toSorted((a, b) => titles.indexOf(a.title) - titles.indexOf(b.title)));
  });
  sections.push({
    title: "Whether the client limits the figures",
    text:
      "What it reaches against a listener on raw TCP that parses nothing, with the same connections, and at most in " +
      "these experiments; shares are of one core.",
    head: ["", "requests/s, raw TCP", "its CPU", "rounds of the hash", "most requests/s", "its CPU", "others' CPU"],
    rows: client,
    notes: disturbed.length === 0
      ? []
      : [`Others used the machine meanwhile, to be read with that in mind: ${disturbed.join("; ")}.`],
  });
  const method = repetitions === 1 ? "One round of each." : `The middle one of ${repetitions} rounds of each.`;
  return {
    title: "The models compared",
    method,
    sections,
    problems: [...failures, ...problemsOf(rows)],
    figures: rows,
  };
});

async function measure(
  lab: Lab,
  experiment: Experiment,
  contestants: readonly ContestantName[],
  repetitions: number,
  { say }: Site,
  failures: string[],
): Promise<Row[]> {
  const found: Row[] = [];
  for (let repetition = 0; repetition < repetitions; repetition++) {
    // Every other time backwards, so that a machine that gets slower or faster favours no model.
    for (const contestant of repetition % 2 === 0 ? contestants : contestants.toReversed()) {
      const of = experiment.name;
      const { title } = contestantOf(contestant);
      try {
        for (const round of await experiment.measure(lab, contestant)) {
          const figures = experiment.figures(round);
          const shown = Object.entries(figures).map((each) => each.join(" ")).join(", ");
          say(`${lab.runtime.title}, ${of}, ${contestant} ${round.case}: ${shown}`);
          const name = {
            of,
            runtime: lab.runtime.name,
            contestant,
            title: round.case ? `${title}, ${round.case}` : title,
          };
          found.push({ ...name, figures, mark: experiment.mark(round), problems: round.problems, details: round.load });
        }
      } catch (error) {
        failures.push(`${lab.runtime.title}, ${of}, ${contestant}: ${messageOf(error)}`);
      }
    }
  }
  return [...Map.groupBy(found, (row) => row.title).values()].map((ofCase): Row => {
    const sorted = ofCase.toSorted((a, b) => (a.mark?.to ?? 0) - (b.mark?.to ?? 0));
    return { ...sorted[sorted.length >> 1], problems: ofCase.flatMap(({ problems }) => problems) };
  });
}
