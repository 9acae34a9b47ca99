/**
 * A process in which servers of the soak are started and stopped.
 *
 * @module
 */

import { ChildProgram } from "../child_program.ts";
import { countEach } from "../report.ts";
import type { BenchRuntime } from "../runtimes.ts";
import type { SoakLaunch } from "./soak_server.ts";

const DEADLINE_MS = 30_000;

/** The process. */
export class SoakProgram extends ChildProgram {
  /** Starts no server yet. */
  constructor({ command, folder, trivet }: BenchRuntime, launch: Omit<SoakLaunch, "trivet">, journal = "") {
    const env = { BENCH_LAUNCH: JSON.stringify({ trivet, ...launch }), SOAK_JOURNAL: journal };
    super([...command, `${folder}/bench/soak/soak_server.ts`], env);
  }

  /**
   * Tells it something, and gives its answer.
   *
   * @throws {Error} It has failed.
   */
  async tell<T>(command: "start" | "watched" | "drain" | "cut" | "waiting" | "measure" | "stats"): Promise<T> {
    const answer = await this.ask<T | { error: string }>(command, DEADLINE_MS);
    if (typeof answer === "object" && answer !== null && "error" in answer) throw new Error(answer.error);
    return answer as T;
  }
}

/** Each text once, with how often it came. */
export function timesEach(texts: readonly string[]): string[] {
  return [...countEach(texts)].map(([text, count]) => count === 1 ? text : `${count} times: ${text}`);
}
