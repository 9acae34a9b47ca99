/**
 * Attacks on threads: handlers that compute, fail behind their response, or eat memory.
 *
 * @module
 */

import { setTimeout as rest } from "node:timers/promises";
import { type FlowSpec, runFlows } from "../clients/flow.ts";
import { type Attack, contentOf } from "./attack_site.ts";

const LIGHT = 40;
const SPIN_MS = 1_000;

/** An attack on threads, of which there are two under the model hybrid unless told. */
function onThreads(attack: Attack): Attack {
  return { takesModule: true, ...attack, options: { model: "hybrid", threads: 2, ...attack.options } };
}

/** A handler that leaves a rejection unhandled, beside others; then many. */
function rejections(model: "hybrid" | "worker-pool"): Attack {
  return {
    part: 7,
    title: `handlers with a floating rejection, ${model}`,
    alsoNative: model === "hybrid",
    options: { model, [model === "hybrid" ? "threads" : "workers"]: 3 },
    takesModule: true,
    allowed: ["200"],
    async run(site) {
      const asking = site.ask("/sleep?400", { count: model === "hybrid" ? 6 : 2 });
      await rest(50);
      const one = await site.ask("/reject");
      const neighbours = await asking;
      const limitMs = site.isQuick ? 6_000 : 20_000;
      const burst = site.ask("/reject", { count: 20, patienceMs: limitMs });
      const recoveredMs = await site.untilServed(limitMs, 2_000, 10);
      return {
        worstWaitMs: recoveredMs,
        answered: `neighbours ${neighbours.answered}; it ${one.names[0]}; burst ${(await burst).answered}`,
        names: neighbours.names,
        late: recoveredMs > 1_000 && `10 in a row were served after ${Math.round(recoveredMs)} ms`,
      };
    },
  };
}

function messages(model: "hybrid" | "worker-pool"): Attack {
  return {
    part: 8,
    title: `a handler that posts a message, ${model}`,
    options: { model, [model === "hybrid" ? "threads" : "workers"]: 2 },
    takesModule: true,
    allowed: ["200"],
    run: (site) => site.ask("/post-message", { count: 5, atOnce: 1, patienceMs: 2_000 }),
  };
}

export const THREAD_ATTACKS: readonly Attack[] = [
  onThreads({
    part: 6,
    title: `${LIGHT} light requests, 20 ms after one of 2 threads began to compute for ${SPIN_MS} ms`,
    maxWaitMs: 100,
    async run(site) {
      const computing = site.ask(`/compute?${SPIN_MS}`);
      await rest(20);
      const light = await site.ask("/hello", { count: LIGHT });
      await computing;
      return { ...light, worstWaitMs: light.waitMs };
    },
  }),
  onThreads({
    part: 6,
    title: "150 light requests to 2 threads that compute, maxQueue 0",
    options: { maxQueue: 0 },
    async run(site) {
      const computing = site.ask(`/compute?${SPIN_MS}`, { count: 2 });
      await rest(50);
      const light = await site.ask("/hello", { count: 150 });
      await computing;
      const accepted = light.names.filter((name) => name === "200").length;
      // One in hand for each thread, which begins it next; and what comes late, when both have computed.
      return { ...light, worstWaitMs: light.waitMs, late: accepted > 2 && `${accepted} were accepted` };
    },
  }),
  // At a steady pace, while one thread computes again and again.
  onThreads({
    part: 6,
    title: "500 light requests a second, beside a thread that computes for 200 ms at a time",
    async run(site) {
      const flow = { expected: null, connections: "kept" } as const;
      const specs: Record<string, FlowSpec> = {
        light: { ...flow, request: "/hello", arrivals: { clients: 10, everyMs: 20 } },
        heavy: { ...flow, request: "/compute?200", arrivals: { clients: 1 } },
      };
      // In it the clients begin, 2 ms after one another.
      const times = { warmUpSeconds: 0.04, seconds: site.isQuick ? 1 : 4, lingerSeconds: 2 };
      const { answered, longestMs, latency } = (await runFlows(site.server, specs, times)).flows.light;
      const p99 = `p99 ${latency?.p99.ms.toFixed(1)} ms`;
      return { worstWaitMs: longestMs, answered: `${answered} light, ${p99}`, late: latency!.p99.ms > 10 && p99 };
    },
  }),
  rejections("hybrid"),
  rejections("worker-pool"),
  messages("hybrid"),
  messages("worker-pool"),
  onThreads({
    part: 9,
    title: "requests that wait for longer than queueTimeout, hybrid",
    options: { threads: 1, queueTimeout: 1_000 },
    maxWaitMs: 2_000,
    allowed: ["503"],
    async run(site) {
      const computing = site.ask("/compute?3000");
      await rest(50);
      const { answered, names, waitMs } = await site.ask("/hello", { count: 5 });
      const others = (await computing).answered;
      return { worstWaitMs: waitMs, answered: `${answered}; the one that computes ${others}`, names };
    },
  }),
  onThreads({
    part: 10,
    title: "200 at a time with maxRequestsPerThread 10",
    options: { threads: 1, maxRequestsPerThread: 10 },
    async run(site) {
      const asked = await site.ask("/calls", { count: site.isQuick ? 40 : 200 });
      const most = Math.max(...asked.outcomes.map((outcome) => Number(contentOf(outcome).split(" ")[1]) || 0));
      const answered = `${asked.answered}, at most ${most} on a thread`;
      return { worstWaitMs: asked.waitMs, answered, violated: most > 10 && `a thread made ${most} calls` };
    },
  }),
  onThreads({
    part: 11,
    title: "every thread computes: is it warned of?",
    async run(site) {
      const computing = site.ask("/compute?400", { count: 4 });
      await rest(100);
      const { waitMs: worstWaitMs } = await site.ask("/hello");
      await computing;
      const warnings = Object.keys((await site.server.stats()).warnings).join(", ") || "nothing";
      return {
        worstWaitMs,
        answered: `warned: ${warnings}`,
        violated: warnings === "nothing" && "nothing was warned of",
      };
    },
  }),
  // Bounded here by a gigabyte.
  onThreads({
    part: 20,
    title: "a handler that allocates 1 GiB, maxThreadMemory 256 MiB",
    options: { maxThreadMemory: 256 * 2 ** 20 },
    async run(site) {
      const { result, worstWaitMs } = await site.probeDuring(site.ask(`/bomb?${site.isQuick ? 512 : 1_024}`));
      const [answered] = result.names;
      // Deno and Bun can't bound the memory of a thread, and the option's documentation says so.
      const isUnbounded = site.runtime.name === "node" && answered === "200";
      return { worstWaitMs, answered, violated: isUnbounded && "the handler had all it wanted" };
    },
  }),
];
