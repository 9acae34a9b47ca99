/**
 * A program that runs as a process of its own, on the runtime that runs the test.
 *
 * It knows nothing of what the program does. Every wait has a deadline, whose error shows what was printed until then.
 *
 * @module
 */

import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import process from "node:process";
import { fileURLToPath } from "node:url";

/** Long enough for a busy machine; a test that passes never waits for it. */
const DEADLINE_MS = 45_000;

/** How a program has ended. */
export interface Exit {
  /** What it ended with, or `null` when a signal ended it. */
  readonly code: number | null;
  /** The signal that ended it. */
  readonly signal: string | null;
  /** All lines of its standard output. */
  readonly output: readonly string[];
  /** All lines of its standard error. */
  readonly errors: readonly string[];
}

/** What the runtime wants before the path of a program. */
function runtimeArguments(flags: readonly string[]): readonly string[] {
  if ("Deno" in globalThis) return ["run", "--allow-all", "--no-check", "--quiet", ...flags];
  return "Bun" in globalThis ? [...flags, "run"] : ["--no-warnings", ...flags];
}

/** A running program. */
export class Program {
  /** Its end. */
  readonly ended: Promise<Exit>;
  readonly #child: ChildProcessWithoutNullStreams;
  readonly #isTerminal: boolean;
  #output = "";
  #errors = "";
  #onOutput: () => void = () => {};

  /**
   * Starts it.
   *
   * @param url The file: URL of the module to run.
   * @param args Its arguments.
   * @param place `descriptors`: how many it may have open, where that is not for the system to say; `isTerminal`: whether
   *   its output is a terminal, of which what it prints is passed on; `environment`: variables that are set for it;
   *   `flags`: what the runtime is told beside; `deadlineMs`: for all that it does.
   */
  constructor(
    url: URL,
    args: readonly string[],
    place: {
      descriptors?: number;
      isTerminal?: boolean;
      environment?: Readonly<Record<string, string | undefined>>;
      flags?: readonly string[];
      deadlineMs?: number;
    } = {},
  ) {
    const { descriptors, isTerminal = false, environment = {}, flags = [], deadlineMs = DEADLINE_MS } = place;
    this.#isTerminal = isTerminal;
    const command = [process.execPath, ...runtimeArguments(flags), fileURLToPath(url), ...args];
    const shell = ["sh", "-c", `ulimit -n ${descriptors}; exec "$0" "$@"`];
    const terminal = ["script", "-qefc", command.map((part) => `'${part}'`).join(" "), "/dev/null"];
    const [file, ...rest] = isTerminal ? terminal : descriptors === undefined ? command : [...shell, ...command];
    const ofTerminal = isTerminal ? { TERM: "xterm", NO_COLOR: "" } : {};
    // What the machine sets must not decide where a program listens.
    const env = { ...process.env, PORT: undefined, HOST: undefined, ...ofTerminal, ...environment };
    this.#child = spawn(file, rest, { stdio: "pipe", env });
    this.#child.stdout.setEncoding("utf8").on("data", (text: string) => {
      this.#output += text;
      this.#onOutput();
    });
    this.#child.stderr.setEncoding("utf8").on("data", (text: string) => void (this.#errors += text));
    this.ended = new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.signal("SIGKILL");
        reject(this.#failure(`The program did not end within ${deadlineMs} ms`));
      }, deadlineMs);
      this.#child.on("close", (code, signal) => {
        clearTimeout(timer);
        this.#onOutput();
        resolve({ code, signal, output: toLines(this.#output), errors: toLines(this.#errors) });
      });
    });
    // Who waits for a line is told there.
    this.ended.catch(() => {});
  }

  /**
   * Waits for a line of the standard output.
   *
   * @throws {Error} When the program ends or the deadline passes before.
   */
  line(pattern: RegExp): Promise<RegExpExecArray> {
    return new Promise((resolve, reject) => {
      const settle = (act: () => void): void => {
        clearTimeout(timer);
        this.#onOutput = () => {};
        act();
      };
      const fail = (): void => settle(() => reject(this.#failure(`No line like ${pattern} came`)));
      const timer = setTimeout(fail, DEADLINE_MS);
      this.#onOutput = () => {
        const found = toLines(this.#output).map((line) => pattern.exec(line)).find((match) => match !== null);
        if (found !== undefined && found !== null) settle(() => resolve(found));
      };
      this.#child.once("close", fail);
      this.#onOutput();
    });
  }

  /** Sends it a signal, at a terminal by the key for it. */
  signal(name: "SIGINT" | "SIGTERM" | "SIGKILL"): void {
    if (this.#isTerminal && name === "SIGINT") {
      this.#child.stdin.write("\x03");
      return;
    }
    // By its number: after kill() of the child itself Deno reports the signal as what ended it, whatever did.
    process.kill(this.#child.pid!, name);
  }

  #failure(what: string): Error {
    return new Error(
      `${what}. Its output: ${JSON.stringify(this.#output)}, its errors: ${JSON.stringify(this.#errors)}`,
    );
  }
}

/** The lines of a text, less the empty end behind the last one. */
function toLines(text: string): readonly string[] {
  return text === "" ? [] : text.replace(/\r?\n$/, "").split(/\r?\n/);
}
