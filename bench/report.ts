/**
 * What was measured, as ratios and tables.
 *
 * It decides which contenders are set against each other. Ratios are taken within a round, whose loads ran one right
 * after the other, and the median of them stands for all.
 *
 * @module
 */

import { CONTENDERS, RUNTIME_NAMES, type RuntimeName } from "./contenders.ts";
import type { IdleMemory } from "./idle_memory.ts";
import type { Measurement, Round } from "./measure.ts";
import { type ContenderName, type Scenario, SCENARIOS } from "./scenarios.ts";

/** The results of one run, as they are kept. */
export interface BenchReport {
  readonly date: string;
  readonly machine: Readonly<Record<string, string | number>>;
  readonly versions: Readonly<Record<string, string>>;
  readonly method: { readonly rounds: number; readonly seconds: number; readonly warmUpSeconds: number };
  readonly notes: readonly string[];
  readonly measurements: readonly Measurement[];
  readonly idle: readonly IdleMemory[];
}

/** A line of a comparison: for each runtime how many times as much as the subject, as a rule Trivet, the other takes. */
export interface RatioRow {
  readonly title: string;
  /** `null` where it was not measured. */
  readonly ratios: Readonly<Record<RuntimeName, number | null>>;
}

/** How the runtimes are called in what is read. */
export const RUNTIME_TITLES: Readonly<Record<RuntimeName, string>> = { deno: "Deno", bun: "Bun", node: "Node" };

/** The comparisons with packages of npm, on Node: the package's contender and the one of Trivet it is set against. */
const PACKAGE_PAIRS: readonly (readonly [other: ContenderName, trivet: ContenderName])[] = [
  ["srvx", "trivet"],
  ["srvx-global", "trivet-global"],
  ["hono", "trivet"],
];

/** Where it was measured. */
export function machineOfReport(): BenchReport["machine"] {
  const cpu = /^model name\s*: (.*)$/m.exec(Deno.readTextFileSync("/proc/cpuinfo"))?.[1] ?? "unknown";
  return {
    os: `${Deno.build.os} ${Deno.osRelease()}`,
    arch: Deno.build.arch,
    cpu,
    cores: navigator.hardwareConcurrency,
    memoryGiB: Math.round(Deno.systemMemoryInfo().total / 1024 ** 3),
  };
}

/** The runtimes' own servers against Trivet: a row for each scenario, and for the global `Response` where it differs. */
export function ratioRows({ measurements }: BenchReport): RatioRow[] {
  return rowsAgainst(measurements, cpuOf, OF_RUNTIME);
}

/** Two contenders: one whose handlers return Trivet's `HttpResponse`, and one with the global `Response`. */
type ContenderPair = readonly [own: ContenderName, global: ContenderName];

const OF_TRIVET: ContenderPair = ["trivet", "trivet-global"];
const OF_BEFORE: ContenderPair = ["before", "before-global"];
const OF_BARE: ContenderPair = ["bare", "bare-global"];
const OF_RUNTIME: ContenderPair = ["native", "native"];

/** A row for each scenario, and for the global `Response` where it is measured; empty ones are left out. */
function rowsAgainst(
  measurements: readonly Measurement[],
  figure: (round: Round) => number,
  other: ContenderPair,
  subject: ContenderPair = OF_TRIVET,
): RatioRow[] {
  const rows: RatioRow[] = [];
  for (const { name, title, contenders } of SCENARIOS) {
    const hasBoth = contenders.includes("trivet-global");
    const fullTitle = hasBoth ? `${title}, HttpResponse` : title;
    rows.push(rowOf(fullTitle, measurements, figure, name, other[0], subject[0]));
    if (hasBoth) rows.push(rowOf(`${title}, Response`, measurements, figure, name, other[1], subject[1]));
  }
  return rows.filter(({ ratios }) => Object.values(ratios).some((ratio) => ratio !== null));
}

/** One line for who watches. */
export function progressLine(scenario: Scenario, runtime: string, measurements: readonly Measurement[]): string {
  const figures = measurements.map(({ contender, rounds, problems }) => {
    const figure = rounds.length === 0 ? "failed" : cpuMicroseconds(rounds).toFixed(1);
    return `${contender} ${figure}${problems.length === 0 ? "" : "!"}`;
  });
  return `${scenario.name} on ${runtime}, us of CPU per request: ${figures.join(", ")}`;
}

/** The report as Markdown. */
export function markdownOf(report: BenchReport): string {
  const { date, machine, versions, method, notes, measurements, idle } = report;
  const versionText = Object.entries(versions).map(([name, version]) => `${name} ${version}`).join(", ");
  const sections = [
    "# Load benchmark",
    `${date.slice(0, 10)}: ${versionText}, on ${machine.cores} cores of ${machine.cpu}, ${machine.os}. Medians of ` +
    `${method.rounds} alternating rounds of ${method.seconds} s. How to read and repeat this: see the README of the ` +
    "benchmarks.",
    ...notes,
    "## CPU time per request: the runtime's own server / Trivet",
    "More than 1 is in favour of Trivet.",
    ratioTable(ratioRows(report)),
  ];
  const before = rowsAgainst(measurements, cpuOf, OF_BEFORE);
  if (before.length > 0) sections.push("## CPU time per request: Trivet before / Trivet", ratioTable(before));
  const bounds = rowsAgainst(measurements, cpuOf, OF_RUNTIME, OF_BARE);
  if (bounds.length > 0) {
    sections.push(
      "## CPU time per request: the runtime's own server / bare sockets",
      "What the table above could be at most: no time is spent on HTTP, all of it on sockets, handler and response.",
      ratioTable(bounds),
    );
  }
  const ceilings = ceilingRows(measurements);
  if (ceilings.length > 0) {
    sections.push(
      "## CPU time per request: raw TCP with a fixed response / Trivet",
      "1 is the ceiling: no time is spent on HTTP.",
      ratioTable(ceilings),
    );
  }
  const packages = packageTable(measurements);
  if (packages !== "") sections.push("## CPU time per request on Node: packages of npm / Trivet", packages);
  const latencies = rowsAgainst(measurements, latencyOf, OF_RUNTIME);
  if (latencies.length > 0) {
    sections.push(
      "## 99th percentile of latency: the runtime's own server / Trivet",
      "Where nothing is said of requests a second the connections are always busy, and who answers more requests answers " +
        "each sooner.",
      ratioTable(latencies),
    );
  }
  if (idle.length > 0) sections.push("## Memory of an idle connection", idleTable(idle));
  sections.push("## Every figure", figureTable(measurements));
  const idleProblems = idle.map((each) => ({ ...each, scenario: "idle" }));
  const problems = [...measurements, ...idleProblems].flatMap(({ runtime, scenario, contender, problems }) =>
    problems.map((problem) => `- ${runtime}, ${scenario}, ${contender}: ${problem.replaceAll("\n", " ")}`)
  );
  if (problems.length > 0) sections.push("## Problems", [...new Set(problems)].join("\n"));
  return `${sections.join("\n\n")}\n`;
}

function ceilingRows(measurements: readonly Measurement[]): RatioRow[] {
  return SCENARIOS.filter(({ contenders }) => contenders.includes("raw"))
    .map(({ name, title }) => rowOf(title, measurements, cpuOf, name, "raw", "trivet"))
    .filter(({ ratios }) => Object.values(ratios).some((ratio) => ratio !== null));
}

function ratioTable(rows: readonly RatioRow[]): string {
  const lines = rows.map(({ title, ratios }) => [title, ...RUNTIME_NAMES.map((name) => formatRatio(ratios[name]))]);
  return table(["", ...RUNTIME_NAMES.map((name) => RUNTIME_TITLES[name])], lines);
}

function packageTable(measurements: readonly Measurement[]): string {
  const lines: string[][] = [];
  for (const { name, title } of SCENARIOS) {
    const ratios = PACKAGE_PAIRS.map(([other, trivet]) => ratioOf(measurements, cpuOf, "node", name, other, trivet));
    if (ratios.some((ratio) => ratio !== null)) lines.push([title, ...ratios.map(formatRatio)]);
  }
  const titles = PACKAGE_PAIRS.map(([other, trivet]) => `${CONTENDERS[other].title} / ${CONTENDERS[trivet].title}`);
  return lines.length === 0 ? "" : table(["", ...titles], lines);
}

function figureTable(measurements: readonly Measurement[]): string {
  const head = [
    "runtime",
    "scenario",
    "server",
    "CPU us/request",
    "in system",
    "requests/s",
    "p50 ms",
    "p99 ms",
    "RSS MiB",
  ];
  return table(
    head,
    measurements.filter(({ rounds }) => rounds.length > 0).map(
      ({ runtime, scenario, contender, rounds, residentBytes }) => [
        runtime,
        scenario,
        CONTENDERS[contender].title,
        cpuMicroseconds(rounds).toFixed(1),
        (1e6 * median(rounds.map(({ systemSeconds, requests }) => systemSeconds / requests))).toFixed(1),
        String(Math.round(median(rounds.map(({ requests, seconds }) => requests / seconds)))),
        formatMs(rounds.map(({ p50Ms }) => p50Ms)),
        formatMs(rounds.map(({ p99Ms }) => p99Ms)),
        String(Math.round(residentBytes / 1024 ** 2)),
      ],
    ),
  );
}

/** Memory of one server's idle connections, in KiB each. */
export function idleFigure({ contender, bytesPerConnection, problems }: IdleMemory): string {
  return `${contender} ${formatKiB(bytesPerConnection)}${problems.length === 0 ? "" : "!"}`;
}

function idleTable(idle: readonly IdleMemory[]): string {
  const contenders = [...new Set(idle.map(({ contender }) => contender))];
  const rows = contenders.map((contender) => [
    CONTENDERS[contender].title,
    ...RUNTIME_NAMES.map((runtime) => {
      const found = idle.find((each) => each.contender === contender && each.runtime === runtime);
      return found === undefined ? "" : formatKiB(found.bytesPerConnection);
    }),
  ]);
  const head = `KiB, of ${idle[0].connections} connections`;
  return table([head, ...RUNTIME_NAMES.map((name) => RUNTIME_TITLES[name])], rows);
}

function formatKiB(byteLength: number | null): string {
  return byteLength === null ? "failed" : (byteLength / 1024).toFixed(1);
}

function rowOf(
  title: string,
  measurements: readonly Measurement[],
  figure: (round: Round) => number,
  scenario: string,
  other: ContenderName,
  subject: ContenderName,
): RatioRow {
  const ratio = (runtime: RuntimeName) => ratioOf(measurements, figure, runtime, scenario, other, subject);
  return { title, ratios: { deno: ratio("deno"), bun: ratio("bun"), node: ratio("node") } };
}

function ratioOf(
  measurements: readonly Measurement[],
  figure: (round: Round) => number,
  runtime: RuntimeName,
  scenario: string,
  other: ContenderName,
  subject: ContenderName,
): number | null {
  const roundsOf = (name: ContenderName) =>
    measurements.find((each) => each.runtime === runtime && each.scenario === scenario && each.contender === name)
      ?.rounds ?? [];
  const ofSubject = roundsOf(subject);
  const ofOther = roundsOf(other);
  if (ofSubject.length === 0 || ofOther.length === 0) return null;
  // One that has failed has fewer rounds.
  const compared = ofSubject.slice(0, ofOther.length);
  const ratios = compared.map((round, index) => figure(ofOther[index]) / figure(round)).filter(Number.isFinite);
  return ratios.length === 0 ? null : median(ratios);
}

/** CPU time per request, in seconds. */
function cpuOf({ cpuSeconds, requests }: Round): number {
  return cpuSeconds / requests;
}

/** The 99th percentile of latency, in milliseconds; no number where the load generator can't tell. */
function latencyOf({ p99Ms }: Round): number {
  return p99Ms ?? NaN;
}

function cpuMicroseconds(rounds: readonly Round[]): number {
  return 1e6 * median(rounds.map(cpuOf));
}

/** The middle value, or the mean of the two in the middle. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

function formatRatio(ratio: number | null): string {
  return ratio === null ? "" : ratio.toFixed(2);
}

function formatMs(values: readonly (number | null)[]): string {
  const known = values.filter((value) => value !== null);
  return known.length === 0 ? "" : median(known).toFixed(2);
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
