/**
 * Starts and stops servers in one process, as it is told in lines, and says what the process has: threads, descriptors,
 * memory, timers and the like, as seen from inside.
 *
 * It never ends itself: when its standard input has ended, nothing but a leak can keep it alive.
 *
 * @module
 */

import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import process from "node:process";
import { setTimeout as rest } from "node:timers/promises";
import type { ServeInit, Server, ServerStats, ShutdownReport } from "../../mod.ts";
import { obey } from "../obey.ts";
import { collectGarbage, HOSTNAME, readLaunch } from "./launch.ts";

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
export type ProcessSample = Awaited<ReturnType<typeof sampleProcess>>;

/** A graceful stop that is overtaken has begun for so long. */
const OVERTAKEN_AFTER_MS = 5;
const WATCH_INTERVAL_MS = 5;
/** Readings that are the same one after another show that nothing is on its way out any more. */
const SAME_READINGS = 3;
const READING_INTERVAL_MS = 50;
const MAX_READINGS = 60;
/** Of the kinds of objects of Bun, those that hold something of the system. */
const BUN_OBJECTS = /Timeout|Timer|Socket|Listener|Worker|MessagePort|Immediate/;

const { trivet, options, asModule } = readLaunch();
const { serve }: typeof import("../../mod.ts") = await import(trivet);
const handlerUrl = new URL("routes.ts", import.meta.url).href;
const handler = asModule ? { module: handlerUrl } : { fetch: (await import(handlerUrl)).default.fetch };

const losses: { atMs: number; lost: number }[] = [];
const readyMs: number[] = [];
let server: Server;

async function stopped(stopping: Promise<ShutdownReport>): Promise<StopReport> {
  const report = await stopping;
  const threadsAtEnd = namesIn("task").length;
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

/** Lets threads and sockets that are about to end do so, collects garbage and looks. */
async function sampleProcess() {
  let [last, reading] = ["", ""];
  for (let readings = 0, same = 0; readings < MAX_READINGS && same < SAME_READINGS; readings++, last = reading) {
    // Twice: what finalizers let go of is garbage for the next time.
    for (let i = 0; i < 2; i++) {
      collectGarbage();
      await rest(READING_INTERVAL_MS / 2);
    }
    reading = `${namesIn("task")} ${namesIn("fd")}`;
    same = reading === last ? same + 1 : 0;
  }
  const { rss: residentBytes, heapUsed: heapBytes } = process.memoryUsage();
  const [threads, descriptors, resources] = [namesIn("task"), namesIn("fd"), await resourceNames()];
  const sockets = descriptors.filter((target) => target.startsWith("socket:")).length;
  return {
    residentBytes,
    /** Of the main thread, garbage collected. */
    heapBytes,
    threads: threads.length,
    sockets,
    otherDescriptors: descriptors.length - sockets,
    /** What the runtime says it waits for: handles of Node and Deno, objects of Bun. */
    resources: resources.length,
    names: [...threads, ...resources],
  };
}

/** The names of the threads, or what the descriptors are of; of one that ends while it is looked at it is not known. */
function namesIn(folder: "task" | "fd"): string[] {
  return readdirSync(`/proc/self/${folder}`).map((each) => {
    const path = `/proc/self/${folder}/${each}`;
    try {
      return folder === "fd" ? readlinkSync(path) : readFileSync(`${path}/comm`, "utf8").trim();
    } catch {
      return "gone";
    }
  });
}

/** Bun's own list is always empty, but it counts the objects of its heap. */
async function resourceNames(): Promise<string[]> {
  if (!("Bun" in globalThis)) return process.getActiveResourcesInfo();
  const module = "bun:jsc";
  const { heapStats } = await import(module);
  const counts = Object.entries<number>(heapStats().objectTypeCounts).filter(([name]) => BUN_OBJECTS.test(name));
  return counts.flatMap(([name, count]) => new Array(count).fill(name));
}
