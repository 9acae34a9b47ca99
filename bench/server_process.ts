/**
 * A server under test, in a process of its own, and what the system says of it.
 *
 * @module
 */

import { ChildProgram } from "./child_program.ts";
import { type BenchRuntime, CONTENDERS } from "./contenders.ts";
import type { ContenderName } from "./scenarios.ts";
import type { LaunchOptions } from "./servers/launch.ts";

/** The memory of a process. */
export interface ProcessMemory {
  /** Resident now. */
  readonly residentBytes: number;
  /** The most that was resident since the start, or since the peak was last forgotten. */
  readonly peakBytes: number;
}

/** Far longer than any server takes to start. */
const START_DEADLINE_MS = 15_000;
const COLLECTION_DEADLINE_MS = 10_000;
/** The unit of times in /proc, which Linux fixes for programs at 100 in a second (USER_HZ). */
const TICKS_PER_SECOND = 100;

/** A running server. */
export class ServerProcess {
  /** Where it listens. */
  readonly port: number;
  readonly #program: ChildProgram;

  private constructor(program: ChildProgram, port: number) {
    this.#program = program;
    this.port = port;
  }

  /**
   * Starts a server and waits until it listens.
   *
   * @param runtime What runs it.
   * @param contender Which server.
   * @param options What it serves.
   * @throws {Error} It did not listen in time, with what it printed instead.
   */
  static async start(
    runtime: BenchRuntime,
    contender: ContenderName,
    options: Omit<LaunchOptions, "responses" | "trivet">,
  ): Promise<ServerProcess> {
    const { files, responses } = CONTENDERS[contender];
    const file = files[runtime.name];
    if (file === undefined) throw new Error(`${runtime.title} has no server "${contender}".`);
    const path = decodeURIComponent(new URL(`servers/${file}`, import.meta.url).pathname);
    const launch: LaunchOptions = { ...options, responses, trivet: runtime.trivet };
    const program = new ChildProgram([...runtime.command, path, JSON.stringify(launch)]);
    const { port } = await program.answer<{ port: number }>(START_DEADLINE_MS);
    return new ServerProcess(program, port);
  }

  /** The beginning of what it printed as errors. */
  get printedErrors(): string {
    return this.#program.printedErrors;
  }

  /** The time all threads have had on a processor, for themselves and in the system. */
  cpuSeconds(): number {
    const stat = Deno.readTextFileSync(`/proc/${this.#program.pid}/stat`);
    // The second field is the name of the program in parentheses, which may hold spaces; utime is the 14th.
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
  }

  /** The memory now. */
  memory(): ProcessMemory {
    const status = Deno.readTextFileSync(`/proc/${this.#program.pid}/status`);
    const bytesOf = (name: string) => 1024 * Number(new RegExp(`^${name}:\\s+(\\d+) kB$`, "m").exec(status)?.[1]);
    return { residentBytes: bytesOf("VmRSS"), peakBytes: bytesOf("VmHWM") };
  }

  /** Begins to look for the peak of memory anew. */
  forgetPeak(): void {
    Deno.writeTextFileSync(`/proc/${this.#program.pid}/clear_refs`, "5");
  }

  /** Makes the server collect garbage, and waits until it has. */
  async collectGarbage(): Promise<void> {
    await this.#program.ask("collect", COLLECTION_DEADLINE_MS);
  }

  /** Ends the server. */
  async stop(): Promise<void> {
    await this.#program.stop();
  }
}
