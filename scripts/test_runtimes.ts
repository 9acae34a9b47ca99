/**
 * The runtimes the tests run on: where the program of each is found and how its test runner is called.
 *
 * Everything in which the runners differ is in this table. It starts no test run and judges none.
 *
 * @module
 */

import { runCommand } from "./command.ts";
import { withFiles } from "./node_test_groups.ts";
import { type TestCase, withoutGroups } from "./test_report.ts";

/** A runtime's program on this machine. */
export interface RuntimeProgram {
  /** The path of the program itself, not of a wrapper around it. */
  readonly path: string;
  /** Its version. */
  readonly version: string;
}

/** How tests are run on one runtime. */
export interface TestRuntime {
  /** The name by which `--only` selects it. */
  readonly name: string;
  /** Whether it runs the emitted JavaScript and not the TypeScript. */
  readonly emitted: boolean;
  /**
   * The runtime on which the tests that stand on memory alone run for this one too, unless the command line asks for more:
   * what they test differs between versions of Node in nothing but the engine. `null` where they run themselves.
   */
  readonly leavesMemoryTo: string | null;
  /** Finds the program, downloading it if need be; rejects with the reason where there is none. */
  find(root: string): Promise<RuntimeProgram>;
  /** The command that runs these modules and writes a JUnit report. */
  command(program: string, modules: readonly string[], reportPath: string): string[];
  /** Whether a line of the runner's output only says that something went well. */
  isGoodNews(line: string): boolean;
  /** Lines of the runner's output that say that the tests of another file begin, that one has passed or failed. */
  readonly lines: { readonly file: RegExp; readonly passed: RegExp; readonly failed: RegExp };
  /** Finds a line of the runner's output for each error that was thrown outside of a test and failed none. */
  readonly strayErrors: RegExp;
  /** Normalizes what the runner reports: its tests, and those of the files in which a test was found. */
  read(cases: readonly TestCase[], files: readonly string[]): TestRun;
}

/** The tests of one run. */
export interface TestRun {
  /** Each test. */
  readonly cases: readonly TestCase[];
  /** The files of the run in which no test was found. */
  readonly filesWithoutTest: readonly string[];
}

/** Long enough to download a runtime on a slow line. */
const FIND_DEADLINE_MS = 180_000;
/** Nothing of this suite takes a tenth of it; with Bun's own 5 s a busy machine would fail. Deno and Node have none. */
const TEST_TIMEOUT_MS = 60_000;
const OLDEST_NODE = 20;

/** How the output of `deno test` announces an error that reached the event loop. */
export const UNCAUGHT_ERROR_LINE = "Uncaught error outside of a test:";

const PRINT_NODE = "console.log(process.execPath); console.log(process.versions.node)";
const PRINT_BUN = "console.log(process.execPath); console.log(process.versions.bun)";

/** Every runtime the package supports, in the order in which they run. */
export const TEST_RUNTIMES: readonly TestRuntime[] = [
  {
    name: "deno",
    emitted: false,
    leavesMemoryTo: null,
    find: () => Promise.resolve({ path: Deno.execPath(), version: Deno.version.deno }),
    command: (program, files, reportPath) => [
      program,
      "test",
      "--allow-all",
      "--no-check",
      `--preload=${new URL("deno_test_preload.ts", import.meta.url)}`,
      `--junit-path=${reportPath}`,
      ...files.map((file) => `./${file}`),
    ],
    isGoodNews: (line) => /^\s*(?:running \d+ tests? from |.+ \.\.\.(?: (?:ok|ignored) \(.*\))?$)/.test(line),
    lines: {
      file: /^running \d+ tests? from /,
      passed: /\.\.\. ok \(/,
      failed: /\.\.\. FAILED \((?!due to )/,
    },
    // The second form is printed by Deno itself, for an error in a callback of node:net.
    strayErrors: new RegExp(`^(?:${UNCAUGHT_ERROR_LINE} |\\S+:\\d+: Uncaught )`, "gm"),
    read: (cases, files) => ({
      cases: withoutGroups(cases),
      filesWithoutTest: filesMissingFrom(cases, files),
    }),
  },
  {
    name: "bun",
    emitted: false,
    leavesMemoryTo: null,
    find: (root) => findWithNpx(root, "bun@1", ["bun", "-e", PRINT_BUN]),
    command: (program, files, reportPath) => [
      program,
      "test",
      `--timeout=${TEST_TIMEOUT_MS}`,
      "--reporter=junit",
      `--reporter-outfile=${reportPath}`,
      // Without the "./" Bun takes an argument for a part of a name.
      ...files.map((file) => `./${file}`),
    ],
    isGoodNews: (line) => /^\((?:pass|skip|todo)\) /.test(line),
    lines: { file: /^\S+_test\.ts:$/, passed: /^\(pass\) /, failed: /^\(fail\) / },
    strayErrors: /^# Unhandled error between tests$/gm,
    read: (cases, files) => ({ cases, filesWithoutTest: filesMissingFrom(cases, files) }),
  },
  nodeRuntime("node", "node@24", findMachineNode),
  nodeRuntime("node@24", null, (root) => findWithNpx(root, "node@24", ["node", "-e", PRINT_NODE])),
  nodeRuntime("node@26", "node@24", (root) => findWithNpx(root, "node@26", ["node", "-e", PRINT_NODE])),
];

function nodeRuntime(
  name: string,
  leavesMemoryTo: string | null,
  find: (root: string) => Promise<RuntimeProgram>,
): TestRuntime {
  return {
    name,
    emitted: true,
    leavesMemoryTo,
    find,
    command: (program, modules, reportPath) => [
      program,
      "--enable-source-maps",
      "--test",
      // One process at a time, as Deno and Bun have one file: the runner of all tests says how many run at once.
      "--test-concurrency=1",
      "--test-reporter=spec",
      "--test-reporter-destination=stdout",
      "--test-reporter=junit",
      `--test-reporter-destination=${reportPath}`,
      ...modules,
    ],
    isGoodNews: (line) => /^\s*[✔﹣▶] /.test(line),
    lines: { file: /^✔ file: /, passed: /^\s*✔ (?!file: )/, failed: /^\s*✖ (?!failing tests:)/ },
    // Node fails the process's own test for such an error.
    strayErrors: /(?!)/g,
    read: (cases, files) => {
      const tests = withFiles(cases);
      return { cases: tests, filesWithoutTest: filesMissingFrom(tests, files) };
    },
  };
}

function filesMissingFrom(cases: readonly TestCase[], files: readonly string[]): string[] {
  const reported = new Set(cases.map(({ file }) => file?.replace(/^\.\//, "")));
  return files.filter((file) => !reported.has(file));
}

/** Finds the program inside an npm package, so that signals and exit codes pass through no wrapper. */
function findWithNpx(root: string, specifier: string, print: readonly string[]): Promise<RuntimeProgram> {
  return printedProgram(["npx", "--yes", `--package=${specifier}`, "--", ...print], root);
}

async function findMachineNode(root: string): Promise<RuntimeProgram> {
  const node = await printedProgram(["node", "-e", PRINT_NODE], root);
  if (Number.parseInt(node.version) >= OLDEST_NODE) return node;
  throw new Error(`The machine's Node is ${node.version}; ${OLDEST_NODE} or newer is needed.`);
}

async function printedProgram(argv: readonly string[], root: string): Promise<RuntimeProgram> {
  const result = await runCommand(argv, { cwd: root, deadlineMs: FIND_DEADLINE_MS });
  const [path, version] = result.output.trim().split("\n").slice(-2);
  if (result.exitCode === 0 && version !== undefined) return { path, version };
  const reason = result.timedOut ? "took too long" : `ended with exit code ${result.exitCode}`;
  throw new Error(`\`${argv.join(" ")}\` ${reason}.\n${result.output}`);
}
