/**
 * The process as Bun and Node show it, in the form of the contract. Translation only.
 *
 * @module
 */

import type { Host } from "../src/runtime.ts";
import { toFileUrl } from "./file_urls.ts";
import { runWatched } from "./watching.ts";
import { Output, Outputs, type OutputWriter } from "./output.ts";

type Stream = typeof process.stdout | typeof process.stderr;

/** The standard outputs, which all runtimes that are made in this thread share. */
const output = new Output(createWriter(1, () => process.stdout));
const errors = new Output(createWriter(2, () => process.stderr));

/** Enough for Node to read one file on a busy machine. */
const CHECK_TIMEOUT_MS = 5_000;

/** Nothing is to be done then: a timer keeps the process alive. */
const LONG_MS = 2 ** 31 - 1;

/** The host of a runtime that has Node's `process`. */
export class ProcessHost extends Outputs implements Host {
  readonly args: readonly string[];
  readonly #mainPath: string | undefined;

  /**
   * @param args The arguments behind the program's own name.
   * @param mainPath The path of the module that was started.
   */
  constructor(args: readonly string[], mainPath: string | undefined) {
    super(output, errors, (code) => void process.exit(code));
    this.args = args;
    this.#mainPath = mainPath;
  }

  get mainModule(): string | null {
    return this.#mainPath === undefined ? null : toFileUrl(realPath(this.#mainPath), process.platform);
  }

  /** Bun does not wait. */
  get isWatched(): boolean {
    return process.versions.bun === undefined && process.env.WATCH_REPORT_DEPENDENCIES !== undefined;
  }

  get workingFolder(): string {
    return `${toFileUrl(process.cwd(), process.platform)}/`;
  }

  get terminal(): Host["terminal"] {
    if (process.getBuiltinModule?.("node:tty").isatty(1) !== true) return null;
    const { NO_COLOR, TERM } = process.env;
    return { takesColour: (NO_COLOR ?? "") === "" && TERM !== "dumb" };
  }

  get pid(): number {
    return process.pid;
  }

  environment(name: string): string | null {
    return process.env[name] ?? null;
  }

  async checkSyntax(url: string): Promise<string | null> {
    if (process.versions.bun !== undefined) return null;
    const [{ execFile }, { fileURLToPath }] = await Promise.all([import("node:child_process"), import("node:url")]);
    return await new Promise((resolve) => {
      execFile(
        process.execPath,
        ["--check", fileURLToPath(url)],
        { timeout: CHECK_TIMEOUT_MS },
        (error, _out, printed) => {
          resolve(error === null || printed === "" ? null : printed);
        },
      );
    });
  }

  /** `bun --watch` is the program itself: what ends it ends the watching. */
  override exitOrAwaitChange(code: number): void {
    const isWatched = process.versions.bun !== undefined && process.execArgv.includes("--watch");
    if (isWatched) setInterval(() => {}, LONG_MS);
    else super.exitOrAwaitChange(code);
  }

  runWatched(args: readonly string[]): Promise<number> {
    return runWatched(["--watch"], this.#mainPath ?? "", args);
  }

  onStopSignal(callback: (signal: "SIGINT" | "SIGTERM") => void): () => void {
    process.on("SIGINT", callback).on("SIGTERM", callback);
    return () => void process.off("SIGINT", callback).off("SIGTERM", callback);
  }
}

/**
 * A file is written to at once, because the runtimes' streams never write again once a disk was full. Everything else
 * goes through these streams: they do not wait for a pipe that is full, but need a listener for errors.
 */
function createWriter(descriptor: 1 | 2, getStream: () => Stream): OutputWriter {
  let writeToFile: ((text: string) => void) | null | undefined;
  let stream: Stream | undefined;
  return (text, onDone) => {
    try {
      if (writeToFile === undefined) writeToFile = createFileWriter(descriptor);
      if (writeToFile === null) {
        stream ??= getStream().on("error", () => {});
        stream.write(text, (error) => onDone(!error));
        return;
      }
      writeToFile(text);
    } catch {
      onDone(false);
      return;
    }
    onDone(true);
  };
}

/** Writes to a file, or to a device that is no terminal; `null` where the descriptor is something else. */
function createFileWriter(descriptor: number): ((text: string) => void) | null {
  const fs = process.getBuiltinModule?.("node:fs");
  if (fs === undefined) return null;
  const kind = fs.fstatSync(descriptor);
  const isDevice = kind.isCharacterDevice() && !process.getBuiltinModule("node:tty").isatty(descriptor);
  if (!kind.isFile() && !isDevice) return null;
  return (text) => {
    const bytes = new TextEncoder().encode(text);
    for (let at = 0; at < bytes.byteLength;) at += fs.writeSync(descriptor, bytes, at);
  };
}

/** A program that npm has installed is started through a link, and its modules are beside what that leads to. */
function realPath(path: string): string {
  try {
    return process.getBuiltinModule("node:fs").realpathSync(path);
  } catch {
    // Node before 20.16 does not give modules this way, and a main module may be no file.
    return path;
  }
}
