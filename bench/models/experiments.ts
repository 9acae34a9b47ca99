/**
 * The experiments that tell which model to choose: what is done, what is shown of it, and how it is drawn.
 *
 * @module
 */

import type { Chart, Mark } from "../chart.ts";
import { formatMs, type Quantile } from "../clients/distribution.ts";
import type { FlowSpec, FlowTimes } from "../clients/flow.ts";
import { mib, percent } from "../report.ts";
import {
  answeredPerSecond,
  COMPUTE_MS,
  type ContestantName,
  contestantOf,
  type Lab,
  POOL_WORKERS,
  type Round,
  shareOf,
  WAIT_MS,
} from "./lab.ts";

/** One experiment. */
export interface Experiment {
  /** The name by which `--experiment` selects it, and of its chart. */
  readonly name: string;
  readonly title: string;
  readonly contestants: readonly ContestantName[];
  /** Who takes part in a quick run. */
  readonly quick: readonly ContestantName[];
  /** What is done, for a reader of the results. */
  readonly text: string;
  /** Runs it for one contestant: a round for each case. */
  measure(lab: Lab, contestant: ContestantName): Promise<Round[]>;
  /** The columns of the table. */
  readonly columns: Readonly<Record<string, (round: Round) => string>>;
  readonly chart: Pick<Chart, "title" | "subtitle" | "unit" | "scale">;
  mark(round: Round): Omit<Mark, "runtime">;
}

/** Clients that keep their connection and send the next request when the last one is answered. */
export const CLIENTS = 1_000;
/** Clients that compute: as many as keep every core busy. */
const HEAVY_CLIENTS = Math.min(4, navigator.hardwareConcurrency);
const LIGHT_PER_SECOND = 100;
const HEALTH_PER_SECOND = 20;
/** Connections on which half a head comes, whose 408 is due after so long. */
const HALVES_PER_SECOND = 20;
const HALF_HEAD = "GET / HTTP/1.1\r\nHost: lab.exam";
const HEADERS_TIMEOUT_MS = 1_000;
const PROBES_PER_SECOND = 50;
/** What is not a slow connection and takes descriptors as well. */
const OTHER_FILES = 1_000;
const TIMES_CAPACITY = 2;
/** What the bound of a line is worth, at full capacity. */
const LINE_SECONDS = 1;
/** Enough to keep every core busy. With many more, a loop would answer in bursts longer than it is measured. */
const CAPACITY_CLIENTS = 2 * navigator.hardwareConcurrency;

const clientCpu = ({ load }: Round): string => percent(load.clientCpuShare);
const peak = ({ peakBytes }: Round): string => mib(peakBytes);
const rate = (perSecond: number): string => perSecond < 100 ? perSecond.toFixed(1) : String(Math.round(perSecond));
/** The columns of a flow's latency. */
const latencyOf = (flow: string, prefix = "") => ({
  [`${prefix}p50 ms`]: ({ load }: Round) => formatMs(load.flows[flow].latency?.p50),
  [`${prefix}p99 ms`]: ({ load }: Round) => formatMs(load.flows[flow].latency?.p99),
});
/** The columns of what became of a flow's requests. */
const fateOf = (flow: string) => ({
  "requests": ({ load }: Round) => String(load.flows[flow].sent),
  "answered": ({ load }: Round) => String(load.flows[flow].answered),
  "refused": ({ load }: Round) => String(load.flows[flow].refused),
  "cut off": ({ load }: Round) => String(load.flows[flow].cut),
  "unanswered": ({ load }: Round) => String(load.flows[flow].unanswered),
});
/** From the median to the 99th percentile of a flow's latency. */
const spanOf = ({ load }: Round, flow: string) => {
  const { latency } = load.flows[flow];
  return { from: latency?.p50.ms ?? null, to: latency?.p99.ms ?? null };
};
const p99Of = ({ load }: Round, flow: string): string => `p99 ${formatMs(load.flows[flow].latency?.p99)} ms`;
const LATENCY_AXIS = { unit: "ms, logarithmic", scale: "logarithmic" } as const;

const reached = ({ load, facts }: Round): number => answeredPerSecond(load, "waiting") / facts.ceiling;

const LATENCY: Experiment = {
  name: "latency",
  title: `${CLIENTS} clients, a handler that waits for ${WAIT_MS} ms`,
  contestants: ["blocking", "pool-8", "pool-32", "event-driven", "event-driven-all", "hybrid"],
  quick: ["blocking", "pool-8", "event-driven", "hybrid"],
  text:
    `${CLIENTS} clients, each with one connection, which it opens again when the server closes it. The ceiling is ` +
    `the number of handlers that may wait at the same time, divided by ${WAIT_MS} ms. The latency is the clients': with ` +
    "`blocking` and `worker-pool` it is the time in line. A client that still waits at the end counts with what it has " +
    "waited, so that a quantile may be known only as more than that.",
  measure: (lab, contestant) =>
    lab.withServer(contestant, {}, async (server) => {
      const times = { warmUpSeconds: lab.isQuick ? 0.5 : 1, seconds: lab.isQuick ? 1 : 4, lingerSeconds: 0 };
      const ceiling = Math.min(CLIENTS, contestantOf(contestant).handlersAtOnce ?? CLIENTS) * 1000 / WAIT_MS;
      return [await lab.round(server, [lab.waiting(CLIENTS)], times, { ceiling }, ["waiting"])];
    }),
  columns: {
    "requests/s": ({ load }) => rate(answeredPerSecond(load, "waiting")),
    "ceiling": ({ facts }) => String(facts.ceiling),
    "reached": (round) => percent(reached(round)),
    "answered": ({ load }) => String(load.flows.waiting.answered),
    "refused": ({ load }) => String(load.flows.waiting.refused),
    ...latencyOf("waiting"),
    "peak MiB": peak,
    "server CPU": ({ load }) => percent(load.serverCpuShare),
    "client CPU": clientCpu,
  },
  chart: {
    title: `Requests per second: ${CLIENTS} clients, a handler that waits for ${WAIT_MS} ms`,
    subtitle: "The stroke is the ceiling: handlers that may wait at the same time, divided by their latency.",
    scale: "logarithmic",
    unit: "requests/s, logarithmic",
  },
  mark: (round) => ({
    to: answeredPerSecond(round.load, "waiting"),
    ceiling: round.facts.ceiling,
    note: `${rate(answeredPerSecond(round.load, "waiting"))}, ${percent(reached(round))} of ceiling, ` +
      p99Of(round, "waiting"),
  }),
};

const CPU: Experiment = {
  name: "cpu",
  title: `Light requests beside ${COMPUTE_MS} ms of computing`,
  contestants: ["blocking", "pool-8", "pool-8-threads", "event-driven", "event-driven-all", "hybrid"],
  quick: ["blocking", "pool-8-threads", "event-driven", "hybrid"],
  text: `${HEAVY_CLIENTS} clients send one request after another whose handler computes a hash for ${COMPUTE_MS} ms ` +
    `(calibrated on an idle core). Beside them ${LIGHT_PER_SECOND} light requests in a second come at random (Poisson), ` +
    `and ${HEALTH_PER_SECOND} requests for the health path, which the server answers without the handler; connections ` +
    "are kept where the server keeps them. Latency counts from when a request was due.",
  measure: (lab, contestant) =>
    lab.withServer(contestant, {}, async (server) => {
      const flows = [
        lab.heavy({ clients: HEAVY_CLIENTS }, "kept"),
        lab.light({ perSecond: LIGHT_PER_SECOND }, "kept"),
        lab.health(HEALTH_PER_SECOND, "kept"),
      ];
      const times = { warmUpSeconds: 0.5, seconds: lab.isQuick ? 1 : 4, lingerSeconds: 1 };
      return [await lab.round(server, flows, times, {}, ["light", "heavy", "health"])];
    }),
  columns: {
    ...latencyOf("light", "light "),
    "light answered": ({ load }) => `${load.flows.light.answered} of ${load.flows.light.sent}`,
    "heavy answered": ({ load }) => String(load.flows.heavy.answered),
    ...latencyOf("heavy", "heavy "),
    ...latencyOf("health", "health "),
    "peak MiB": peak,
    "server CPU": ({ load }) => percent(load.serverCpuShare),
    "client CPU": clientCpu,
  },
  chart: {
    title: `Latency of light requests beside handlers that compute for ${COMPUTE_MS} ms`,
    subtitle: "From the median (hollow) to the 99th percentile (full). Less is better.",
    ...LATENCY_AXIS,
  },
  mark: (round) => ({
    ...spanOf(round, "light"),
    note: `${p99Of(round, "light")}, ${round.load.flows.heavy.answered} heavy ones done`,
  }),
};

const inTime = ({ load }: Round): number => shareOf(load.flows.light.answeredWithinSecond, load.flows.light);

const SLOW: Experiment = {
  name: "attack",
  title: "An attack with slow heads",
  contestants: ["blocking", "pool-8", "event-driven", "hybrid"],
  quick: ["blocking", "pool-8", "event-driven", "hybrid"],
  text: "Attackers hold connections on which a request head comes at one byte in 5 s, and open them again when the " +
    `server has ended them. Meanwhile ${PROBES_PER_SECOND} well-behaved requests in a second come at random, each on a ` +
    "new connection, for 3 s and a second more to be answered. All limits are at their defaults, so that a slow head is " +
    "ended with a 408 after 15 s: each measurement is shorter than that. Where connections stand in line (`maxQueue` " +
    "1000) the deadline of one begins when its turn comes.",
  measure: (lab, contestant) =>
    lab.withServer(contestant, {}, (server) =>
      lab.withAttack(server, async (grow) => {
        const rounds: Round[] = [];
        for (const size of lab.isQuick ? [1_000] : [POOL_WORKERS, 1_000, 10_000]) {
          const { open } = await grow(Math.min(size, openFileLimit() - OTHER_FILES));
          const times = { warmUpSeconds: 0.2, seconds: lab.isQuick ? 1 : 3, lingerSeconds: 1 };
          const flows = [lab.light({ perSecond: PROBES_PER_SECOND }, "fresh")];
          rounds.push(await lab.round(server, flows, times, { open }, [], `${size} slow`));
        }
        return rounds;
      })),
  columns: {
    "answered within 1 s": (round) => percent(inTime(round)),
    ...latencyOf("light"),
    ...fateOf("light"),
    "slow ones open": ({ facts }) => String(facts.open),
    "peak MiB": peak,
    "client CPU": clientCpu,
  },
  chart: {
    title: "Well-behaved requests answered within a second, during an attack with slow heads",
    subtitle: "Percentage of the requests sent; beside it the 99th percentile of their latency.",
    scale: "percent",
    unit: "%",
  },
  mark(round) {
    const { refused, cut, sent } = round.load.flows.light;
    const note = refused + cut === sent ? ": all refused" : `, ${p99Of(round, "light")}`;
    return { to: 100 * inTime(round), note: percent(inTime(round)) + note };
  },
};

const OVERLOAD: Experiment = {
  name: "overload",
  title: "Twice the capacity",
  contestants: ["blocking", "pool-8-threads", "event-driven", "event-driven-bounded", "hybrid"],
  quick: ["event-driven-bounded", "hybrid"],
  text: `Each handler computes for ${COMPUTE_MS} ms. The capacity of each model is measured with ${CAPACITY_CLIENTS} ` +
    `clients; then requests come at random at ${TIMES_CAPACITY} times that rate, each on a new connection, whether or ` +
    "not the earlier ones are answered. A line (`maxQueue`, and `maxConnections` where named) is bounded to what " +
    `${LINE_SECONDS} s of capacity empties: into the default of 1000 the surplus of ten seconds would fit and no 503 be ` +
    `seen. Beside them come ${HEALTH_PER_SECOND} requests in a second for the health path, and ${HALVES_PER_SECOND} ` +
    `connections on which half a head comes: their 408 is late by what it comes behind \`headersTimeout\`, here ` +
    `${HEADERS_TIMEOUT_MS} ms.`,
  async measure(lab, contestant) {
    const capacity = await capacityOf(lab, contestant);
    const bound = contestant === "event-driven" ? 0 : Math.ceil(capacity * LINE_SECONDS);
    const limit = contestant === "event-driven-bounded" ? "maxConnections" : "maxQueue";
    return await lab.withServer(contestant, {
      headersTimeout: HEADERS_TIMEOUT_MS,
      ...bound > 0 && { [limit]: bound },
    }, async (server) => {
      const flows = [
        lab.heavy({ perSecond: TIMES_CAPACITY * capacity }, "fresh"),
        lab.health(HEALTH_PER_SECOND, "fresh"),
        {
          name: "half",
          request: HALF_HEAD,
          status: 408,
          expected: null,
          arrivals: { perSecond: HALVES_PER_SECOND },
          connections: "fresh",
        } as const,
      ];
      const [seconds, lingerSeconds] = lab.isQuick ? [1.5, 1.5] : [8, 2];
      return [await lab.round(server, flows, { warmUpSeconds: 0.5, seconds, lingerSeconds }, { capacity, bound })];
    });
  },
  columns: {
    "capacity/s": ({ facts }) => rate(facts.capacity),
    "bound": ({ facts }) => facts.bound === 0 ? "none" : String(facts.bound),
    ...fateOf("heavy"),
    ...latencyOf("heavy", "200 "),
    "503 p99 ms": ({ load }) => formatMs(load.flows.heavy.refusal?.p99),
    "health answered": ({ load }) => percent(shareOf(load.flows.health.answered, load.flows.health)),
    "health p99 ms": ({ load }) => formatMs(load.flows.health.latency?.p99),
    "408 late p99 ms": ({ load }) => formatMs(lateness(load.flows.half.latency?.p99)),
    "peak MiB": peak,
    "client CPU": clientCpu,
  },
  chart: {
    title: "Latency of the accepted requests at twice the capacity",
    subtitle: "From the median (hollow) to the 99th percentile (full); beside it 503s and peak memory.",
    ...LATENCY_AXIS,
  },
  mark(round) {
    const { refused, cut } = round.load.flows.heavy;
    const share = percent(shareOf(refused + cut, round.load.flows.heavy));
    return { ...spanOf(round, "heavy"), note: `${p99Of(round, "heavy")}, ${share} refused, ${peak(round)} MiB` };
  },
};

/** What a 408 comes behind its time. */
function lateness(quantile: Quantile | undefined): Quantile | undefined {
  return quantile && { ...quantile, ms: quantile.ms - HEADERS_TIMEOUT_MS };
}

/** On a server of its own, so that the one under overload has its bound from the start and its peak for itself. */
async function capacityOf(lab: Lab, contestant: ContestantName): Promise<number> {
  const flows: FlowSpec[] = [lab.heavy({ clients: CAPACITY_CLIENTS }, "fresh")];
  const times: FlowTimes = { warmUpSeconds: 0.5, seconds: lab.isQuick ? 0.7 : 1.5, lingerSeconds: 0 };
  const { load } = await lab.withServer(contestant, {}, (server) => lab.round(server, flows, times));
  const perSecond = answeredPerSecond(load, "heavy");
  if (perSecond === 0) throw new Error("The capacity could not be measured: no request was answered.");
  return perSecond;
}

/** How many files a program may be allowed to have open, which is what server and attackers raise theirs to. */
function openFileLimit(): number {
  const limit = /^Max open files\s+\d+\s+(\d+)/m.exec(Deno.readTextFileSync("/proc/self/limits"))?.[1];
  return Number(limit ?? 1024);
}

/** Every experiment, in the order in which they are made. */
export const EXPERIMENTS: readonly Experiment[] = [LATENCY, CPU, SLOW, OVERLOAD];
