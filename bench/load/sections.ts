/**
 * What the loads found, as ratios and tables. Ratios are taken within a round, whose loads ran one right after the
 * other, and the median of them stands for all.
 */

import { figure, median, mib, type Section } from "../report.ts";
import { RUNTIME_NAMES, RUNTIME_TITLES, type RuntimeName } from "../runtimes.ts";
import { type ContenderName, CONTENDERS } from "./contenders.ts";
import type { Measurement, Round } from "./measure.ts";
import { type Scenario, SCENARIOS } from "./scenarios.ts";

/** Who is divided by whom, and what is added to the title of the scenario. */
type Pair = readonly [other: ContenderName, subject: ContenderName, suffix: string];

/** Some figures of some pairs: for each runtime how many times as much as the subject the other takes. */
interface Comparison {
  readonly title: string;
  readonly text?: string;
  /** CPU time unless told. */
  readonly of?: (round: Round) => number;
  readonly pairs: readonly Pair[];
  /** Whether it is of WebSockets; of requests unless told. */
  readonly isOfWebSockets?: boolean;
}

const cpuOf = ({ cpuSeconds, requests }: Round): number => cpuSeconds / requests;
/** The time between two requests or messages that are answered, in seconds. */
const gapOf = ({ seconds, requests }: Round): number => seconds / requests;
/** The 99th percentile of latency; no number where the load generator can't tell. */
const p99Of = ({ p99Ms }: Round): number => p99Ms ?? NaN;

const OWN: readonly Pair[] = [
  ["native", "trivet", ", HttpResponse"],
  ["native", "trivet-global", ", Response"],
  ["native", "trivet-fast", ", fast-response"],
];
const PEERS: readonly ContenderName[] = ["beast", "httplib", "go", "nginx"];

const COMPARISONS: readonly Comparison[] = [
  {
    title: "CPU time per request: the runtime's own server / Trivet",
    text: "More than 1 is in favour of Trivet. For Hono on Node the own server is @hono/node-server, for h3 srvx.",
    pairs: OWN,
  },
  {
    title: "CPU time per message of WebSockets: the runtime's own server / Trivet",
    text: "On Node `ws`. Of an echo each message counts that came in, of what is sent to all each that went out.",
    pairs: [["native", "trivet", ""], ["before", "trivet", ", before"]],
    isOfWebSockets: true,
  },
  {
    title: "Messages of WebSockets a second: Trivet / the runtime's own server",
    of: gapOf,
    pairs: [["native", "trivet", ""]],
    isOfWebSockets: true,
  },
  {
    title: "CPU time per request: before / Trivet",
    pairs: [
      ["before", "trivet", ", HttpResponse"],
      ["before-global", "trivet-global", ", Response"],
      ["before-fast", "trivet-fast", ", fast-response"],
    ],
  },
  {
    title: "CPU time per request: servers in other languages / Trivet",
    text: "One server in all columns, in the rounds of each runtime, against Trivet with HttpResponse.",
    pairs: PEERS.map((peer): Pair => [peer, "trivet", `, ${CONTENDERS[peer].title}`]),
  },
  {
    title: "CPU time per request: packages of npm / Trivet",
    pairs: [
      ["srvx", "trivet", ", srvx, FastResponse"],
      ["srvx-global", "trivet-global", ", srvx, Response"],
      ["hono", "trivet", ", @hono/node-server"],
    ],
  },
  {
    title: "CPU time per request: one thread / the loop",
    text: "The same handler, called on a thread of the model hybrid.",
    pairs: [["trivet-thread", "trivet", ""]],
  },
  {
    title: "CPU time per request: bare sockets / Trivet",
    text:
      "What the adapter's sockets, the handler and its response cost, and the fixed response of raw TCP, as part of " +
      "what Trivet takes. Neither is a bound: they are the plain way to use these sockets, without HTTP.",
    pairs: [
      ["bare", "trivet", ", bare, HttpResponse"],
      ["bare-global", "trivet-global", ", bare, Response"],
      ["raw", "trivet", ", raw TCP"],
    ],
  },
  {
    title: "CPU time per request: 2 processes or threads of the own server / 2 loops",
    pairs: [["native-twice", "trivet-loops", ""]],
  },
  {
    title: "99th percentile of latency: the runtime's own server / Trivet",
    text: "Where nothing is said of requests a second the connections are always busy, and who answers more requests " +
      "answers each sooner.",
    of: p99Of,
    pairs: OWN,
  },
];

/** Every comparison of which something was measured, the first one with a chart, and every figure. */
export function sectionsOf(measurements: readonly Measurement[]): Section[] {
  const sections = COMPARISONS.map((comparison, index): Section => {
    const { title, text } = comparison;
    const rows = rowsOf(measurements, comparison);
    return {
      title,
      text,
      head: ["", ...RUNTIME_NAMES.map((name) => RUNTIME_TITLES[name])],
      rows: rows.map((row) => [row.title, ...row.ratios.map((ratio) => figure(ratio, 2))]),
      ...index === 0 && rows.length > 0 && { chart: { suffix: "", drawing: chartOf(title, rows) } },
    };
  });
  return [...sections, figuresOf(measurements)];
}

function rowsOf(measurements: readonly Measurement[], { of = cpuOf, pairs, isOfWebSockets = false }: Comparison) {
  return SCENARIOS.filter((each) => (each.webSocket !== null) === isOfWebSockets)
    .flatMap(({ name, title, contenders }) =>
      pairs.filter(([other, subject]) => contenders.includes(other) && contenders.includes(subject))
        .map(([other, subject, suffix]) => ({
          // A scenario with one kind of response needs no word on it.
          title: subject === "trivet" && !contenders.includes("trivet-global") && pairs === OWN
            ? title
            : title + suffix,
          ratios: RUNTIME_NAMES.map((runtime) => {
            const [others, subjects] = [other, subject].map((each) => roundsOf(measurements, runtime, name, each));
            // One that has failed has fewer rounds.
            const ratios = subjects.slice(0, others.length).map((round, index) => of(others[index]) / of(round));
            return median(ratios.filter(Number.isFinite));
          }),
        }))
    ).filter(({ ratios }) => ratios.some(Number.isFinite));
}

function roundsOf(all: readonly Measurement[], runtime: RuntimeName, scenario: string, contender: ContenderName) {
  return all.find((each) => each.runtime === runtime && each.of === scenario && each.contender === contender)?.rounds ??
    [];
}

/** Bars grow from 1 to the right where Trivet takes less, so that twice as much and half as much are as long. */
function chartOf(title: string, rows: ReturnType<typeof rowsOf>) {
  const groups = rows.map(({ title, ratios }) => ({
    title,
    marks: RUNTIME_NAMES.map((runtime, index) => ({ runtime, to: ratios[index], note: figure(ratios[index], 2) }))
      .filter(({ to }) => Number.isFinite(to)),
  }));
  const subtitle = "2 is half the CPU time; bars to the left are cases in which the own server takes less.";
  return { title, subtitle, unit: "times", scale: "logarithmic", base: 1, groups } as const;
}

export function progressLine(scenario: Scenario, runtime: string, measurements: readonly Measurement[]): string {
  const figures = measurements.map(({ contender, rounds, problems }) =>
    `${contender} ${figure(1e6 * median(rounds.map(cpuOf)), 2) || "failed"}${problems.length === 0 ? "" : "!"}`
  );
  return `${scenario.name} on ${runtime}, us of CPU per request: ${figures.join(", ")}`;
}

function figuresOf(measurements: readonly Measurement[]): Section {
  const rows = measurements.filter(({ rounds }) => rounds.length > 0).map((each) => {
    const sum = (of: (round: Round) => number) => each.rounds.reduce((total, round) => total + of(round), 0);
    // Of rounds of which nothing is known there is no number, and no figure.
    const middle = (of: (round: Round) => number | null, decimals: number) =>
      figure(median(each.rounds.map(of).filter((value) => value !== null)), decimals);
    return [
      RUNTIME_TITLES[each.runtime],
      each.of,
      each.title,
      middle((round) => 1e6 * cpuOf(round), 2),
      // The parts of single rounds are too short for the ticks in which the system tells them.
      (1e6 * sum(({ systemSeconds }) => systemSeconds) / sum(({ requests }) => requests)).toFixed(1),
      middle((round) => 1 / gapOf(round), 0),
      middle(({ p50Ms }) => p50Ms, 2),
      middle(({ p99Ms }) => p99Ms, 2),
      mib(each.residentBytes),
      each.shares.join(" + "),
    ];
  });
  const columns = ["CPU us/request", "in system", "requests/s", "p50 ms", "p99 ms", "RSS MiB", "of 64 connections"];
  return { title: "Every figure", head: ["runtime", "scenario", "server", ...columns], rows };
}
