/**
 * What Linux says of a process, its time on processors and its memory, and of all of them together.
 *
 * @module
 */

import { readFileSync } from "node:fs";

/** The memory of a process. */
export interface ProcessMemory {
  /** Resident now. */
  readonly residentBytes: number;
  /** The most that was resident since the start, or since the peak was last forgotten. */
  readonly peakBytes: number;
}

/** The unit of times in /proc, which Linux fixes for programs at 100 in a second (USER_HZ). */
const TICKS_PER_SECOND = 100;

/** The time all threads of a process have had on a processor. */
export interface CpuTime {
  /** For themselves and in the system. */
  readonly seconds: number;
  /** Of these, in the system. */
  readonly systemSeconds: number;
}

/** The time all threads of a process have had on a processor. */
export function cpuTimeOf(pid: number | "self"): CpuTime {
  const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
  // The second field is the name of the program in parentheses, which may hold spaces; utime is the 14th.
  const [user, system] = stat.slice(stat.lastIndexOf(")") + 2).split(" ").slice(11, 13).map(Number);
  return { seconds: (user + system) / TICKS_PER_SECOND, systemSeconds: system / TICKS_PER_SECOND };
}

/** The time all processes of the machine together have had on its processors. */
export function cpuSecondsOfMachine(): number {
  const [line] = readFileSync("/proc/stat", "utf8").split("\n", 1);
  // user, nice, system, idle, iowait, irq, softirq; what a hypervisor took for itself is of no process.
  const [user, nice, system, , , irq, softirq] = line.trim().split(/\s+/).slice(1).map(Number);
  return (user + nice + system + irq + softirq) / TICKS_PER_SECOND;
}

/** The memory of a process now. */
export function memoryOf(pid: number): ProcessMemory {
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  const bytesOf = (name: string) => 1024 * Number(new RegExp(`^${name}:\\s+(\\d+) kB$`, "m").exec(status)?.[1]);
  return { residentBytes: bytesOf("VmRSS"), peakBytes: bytesOf("VmHWM") };
}
