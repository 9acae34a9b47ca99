/**
 * What Linux says of processes, their time on processors and their memory, and where they are to run.
 *
 * @module
 */

import { readdirSync, readFileSync } from "node:fs";

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
  readonly #isAlone: boolean;
  readonly #seen = new Map<number, number>();
  #endedNanoseconds = 0;

  /** Looks at nothing yet. @param isAlone Whether what the process has started is left out. */
  constructor(pid: number, isAlone = false) {
    this.#pid = pid;
    this.#isAlone = isAlone;
  }

  /** Reads it. */
  read(): CpuTime {
    let ticks = 0;
    for (const pid of this.#isAlone ? [this.#pid] : familyOf(this.#pid)) {
      ticks += attempt(0, () => systemTicksOf(pid));
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

/** The time all processes of the machine together have had on its processors. */
export function cpuSecondsOfMachine(): number {
  // user, nice, system, idle, iowait, irq, softirq; what a hypervisor took for itself is of no process.
  const [, user, nice, system, , , irq, softirq] = readFileSync("/proc/stat", "utf8").split(/\s+/, 8).map(Number);
  return (user + nice + system + irq + softirq) / TICKS_PER_SECOND;
}

/**
 * The memory of a process, and of those it has started: resident now, and the most since the start or since the peak was
 * last forgotten. No number where the process has ended.
 */
export function memoryOf(pid: number): { residentBytes: number; peakBytes: number } {
  let [residentBytes, peakBytes] = [0, 0];
  for (const each of familyOf(pid)) {
    const status = attempt("", () => readFileSync(`/proc/${each}/status`, "utf8"));
    // One that it has started may have ended, and has none.
    const bytes = (name: string) =>
      1024 * (Number(new RegExp(`^${name}:\\s+(\\d+) kB$`, "m").exec(status)?.[1]) || (each === pid ? NaN : 0));
    residentBytes += bytes("VmRSS");
    peakBytes += bytes("VmHWM");
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

/** System time of a process, threads that have ended among it. */
function systemTicksOf(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
  // The second field is the name of the program in parentheses, which may hold spaces; stime is the 15th.
  return Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[12]);
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
