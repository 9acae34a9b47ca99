/**
 * Runs every test of the repository on every runtime and adds up what they report.
 *
 * Usage: `deno task test [--only=deno,bun] [--left-out] [--jobs=5] [--deadline=300] [filter ...]`. A filter selects the
 * test files whose path contains it. Unless runtimes or files are selected, the files that stand on memory alone run on
 * one Node for all; `--left-out` runs them on the others. The files of a runtime are shared by two processes, so that the
 * slowest runtime is not left over alone; at most `--jobs` processes run at once, of whichever runtimes.
 *
 * A runtime that cannot be started, runs no test, leaves out a file it was given or prints nothing for the deadline
 * (seconds) has failed: a suite must not pass because it silently did not run. The ways that states took must be those of
 * the tables, and where every test of a runtime has run, all of them.
 *
 * @module
 */

import { runCommand } from "./command.ts";
import { emit } from "./emit.ts";
import { groupTestFiles, type TestGroup, writeTestGroups } from "./node_test_groups.ts";
import { compareWays, findListedWays, readTakenWays, RECORDS_VARIABLE, type Way } from "./state_ways.ts";
import { readTestReport, type TestCase } from "./test_report.ts";
import { TestProgress } from "./test_progress.ts";
import { type RuntimeProgram, TEST_RUNTIMES, type TestRuntime } from "./test_runtimes.ts";

/** Whether a runtime runs all files, what it does not leave to another one, or what it leaves to it. */
type Scope = "all" | "not-left" | "left";

/** What the command line asks for. */
interface Options {
  readonly runtimes: readonly TestRuntime[];
  readonly scope: Scope;
  readonly jobs: number;
  readonly deadlineMs: number;
  readonly filters: readonly string[];
}

/** What a runner is given to run. */
interface Modules {
  readonly folder: string;
  /** Groups of files, each with its module, relative to the folder. */
  readonly groups: readonly (TestGroup & { readonly module: string })[];
}

/** What is common to all runtimes of one call. */
interface Suite {
  readonly root: string;
  readonly scope: Scope;
  readonly deadlineMs: number;
  /** A folder of this call's own: the reports, and the emitted JavaScript. */
  readonly folder: string;
  /** The tests as TypeScript. */
  readonly source: Modules;
  /** The tests as JavaScript, once they are written. */
  readonly emitted: Promise<Modules>;
  /** The ways that every runtime has to take through the states; `null` where only some of the tests run. */
  readonly listedWays: readonly Way[] | null;
  readonly progress: TestProgress;
  /** Calls functions in the order in which they are given, so many at once. */
  readonly inTurn: <T>(call: () => Promise<T>) => Promise<T>;
}

/** A runtime that was found, and what it is to run. */
interface Plan {
  readonly runtime: TestRuntime;
  readonly program: RuntimeProgram;
  readonly title: string;
  readonly folder: string;
  readonly files: readonly string[];
  /** How many files are left to another runtime, or have been. */
  readonly leftOut: number;
  /** The modules of each process. */
  readonly shares: readonly (readonly string[])[];
}

/** How one runtime did. */
interface Result {
  readonly name: string;
  readonly title: string;
  /** How many test files it has run. */
  readonly files: number;
  readonly leftOut: number;
  readonly cases: readonly TestCase[];
  /** What went wrong beside failed tests; each counts as a failure. */
  readonly problems: readonly string[];
  /** How long its processes ran, added up. */
  readonly seconds: number;
  /** The runner's output, where something went wrong. */
  readonly output: string;
}

/** The command line asks for what there is not. */
class UsageError extends Error {}

/** No test takes a tenth of it. A busy machine goes on, where one that has come to a stop is ended. */
const DEFAULT_DEADLINE_SECONDS = 300;
/**
 * Processes at once for each processor, unless the command line says otherwise: more than half of the time of most tests
 * is waiting. So five of them share the two processors of a small machine.
 */
const JOBS_PER_PROCESSOR = 2.5;
/** Processes for each runtime. */
const SHARES = 2;
/** Lines of an ended runner's output that are shown whatever they say: the last of them names the test that hung. */
const LAST_LINES = 40;

function readOptions(args: readonly string[]): Options {
  const filters: string[] = [];
  let runtimes: readonly TestRuntime[] | null = null;
  let isLeft = false;
  let jobs = Math.ceil(JOBS_PER_PROCESSOR * navigator.hardwareConcurrency);
  let deadlineSeconds = DEFAULT_DEADLINE_SECONDS;
  for (let index = 0; index < args.length; index++) {
    const [name, attached] = args[index].split(/=(.*)/s);
    if (!name.startsWith("-")) {
      filters.push(args[index]);
      continue;
    }
    if (args[index] === "--left-out") {
      isLeft = true;
      continue;
    }
    const value = attached ?? args[++index] ?? "";
    if (name === "--only") runtimes = selectRuntimes(value.split(","));
    else if (name === "--jobs") jobs = positiveInteger(name, value);
    else if (name === "--deadline") deadlineSeconds = positiveInteger(name, value);
    else throw new UsageError(`Unknown option ${name}: known are --only, --left-out, --jobs and --deadline.`);
  }
  const deadlineMs = deadlineSeconds * 1000;
  if (!isLeft) {
    const scope = runtimes === null && filters.length === 0 ? "not-left" : "all";
    return { runtimes: runtimes ?? TEST_RUNTIMES, scope, jobs, deadlineMs, filters };
  }
  const leaving = (runtimes ?? TEST_RUNTIMES).filter(({ leavesMemoryTo }) => leavesMemoryTo !== null);
  if (leaving.length > 0) return { runtimes: leaving, scope: "left", jobs, deadlineMs, filters };
  throw new UsageError("None of these runtimes leaves anything out.");
}

function selectRuntimes(names: readonly string[]): TestRuntime[] {
  const known = TEST_RUNTIMES.map((runtime) => runtime.name);
  const unknown = names.find((name) => !known.includes(name));
  if (unknown === undefined) return TEST_RUNTIMES.filter((runtime) => names.includes(runtime.name));
  throw new UsageError(`Unknown runtime "${unknown}": known are ${known.join(", ")}.`);
}

function positiveInteger(name: string, value: string): number {
  if (/^[1-9]\d{0,4}$/.test(value)) return Number(value);
  throw new UsageError(`${name} takes a positive whole number, got "${value}".`);
}

async function testFilesBelow(root: string, folder: string): Promise<string[]> {
  const files: string[] = [];
  for await (const entry of Deno.readDir(`${root}/${folder}`)) {
    const path = `${folder}/${entry.name}`;
    if (entry.isDirectory) files.push(...await testFilesBelow(root, path));
    else if (entry.name.endsWith("_test.ts")) files.push(path);
  }
  return files.sort();
}

async function emitTests(root: string, folder: string, files: readonly string[]): Promise<Modules> {
  await emit(root, folder);
  const groups = await groupTestFiles(folder, files);
  const modules = await writeTestGroups(folder, groups);
  return { folder, groups: groups.map((group, index) => ({ ...group, module: modules[index] })) };
}

/** Finds a runtime, and what it is to run. */
async function plan(runtime: TestRuntime, suite: Suite): Promise<Plan | Result> {
  let title = runtime.name;
  try {
    const program = await runtime.find(suite.root);
    title = `${runtime.name} (${program.version})`;
    const { folder, groups: all } = runtime.emitted ? await suite.emitted : suite.source;
    const isLeft = ({ inMemory }: TestGroup): boolean => inMemory && runtime.leavesMemoryTo !== null;
    const groups = all.filter((group) => suite.scope === "all" || isLeft(group) === (suite.scope === "left"));
    const filesOf = (some: readonly TestGroup[]): string[] => some.flatMap(({ files }) => files);
    const shares = Array.from(
      { length: Math.min(SHARES, groups.length) },
      (_, share) => groups.filter((_, index) => index % SHARES === share).map(({ module }) => module),
    );
    const files = filesOf(groups);
    return { runtime, program, title, folder, files, leftOut: filesOf(all).length - files.length, shares };
  } catch (error) {
    const output = error instanceof Error ? error.message : String(error);
    const problems = ["could not be started"];
    return { name: runtime.name, title, files: 0, leftOut: 0, cases: [], problems, seconds: 0, output };
  }
}

async function runTests(
  { runtime, program, title, folder, files, leftOut, shares }: Plan,
  suite: Suite,
): Promise<Result> {
  const records = `${suite.folder}/${runtime.name}_transitions`;
  await Deno.mkdir(records);
  // Each file is a process on Node, and all of them compile the same modules.
  const env = { [RECORDS_VARIABLE]: records, NODE_COMPILE_CACHE: `${suite.folder}/compiled` };
  const ends = await Promise.all(shares.map((modules, share) =>
    suite.inTurn(async () => {
      const reportPath = `${suite.folder}/${runtime.name}_${share}.xml`;
      const end = await runCommand(runtime.command(program.path, modules, reportPath), {
        cwd: folder,
        deadlineMs: suite.deadlineMs,
        mayGoOnWhilePrinting: true,
        env,
        onOutput: suite.progress.begin(runtime, files.length),
      });
      return { ...end, cases: readTestReport(await Deno.readTextFile(reportPath).catch(() => "")) };
    })
  ));
  suite.progress.end(runtime);

  const { cases, filesWithoutTest } = runtime.read(ends.flatMap((end) => end.cases), files);
  const timedOut = ends.some((end) => end.timedOut);
  const exitCode = ends.find((end) => end.exitCode !== 0)?.exitCode ?? 0;
  const seconds = ends.reduce((sum, end) => sum + end.seconds, 0);
  const output = ends.map((end) => end.output).join("\n");
  const problems: string[] = [];
  if (timedOut) problems.push(`was ended: it had printed nothing for ${suite.deadlineMs / 1000} s`);
  else if (cases.length === 0) problems.push("ran no test");
  else problems.push(...filesWithoutTest.map((file) => `ran no test of ${file}`));
  const strayErrors = output.match(runtime.strayErrors)?.length ?? 0;
  if (strayErrors > 0) problems.push(`met ${strayErrors} uncaught errors outside of a test`);
  // What failed or was ended may have left out a way.
  const mayCompare = problems.length === 0 && cases.every((testCase) => testCase.outcome !== "failed");
  if (suite.listedWays !== null && mayCompare) {
    const { unlisted, untaken } = compareWays(suite.listedWays, await readTakenWays(records));
    problems.push(...unlisted.map((way) => `took a way that is in no table of states: ${way}`));
    if (leftOut === 0) {
      problems.push(...untaken.map((way) => `took in no test the way "${way}" of the tables of states`));
    }
  }
  const succeeded = problems.length === 0 && cases.every((testCase) => testCase.outcome !== "failed");
  const result = { name: runtime.name, title, files: files.length, leftOut, cases, problems, seconds };
  if (succeeded && exitCode !== 0) problems.push(`ended with exit code ${exitCode} although no test failed`);
  if (succeeded && exitCode === 0) return { ...result, output: "" };

  const shown = ends.flatMap((end) => {
    const lines = end.output.trimEnd().split("\n");
    const last = end.timedOut ? lines.splice(-LAST_LINES) : [];
    return [...lines.filter((line) => !runtime.isGoodNews(line)), ...last];
  });
  return { ...result, output: shown.join("\n") };
}

/** Runs the tests on each runtime, and says so as each ends. */
async function runAll(runtimes: readonly TestRuntime[], suite: Suite): Promise<Result[]> {
  const plans = await Promise.all(runtimes.map((runtime) => plan(runtime, suite)));
  const results: Result[] = [];
  // Runtimes that leave nothing out take the longest, so they begin first.
  const byLength = [...plans.entries()].sort(([, one], [, other]) => one.leftOut - other.leftOut);
  await Promise.all(byLength.map(async ([index, plan]) => {
    const result = "problems" in plan ? plan : await runTests(plan, suite);
    results[index] = result;
    const print = (line: string): void => suite.progress.print(line);
    if (result.output !== "") print(`\n===== ${result.title} =====\n${result.output}\n`);
    for (const problem of result.problems) print(`FAILED  ${result.title} ${problem}`);
    print(`${isGood(result) ? "ok     " : "FAILED "} ${result.title}, ${result.seconds.toFixed(1)} s`);
  }));
  return results;
}

/** Makes what calls functions in the order in which they are given, at most so many at once. */
function createTurns(most: number): <T>(call: () => Promise<T>) => Promise<T> {
  let running = 0;
  const waiting: (() => void)[] = [];
  return async (call) => {
    if (running < most) running++;
    // One that ends hands its place on.
    else await new Promise<void>((resolve) => waiting.push(resolve));
    try {
      return await call();
    } finally {
      const next = waiting.shift();
      if (next === undefined) running--;
      else next();
    }
  };
}

function count(result: Result, outcome: TestCase["outcome"]): number {
  const tests = result.cases.filter((testCase) => testCase.outcome === outcome).length;
  return outcome === "failed" ? tests + result.problems.length : tests;
}

function isGood(result: Result): boolean {
  return count(result, "failed") === 0;
}

function printSummary(results: readonly Result[], scope: Scope): void {
  const skipped = new Map<string, string[]>();
  for (const { name: runtime, cases } of results) {
    for (const { name, outcome } of cases) {
      if (outcome === "skipped") skipped.set(name, [...skipped.get(name) ?? [], runtime]);
    }
  }
  if (skipped.size > 0) console.log("\nSkipped:");
  for (const [name, runtimes] of skipped) console.log(`  ${name}  [${runtimes.join(", ")}]`);

  const leaving = results.filter(({ leftOut }) => leftOut > 0);
  if (scope === "not-left" && leaving.length > 0) {
    const runtimes = leaving.map(({ name }) => name).join(" and ");
    console.log(
      `\nLeft out on ${runtimes}: ${leaving[0].leftOut} test files that stand on memory alone. They run on other ` +
        "runtimes here, and there in `deno task test:nodes`, a part of `deno task proof`.",
    );
  }

  const rows = results.map((result) => [
    result.title,
    result.leftOut === 0 ? String(result.files) : `${result.files} of ${result.files + result.leftOut}`,
    ...(["passed", "failed", "skipped"] as const).map((outcome) => String(count(result, outcome))),
    result.seconds.toFixed(1),
  ]);
  const table = [["runtime", "files", "passed", "failed", "skipped", "seconds"], ...rows];
  const widths = table[0].map((_, column) => Math.max(...table.map((row) => row[column].length)));
  console.log();
  for (const row of table) {
    console.log(
      row.map((cell, column) => column === 0 ? cell.padEnd(widths[0]) : cell.padStart(widths[column])).join("  "),
    );
  }

  const total = (outcome: TestCase["outcome"]): number =>
    results.reduce((sum, result) => sum + count(result, outcome), 0);
  const skippedTotal = total("skipped");
  console.log(
    `\n${total("passed")} passed, ${total("failed")} failed${skippedTotal > 0 ? `, ${skippedTotal} skipped` : ""}`,
  );
}

async function main(): Promise<number> {
  const options = readOptions(Deno.args);
  const root = decodeURIComponent(new URL("..", import.meta.url).pathname).replace(/\/$/, "");
  const all = await testFilesBelow(root, "test");
  const files = all.filter((file) =>
    options.filters.length === 0 || options.filters.some((filter) => file.includes(filter))
  );
  if (files.length === 0) throw new UsageError(`None of the ${all.length} test files matches.`);
  console.log(`${files.length} test files on ${options.runtimes.map((runtime) => runtime.name).join(", ")}\n`);

  const folder = await Deno.realPath(await Deno.makeTempDir({ prefix: "trivet_test_" }));
  globalThis.addEventListener("unload", () => Deno.removeSync(folder, { recursive: true }));
  for (const [signal, exitCode] of [["SIGINT", 130], ["SIGTERM", 143], ["SIGHUP", 129]] as const) {
    Deno.addSignalListener(signal, () => Deno.exit(exitCode));
  }
  const source = { folder: root, groups: files.map((file) => ({ files: [file], inMemory: false, module: file })) };
  const needsEmit = options.runtimes.some((runtime) => runtime.emitted);
  const emitted = needsEmit ? emitTests(root, `${folder}/javascript`, files) : Promise.resolve(source);
  // Each runtime that waits for it reports a failure itself.
  emitted.catch(() => undefined);

  const listedWays = files.length === all.length ? await findListedWays(root) : null;
  const { scope, deadlineMs } = options;
  const progress = new TestProgress();
  const inTurn = createTurns(options.jobs);
  const suite: Suite = { root, scope, deadlineMs, folder, source, emitted, listedWays, progress, inTurn };
  const results = await runAll(options.runtimes, suite);
  printSummary(results, scope);
  return results.every(isGood) ? 0 : 1;
}

try {
  Deno.exit(await main());
} catch (error) {
  if (!(error instanceof UsageError)) throw error;
  console.error(error.message);
  Deno.exit(2);
}
