/**
 * Lines on their way to standard output or standard error.
 *
 * It decides how many may wait for an output that is slow, and that a line which can't be written is dropped and counted.
 * It must not know what the output is: a terminal, a file, a pipe, or closed.
 *
 * @module
 */

/** Characters of lines that wait while others are being written; further lines are dropped. */
const MAX_WAITING_CHARS = 64 * 1024;
/** How long the end of the process waits for lines to leave. */
const LAST_LINES_MS = 100;

/** Writes text without waiting for it, and calls back once, now or later. It never throws. */
export type OutputWriter = (text: string, onDone: (isWritten: boolean) => void) => void;

/** One output of the process. */
export class Output {
  /** Lines that were not written: there were too many, or the output failed. */
  droppedLines = 0;
  readonly #write: OutputWriter;
  #waiting = "";
  #waitingLines = 0;
  /** How many lines are being written; 0 while nothing is. */
  #writtenLines = 0;
  #onIdle: (() => void) | null = null;

  /** @param write Writes to the output. */
  constructor(write: OutputWriter) {
    this.#write = write;
  }

  /** Writes a line as soon as the output takes it. */
  print(line: string): void {
    if (this.#waitingLines > 0 && this.#waiting.length + line.length >= MAX_WAITING_CHARS) {
      this.droppedLines++;
      return;
    }
    this.#waiting += `${line}\n`;
    this.#waitingLines++;
    if (this.#writtenLines === 0) this.#writeWaiting();
  }

  /** Calls back when nothing waits, or soon. */
  whenIdle(callback: () => void): void {
    if (this.#writtenLines === 0) {
      callback();
      return;
    }
    const timer = setTimeout(callback, LAST_LINES_MS);
    this.#onIdle = () => {
      clearTimeout(timer);
      callback();
    };
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
    if (this.#waitingLines > 0) this.#writeWaiting();
    else this.#onIdle?.();
  }
}

/** The part of a host that prints: the same on every runtime. */
export class Outputs {
  readonly #output: Output;
  readonly #errors: Output;
  readonly #exit: (code: number) => void;

  /**
   * @param output Standard output.
   * @param errors Standard error.
   * @param exit Ends the process now.
   */
  constructor(output: Output, errors: Output, exit: (code: number) => void) {
    this.#output = output;
    this.#errors = errors;
    this.#exit = exit;
  }

  get droppedLines(): number {
    return this.#output.droppedLines + this.#errors.droppedLines;
  }

  print(line: string): void {
    this.#output.print(line);
  }

  printError(line: string): void {
    this.#errors.print(line);
  }

  exit(code: number): void {
    this.#output.whenIdle(() => this.#errors.whenIdle(() => this.#exit(code)));
  }
}
