/**
 * The load: `wrk`, as much as a server takes, `h2load`, so many requests a second, and a client of WebSockets. Every
 * response is checked for its status, and all together for their number of bytes; in the warm-up, each for its
 * content.
 */

import { runCommand } from "../../scripts/command.ts";
import { TEST_AUTHORITY } from "../../test/support/test_certificates.ts";
import { besideServers, ChildProgram, WITH_MANY_FILES } from "../processes.ts";
import type { LoadReport } from "../clients/websocket.ts";
import { WireConnection } from "../../test/support/wire_connection.ts";
import { UsageError } from "../program.ts";
import type { Method } from "./contenders.ts";
import type { Scenario } from "./scenarios.ts";

export interface LoadResult {
  /** Of WebSockets messages. */
  readonly requests: number;
  readonly seconds: number;
  /** Median and 99th percentile of the time to a response; `null` where the load generator can't tell. */
  readonly p50Ms: number | null;
  readonly p99Ms: number | null;
  /** What was wrong with the responses; empty when nothing was. */
  readonly problems: readonly string[];
}

/** What loads a server, again and again; it has looked at the first response. */
export interface Generator extends AsyncDisposable {
  readonly problems: readonly string[];
  /** Loads until so many requests were answered, a few times at the most, and compares each content the first time. */
  warmUp(seconds: number, requests: number): Promise<readonly string[]>;
  load(seconds: number): Promise<LoadResult>;
}

/** Beside the time the load lasts. */
const MORE_TIME_MS = 20_000;
const VERSION_DEADLINE_MS = 5_000;
/**
 * The time between the starts of two connections. `h2load` sends what is due on a connection every 10 ms at the most:
 * connections that were started together would all send at the same moment.
 */
const START_INTERVAL_MS = 1;
/** A round of a load at a pace needs many requests. */
const MIN_STEADY_SECONDS = 1;
/** How far a load may fall behind its pace, before its latency is that of another load. */
const MIN_PACE = 0.97;
const PATIENCE_MS = 5_000;
/** How often a warm-up is repeated at the most, where requests are slow. */
export const MAX_WARM_UPS = 6;
const SCRIPT = decodeURIComponent(new URL("wrk.lua", import.meta.url).pathname);

/** Finds the load generators. The second one may be missing: then loads at a pace are left out. */
export async function findGenerators(root: string): Promise<{ wrk: string; h2load: string | null }> {
  const versionOf = async (program: string, pattern: RegExp): Promise<string | null> => {
    const { output } = await runCommand([program, "--version"], { cwd: root, deadlineMs: VERSION_DEADLINE_MS });
    return pattern.exec(output)?.[1] ?? null;
  };
  const wrk = await versionOf("wrk", /^wrk (?:debian\/)?(\S+)/m);
  if (wrk === null) throw new UsageError("The load comes from wrk, which is not installed: apt-get install wrk.");
  return { wrk, h2load: await versionOf("h2load", /^h2load nghttp2\/(\S+)/m) };
}

/**
 * Looks at the first response of a server, and gives what loads it.
 *
 * @throws {Error} The response has the wrong status or content, or does not come.
 */
export async function openGenerator(port: number, scenario: Scenario, method: Method): Promise<Generator> {
  if (scenario.webSocket !== null) return await openWebSockets(port, scenario, scenario.webSocket, method);
  const verified = await verifyResponse(port, scenario);
  const options = { port, scenario, verified, folder: method.folder };
  return {
    problems: verified.problems,
    warmUp: (seconds, requests) =>
      warmUpWith((isFirst) => runWrk({ ...options, seconds }, isFirst ? scenario.expected.content : null), requests),
    load: (seconds) =>
      scenario.requestsPerSecond === null
        ? runWrk({ ...options, seconds }, null)
        : runH2load({ ...options, seconds: Math.max(MIN_STEADY_SECONDS, seconds) }, scenario.requestsPerSecond),
    async [Symbol.asyncDispose]() {},
  };
}

/** Compilers get warm and buffers grow by requests, and not by time. */
async function warmUpWith(load: (isFirst: boolean) => Promise<LoadResult>, requests: number): Promise<string[]> {
  const problems: string[] = [];
  for (let runs = 0, answered = 0; runs === 0 || (runs < MAX_WARM_UPS && answered < requests); runs++) {
    const found = await load(runs === 0);
    problems.push(...found.problems);
    answered += found.requests;
  }
  return problems;
}

/** Starts the client of WebSockets, on Node: it takes lines, as its head says. */
export function startWebSockets({ folder, node }: Method): ChildProgram {
  const client = `${folder}/bench/clients/websocket.ts`;
  return new ChildProgram(besideServers([node, "--disable-warning=ExperimentalWarning", client]));
}

async function openWebSockets(
  port: number,
  { connections }: Scenario,
  { command, bytes, window }: NonNullable<Scenario["webSocket"]>,
  method: Method,
): Promise<Generator> {
  const client = startWebSockets(method);
  const path = command === "echo" ? "/echo" : "/all";
  const problemsOf = ({ problem }: LoadReport) => problem === "" ? [] : [problem];
  const problems = problemsOf(await client.ask<LoadReport>(`open ${port} ${path} ${connections}`));
  const load = async (seconds: number): Promise<LoadResult> => {
    const found = await client.ask<LoadReport>(`${command} ${bytes} ${window} ${Math.round(1000 * seconds)}`);
    return { requests: found.messages, seconds: found.seconds, p50Ms: null, p99Ms: null, problems: problemsOf(found) };
  };
  const warmUp = (seconds: number, requests: number) => warmUpWith(() => load(seconds), requests);
  return { problems, warmUp, load, [Symbol.asyncDispose]: () => client.stop() };
}

interface LoadOptions {
  readonly port: number;
  readonly scenario: Scenario;
  readonly seconds: number;
  readonly verified: VerifiedResponse;
  readonly folder: string;
}

/** What the script prints at the end, on a line of its own. */
interface WrkReport extends Record<"requests" | "microseconds" | "bytes" | "p50" | "p99" | "wrong", number> {
  readonly errors: Record<"connect" | "read" | "write" | "status" | "timeout", number>;
}

/** With content to compare with each response, which costs the load generator time. */
async function runWrk(options: LoadOptions, compared: Uint8Array | null): Promise<LoadResult> {
  const { scenario: { method, fields, content, connections, pipelining }, seconds, folder, verified } = options;
  if (content !== null) await Deno.writeFile(`${folder}/content`, content);
  if (compared !== null) await Deno.writeFile(`${folder}/expected`, compared);
  const env = {
    WRK_METHOD: method,
    WRK_FIELDS: Object.entries(fields).map((field) => field.join(": ")).join("\n"),
    WRK_PIPELINING: `${pipelining}`,
    ...content !== null && { WRK_BODY: `${folder}/content` },
    ...compared !== null && { WRK_EXPECTED: `${folder}/expected` },
  };
  // It takes whole seconds; when it is interrupted it ends and tells what it has found until then.
  const argv = ["timeout", "--preserve-status", "--signal=INT", `${seconds}`, "wrk", "--threads=1", "--duration=600s"];
  argv.push(`--connections=${connections}`, `--script=${SCRIPT}`, "--timeout=5s");
  const output = await run(argv, options, env);
  const line = /^REPORT (.*)$/m.exec(output)?.[1];
  if (line === undefined) throw new Error(`wrk told nothing.\n${output}`);
  const { requests, microseconds, bytes, p50, p99, wrong, errors } = JSON.parse(line) as WrkReport;
  // A server that closes a connection and has not said that it will: to wrk that is an error of reading, one for each
  // response. That no response is missing or cut short is seen by their number and bytes.
  if (fields["Connection"] === "close" && !verified.saysClose) errors.read = 0;
  const problems = Object.entries(errors).filter(([, count]) => count > 0).map((each) =>
    `${each[1]} ${each[0]} errors`
  );
  if (requests === 0) problems.push("no response");
  if (wrong > 0) problems.push(`${wrong} responses with wrong content`);
  const { responseBytes } = verified;
  // All bytes that came must be those of the responses, and of the ones that were under way at the end.
  const further = responseBytes === null ? 0 : bytes - requests * responseBytes;
  if (further < 0 || further > (responseBytes ?? 0) * connections * pipelining) {
    problems.push(`${bytes} bytes for ${requests} responses of ${responseBytes} bytes`);
  }
  // wrk times a batch of pipelined requests as one and counts it as many, which leaves its percentiles without sense.
  const msOf = (microseconds: number) => pipelining > 1 ? null : microseconds / 1000;
  return { requests, seconds: microseconds / 1e6, p50Ms: msOf(p50), p99Ms: msOf(p99), problems };
}

async function run(argv: readonly string[], { port, scenario, seconds, folder }: LoadOptions, env = {}) {
  const url = `http${scenario.isTls ? "s" : ""}://127.0.0.1:${port}${scenario.target}`;
  const options = { cwd: folder, deadlineMs: 1000 * seconds + MORE_TIME_MS, env };
  const { exitCode, output } = await runCommand(besideServers([...WITH_MANY_FILES, ...argv, url]), options);
  if (exitCode !== 0) throw new Error(`The load generator failed with exit code ${exitCode}.\n${output}`);
  return output;
}

/** Each connection keeps its own steady pace, whatever the others do, and has one request under way at a time. */
async function runH2load(options: LoadOptions, requestsPerSecond: number): Promise<LoadResult> {
  const { scenario: { connections, fields }, seconds, folder } = options;
  const requests = Math.round(requestsPerSecond * seconds);
  const logPath = `${folder}/h2load.log`;
  // It adds to a file that is there.
  await Deno.writeTextFile(logPath, "");
  const argv = ["h2load", "--h1", "--threads=1", "--max-concurrent-streams=1", `--clients=${connections}`];
  argv.push("--rate=1", `--rate-period=${START_INTERVAL_MS}ms`, `--requests=${requests}`);
  argv.push(`--rps=${requestsPerSecond / connections}`, `--log-file=${logPath}`);
  for (const [name, value] of Object.entries(fields)) argv.push(`--header=${name}: ${value}`);
  const output = await run(argv, options);
  const [, took, unit] = /^finished in ([\d.]+)(us|ms|s|m),/m.exec(output) ?? [];
  const tookSeconds = Number(took) * ({ us: 1e-6, ms: 1e-3, s: 1, m: 60 }[unit] ?? NaN);
  const succeeded = Number(/^status codes: (\d+) 2xx/m.exec(output)?.[1] ?? 0);
  // Start, status and duration of each request, the times in microseconds.
  const lines = (await Deno.readTextFile(logPath)).trimEnd().split("\n");
  const tookMs = lines.map((line) => Number(line.split("\t")[2]) / 1000).sort((left, right) => left - right);
  const problems = succeeded === requests ? [] : [`${succeeded} of ${requests} requests were answered with 200`];
  // The connection that was started last ends last.
  const pace = (seconds + connections * START_INTERVAL_MS / 1000) / tookSeconds;
  if (pace < MIN_PACE) problems.push(`the load came at ${(100 * pace).toFixed(0)} % of its pace`);
  const at = (part: number) => tookMs[Math.floor(tookMs.length * part)];
  return { requests, seconds: tookSeconds, p50Ms: at(0.5), p99Ms: at(0.99), problems };
}

/** What is to be known of a response of which many will come. */
type VerifiedResponse = Awaited<ReturnType<typeof verifyResponse>>;

/** Sends the request of a scenario once and compares the response with what is expected. */
async function verifyResponse(port: number, scenario: Scenario) {
  const { method, target, fields, content, expected, isTls } = scenario;
  let head = `${method} ${target} HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\n`;
  for (const [name, value] of Object.entries(fields)) head += `${name}: ${value}\r\n`;
  if (content !== null) head += `Content-Length: ${content.byteLength}\r\n`;
  const connection = await WireConnection.open(port, isTls ? TEST_AUTHORITY : null);
  const outcome = await connection.exchange(`${head}\r\n`, PATIENCE_MS, content ?? undefined);
  connection.close();
  if (outcome.kind !== "answered" || outcome.status !== 200) {
    throw new Error(`The response is not the expected one: ${JSON.stringify(outcome).slice(0, 300)}`);
  }
  const wanted = expected.content === null ? outcome.content : new TextDecoder("latin1").decode(expected.content);
  if (outcome.content !== wanted) {
    throw new Error(`The content has ${outcome.content.length} bytes which are not the ${wanted.length} expected.`);
  }
  const received = Object.fromEntries(outcome.head.split("\r\n").slice(1).map((line) => line.split(/:\s*(.*)/, 2)));
  const isChunked = received["transfer-encoding"] === "chunked";
  return {
    /** Its bytes with its head; `null` where it is chunked, so that the next may have another size. */
    responseBytes: isChunked ? null : outcome.head.length + 4 + outcome.content.length,
    /** Whether it says that the connection will be closed. */
    saysClose: !outcome.persists,
    /** Fields that are not as expected. */
    problems: Object.entries(expected.fields)
      .filter(([name, value]) => normalized(received[name]) !== normalized(value))
      .map(([name, value]) => `the field ${name} is ${received[name] ?? "missing"}, expected ${value}`),
  };
}

/** Servers write parameters of media types with and without a space and in any case. */
function normalized(value = ""): string {
  return value.toLowerCase().replaceAll(" ", "").replace(/^(application\/json);.*$/, "$1");
}
