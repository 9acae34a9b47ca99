/**
 * What a process has at a moment: threads, descriptors, memory, timers and the like, as seen from inside.
 *
 * @module
 */

import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import process from "node:process";

/** What there is. */
export interface ProcessSample {
  /** Threads of the operating system, by name. */
  readonly threads: Readonly<Record<string, number>>;
  readonly sockets: number;
  /** Descriptors that are no sockets. */
  readonly otherDescriptors: number;
  readonly residentBytes: number;
  /** The heap of the main thread, garbage collected. */
  readonly heapBytes: number;
  /** What the runtime says it waits for, by name: handles of Node and Deno, objects of Bun. */
  readonly resources: Readonly<Record<string, number>>;
}

/** Readings that are the same one after another show that nothing is on its way out any more. */
const SAME_READINGS = 3;
const READING_INTERVAL_MS = 50;
const MAX_READINGS = 60;
/** Of the kinds of objects of Bun, those that hold something of the system. */
const BUN_OBJECTS = /Timeout|Timer|Socket|Listener|Worker|MessagePort|Immediate/;

/** Lets threads and sockets that are about to end do so, collects garbage and looks. */
export async function sampleProcess(): Promise<ProcessSample> {
  let last = "";
  for (let readings = 0, same = 0; readings < MAX_READINGS && same < SAME_READINGS; readings++) {
    await collectGarbage();
    const { threads, sockets } = descriptorsAndThreads();
    const reading = JSON.stringify([threads, sockets]);
    same = reading === last ? same + 1 : 0;
    last = reading;
  }
  const { rss, heapUsed } = process.memoryUsage();
  return { ...descriptorsAndThreads(), residentBytes: rss, heapBytes: heapUsed, resources: await resources() };
}

/** How many threads the operating system has for this process now. */
export function threadCount(): number {
  return readdirSync("/proc/self/task").length;
}

function descriptorsAndThreads() {
  const names = readdirSync("/proc/self/task").map((task) => read(`/proc/self/task/${task}/comm`));
  const targets = readdirSync("/proc/self/fd").map((fd) => follow(`/proc/self/fd/${fd}`));
  const sockets = targets.filter((target) => target.startsWith("socket:")).length;
  return { threads: countEach(names), sockets, otherDescriptors: targets.length - sockets };
}

/** The descriptor of the folder that is read is gone when it is followed. */
function follow(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return "gone";
  }
}

function read(path: string): string {
  try {
    return readFileSync(path, "utf8").trim();
  } catch {
    return "gone";
  }
}

/** Needs `--expose-gc` on V8. Twice: what finalizers let go of is garbage for the next time. */
async function collectGarbage(): Promise<void> {
  const { Bun, gc } = globalThis as { Bun?: { gc(synchronous: boolean): void }; gc?: () => void };
  for (let i = 0; i < 2; i++) {
    if (Bun !== undefined) Bun.gc(true);
    else gc?.();
    await new Promise((resolve) => setTimeout(resolve, READING_INTERVAL_MS / 2));
  }
}

/** Bun's own list is always empty, but it counts the objects of its heap. */
async function resources(): Promise<Record<string, number>> {
  if (!("Bun" in globalThis)) return countEach(process.getActiveResourcesInfo());
  const module = "bun:jsc";
  const { heapStats } = await import(module);
  const counts = Object.entries<number>(heapStats().objectTypeCounts);
  return Object.fromEntries(counts.filter(([name]) => BUN_OBJECTS.test(name)));
}

function countEach(names: readonly string[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const name of [...names].sort()) counts[name] = (counts[name] ?? 0) + 1;
  return counts;
}
