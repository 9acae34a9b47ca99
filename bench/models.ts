/**
 * The lab: the four concurrency models under the same loads, so that one can choose.
 *
 * Usage: `deno task models [--quick] [--runtime=deno] [--only=latency,cpu,attack,overload] [--case=hybrid] [--rounds=1]
 * [--name=models]`. Of more rounds than one the middle one is shown. Results are
 * written when a name is given. It fails when an answer was wrong or a model could not be measured. It needs Linux.
 */

import { formatMs } from "./clients/flow.ts";
import type { HolderReport } from "./clients/holder.ts";
import {
  answeredPerSecond,
  CLIENTS,
  COMPUTE_MS,
  type ContestantName,
  CONTESTANTS,
  health,
  Lab,
  light,
  POOL_WORKERS,
  type Round,
  shareOf,
  WAIT_MS,
  WAITING,
} from "./models/lab.ts";
import { startClient } from "./processes.ts";
import { runExperiments, runProgram } from "./program.ts";
import { type Experiment, mib, nameOf, percent, problemsOf, sectionOf, type Trial } from "./report.ts";

interface Plan extends Omit<Experiment, "cases"> {
  readonly contestants: readonly ContestantName[];
  /** Of a quick run, where it has fewer. */
  readonly quick?: readonly ContestantName[];
  measure(lab: Lab, contestant: ContestantName): Promise<Trial[]>;
}

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
const LATENCY_AXIS = { unit: "ms, logarithmic", scale: "logarithmic" } as const;

const rate = (perSecond: number): string => perSecond < 100 ? perSecond.toFixed(1) : String(Math.round(perSecond));
const p99Of = ({ load }: Round, flow: string): string => formatMs(load.flows[flow].latency?.p99);
const latencyOf = ({ load }: Round, flow: string, prefix = "") => ({
  [`${prefix}p50 ms`]: formatMs(load.flows[flow].latency?.p50),
  [`${prefix}p99 ms`]: formatMs(load.flows[flow].latency?.p99),
});
const fateOf = ({ load }: Round, flow: string) => {
  const { sent: requests, answered, refused, cut, unanswered } = load.flows[flow];
  return { requests, answered, refused, "cut off": cut, unanswered };
};
const costOf = ({ load, peakBytes }: Round) => ({
  "peak MiB": mib(peakBytes),
  "server CPU": percent(load.serverCpuShare),
  "client CPU": percent(load.clientCpuShare),
});
/** From the median to the 99th percentile of a flow's latency. */
const spanOf = ({ load }: Round, flow: string) => {
  const { latency } = load.flows[flow];
  return { from: latency?.p50.ms ?? null, to: latency?.p99.ms ?? null };
};
/** A round as it is shown, in figures and in the chart. */
const trialOf = ({ load, problems }: Round, figures: Trial["figures"], mark: Trial["mark"]): Trial => (
  { figures, mark, problems, details: load }
);

const LATENCY: Plan = {
  name: "latency",
  title: `${CLIENTS} clients, a handler that waits for ${WAIT_MS} ms`,
  contestants: ["blocking", "pool-8", "pool-32", "event-driven", "event-driven-all", "hybrid"],
  quick: ["blocking", "pool-8", "event-driven", "hybrid"],
  text:
    `${CLIENTS} clients, each with one connection, which it opens again when the server closes it. The ceiling is ` +
    `the number of handlers that may wait at the same time, divided by ${WAIT_MS} ms. The latency is the clients': with ` +
    "`blocking` and `worker-pool` it is the time in line. A client that still waits at the end counts with what it has " +
    "waited, so that a quantile may be known only as more than that.",
  async measure(lab, contestant) {
    await using server = await lab.start(contestant);
    const times = { warmUpSeconds: lab.isQuick ? 0.5 : 1, seconds: lab.isQuick ? 1 : 4, lingerSeconds: 0 };
    const ceiling = Math.min(CLIENTS, CONTESTANTS[contestant].handlersAtOnce ?? CLIENTS) * 1000 / WAIT_MS;
    const round = await lab.round(server, { waiting: WAITING }, times, ["waiting"]);
    const perSecond = answeredPerSecond(round.load, "waiting");
    const reached = percent(perSecond / ceiling);
    const figures = {
      "requests/s": rate(perSecond),
      ceiling: String(ceiling),
      reached,
      answered: String(round.load.flows.waiting.answered),
      refused: String(round.load.flows.waiting.refused),
      ...latencyOf(round, "waiting"),
      ...costOf(round),
    };
    const note = `${rate(perSecond)}, ${reached} of ceiling, p99 ${p99Of(round, "waiting")} ms`;
    return [trialOf(round, figures, { to: perSecond, ceiling, note })];
  },
  chart: {
    title: `Requests per second: ${CLIENTS} clients, a handler that waits for ${WAIT_MS} ms`,
    subtitle: "The stroke is the ceiling: handlers that may wait at the same time, divided by their latency.",
    scale: "logarithmic",
    unit: "requests/s, logarithmic",
  },
};

const CPU: Plan = {
  name: "cpu",
  title: `Light requests beside ${COMPUTE_MS} ms of computing`,
  contestants: ["blocking", "pool-8", "pool-8-threads", "event-driven", "event-driven-all", "hybrid"],
  quick: ["blocking", "pool-8-threads", "event-driven", "hybrid"],
  text: `${HEAVY_CLIENTS} clients send one request after another whose handler computes a hash for ${COMPUTE_MS} ms ` +
    `(calibrated on an idle core). Beside them ${LIGHT_PER_SECOND} light requests in a second come at random (Poisson), ` +
    `and ${HEALTH_PER_SECOND} requests for the health path, which the server answers without the handler; connections ` +
    "are kept where the server keeps them. Latency counts from when a request was due.",
  async measure(lab, contestant) {
    await using server = await lab.start(contestant);
    const flows = {
      heavy: lab.heavy({ clients: HEAVY_CLIENTS }, "kept"),
      light: light({ perSecond: LIGHT_PER_SECOND }, "kept"),
      health: health(HEALTH_PER_SECOND, "kept"),
    };
    const times = { warmUpSeconds: 0.5, seconds: lab.isQuick ? 1 : 4, lingerSeconds: 1 };
    const round = await lab.round(server, flows, times, ["light", "heavy", "health"]);
    const { light: { answered, sent }, heavy } = round.load.flows;
    const figures = {
      ...latencyOf(round, "light", "light "),
      "light answered": `${answered} of ${sent}`,
      "heavy answered": String(heavy.answered),
      ...latencyOf(round, "heavy", "heavy "),
      ...latencyOf(round, "health", "health "),
      ...costOf(round),
    };
    const note = `p99 ${p99Of(round, "light")} ms, ${heavy.answered} heavy ones done`;
    return [trialOf(round, figures, { ...spanOf(round, "light"), note })];
  },
  chart: {
    title: `Latency of light requests beside handlers that compute for ${COMPUTE_MS} ms`,
    subtitle: "From the median (hollow) to the 99th percentile (full). Less is better.",
    ...LATENCY_AXIS,
  },
};

const SLOW: Plan = {
  name: "attack",
  title: "An attack with slow heads",
  contestants: ["blocking", "pool-8", "event-driven", "hybrid"],
  text: "Attackers hold connections on which a request head comes at one byte in 5 s, and open them again when the " +
    `server has ended them. Meanwhile ${PROBES_PER_SECOND} well-behaved requests in a second come at random, each on a ` +
    "new connection, for 3 s and a second more to be answered. All limits are at their defaults, so that a slow head is " +
    "ended with a 408 after 15 s: each measurement is shorter than that. Where connections stand in line (`maxQueue` " +
    "1000) the deadline of one begins when its turn comes.",
  async measure(lab, contestant) {
    await using server = await lab.start(contestant);
    await using attackers = startClient("holder.ts", server.port, "slow");
    const trials: Trial[] = [];
    for (const size of lab.isQuick ? [1_000] : [POOL_WORKERS, 1_000, 10_000]) {
      const openFileLimit = /^Max open files\s+\d+\s+(\d+)/m.exec(Deno.readTextFileSync("/proc/self/limits"))?.[1];
      const count = Math.min(size, Number(openFileLimit ?? 1024) - OTHER_FILES);
      const { open } = await attackers.ask<HolderReport>(`grow ${count}`);
      const times = { warmUpSeconds: 0.2, seconds: lab.isQuick ? 1 : 3, lingerSeconds: 1 };
      const flows = { light: light({ perSecond: PROBES_PER_SECOND }, "fresh") };
      const round = await lab.round(server, flows, times);
      const { answeredWithinSecond, refused, cut, sent } = round.load.flows.light;
      const inTime = shareOf(answeredWithinSecond, round.load.flows.light);
      const figures = {
        "answered within 1 s": percent(inTime),
        ...latencyOf(round, "light"),
        ...fateOf(round, "light"),
        "slow ones open": String(open),
        ...costOf(round),
      };
      const note = percent(inTime) + (refused + cut === sent ? ": all refused" : `, p99 ${p99Of(round, "light")} ms`);
      const title = `${CONTESTANTS[contestant].title}, ${size} slow`;
      trials.push({ title, ...trialOf(round, figures, { to: 100 * inTime, note }) });
    }
    return trials;
  },
  chart: {
    title: "Well-behaved requests answered within a second, during an attack with slow heads",
    subtitle: "Percentage of the requests sent; beside it the 99th percentile of their latency.",
    scale: "percent",
    unit: "%",
  },
};

const OVERLOAD: Plan = {
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
    const flows = {
      heavy: lab.heavy({ perSecond: TIMES_CAPACITY * capacity }, "fresh"),
      health: health(HEALTH_PER_SECOND, "fresh"),
      half: { ...light({ perSecond: HALVES_PER_SECOND }, "fresh"), request: HALF_HEAD, status: 408, expected: null },
    };
    const [seconds, lingerSeconds] = lab.isQuick ? [1.5, 1.5] : [8, 2];
    const times = { warmUpSeconds: 0.5, seconds, lingerSeconds };
    const options = { headersTimeout: HEADERS_TIMEOUT_MS, ...bound > 0 && { [limit]: bound } };
    await using server = await lab.start(contestant, options);
    const round = await lab.round(server, flows, times);
    const { heavy, health: healthy, half } = round.load.flows;
    const figures = {
      "capacity/s": rate(capacity),
      bound: bound === 0 ? "none" : String(bound),
      ...fateOf(round, "heavy"),
      ...latencyOf(round, "heavy", "200 "),
      "503 p99 ms": formatMs(heavy.refusal?.p99),
      "health answered": percent(shareOf(healthy.answered, healthy)),
      "health p99 ms": p99Of(round, "health"),
      "408 late p99 ms": formatMs(half.latency?.p99, -HEADERS_TIMEOUT_MS),
      ...costOf(round),
    };
    const share = percent(shareOf(heavy.refused + heavy.cut, heavy));
    const note = `p99 ${p99Of(round, "heavy")} ms, ${share} refused, ${mib(round.peakBytes)} MiB`;
    return [trialOf(round, figures, { ...spanOf(round, "heavy"), note })];
  },
  chart: {
    title: "Latency of the accepted requests at twice the capacity",
    subtitle: "From the median (hollow) to the 99th percentile (full); beside it 503s and peak memory.",
    ...LATENCY_AXIS,
  },
};

/** On a server of its own, so that the one under overload has its bound from the start and its peak for itself. */
async function capacityOf(lab: Lab, contestant: ContestantName): Promise<number> {
  const flows = { heavy: lab.heavy({ clients: CAPACITY_CLIENTS }, "fresh") };
  const times = { warmUpSeconds: 0.5, seconds: lab.isQuick ? 0.7 : 1.5, lingerSeconds: 0 };
  await using server = await lab.start(contestant);
  const { load } = await lab.round(server, flows, times);
  const perSecond = answeredPerSecond(load, "heavy");
  if (perSecond === 0) throw new Error("The capacity could not be measured: no request was answered.");
  return perSecond;
}

const PLANS: readonly Plan[] = [LATENCY, CPU, SLOW, OVERLOAD];

/** A round in which everything else took more than this part of a core is called disturbed. */
const DISTURBED_SHARE = 0.3;

await runProgram({ rounds: 1 }, async ({ quick, rounds }, site) => {
  const labs = new Map(site.runtimes.map((runtime) => [runtime.name, new Lab(runtime, quick)]));
  for (const lab of labs.values()) site.say(`${lab.runtime.title}: ${(await lab.setUp()).join(", ")}`);
  const experiments = PLANS.map((plan): Experiment => ({
    ...plan,
    cases: (quick && plan.quick || plan.contestants).map((name) => ({
      title: CONTESTANTS[name].title,
      run: (runtime) => plan.measure(labs.get(runtime.name)!, name),
    })),
  }));
  const rows = await runExperiments(experiments, site, { rounds });
  const measured = rows.flatMap((row) => row.details === undefined ? [] : { row, load: row.details as Round["load"] });
  const client = [...labs.values()].map(({ runtime, setUpFigures }) => {
    const loads = measured.filter(({ row }) => row.runtime === runtime.name).map(({ load }) => load);
    const answered = loads.map(({ flows, seconds }) =>
      Object.values(flows).reduce((sum, { answered, refused }) => sum + answered + refused, 0) / seconds
    );
    const shares = [loads.map((load) => load.clientCpuShare), loads.map((load) => load.otherCpuShare)];
    const most = shares.map((each) => percent(Math.max(0, ...each)));
    return [runtime.title, ...setUpFigures, String(Math.round(Math.max(0, ...answered))), ...most];
  });
  const disturbed = measured.filter(({ load }) => load.otherCpuShare > DISTURBED_SHARE).map(({ row }) => nameOf(row));
  const limits = {
    title: "Whether the client limits the figures",
    text:
      "What it reaches against a listener on raw TCP that parses nothing, with the same connections, and at most in " +
      "these experiments; shares are of one core. " +
      (disturbed.length === 0 ? "" : `Others used the machine meanwhile in ${disturbed.join("; ")}.`),
    head: ["", "requests/s, raw TCP", "its CPU", "rounds of the hash", "most requests/s", "its CPU", "others' CPU"],
    rows: client,
  };
  const method = rounds === 1 ? "One round of each." : `The middle one of ${rounds} rounds of each.`;
  const sections = [...experiments.map((each) => sectionOf(each, rows)), limits];
  return { title: "The models compared", method, sections, problems: problemsOf(rows), figures: rows };
});
