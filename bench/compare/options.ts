/**
 * What the command line of the lab asks for.
 *
 * @module
 */

import { positiveInteger, select, UsageError } from "../command_line.ts";
import { RUNTIME_NAMES, type RuntimeName } from "../contenders.ts";
import { ATTACK } from "./attack_experiment.ts";
import { CPU } from "./cpu_experiment.ts";
import type { Experiment } from "./experiment.ts";
import { LATENCY } from "./latency_experiment.ts";
import { OVERLOAD } from "./overload_experiment.ts";

/** What is asked for. */
export interface CompareOptions {
  readonly isQuick: boolean;
  /** Whether it waits while others use the machine, and repeats what they have disturbed. */
  readonly isPatient: boolean;
  readonly runtimes: readonly RuntimeName[];
  /** The program of the one runtime, when it is not the one that is found by itself. */
  readonly program: string | null;
  readonly experiments: readonly Experiment[];
  /** Names of contestants. */
  readonly models: readonly string[];
  readonly repetitions: number;
  /** Of the files of results; `null` to write none. */
  readonly name: string | null;
}

/** Every experiment, in the order in which they are made. */
export const EXPERIMENTS: readonly Experiment[] = [LATENCY, CPU, ATTACK, OVERLOAD];

const DEFAULT_NAME = "compare";
const MODELS = [...new Set(EXPERIMENTS.flatMap(({ contestants }) => contestants.map(({ name }) => name)))];

/**
 * Reads the command line.
 *
 * @throws {UsageError} It asks for what there is not.
 */
export function readOptions(args: readonly string[]): CompareOptions {
  let isQuick = false;
  let isPatient = false;
  let runtimes: readonly RuntimeName[] = ["deno"];
  let program: string | null = null;
  let experiments = EXPERIMENTS;
  let models = MODELS;
  let repetitions = 1;
  let name: string | null = null;
  for (let index = 0; index < args.length; index++) {
    const [option, attached] = args[index].split(/=(.*)/s);
    if (option === "--quick") isQuick = true;
    else if (option === "--patient") isPatient = true;
    else if (option === "--all") runtimes = RUNTIME_NAMES;
    else {
      const value = attached ?? args[++index] ?? "";
      if (option === "--runtime") runtimes = select("runtime", RUNTIME_NAMES, value, (each) => each);
      else if (option === "--program") program = value;
      else if (option === "--experiment") experiments = select("experiment", EXPERIMENTS, value, (each) => each.name);
      else if (option === "--model") models = select("model", MODELS, value, (each) => each);
      else if (option === "--rounds") repetitions = positiveInteger(option, value);
      else if (option === "--name" && /^[\w-]+$/.test(value)) name = value;
      else {throw new UsageError(
          `Unknown option or value: ${option} ${value}. The head of bench/compare.ts lists them.`,
        );}
    }
  }
  if (program !== null && runtimes.length !== 1) throw new UsageError("--program takes exactly one --runtime.");
  const isWhole = !isQuick && experiments.length === EXPERIMENTS.length && models.length === MODELS.length;
  const wholeName = runtimes.length === RUNTIME_NAMES.length ? DEFAULT_NAME : [DEFAULT_NAME, ...runtimes].join("_");
  name ??= isWhole ? wholeName : null;
  return { isQuick, isPatient, runtimes, program, experiments, models, repetitions, name };
}
