/**
 * What the lab found, as it is kept and as it is read.
 *
 * @module
 */

import type { LoadReport } from "../clients/compare_report.ts";
import { RUNTIME_NAMES, type RuntimeName } from "../contenders.ts";
import { type BenchReport, RUNTIME_TITLES, table } from "../report.ts";
import type { Contestant } from "./contestants.ts";
import type { Experiment, Round } from "./experiment.ts";
import { formatRate, formatShare } from "./format.ts";
import { isDisturbed } from "./patience.ts";

/** All rounds of one contestant in one experiment on one runtime. */
export interface Finding {
  readonly runtime: RuntimeName;
  readonly experiment: string;
  readonly contestant: string;
  /** For each repetition, in the order of time, the rounds of its cases. */
  readonly rounds: readonly (readonly Round[])[];
  /** How many measurements were thrown away because others were busy meanwhile. */
  readonly discarded: number;
  /** Why it could not be measured; empty when it could. */
  readonly failure: string;
}

/** How the lab was set up on one runtime. */
export interface LabSetup {
  readonly runtime: RuntimeName;
  /** Rounds of the hash in a handler that computes. */
  readonly computeRounds: number;
  /** What the load client reached against raw TCP, and what it took of a core for that. */
  readonly generatorPerSecond: number;
  readonly generatorCpuShare: number;
}

/** The results of one run, as they are kept. */
export interface CompareReport {
  readonly date: string;
  readonly machine: BenchReport["machine"];
  readonly versions: BenchReport["versions"];
  readonly isQuick: boolean;
  readonly repetitions: number;
  readonly seconds: number;
  readonly labs: readonly LabSetup[];
  readonly findings: readonly Finding[];
}

/** What stands for all repetitions of a case: the one in the middle. */
export interface Row {
  readonly runtime: RuntimeName;
  readonly contestant: Contestant;
  readonly round: Round;
}

/** The rows of an experiment: by contestant, then by case, then by runtime. */
export function rowsOf({ findings }: CompareReport, experiment: Experiment): Row[] {
  const rows: Row[] = [];
  for (const contestant of experiment.contestants) {
    const own = findings.filter((each) => each.experiment === experiment.name && each.contestant === contestant.name);
    const cases = new Set(own.flatMap(({ rounds }) => rounds.flat().map((round) => round.case)));
    for (const title of cases) {
      for (const { runtime, rounds } of own) {
        const ofCase = rounds.flat().filter((round) => round.case === title);
        if (ofCase.length > 0) rows.push({ runtime, contestant, round: middleOf(ofCase, experiment) });
      }
    }
  }
  return rows;
}

function middleOf(rounds: readonly Round[], { orderOf }: Experiment): Round {
  return rounds.toSorted((a, b) => orderOf(a) - orderOf(b))[rounds.length >> 1];
}

/** What was wrong, a line each. */
export function problemsOf({ findings }: CompareReport): string[] {
  return findings.flatMap(({ runtime, experiment, contestant, rounds, failure }) => {
    const problems = rounds.flat().flatMap((round) => round.problems);
    if (failure !== "") problems.push(failure);
    return problems.map((problem) => `${runtime}, ${experiment}, ${contestant}: ${problem.replaceAll(/\s+/g, " ")}`);
  });
}

/** The report as Markdown. */
export function markdownOf(report: CompareReport, experiments: readonly Experiment[], chartName: string): string {
  const { date, machine, versions, repetitions, isQuick, seconds } = report;
  const versionText = Object.entries(versions).map(([name, version]) => `${name} ${version}`).join(", ");
  const sections = [
    "# The models compared",
    `${date.slice(0, 10)}: ${versionText}, on ${machine.cores} cores of ${machine.cpu}, ${machine.os}. ` +
    `${repetitions === 1 ? "One round" : `The middle one of ${repetitions} rounds`} of each, ${
      Math.round(seconds)
    } s ` +
    `in all${isQuick ? "; a quick run, whose figures are not the ones to quote" : ""}. How to read and repeat this: ` +
    "see the README of the benchmarks.",
    generatorTable(report, experiments),
    ...disturbanceText(report),
  ];
  for (const experiment of experiments) {
    const rows = rowsOf(report, experiment);
    if (rows.length === 0) continue;
    sections.push(`## ${experiment.title}`, experiment.describe(isQuick));
    if (chartName !== "") sections.push(`![${experiment.chart.title}](${chartName}_${experiment.name}.svg)`);
    sections.push(tableOf(rows, experiment));
  }
  const problems = problemsOf(report);
  if (problems.length > 0) sections.push("## Problems", problems.map((problem) => `- ${problem}`).join("\n"));
  return `${sections.join("\n\n")}\n`;
}

/** Whether the load client could have been what limited the figures. */
function generatorTable(report: CompareReport, experiments: readonly Experiment[]): string {
  const lines = report.labs.map(({ runtime, generatorPerSecond, generatorCpuShare, computeRounds }) => [
    RUNTIME_TITLES[runtime],
    formatRate(generatorPerSecond),
    generatorCpuShare.toFixed(2),
    formatRate(mostPerSecond(report, experiments, runtime)),
    Math.max(0, ...loadsOf(report, runtime).map(({ clientCpuShare }) => clientCpuShare)).toFixed(2),
    Math.max(0, ...loadsOf(report, runtime).map(({ otherCpuShare }) => otherCpuShare)).toFixed(2),
    String(computeRounds),
  ]);
  const head = [
    "the load client",
    "requests/s against raw TCP",
    "at cores",
    "most requests/s measured",
    "at most cores",
    "others' cores at most",
    "rounds of the hash",
  ];
  return table(head, lines);
}

/** What others on the machine have done to the figures. */
function disturbanceText({ findings }: CompareReport): string[] {
  const discarded = findings.reduce((sum, finding) => sum + finding.discarded, 0);
  const disturbed = findings.filter(({ rounds }) => rounds.some(isDisturbed))
    .map(({ runtime, experiment, contestant }) => `${runtime} ${experiment} ${contestant}`);
  const texts: string[] = [];
  if (discarded > 0) texts.push(`Measurements repeated because others used the machine meanwhile: ${discarded}.`);
  if (disturbed.length > 0) {
    texts.push(`Disturbed by others, and to be read with that in mind: ${disturbed.join(", ")}.`);
  }
  return texts.length === 0 ? [] : [texts.join(" ")];
}

function mostPerSecond(report: CompareReport, experiments: readonly Experiment[], runtime: RuntimeName): number {
  const rows = experiments.flatMap((experiment) => rowsOf(report, experiment)).filter((row) => row.runtime === runtime);
  return Math.max(
    0,
    ...rows.map(({ round: { load } }) => {
      const answered = Object.values(load.flows).map((flow) => flow.answered + flow.refused);
      return answered.reduce((sum, count) => sum + count, 0) / load.seconds;
    }),
  );
}

function loadsOf({ findings }: CompareReport, runtime: RuntimeName): LoadReport[] {
  return findings.filter((each) => each.runtime === runtime).flatMap(({ rounds }) => rounds.flat())
    .map(({ load }) => load);
}

function tableOf(rows: readonly Row[], { columns }: Experiment): string {
  const hasCases = rows.some(({ round }) => round.case !== "");
  const runtimes = RUNTIME_NAMES.filter((name) => rows.some(({ runtime }) => runtime === name));
  const head = ["model", ...(hasCases ? ["with"] : []), "runtime", ...columns.map(({ title }) => title)];
  const lines = rows.map(({ runtime, contestant, round }) => [
    contestant.title,
    ...(hasCases ? [round.case] : []),
    RUNTIME_TITLES[runtime],
    ...columns.map((column) => column.of(round)),
  ]);
  if (runtimes.length > 1) return table(head, lines);
  // One runtime is named above the tables.
  const at = head.indexOf("runtime");
  return table(head.toSpliced(at, 1), lines.map((line) => line.toSpliced(at, 1)));
}

/** One line for who watches. */
export function progressLine(contestant: Contestant, round: Round, { columns }: Experiment): string {
  const figures = columns.map(({ title, of }) => `${title} ${of(round)}`);
  figures.push(`others' CPU ${formatShare(round.load.otherCpuShare)}`);
  const title = round.case === "" ? contestant.title : `${contestant.title}, ${round.case}`;
  return `${title}: ${figures.join(", ")}${round.problems.length === 0 ? "" : " !"}`;
}
