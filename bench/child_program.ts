/**
 * A program in a process of its own that is spoken to in lines: it ends when its standard input does.
 *
 * @module
 */

import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { once } from "node:events";
import process from "node:process";
import { createInterface } from "node:readline";

const STOP_DEADLINE_MS = 2_000;
/** Enough for the first error with its stack. */
const MAX_PRINTED_CHARS = 1_000;
/** Raises the number of files a program may have open to what it is allowed to, and becomes the program. */
export const WITH_MANY_FILES: readonly string[] = ["bash", "-c", 'ulimit -n "$(ulimit -Hn)"; exec "$@"', "bash"];

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
  async answer<T>(deadlineMs: number): Promise<T> {
    const deadline = setTimeout(() => this.#child.kill("SIGKILL"), deadlineMs);
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

  async ask<T>(line: string, deadlineMs: number): Promise<T> {
    this.#child.stdin.write(`${line}\n`);
    return await this.answer(deadlineMs);
  }

  /** Ends it: at first it is asked to, by the end of its input. */
  async stop(): Promise<void> {
    const deadline = setTimeout(() => this.#child.kill("SIGKILL"), STOP_DEADLINE_MS);
    this.#child.stdin.end();
    await this.#ended;
    clearTimeout(deadline);
  }
}

/** Starts a client of this folder in a process of its own, on Deno. */
export function startClient(file: string, ...args: readonly string[]): ChildProgram {
  const path = decodeURIComponent(new URL(`clients/${file}`, import.meta.url).pathname);
  return new ChildProgram([Deno.execPath(), "run", "--quiet", "-A", "--no-check", "--no-lock", path, ...args]);
}

/** Uses a program once it has started, and ends it. */
export async function using<P extends { stop(): Promise<void> }, T>(
  starting: P | Promise<P>,
  use: (program: P) => Promise<T>,
): Promise<T> {
  const program = await starting;
  try {
    return await use(program);
  } finally {
    await program.stop();
  }
}
