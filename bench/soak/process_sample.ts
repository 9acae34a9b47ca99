/**
 * What a process has at a moment: threads, descriptors, memory, timers and the like, as seen from inside.
 *
 * @module
 */

import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import process from "node:process";
import { setTimeout as rest } from "node:timers/promises";
import { collectGarbage } from "../servers/launch.ts";

export type ProcessSample = Awaited<ReturnType<typeof sampleProcess>>;

/** Readings that are the same one after another show that nothing is on its way out any more. */
const SAME_READINGS = 3;
const READING_INTERVAL_MS = 50;
const MAX_READINGS = 60;
/** Of the kinds of objects of Bun, those that hold something of the system. */
const BUN_OBJECTS = /Timeout|Timer|Socket|Listener|Worker|MessagePort|Immediate/;

/** Lets threads and sockets that are about to end do so, collects garbage and looks. */
export async function sampleProcess() {
  let [last, reading] = ["", ""];
  for (let readings = 0, same = 0; readings < MAX_READINGS && same < SAME_READINGS; readings++, last = reading) {
    // Twice: what finalizers let go of is garbage for the next time.
    for (let i = 0; i < 2; i++) {
      collectGarbage();
      await rest(READING_INTERVAL_MS / 2);
    }
    reading = JSON.stringify([threadNames(), descriptors()]);
    same = reading === last ? same + 1 : 0;
  }
  const { rss: residentBytes, heapUsed: heapBytes } = process.memoryUsage();
  const [threads, resources] = [threadNames(), await resourceNames()];
  return {
    ...descriptors(),
    residentBytes,
    /** Of the main thread, garbage collected. */
    heapBytes,
    threads: threads.length,
    /** What the runtime says it waits for: handles of Node and Deno, objects of Bun. */
    resources: resources.length,
    names: [...threads, ...resources],
  };
}

export function threadCount(): number {
  return readdirSync("/proc/self/task").length;
}

function threadNames(): string[] {
  return readdirSync("/proc/self/task").map((task) => look(() => readFileSync(`/proc/self/task/${task}/comm`, "utf8")));
}

function descriptors() {
  // The descriptor of the folder that is read is gone when it is followed.
  const targets = readdirSync("/proc/self/fd").map((fd) => look(() => readlinkSync(`/proc/self/fd/${fd}`)));
  const sockets = targets.filter((target) => target.startsWith("socket:")).length;
  return { sockets, otherDescriptors: targets.length - sockets };
}

function look(at: () => string): string {
  try {
    return at().trim();
  } catch {
    return "gone";
  }
}

/** Bun's own list is always empty, but it counts the objects of its heap. */
async function resourceNames(): Promise<string[]> {
  if (!("Bun" in globalThis)) return process.getActiveResourcesInfo();
  const module = "bun:jsc";
  const { heapStats } = await import(module);
  const counts = Object.entries<number>(heapStats().objectTypeCounts).filter(([name]) => BUN_OBJECTS.test(name));
  return counts.flatMap(([name, count]) => new Array(count).fill(name));
}
