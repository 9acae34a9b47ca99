/**
 * Programs of cases, which show what must not happen and fail when it does: the attacks and the soak.
 *
 * @module
 */

import { amount, choice, runProgram, TEXT } from "./program.ts";
import { type Finding, problemsOf, sectionOf, type Trial } from "./report.ts";
import type { BenchRuntime } from "./runtimes.ts";

export interface TrialOptions {
  readonly rounds: number;
  readonly seconds: number;
  readonly isQuick: boolean;
}

/** A program of cases, each of which runs by itself. */
export interface TrialProgram {
  readonly name: string;
  readonly title: string;
  /** What is done and what must not be, for a reader of the results. */
  describe(options: TrialOptions): string;
  readonly cases: readonly {
    readonly title: string;
    run(runtime: BenchRuntime, options: TrialOptions, say: (line: string) => void): Promise<Trial>;
  }[];
  /** Whether a quick run may take place on all runtimes at the same time. */
  readonly sharesMachine?: boolean;
}

export function runTrials(title: string, programs: readonly TrialProgram[]): Promise<never> {
  const names = programs.map(({ name }) => name);
  const options = { only: choice(names), case: TEXT, rounds: amount(100), seconds: amount(60) };
  return runProgram(options, async ({ quick: isQuick, only, case: part, rounds, seconds }, site) => {
    const trialOptions = { isQuick, rounds, seconds };
    const chosen = programs.filter(({ name }) => only.includes(name));
    const findings: Finding[] = [];
    for (const { name, cases, sharesMachine = false } of chosen) {
      const runOn = async (runtime: BenchRuntime): Promise<void> => {
        for (const { title, run } of cases.filter((each) => each.title.includes(part ?? ""))) {
          const say = (line: string): void => site.say(`${runtime.title}, ${name}, ${title}: ${line}`);
          const { figures, ...trial } = await run(runtime, trialOptions, say);
          const violated = trial.problems.length === 0 ? "no" : "YES";
          findings.push({ of: name, runtime: runtime.name, figures: { ...figures, violated }, ...trial });
          say(violated === "no" ? "nothing violated" : `VIOLATED: ${trial.problems.join("; ")}`);
        }
      };
      if (isQuick && sharesMachine) await Promise.all(site.runtimes.map(runOn));
      else for (const runtime of site.runtimes) await runOn(runtime);
    }
    const order = site.runtimes.map(({ name }) => name);
    findings.sort((a, b) => order.indexOf(a.runtime) - order.indexOf(b.runtime));
    const sections = chosen.map((each) => sectionOf({ ...each, text: each.describe(trialOptions) }, findings));
    return { title, method: "", sections, problems: problemsOf(findings), figures: findings };
  });
}
