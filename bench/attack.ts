/**
 * Attacks: what clients and handlers do to take a server down, against Trivet and the runtime's own server.
 *
 * Usage: `deno task attack`, or `deno run -A bench/attack.ts [--quick] [--runtime=deno,bun,node] [--case=TEXT]
 * [--name=attack]`, where the text is a part of the titles of the cases that are run. It fails when something was
 * violated. It needs Linux.
 */

import { setTimeout as rest } from "node:timers/promises";
import { startClient } from "./processes.ts";
import { type FlowSpec, runFlows } from "./clients/flow.ts";
import type { PipelinerReport } from "./clients/pipeliner.ts";
import { get, type WireConnection } from "../test/support/wire_connection.ts";
import { type Attack, type AttackSite, nameOf, PATIENCE_MS, runAttack, together } from "./attack/attack_site.ts";
import { judge, runProgram } from "./program.ts";

/** Far longer than any run of an attack. */
const DEADLINE_MS = 60_000;
const UPLOADS = 20;
const CHUNKS = 76_000;
const COMPUTE_MS = 200;
const COMPUTING = 5;
const LIGHT = 40;
const SPIN_MS = 1_000;
const [IDLE, DESCRIPTORS] = [1_100, 1_024];
const CHUNKED = "HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n";

function pipelining(connections: number): Attack {
  return {
    part: 1,
    title: `${connections} that pipeline${connections === 1 ? "s" : ""} without pause`,
    alsoNative: true,
    maxWaitMs: 200,
    maxMemoryMiB: 100,
    ordinaryRequests: 40_000,
    async run(site) {
      await using pipeliner = startClient("pipeliner.ts", site.server.port, connections, site.isQuick ? 1 : 8);
      const { result, worstWaitMs } = await site.probeDuring(pipeliner.answer<PipelinerReport>());
      const { responses, closed } = result;
      const violated = closed > 0 && `${closed} connections were closed that ask for nothing forbidden`;
      return { worstWaitMs, answered: `${responses} pipelined`, violated };
    },
  };
}

function tinyChunks(chunks: number): Uint8Array {
  return new TextEncoder().encode(`${"1\r\na\r\n".repeat(chunks)}0\r\n\r\n`);
}

function readLate(takesModule: boolean): Attack {
  return {
    part: 2,
    title: `chunks of a byte, read late${takesModule ? ", hybrid" : ""}`,
    alsoNative: !takesModule,
    options: takesModule ? { model: "hybrid", threads: 2 } : undefined,
    takesModule,
    maxWaitMs: 1_000,
    async run(site) {
      const uploads = site.isQuick ? UPLOADS / 4 : UPLOADS;
      // The first run is compiled late, and costs more for each chunk than what follows.
      await upload(site, uploads, CHUNKS / 4);
      const few = await upload(site, uploads, CHUNKS / 4);
      const { result: many, worstWaitMs } = await site.probeDuring(upload(site, uploads, CHUNKS));
      const growth = many.secondsPerChunk / few.secondsPerChunk;
      return {
        worstWaitMs,
        answered: `${many.answered}; ${(1e6 * many.secondsPerChunk).toFixed(2)} us a chunk, x ${growth.toFixed(1)}`,
        late: growth > 2.5 && `four times the chunks cost ${growth.toFixed(1)} times as much each`,
      };
    },
  };
}

async function upload(site: AttackSite, uploads: number, chunks: number) {
  const cpuBefore = site.server.cpuTime().seconds;
  const content = tinyChunks(chunks);
  using connections = await site.open(uploads);
  const request = `POST /read-late?20 ${CHUNKED}`;
  const outcomes = await Promise.all(connections.map((each) => each.exchange(request, DEADLINE_MS, content)));
  const cpuSeconds = Math.max(0.01, site.server.cpuTime().seconds - cpuBefore);
  return { answered: together(outcomes).answered, secondsPerChunk: cpuSeconds / (uploads * chunks) };
}

/** A light request and some that compute, all readable in the same turn. */
function oneTurn(name: string, options: Attack["options"]): Attack {
  return {
    part: 3,
    title: `a light request before ${COMPUTING} of ${COMPUTE_MS} ms in one turn${name}`,
    alsoNative: options === undefined,
    options,
    // The one that made them wait, and a handler that was begun before.
    maxWaitMs: 1.5 * COMPUTE_MS,
    async run(site) {
      using connections = await site.open(COMPUTING + 2);
      for (const connection of connections) await connection.exchange(get("/hello"), PATIENCE_MS);
      // While a handler computes everything else becomes readable, in this order.
      const held = connections[0].exchange(get("/compute?60"), PATIENCE_MS);
      await rest(20);
      const beganAtMs = performance.now();
      let worstWaitMs = 0;
      const light = connections[1].exchange(get("/hello"), PATIENCE_MS)
        .finally(() => worstWaitMs = performance.now() - beganAtMs);
      const others = connections.slice(2).map((each) => each.exchange(get(`/compute?${COMPUTE_MS}`), PATIENCE_MS));
      const { answered } = together(await Promise.all([held, light, ...others]));
      const isLate = worstWaitMs > (COMPUTING - 1) * COMPUTE_MS;
      return { worstWaitMs, answered, late: isLate && "the light response left when all that computed had" };
    },
  };
}

/** Handlers that throw, on a process whose errors can't be printed. */
function output(standardError: string, redirection: string): Attack {
  return {
    part: 19,
    title: `handlers that throw, with standard error to ${standardError}`,
    alsoNative: true,
    printsErrors: true,
    shell: `exec "$@" 2> ${redirection}`,
    allowed: ["500"],
    async run(site) {
      const options = { count: 3, atOnce: 1, patienceMs: 2_000 };
      const all = [await site.ask("/throw", options), await site.ask("/throw-later", options)];
      return together(all.flatMap(({ outcomes }) => outcomes));
    },
  };
}

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

const ATTACKS: readonly Attack[] = [
  pipelining(1),
  pipelining(16),
  readLate(false),
  readLate(true),
  {
    part: 2,
    title: "a million chunks of a byte to a reader of a stream",
    alsoNative: true,
    maxWaitMs: 1_000,
    async run(site) {
      const content = tinyChunks(site.isQuick ? 100_000 : 1_000_000);
      const beganAtMs = performance.now();
      const uploading = site.exchange(`POST /read-stream ${CHUNKED}`, DEADLINE_MS, content);
      const { result, worstWaitMs } = await site.probeDuring(uploading);
      const seconds = (performance.now() - beganAtMs) / 1000;
      return { worstWaitMs, answered: `${nameOf(result)} in ${seconds.toFixed(2)} s` };
    },
  },
  oneTurn("", undefined),
  oneTurn(", worker-pool", { model: "worker-pool", workers: 16 }),
  {
    part: 5,
    title: "95 long names of headers, iterated",
    alsoNative: true,
    async run(site) {
      const requests = site.isQuick ? 50 : 500;
      const lines = Array.from({ length: 95 }, (_, i) => `x-${"long-name-of-a-header-".repeat(3)}${i}: v`);
      await site.ask("/names", { lines });
      const cpuBefore = site.server.cpuTime().seconds;
      const { answered } = await site.ask("/names", { lines, count: requests, atOnce: 1, isKept: true });
      const microseconds = Math.round(1e6 * (site.server.cpuTime().seconds - cpuBefore) / requests);
      const each = `${microseconds} us each`;
      return { answered: `${answered}, ${each}`, late: microseconds > 1_500 && each };
    },
  },
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
  {
    part: 13,
    title: "500 at a time to a pool of 4 with maxQueue 100",
    options: { model: "worker-pool", workers: 4, maxQueue: 100 },
    maxMemoryMiB: 100,
    allowed: ["200", "503"],
    run: (site) => site.ask("/sleep?2", { count: site.isQuick ? 2_000 : 20_000, atOnce: 500 }),
  },
  {
    part: 18,
    title: `${IDLE} idle connections with ${DESCRIPTORS} descriptors`,
    alsoNative: true,
    printsErrors: true,
    shell: `ulimit -n ${DESCRIPTORS}; exec "$@"`,
    allowed: ["200", "503"],
    async run(site) {
      const idle: WireConnection[] = [];
      // In the backlog of a server that can't accept there is room for some, and others wait for ever.
      const connect = async () => void idle.push(...await site.open());
      const connecting = Promise.all(Array.from({ length: IDLE }, connect)).catch(() => {});
      await Promise.race([connecting, rest(2_000)]);
      const beyond = await site.ask("/hello", { count: 20, patienceMs: 1_500 });
      for (const connection of idle) connection.close();
      const backMs = await site.untilServed(5_000, 1_000);
      const late = backMs > 2_000 && `service came back after ${Math.round(backMs)} ms`;
      return { worstWaitMs: backMs, answered: `beyond: ${beyond.answered}`, names: beyond.names, late };
    },
  },
  output("a full disk", "/dev/full"),
  output("a reader that is gone", ">(true)"),
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

await runProgram({}, ({ quick }, site) => {
  const cases = ATTACKS.flatMap((attack) =>
    (attack.alsoNative ? ["trivet", "own"] as const : ["trivet"] as const).map((serves) => ({
      title: `${attack.part} ${attack.title}: ${serves === "trivet" ? "Trivet" : "its own"}`,
      run: runAttack.bind(null, attack, serves, quick),
    }))
  );
  const text =
    "Each attack has a server of its own, with the options of its row and else with default ones. The wait is that of " +
    "another client, which asks for what costs nothing, from connecting to the last byte; memory is the most that was " +
    "resident during the attack beyond the idle server, which before part 1 has answered 40,000 requests of 16 ordinary " +
    "clients, since V8 keeps what any load has it grow to; survived has a server that answers afterwards. Attacker and " +
    `client share the cores with the server. ${quick ? "This is a quick run, in which no time is judged. " : ""}` +
    "Violated is what is listed below, of Trivet; the runtime's own server is there to compare with.";
  return judge("Attacks", [{ name: "attack", title: "Attacks", text, cases }], site, quick);
});
