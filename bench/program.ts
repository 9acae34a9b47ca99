/**
 * What the programs of this folder have in common: options, a folder for a run's files, and what is left of a run.
 *
 * @module
 */

import { markdownOf, type Report, svgFilesOf } from "./report.ts";

/** The command line asks for what there is not. */
export class UsageError extends Error {}

/** An option: what it is unless set, and how its value is read; one that takes no value is a switch. */
export interface Option<T> {
  readonly unset: T;
  readonly read: (value: string) => T;
  readonly isSwitch?: true;
}

/** Where a run takes place. */
export interface Site {
  /** The checkout. */
  readonly root: string;
  /** For this run's files; removed at its end. */
  readonly folder: string;
  /** Prints a line, with the time since the start. */
  say(line: string): void;
}

/** A switch. */
export const SWITCH: Option<boolean> = { unset: false, read: () => true, isSwitch: true };

/** A text, such as a commit. */
export const TEXT: Option<string | null> = { unset: null, read: (value) => value };

/** The name of the files of results; none are written without one. */
export const NAME: Option<string | null> = {
  unset: null,
  read(value) {
    if (/^[\w-]+$/.test(value)) return value;
    throw new UsageError(`A name of files has letters, digits, "_" and "-", got "${value}".`);
  },
};

/** A positive number; all that is measured is bounded. */
export function amount(unset: number, max = 999): Option<number> {
  return {
    unset,
    read(value) {
      const number = Number(value);
      if (number > 0 && number <= max) return number;
      throw new UsageError(`A number above 0 and up to ${max} is expected, got "${value}".`);
    },
  };
}

/** Some of what is known, by names between commas; all of it unless set. */
export function choice<T>(known: readonly T[], nameOf: (each: T) => string, unset = known): Option<readonly T[]> {
  return {
    unset,
    read(value) {
      const names = value.split(",");
      const unknown = names.find((name) => !known.some((each) => nameOf(each) === name));
      if (unknown === undefined) return known.filter((each) => names.includes(nameOf(each)));
      throw new UsageError(`"${unknown}" is not known; known are ${known.map(nameOf).join(", ")}.`);
    },
  };
}

type Options = Readonly<Record<string, Option<unknown>>>;
/** The values of options. */
export type Values<O extends Options> = { readonly [Name in keyof O]: O[Name]["unset"] };

/**
 * Reads `--name=value`, `--name value` and switches.
 *
 * @throws {UsageError} An option is not known, or its value is not allowed.
 */
export function readOptions<O extends Options>(args: readonly string[], options: O): Values<O> {
  const values: Record<string, unknown> = {};
  for (const [name, { unset }] of Object.entries(options)) values[name] = unset;
  for (let index = 0; index < args.length; index++) {
    const [, name = "", attached] = /^--([a-z-]+)(?:=(.*))?$/s.exec(args[index]) ?? [];
    const option = Object.hasOwn(options, name) ? options[name] : undefined;
    if (option === undefined) {
      throw new UsageError(`Unknown option "${args[index]}"; known are --${Object.keys(options).join(", --")}.`);
    }
    values[name] = option.read(option.isSwitch ? "" : attached ?? args[++index] ?? "");
  }
  return values as Values<O>;
}

/**
 * Runs a program and ends the process: with 0, with 1 when there were problems, with 2 when it was called wrongly.
 *
 * The report is printed, and written to `bench/results/` when the run has a name, with the figures as JSON beside it,
 * which is not committed.
 */
export async function runProgram<O extends Options>(
  options: O,
  run: (values: Values<O>, site: Site) => Promise<{ report: Report; name: string | null }>,
): Promise<never> {
  const startMs = performance.now();
  let folder: string | null = null;
  try {
    if (Deno.build.os !== "linux") throw new UsageError("Times and memory are read from /proc, which only Linux has.");
    const values = readOptions(Deno.args, options);
    const root = decodeURIComponent(new URL("..", import.meta.url).pathname).replace(/\/$/, "");
    folder = await Deno.makeTempDir({ prefix: "trivet-bench-" });
    const say = (line: string) =>
      console.log(`[${((performance.now() - startMs) / 1000).toFixed(0).padStart(4)} s] ${line}`);
    const { report, name } = await run(values, { root, folder, say });
    console.log(`\n${markdownOf(report, name)}`);
    if (name !== null) await write(report, name, `${root}/bench/results`);
    say(report.problems.length === 0 ? "Nothing was wrong." : `${report.problems.length} problems, listed above.`);
    Deno.exitCode = report.problems.length === 0 ? 0 : 1;
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    console.error(error.message);
    Deno.exitCode = 2;
  } finally {
    if (folder !== null) await Deno.remove(folder, { recursive: true });
  }
  Deno.exit();
}

async function write(report: Report, name: string, folder: string): Promise<void> {
  await Deno.mkdir(folder, { recursive: true });
  await Deno.writeTextFile(`${folder}/${name}.md`, markdownOf(report, name));
  for (const [file, svg] of svgFilesOf(report, name)) await Deno.writeTextFile(`${folder}/${file}`, svg);
  await Deno.writeTextFile(`${folder}/${name}.json`, `${JSON.stringify(report, null, 1)}\n`);
  console.log(`Written to bench/results/${name}.*`);
}
