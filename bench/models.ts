/**
 * The lab: the four concurrency models under the same loads, so that one can choose.
 *
 * Usage: `deno task models [--quick] [--runtime=deno] [--experiment=latency,cpu,attack,overload]
 * [--model=blocking,pool-8,…] [--rounds=1] [--name=models]`. Of more rounds than one the middle one is shown. Results are
 * written when a name is given. It fails when an answer was wrong or a model could not be measured. It needs Linux.
 *
 * @module
 */

import { experimentsOf, NAMES } from "./models/experiments.ts";
import { type ContestantName, CONTESTANTS, Lab, type Round } from "./models/lab.ts";
import { chosen, runExperiments, runProgram } from "./program.ts";
import { nameOf, percent, problemsOf, sectionOf } from "./report.ts";

/** A round in which everything else took more than this part of a core is called disturbed. */
const DISTURBED_SHARE = 0.3;
const MODELS = Object.keys(CONTESTANTS) as ContestantName[];

await runProgram({ experiment: NAMES.join(), model: MODELS.join(), rounds: 1 }, async (options, site) => {
  const { quick, rounds } = options;
  const names = chosen(options.experiment, NAMES);
  const models = chosen(options.model, MODELS);
  const labs = new Map(site.runtimes.map((runtime) => [runtime.name, new Lab(runtime, quick)]));
  for (const lab of labs.values()) site.say(`${lab.runtime.title}: ${(await lab.setUp()).join(", ")}`);
  const experiments = experimentsOf(labs, models, quick).filter(({ name }) => names.includes(name));
  const rows = await runExperiments(experiments, site, { rounds });
  const measured = rows.flatMap((row) => row.details === undefined ? [] : { row, load: row.details as Round["load"] });
  const client = [...labs.values()].map(({ runtime, setUpFigures }) => {
    const loads = measured.filter(({ row }) => row.runtime === runtime.name).map(({ load }) => load);
    const answered = loads.map(({ flows, seconds }) =>
      Object.values(flows).reduce((sum, { answered, refused }) => sum + answered + refused, 0) / seconds
    );
    const shares = [loads.map((load) => load.clientCpuShare), loads.map((load) => load.otherCpuShare)];
    const most = shares.map((each) => percent(Math.max(0, ...each)));
    return [runtime.title, ...setUpFigures, String(Math.round(Math.max(0, ...answered))), ...most];
  });
  const disturbed = measured.filter(({ load }) => load.otherCpuShare > DISTURBED_SHARE).map(({ row }) => nameOf(row));
  const limits = {
    title: "Whether the client limits the figures",
    text:
      "What it reaches against a listener on raw TCP that parses nothing, with the same connections, and at most in " +
      "these experiments; shares are of one core.",
    head: ["", "requests/s, raw TCP", "its CPU", "rounds of the hash", "most requests/s", "its CPU", "others' CPU"],
    rows: client,
    notes: disturbed.length === 0
      ? []
      : [`Others used the machine meanwhile, to be read with that in mind: ${disturbed.join("; ")}.`],
  };
  const method = rounds === 1 ? "One round of each." : `The middle one of ${rounds} rounds of each.`;
  const sections = [...experiments.map((each) => sectionOf(each, rows)), limits];
  return { title: "The models compared", method, sections, problems: problemsOf(rows), figures: rows };
});
