/**
 * What requests that compute do to those that don't.
 *
 * @module
 */

import { type Contestant, CONTESTANTS } from "./contestants.ts";
import type { Experiment, Round } from "./experiment.ts";
import { formatMiB, formatMs, formatShare } from "./format.ts";
import { COMPUTE_MS, type Lab } from "./lab.ts";

/** Clients that compute: as many as keep every core busy. */
const HEAVY_CLIENTS = Math.min(4, navigator.hardwareConcurrency);
const LIGHT_PER_SECOND = 100;
const HEALTH_PER_SECOND = 20;

const { blocking, hybrid, ...others } = CONTESTANTS;
const oneLoop = others["event-driven"];
const threads = others["pool-8-threads"];

/** The experiment. */
export const CPU: Experiment = {
  name: "cpu",
  title: `Light requests beside ${COMPUTE_MS} ms of computing`,
  contestants: [blocking, others["pool-8"], threads, oneLoop, others["event-driven-all"], hybrid],
  quickContestants: [blocking, threads, oneLoop, hybrid],
  describe: (isQuick) =>
    `${HEAVY_CLIENTS} clients send one request after another whose handler computes a hash for ${COMPUTE_MS} ms (calibrated on an ` +
    `idle core). Beside them ${LIGHT_PER_SECOND} light requests in a ` +
    `second come at random (Poisson), and ${HEALTH_PER_SECOND} requests for the health path, which the server answers ` +
    `without the handler; connections are kept where the server keeps them. Measured for ${
      secondsOf(isQuick)
    } s. Latency ` +
    "counts from when a request was due.",
  measure,
  orderOf: ({ load }) => load.flows.light.latency?.p99.ms ?? Infinity,
  columns: [
    { title: "light p50 ms", of: ({ load }) => formatMs(load.flows.light.latency?.p50) },
    { title: "light p99 ms", of: ({ load }) => formatMs(load.flows.light.latency?.p99) },
    { title: "light answered", of: ({ load }) => `${load.flows.light.answered} of ${load.flows.light.sent}` },
    { title: "heavy answered", of: ({ load }) => String(load.flows.heavy.answered) },
    { title: "heavy p50 ms", of: ({ load }) => formatMs(load.flows.heavy.latency?.p50) },
    { title: "health p50 ms", of: ({ load }) => formatMs(load.flows.health.latency?.p50) },
    { title: "health p99 ms", of: ({ load }) => formatMs(load.flows.health.latency?.p99) },
    { title: "peak MiB", of: ({ peakBytes }) => formatMiB(peakBytes) },
    { title: "server CPU", of: ({ load }) => formatShare(load.serverCpuShare) },
    { title: "client CPU", of: ({ load }) => formatShare(load.clientCpuShare) },
  ],
  chart: {
    title: `Latency of light requests beside handlers that compute for ${COMPUTE_MS} ms`,
    subtitle: "From the median (hollow) to the 99th percentile (full). Less is better.",
    scale: "logarithmic",
    unit: "ms",
    mark: ({ load }) => {
      const { latency } = load.flows.light;
      return {
        from: latency?.p50.ms ?? null,
        to: latency?.p99.ms ?? null,
        ceiling: null,
        note: `p99 ${formatMs(latency?.p99)} ms, ${load.flows.heavy.answered} heavy ones done`,
      };
    },
  },
};

function secondsOf(isQuick: boolean): number {
  return isQuick ? 1 : 5;
}

function measure(lab: Lab, contestant: Contestant): Promise<Round[]> {
  return lab.withServer(contestant, {}, async (running) => {
    const load = await lab.load(running.server, {
      flows: [
        lab.heavy({ clients: HEAVY_CLIENTS }, "kept"),
        lab.light({ perSecond: LIGHT_PER_SECOND }, "kept"),
        lab.health(HEALTH_PER_SECOND, "kept"),
      ],
      warmUpSeconds: 0.5,
      seconds: secondsOf(lab.isQuick),
      lingerSeconds: 1,
    });
    return [await lab.roundOf(running, load, { computeRounds: lab.computeRounds }, ["light", "heavy", "health"])];
  });
}
