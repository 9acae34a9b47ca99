/**
 * What Linux says of processes, their time on processors and their memory, and where they are to run.
 *
 * @module
 */

import { readdirSync, readFileSync } from "node:fs";

/** The unit of times in /proc, which Linux fixes for programs at 100 in a second (USER_HZ). */
const TICKS_PER_SECOND = 100;

/**
 * The time that the threads of a process and of those it has started have had on a processor, to the nanosecond, from
 * `schedstat`. What a thread had that has ended counts as far as it was seen, so that the time never runs backwards.
 */
export class CpuClock {
  readonly #pid: number;
  readonly #seen = new Map<string, number>();
  #endedNanoseconds = 0;

  /** Looks at nothing yet. */
  constructor(pid: number) {
    this.#pid = pid;
  }

  /** Reads it: the time in all, and what of it was spent in the system, to the nearest 10 ms. */
  read(): { seconds: number; systemSeconds: number } {
    let ticks = 0;
    for (const pid of familyOf(this.#pid)) {
      // The second field is the name of the program in parentheses, which may hold spaces; stime is the 15th.
      ticks += Number(textOf(`${pid}/stat`).replace(/^.*\) /s, "").split(" ").at(12) ?? 0);
      for (const task of tasksOf(pid)) {
        const nanoseconds = Number(textOf(`${pid}/task/${task}/schedstat`).split(" ", 1)[0]);
        const before = this.#seen.get(task) ?? 0;
        // Another thread has got its number.
        if (nanoseconds < before) this.#endedNanoseconds += before;
        this.#seen.set(task, nanoseconds);
      }
    }
    const nanoseconds = this.#seen.values().reduce((sum, each) => sum + each, this.#endedNanoseconds);
    return { seconds: nanoseconds / 1e9, systemSeconds: ticks / TICKS_PER_SECOND };
  }
}

/** The time all processes of the machine together have had on its processors. */
export function cpuSecondsOfMachine(): number {
  // user, nice, system, idle, iowait, irq, softirq; what a hypervisor took for itself is of no process.
  const [, user, nice, system, , , irq, softirq] = textOf("stat").split(/\s+/, 8).map(Number);
  return (user + nice + system + irq + softirq) / TICKS_PER_SECOND;
}

/**
 * The memory of a process, and of those it has started: resident now, and the most since the start or since the peak was
 * last forgotten. No number where the process has ended; one that it has started may have ended, and has none.
 */
export function memoryOf(pid: number): { residentBytes: number; peakBytes: number } {
  const bytesOf = (name: string) =>
    familyOf(pid).reduce((sum, each) => {
      const found = new RegExp(`^${name}:\\s+(\\d+) kB$`, "m").exec(textOf(`${each}/status`))?.[1];
      return sum + 1024 * Number(found ?? (each === pid ? NaN : 0));
    }, 0);
  return { residentBytes: bytesOf("VmRSS"), peakBytes: bytesOf("VmHWM") };
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

function familyOf(pid: number): number[] {
  const children = tasksOf(pid).flatMap((task) => textOf(`${pid}/task/${task}/children`).split(" ").filter(Boolean));
  return [pid, ...children.flatMap((child) => familyOf(Number(child)))];
}

function tasksOf(pid: number): string[] {
  return attempt(() => readdirSync(`/proc/${pid}/task`), []);
}

function textOf(path: string): string {
  return attempt(() => readFileSync(`/proc/${path}`, "utf8"), "");
}

/** Processes and threads may end while they are looked at. */
function attempt<T>(look: () => T, gone: T): T {
  try {
    return look();
  } catch {
    return gone;
  }
}
