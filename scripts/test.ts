/**
 * Runs every test of the repository on every runtime and adds up what they report.
 *
 * Usage: `deno task test [--only=deno,bun] [--jobs=5] [--deadline=300] [filter ...]`. A filter selects the test files
 * whose path contains it. A runtime that cannot be started, runs no test, leaves out a file or prints nothing for the
 * deadline (seconds) has failed: a suite must not pass because it silently did not run. When every test of a runtime has
 * run, the ways that states took must be those of the tables, all of them and no others.
 *
 * @module
 */

import { runCommand } from "./command.ts";
import { emit } from "./emit.ts";
import { groupTestFiles, writeTestGroups } from "./node_test_groups.ts";
import { compareWays, findListedWays, readTakenWays, RECORDS_VARIABLE, type Way } from "./state_ways.ts";
import { readTestReport, type TestCase } from "./test_report.ts";
import { TestProgress } from "./test_progress.ts";
import { TEST_RUNTIMES, type TestRuntime } from "./test_runtimes.ts";

/** What the command line asks for. */
interface Options {
  readonly runtimes: readonly TestRuntime[];
  readonly jobs: number;
  readonly deadlineMs: number;
  readonly filters: readonly string[];
}

/** The tests as JavaScript. */
interface Emitted {
  readonly folder: string;
  /** The modules, relative to the folder, that are to have a process each. */
  readonly modules: readonly string[];
}

/** What is common to all runtimes of one call. */
interface Suite {
  readonly root: string;
  readonly files: readonly string[];
  readonly deadlineMs: number;
  /** A folder of this call's own: the reports, and the emitted JavaScript. */
  readonly folder: string;
  /** The emitted JavaScript, once it is written. */
  readonly emitted: Promise<Emitted>;
  /** The ways that every runtime has to take through the states; `null` where only some of the tests run. */
  readonly listedWays: readonly Way[] | null;
  readonly progress: TestProgress;
}

/** How one runtime did. */
interface Result {
  readonly name: string;
  readonly title: string;
  readonly cases: readonly TestCase[];
  /** What went wrong beside failed tests; each counts as a failure. */
  readonly problems: readonly string[];
  readonly seconds: number;
  /** The runner's output, where something went wrong. */
  readonly output: string;
}

/** The command line asks for what there is not. */
class UsageError extends Error {}

/** No test takes a tenth of it. A busy machine goes on, where one that has come to a stop is ended. */
const DEFAULT_DEADLINE_SECONDS = 300;
/**
 * Runtimes at once for each processor, unless the command line says otherwise: more than half of the time of most tests
 * is waiting. So five of them share the two processors of a small machine.
 */
const JOBS_PER_PROCESSOR = 2.5;
/** Lines of an ended runner's output that are shown whatever they say: the last of them names the test that hung. */
const LAST_LINES = 40;

function readOptions(args: readonly string[]): Options {
  const filters: string[] = [];
  let runtimes: readonly TestRuntime[] = TEST_RUNTIMES;
  let jobs = Math.ceil(JOBS_PER_PROCESSOR * navigator.hardwareConcurrency);
  let deadlineSeconds = DEFAULT_DEADLINE_SECONDS;
  for (let index = 0; index < args.length; index++) {
    const [name, attached] = args[index].split(/=(.*)/s);
    if (!name.startsWith("-")) {
      filters.push(args[index]);
      continue;
    }
    const value = attached ?? args[++index] ?? "";
    if (name === "--only") runtimes = selectRuntimes(value.split(","));
    else if (name === "--jobs") jobs = positiveInteger(name, value);
    else if (name === "--deadline") deadlineSeconds = positiveInteger(name, value);
    else throw new UsageError(`Unknown option ${name}: known are --only, --jobs and --deadline.`);
  }
  return { runtimes, jobs, deadlineMs: deadlineSeconds * 1000, filters };
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

async function emitTests(root: string, folder: string, files: readonly string[]): Promise<Emitted> {
  await emit(root, folder);
  return { folder, modules: await writeTestGroups(folder, await groupTestFiles(folder, files)) };
}

async function runTests(runtime: TestRuntime, suite: Suite): Promise<Result> {
  let title = runtime.name;
  const reportPath = `${suite.folder}/${runtime.name}.xml`;
  let argv: string[];
  let cwd: string;
  try {
    const program = await runtime.find(suite.root);
    title = `${runtime.name} (${program.version})`;
    const { folder, modules } = runtime.emitted ? await suite.emitted : { folder: suite.root, modules: suite.files };
    cwd = folder;
    argv = runtime.command(program.path, modules, reportPath);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    return { name: runtime.name, title, cases: [], problems: ["could not be started"], seconds: 0, output: reason };
  }
  const records = `${suite.folder}/${runtime.name}_transitions`;
  await Deno.mkdir(records);
  const env = { [RECORDS_VARIABLE]: records };
  const { exitCode, output, seconds, timedOut } = await runCommand(argv, {
    cwd,
    deadlineMs: suite.deadlineMs,
    mayGoOnWhilePrinting: true,
    env,
    onOutput: suite.progress.begin(runtime),
  });
  suite.progress.end(runtime);

  const report = await Deno.readTextFile(reportPath).catch(() => "");
  const { cases, filesWithoutTest } = runtime.read(readTestReport(report), suite.files);
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
    problems.push(...untaken.map((way) => `took in no test the way "${way}" of the tables of states`));
  }
  const succeeded = problems.length === 0 && cases.every((testCase) => testCase.outcome !== "failed");
  const result = { name: runtime.name, title, cases, problems, seconds };
  if (succeeded && exitCode !== 0) problems.push(`ended with exit code ${exitCode} although no test failed`);
  if (succeeded && exitCode === 0) return { ...result, output: "" };

  const lines = output.trimEnd().split("\n");
  const last = timedOut ? lines.splice(-LAST_LINES) : [];
  const shown = [...lines.filter((line) => !runtime.isGoodNews(line)), ...last];
  return { ...result, output: shown.join("\n") };
}

/** Runs the tests on each runtime, on at most `jobs` of them at once, and says so as each ends. */
async function runAll(options: Options, suite: Suite): Promise<Result[]> {
  const results: Result[] = [];
  const waiting = [...options.runtimes.entries()];
  const runNext = async (): Promise<void> => {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
      const [index, runtime] = next;
      const result = await runTests(runtime, suite);
      results[index] = result;
      const print = (line: string): void => suite.progress.print(line);
      if (result.output !== "") print(`\n===== ${result.title} =====\n${result.output}\n`);
      for (const problem of result.problems) print(`FAILED  ${result.title} ${problem}`);
      print(`${isGood(result) ? "ok     " : "FAILED "} ${result.title}, ${result.seconds.toFixed(1)} s`);
    }
  };
  await Promise.all(Array.from({ length: options.jobs }, runNext));
  return results;
}

function count(result: Result, outcome: TestCase["outcome"]): number {
  const tests = result.cases.filter((testCase) => testCase.outcome === outcome).length;
  return outcome === "failed" ? tests + result.problems.length : tests;
}

function isGood(result: Result): boolean {
  return count(result, "failed") === 0;
}

function printSummary(results: readonly Result[]): void {
  const skipped = new Map<string, string[]>();
  for (const { name: runtime, cases } of results) {
    for (const { name, outcome } of cases) {
      if (outcome === "skipped") skipped.set(name, [...skipped.get(name) ?? [], runtime]);
    }
  }
  if (skipped.size > 0) console.log("\nSkipped:");
  for (const [name, runtimes] of skipped) console.log(`  ${name}  [${runtimes.join(", ")}]`);

  const rows = results.map((result) => [
    result.title,
    ...(["passed", "failed", "skipped"] as const).map((outcome) => String(count(result, outcome))),
    result.seconds.toFixed(1),
  ]);
  const table = [["runtime", "passed", "failed", "skipped", "seconds"], ...rows];
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
  const needsEmit = options.runtimes.some((runtime) => runtime.emitted);
  const emitted = needsEmit
    ? emitTests(root, `${folder}/javascript`, files)
    : Promise.resolve({ folder: root, modules: files });
  // Each runtime that waits for it reports a failure itself.
  emitted.catch(() => undefined);

  const listedWays = files.length === all.length ? await findListedWays(root) : null;
  const progress = new TestProgress(files.length);
  const { deadlineMs } = options;
  const results = await runAll(options, { root, files, deadlineMs, folder, emitted, listedWays, progress });
  printSummary(results);
  return results.every(isGood) ? 0 : 1;
}

try {
  Deno.exit(await main());
} catch (error) {
  if (!(error instanceof UsageError)) throw error;
  console.error(error.message);
  Deno.exit(2);
}
