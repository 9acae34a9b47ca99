/**
 * What becomes of requests that come twice as fast as they can be answered.
 *
 * @module
 */

import { type Contestant, CONTESTANTS } from "./contestants.ts";
import type { Experiment, Round } from "./experiment.ts";
import { formatMiB, formatMs, formatRate, formatShare } from "./format.ts";
import { answeredPerSecond, COMPUTE_MS, type Lab, shareOf } from "./lab.ts";

const TIMES_CAPACITY = 2;
/** What the bound of a line is worth, at full capacity. */
const LINE_SECONDS = 1;
/** Enough to keep every core busy. With many more, a loop would answer in bursts longer than it is measured. */
const CAPACITY_CLIENTS = 2 * navigator.hardwareConcurrency;
const HEALTH_PER_SECOND = 20;
const LINGER_SECONDS = 2;

const { blocking, hybrid, ...others } = CONTESTANTS;
const threads = others["pool-8-threads"];
const oneLoop = others["event-driven"];
/** Its only bound is on connections, and there is none unless it is set. */
const bounded: Contestant = { ...oneLoop, name: "event-driven-bounded", title: "event-driven, maxConnections" };

/** The experiment. */
export const OVERLOAD: Experiment = {
  name: "overload",
  title: "Twice the capacity",
  contestants: [blocking, threads, oneLoop, bounded, hybrid],
  quickContestants: [bounded, hybrid],
  describe: (isQuick) =>
    `Each handler computes for ${COMPUTE_MS} ms. The capacity of each model is measured with ${CAPACITY_CLIENTS} clients; ` +
    `then requests come at random at ${TIMES_CAPACITY} times that rate for ${secondsOf(isQuick)} s, each on a new ` +
    "connection, whether or not the earlier ones are answered. A line (`maxQueue`, and `maxConnections` where named) is " +
    `bounded to what ${LINE_SECONDS} s of capacity empties: with the default of 1000 the surplus of ten seconds would ` +
    `fit into it and no 503 be seen. Requests for the health path come beside them, ${HEALTH_PER_SECOND} in a second. ` +
    `After the end ${LINGER_SECONDS} s are waited for answers.`,
  measure,
  orderOf: ({ load }) => load.flows.heavy.latency?.p99.ms ?? Infinity,
  columns: [
    { title: "capacity/s", of: ({ facts }) => formatRate(facts.capacityPerSecond) },
    { title: "bound", of: ({ facts }) => facts.bound === 0 ? "none" : String(facts.bound) },
    { title: "requests", of: ({ load }) => String(load.flows.heavy.sent) },
    { title: "200", of: ({ load }) => String(load.flows.heavy.answered) },
    { title: "503", of: ({ load }) => String(load.flows.heavy.refused) },
    { title: "cut off", of: ({ load }) => String(load.flows.heavy.cut) },
    { title: "unanswered", of: ({ load }) => String(load.flows.heavy.unanswered) },
    { title: "200 p50 ms", of: ({ load }) => formatMs(load.flows.heavy.latency?.p50) },
    { title: "200 p99 ms", of: ({ load }) => formatMs(load.flows.heavy.latency?.p99) },
    { title: "503 p99 ms", of: ({ load }) => formatMs(load.flows.heavy.refusal?.p99) },
    { title: "health answered", of: ({ load }) => formatShare(shareOf(load.flows.health.answered, load.flows.health)) },
    { title: "health p99 ms", of: ({ load }) => formatMs(load.flows.health.latency?.p99) },
    { title: "peak MiB", of: ({ peakBytes }) => formatMiB(peakBytes) },
    { title: "client CPU", of: ({ load }) => formatShare(load.clientCpuShare) },
  ],
  chart: {
    title: "Latency of the accepted requests at twice the capacity",
    subtitle:
      "From the median (hollow) to the 99th percentile (full), for ten seconds; beside it 503s and peak memory.",
    scale: "logarithmic",
    unit: "ms",
    mark: ({ load, peakBytes }) => {
      const { latency, refused, cut } = load.flows.heavy;
      return {
        from: latency?.p50.ms ?? null,
        to: latency?.p99.ms ?? null,
        ceiling: null,
        note: `p99 ${formatMs(latency?.p99)} ms, ${formatShare(shareOf(refused + cut, load.flows.heavy))} refused, ` +
          `${formatMiB(peakBytes)} MiB`,
      };
    },
  },
};

function secondsOf(isQuick: boolean): number {
  return isQuick ? 1.5 : 10;
}

async function measure(lab: Lab, contestant: Contestant): Promise<Round[]> {
  const capacityPerSecond = await measureCapacity(lab, contestant);
  const line = Math.ceil(capacityPerSecond * LINE_SECONDS);
  const bound = contestant.name === oneLoop.name ? 0 : line;
  const options: Record<string, number> = {};
  if (contestant.name === bounded.name) options.maxConnections = bound;
  else if (bound > 0) options.maxQueue = bound;
  const arrivalsPerSecond = TIMES_CAPACITY * capacityPerSecond;
  return await lab.withServer(contestant, options, async (running) => {
    const load = await lab.load(running.server, {
      flows: [lab.heavy({ perSecond: arrivalsPerSecond }, "fresh"), lab.health(HEALTH_PER_SECOND, "fresh")],
      warmUpSeconds: 0.5,
      seconds: secondsOf(lab.isQuick),
      lingerSeconds: lab.isQuick ? 0.5 : LINGER_SECONDS,
    });
    return [await lab.roundOf(running, load, { capacityPerSecond, arrivalsPerSecond, bound }, [])];
  });
}

/** A server of its own, so that the one under overload has its bound from the start and its peak for itself. */
function measureCapacity(lab: Lab, contestant: Contestant): Promise<number> {
  return lab.withServer(contestant, {}, async ({ server }) => {
    const load = await lab.load(server, {
      flows: [lab.heavy({ clients: CAPACITY_CLIENTS }, "fresh")],
      warmUpSeconds: lab.isQuick ? 0.3 : 0.5,
      seconds: lab.isQuick ? 0.7 : 2,
      lingerSeconds: 0,
    });
    const perSecond = answeredPerSecond(load, "heavy");
    if (perSecond === 0) throw new Error("The capacity could not be measured: no request was answered.");
    return perSecond;
  });
}
