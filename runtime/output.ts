/**
 * Lines on their way to standard output, standard error or a log file.
 *
 * It decides how many may wait for an output that is slow, and that a line which can't be written is dropped and
 * counted. It must not know what the output is: a terminal, a file, a pipe, or closed.
 *
 * @module
 */

import type { LineSink } from "../src/runtime.ts";
import { openLogFile } from "./log_file.ts";

/** Characters of lines that wait while others are being written; further lines are dropped. */
const MAX_WAITING_CHARS = 64 * 1024;
/** A log has more to say at once, and a disk has moments in which it takes nothing. */
const MAX_WAITING_LOG_CHARS = 1024 * 1024;
/** How long the end of the process waits for lines to leave. */
const LAST_LINES_MS = 100;

/** Writes text without waiting for it, and calls back once, now or later. It never throws. */
export type OutputWriter = (text: string, onDone: (isWritten: boolean) => void) => void;

/** One output of the process. */
export class Output implements LineSink {
  /** Lines that were not written: there were too many, or the output failed. */
  droppedLines = 0;
  readonly #write: OutputWriter;
  readonly #maxWaitingChars: number;
  #waiting = "";
  #waitingLines = 0;
  /** How many lines are being written; 0 while nothing is. */
  #writtenLines = 0;
  #onIdle: (() => void)[] = [];

  /** @param write Writes to the output. */
  constructor(write: OutputWriter, maxWaitingChars = MAX_WAITING_CHARS) {
    this.#write = write;
    this.#maxWaitingChars = maxWaitingChars;
  }

  write(text: string, lineCount: number): void {
    if (this.#waitingLines > 0 && this.#waiting.length + text.length > this.#maxWaitingChars) {
      this.droppedLines += lineCount;
      return;
    }
    this.#waiting += text;
    this.#waitingLines += lineCount;
    if (this.#writtenLines === 0) this.#writeWaiting();
  }

  flushed(): Promise<void> {
    if (this.#writtenLines === 0) return Promise.resolve();
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, LAST_LINES_MS);
      this.#onIdle.push(() => {
        clearTimeout(timer);
        resolve();
      });
    });
  }

  #writeWaiting(): void {
    const text = this.#waiting;
    this.#writtenLines = this.#waitingLines;
    this.#waiting = "";
    this.#waitingLines = 0;
    this.#write(text, (isWritten) => this.#finish(isWritten));
  }

  #finish(isWritten: boolean): void {
    if (!isWritten) this.droppedLines += this.#writtenLines;
    this.#writtenLines = 0;
    if (this.#waitingLines > 0) {
      this.#writeWaiting();
      return;
    }
    const onIdle = this.#onIdle;
    this.#onIdle = [];
    for (const callback of onIdle) callback();
  }
}

/** The part of a host that prints: the same on every runtime. */
export class Outputs {
  readonly output: Output;
  readonly #errors: Output;
  readonly #logs: Output[] = [];
  readonly #exit: (code: number) => void;

  /**
   * @param output Standard output.
   * @param errors Standard error.
   * @param exit Ends the process now.
   */
  constructor(output: Output, errors: Output, exit: (code: number) => void) {
    this.output = output;
    this.#errors = errors;
    this.#exit = exit;
  }

  get droppedLines(): number {
    return this.#all.reduce((sum, { droppedLines }) => sum + droppedLines, 0);
  }

  print(line: string): void {
    this.output.write(`${line}\n`, 1);
  }

  printError(line: string): void {
    this.#errors.write(`${line}\n`, 1);
  }

  async openLog(path: string): Promise<LineSink> {
    const log = new Output(await openLogFile(path), MAX_WAITING_LOG_CHARS);
    this.#logs.push(log);
    return log;
  }

  exit(code: number): void {
    Promise.all(this.#all.map((output) => output.flushed())).then(() => this.#exit(code));
  }

  exitOrAwaitChange(code: number): void {
    this.exit(code);
  }

  get #all(): Output[] {
    return [this.output, this.#errors, ...this.#logs];
  }
}
