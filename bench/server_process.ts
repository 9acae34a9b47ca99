/**
 * A server under test, in a process of its own, and what the system says of it.
 *
 * @module
 */

import { ChildProgram } from "./child_program.ts";
import { CpuClock, memoryOf } from "./process_figures.ts";
import type { BenchRuntime } from "./runtimes.ts";
import type { ServerLaunch } from "./servers/launch.ts";

/** Far longer than any server takes to start. */
const START_DEADLINE_MS = 60_000;
/** A loop that is kept busy answers late. */
const ASK_DEADLINE_MS = 15_000;

/**
 * Starts so many copies of a program that knows nothing of this folder, tells when its port can be connected to, and
 * ends them when its input ends.
 */
const FOREIGN = 'port=$1 copies=$2; shift 2; for ((i = 0; i < copies; i++)); do "$@" >&2 & done; ' +
  "until (exec 3<>/dev/tcp/127.0.0.1/$port) 2>/dev/null; do kill -0 $! || exit 1; sleep 0.02; done; " +
  `echo "{\\"port\\":$port}"; while read -r line; do echo null; done; kill $(jobs -p); wait`;

export class ServerProcess extends ChildProgram {
  /** Where it listens. */
  port = 0;
  readonly #clock: CpuClock = new CpuClock(this.pid);

  /**
   * Starts a file of the folder `servers` and waits until it listens.
   *
   * @param launch What it is told in its environment, where its threads see it.
   * @throws {Error} It did not listen in time, with what it printed instead.
   */
  static launch({ command, folder }: BenchRuntime, file: string, launch: object): Promise<ServerProcess> {
    return ServerProcess.#started([...command, `${folder}/bench/servers/${file}`], launch);
  }

  /** Starts Trivet with options, or what else is told, and a handler in a module that is found from `servers`. */
  static serve(
    runtime: BenchRuntime,
    { asModule = false, ...launch }: Pick<ServerLaunch, "module" | "options"> & Partial<ServerLaunch>,
  ): Promise<ServerProcess> {
    const counted = asModule ? ["onWarning"] : [];
    const all = { serves: "trivet", trivet: runtime.trivet, asModule, counted, ...launch };
    return ServerProcess.launch(runtime, "server.ts", all);
  }

  /** Starts a program that listens at the port it is told in its arguments, and waits until it does. */
  static launchForeign(argv: readonly string[], port: number, copies = 1, launch = {}): Promise<ServerProcess> {
    return ServerProcess.#started(["bash", "-c", FOREIGN, "bash", `${port}`, `${copies}`, ...argv], launch);
  }

  static async #started(argv: readonly string[], launch: object): Promise<ServerProcess> {
    const server = new ServerProcess(argv, { BENCH_LAUNCH: JSON.stringify(launch) });
    const { port } = await server.answer<{ port: number }>(START_DEADLINE_MS).catch(async (error) => {
      await server.stop();
      throw error;
    });
    return Object.assign(server, { port });
  }

  /** The time all threads have had on a processor. */
  cpuTime(): ReturnType<CpuClock["read"]> {
    return this.#clock.read();
  }

  memory(): ReturnType<typeof memoryOf> {
    return memoryOf(this.pid);
  }

  /** Begins to look for the peak of memory anew. */
  forgetPeak(): void {
    Deno.writeTextFileSync(`/proc/${this.pid}/clear_refs`, "5");
  }

  /** Makes the server collect garbage, and waits until it has. */
  collectGarbage(): Promise<unknown> {
    return this.ask("collect", ASK_DEADLINE_MS);
  }

  /** What the server counts itself, as it is; `null` from one that counts nothing. */
  stats<T>(): Promise<T> {
    return this.ask("stats", ASK_DEADLINE_MS);
  }
}
