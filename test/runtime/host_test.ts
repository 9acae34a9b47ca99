/** What the host of the runtime this runs on prints and knows, in processes whose outputs fail in every way. */

import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { detectRuntime } from "../../runtime/detect.ts";
import { atOnce } from "../support/at_once.ts";

const runtime = detectRuntime();
const PROGRAM = fileURLToPath(import.meta.resolve("../fixtures/runtime/host_program.ts")).replace(
  /\.ts$/,
  import.meta.url.endsWith(".js") ? ".js" : ".ts",
);
const DEADLINE_MS = 40_000;
/** More than any pipe and its reader hold. */
const MANY_LINES = 3_000;

/** What the program reports of its printing. */
interface Report {
  /** Lines dropped of the many. */
  readonly firstDropped: number;
  /** Lines dropped of the many and of the ten behind them. */
  readonly dropped: number;
}

/** How the program ended. */
interface End {
  readonly code: number | null;
  readonly output: string;
  readonly report: Report | null;
}

/** The command that runs the program on this runtime, before its arguments. */
function command(denoPermissions = ["--allow-all"]): string[] {
  const { execPath } = process;
  if (runtime.name === "deno") return [execPath, "run", ...denoPermissions, "--no-check", "--no-prompt", "--quiet"];
  return runtime.name === "bun" ? [execPath, "run"] : [execPath, "--no-warnings"];
}

/**
 * Runs the program from a shell.
 *
 * @param script What the shell does; `"$@"` is the program, `$DONE` a file that is there when the program has ended.
 * @param args The program's arguments, behind the file of its report.
 */
function runInShell(script: string, deed: string, ...args: string[]): Promise<End> {
  const folder = mkdtempSync(join(tmpdir(), "trivet-"));
  const report = join(folder, "report");
  const argv = ["-c", script, "sh", ...command(), PROGRAM, deed, report, ...args];
  const child = spawn("sh", argv, { stdio: ["ignore", "pipe", "ignore"], env: { ...process.env, FOLDER: folder } });
  let output = "";
  child.stdout!.setEncoding("utf8").on("data", (text: string) => void (output += text));
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      child.kill("SIGKILL");
      reject(new Error(`It did not end within ${DEADLINE_MS} ms and printed ${JSON.stringify(output)}.`));
    }, DEADLINE_MS);
    child.on("close", (code) => {
      clearTimeout(timer);
      const told = existsSync(report) ? JSON.parse(readFileSync(report, "utf8")) as Report : null;
      rmSync(folder, { recursive: true });
      resolve({ code, output, report: told });
    });
  });
}

describe(`printing on ${runtime.name}`, () => {
  const rows: { name: string; script: string; drops: "none" | "all" | "most" }[] = [
    { name: "that is read", script: '"$@" 2>&1 >&3 | wc -l >&2', drops: "none" },
    { name: "that is a file", script: '"$@" 2>"$FOLDER/file"', drops: "none" },
    { name: "that is /dev/null", script: '"$@" 2>/dev/null', drops: "none" },
    { name: "that is closed", script: '"$@" 2>&-', drops: "none" },
    { name: "on a full disk", script: '"$@" 2>/dev/full', drops: "all" },
    {
      name: "that is a pipe whose reader is gone",
      script: '{ (trap "" PIPE; while echo >&2; do sleep 0.05; done); exec "$@"; } 2>&1 >&3 | true',
      drops: "all",
    },
    {
      name: "that is a pipe that nothing reads",
      script: '"$@" 2>&1 >&3 | while [ ! -e "$FOLDER/report" ]; do sleep 0.1; done',
      drops: "most",
    },
  ];
  const printed = atOnce(rows, ({ script }) => runInShell(`exec 3>&1; ${script}`, "print", String(MANY_LINES)));
  for (const row of rows) {
    const { name, drops } = row;
    test(`to an output ${name} neither fails nor waits`, async () => {
      const { output, report } = await printed(row);
      assert.equal(output, "done\n");
      assert.ok(report !== null, "the process reached its end");
      // A pipe that is waited for would be waited for until the deadline.
      const { firstDropped, dropped } = report;
      if (drops === "none") assert.ok(firstDropped < MANY_LINES && dropped === firstDropped);
      if (drops === "all") assert.deepEqual([firstDropped, dropped], [MANY_LINES, MANY_LINES + 10]);
      if (drops === "most") assert.ok(firstDropped > MANY_LINES / 2, `${firstDropped} lines were dropped`);
    });
  }

  test("what was printed last leaves before the end of the process", async () => {
    const { code, output } = await runInShell('"$@" 2>&1', "exit", "20");
    assert.equal(code, 3);
    assert.deepEqual(output.split("\n").filter((line) => line !== "").length, 21);
    assert.match(output, /^last line$/m);
  });

  test("the end of the process does not wait for an output that takes nothing", async () => {
    const reader = 'while [ ! -e "$FOLDER/ended" ]; do sleep 0.1; done';
    const script = `exec 3>&1; { "$@"; echo "code $?" >&3; touch "$FOLDER/ended"; } 2>&1 >&3 | ${reader}`;
    const { output } = await runInShell(script, "exit", "60000");
    assert.equal(output, "last line\ncode 3\n");
  });
});

describe(`the limit of descriptors on ${runtime.name}`, () => {
  const limitOf = (limit: string, argv: string[]): string =>
    execFileSync("sh", ["-c", `${limit}; exec "$@"`, "sh", ...argv, PROGRAM, "limit", ""], { encoding: "utf8" }).trim();

  test("is that of the process, raised as the runtime raises it", () => {
    const expected = "getBuiltinModule" in process ? 600 : null;
    assert.equal(limitOf("ulimit -n 600", command()), `limit ${expected}`);
    assert.equal(limitOf("ulimit -Sn 300; ulimit -Hn 700", command()), `limit ${expected === null ? null : 700}`);
  });

  if (runtime.name === "deno") {
    test("is not known without the permission to read it, and is not asked for", () => {
      for (const permissions of [["--allow-env"], ["--allow-env", "--allow-read"]]) {
        assert.equal(limitOf("ulimit -n 600", command(permissions)), "limit null");
      }
    });
  }
});
