/**
 * A load of so many requests a second, by `h2load`: what latency is where no server is at its limit.
 *
 * Each connection keeps its own steady pace, whatever the others do, and has one request under way at a time. Every
 * response is checked for its status, and all of them together for their number.
 *
 * @module
 */

import { runCommand } from "../scripts/command.ts";
import { WITH_MANY_FILES } from "./child_program.ts";
import type { LoadGenerator, LoadOptions, LoadResult } from "./load.ts";

/** Beside the time the load lasts. */
const MORE_TIME_MS = 20_000;
/**
 * The time between the starts of two connections. `h2load` sends what is due on a connection every 10 ms at the most:
 * connections that were started together would all send at the same moment.
 */
const START_INTERVAL_MS = 1;
/** How far a load may fall behind its pace, before its latency is that of another load. */
const MIN_PACE = 0.97;

/** Finds the load generator; `null` where it is not installed. */
export async function findSteadyGenerator(root: string): Promise<LoadGenerator | null> {
  const { output } = await runCommand(["h2load", "--version"], { cwd: root, deadlineMs: 5_000 });
  const version = /^h2load nghttp2\/(\S+)/m.exec(output)?.[1];
  return version === undefined ? null : { title: `h2load ${version}`, run: runH2load };
}

async function runH2load({ port, scenario, seconds, folder }: LoadOptions): Promise<LoadResult> {
  const { connections, fields, target } = scenario;
  const rate = scenario.requestsPerSecond!;
  const requests = rate * seconds;
  const logPath = `${folder}/h2load.log`;
  // It adds to a file that is there.
  await Deno.writeTextFile(logPath, "");
  const argv = ["h2load", "--h1", "--threads=1", "--max-concurrent-streams=1", `--clients=${connections}`];
  argv.push("--rate=1", `--rate-period=${START_INTERVAL_MS}ms`);
  argv.push(`--requests=${requests}`, `--rps=${rate / connections}`, `--log-file=${logPath}`);
  for (const [name, value] of Object.entries(fields)) argv.push(`--header=${name}: ${value}`);
  argv.push(`http://127.0.0.1:${port}${target}`);
  const deadlineMs = 1000 * seconds + MORE_TIME_MS;
  const { exitCode, output } = await runCommand([...WITH_MANY_FILES, ...argv], { cwd: folder, deadlineMs });
  if (exitCode !== 0) throw new Error(`h2load failed with exit code ${exitCode}.\n${output}`);
  const tookSeconds = secondsOf(/^finished in ([\d.]+)(us|ms|s|m),/m.exec(output));
  const succeeded = Number(/^status codes: (\d+) 2xx/m.exec(output)?.[1] ?? 0);
  // Start, status and duration of each request, the times in microseconds.
  const tookMs = (await Deno.readTextFile(logPath)).trimEnd().split("\n").map((line) =>
    Number(line.split("\t")[2]) / 1000
  );
  tookMs.sort((left, right) => left - right);
  const problems = succeeded === requests ? [] : [`${succeeded} of ${requests} requests were answered with 200`];
  // The connection that was started last ends last.
  const pace = (seconds + connections * START_INTERVAL_MS / 1000) / tookSeconds;
  if (pace < MIN_PACE) problems.push(`the load came at ${(100 * pace).toFixed(0)} % of its pace`);
  return {
    requests,
    seconds: tookSeconds,
    p50Ms: tookMs[Math.floor(tookMs.length * 0.5)],
    p99Ms: tookMs[Math.floor(tookMs.length * 0.99)],
    problems,
  };
}

function secondsOf(duration: RegExpExecArray | null): number {
  if (duration === null) return NaN;
  const [, value, unit] = duration;
  return Number(value) * { us: 1e-6, ms: 1e-3, s: 1, m: 60 }[unit]!;
}
