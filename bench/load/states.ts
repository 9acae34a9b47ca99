/**
 * What is measured beside loads: a server at its start, with 10,000 connections or WebSockets, while a gigabyte goes
 * through it, and with WebSockets that stop reading.
 */

import { setTimeout as rest } from "node:timers/promises";
import { type ChildProgram, type ServerProcess, startClient } from "../processes.ts";
import { type FlowSpec, runFlows } from "../clients/flow.ts";
import type { HolderReport } from "../clients/holder.ts";
import type { LoadReport } from "../clients/websocket.ts";
import { get, WireConnection } from "../../test/support/wire_connection.ts";
import { type Experiment, figure, median, mib, type Trial } from "../report.ts";
import { packagedModule } from "../runtimes.ts";
import { type ContenderName, CONTENDERS, isThere, type Method, startContender } from "./contenders.ts";
import { startWebSockets } from "./generators.ts";
import { CHUNK, FLOOD_BYTES, HELLO } from "./handlers.ts";
import { Scenario } from "./scenarios.ts";

interface State extends Omit<Experiment, "cases"> {
  readonly contenders: readonly ContenderName[];
  measure(bench: StateBench): Promise<Pick<Trial, "figures" | "problems">>;
}

interface StateBench {
  readonly isQuick: boolean;
  readonly contender: ContenderName;
  start(handler: Scenario["handler"], patient?: boolean): Promise<ServerProcess>;
  startClient(): ChildProgram;
}

const MIB = 1024 ** 2;
const CONNECTIONS = 10_000;
const QUICK_CONNECTIONS = 1_000;
/** What a first WebSocket brings along is not counted for each. */
const FIRST_WEB_SOCKETS = 100;
/** Each takes some 2.5 MB of the system's memory before the server notices, which has a bound for all connections. */
const STALLED = 200;
const READING = 10;
const SETTLE_MS = 700;
const STARTS = 5;
const PATIENCE_MS = 60_000;
/** What a transfer may add to the memory of the server, garbage included: a quarter of what is transferred. */
const MAX_GROWTH_BYTES = 256 * MIB;
const REST_MS = 1_000;
const PROBE: FlowSpec = { request: "/", expected: HELLO, arrivals: { perSecond: 400 }, connections: "kept" };
const OWN: readonly ContenderName[] = ["trivet", "before", "native"];
const MANY = CONNECTIONS.toLocaleString("en");

export const STATES: readonly State[] = [
  {
    name: "start",
    title: "Start",
    text: "From the start of the process until the first response has come, and resident memory then; medians of " +
      `${STARTS} processes. Trivet is its source on Deno and Bun, and what the npm package has on Node.`,
    contenders: OWN,
    async measure(bench) {
      const found: { ms: number; bytes: number }[] = [];
      for (let i = 0; i < (bench.isQuick ? 1 : STARTS); i++) {
        const startMs = performance.now();
        await using server = await bench.start("hello");
        const connection = await WireConnection.open(server.port);
        const outcome = await connection.exchange(get("/"), PATIENCE_MS);
        found.push({ ms: performance.now() - startMs, bytes: server.memory().residentBytes });
        connection.close();
        if (outcome.kind !== "answered" || outcome.content !== HELLO) throw new Error(JSON.stringify(outcome));
      }
      const bytes = median(found.map((each) => each.bytes));
      const figures = { "first response ms": figure(median(found.map(({ ms }) => ms))), "resident MiB": mib(bytes) };
      return { figures, problems: [] };
    },
  },
  {
    name: "idle",
    title: `${MANY} connections`,
    text:
      `Each is kept and has had one request answered; memory is the growth of resident memory, garbage collected. ` +
      "Then every other one sends a byte of a head every 5 s, while 400 ordinary requests a second are answered, which " +
      "come at random. At the end each connection must still give an answer.",
    contenders: [...OWN, "raw"],
    async measure(bench) {
      await using server = await bench.start("hello", true);
      await using holder = startClient("holder.ts", server.port, "half");
      const count = bench.isQuick ? QUICK_CONNECTIONS : CONNECTIONS;
      await probe(server, 1, "");
      const alone = await probe(server, 2, "alone");
      const before = await settledBytes(server);
      const opened = await holder.ask<HolderReport>(`grow ${count}`);
      const each = (await settledBytes(server) - before) / count;
      await holder.ask("trickle");
      const crowded = await probe(server, 2, "with them");
      // A server that parses nothing takes the byte of a slow head for nothing, and is not asked again.
      const isRaw = bench.contender === "raw";
      const last = isRaw ? opened : await holder.ask<HolderReport>("finish");
      const isWhole = last.open === count && last.answered === (isRaw ? 1 : 2);
      const lost = isWhole ? [] : [`of ${count} connections ${last.open} are open; ${last.ended} ended`];
      return {
        figures: { "KiB each": figure(each / 1024, 1), ...alone.figures, ...crowded.figures },
        problems: [...lost, ...alone.problems, ...crowded.problems],
      };
    },
  },
  {
    name: "transfer",
    title: "1 GiB up and down",
    text:
      "Through handlers that stream; in the middle of the download the client rests. Resident memory at the start, " +
      "and the most during the transfer, which may be 256 MiB more.",
    contenders: ["trivet", "native"],
    async measure(bench) {
      const up = await transfer(await bench.start("count"), "up", upload);
      const down = await transfer(await bench.start("flood"), "down", download);
      return { figures: { ...up.figures, ...down.figures }, problems: [...up.problems, ...down.problems] };
    },
  },
  {
    name: "ws-idle",
    title: `${MANY} idle WebSockets`,
    text: "The growth of resident memory, garbage collected. On Node the own server is `ws`.",
    contenders: OWN,
    async measure(bench) {
      await using server = await bench.start("ws");
      await using client = bench.startClient();
      const count = bench.isQuick ? QUICK_CONNECTIONS : CONNECTIONS;
      await client.ask<LoadReport>(`open ${server.port} /idle ${FIRST_WEB_SOCKETS}`);
      const before = await settledBytes(server);
      const { problem } = await client.ask<LoadReport>(`open ${server.port} /idle ${count}`);
      const each = (await settledBytes(server) - before) / (count - FIRST_WEB_SOCKETS);
      return { figures: { "KiB each": figure(each / 1024, 1) }, problems: problem === "" ? [] : [problem] };
    },
  },
  {
    name: "ws-stalled",
    title: `${STALLED} WebSockets that stop reading, and ${READING} that read`,
    text:
      "Messages of 16 KiB are sent to all for four seconds. One is cut off when more than 16 MiB wait for it, or when " +
      "it has the most of more than 256 MiB that wait for all.",
    contenders: ["trivet"],
    async measure(bench) {
      await using server = await bench.start("ws");
      await using client = bench.startClient();
      const rateOf = async (ms: number) => {
        const { messages, seconds } = await client.ask<LoadReport>(`publish 16384 4 ${ms}`);
        return figure(messages / seconds);
      };
      await client.ask<LoadReport>(`open ${server.port} /all ${READING}`);
      await rateOf(SETTLE_MS);
      const alone = await rateOf(1_000);
      await client.ask<LoadReport>(`open ${server.port} /all ${STALLED + READING}`);
      const { problem } = await client.ask<LoadReport>(`stall ${STALLED}`);
      server.forgetPeak();
      const before = server.memory().residentBytes;
      // Connections that are cut off are no problem of the client.
      const beside = await rateOf(4_000);
      const memory = mib(server.memory().peakBytes - before);
      const { stats } = await server.stats();
      const figures = {
        "memory MiB, at most": memory,
        "open at the end": stats.webSockets.open,
        [`messages/s of the ${READING}`]: beside,
        "the same alone": alone,
      };
      return { figures, problems: problem === "" ? [] : [problem] };
    },
  },
];

export function statesOf(method: Method, isQuick: boolean): Experiment[] {
  return STATES.map(({ measure, contenders, ...state }) => ({
    ...state,
    cases: contenders.map((contender) => ({
      title: CONTENDERS[contender].title,
      async run(measured) {
        if (!isThere(contender, measured, method)) return [];
        const runtime = state.name === "start" ? { ...measured, trivet: await packagedModule(measured) } : measured;
        const start: StateBench["start"] = (handler, patient) =>
          startContender(contender, { ...new Scenario(), handler }, runtime, method, patient);
        return [await measure({ isQuick, contender, start, startClient: () => startWebSockets(method) })];
      },
    })),
  }));
}

async function probe(server: ServerProcess, seconds: number, when: string) {
  const { flows } = await runFlows(server, { probe: PROBE }, { warmUpSeconds: 0, seconds, lingerSeconds: 1 });
  const { latency, sent, answered } = flows.probe;
  return {
    figures: { [`p50 ms ${when}`]: figure(latency?.p50.ms, 2), [`p99 ms ${when}`]: figure(latency?.p99.ms, 2) },
    problems: answered === sent ? [] : [`of ${sent} ordinary requests ${answered} were answered`],
  };
}

async function settledBytes(server: ServerProcess): Promise<number> {
  await server.collectGarbage();
  await rest(SETTLE_MS);
  await server.collectGarbage();
  return server.memory().residentBytes;
}

async function transfer(started: ServerProcess, way: "up" | "down", run: (url: string) => Promise<number>) {
  await using server = started;
  await server.collectGarbage();
  const atStart = server.memory().residentBytes;
  server.forgetPeak();
  const seconds = await run(`http://127.0.0.1:${server.port}/`);
  const atPeak = server.memory().peakBytes;
  const isTooMuch = atPeak - atStart > MAX_GROWTH_BYTES;
  return {
    figures: {
      [`${way} MiB/s`]: figure(FLOOD_BYTES / MIB / seconds),
      [`${way}: MiB at start`]: mib(atStart),
      [`${way}: at peak`]: mib(atPeak),
    },
    problems: isTooMuch ? [`memory grew from ${mib(atStart)} to ${mib(atPeak)} MiB`] : [],
  };
}

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
