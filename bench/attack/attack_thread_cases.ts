/**
 * Attacks on threads: handlers that compute, fail behind their response, or eat memory.
 *
 * @module
 */

import { type Asked, type Attack, get, nameOf, PATIENCE_MS, rest, tally } from "./attack_site.ts";

const TRIVET = ["trivet"] as const;
const LIGHT = 40;
const SPIN_MS = 1_000;

/** One of two threads computes, and light requests come a moment later. */
const BESIDE_ONE: Attack = {
  part: 6,
  title: `${LIGHT} light requests, 20 ms after one of 2 threads began to compute for ${SPIN_MS} ms`,
  against: TRIVET,
  options: { model: "hybrid", threads: 2 },
  takesModule: true,
  maxWaitMs: 100,
  async run(site) {
    const computing = site.ask(`/compute?${SPIN_MS}`);
    await rest(20);
    const asked = await Promise.all(Array.from({ length: LIGHT }, () => site.ask("/hello")));
    await computing;
    const worstWaitMs = Math.max(...asked.map(({ waitMs }) => waitMs));
    return { worstWaitMs, answered: tally(asked.map(({ outcome }) => outcome)), violations: [] };
  },
};

const NO_QUEUE: Attack = {
  part: 6,
  title: "150 light requests to 2 threads that compute, maxQueue 0",
  against: TRIVET,
  options: { model: "hybrid", threads: 2, maxQueue: 0 },
  takesModule: true,
  async run(site) {
    const computing = [site.ask(`/compute?${SPIN_MS}`), site.ask(`/compute?${SPIN_MS}`)];
    await rest(50);
    const asked = await Promise.all(Array.from({ length: 150 }, () => site.ask("/hello")));
    await Promise.all(computing);
    const accepted = asked.filter(({ outcome }) => nameOf(outcome) === "200").length;
    // One in hand for each thread, which begins it next; and what comes late, when both have computed.
    const late = accepted > 2 ? [`${accepted} were accepted`] : [];
    const worstWaitMs = Math.max(...asked.map(({ waitMs }) => waitMs));
    return { worstWaitMs, answered: tally(asked.map(({ outcome }) => outcome)), violations: [], late };
  },
};

/** Light requests at a steady pace, while one thread computes again and again. */
const STEADY: Attack = {
  part: 6,
  title: "500 light requests a second, beside a thread that computes for 200 ms at a time",
  against: TRIVET,
  options: { model: "hybrid", threads: 2 },
  takesModule: true,
  async run(site) {
    const clients = 10;
    const endMs = performance.now() + (site.isQuick ? 1_000 : 4_000);
    const waits: number[] = [];
    const light = async (number: number): Promise<void> => {
      const connection = await site.connect();
      await rest(2 * number);
      while (performance.now() < endMs) {
        const beganAtMs = performance.now();
        await connection.exchange(get("/hello"), PATIENCE_MS);
        waits.push(performance.now() - beganAtMs);
        await rest(Math.max(0, 1000 * clients / 500 - (performance.now() - beganAtMs)));
      }
      connection.close();
    };
    const compute = async (): Promise<void> => {
      while (performance.now() < endMs) await site.ask("/compute?200");
    };
    await Promise.all([compute(), ...Array.from({ length: clients }, (_, number) => light(number))]);
    waits.sort((a, b) => a - b);
    const p99Ms = waits[Math.floor(waits.length * 0.99)];
    return {
      worstWaitMs: waits.at(-1)!,
      answered: `${waits.length} light, p99 ${p99Ms.toFixed(1)} ms`,
      violations: [],
      late: p99Ms > 10 ? [`p99 is ${p99Ms.toFixed(1)} ms`] : [],
    };
  },
};

/** A handler that leaves a rejection unhandled, beside others; then many. */
function rejections(model: "hybrid" | "worker-pool"): Attack {
  const threads = 3;
  return {
    part: 7,
    title: `handlers with a floating rejection, ${model}`,
    against: model === "hybrid" ? ["trivet", "native"] : TRIVET,
    options: model === "hybrid" ? { model, threads } : { model, workers: threads },
    takesModule: true,
    async run(site) {
      const neighbours = Array.from({ length: model === "hybrid" ? 6 : 2 }, () => site.ask("/sleep?400"));
      await rest(50);
      const one = await site.ask("/reject");
      const outcomes = (await Promise.all(neighbours)).map(({ outcome }) => outcome);
      const harmed = outcomes.filter((outcome) => nameOf(outcome) !== "200").length;
      const beganAtMs = performance.now();
      const limitMs = site.isQuick ? 6_000 : 20_000;
      const burst = Promise.all(Array.from({ length: 20 }, () => site.ask("/reject", limitMs)));
      let inRow = 0;
      let recoveredMs = 0;
      while (inRow < 10 && recoveredMs < limitMs) {
        const { outcome } = await site.ask("/hello", 2_000);
        inRow = nameOf(outcome) === "200" ? inRow + 1 : 0;
        recoveredMs = performance.now() - beganAtMs;
        if (inRow === 0) await rest(20);
      }
      const rejected = (await burst).map(({ outcome }) => outcome);
      return {
        worstWaitMs: recoveredMs,
        answered: `neighbours ${tally(outcomes)}; it ${nameOf(one.outcome)}; burst ${tally(rejected)}`,
        violations: harmed > 0 ? [`${harmed} of ${outcomes.length} neighbours were harmed`] : [],
        late: recoveredMs > 1_000 ? [`10 in a row were served after ${Math.round(recoveredMs)} ms`] : [],
      };
    },
  };
}

function messages(model: "hybrid" | "worker-pool"): Attack {
  return {
    part: 8,
    title: `a handler that posts a message, ${model}`,
    against: TRIVET,
    options: model === "hybrid" ? { model, threads: 2 } : { model, workers: 2 },
    takesModule: true,
    async run(site) {
      const asked: Asked[] = [];
      for (let i = 0; i < 5; i++) asked.push(await site.ask("/post-message", 2_000));
      const right = asked.filter(({ outcome }) => nameOf(outcome) === "200").length;
      const violations = right === asked.length ? [] : [`${right} of ${asked.length} got 200`];
      return { worstWaitMs: null, answered: tally(asked.map(({ outcome }) => outcome)), violations };
    },
  };
}

const QUEUE_TIMEOUT: Attack = {
  part: 9,
  title: "requests that wait for longer than queueTimeout, hybrid",
  against: TRIVET,
  options: { model: "hybrid", threads: 1, queueTimeout: 1_000 },
  takesModule: true,
  maxWaitMs: 2_000,
  async run(site) {
    const computing = site.ask("/compute?3000");
    await rest(50);
    const asked = await Promise.all(Array.from({ length: 5 }, () => site.ask("/hello")));
    const outcomes = asked.map(({ outcome }) => outcome);
    const waited = outcomes.filter((outcome) => nameOf(outcome) === "503").length;
    const worstWaitMs = Math.max(...asked.map(({ waitMs }) => waitMs));
    const { outcome } = await computing;
    const violations = waited === asked.length ? [] : [`${waited} of ${asked.length} got 503 with Retry-After`];
    return { worstWaitMs, answered: tally([...outcomes, outcome]), violations };
  },
};

const RENEWAL: Attack = {
  part: 10,
  title: "200 at a time with maxRequestsPerThread 10",
  against: TRIVET,
  options: { model: "hybrid", threads: 1, maxRequestsPerThread: 10 },
  takesModule: true,
  async run(site) {
    const asked = await Promise.all(Array.from({ length: site.isQuick ? 40 : 200 }, () => site.ask("/calls")));
    const most = Math.max(
      ...asked.map(({ outcome }) => outcome.kind === "answered" ? Number(outcome.content.split(" ")[1] ?? 0) : 0),
    );
    const answered = `${tally(asked.map(({ outcome }) => outcome))}, at most ${most} on a thread`;
    const violations = most > 10 ? [`a thread made ${most} calls`] : [];
    return { worstWaitMs: Math.max(...asked.map(({ waitMs }) => waitMs)), answered, violations };
  },
};

const WARNING: Attack = {
  part: 11,
  title: "every thread computes: is it warned of?",
  against: TRIVET,
  options: { model: "hybrid", threads: 2 },
  takesModule: true,
  async run(site) {
    const computing = Array.from({ length: 4 }, () => site.ask("/compute?400"));
    await rest(100);
    const light = await site.ask("/hello");
    await Promise.all(computing);
    const warnings = Object.keys((await site.stats()).warnings);
    const violations = warnings.length > 0 ? [] : ["nothing was warned of"];
    return { worstWaitMs: light.waitMs, answered: `warned: ${warnings.join(", ") || "nothing"}`, violations };
  },
};

/** A handler that keeps allocating, bounded here by a gigabyte. */
const BOMB: Attack = {
  part: 20,
  title: "a handler that allocates 1 GiB, maxThreadMemory 256 MiB",
  against: TRIVET,
  options: { model: "hybrid", threads: 2, maxThreadMemory: 256 * 2 ** 20 },
  takesModule: true,
  async run(site) {
    const mib = site.isQuick ? 512 : 1_024;
    const { result, worstWaitMs } = await site.probeDuring(site.ask(`/bomb?${mib}`));
    // Deno and Bun can't bound the memory of a thread, and the option's documentation says so.
    const isBounded = site.runtime.name !== "node" || nameOf(result.outcome) !== "200";
    const violations = isBounded ? [] : ["the handler had all it wanted"];
    return { worstWaitMs, answered: nameOf(result.outcome), violations };
  },
};

/** Attacks on threads. */
export const THREAD_ATTACKS: readonly Attack[] = [
  BESIDE_ONE,
  NO_QUEUE,
  STEADY,
  rejections("hybrid"),
  rejections("worker-pool"),
  messages("hybrid"),
  messages("worker-pool"),
  QUEUE_TIMEOUT,
  RENEWAL,
  WARNING,
  BOMB,
];
