/**
 * A server under test, in a process of its own, and what the system says of it.
 *
 * @module
 */

import { ChildProgram } from "./child_program.ts";
import { type BenchRuntime, CONTENDERS } from "./contenders.ts";
import { type CpuTime, cpuTimeOf, memoryOf, type ProcessMemory } from "./process_figures.ts";
import type { ContenderName } from "./scenarios.ts";
import type { LaunchOptions } from "./servers/launch.ts";

/** Far longer than any server takes to start. */
const START_DEADLINE_MS = 15_000;
const COLLECTION_DEADLINE_MS = 10_000;
/** A loop that is kept busy answers late. */
const STATS_DEADLINE_MS = 15_000;

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
    const { files, responses, isBefore } = CONTENDERS[contender];
    const file = files[runtime.name];
    if (file === undefined) throw new Error(`${runtime.title} has no server "${contender}".`);
    const trivet = isBefore ? runtime.trivetBefore ?? "" : runtime.trivet;
    const launch: LaunchOptions = { ...options, responses, trivet };
    return await ServerProcess.launch(runtime, file, launch);
  }

  /**
   * Starts a file of the folder `servers` and waits until it listens.
   *
   * @param launch What it is told, in JSON as its only argument.
   * @throws {Error} It did not listen in time, with what it printed instead.
   */
  static async launch(runtime: BenchRuntime, file: string, launch: object): Promise<ServerProcess> {
    const path = decodeURIComponent(new URL(`servers/${file}`, import.meta.url).pathname);
    const program = new ChildProgram([...runtime.command, path, JSON.stringify(launch)]);
    try {
      const { port } = await program.answer<{ port: number }>(START_DEADLINE_MS);
      return new ServerProcess(program, port);
    } catch (error) {
      await program.stop();
      throw error;
    }
  }

  /** The process. */
  get pid(): number {
    return this.#program.pid;
  }

  /** The beginning of what it printed as errors. */
  get printedErrors(): string {
    return this.#program.printedErrors;
  }

  /** The time all threads have had on a processor. */
  cpuTime(): CpuTime {
    return cpuTimeOf(this.pid);
  }

  /** The memory now. */
  memory(): ProcessMemory {
    return memoryOf(this.pid);
  }

  /** Begins to look for the peak of memory anew. */
  forgetPeak(): void {
    Deno.writeTextFileSync(`/proc/${this.#program.pid}/clear_refs`, "5");
  }

  /** Makes the server collect garbage, and waits until it has. */
  async collectGarbage(): Promise<void> {
    await this.#program.ask("collect", COLLECTION_DEADLINE_MS);
  }

  /** What the server counts itself, as it is; `null` from one that counts nothing. */
  async stats(): Promise<unknown> {
    return await this.#program.ask("stats", STATS_DEADLINE_MS);
  }

  /** Ends the server. */
  async stop(): Promise<void> {
    await this.#program.stop();
  }
}
