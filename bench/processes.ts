/**
 * Programs in processes of their own: how they are started, spoken to in lines and ended, and what Linux says of
 * them.
 */

import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { once } from "node:events";
import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import process from "node:process";
import { createInterface } from "node:readline";
import type { ServerStats } from "../mod.ts";
import type { BenchRuntime } from "./runtimes.ts";
import type { ServerLaunch } from "./servers/launch.ts";

const STOP_DEADLINE_MS = 2_000;
/** Enough for the first error with its stack. */
const MAX_PRINTED_CHARS = 1_000;
/** Far longer than a server takes to start, and a busy client to open thousands of connections. */
const ANSWER_DEADLINE_MS = 90_000;
/** The unit of times in /proc, which Linux fixes for programs at 100 in a second (USER_HZ). */
const TICKS_PER_SECOND = 100;
/** The processors for servers and for their load, so that neither takes the other's; none where there is only one. */
const LAST_CORE = navigator.hardwareConcurrency - 1;
const CORES = LAST_CORE < 1 ? null : { server: "0", load: LAST_CORE === 1 ? "1" : `1-${LAST_CORE}` };
/** Raises the number of files a program may have open to what it is allowed to, and becomes the program. */
export const WITH_MANY_FILES: readonly string[] = ["bash", "-c", 'ulimit -n "$(ulimit -Hn)"; exec "$@"', "bash"];

/**
 * Starts so many copies of a program that knows nothing of this folder, tells when its port can be connected to, and
 * ends them when its input ends.
 */
const FOREIGN = 'port=$1 copies=$2; shift 2; for ((i = 0; i < copies; i++)); do "$@" >&2 & done; ' +
  "until (exec 3<>/dev/tcp/127.0.0.1/$port) 2>/dev/null; do kill -0 $! || exit 1; sleep 0.02; done; " +
  `echo "{\\"port\\":$port}"; while read -r line; do echo null; done; kill $(jobs -p); wait`;

export class ChildProgram {
  printedErrors = "";
  readonly #child: ChildProcessWithoutNullStreams;
  readonly #lines: AsyncIterator<string>;
  readonly #ended: Promise<unknown>;

  constructor(argv: readonly string[], env: Readonly<Record<string, string>> = {}) {
    const [shell, ...args] = [...WITH_MANY_FILES, ...argv];
    this.#child = spawn(shell, args, { env: { ...process.env, ...env } });
    this.#ended = once(this.#child, "close");
    this.#lines = createInterface({ input: this.#child.stdout })[Symbol.asyncIterator]();
    // What it is told is lost where it has ended; that shows in what it answers.
    this.#child.stdin.on("error", () => {});
    this.#child.stderr.setEncoding("utf8").on("data", (text: string) => {
      this.printedErrors = (this.printedErrors + text).slice(0, MAX_PRINTED_CHARS);
    });
  }

  get pid(): number {
    return this.#child.pid!;
  }

  /**
   * Waits for its next line, which is JSON.
   *
   * @throws {Error} None comes in time, and the program is ended then; or it tells of an error.
   */
  async answer<T>(): Promise<T> {
    const deadline = setTimeout(() => this.#child.kill("SIGKILL"), ANSWER_DEADLINE_MS);
    const { value: line, done } = await this.#lines.next();
    clearTimeout(deadline);
    if (done) {
      await this.#ended;
      throw new Error(`A program under test has ended. It printed: ${this.printedErrors}`);
    }
    const answer = JSON.parse(line);
    if (answer?.error !== undefined) throw new Error(answer.error);
    return answer;
  }

  async ask<T>(line: string): Promise<T> {
    this.#child.stdin.write(`${line}\n`);
    return await this.answer();
  }

  /** Ends it: at first it is asked to, by the end of its input. */
  async stop(): Promise<void> {
    const deadline = setTimeout(() => this.#child.kill("SIGKILL"), STOP_DEADLINE_MS);
    this.#child.stdin.end();
    await this.#ended;
    clearTimeout(deadline);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }
}

/** Starts a client of this folder in a process of its own, on Deno. */
export function startClient(file: string, ...args: readonly (string | number)[]): ChildProgram {
  const path = decodeURIComponent(new URL(`clients/${file}`, import.meta.url).pathname);
  return new ChildProgram(
    [Deno.execPath(), "run", "--quiet", "-A", "--no-check", "--no-lock", path, ...args.map(String)],
  );
}

export class ServerProcess extends ChildProgram {
  port = 0;
  readonly #seenNanoseconds = new Map<string, number>();
  #endedNanoseconds = 0;

  /**
   * Starts a file of the folder `servers` and waits until it listens.
   *
   * @param parts What it is told in its environment, where its threads see it, beside the defaults.
   * @throws {Error} It did not listen in time, with what it printed instead.
   */
  static launch(
    { command, folder, trivet }: BenchRuntime,
    parts: Partial<ServerLaunch> = {},
    file = "server.ts",
  ): Promise<ServerProcess> {
    // That all threads are busy is what is measured.
    const silent = parts.asModule ? ["onWarning"] as const : [];
    return ServerProcess.#started([...command, `${folder}/bench/servers/${file}`], { trivet, silent, ...parts });
  }

  /** Starts a program that listens at the port it is told in its arguments, and waits until it does. */
  static launchForeign(argv: readonly string[], port: number, copies = 1, launch = {}): Promise<ServerProcess> {
    return ServerProcess.#started(["bash", "-c", FOREIGN, "bash", `${port}`, `${copies}`, ...argv], launch);
  }

  static async #started(argv: readonly string[], launch: Partial<ServerLaunch>): Promise<ServerProcess> {
    const server = new ServerProcess(argv, { BENCH_LAUNCH: JSON.stringify(launch) });
    const { port } = await server.answer<{ port: number }>().catch(async (error) => {
      await server.stop();
      throw error;
    });
    return Object.assign(server, { port });
  }

  /**
   * The time that its threads, and those of processes it has started, have had on a processor, to the nanosecond, from
   * `schedstat`, and what of it was spent in the system, to the nearest 10 ms. What a thread had that has ended counts
   * as far as it was seen, so that the time never runs backwards.
   */
  cpuTime(): { seconds: number; systemSeconds: number } {
    let ticks = 0;
    for (const pid of familyOf(this.pid)) {
      // The second field is the name of the program in parentheses, which may hold spaces; stime is the 15th.
      ticks += Number(textOf(`${pid}/stat`).replace(/^.*\) /s, "").split(" ").at(12) ?? 0);
      for (const task of tasksOf(pid)) {
        const nanoseconds = Number(textOf(`${pid}/task/${task}/schedstat`).split(" ", 1)[0]);
        const before = this.#seenNanoseconds.get(task) ?? 0;
        // Another thread has got its number.
        if (nanoseconds < before) this.#endedNanoseconds += before;
        this.#seenNanoseconds.set(task, nanoseconds);
      }
    }
    const nanoseconds = this.#seenNanoseconds.values().reduce((sum, each) => sum + each, this.#endedNanoseconds);
    return { seconds: nanoseconds / 1e9, systemSeconds: ticks / TICKS_PER_SECOND };
  }

  /**
   * Its memory, and that of processes it has started: resident now, and the most since the start or since the peak was
   * last forgotten. No number where it has ended; one that it has started may have ended, and has none.
   */
  memory(): { residentBytes: number; peakBytes: number } {
    const bytesOf = (name: string) =>
      familyOf(this.pid).reduce((sum, each) => {
        const found = new RegExp(`^${name}:\\s+(\\d+) kB$`, "m").exec(textOf(`${each}/status`))?.[1];
        return sum + 1024 * Number(found ?? (each === this.pid ? NaN : 0));
      }, 0);
    return { residentBytes: bytesOf("VmRSS"), peakBytes: bytesOf("VmHWM") };
  }

  /**
   * The names of its threads, and what its descriptors are of; of one that ends meanwhile it is not known. Of Deno's pool
   * threads are left for seconds, and the busier the machine is, the more.
   */
  threadsAndDescriptors(): { threads: string[]; descriptors: string[] } {
    const folder = `/proc/${this.pid}/fd`;
    return {
      threads: tasksOf(this.pid).map((task) => textOf(`${this.pid}/task/${task}/comm`).trim())
        .filter((name) => name !== "tokio-runtime-w"),
      descriptors: attempt(() => readdirSync(folder), []).map((each) =>
        attempt(() => readlinkSync(`${folder}/${each}`), "")
      ),
    };
  }

  /** Begins to look for the peak of memory anew. */
  forgetPeak(): void {
    Deno.writeTextFileSync(`/proc/${this.pid}/clear_refs`, "5");
  }

  /** Makes the server collect garbage, and waits until it has. */
  collectGarbage(): Promise<unknown> {
    return this.ask("collect");
  }

  /** What Trivet counts itself. */
  stats(): Promise<{ readonly stats: ServerStats }> {
    return this.ask("stats");
  }
}

export function cpuSecondsOfMachine(): number {
  // user, nice, system, idle, iowait, irq, softirq; what a hypervisor took for itself is of no process.
  const [, user, nice, system, , , irq, softirq] = textOf("stat").split(/\s+/, 8).map(Number);
  return (user + nice + system + irq + softirq) / TICKS_PER_SECOND;
}

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
