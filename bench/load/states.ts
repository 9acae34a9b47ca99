/**
 * What is measured beside loads: a server at its start, with 10,000 connections, and while a gigabyte goes through it.
 *
 * @module
 */

import { ChildProgram } from "../child_program.ts";
import type { HolderReport } from "../clients/holder.ts";
import { figure, median, messageOf, mib, type Section } from "../report.ts";
import { type BenchRuntime, packagedModule, RUNTIME_TITLES, type RuntimeName } from "../runtimes.ts";
import type { ServerProcess } from "../server_process.ts";
import { WireConnection } from "../clients/wire_connection.ts";
import { type ContenderName, contenderOf, startContender } from "./contenders.ts";
import { CHUNK, FLOOD_BYTES, type HandlerName, HELLO } from "./handlers.ts";
import type { Method } from "./measure.ts";

/** What is measured of a server in some state: its figures, in the order of the columns. */
interface State {
  /** The name by which `--scenario` selects it. */
  readonly name: string;
  readonly title: string;
  readonly text: string;
  readonly columns: readonly string[];
  readonly contenders: readonly ContenderName[];
  measure(bench: StateBench): Promise<{ figures: string[]; problems: string[] }>;
}

/** How a state is measured. */
interface StateBench {
  readonly isQuick: boolean;
  readonly contender: ContenderName;
  start(handler: HandlerName, patient?: boolean): Promise<ServerProcess>;
}

const MIB = 1024 ** 2;
const CONNECTIONS = 10_000;
const QUICK_CONNECTIONS = 1_000;
const OPEN_DEADLINE_MS = 30_000;
const SETTLE_MS = 700;
const STARTS = 5;
const PATIENCE_MS = 60_000;
/** What a transfer may add to the memory of the server, garbage included: a quarter of what is transferred. */
const MAX_GROWTH_BYTES = 256 * MIB;
const REST_MS = 1_000;
/** Ordinary requests, at a pace so low that none waits for another one on its connection. */
const PROBE_CONNECTIONS = 8;
const PROBE_INTERVAL_MS = 20;
const GET = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
const OWN: readonly ContenderName[] = ["trivet", "before", "native"];

/** All of them. */
export const STATES: readonly State[] = [
  {
    name: "start",
    title: "Start",
    text: "From the start of the process until the first response has come, and resident memory then; medians of " +
      `${STARTS} processes. Trivet is its source on Deno and Bun, and what the npm package has on Node.`,
    columns: ["first response ms", "resident MiB"],
    contenders: OWN,
    async measure({ isQuick, start }) {
      const found: { ms: number; bytes: number }[] = [];
      for (let i = 0; i < (isQuick ? 1 : STARTS); i++) {
        const startMs = performance.now();
        const server = await start("hello");
        try {
          await ask(server.port);
          found.push({ ms: performance.now() - startMs, bytes: server.memory().residentBytes });
        } finally {
          await server.stop();
        }
      }
      const bytes = median(found.map((each) => each.bytes));
      return { figures: [figure(median(found.map(({ ms }) => ms)), 0), mib(bytes)], problems: [] };
    },
  },
  {
    name: "idle",
    title: `${CONNECTIONS.toLocaleString("en")} connections`,
    text:
      `Each is kept and has had one request answered; memory is the growth of resident memory, garbage collected. ` +
      "Then every other one sends a byte of a head every 5 s, while 400 ordinary requests a second are answered. At the " +
      "end each connection must still give an answer.",
    columns: ["KiB each", "p50 ms alone", "p99 ms alone", "p50 ms with them", "p99 ms with them"],
    contenders: [...OWN, "raw"],
    async measure({ isQuick, contender, start }) {
      const count = isQuick ? QUICK_CONNECTIONS : CONNECTIONS;
      const server = await start("hello", true);
      const holder = startClient("holder.ts", `${server.port}`, "half");
      try {
        await probe(server.port, 1);
        const alone = await probe(server.port, 2);
        const before = await settledBytes(server);
        const opened = await holder.ask<HolderReport>(`grow ${count}`, OPEN_DEADLINE_MS);
        const each = (await settledBytes(server) - before) / count;
        await holder.ask("trickle", OPEN_DEADLINE_MS);
        const crowded = await probe(server.port, 2);
        // A server that parses nothing takes the byte of a slow head for nothing, and is not asked again.
        const finished = contender === "raw" ? opened : await holder.ask<HolderReport>("finish", OPEN_DEADLINE_MS);
        const isWhole = finished.open === count && finished.answered === (contender === "raw" ? 1 : 2);
        const problems = isWhole ? [] : [`of ${count} connections ${finished.open} are open; ${finished.ended} ended`];
        const figures = [each / 1024, ...alone, ...crowded].map((value, index) => figure(value, index === 0 ? 1 : 2));
        return { figures, problems };
      } finally {
        await holder.stop();
        await server.stop();
      }
    },
  },
  {
    name: "transfer",
    title: "1 GiB up and down",
    text:
      "Through handlers that stream; in the middle of the download the client rests. Resident memory at the start, " +
      "and the most during the transfer, which may be 256 MiB more.",
    columns: ["up MiB/s", "MiB at start", "at peak", "down MiB/s", "MiB at start", "at peak"],
    contenders: ["trivet", "native"],
    async measure({ start }) {
      const found = [await transfer(await start("count"), upload), await transfer(await start("flood"), download)];
      const problems = found.filter(({ startBytes, peakBytes }) => peakBytes - startBytes > MAX_GROWTH_BYTES)
        .map(({ startBytes, peakBytes }) => `memory grew from ${mib(startBytes)} to ${mib(peakBytes)} MiB`);
      const figures = found.flatMap(({ seconds, startBytes, peakBytes }) => [
        figure(FLOOD_BYTES / MIB / seconds, 0),
        mib(startBytes),
        mib(peakBytes),
      ]);
      return { figures, problems };
    },
  },
];

/** What was found of a state, in the order of the table. */
export interface StateFinding {
  readonly state: string;
  readonly runtime: RuntimeName;
  readonly contender: ContenderName;
  readonly figures: readonly string[];
  readonly problems: readonly string[];
}

/** The tables of what was found. */
export function stateSections(findings: readonly StateFinding[]): Section[] {
  return STATES.map(({ name, title, text, columns }) => ({
    title,
    text,
    head: ["", ...columns],
    rows: findings.filter(({ state, figures }) => state === name && figures.length > 0)
      .map(({ runtime, contender, figures }) => [
        `${RUNTIME_TITLES[runtime]}, ${contenderOf(contender).title}`,
        ...figures,
      ]),
  }));
}

/** Measures one state on the runtimes, contender by contender. */
export async function measureState(
  { name, contenders, measure }: State,
  runtimes: readonly BenchRuntime[],
  method: Method,
  isQuick: boolean,
): Promise<StateFinding[]> {
  const findings: StateFinding[] = [];
  for (const each of runtimes) {
    const runtime = name === "start" ? { ...each, trivet: await packagedModule(each) } : each;
    for (const contender of contenders.filter((each) => method.contenders.includes(each))) {
      if (contenderOf(contender).isBefore && runtime.trivetBefore === null) continue;
      const start = (handler: HandlerName, patient = false) => {
        const scenario = { handler, target: "/", fields: {}, content: null, patient };
        return startContender(contender, scenario, runtime, method);
      };
      const found = await measure({ isQuick, contender, start }).catch((error: unknown) => ({
        figures: [],
        problems: [messageOf(error)],
      }));
      findings.push({ state: name, runtime: runtime.name, contender, ...found });
    }
  }
  return findings;
}

/** Starts a client in a process of its own, on Deno. */
export function startClient(file: string, ...args: readonly string[]): ChildProgram {
  const path = decodeURIComponent(new URL(`../clients/${file}`, import.meta.url).pathname);
  return new ChildProgram([Deno.execPath(), "run", "-A", "--quiet", "--no-check", "--no-lock", path, ...args]);
}

async function ask(port: number): Promise<void> {
  const connection = await WireConnection.open(port);
  await askOn(connection);
  connection.close();
}

async function askOn(connection: WireConnection): Promise<void> {
  const outcome = await connection.exchange(GET, PATIENCE_MS);
  if (outcome.kind === "answered" && outcome.content === HELLO) return;
  throw new Error(`The response is not the expected one: ${JSON.stringify(outcome).slice(0, 300)}`);
}

/** Median and 99th percentile of ordinary requests, in milliseconds. */
async function probe(port: number, seconds: number): Promise<[p50: number, p99: number]> {
  const tookMs: number[] = [];
  const endMs = performance.now() + 1000 * seconds;
  await Promise.all(Array.from({ length: PROBE_CONNECTIONS }, async (_, index) => {
    await rest(index * PROBE_INTERVAL_MS / PROBE_CONNECTIONS);
    const connection = await WireConnection.open(port);
    while (performance.now() < endMs) {
      const startMs = performance.now();
      await askOn(connection);
      tookMs.push(performance.now() - startMs);
      await rest(Math.max(0, startMs + PROBE_INTERVAL_MS - performance.now()));
    }
    connection.close();
  }));
  tookMs.sort((a, b) => a - b);
  return [tookMs[Math.floor(tookMs.length / 2)], tookMs[Math.floor(0.99 * tookMs.length)]];
}

async function settledBytes(server: ServerProcess): Promise<number> {
  await server.collectGarbage();
  await rest(SETTLE_MS);
  await server.collectGarbage();
  return server.memory().residentBytes;
}

async function transfer(server: ServerProcess, run: (port: number) => Promise<number>) {
  try {
    await server.collectGarbage();
    const startBytes = server.memory().residentBytes;
    server.forgetPeak();
    const seconds = await run(server.port);
    return { seconds, startBytes, peakBytes: server.memory().peakBytes };
  } finally {
    await server.stop();
  }
}

/** Returns how long it took. */
async function upload(port: number): Promise<number> {
  const content = async function* () {
    for (let sentBytes = 0; sentBytes < FLOOD_BYTES; sentBytes += CHUNK.byteLength) yield CHUNK;
  };
  const startMs = performance.now();
  const init = { method: "POST", body: ReadableStream.from(content()), signal: AbortSignal.timeout(PATIENCE_MS) };
  const answer = await (await fetch(`http://127.0.0.1:${port}/`, init)).text();
  if (answer !== String(FLOOD_BYTES)) throw new Error(`It answered: ${answer.slice(0, 100)}`);
  return (performance.now() - startMs) / 1000;
}

/** Returns how long it took, without the rest. */
async function download(port: number): Promise<number> {
  const startMs = performance.now();
  const response = await fetch(`http://127.0.0.1:${port}/`, { signal: AbortSignal.timeout(PATIENCE_MS) });
  let receivedBytes = 0;
  let hasRested = false;
  for await (const piece of response.body ?? []) {
    // The ends of each piece tell whether anything before them is missing or doubled.
    for (const at of [0, piece.byteLength - 1]) {
      const place = (receivedBytes + at) % CHUNK.byteLength;
      if (piece[at] !== CHUNK[place]) throw new Error(`Byte ${receivedBytes + at} is wrong.`);
    }
    receivedBytes += piece.byteLength;
    if (hasRested || receivedBytes < FLOOD_BYTES / 2) continue;
    hasRested = true;
    await rest(REST_MS);
  }
  if (receivedBytes !== FLOOD_BYTES) throw new Error(`${receivedBytes} bytes came in place of ${FLOOD_BYTES}.`);
  return (performance.now() - startMs - REST_MS) / 1000;
}

function rest(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
