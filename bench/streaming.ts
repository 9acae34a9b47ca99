/**
 * A gigabyte up and a gigabyte down through a streaming handler: how fast, and in how much memory.
 *
 * The client rests in the middle of the download, so that a server without back-pressure would have to keep what it
 * cannot send.
 *
 * Usage: `deno run -A bench/streaming.ts [runtime ...]`. It fails when bytes are missing or wrong, or when the memory of
 * Trivet does not stay flat.
 *
 * @module
 */

import { type BenchRuntime, findRuntimes, RUNTIME_NAMES } from "./contenders.ts";
import { CHUNK, FLOOD_BYTES } from "./handlers.ts";
import { ServerProcess } from "./server_process.ts";
import { writeAll } from "./verify.ts";

/** What was found of one transfer. */
interface Finding {
  readonly seconds: number;
  readonly startBytes: number;
  readonly peakBytes: number;
  readonly endBytes: number;
}

const MIB = 1024 ** 2;
/** What a transfer may add to the memory of the server, garbage included. */
const MAX_GROWTH_BYTES = 256 * MIB;
const REST_MS = 1_500;
const DEADLINE_MS = 60_000;

const TRANSFERS = [
  { title: "1 GiB up  ", handler: "count", run: upload },
  { title: "1 GiB down", handler: "flood", run: download },
] as const;
const CONTENDERS = ["trivet", "native"] as const;

/** Returns how long it took, without the rest. */
async function upload(port: number): Promise<number> {
  using conn = await Deno.connect({ port, hostname: "127.0.0.1" });
  using _ = closeAfter(DEADLINE_MS, conn);
  const startMs = performance.now();
  const head = `POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: ${FLOOD_BYTES}\r\nConnection: close\r\n\r\n`;
  await writeAll(conn, new TextEncoder().encode(head));
  for (let sentBytes = 0; sentBytes < FLOOD_BYTES; sentBytes += CHUNK.byteLength) await writeAll(conn, CHUNK);
  let text = "";
  const decoder = new TextDecoder();
  const buffer = new Uint8Array(4096);
  for (let read = await conn.read(buffer); read !== null; read = await conn.read(buffer)) {
    text += decoder.decode(buffer.subarray(0, read));
  }
  if (!text.startsWith("HTTP/1.1 200 ") || !text.includes(String(FLOOD_BYTES))) throw new Error(`It answered: ${text}`);
  return (performance.now() - startMs) / 1000;
}

async function download(port: number): Promise<number> {
  const startMs = performance.now();
  const response = await fetch(`http://127.0.0.1:${port}/`, { signal: AbortSignal.timeout(DEADLINE_MS) });
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
    await new Promise((resolve) => setTimeout(resolve, REST_MS));
  }
  if (receivedBytes !== FLOOD_BYTES) throw new Error(`${receivedBytes} bytes came in place of ${FLOOD_BYTES}.`);
  return (performance.now() - startMs - REST_MS) / 1000;
}

function closeAfter(deadlineMs: number, conn: Deno.Conn): Disposable {
  const timer = setTimeout(() => conn.close(), deadlineMs);
  return { [Symbol.dispose]: () => clearTimeout(timer) };
}

async function measure(
  runtime: BenchRuntime,
  contender: "trivet" | "native",
  { handler, run }: (typeof TRANSFERS)[number],
): Promise<Finding> {
  const server = await ServerProcess.start(runtime, contender, { handler, packages: "", patient: false });
  try {
    await server.collectGarbage();
    const startBytes = server.memory().residentBytes;
    server.forgetPeak();
    const seconds = await run(server.port);
    const { peakBytes } = server.memory();
    await server.collectGarbage();
    return { seconds, startBytes, peakBytes, endBytes: server.memory().residentBytes };
  } finally {
    await server.stop();
  }
}

async function main(asked: readonly string[]): Promise<number> {
  const names = RUNTIME_NAMES.filter((name) => asked.length === 0 || asked.includes(name));
  const root = decodeURIComponent(new URL("..", import.meta.url).pathname).replace(/\/$/, "");
  const folder = await Deno.makeTempDir({ prefix: "trivet-bench-" });
  let failures = 0;
  try {
    for (const runtime of await findRuntimes(names, root, folder)) {
      for (const transfer of TRANSFERS) {
        for (const contender of CONTENDERS) {
          const who = contender === "trivet" ? "Trivet" : "the runtime's own";
          const name = `${transfer.title}, ${runtime.title} ${runtime.version}, ${who}`;
          try {
            const { seconds, startBytes, peakBytes, endBytes } = await measure(runtime, contender, transfer);
            const isFlat = peakBytes - startBytes < MAX_GROWTH_BYTES;
            const [start, peak, end] = [startBytes, peakBytes, endBytes].map((bytes) => (bytes / MIB).toFixed(0));
            console.log(
              `${name}: ${(FLOOD_BYTES / MIB / seconds).toFixed(0)} MiB/s, resident ${start} MiB at the start, ` +
                `${peak} at the peak, ${end} at the end${isFlat ? "" : ": NOT FLAT"}`,
            );
            if (!isFlat && contender === "trivet") failures++;
          } catch (error) {
            console.log(`${name}: FAILED. ${error instanceof Error ? error.message : error}`);
            failures++;
          }
        }
      }
    }
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
  return failures === 0 ? 0 : 1;
}

Deno.exit(await main(Deno.args));
