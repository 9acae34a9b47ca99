/**
 * Ordinary requests at a steady pace, and how long each takes.
 *
 * The pace is low, so that what is measured is delay and not throughput, and no request waits for another one on its
 * connection.
 *
 * @module
 */

import { HELLO } from "./handlers.ts";
import { writeAll } from "./verify.ts";

/** How long requests took. */
export interface Latency {
  readonly requests: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
}

const CONNECTIONS = 8;
const INTERVAL_MS = 20;
const REQUEST = new TextEncoder().encode("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");

/**
 * Sends requests to a server that answers "hello".
 *
 * @throws {Error} A response is not the expected one.
 */
export async function measureLatency(port: number, seconds: number): Promise<Latency> {
  const tookMs: number[] = [];
  const endMs = performance.now() + 1000 * seconds;
  await Promise.all(Array.from({ length: CONNECTIONS }, async (_, index) => {
    await delay(index * INTERVAL_MS / CONNECTIONS);
    await askUntil(endMs, port, tookMs);
  }));
  const sorted = tookMs.toSorted((a, b) => a - b);
  const at = (part: number) => sorted[Math.min(sorted.length - 1, Math.floor(part * sorted.length))];
  return { requests: sorted.length, p50Ms: at(0.5), p99Ms: at(0.99), maxMs: at(1) };
}

async function askUntil(endMs: number, port: number, tookMs: number[]): Promise<void> {
  using conn = await Deno.connect({ port, hostname: "127.0.0.1" });
  conn.setNoDelay(true);
  const buffer = new Uint8Array(4096);
  const decoder = new TextDecoder();
  while (performance.now() < endMs) {
    const startMs = performance.now();
    await writeAll(conn, REQUEST);
    let text = "";
    while (!text.endsWith(HELLO)) {
      const readBytes = await conn.read(buffer);
      if (readBytes === null) throw new Error(`The server has closed the connection after: ${text}`);
      text += decoder.decode(buffer.subarray(0, readBytes));
    }
    if (!text.startsWith("HTTP/1.1 200 ")) throw new Error(`The response is not the expected one: ${text}`);
    const doneMs = performance.now();
    tookMs.push(doneMs - startMs);
    await delay(Math.max(0, startMs + INTERVAL_MS - doneMs));
  }
}

function delay(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}
