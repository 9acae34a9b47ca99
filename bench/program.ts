/**
 * What the programs of this folder have in common: options, a folder for a run's files, experiments, and the report.
 */

import { parseArgs } from "node:util";
import { svgOf } from "./chart.ts";
import { type Experiment, type Finding, markdownOf, messageOf, problemsOf, type Report, sectionOf } from "./report.ts";
import { type BenchRuntime, findRuntimes, RUNTIME_NAMES, versionsOf } from "./runtimes.ts";

export class UsageError extends Error {}

export interface Site {
  readonly root: string;
  /** For this run's files; removed at its end. */
  readonly folder: string;
  readonly runtimes: readonly BenchRuntime[];
  readonly versions: Readonly<Record<string, string>>;
  /** What experiments and cases are chosen by. */
  readonly only: string;
  readonly case: string;
  say(line: string): void;
}

/** What options are unless set: a text, a positive number, or a switch that is off. */
type Options = Readonly<Record<string, string | number | boolean>>;

/**
 * What every program has: also names of experiments and a part of the titles of cases, all unless set, the commit whose
 * source is measured too, and the name of the files of results.
 */
const COMMON = { quick: false, runtime: RUNTIME_NAMES.join(), only: "", case: "", before: "", name: "" };
const MAX_AMOUNT = 999;

/** Some of the names that are known, between commas; in the order in which they are known. */
export function chosen<T extends string>(text: string, known: readonly T[]): readonly T[] {
  const names = text.split(",");
  const unknown = names.find((name) => !known.includes(name as T));
  if (unknown === undefined) return known.filter((each) => names.includes(each));
  throw new UsageError(`"${unknown}" is not known; known are ${known.join(", ")}.`);
}

function readOptions<O extends Options>(unset: O): O {
  const names = Object.keys(unset);
  const kindOf = (name: string) => typeof unset[name] === "boolean" ? "boolean" : "string";
  const options = Object.fromEntries(names.map((name) => [name, { type: kindOf(name) } as const]));
  try {
    const given = { ...unset, ...parseArgs({ args: Deno.args, options }).values };
    for (const name of names.filter((each) => typeof unset[each] === "number")) {
      const amount = Number(given[name]);
      if (!(amount > 0 && amount <= MAX_AMOUNT)) {
        throw new UsageError(`--${name} takes a number above 0 and up to ${MAX_AMOUNT}, got "${given[name]}".`);
      }
      Object.assign(given, { [name]: amount });
    }
    return given;
  } catch (error) {
    throw error instanceof TypeError ? new UsageError(error.message) : error;
  }
}

/**
 * Runs a program and ends the process: with 0, with 1 when there were problems, with 2 when it was called wrongly.
 *
 * The report is printed, and written to `bench/results/` when the run has a name, with the figures as JSON beside it,
 * which is not committed.
 */
export async function runProgram<O extends Options>(
  own: O,
  run: (values: O & typeof COMMON, site: Site) => Promise<Report>,
): Promise<never> {
  const startMs = performance.now();
  const say = (line: string) =>
    console.log(`[${((performance.now() - startMs) / 1000).toFixed(0).padStart(4)} s] ${line}`);
  const folder = await Deno.makeTempDir({ prefix: "trivet-bench-" });
  try {
    if (Deno.build.os !== "linux") throw new UsageError("Times and memory are read from /proc, which only Linux has.");
    const values = readOptions({ ...COMMON, ...own });
    const { before, name, only, case: part } = values;
    if (!/^[\w-]*$/.test(name)) throw new UsageError(`Files of results can't be called "${name}".`);
    const root = decodeURIComponent(new URL("..", import.meta.url).pathname).replace(/\/$/, "");
    const runtimes = await findRuntimes(chosen(values.runtime, RUNTIME_NAMES), root, folder, before);
    const versions = await versionsOf(runtimes, root);
    const report = { versions, ...await run(values, { root, folder, runtimes, versions, only, case: part, say }) };
    console.log(`\n${markdownOf(report, name)}`);
    if (name !== "") await write(report, name, `${root}/bench/results/${name}`);
    const { problems } = report;
    say(problems.length === 0 ? "Nothing was wrong." : `${problems.length} problems, listed above.`);
    Deno.exitCode = problems.length === 0 ? 0 : 1;
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    console.error(error.message);
    Deno.exitCode = 2;
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
  Deno.exit();
}

async function write(report: Report, name: string, path: string): Promise<void> {
  await Deno.writeTextFile(`${path}.md`, markdownOf(report, name));
  for (const { chart, rows } of report.sections) {
    if (chart === undefined || rows.length === 0) continue;
    await Deno.writeTextFile(`${path}${chart.suffix}.svg`, await svgOf(chart.drawing, report.versions ?? {}));
  }
  await Deno.writeTextFile(`${path}.json`, `${JSON.stringify(report, null, 1)}\n`);
  console.log(`Written to bench/results/${name}.*`);
}

/** Runs every case of experiments on every runtime, so many times, of which the middle one is found. */
export async function runExperiments(
  experiments: readonly Experiment[],
  { runtimes, only, case: part, say }: Site,
  { rounds = 1, atOnce = false } = {},
): Promise<Finding[]> {
  const findings: Finding[] = [];
  const runOn = async ({ name: of, cases }: Experiment, runtime: BenchRuntime): Promise<void> => {
    const found: Finding[] = [];
    for (let round = 0; round < rounds; round++) {
      // Every other time backwards, so that a machine that gets slower or faster favours none.
      const ofPart = cases.filter(({ title }) => title.includes(part));
      for (const { title, run } of round % 2 === 0 ? ofPart : ofPart.toReversed()) {
        const tell = (line: string) => say(`${runtime.title}, ${of}, ${title}: ${line}`);
        const trials = await run(runtime, tell).catch((error) => [{ figures: {}, problems: [messageOf(error)] }]);
        for (const trial of trials) {
          found.push({ of, runtime: runtime.name, title, ...trial });
          tell([...Object.entries(trial.figures).map((each) => each.join(" ")), ...trial.problems].join("; "));
        }
      }
    }
    for (const ofCase of Map.groupBy(found, ({ title }) => title).values()) {
      const sorted = ofCase.toSorted((a, b) => (a.mark?.to ?? 0) - (b.mark?.to ?? 0));
      findings.push({ ...sorted[sorted.length >> 1], problems: ofCase.flatMap(({ problems }) => problems) });
    }
  };
  const names = experiments.map(({ name }) => name);
  const selected = only === "" ? names : chosen(only, names);
  for (const experiment of experiments.filter(({ name }) => selected.includes(name))) {
    if (atOnce) await Promise.all(runtimes.map((runtime) => runOn(experiment, runtime)));
    else for (const runtime of runtimes) await runOn(experiment, runtime);
  }
  const order = runtimes.map(({ name }) => name);
  return findings.sort((a, b) => order.indexOf(a.runtime) - order.indexOf(b.runtime));
}

/** A program whose cases show what must not happen: its report. */
export async function judge(
  title: string,
  experiments: readonly Experiment[],
  site: Site,
  atOnce = false,
): Promise<Report> {
  const findings = (await runExperiments(experiments, site, { atOnce })).map((finding) => {
    const violated = finding.problems.length === 0 ? "no" : "YES";
    return { ...finding, figures: { ...finding.figures, violated } };
  });
  const sections = experiments.map((each) => sectionOf(each, findings));
  return { title, method: "", sections, problems: problemsOf(findings), figures: findings };
}
