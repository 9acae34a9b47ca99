/**
 * Whether a client that behaves is served while others send their request heads byte by byte.
 *
 * @module
 */

import { type Contestant, CONTESTANTS, POOL_WORKERS } from "./contestants.ts";
import type { Experiment, Round } from "./experiment.ts";
import { formatMiB, formatMs, formatShare } from "./format.ts";
import { type Lab, shareOf } from "./lab.ts";

/** What is not a slow connection and takes descriptors as well. */
const OTHER_FILES = 1_000;
const SIZES = [POOL_WORKERS, 1_000, 10_000];
const PROBES_PER_SECOND = 50;

const { blocking, hybrid, ...others } = CONTESTANTS;
const contestants = [blocking, others["pool-8"], others["event-driven"], hybrid];

/** The experiment. */
export const ATTACK: Experiment = {
  name: "attack",
  title: "An attack with slow heads",
  contestants,
  quickContestants: contestants,
  describe: (isQuick) =>
    "Attackers hold connections on which a request head comes at one byte in 5 s, and open them again when the server " +
    `has ended them. Meanwhile ${PROBES_PER_SECOND} well-behaved requests in a second come at random, each on a new ` +
    `connection, for ${
      secondsOf(isQuick)
    } s and a second more to be answered. All limits are at their defaults, so that a ` +
    "slow head is ended with a 408 after 15 s: each measurement is shorter than that. Where connections stand in line " +
    "(`maxQueue` 1000) the deadline of one begins when its turn comes.",
  measure,
  orderOf: ({ load }) => load.flows.light.answeredWithinSecond,
  columns: [
    { title: "answered within 1 s", of: (round) => formatShare(answeredInTime(round)) },
    { title: "p50 ms", of: ({ load }) => formatMs(load.flows.light.latency?.p50) },
    { title: "p99 ms", of: ({ load }) => formatMs(load.flows.light.latency?.p99) },
    { title: "requests", of: ({ load }) => String(load.flows.light.sent) },
    { title: "refused", of: ({ load }) => String(load.flows.light.refused) },
    { title: "cut off", of: ({ load }) => String(load.flows.light.cut) },
    { title: "unanswered", of: ({ load }) => String(load.flows.light.unanswered) },
    { title: "slow ones open", of: ({ facts }) => String(facts.open) },
    { title: "peak MiB", of: ({ peakBytes }) => formatMiB(peakBytes) },
    { title: "client CPU", of: ({ load }) => formatShare(load.clientCpuShare) },
  ],
  chart: {
    title: "Well-behaved requests answered within a second, during an attack with slow heads",
    subtitle: "Percentage of the requests sent; beside it the 99th percentile of their latency.",
    scale: "percent",
    unit: "%",
    mark: (round) => ({
      from: null,
      to: 100 * answeredInTime(round),
      ceiling: null,
      note: noteOf(round),
    }),
  },
};

function answeredInTime({ load }: Round): number {
  return shareOf(load.flows.light.answeredWithinSecond, load.flows.light);
}

function noteOf(round: Round): string {
  const { refused, cut, sent, latency } = round.load.flows.light;
  const share = formatShare(answeredInTime(round));
  if (refused + cut === sent) return `${share}: all refused`;
  return `${share}, p99 ${formatMs(latency?.p99)} ms`;
}

function secondsOf(isQuick: boolean): number {
  return isQuick ? 1 : 3;
}

function measure(lab: Lab, contestant: Contestant): Promise<Round[]> {
  const room = openFileLimit() - OTHER_FILES;
  const sizes = (lab.isQuick ? [1_000] : SIZES).map((size) => Math.min(size, room));
  return lab.withServer(contestant, {}, (running) =>
    lab.withAttack(running.server, async (grow) => {
      const rounds: Round[] = [];
      for (const size of sizes) {
        const { open } = await grow(size);
        const load = await lab.load(running.server, {
          flows: [lab.light({ perSecond: PROBES_PER_SECOND }, "fresh")],
          warmUpSeconds: 0.2,
          seconds: secondsOf(lab.isQuick),
          lingerSeconds: 1,
        });
        rounds.push(await lab.roundOf(running, load, { size, open }, [], `${size} slow`));
      }
      return rounds;
    }));
}

/** How many files a program may be allowed to have open, which is what server and attackers raise theirs to. */
function openFileLimit(): number {
  const limit = /^Max open files\s+\d+\s+(\d+)/m.exec(Deno.readTextFileSync("/proc/self/limits"))?.[1];
  return Number(limit ?? 1024);
}
