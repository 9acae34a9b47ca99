/**
 * Decides which test files run in one process on Node, and writes a module for each such process.
 *
 * Node starts a process for each file it is given, and every one of them loads and compiles what it tests anew: more
 * than half of the time of most files. So the files that stand on memory alone share one process, as all files do on
 * Bun, and those that open sockets or start threads or programs have one each: what is left open must meet no other
 * test. This module starts no test and reads no report but for the tests that it adds itself.
 *
 * @module
 */

import type { TestCase } from "./test_report.ts";

/** Test files that share a process. */
export interface TestGroup {
  readonly files: readonly string[];
  /** Whether they stand on memory alone. */
  readonly inMemory: boolean;
}

/**
 * What is imported by a file that opens sockets, or starts threads or programs. Scripts may wait for something while they
 * are loaded, so that the tests of a file that imports one would come behind those of others.
 */
const APART =
  /^(?:node:(?:child_process|http|net|tls|worker_threads)|mod\.js|runtime\/(?:detect|files)\.js|scripts\/(?!state_ways)\w+\.js)$/;
/** Hooks outside of a group are those of every test in the process, and a wait holds up the tests that come behind it. */
const ALONE = /^(?:(?:before|after)(?:Each)?\(|(?:const .* = )?await )/m;
/** What stands in for them: modules that take from a runtime what is neither. */
const IN_MEMORY = /^test\/support\/memory_\w+\.js$/;
/** Types are gone from what was emitted, so that all that is imported is loaded. */
const IMPORT = /\b(?:from|import)\s*\(?\s*"([^"]+)"/g;
/** The name of the test in front of those of a file. */
const BEGIN = "file: ";

/**
 * Parts the files into groups, of which each is to have a process.
 *
 * @param folder The emitted modules.
 * @param files The test files, as paths of TypeScript relative to the repository.
 * @returns The groups, that of many files first: it takes the longest.
 */
export async function groupTestFiles(folder: string, files: readonly string[]): Promise<TestGroup[]> {
  const imports = new Map<string, Promise<string[]>>();
  const importsOf = (path: string): Promise<string[]> => {
    // A text may look like the import of a module that is not there.
    const read = () => Deno.readTextFile(`${folder}/${path}`).then((text) => findImports(path, text), () => []);
    const known = imports.get(path) ?? read();
    imports.set(path, known);
    return known;
  };
  const apart: TestGroup[] = [];
  const together: string[] = [];
  for (const file of files) {
    const path = toEmitted(file);
    const isAlone = ALONE.test(await Deno.readTextFile(`${folder}/${path}`));
    if (isAlone || await standsApart(path, importsOf)) apart.push({ files: [file], inMemory: false });
    else together.push(file);
  }
  return together.length === 0 ? apart : [{ files: together, inMemory: true }, ...apart];
}

/**
 * Whether a test file opens sockets, or starts threads or programs. It looks through the modules of tests that the file
 * imports; what is tested is not looked into.
 *
 * @param path The emitted module.
 * @param importsOf What a module imports: packages by name, modules by their path relative to the repository.
 */
export async function standsApart(
  path: string,
  importsOf: (path: string) => Promise<readonly string[]>,
): Promise<boolean> {
  const found = new Set([path]);
  for (const module of found) {
    if (APART.test(module)) return true;
    if (!module.startsWith("test/") || IN_MEMORY.test(module)) continue;
    for (const imported of await importsOf(module)) found.add(imported);
  }
  return false;
}

function findImports(path: string, text: string): string[] {
  const base = new URL(path, "file:///");
  return Array.from(
    text.matchAll(IMPORT),
    ([, specifier]) =>
      specifier.startsWith(".") ? decodeURIComponent(new URL(specifier, base).pathname.slice(1)) : specifier,
  );
}

/**
 * Writes the module of each group.
 *
 * In front of the tests of a file it has a test of its own, which only says whose tests follow: not every version of
 * Node tells where a test is from. All are there before the first one runs, since Node 24 runs what is to follow the
 * last test when there is none left, be it that more are made later.
 *
 * @param folder The emitted modules.
 * @param groups What {@linkcode groupTestFiles} gave.
 * @returns The paths of the modules, relative to the folder.
 */
export async function writeTestGroups(folder: string, groups: readonly TestGroup[]): Promise<string[]> {
  return await Promise.all(groups.map(async ({ files }, index) => {
    const name = `test_group_${String(index + 1).padStart(3, "0")}.js`;
    const lines = files.map((file) => {
      const begin = `import { test } from "node:test"; test(${JSON.stringify(BEGIN + file)}, () => {});`;
      return [`data:text/javascript,${encodeURIComponent(begin)}`, `./${toEmitted(file)}`]
        .map((specifier) => `import ${JSON.stringify(specifier)};\n`).join("");
    });
    await Deno.writeTextFile(`${folder}/${name}`, lines.join(""));
    return name;
  }));
}

/**
 * Says of each test which file it is from, and leaves out the tests that only say so.
 *
 * @param cases The tests in the order in which they were reported.
 */
export function withFiles(cases: readonly TestCase[]): TestCase[] {
  let file: string | undefined;
  const tests: TestCase[] = [];
  for (const testCase of cases) {
    if (testCase.name.startsWith(BEGIN)) file = testCase.name.slice(BEGIN.length);
    else tests.push({ ...testCase, file });
  }
  return tests;
}

function toEmitted(file: string): string {
  return file.replace(/\.ts$/, ".js");
}
