/**
 * What a request allocates and where its time goes, on V8, as its profilers tell it; what a runtime does outside of
 * V8 is not seen. Another process, which runs this file too, sends the requests.
 */

import { spawn } from "node:child_process";
import { createServer } from "node:http";
import { Session } from "node:inspector/promises";
import { type AddressInfo, connect } from "node:net";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { HttpResponse, serve } from "../../mod.ts";

const HELLO = "Hello, world!";
const WARM_UP = 10_000;
const COUNTED = 1_000;
const TIMED = 20_000;
const WHERE = { port: 0, hostname: "127.0.0.1", onListen: () => {} };

/** Sends so many requests one after another, on one connection or each on its own. */
function request(port: number, left: number, isKept: boolean): void {
  if (left === 0) return;
  const text = `GET / HTTP/1.1\r\nHost: localhost\r\n${isKept ? "" : "Connection: close\r\n"}\r\n`;
  const socket = connect(port, "127.0.0.1", () => socket.write(text));
  socket.setNoDelay(true);
  socket.on("data", () => isKept && (--left > 0 ? socket.write(text) : socket.end()));
  if (!isKept) socket.on("close", () => request(port, left - 1, false));
}

const SERVERS: [string, () => Promise<number>][] = [
  ["Trivet, HttpResponse", async () => (await serve(WHERE, () => new HttpResponse(HELLO)).ready()).port],
  ["Trivet, Response", async () => (await serve(WHERE, () => new Response(HELLO)).ready()).port],
  "Deno" in globalThis
    ? ["Deno.serve", () => Promise.resolve(Deno.serve(WHERE, () => new Response(HELLO)).addr.port)]
    : ["node:http", () =>
      new Promise((resolve) => {
        const server = createServer((_request, response) => response.end(HELLO));
        server.listen(0, WHERE.hostname, () => resolve((server.address() as AddressInfo).port));
      })],
];

const session = new Session();

function send(port: number, count: number, isKept: boolean): Promise<unknown> {
  const file = fileURLToPath(import.meta.url);
  const program = [...process.execArgv, file, String(port), String(count), isKept ? "kept" : "new"];
  const args = "Deno" in globalThis ? ["run", "-A", "--no-check", ...program] : program;
  return new Promise((resolve) => spawn(process.execPath, args, { stdio: "inherit" }).on("exit", resolve));
}

async function allocated(run: () => Promise<unknown>): Promise<[objects: number, bytes: number]> {
  const options = { includeObjectsCollectedByMajorGC: true, includeObjectsCollectedByMinorGC: true };
  await session.post("HeapProfiler.startSampling", { samplingInterval: 1, ...options });
  await run();
  const { profile } = await session.post("HeapProfiler.stopSampling");
  // The types of Node lack what V8 has told for long.
  const { samples } = profile as unknown as { samples: { size: number }[] };
  return [samples.length, samples.reduce((sum, { size }) => sum + size, 0)];
}

/** The microseconds that were spent meanwhile in Trivet, in what it calls of the runtime, elsewhere, and collecting garbage. */
async function spent(run: () => Promise<unknown>): Promise<number[]> {
  await session.post("Profiler.start");
  await run();
  const { nodes, samples = [], timeDeltas = [] } = (await session.post("Profiler.stop")).profile;
  const placeOf = new Map(nodes.map(({ id, callFrame: { url, functionName } }) => {
    if (functionName === "(idle)" || functionName === "(root)") return [id, -1];
    if (functionName === "(garbage collector)") return [id, 3];
    return [id, functionName === "(program)" ? 2 : /\/(src|runtime|esm)\/|allocations/.test(url) ? 0 : 1];
  }));
  const sums = [0, 0, 0, 0];
  samples.forEach((id, i) => sums[placeOf.get(id)!] += timeDeltas[i]);
  return sums;
}

export async function measureAllocations(): Promise<Record<string, object>> {
  session.connect();
  await session.post("HeapProfiler.enable");
  await session.post("Profiler.enable");
  await session.post("Profiler.setSamplingInterval", { interval: 200 });
  const rows: Record<string, object> = {};
  for (const [name, start] of SERVERS) {
    const port = await start();
    for (const isKept of [true, false]) {
      await send(port, WARM_UP, isKept);
      const before = await allocated(() => send(port, 1, isKept));
      const after = await allocated(() => send(port, 1 + COUNTED, isKept));
      const [objects, bytes] = after.map((each, i) => Math.round((each - before[i]) / COUNTED));
      const times = (await spent(() => send(port, TIMED, isKept))).map((each) => Number((each / TIMED).toFixed(1)));
      const [trivet, theirs, elsewhere, collecting] = times;
      const us = { "us in Trivet": trivet, "in the runtime and the system": theirs, elsewhere, collecting };
      rows[`${name}, ${isKept ? "kept" : "one a request"}`] = { objects, bytes, ...us };
    }
  }
  return rows;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [port, count, way] = process.argv.slice(2);
  request(Number(port), Number(count), way === "kept");
}
