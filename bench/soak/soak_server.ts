/**
 * Starts and stops servers in one process, as it is told in lines, and says what the process has.
 *
 * It never ends itself: when its standard input has ended, nothing but a leak can keep it alive.
 *
 * @module
 */

import { setTimeout as rest } from "node:timers/promises";
import type { ServeInit, Server, ServerStats, ShutdownReport } from "../../mod.ts";
import { obey } from "../obey.ts";
import { HOSTNAME, readLaunch } from "../servers/launch.ts";
import { sampleProcess, threadCount } from "./process_sample.ts";

/** How a server has stopped, and the threads of the process in the moment in which that was told. */
export type StopReport = ShutdownReport & { readonly threadsAtEnd: number };

export interface SoakStats {
  readonly stats: ServerStats;
  /** How many threads were lost until when, in milliseconds since 1970, each time the number had changed. */
  readonly losses: readonly { readonly atMs: number; readonly lost: number }[];
  /** For how long so many threads were ready, in milliseconds; the index is the number. */
  readonly readyMs: readonly number[];
}

export type SoakCommand = keyof typeof COMMANDS;

/** A graceful stop that is overtaken has begun for so long. */
const OVERTAKEN_AFTER_MS = 5;
const WATCH_INTERVAL_MS = 5;

const { trivet, options, asModule } = readLaunch();
const { serve }: typeof import("../../mod.ts") = await import(trivet);
const handlerUrl = new URL("../servers/routes.ts", import.meta.url).href;
const handler = asModule ? { module: handlerUrl } : { fetch: (await import(handlerUrl)).default.fetch };

const losses: { atMs: number; lost: number }[] = [];
const readyMs: number[] = [];
let server: Server;

async function stopped(stopping: Promise<ShutdownReport>): Promise<StopReport> {
  const report = await stopping;
  const threadsAtEnd = threadCount();
  await server.finished;
  return { ...report, threadsAtEnd };
}

const COMMANDS = {
  async start() {
    server = serve({ port: 0, hostname: HOSTNAME, onListen: () => {}, ...options, ...handler } as ServeInit);
    await server.ready();
    return { port: server.port };
  },
  async watched() {
    const started = await COMMANDS.start();
    let watchedAtMs = Date.now();
    setInterval(() => {
      const nowMs = Date.now();
      const { lost, ready } = server.stats().threads;
      if (lost > (losses.at(-1)?.lost ?? 0)) losses.push({ atMs: nowMs, lost });
      readyMs[ready] = (readyMs[ready] ?? 0) + nowMs - watchedAtMs;
      watchedAtMs = nowMs;
    }, WATCH_INTERVAL_MS);
    return started;
  },
  drain: () => stopped(server.shutdown({ closeIdle: true })),
  async cut() {
    const graceful = server.shutdown({ closeIdle: true });
    await rest(OVERTAKEN_AFTER_MS);
    await server.stop();
    return await stopped(graceful);
  },
  waiting: () => server.stats().queue.waiting,
  measure: sampleProcess,
  stats: (): SoakStats => ({ stats: server.stats(), losses, readyMs: Array.from(readyMs, (ms) => ms ?? 0) }),
};

obey(COMMANDS);
