/**
 * Trials: programs that show what must not happen, case by case, and fail when it does.
 *
 * @module
 */

import { amount, choice, runProgram, type Site, TEXT } from "./program.ts";
import { countEach, type Section } from "./report.ts";
import type { BenchRuntime } from "./runtimes.ts";

/** How long and how often. */
export interface TrialOptions {
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
  readonly notes?: readonly string[];
  /** All there is to know, for the file of figures. */
  readonly details?: unknown;
}

/** Each text once, with how often it came. */
export function timesEach(texts: readonly string[]): string[] {
  return [...countEach(texts)].map(([text, count]) => count === 1 ? text : `${count} times: ${text}`);
}

/** A program of cases. */
export interface TrialProgram {
  /** The name by which `--only` selects it. */
  readonly name: string;
  readonly title: string;
  /** What is done and what must not be, for a reader of the results. */
  describe(options: TrialOptions): string;
  /** The cases, each of which runs by itself. */
  readonly cases: readonly TrialCase[];
  /** Whether a quick run may take place on all runtimes at the same time. */
  readonly sharesMachine?: boolean;
}

/** A case of a program. */
export interface TrialCase {
  readonly title: string;
  run(runtime: BenchRuntime, options: TrialOptions, say: (line: string) => void): Promise<Trial>;
}

/** What was found of one case on one runtime. */
interface Finding {
  readonly program: string;
  readonly runtime: string;
  readonly trial: Trial;
}

/** Runs programs as the command line tells, and ends the process. */
export function runTrials(title: string, programs: readonly TrialProgram[]): Promise<never> {
  const options = {
    only: choice(programs.map(({ name }) => name)),
    case: TEXT,
    rounds: amount(100),
    seconds: amount(60),
  };
  return runProgram(options, async ({ quick, only, case: part, rounds, seconds }, site) => {
    const trialOptions = { isQuick: quick, rounds, seconds };
    const chosen = programs.filter(({ name }) => only.includes(name));
    const findings: Finding[] = [];
    for (const program of chosen) {
      const runOn = (each: BenchRuntime) => runCases(program, each, part ?? "", trialOptions, site);
      if (quick && program.sharesMachine) findings.push(...(await Promise.all(site.runtimes.map(runOn))).flat());
      else for (const each of site.runtimes) findings.push(...await runOn(each));
    }
    const problems = findings.flatMap(({ runtime, trial }) =>
      trial.violations.map((violation) => `${runtime}, ${trial.title}: ${violation}`)
    );
    const sections = chosen.map((program) => sectionOf(program, findings, trialOptions));
    return { title, method: "", sections, problems, figures: findings };
  });
}

async function runCases(
  program: TrialProgram,
  runtime: BenchRuntime,
  part: string,
  options: TrialOptions,
  site: Site,
): Promise<Finding[]> {
  const findings: Finding[] = [];
  for (const { title, run } of program.cases.filter((each) => each.title.includes(part))) {
    const say = (line: string): void => site.say(`${runtime.title}, ${program.name}, ${title}: ${line}`);
    const trial = await run(runtime, options, say);
    findings.push({ program: program.name, runtime: runtime.title, trial });
    say(trial.violations.length === 0 ? "nothing violated" : `VIOLATED: ${trial.violations.join("; ")}`);
  }
  return findings;
}

function sectionOf(program: TrialProgram, findings: readonly Finding[], options: TrialOptions): Section {
  const found = findings.filter((finding) => finding.program === program.name);
  const columns = [...new Set(found.flatMap(({ trial }) => Object.keys(trial.figures)))];
  return {
    title: program.title,
    text: program.describe(options),
    head: ["", ...columns, "violated"],
    rows: found.map(({ runtime, trial }) => [
      `${runtime}, ${trial.title}`,
      ...columns.map((column) => String(trial.figures[column] ?? "")),
      trial.violations.length === 0 ? "no" : "YES",
    ]),
    notes: found.flatMap(({ runtime, trial }) =>
      (trial.notes ?? []).map((note) => `${runtime}, ${trial.title}: ${note}`)
    ),
  };
}
