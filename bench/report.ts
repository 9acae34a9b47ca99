/** What a run has found, as Markdown with charts, and how figures are written. */

import type { Chart, Mark } from "./chart.ts";
import { type BenchRuntime, RUNTIME_TITLES, type RuntimeName } from "./runtimes.ts";

export interface Report {
  readonly title: string;
  readonly method: string;
  /** Of all that takes part, where it is more than the runtimes and Trivet. */
  readonly versions?: Readonly<Record<string, string>>;
  readonly sections: readonly Section[];
  /** What must not be; it fails the run. */
  readonly problems: readonly string[];
  readonly figures: unknown;
}

export interface Section {
  readonly title: string;
  readonly text?: string;
  readonly head: readonly string[];
  readonly rows: readonly (readonly string[])[];
  /** A chart, and what is added to the name of the files. */
  readonly chart?: { readonly suffix: string; readonly drawing: Chart };
}

/** What is measured in a table of its own; where it has a chart, the runtimes of a case stand beside each other. */
export interface Experiment {
  readonly name: string;
  readonly title: string;
  /** What is done and what must not be, for a reader of the results. */
  readonly text?: string;
  readonly chart?: Omit<Chart, "groups">;
  readonly cases: readonly {
    readonly title: string;
    /** Gives the rows of the table; none where it can't be measured on a runtime. */
    run(runtime: BenchRuntime, say: (line: string) => void): Promise<readonly Trial[]>;
  }[];
}

export interface Trial {
  /** Where it is not that of the case. */
  readonly title?: string;
  /** What was counted and measured, by the titles of the columns. */
  readonly figures: Readonly<Record<string, string | number>>;
  readonly problems: readonly string[];
  readonly mark?: Omit<Mark, "runtime">;
  readonly details?: unknown;
}

/** What was found in one case of an experiment on one runtime. */
export type Finding = Trial & { readonly of: string; readonly runtime: RuntimeName; readonly title: string };

/** The table of an experiment, with a column for each figure, and its chart. */
export function sectionOf({ name, title, text, chart }: Omit<Experiment, "cases">, all: readonly Finding[]): Section {
  const ofIt = all.filter(({ of }) => of === name);
  const byTitle = [...Map.groupBy(ofIt, (finding) => finding.title)];
  const findings = chart === undefined ? ofIt : byTitle.flatMap(([, ofTitle]) => ofTitle);
  const columns = [...new Set(findings.flatMap(({ figures }) => Object.keys(figures)))];
  const groups = byTitle.map(([title, ofTitle]) => ({
    title,
    marks: ofTitle.flatMap(({ runtime, mark }) => mark === undefined ? [] : [{ runtime, ...mark }]),
  }));
  return {
    title,
    text,
    head: ["", ...columns],
    rows: findings.map((finding) => [nameOf(finding), ...columns.map((each) => String(finding.figures[each] ?? ""))]),
    ...chart && { chart: { suffix: `_${name}`, drawing: { ...chart, groups } } },
  };
}

export function problemsOf(findings: readonly Finding[]): string[] {
  return findings.flatMap((finding) => finding.problems.map((problem) => `${nameOf(finding)}: ${problem}`));
}

export function nameOf({ runtime, title }: Finding): string {
  return `${RUNTIME_TITLES[runtime]}, ${title}`;
}

/** The report as Markdown; with links to its charts when it has a name. */
export function markdownOf({ title, method, versions = {}, sections, problems }: Report, name: string): string {
  const cpu = /^model name\s*: (.*)$/m.exec(Deno.readTextFileSync("/proc/cpuinfo"))?.[1] ?? "unknown processor";
  const version = Object.entries(versions).map((each) => each.join(" ")).join(", ");
  const machine = `${navigator.hardwareConcurrency} cores of ${cpu}, Linux ${Deno.osRelease()}`;
  const day = new Date().toISOString().slice(0, 10);
  const list = (items: readonly string[]) => items.map((item) => `- ${item.replaceAll(/\s+/g, " ")}`).join("\n");
  const parts = [
    `# ${title}`,
    `${day}: ${version}, on ${machine}. ${method} How to read and repeat this: see the README of the benchmarks.`,
  ];
  for (const { title, text = "", head, rows, chart } of sections) {
    if (rows.length === 0) continue;
    const image = chart === undefined || name === "" ? "" : `![${chart.drawing.title}](${name}${chart.suffix}.svg)`;
    parts.push(`## ${title}`, text, image, table(head, rows));
  }
  if (problems.length > 0) parts.push("## Problems", list([...new Set(problems)]));
  return `${parts.filter((part) => part !== "").join("\n\n")}\n`;
}

/** A table of Markdown. Columns of figures are set to the right; the first one is always text. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = head.map((title, column) => Math.max(3, title.length, ...rows.map((row) => row[column].length)));
  const isFigure = head.map((_, column) => column > 0 && rows.every((row) => /^[\d.]*$/.test(row[column])));
  const line = (cells: readonly string[]) =>
    `| ${cells.map((cell, i) => isFigure[i] ? cell.padStart(widths[i]) : cell.padEnd(widths[i])).join(" | ")} |`;
  const rule = widths.map((width, i) => isFigure[i] ? `${"-".repeat(width - 1)}:` : "-".repeat(width));
  return [line(head), line(rule), ...rows.map(line)].join("\n");
}

/** The middle value, or the mean of the two in the middle; no number where there are none. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/** A figure with so many decimals; empty where there is none. */
export function figure(value: number | null | undefined, decimals = 0): string {
  return value === null || value === undefined || !Number.isFinite(value) ? "" : value.toFixed(decimals);
}

export function mib(bytes: number, decimals = 0): string {
  return (bytes / 2 ** 20).toFixed(decimals);
}

export function percent(share: number): string {
  const parts = 100 * share;
  return `${parts > 0 && parts < 1 || parts > 99 && parts < 100 ? parts.toFixed(1) : Math.round(parts)} %`;
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

export function countEach(texts: readonly string[]): Map<string, number> {
  return new Map([...Map.groupBy(texts, (text) => text)].map(([text, all]) => [text, all.length]));
}

/** Each text that is not empty once, behind how often it came. */
export function timesEach(texts: readonly string[]): string[] {
  return [...countEach(texts.filter((text) => text !== ""))].map(([text, count]) => `${count} x ${text}`);
}
