/**
 * What the stress programs found, as Markdown.
 *
 * @module
 */

import type { RuntimeName } from "../contenders.ts";
import { type BenchReport, RUNTIME_TITLES, table } from "../report.ts";
import type { StressOptions, StressProgram, Trial } from "./trial.ts";

/** One case that was run. */
export interface Finding {
  readonly program: string;
  readonly runtime: RuntimeName;
  readonly trial: Trial;
}

/** A run, as it is kept. */
export interface StressReport {
  readonly date: string;
  readonly machine: BenchReport["machine"];
  readonly versions: Readonly<Record<string, string>>;
  readonly options: StressOptions;
  readonly findings: readonly Finding[];
}

/** Writes a report. */
export function markdownOf(report: StressReport, programs: readonly StressProgram[]): string {
  const { machine, versions, date } = report;
  const parts = [
    "# Stress",
    `${date.slice(0, 10)}, ${machine.cores} cores of ${machine.cpu}. ` +
    `${Object.entries(versions).map(([name, version]) => `${name} ${version}`).join(", ")}.`,
    ...programs.flatMap((program) => sectionOf(report, program)),
  ];
  return `${parts.join("\n\n")}\n`;
}

function sectionOf({ findings, options }: StressReport, program: StressProgram): string[] {
  const found = findings.filter((finding) => finding.program === program.name);
  if (found.length === 0) return [];
  const columns = [...new Set(found.flatMap(({ trial }) => Object.keys(trial.figures)))];
  const rows = found.map(({ runtime, trial }) => [
    `${RUNTIME_TITLES[runtime]}, ${trial.title}`,
    ...columns.map((column) => String(trial.figures[column] ?? "")),
    trial.violations.length === 0 ? "no" : "YES",
  ]);
  const remarks = found.flatMap(({ runtime, trial }) =>
    [...trial.violations.map((each) => `**Violated**: ${each}`), ...trial.notes]
      .map((remark) => `- ${RUNTIME_TITLES[runtime]}, ${trial.title}: ${remark}`)
  );
  return [
    `## ${program.title}`,
    program.describe(options),
    table(["", ...columns, "violated"], rows),
    ...(remarks.length === 0 ? [] : [remarks.join("\n")]),
  ];
}
