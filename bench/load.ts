/**
 * The load: `wrk` where it is installed, else `autocannon` from npm, each in a process of its own. See `steady_load.ts`
 * for loads of so many requests a second.
 *
 * It decides how a scenario is said to a load generator and reads what that found. Every response is checked for its
 * status, and all of them together for their number of bytes; where a run is `checked`, each for its content too.
 *
 * @module
 */

import { runCommand } from "../scripts/command.ts";
import type { Scenario } from "./scenarios.ts";
import { WITH_MANY_FILES } from "./child_program.ts";
import type { VerifiedResponse } from "./verify.ts";

/** What a load generator found. */
export interface LoadResult {
  readonly requests: number;
  readonly seconds: number;
  /** Median and 99th percentile of the time to a response; `null` where the load generator can't tell. */
  readonly p50Ms: number | null;
  readonly p99Ms: number | null;
  /** What was wrong with the responses; empty when nothing was. */
  readonly problems: readonly string[];
}

/** How a load is run. */
export interface LoadOptions {
  readonly port: number;
  readonly scenario: Scenario;
  readonly seconds: number;
  /** Whether the content of each response is compared, which costs the load generator time. */
  readonly checked: boolean;
  /** What is known of the responses. */
  readonly verified: VerifiedResponse;
  /** For files of this run. */
  readonly folder: string;
}

/** A load generator. */
export interface LoadGenerator {
  readonly title: string;
  run(options: LoadOptions): Promise<LoadResult>;
}

/** Beside the time the load lasts. */
const MORE_TIME_MS = 20_000;

/** Finds a load generator. */
export async function findLoadGenerator(root: string): Promise<LoadGenerator> {
  const wrk = await runCommand(["wrk", "--version"], { cwd: root, deadlineMs: 5_000 });
  const version = /^wrk (?:debian\/)?(\S+)/m.exec(wrk.output)?.[1];
  if (version !== undefined) return { title: `wrk ${version}`, run: runWrk };
  return { title: "autocannon", run: runAutocannon };
}

/** What the script prints at the end, on a line of its own. */
interface WrkReport {
  readonly requests: number;
  readonly microseconds: number;
  readonly bytes: number;
  readonly p50: number;
  readonly p99: number;
  readonly wrong: number;
  readonly errors: Readonly<Record<"connect" | "read" | "write" | "status" | "timeout", number>>;
}

async function runWrk(options: LoadOptions): Promise<LoadResult> {
  const { port, scenario, seconds, folder } = options;
  const script = `${folder}/wrk.lua`;
  await Deno.writeTextFile(script, await wrkScript(options));
  const argv = ["wrk", "--threads=1", `--connections=${scenario.connections}`, `--duration=${seconds}s`];
  argv.push(`--script=${script}`, "--timeout=5s", `http://127.0.0.1:${port}${scenario.target}`);
  const deadlineMs = 1000 * seconds + MORE_TIME_MS;
  const { exitCode, output } = await runCommand([...WITH_MANY_FILES, ...argv], { cwd: folder, deadlineMs });
  const line = /^REPORT (.*)$/m.exec(output)?.[1];
  if (exitCode !== 0 || line === undefined) throw new Error(`wrk failed with exit code ${exitCode}.\n${output}`);
  const report = JSON.parse(line) as WrkReport;
  const problems = Object.entries(report.errors).filter(([name, count]) => count > 0 && !isTolerated(name, options))
    .map(([name, count]) => `${count} ${name} errors`);
  if (report.requests === 0) problems.push("no response");
  if (report.wrong > 0) problems.push(`${report.wrong} responses with wrong content`);
  problems.push(...problemOfBytes(report, options));
  return {
    requests: report.requests,
    seconds: report.microseconds / 1e6,
    // wrk times a batch of pipelined requests as one and counts it as many, which leaves its percentiles without sense.
    p50Ms: scenario.pipelining > 1 ? null : report.p50 / 1000,
    p99Ms: scenario.pipelining > 1 ? null : report.p99 / 1000,
    problems,
  };
}

/**
 * A server that closes a connection and has not said that it will: to the load generators that is an error, one for each
 * response. That no response is missing or cut short is seen by their number and bytes.
 */
function isTolerated(error: string, { scenario, verified }: LoadOptions): boolean {
  return error === "read" && scenario.fields["Connection"] === "close" && !verified.saysClose;
}

/** All bytes that came must be those of the responses, and of the ones that were under way at the end. */
function problemOfBytes(report: WrkReport, { scenario, verified: { responseBytes } }: LoadOptions): string[] {
  if (responseBytes === null) return [];
  const missing = report.requests * responseBytes - report.bytes;
  const underWay = responseBytes * scenario.connections * scenario.pipelining;
  if (missing <= 0 && -missing <= underWay) return [];
  return [`${report.bytes} bytes for ${report.requests} responses of ${responseBytes} bytes`];
}

/** The script is generated, so that a scenario is described in one place. */
async function wrkScript({ scenario, checked, folder }: LoadOptions): Promise<string> {
  const lines = [`wrk.method = ${quoted(scenario.method)}`];
  for (const [name, value] of Object.entries(scenario.fields)) {
    lines.push(`wrk.headers[${quoted(name)}] = ${quoted(value)}`);
  }
  lines.push('local function read(path) local file = io.open(path, "rb"); return file:read("*a") end');
  if (scenario.content !== null) {
    await Deno.writeFile(`${folder}/content`, scenario.content);
    lines.push(`wrk.body = read(${quoted(`${folder}/content`)})`);
  }
  if (scenario.pipelining > 1) {
    lines.push(
      "local batch",
      "function init(args)",
      `  batch = string.rep(wrk.format(), ${scenario.pipelining})`,
      "end",
      "function request() return batch end",
    );
  }
  lines.push("wrong = 0", "local threads = {}", "function setup(thread) table.insert(threads, thread) end");
  if (checked) {
    await Deno.writeFile(`${folder}/expected`, scenario.expected.content);
    lines.push(
      `local expected = read(${quoted(`${folder}/expected`)})`,
      "function response(status, headers, body)",
      "  if status ~= 200 or body ~= expected then wrong = wrong + 1 end",
      "end",
    );
  }
  lines.push(WRK_REPORT);
  return lines.join("\n");
}

const WRK_REPORT = `
function done(summary, latency, requests)
  local sum = 0
  for _, thread in ipairs(threads) do sum = sum + thread:get("wrong") end
  local e = summary.errors
  print(string.format('REPORT {"requests":%d,"microseconds":%d,"bytes":%d,"p50":%d,"p99":%d,"wrong":%d,' ..
    '"errors":{"connect":%d,"read":%d,"write":%d,"status":%d,"timeout":%d}}',
    summary.requests, summary.duration, summary.bytes, latency:percentile(50), latency:percentile(99), sum,
    e.connect, e.read, e.write, e.status, e.timeout))
end
`;

/** A string of Lua; nothing in the scenarios needs more than this. */
function quoted(text: string): string {
  return `"${text.replace(/[\\"]/g, "\\$&")}"`;
}

/** What is read of the report of autocannon. */
interface AutocannonReport {
  readonly duration: number;
  readonly errors: number;
  readonly timeouts: number;
  readonly mismatches: number;
  readonly non2xx: number;
  readonly requests: { readonly total: number };
  readonly latency: { readonly p50: number; readonly p99: number };
}

async function runAutocannon(options: LoadOptions): Promise<LoadResult> {
  const { port, scenario, seconds, folder, checked } = options;
  const argv = ["npx", "--yes", "autocannon@8", "--json", "--no-progress", `--connections=${scenario.connections}`];
  argv.push(`--duration=${seconds}`, `--pipelining=${scenario.pipelining}`, `--method=${scenario.method}`);
  for (const [name, value] of Object.entries(scenario.fields)) argv.push(`--headers=${name}=${value}`);
  if (scenario.content !== null) {
    await Deno.writeFile(`${folder}/content`, scenario.content);
    argv.push(`--input=${folder}/content`);
  }
  // It compares text, and takes what it compares with as an argument.
  const { content } = scenario.expected;
  if (checked && scenario.content === null && content.byteLength < 1024) {
    argv.push(`--expectBody=${new TextDecoder().decode(content)}`);
  }
  argv.push(`http://127.0.0.1:${port}${scenario.target}`);
  const deadlineMs = 1000 * seconds + MORE_TIME_MS;
  const { exitCode, output } = await runCommand([...WITH_MANY_FILES, ...argv], { cwd: folder, deadlineMs });
  const line = output.split("\n").find((each) => each.startsWith("{"));
  if (exitCode !== 0 || line === undefined) throw new Error(`autocannon failed with exit code ${exitCode}.\n${output}`);
  const report = JSON.parse(line) as AutocannonReport;
  const counts = {
    "errors": isTolerated("read", options) ? 0 : report.errors,
    "timeouts": report.timeouts,
    "responses with wrong content": report.mismatches,
    "responses with another status": report.non2xx,
  };
  const problems = Object.entries(counts).filter(([, count]) => count > 0).map(([name, count]) => `${count} ${name}`);
  return {
    requests: report.requests.total,
    seconds: report.duration,
    p50Ms: report.latency.p50,
    p99Ms: report.latency.p99,
    problems,
  };
}
