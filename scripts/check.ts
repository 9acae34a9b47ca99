/**
 * Checks everything that can be checked without running it: format, lint rules, types and documentation.
 *
 * Every step runs, also after one that failed, so that one call shows all there is to mend. It needs no network
 * once Deno has the frameworks that the pages show.
 *
 * Usage: `deno task check`
 *
 * @module
 */

import { runCommand } from "./command.ts";

/** One step: a `deno` command that must succeed. */
interface Step {
  readonly name: string;
  readonly args: readonly string[];
}

/** Each step takes a few seconds, a type check with an empty cache on a slow machine some more. */
const DEADLINE_MS = 180_000;

const ENTRY_POINTS = [
  "mod.ts",
  "src/entry/cli.ts",
  "src/entry/fast_response.ts",
  "src/entry/static.ts",
  "src/entry/crossws.ts",
  "src/entry/observe.ts",
  "src/entry/opentelemetry.ts",
];
const FOLDERS = ["src", "runtime", "test", "bench", "scripts", "examples"];

const STEPS: readonly Step[] = [
  { name: "format", args: ["fmt", "--check"] },
  { name: "lint rules", args: ["lint"] },
  { name: "types", args: ["check", "mod.ts", ...FOLDERS] },
  { name: "types of examples in comments", args: ["check", "--doc-only", ...ENTRY_POINTS, "src"] },
  {
    name: "examples in comments",
    // What runs by being imported has no example.
    args: ["test", "--allow-all", "--doc", "--ignore=src/entry/cli.ts,src/entry/thread_main.ts", "mod.ts", "src"],
  },
  { name: "documentation", args: ["doc", "--lint", ...ENTRY_POINTS] },
  { name: "pages", args: ["test", "--allow-all", "--no-check", "--no-lock", "test/docs/docs_suite.ts"] },
  { name: "package", args: ["publish", "--dry-run", "--allow-dirty"] },
];

async function main(): Promise<number> {
  const root = decodeURIComponent(new URL("..", import.meta.url).pathname);
  let failures = 0;
  for (const { name, args } of STEPS) {
    const result = await runCommand([Deno.execPath(), ...args], { cwd: root, deadlineMs: DEADLINE_MS });
    const succeeded = result.exitCode === 0;
    console.log(`${succeeded ? "ok    " : "FAILED"}  ${name}, ${result.seconds.toFixed(1)} s`);
    if (succeeded) continue;
    failures++;
    console.log(result.output);
    if (result.timedOut) console.log(`It was ended after ${DEADLINE_MS / 1000} s.`);
  }
  console.log(failures === 0 ? "Every check passed." : `${failures} of ${STEPS.length} checks failed.`);
  return failures === 0 ? 0 : 1;
}

Deno.exit(await main());
