/**
 * What is measured beside loads: a server at its start, with 10,000 connections or WebSockets, while a gigabyte goes
 * through it, and with WebSockets that stop reading.
 *
 * @module
 */

import { type ChildProgram, startClient } from "../child_program.ts";
import { runFlows } from "../clients/flow.ts";
import type { HolderReport } from "../clients/holder.ts";
import { rest, WireConnection } from "../clients/wire_connection.ts";
import { figure, median, messageOf, mib, type Section } from "../report.ts";
import { type BenchRuntime, packagedModule, RUNTIME_TITLES, type RuntimeName } from "../runtimes.ts";
import type { ServerProcess } from "../server_process.ts";
import { type ContenderName, contenderOf, isThere, startContender } from "./contenders.ts";
import { askWebSockets, startWebSockets } from "./generators.ts";
import { CHUNK, FLOOD_BYTES, type HandlerName, HELLO } from "./handlers.ts";
import type { Method } from "./measure.ts";
import { HELLO_LOAD } from "./scenarios.ts";

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
  /** Starts a server of WebSockets, and their client. */
  withWebSockets<T>(use: (server: ServerProcess, client: ChildProgram) => Promise<T>): Promise<T>;
}

const MIB = 1024 ** 2;
const CONNECTIONS = 10_000;
const QUICK_CONNECTIONS = 1_000;
/** What a first WebSocket brings along is not counted for each. */
const FIRST_WEB_SOCKETS = 100;
/** Each takes some 2.5 MB of the system's memory before the server notices, which has a bound for all connections. */
const STALLED = 200;
const READING = 10;
const STALLED_MESSAGES = "publish 16384 4";
const OPEN_DEADLINE_MS = 30_000;
const SETTLE_MS = 700;
const STARTS = 5;
const PATIENCE_MS = 60_000;
/** What a transfer may add to the memory of the server, garbage included: a quarter of what is transferred. */
const MAX_GROWTH_BYTES = 256 * MIB;
const REST_MS = 1_000;
const PROBES = {
  name: "probe",
  request: "/",
  expected: HELLO,
  arrivals: { perSecond: 400 },
  connections: "kept",
} as const;
const GET = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
const OWN: readonly ContenderName[] = ["trivet", "before", "native"];
const MANY = CONNECTIONS.toLocaleString("en");

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
          const connection = await WireConnection.open(server.port);
          const outcome = await connection.exchange(GET, PATIENCE_MS);
          found.push({ ms: performance.now() - startMs, bytes: server.memory().residentBytes });
          connection.close();
          if (outcome.kind !== "answered" || outcome.content !== HELLO) throw new Error(JSON.stringify(outcome));
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
    title: `${MANY} connections`,
    text:
      `Each is kept and has had one request answered; memory is the growth of resident memory, garbage collected. ` +
      "Then every other one sends a byte of a head every 5 s, while 400 ordinary requests a second are answered, which " +
      "come at random. At the end each connection must still give an answer.",
    columns: ["KiB each", "p50 ms alone", "p99 ms alone", "p50 ms with them", "p99 ms with them"],
    contenders: [...OWN, "raw"],
    async measure({ isQuick, contender, start }) {
      const count = isQuick ? QUICK_CONNECTIONS : CONNECTIONS;
      const server = await start("hello", true);
      const holder = startClient("clients/holder.ts", `${server.port}`, "half");
      try {
        await probe(server, 1);
        const alone = await probe(server, 2);
        const before = await settledBytes(server);
        const opened = await holder.ask<HolderReport>(`grow ${count}`, OPEN_DEADLINE_MS);
        const each = (await settledBytes(server) - before) / count;
        await holder.ask("trickle", OPEN_DEADLINE_MS);
        const crowded = await probe(server, 2);
        // A server that parses nothing takes the byte of a slow head for nothing, and is not asked again.
        const finished = contender === "raw" ? opened : await holder.ask<HolderReport>("finish", OPEN_DEADLINE_MS);
        const isWhole = finished.open === count && finished.answered === (contender === "raw" ? 1 : 2);
        return {
          figures: [figure(each / 1024, 1), ...alone.figures, ...crowded.figures],
          problems: [
            ...isWhole ? [] : [`of ${count} connections ${finished.open} are open; ${finished.ended} ended`],
            ...alone.problems,
            ...crowded.problems,
          ],
        };
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
  {
    name: "ws-idle",
    title: `${MANY} idle WebSockets`,
    text: "The growth of resident memory, garbage collected. On Node the own server is `ws`.",
    columns: ["KiB each"],
    contenders: OWN,
    measure: ({ isQuick, withWebSockets }) =>
      withWebSockets(async (server, client) => {
        const count = isQuick ? QUICK_CONNECTIONS : CONNECTIONS;
        await askWebSockets(client, `open ${server.port} /idle ${FIRST_WEB_SOCKETS}`);
        const before = await settledBytes(server);
        const { problem } = await askWebSockets(client, `open ${server.port} /idle ${count}`);
        const each = (await settledBytes(server) - before) / (count - FIRST_WEB_SOCKETS);
        return { figures: [figure(each / 1024, 1)], problems: problem === "" ? [] : [problem] };
      }),
  },
  {
    name: "ws-stalled",
    title: `${STALLED} WebSockets that stop reading, and ${READING} that read`,
    text:
      "Messages of 16 KiB are sent to all for four seconds. One is cut off when more than 16 MiB wait for it, or when " +
      "it has the most of more than 256 MiB that wait for all.",
    columns: ["memory MiB, at most", "open at the end", `messages/s of the ${READING}`, "the same alone"],
    contenders: ["trivet"],
    measure: ({ withWebSockets }) =>
      withWebSockets(async (server, client) => {
        const rateOf = async (ms: number) => {
          const { messages, seconds } = await askWebSockets(client, `${STALLED_MESSAGES} ${ms}`);
          return figure(messages / seconds, 0);
        };
        await askWebSockets(client, `open ${server.port} /all ${READING}`);
        await rateOf(SETTLE_MS);
        const alone = await rateOf(1_000);
        await askWebSockets(client, `open ${server.port} /all ${STALLED + READING}`);
        const { problem } = await askWebSockets(client, `stall ${STALLED}`);
        server.forgetPeak();
        const before = server.memory().residentBytes;
        // Connections that are cut off are no problem of the client.
        const beside = await rateOf(4_000);
        const peakBytes = server.memory().peakBytes - before;
        const { stats } = await server.stats() as { stats: { webSockets: { open: number } } };
        const figures = [mib(peakBytes), String(stats.webSockets.open), beside, alone];
        return { figures, problems: problem === "" ? [] : [problem] };
      }),
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
    for (const contender of contenders) {
      if (!method.contenders.includes(contender) || !isThere(contender, runtime, method)) continue;
      const start = (handler: HandlerName, patient = false) =>
        startContender(contender, { ...HELLO_LOAD, handler }, runtime, method, patient);
      const withWebSockets: StateBench["withWebSockets"] = async (use) => {
        const webSocket = { command: "echo", bytes: 0, window: 0 } as const;
        const server = await startContender(contender, { ...HELLO_LOAD, webSocket }, runtime, method);
        const client = startWebSockets(method);
        try {
          return await use(server, client);
        } finally {
          await client.stop();
          await server.stop();
        }
      };
      const found = await measure({ isQuick, contender, start, withWebSockets })
        .catch((error: unknown) => ({ figures: [], problems: [messageOf(error)] }));
      findings.push({ state: name, runtime: runtime.name, contender, ...found });
    }
  }
  return findings;
}

/** Median and 99th percentile of ordinary requests, in milliseconds. */
async function probe(server: ServerProcess, seconds: number) {
  const { flows: { probe } } = await runFlows(server, [PROBES], { warmUpSeconds: 0, seconds, lingerSeconds: 1 });
  const { latency, sent, answered } = probe;
  return {
    figures: [figure(latency?.p50.ms, 2), figure(latency?.p99.ms, 2)],
    problems: answered === sent ? [] : [`of ${sent} ordinary requests ${answered} were answered`],
  };
}

async function settledBytes(server: ServerProcess): Promise<number> {
  await server.collectGarbage();
  await rest(SETTLE_MS);
  await server.collectGarbage();
  return server.memory().residentBytes;
}

async function transfer(server: ServerProcess, run: (url: string) => Promise<number>) {
  try {
    await server.collectGarbage();
    const startBytes = server.memory().residentBytes;
    server.forgetPeak();
    const seconds = await run(`http://127.0.0.1:${server.port}/`);
    return { seconds, startBytes, peakBytes: server.memory().peakBytes };
  } finally {
    await server.stop();
  }
}

/** Returns how long it took. */
async function upload(url: string): Promise<number> {
  const content = async function* () {
    for (let sentBytes = 0; sentBytes < FLOOD_BYTES; sentBytes += CHUNK.byteLength) yield CHUNK;
  };
  const startMs = performance.now();
  const init = { method: "POST", body: ReadableStream.from(content()), signal: AbortSignal.timeout(PATIENCE_MS) };
  const answer = await (await fetch(url, init)).text();
  if (answer !== String(FLOOD_BYTES)) throw new Error(`It answered: ${answer.slice(0, 100)}`);
  return (performance.now() - startMs) / 1000;
}

/** Returns how long it took, without the rest. */
async function download(url: string): Promise<number> {
  const startMs = performance.now();
  const response = await fetch(url, { signal: AbortSignal.timeout(PATIENCE_MS) });
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
