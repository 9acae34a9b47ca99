/**
 * The report of every program: sections with tables and charts, as Markdown and SVG.
 *
 * It decides how figures are written, and knows nothing of what they are of.
 *
 * @module
 */

import { type Chart, svgOf } from "./chart.ts";
import type { BenchRuntime } from "./runtimes.ts";

/** What a run has found. */
export interface Report {
  readonly title: string;
  /** How it was measured. */
  readonly method: string;
  readonly versions: Readonly<Record<string, string>>;
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

const MIB = 1024 ** 2;

/** The report as Markdown; with links to its charts when it has a name. */
export function markdownOf({ title, method, versions, sections, problems }: Report, name: string | null): string {
  const cpu = /^model name\s*: (.*)$/m.exec(Deno.readTextFileSync("/proc/cpuinfo"))?.[1] ?? "unknown processor";
  const parts = [
    `# ${title}`,
    `${new Date().toISOString().slice(0, 10)}: ${
      Object.entries(versions).map((each) => each.join(" ")).join(", ")
    }, on ${navigator.hardwareConcurrency} cores of ${cpu}, Linux ${Deno.osRelease()}. ${method} How to read and ` +
    "repeat this: see the README of the benchmarks.",
  ];
  for (const { title, text, head, rows, notes = [], chart } of sections) {
    if (rows.length === 0) continue;
    parts.push(`## ${title}`);
    if (text !== undefined) parts.push(text);
    if (chart !== undefined && name !== null) parts.push(`![${chart.drawing.title}](${name}${chart.suffix}.svg)`);
    parts.push(table(head, rows));
    if (notes.length > 0) parts.push(notes.map((note) => `- ${note.replaceAll(/\s+/g, " ")}`).join("\n"));
  }
  if (problems.length > 0) {
    parts.push("## Problems", [...new Set(problems)].map((each) => `- ${each.replaceAll(/\s+/g, " ")}`).join("\n"));
  }
  return `${parts.join("\n\n")}\n`;
}

/** The charts of a report, each with the name of its file. */
export function svgFilesOf({ sections, versions }: Report, name: string): [file: string, svg: string][] {
  return sections.flatMap(({ chart, rows }) =>
    chart === undefined || rows.length === 0 ? [] : [[`${name}${chart.suffix}.svg`, svgOf(chart.drawing, versions)]]
  );
}

/** The versions of a run: of the runtimes and of the source. */
export async function versionsOf(runtimes: readonly BenchRuntime[], root: string, source: string) {
  const { version } = JSON.parse(await Deno.readTextFile(`${root}/deno.json`));
  return { ...Object.fromEntries(runtimes.map(({ title, version }) => [title, version])), Trivet: version + source };
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
export function mib(bytes: number): string {
  return String(Math.round(bytes / MIB));
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

/** A table of Markdown. Columns of figures are set to the right; the first one is always text. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = head.map((title, column) => Math.max(3, title.length, ...rows.map((row) => row[column].length)));
  const isFigure = head.map((_, column) => column > 0 && rows.every((row) => /^[\d.]*$/.test(row[column])));
  const line = (cells: readonly string[]) =>
    `| ${cells.map((cell, i) => isFigure[i] ? cell.padStart(widths[i]) : cell.padEnd(widths[i])).join(" | ")} |`;
  const rule = `| ${
    widths.map((width, i) => isFigure[i] ? `${"-".repeat(width - 1)}:` : "-".repeat(width)).join(" | ")
  } |`;
  return [line(head), rule, ...rows.map(line)].join("\n");
}
