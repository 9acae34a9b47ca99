/**
 * A server under test, in a process of its own, and what the system says of it.
 *
 * @module
 */

import type { BenchRuntime } from "./contenders.ts";
import type { LaunchOptions } from "./servers/launch.ts";

/** The memory of a process. */
export interface ProcessMemory {
  /** Resident now. */
  readonly residentBytes: number;
  /** The most that was resident since the peak was last forgotten. */
  readonly peakBytes: number;
}

/** Far longer than any server takes to start. */
const START_DEADLINE_MS = 15_000;
const STOP_DEADLINE_MS = 2_000;
/** The unit of times in /proc, which Linux fixes for programs at 100 in a second (USER_HZ). */
const TICKS_PER_SECOND = 100;

/** Raises the number of files a program may have open to what it is allowed to, and becomes the program. */
export const WITH_MANY_FILES: readonly string[] = ["bash", "-c", 'ulimit -n "$(ulimit -Hn)"; exec "$@"', "bash"];

/** A running server. */
export class ServerProcess {
  /** Where it listens. */
  readonly port: number;
  readonly #child: Deno.ChildProcess;
  readonly #input: WritableStreamDefaultWriter<Uint8Array>;
  readonly #lines: ReadableStreamDefaultReader<string>;

  private constructor(
    child: Deno.ChildProcess,
    lines: ReadableStreamDefaultReader<string>,
    port: number,
  ) {
    this.#child = child;
    this.#input = child.stdin.getWriter();
    this.#lines = lines;
    this.port = port;
  }

  /**
   * Starts a server and waits until it listens.
   *
   * @param runtime What runs it.
   * @param file Its file, in the folder of the servers.
   * @param options What it serves.
   * @throws {Error} It did not listen in time, with what it printed instead.
   */
  static async start(runtime: BenchRuntime, file: string, options: LaunchOptions): Promise<ServerProcess> {
    const path = decodeURIComponent(new URL(`servers/${file}`, import.meta.url).pathname);
    const [shell, ...args] = [...WITH_MANY_FILES, ...runtime.command, path, JSON.stringify(options)];
    const child = new Deno.Command(shell, { args, stdin: "piped", stdout: "piped", stderr: "inherit" }).spawn();
    const lines = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
    const deadline = setTimeout(() => child.kill("SIGKILL"), START_DEADLINE_MS);
    const { value } = await lines.read();
    clearTimeout(deadline);
    const port = Number(/^\{"port":(\d+)\}\n$/.exec(value ?? "")?.[1]);
    if (port > 0) return new ServerProcess(child, lines, port);
    child.kill("SIGKILL");
    throw new Error(`${file} on ${runtime.title} did not start. It printed: ${value ?? "nothing"}`);
  }

  /** The time all threads have had on a processor, for themselves and in the system. */
  cpuSeconds(): number {
    const stat = Deno.readTextFileSync(`/proc/${this.#child.pid}/stat`);
    // The second field is the name of the program in parentheses, which may hold spaces; utime is the 14th.
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
  }

  /** The memory now. */
  memory(): ProcessMemory {
    const status = Deno.readTextFileSync(`/proc/${this.#child.pid}/status`);
    const bytesOf = (name: string) => 1024 * Number(new RegExp(`^${name}:\\s+(\\d+) kB$`, "m").exec(status)?.[1]);
    return { residentBytes: bytesOf("VmRSS"), peakBytes: bytesOf("VmHWM") };
  }

  /** Begins to look for the peak of memory anew. */
  forgetPeak(): void {
    Deno.writeTextFileSync(`/proc/${this.#child.pid}/clear_refs`, "5");
  }

  /** Makes the server collect garbage, and waits until it has. */
  async collectGarbage(): Promise<void> {
    await this.#input.write(new TextEncoder().encode("collect\n"));
    await this.#lines.read();
  }

  /** Ends the server: at first it is asked to, by the end of its input. */
  async stop(): Promise<void> {
    const deadline = setTimeout(() => this.#child.kill("SIGKILL"), STOP_DEADLINE_MS);
    await this.#input.close().catch(() => undefined);
    await this.#child.status;
    clearTimeout(deadline);
    await this.#lines.cancel();
  }
}
