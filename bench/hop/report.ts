/**
 * What was measured of the hop to a thread, as tables.
 *
 * @module
 */

import type { RuntimeName } from "../contenders.ts";
import { type BenchReport, median, RUNTIME_TITLES, table } from "../report.ts";
import type { ModelName, ModelRound } from "./end_to_end.ts";
import type { TransportRound } from "./transport_program.ts";
import { type TransportName, TRANSPORTS } from "./transports.ts";

/** What was found on one runtime. */
export interface HopFinding {
  readonly runtime: RuntimeName;
  readonly version: string;
  readonly models: readonly ModelRound[];
  readonly transports: readonly TransportRound[];
}

/** The results, as they are kept. */
export interface HopReport {
  readonly date: string;
  readonly machine: BenchReport["machine"];
  readonly trivet: string;
  readonly loadGenerator: string;
  readonly rounds: number;
  readonly findings: readonly HopFinding[];
}

const TRANSPORT_NAMES = Object.keys(TRANSPORTS) as TransportName[];

/** The report as Markdown. */
export function markdownOf({ date, machine, trivet, loadGenerator, rounds, findings }: HopReport): string {
  const versions = findings.map(({ runtime, version }) => `${RUNTIME_TITLES[runtime]} ${version}`).join(", ");
  const problems = findings.flatMap(({ runtime, models }) =>
    models.flatMap(({ model, problems }) => problems.map((problem) => `- ${runtime}, ${model}: ${problem}`))
  );
  const sections = [
    "# The hop to a thread",
    `${date.slice(0, 10)}: ${versions}, Trivet ${trivet}, ${loadGenerator}, on ${machine.cores} cores of ` +
    `${machine.cpu}, ${machine.os}. Medians of ${rounds} alternating rounds.`,
    "## A request whose handler is called on the loop, and on one thread",
    "The handler answers `Hello, world!`. CPU time is that of the server's process; without connections the requests " +
    "come at 400 a second, on 8 connections.",
    modelTable(findings),
    "## Ways from one thread to another, without sockets",
    TRANSPORT_NAMES.map((name) => `- \`${name}\`: ${TRANSPORTS[name]}`).join("\n"),
    "CPU time of the process for a call there and back, in µs, and in parentheses p50 and p99 of a batch, in ms.",
    ...findings.map(({ runtime, transports }) => `### ${RUNTIME_TITLES[runtime]}\n\n${transportTable(transports)}`),
  ];
  if (problems.length > 0) sections.push("## Problems", [...new Set(problems)].join("\n"));
  return `${sections.join("\n\n")}\n`;
}

function modelTable(findings: readonly HopFinding[]): string {
  const head = [
    "runtime",
    "connections",
    "CPU µs, loop",
    "CPU µs, thread",
    "hop µs",
    "p50 ms, loop",
    "p50 ms, thread",
    "p99 ms, loop",
    "p99 ms, thread",
  ];
  const rows = findings.flatMap(({ runtime, models }) =>
    [...new Set(models.map(({ connections }) => connections))].map((connections) => {
      const of = (model: ModelName, figure: (round: ModelRound) => number): number =>
        median(models.filter((each) => each.model === model && each.connections === connections).map(figure));
      const both = (figure: (round: ModelRound) => number, digits: number): string[] => [
        of("event-driven", figure).toFixed(digits),
        of("hybrid", figure).toFixed(digits),
      ];
      const cpu = ({ cpuMicroseconds }: ModelRound): number => cpuMicroseconds;
      return [
        RUNTIME_TITLES[runtime],
        connections === null ? "" : String(connections),
        ...both(cpu, 1),
        (of("hybrid", cpu) - of("event-driven", cpu)).toFixed(1),
        ...both(({ p50Ms }) => p50Ms, 2),
        ...both(({ p99Ms }) => p99Ms, 2),
      ];
    })
  );
  return table(head, rows);
}

function transportTable(rounds: readonly TransportRound[]): string {
  const keyOf = ({ contentBytes, batchSize, batches }: TransportRound): string =>
    `${contentBytes} ${batchSize} ${batches}`;
  const rows = [...new Set(rounds.map(keyOf))].map((key) => {
    const cells = TRANSPORT_NAMES.map((name) => {
      const mine = rounds.filter((each) => each.transport === name && keyOf(each) === key);
      const of = (figure: (round: TransportRound) => number): number => median(mine.map(figure));
      const latency = `${of(({ p50Ms }) => p50Ms).toFixed(2)}, ${of(({ p99Ms }) => p99Ms).toFixed(2)}`;
      return `${of(({ cpuMicroseconds }) => cpuMicroseconds).toFixed(1)} (${latency})`;
    });
    return [...key.split(" "), ...cells];
  });
  return table(["bytes of content", "calls in a batch", "batches under way", ...TRANSPORT_NAMES], rows);
}
