/**
 * What a run has found, as Markdown with charts, and how figures are written.
 *
 * @module
 */

import { type Chart, svgOf } from "./chart.ts";

/** What a run has found. */
export interface Report {
  readonly title: string;
  /** How it was measured. */
  readonly method: string;
  /** Of what takes part beside the runtimes and Trivet. */
  readonly versions?: Readonly<Record<string, string>>;
  readonly sections: readonly Section[];
  /** What must not be; it fails the run. */
  readonly problems: readonly string[];
  /** Everything that was measured, for the file of figures. */
  readonly figures: unknown;
}

/** A part of a report. */
export interface Section {
  readonly title: string;
  readonly text?: string;
  readonly head: readonly string[];
  readonly rows: readonly (readonly string[])[];
  readonly notes?: readonly string[];
  /** A chart, and what is added to the name of the files. */
  readonly chart?: { readonly suffix: string; readonly drawing: Chart };
}

/** The report as Markdown; with links to its charts when it has a name. */
export function markdownOf({ title, method, versions = {}, sections, problems }: Report, name: string | null): string {
  const cpu = /^model name\s*: (.*)$/m.exec(Deno.readTextFileSync("/proc/cpuinfo"))?.[1] ?? "unknown processor";
  const version = Object.entries(versions).map((each) => each.join(" ")).join(", ");
  const list = (items: readonly string[]) => items.map((item) => `- ${item.replaceAll(/\s+/g, " ")}`).join("\n");
  const parts = [
    `# ${title}`,
    `${
      new Date().toISOString().slice(0, 10)
    }: ${version}, on ${navigator.hardwareConcurrency} cores of ${cpu}, Linux ` +
    `${Deno.osRelease()}. ${method} How to read and repeat this: see the README of the benchmarks.`,
  ];
  for (const { title, text, head, rows, notes = [], chart } of sections) {
    if (rows.length === 0) continue;
    parts.push(`## ${title}`);
    if (text !== undefined) parts.push(text);
    if (chart !== undefined && name !== null) parts.push(`![${chart.drawing.title}](${name}${chart.suffix}.svg)`);
    parts.push(table(head, rows));
    if (notes.length > 0) parts.push(list(notes));
  }
  if (problems.length > 0) parts.push("## Problems", list([...new Set(problems)]));
  return `${parts.join("\n\n")}\n`;
}

/** The charts of a report, each with the name of its file. */
export function svgFilesOf({ sections, versions = {} }: Report, name: string): [file: string, svg: string][] {
  return sections.flatMap(({ chart, rows }) =>
    chart === undefined || rows.length === 0 ? [] : [[`${name}${chart.suffix}.svg`, svgOf(chart.drawing, versions)]]
  );
}

/** The middle value, or the mean of the two in the middle; no number where there are none. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/** A figure with so many decimals; empty where there is none. */
export function figure(value: number | null | undefined, decimals: number): string {
  return value === null || value === undefined || !Number.isFinite(value) ? "" : value.toFixed(decimals);
}

/** Memory in MiB. */
export function mib(bytes: number, decimals = 0): string {
  return (bytes / 2 ** 20).toFixed(decimals);
}

/** A part in percent. */
export function percent(share: number): string {
  const parts = 100 * share;
  return `${parts > 0 && parts < 1 || parts > 99 && parts < 100 ? parts.toFixed(1) : Math.round(parts)} %`;
}

/** What an error says, for a list of problems. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** How often each text is there, in the order in which they came first. */
export function countEach(texts: Iterable<string>): Map<string, number> {
  const counts = new Map<string, number>();
  for (const text of texts) counts.set(text, (counts.get(text) ?? 0) + 1);
  return counts;
}

/** A table of Markdown. Columns of figures are set to the right; the first one is always text. */
function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = head.map((title, column) => Math.max(3, title.length, ...rows.map((row) => row[column].length)));
  const isFigure = head.map((_, column) => column > 0 && rows.every((row) => /^[\d.]*$/.test(row[column])));
  const line = (cells: readonly string[]) =>
    `| ${cells.map((cell, i) => isFigure[i] ? cell.padStart(widths[i]) : cell.padEnd(widths[i])).join(" | ")} |`;
  const rule = widths.map((width, i) => isFigure[i] ? `${"-".repeat(width - 1)}:` : "-".repeat(width));
  return [line(head), line(rule), ...rows.map(line)].join("\n");
}
