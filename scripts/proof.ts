/**
 * Runs every suite that `deno task test` leaves out: those that need packages from npm, a browser, proxies or minutes, and
 * the files that stand on memory alone on the versions of Node that left them to another one.
 *
 * Usage: `deno task proof [filter ...]`. A filter selects the suites whose name contains it. A suite for which a program
 * is missing is left out, with a line that names the program; all others must pass.
 *
 * @module
 */

import { runCommand } from "./command.ts";

/** A suite. */
interface Suite {
  /** Its task. */
  readonly task: string;
  readonly args?: readonly string[];
  /** Programs, as Debian has them, without which it can't run. */
  readonly needs?: readonly string[];
  /** Whether it judges how much time or memory something takes, so that nothing else may run meanwhile. */
  readonly runsAlone?: boolean;
}

/** The longest first, so that they end together. */
const SUITES: readonly Suite[] = [
  { task: "test:package" },
  { task: "test:frameworks" },
  { task: "test:websocket" },
  { task: "test:observe", needs: ["prometheus", "promtool", "chromium"] },
  { task: "test:deploy", args: ["--quick"], needs: ["nginx", "haproxy"], runsAlone: true },
  { task: "test:splits" },
  { task: "test:nodes" },
  { task: "test:plays" },
  { task: "test:proxy", needs: ["nginx"] },
  { task: "test:browser", needs: ["chromium"] },
  { task: "test:showcase", needs: ["chromium"], runsAlone: true },
  { task: "attack", runsAlone: true },
];

/** Suites at once: browsers, proxies and installations are waited for more than they compute. */
const JOBS = 2;
/** No suite takes a quarter of it on a quiet machine. */
const DEADLINE_MS = 900_000;
/** Where Debian has programs that are no user's. */
const SEARCHED = ["/usr/sbin", "/sbin"];

async function isInstalled(program: string): Promise<boolean> {
  const folders = [...(Deno.env.get("PATH") ?? "").split(":"), ...SEARCHED];
  for (const folder of folders) {
    if (await Deno.stat(`${folder}/${program}`).then(({ isFile }) => isFile, () => false)) return true;
  }
  return false;
}

/** Runs one suite. Returns whether nothing has failed. */
async function prove({ task, args = [], needs = [] }: Suite, root: string): Promise<boolean> {
  for (const program of needs) {
    if (await isInstalled(program)) continue;
    console.log(`left out  ${task}: ${program} is not installed`);
    return true;
  }
  const argv = [Deno.execPath(), "task", "--quiet", task, ...args];
  const { exitCode, output, seconds, timedOut } = await runCommand(argv, { cwd: root, deadlineMs: DEADLINE_MS });
  const end = timedOut ? `was ended after ${DEADLINE_MS / 1000} s` : `${seconds.toFixed(0)} s`;
  if (exitCode === 0) {
    const summary = output.trimEnd().split("\n").findLast((line) => /\d+ passed/.test(line))?.trim();
    console.log(`ok        ${task}, ${end}${summary === undefined ? "" : `: ${summary}`}`);
    return true;
  }
  // What has gone well says nothing of what has failed.
  const lines = output.trimEnd().split("\n").filter((line) => !/\.\.\. .*ok/.test(line));
  console.log(`\n===== ${task} =====\n${lines.join("\n")}\n\nFAILED    ${task}, ${end}`);
  return false;
}

const root = decodeURIComponent(new URL("..", import.meta.url).pathname).replace(/\/$/, "");
const filters = Deno.args;
const suites = SUITES.filter(({ task }) => filters.length === 0 || filters.some((filter) => task.includes(filter)));
if (suites.length === 0) {
  console.error(`No suite has such a name; there are ${SUITES.map(({ task }) => task).join(", ")}.`);
  Deno.exit(2);
}
let failed = 0;
for (const [runsAlone, jobs] of [[false, JOBS], [true, 1]] as const) {
  const waiting = suites.filter((suite) => (suite.runsAlone ?? false) === runsAlone);
  const proveNext = async (): Promise<void> => {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) if (!await prove(next, root)) failed++;
  };
  await Promise.all(Array.from({ length: jobs }, proveNext));
}
console.log(`\n${suites.length - failed} of ${suites.length} suites have no failure`);
Deno.exit(failed === 0 ? 0 : 1);
