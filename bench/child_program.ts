/**
 * A program in a process of its own that is spoken to in lines: it ends when its standard input does.
 *
 * @module
 */

const STOP_DEADLINE_MS = 2_000;
/** Enough for the first error with its stack. */
const MAX_PRINTED_CHARS = 1_000;
/** Raises the number of files a program may have open to what it is allowed to, and becomes the program. */
export const WITH_MANY_FILES: readonly string[] = ["bash", "-c", 'ulimit -n "$(ulimit -Hn)"; exec "$@"', "bash"];

/** A running program. */
export class ChildProgram {
  /** The beginning of what it printed as errors. */
  printedErrors = "";
  readonly #child: Deno.ChildProcess;
  readonly #input: WritableStreamDefaultWriter<Uint8Array>;
  readonly #output: ReadableStreamDefaultReader<string>;
  readonly #errorsRead: Promise<void>;
  #received = "";

  /** Starts it. */
  constructor(argv: readonly string[], env: Readonly<Record<string, string>> = {}) {
    const [shell, ...args] = [...WITH_MANY_FILES, ...argv];
    this.#child = new Deno.Command(shell, { args, env, stdin: "piped", stdout: "piped", stderr: "piped" }).spawn();
    this.#input = this.#child.stdin.getWriter();
    this.#output = this.#child.stdout.pipeThrough(new TextDecoderStream()).getReader();
    this.#errorsRead = this.#collectErrors();
  }

  /** The process. */
  get pid(): number {
    return this.#child.pid;
  }

  /**
   * Waits for its next line, which is JSON.
   *
   * @throws {Error} None comes in time; the program is ended then.
   */
  async answer<T>(deadlineMs: number): Promise<T> {
    const deadline = setTimeout(() => this.#kill(), deadlineMs);
    try {
      while (!this.#received.includes("\n")) {
        const { value } = await this.#output.read();
        if (value === undefined) {
          await this.#errorsRead;
          throw new Error(`A program under test has ended. It printed: ${this.#received}${this.printedErrors}`);
        }
        this.#received += value;
      }
    } finally {
      clearTimeout(deadline);
    }
    const [line, rest] = this.#received.split(/\n(.*)/s);
    this.#received = rest;
    return JSON.parse(line);
  }

  /** Sends it a line and waits for its answer. */
  async ask<T>(line: string, deadlineMs: number): Promise<T> {
    await this.#input.write(new TextEncoder().encode(`${line}\n`));
    return await this.answer(deadlineMs);
  }

  /** Ends it: at first it is asked to, by the end of its input. */
  async stop(): Promise<void> {
    const deadline = setTimeout(() => this.#kill(), STOP_DEADLINE_MS);
    await this.#input.close().catch(() => undefined);
    await this.#child.status;
    clearTimeout(deadline);
    await this.#output.cancel();
    await this.#errorsRead;
  }

  #kill(): void {
    try {
      this.#child.kill("SIGKILL");
    } catch {
      // It has ended already.
    }
  }

  async #collectErrors(): Promise<void> {
    for await (const text of this.#child.stderr.pipeThrough(new TextDecoderStream())) {
      this.printedErrors = (this.printedErrors + text).slice(0, MAX_PRINTED_CHARS);
    }
  }
}

/** Starts a client of this folder in a process of its own, on Deno. */
export function startClient(file: string, ...args: readonly string[]): ChildProgram {
  const path = decodeURIComponent(new URL(file, import.meta.url).pathname);
  return new ChildProgram([Deno.execPath(), "run", "--quiet", "-A", "--no-check", "--no-lock", path, ...args]);
}
