/**
 * How far each model comes with a thousand clients and a handler that waits for a tenth of a second.
 *
 * @module
 */

import { type Contestant, CONTESTANTS } from "./contestants.ts";
import type { Experiment, Round } from "./experiment.ts";
import { formatMiB, formatMs, formatRate, formatShare } from "./format.ts";
import { answeredPerSecond, type Lab } from "./lab.ts";
import { WAIT_MS } from "./work.ts";

/** Clients that keep their connection and send the next request when the last one is answered. */
export const CLIENTS = 1_000;

const { blocking, hybrid, ...others } = CONTESTANTS;
const oneLoop = others["event-driven"];

/** The experiment. */
export const LATENCY: Experiment = {
  name: "latency",
  title: `${CLIENTS} clients, a handler that waits for ${WAIT_MS} ms`,
  contestants: [blocking, others["pool-8"], others["pool-32"], oneLoop, others["event-driven-all"], hybrid],
  quickContestants: [blocking, others["pool-8"], oneLoop, hybrid],
  describe: (isQuick) =>
    `${CLIENTS} clients, each with one connection, which it opens again when the server closes it. The ceiling is the ` +
    `number of handlers that may wait at the same time, divided by ${WAIT_MS} ms. Measured for ${
      secondsOf(isQuick)
    } s after ` +
    "a warm-up. The latency is the clients': with `blocking` and `worker-pool` it is the time in line. A client that " +
    "still waits at the end counts with what it has waited, so that a quantile may be known only as more than that.",
  measure,
  orderOf: (round) => answeredPerSecond(round.load, "waiting"),
  columns: [
    { title: "requests/s", of: ({ load }) => formatRate(answeredPerSecond(load, "waiting")) },
    { title: "ceiling", of: ({ facts }) => String(facts.ceilingPerSecond) },
    { title: "reached", of: (round) => formatShare(reached(round)) },
    { title: "answered", of: ({ load }) => String(load.flows.waiting.answered) },
    { title: "refused", of: ({ load }) => String(load.flows.waiting.refused) },
    { title: "p50 ms", of: ({ load }) => formatMs(load.flows.waiting.latency?.p50) },
    { title: "p99 ms", of: ({ load }) => formatMs(load.flows.waiting.latency?.p99) },
    { title: "peak MiB", of: ({ peakBytes }) => formatMiB(peakBytes) },
    { title: "server CPU", of: ({ load }) => formatShare(load.serverCpuShare) },
    { title: "client CPU", of: ({ load }) => formatShare(load.clientCpuShare) },
  ],
  chart: {
    title: `Requests per second: ${CLIENTS} clients, a handler that waits for ${WAIT_MS} ms`,
    subtitle: "The stroke is the ceiling: handlers that may wait at the same time, divided by their latency.",
    scale: "logarithmic",
    unit: "requests/s",
    mark: (round) => ({
      from: null,
      to: answeredPerSecond(round.load, "waiting"),
      ceiling: round.facts.ceilingPerSecond,
      note: `${formatRate(answeredPerSecond(round.load, "waiting"))}, ${formatShare(reached(round))} of ceiling, ` +
        `p99 ${formatMs(round.load.flows.waiting.latency?.p99)} ms`,
    }),
  },
};

function reached({ load, facts }: Round): number {
  return answeredPerSecond(load, "waiting") / facts.ceilingPerSecond;
}

function secondsOf(isQuick: boolean): number {
  return isQuick ? 1 : 4;
}

function measure(lab: Lab, contestant: Contestant): Promise<Round[]> {
  return lab.withServer(contestant, {}, async (running) => {
    const load = await lab.load(running.server, {
      flows: [lab.waiting(CLIENTS)],
      warmUpSeconds: lab.isQuick ? 0.5 : 1,
      seconds: secondsOf(lab.isQuick),
      lingerSeconds: 0,
    });
    const ceilingPerSecond = Math.min(CLIENTS, contestant.handlersAtOnce ?? CLIENTS) * 1000 / WAIT_MS;
    return [await lab.roundOf(running, load, { ceilingPerSecond }, ["waiting"])];
  });
}
