/**
 * What is shown while tests run: failures as they come, and on a terminal how far each runtime is.
 *
 * It counts what runners print, groups of tests too; what counts in the end is read from their reports.
 *
 * @module
 */

import type { TestRuntime } from "./test_runtimes.ts";

/** A line is written anew at most this often. */
const INTERVAL_MS = 200;
const CLEAR_LINE = "\r\x1b[2K";

/** How far one runtime is. */
interface Share {
  readonly fileCount: number;
  files: number;
  passed: number;
  failed: number;
}

/** Shows how far the runtimes of one call are. */
export class TestProgress {
  readonly #isTerminal = Deno.stdout.isTerminal();
  readonly #shares = new Map<string, Share>();
  readonly #beganMs = performance.now();
  #shownMs = 0;

  /** A process of a runtime begins, which tests so many files in all. Gives what takes the output of that process. */
  begin({ name, lines }: TestRuntime, fileCount: number): (text: string) => void {
    const share = this.#shares.get(name) ?? { fileCount, files: 0, passed: 0, failed: 0 };
    this.#shares.set(name, share);
    let rest = "";
    return (text) => {
      const complete = (rest + text).split("\n");
      rest = complete.pop()!;
      for (const line of complete) {
        if (lines.file.test(line)) share.files++;
        else if (lines.passed.test(line)) share.passed++;
        else if (lines.failed.test(line)) {
          share.failed++;
          this.print(`failed  ${name}: ${line.trim()}`);
        }
      }
      this.#show();
    };
  }

  /** A runtime has ended. */
  end({ name }: TestRuntime): void {
    this.#shares.delete(name);
    this.#shownMs = 0;
    this.#show();
  }

  /** Prints a line above the one that shows how far the runtimes are. */
  print(line: string): void {
    console.log(this.#isTerminal ? `${CLEAR_LINE}${line}` : line);
    this.#shownMs = 0;
  }

  #show(): void {
    const nowMs = performance.now();
    if (!this.#isTerminal || nowMs - this.#shownMs < INTERVAL_MS) return;
    this.#shownMs = nowMs;
    const shares = [...this.#shares].map(([name, { fileCount, files, passed, failed }]) =>
      `${name} ${Math.min(files, fileCount)}/${fileCount} files, ${passed} passed` +
      (failed > 0 ? `, ${failed} failed` : "")
    );
    if (shares.length > 0) shares.push(`${Math.round((nowMs - this.#beganMs) / 1000)} s`);
    const { columns } = Deno.consoleSize();
    Deno.stdout.writeSync(new TextEncoder().encode(CLEAR_LINE + shares.join("  |  ").slice(0, columns - 1)));
  }
}
