/**
 * A program that serves until it is stopped, and says in a line where.
 *
 * It leads a process group, so that what it started in turn (as npx does) ends with it.
 *
 * @module
 */

/** Long enough for a busy machine; a test that passes never waits for it. */
const DEADLINE_MS = 20_000;
const LISTENING = /^Listening on (https?:\/\/\S+)/m;

/** A running program. */
export class ServingProgram {
  readonly #child: Deno.ChildProcess;
  readonly #ended: Promise<unknown>;
  #output = "";
  #onOutput: () => void = () => {};

  /** Starts it in a folder. */
  constructor(argv: readonly string[], cwd: string, env: Readonly<Record<string, string>> = {}) {
    const [command, ...args] = argv;
    this.#child = new Deno.Command(command, {
      args,
      cwd,
      env: { NO_COLOR: "1", ...env },
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
      detached: true,
    }).spawn();
    this.#ended = Promise.all([this.#read(this.#child.stdout), this.#read(this.#child.stderr)]);
  }

  /** What it has printed. */
  get output(): string {
    return this.#output;
  }

  /**
   * Waits until it listens.
   *
   * @returns The URL, with a slash at its end.
   * @throws {Error} It ends before, or says nothing of it in time.
   */
  async listening(): Promise<string> {
    const found = Promise.withResolvers<string>();
    this.#onOutput = () => {
      const match = LISTENING.exec(this.#output);
      if (match !== null) found.resolve(match[1]);
    };
    this.#onOutput();
    const fail = (): void => found.reject(new Error(`It did not say where it listens:\n${this.#output}`));
    const timer = setTimeout(fail, DEADLINE_MS);
    void this.#ended.then(fail);
    try {
      return await found.promise;
    } finally {
      clearTimeout(timer);
    }
  }

  /**
   * Asks it to stop.
   *
   * @param signal SIGINT, as a terminal sends it, closes idle connections too, which the client of a test may hold open;
   *   SIGTERM, as a supervisor sends it, leaves them.
   * @returns Its exit code; 137 if it had to be ended.
   */
  async stop(signal: "SIGTERM" | "SIGINT" = "SIGINT"): Promise<number> {
    this.#signal(signal);
    // What it started in turn may end later than itself, and holds its output open until then.
    const timer = setTimeout(() => this.#signal("SIGKILL"), DEADLINE_MS);
    const { code } = await this.#child.status;
    await this.#ended;
    clearTimeout(timer);
    return code;
  }

  #signal(signal: Deno.Signal): void {
    try {
      Deno.kill(-this.#child.pid, signal);
    } catch {
      // The group has ended already.
    }
  }

  async #read(stream: ReadableStream<Uint8Array>): Promise<void> {
    const decoder = new TextDecoder();
    for await (const bytes of stream) {
      this.#output += decoder.decode(bytes, { stream: true });
      this.#onOutput();
    }
  }
}

/** How a program has ended that served. */
export interface Served {
  /** Its exit code. */
  readonly code: number;
  /** What it printed. */
  readonly output: string;
}

/** Starts a program, lets a function use the server, and stops it with SIGTERM. */
export async function whileServing(
  argv: readonly string[],
  cwd: string,
  use: (url: string) => Promise<void>,
): Promise<Served> {
  const program = new ServingProgram(argv, cwd);
  let failure: Error | undefined;
  try {
    await use(await program.listening());
  } catch (error) {
    failure = error as Error;
  }
  const code = await program.stop();
  const { output } = program;
  if (failure === undefined) return { code, output };
  throw new Error(`${failure.message}\nThe program printed:\n${output}`, { cause: failure });
}
