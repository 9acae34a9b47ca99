/**
 * What a stress program finds out: types only.
 *
 * @module
 */

import type { BenchRuntime } from "../contenders.ts";

/** How long and how often. */
export interface StressOptions {
  readonly rounds: number;
  readonly seconds: number;
  /** Whether a run only shows that the programs work. */
  readonly isQuick: boolean;
}

/** One case of one program on one runtime. */
export interface Trial {
  /** The case, such as a model with its numbers. */
  readonly title: string;
  /** What was counted and measured, in the order in which it is shown. */
  readonly figures: Readonly<Record<string, string | number>>;
  /** What must not be. */
  readonly violations: readonly string[];
  /** What explains the figures. */
  readonly notes: readonly string[];
  /** All there is to know, for the file of results. */
  readonly details: unknown;
}

/** A stress program. */
export interface StressProgram {
  /** The name by which `--only` selects it. */
  readonly name: string;
  readonly title: string;
  /** What is done and what must not be, for a reader of the results. */
  describe(options: StressOptions): string;
  /** The cases, each of which runs by itself. */
  readonly cases: readonly StressCase[];
  /** Whether a quick run may take place on all runtimes at the same time. */
  readonly sharesMachine?: boolean;
}

/** A case of a program. */
export interface StressCase {
  readonly title: string;
  run(runtime: BenchRuntime, options: StressOptions, say: (line: string) => void): Promise<Trial>;
}
