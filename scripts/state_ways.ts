/**
 * Compares the tables of states with the ways that the tests took through them.
 *
 * A way that was taken and is in no table is a fault of the code, and one in a table that no test took is either a wish
 * or untested. This module finds the tables in the code and must not know what their states mean. What the tests took is
 * written by `test/support/record_transitions.ts`.
 *
 * @module
 */

import { READING, WRITING } from "../src/http1/connection/lifecycle.ts";
import { StateTable } from "../src/states.ts";

/** The variable of the environment that names the folder of the records. */
export const RECORDS_VARIABLE = "TRIVET_TEST_TRANSITIONS";

/** One way: whose states they are, the state that is left and the state that is entered. */
export type Way = readonly [table: string, from: string, to: string];

/** How tables and tests differ, each way as a line of text. */
export interface WayComparison {
  /** Ways that were taken and are in no table. */
  readonly unlisted: readonly string[];
  /** Ways of the tables that were never taken. */
  readonly untaken: readonly string[];
}

/** Compares the ways of the tables with those that were taken. */
export function compareWays(listed: Iterable<Way>, taken: Iterable<Way>): WayComparison {
  const listedLines = new Set(Array.from(listed, describeWay));
  const takenLines = new Set(Array.from(taken, describeWay));
  return {
    unlisted: [...takenLines].filter((line) => !listedLines.has(line)).sort(),
    untaken: [...listedLines].filter((line) => !takenLines.has(line)).sort(),
  };
}

/** A way as it is shown. */
export function describeWay([table, from, to]: Way): string {
  return `${table}: ${from} > ${to}`;
}

/** A way as one line of a record. */
export function writeWay(way: Way): string {
  return `${way.join("\t")}\n`;
}

/**
 * Reads a record.
 *
 * @throws {Error} A line is none that {@linkcode writeWay} has written.
 */
export function readWays(record: string): Way[] {
  return record.split("\n").filter((line) => line !== "").map((line) => {
    const [table, from, to, ...rest] = line.split("\t");
    if (to === undefined || rest.length > 0) throw new Error(`This is no record of a way: ${JSON.stringify(line)}`);
    return [table, from, to];
  });
}

/** The ways of all tables among the exports of these modules. */
export function waysOfTables(modules: Iterable<Readonly<Record<string, unknown>>>): Way[] {
  const tables = new Set<StateTable<string>>();
  for (const module of modules) {
    for (const exported of Object.values(module)) if (exported instanceof StateTable) tables.add(exported);
  }
  return [...tables].flatMap(({ name, ways }) =>
    Object.entries(ways).flatMap(([from, to]) => Object.keys(to).map((state): Way => [name, from, state]))
  );
}

/** The ways of the two states of an HTTP/1.1 connection, whose tables hold more than ways, and the pairs they may form. */
export function waysOfConnections(): Way[] {
  return [
    ...waysOfRows("reading", READING, ["closed"]),
    ...waysOfRows("writing", WRITING, ["cut", "gone"]),
    // A connection begins in the first pair, which no way leads to.
    ...READING.slice(1).flatMap((row) => row.with.map((writing): Way => ["pairs", row.name, WRITING[writing].name])),
  ];
}

/** The ways of one table; those to the last states lead there from every row but the last ones themselves. */
function waysOfRows(
  table: string,
  rows: readonly { readonly name: string; readonly to: readonly number[] }[],
  last: readonly string[],
): Way[] {
  return rows.filter(({ name }) => !last.includes(name)).flatMap(({ name, to }) =>
    [...to.map((state) => rows[state].name), ...last].map((state): Way => [table, name, state])
  );
}

/**
 * The ways of every table of the code.
 *
 * @param root The repository.
 * @throws {Error} A file makes a table that it does not export, so that it can't be compared.
 */
export async function findListedWays(root: string): Promise<Way[]> {
  const modules: Record<string, unknown>[] = [];
  for await (const path of modulesBelow(`${root}/src`)) {
    if (!(await Deno.readTextFile(path)).includes("new StateTable")) continue;
    const module = await import(new URL(path, "file:///").href);
    if (waysOfTables([module]).length === 0) throw new Error(`${path} does not export its table of states.`);
    modules.push(module);
  }
  return [...waysOfTables(modules), ...waysOfConnections()];
}

/** The ways that were recorded in a folder, each once for each process. */
export async function readTakenWays(folder: string): Promise<Way[]> {
  const ways: Way[] = [];
  for await (const { name } of Deno.readDir(folder)) {
    ways.push(...readWays(await Deno.readTextFile(`${folder}/${name}`)));
  }
  return ways;
}

async function* modulesBelow(folder: string): AsyncGenerator<string> {
  for await (const { name, isDirectory } of Deno.readDir(folder)) {
    const path = `${folder}/${name}`;
    if (isDirectory) yield* modulesBelow(path);
    else if (name.endsWith(".ts")) yield path;
  }
}
