/**
 * What Linux says of processes, their time on processors and their memory, and where they are to run.
 *
 * @module
 */

import { readdirSync, readFileSync } from "node:fs";

/** The memory of a process. */
export interface ProcessMemory {
  /** Resident now. */
  readonly residentBytes: number;
  /** The most that was resident since the start, or since the peak was last forgotten. */
  readonly peakBytes: number;
}

/** The unit of times in /proc, which Linux fixes for programs at 100 in a second (USER_HZ). */
const TICKS_PER_SECOND = 100;
const NANOSECONDS = 1e9;

/** Time on a processor. */
export interface CpuTime {
  /** For themselves and in the system. */
  readonly seconds: number;
  /** Of these, in the system, to the nearest 10 ms. */
  readonly systemSeconds: number;
}

/**
 * The time that the threads of a process and of those it has started have had on a processor, to the nanosecond, from
 * `schedstat`. What a thread had that has ended counts as far as it was seen, so that the time never runs backwards.
 */
export class CpuClock {
  readonly #pid: number;
  readonly #seen = new Map<number, number>();
  #endedNanoseconds = 0;

  /** Looks at nothing yet. */
  constructor(pid: number) {
    this.#pid = pid;
  }

  /** Reads it. */
  read(): CpuTime {
    let ticks = 0;
    for (const pid of familyOf(this.#pid)) {
      ticks += attempt(0, () => ticksOf(pid)[1]);
      for (const task of attempt([], () => readdirSync(`/proc/${pid}/task`))) this.#look(pid, Number(task));
    }
    const nanoseconds = this.#seen.values().reduce((sum, each) => sum + each, this.#endedNanoseconds);
    return { seconds: nanoseconds / NANOSECONDS, systemSeconds: ticks / TICKS_PER_SECOND };
  }

  #look(pid: number, task: number): void {
    const path = `/proc/${pid}/task/${task}/schedstat`;
    const nanoseconds = attempt(0, () => Number(readFileSync(path, "utf8").split(" ", 1)[0]));
    const before = this.#seen.get(task) ?? 0;
    // Another thread has got its number.
    if (nanoseconds < before) this.#endedNanoseconds += before;
    this.#seen.set(task, nanoseconds);
  }
}

/** The processors that a process has used, in seconds, to the nearest 10 ms. */
export function cpuSecondsOf(pid: number | "self"): number {
  const [user, system] = ticksOf(pid);
  return (user + system) / TICKS_PER_SECOND;
}

/** The time all processes of the machine together have had on its processors. */
export function cpuSecondsOfMachine(): number {
  const [line] = readFileSync("/proc/stat", "utf8").split("\n", 1);
  // user, nice, system, idle, iowait, irq, softirq; what a hypervisor took for itself is of no process.
  const [user, nice, system, , , irq, softirq] = line.trim().split(/\s+/).slice(1).map(Number);
  return (user + nice + system + irq + softirq) / TICKS_PER_SECOND;
}

/** The memory of a process, and of those it has started, now; no number where the process has ended. */
export function memoryOf(pid: number): ProcessMemory {
  let [residentBytes, peakBytes] = [0, 0];
  for (const each of familyOf(pid)) {
    const status = attempt("", () => readFileSync(`/proc/${each}/status`, "utf8"));
    const kib = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+) kB$`, "m").exec(status)?.[1]);
    // One that it has started may have ended, and has none.
    residentBytes += 1024 * (kib("VmRSS") || (each === pid ? NaN : 0));
    peakBytes += 1024 * (kib("VmHWM") || (each === pid ? NaN : 0));
  }
  return { residentBytes, peakBytes };
}

/** The processors for servers and for their load, so that neither takes the other's; none where there is only one. */
const LAST_CORE = navigator.hardwareConcurrency - 1;
const CORES = LAST_CORE < 1 ? null : { server: "0", load: LAST_CORE === 1 ? "1" : `1-${LAST_CORE}` };

/** A command whose process stays on the processors for the load; as it is where there is one processor. */
export function besideServers(argv: readonly string[]): readonly string[] {
  return CORES === null ? argv : ["taskset", "--cpu-list", CORES.load, ...argv];
}

/** Keeps a process, and those it has started, on the processor for servers from now on, with every thread. */
export async function pin(pid: number): Promise<void> {
  if (CORES === null) return;
  for (const each of familyOf(pid)) {
    const args = ["--all-tasks", "--cpu-list", "--pid", CORES.server, String(each)];
    await new Deno.Command("taskset", { args, stdout: "null", stderr: "null" }).output();
  }
}

/** User and system time of a process, threads that have ended among it. */
function ticksOf(pid: number | "self"): number[] {
  const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
  // The second field is the name of the program in parentheses, which may hold spaces; utime is the 14th.
  return stat.slice(stat.lastIndexOf(")") + 2).split(" ").slice(11, 13).map(Number);
}

/** A process and those it has started. */
function familyOf(pid: number): number[] {
  const tasks = attempt([], () => readdirSync(`/proc/${pid}/task`));
  const children = tasks.flatMap((task) =>
    attempt("", () => readFileSync(`/proc/${pid}/task/${task}/children`, "utf8")).split(" ").filter(Boolean)
  );
  return [pid, ...children.flatMap((child) => familyOf(Number(child)))];
}

/** Processes and threads may end while they are looked at. */
function attempt<T>(otherwise: T, look: () => T): T {
  try {
    return look();
  } catch {
    return otherwise;
  }
}
