/**
 * What the programs of this folder have in common: options, a folder for a run's files, the runtimes, and what is left
 * of a run.
 *
 * @module
 */

import { parseArgs } from "node:util";
import { svgOf } from "./chart.ts";
import { markdownOf, type Report } from "./report.ts";
import { type BenchRuntime, findRuntimes, RUNTIME_NAMES, versionsOf } from "./runtimes.ts";

/** The command line asks for what there is not. */
export class UsageError extends Error {}

/** An option: what it is unless set, and how its value is read; one that reads none is a switch. */
export interface Option<T> {
  readonly unset: T;
  readonly read?: (value: string) => T;
}

type Options = Readonly<Record<string, Option<unknown>>>;
type Values<O extends Options> = { readonly [Name in keyof O]: O[Name]["unset"] };

export interface Site {
  readonly root: string;
  /** For this run's files; removed at its end. */
  readonly folder: string;
  readonly runtimes: readonly BenchRuntime[];
  readonly versions: Readonly<Record<string, string>>;
  say(line: string): void;
}

export const SWITCH: Option<boolean> = { unset: false };
export const TEXT: Option<string | null> = { unset: null, read: (value) => value };

/** A positive number; all that is measured is bounded. */
export function amount(unset: number, max = 999): Option<number> {
  const read = (value: string): number => {
    if (Number(value) > 0 && Number(value) <= max) return Number(value);
    throw new UsageError(`A number above 0 and up to ${max} is expected, got "${value}".`);
  };
  return { unset, read };
}

/** Some of the names that are known, between commas; all of them unless set. */
export function choice<T extends string>(known: readonly T[], unset = known): Option<readonly T[]> {
  const read = (value: string): readonly T[] => {
    const names = value.split(",");
    const unknown = names.find((name) => !known.includes(name as T));
    if (unknown === undefined) return known.filter((each) => names.includes(each));
    throw new UsageError(`"${unknown}" is not known; known are ${known.join(", ")}.`);
  };
  return { unset, read };
}

/** What every program has: also the commit whose source is measured too, and the name of the files of results. */
const COMMON = { quick: SWITCH, runtime: choice(RUNTIME_NAMES), before: TEXT, name: TEXT };

function readOptions<O extends Options>(options: O): Values<O> {
  const config = Object.entries(options).map(([name, { read }]) =>
    [name, { type: read === undefined ? "boolean" : "string" }] as const
  );
  try {
    const given = parseArgs({ args: Deno.args, options: Object.fromEntries(config) }).values;
    const values = Object.entries(options).map(([name, { unset, read }]) => {
      const value = given[name];
      return [name, value === undefined ? unset : typeof value === "string" ? read!(value) : value];
    });
    return Object.fromEntries(values);
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
  run: (values: Values<O & typeof COMMON>, site: Site) => Promise<Report>,
): Promise<never> {
  const startMs = performance.now();
  const say = (line: string) =>
    console.log(`[${((performance.now() - startMs) / 1000).toFixed(0).padStart(4)} s] ${line}`);
  const folder = await Deno.makeTempDir({ prefix: "trivet-bench-" });
  try {
    if (Deno.build.os !== "linux") throw new UsageError("Times and memory are read from /proc, which only Linux has.");
    const values = readOptions({ ...COMMON, ...own });
    const { runtime, before, name } = values as Values<typeof COMMON>;
    if (!/^[\w-]+$/.test(name ?? "_")) throw new UsageError(`Files of results can't be called "${name}".`);
    const root = decodeURIComponent(new URL("..", import.meta.url).pathname).replace(/\/$/, "");
    const runtimes = await findRuntimes(runtime, root, folder, before);
    const versions = await versionsOf(runtimes, root);
    const found = await run(values, { root, folder, runtimes, versions, say });
    const report = { ...found, versions: { ...versions, ...found.versions } };
    console.log(`\n${markdownOf(report, name)}`);
    if (name !== null) await write(report, name, `${root}/bench/results`);
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

async function write(report: Report, name: string, folder: string): Promise<void> {
  await Deno.mkdir(folder, { recursive: true });
  await Deno.writeTextFile(`${folder}/${name}.md`, markdownOf(report, name));
  for (const { chart, rows } of report.sections) {
    if (chart === undefined || rows.length === 0) continue;
    await Deno.writeTextFile(`${folder}/${name}${chart.suffix}.svg`, svgOf(chart.drawing, report.versions ?? {}));
  }
  await Deno.writeTextFile(`${folder}/${name}.json`, `${JSON.stringify(report, null, 1)}\n`);
  console.log(`Written to bench/results/${name}.*`);
}
