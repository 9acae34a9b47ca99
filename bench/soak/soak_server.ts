/**
 * Starts and stops servers in one process, as it is told in lines, and says what the process has.
 *
 * It never ends itself: when its standard input has ended, nothing but a leak can keep it alive.
 *
 * @module
 */

import process from "node:process";
import type { ServeInit, Server, ServerStats, ShutdownReport } from "../../mod.ts";
import { sampleProcess, threadCount } from "./process_sample.ts";

/** What the program is told, as JSON in its environment. */
export interface SoakLaunch {
  /** The URL of the module of Trivet: its source, or what was emitted for Node. */
  readonly trivet: string;
  readonly options: Readonly<Record<string, unknown>>;
  /** Whether the handler is handed over as a module or as a function. */
  readonly asModule: boolean;
}

/** How a server has stopped. */
export interface StopReport extends ShutdownReport {
  /** Threads of the process in the moment in which the stop was told to be over. */
  readonly threadsAtEnd: number;
}

/** What a server has counted. */
export interface SoakStats {
  readonly stats: ServerStats;
  /** How many threads were lost until when, in milliseconds since 1970, each time the number had changed. */
  readonly losses: readonly { readonly atMs: number; readonly lost: number }[];
  /** For how long so many threads were ready, in milliseconds; the index is the number. */
  readonly readyMs: readonly number[];
}

/** A graceful stop that is overtaken has begun for so long. */
const OVERTAKEN_AFTER_MS = 5;
const WATCH_INTERVAL_MS = 5;

const { trivet, options, asModule }: SoakLaunch = JSON.parse(process.env.BENCH_LAUNCH ?? "null");
const { serve }: typeof import("../../mod.ts") = await import(trivet);
const handlerUrl = new URL("../servers/routes.ts", import.meta.url).href;
const handler = asModule ? { module: handlerUrl } : { fetch: (await import(handlerUrl)).default.fetch };

const losses: { atMs: number; lost: number }[] = [];
const readyMs: number[] = [];
let watchedAtMs = Date.now();
let server: Server;

function watch(): void {
  const nowMs = Date.now();
  const { lost, ready } = server.stats().threads;
  if (lost > (losses.at(-1)?.lost ?? 0)) losses.push({ atMs: nowMs, lost });
  readyMs[ready] = (readyMs[ready] ?? 0) + nowMs - watchedAtMs;
  watchedAtMs = nowMs;
}

async function start() {
  server = serve({ port: 0, hostname: "127.0.0.1", onListen: () => {}, ...options, ...handler } as ServeInit);
  await server.ready();
  return { port: server.port };
}

async function stopped(stopping: Promise<ShutdownReport>): Promise<StopReport> {
  const report = await stopping;
  const threadsAtEnd = threadCount();
  await server.finished;
  return { ...report, threadsAtEnd };
}

const COMMANDS: Readonly<Record<string, () => Promise<unknown>>> = {
  start,
  /** With errors and warnings let pass, as they are meant to come, and threads watched. */
  async watched() {
    const started = await start();
    watchedAtMs = Date.now();
    setInterval(watch, WATCH_INTERVAL_MS);
    return started;
  },
  drain: () => stopped(server.shutdown({ closeIdle: true })),
  async cut() {
    const graceful = server.shutdown({ closeIdle: true });
    await new Promise((resolve) => setTimeout(resolve, OVERTAKEN_AFTER_MS));
    await server.stop();
    return await stopped(graceful);
  },
  waiting: () => Promise.resolve(server.stats().queue.waiting),
  measure: sampleProcess,
  stats: () =>
    Promise.resolve<SoakStats>({ stats: server.stats(), losses, readyMs: Array.from(readyMs, (ms) => ms ?? 0) }),
  end: () => process.exit(0),
};

process.stdin.on("data", async (line: Uint8Array) => {
  const command = COMMANDS[new TextDecoder().decode(line).trim()];
  try {
    console.log(JSON.stringify(await command()));
  } catch (error) {
    console.log(JSON.stringify({ error: String((error as Error).stack ?? error) }));
  }
});
