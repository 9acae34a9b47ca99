/**
 * Attacks on the loop and on limits: clients that starve others, and more of them than there is room for.
 *
 * @module
 */

import { ChildProgram } from "../child_program.ts";
import type { PipelinerPlan, PipelinerReport } from "./attack_pipeliner.ts";
import {
  type Asked,
  type Attack,
  type AttackOutcome,
  type AttackSite,
  get,
  nameOf,
  PATIENCE_MS,
  rest,
  startServer,
  tally,
} from "./attack_site.ts";
import type { WireConnection } from "../clients/wire_connection.ts";

const BOTH = ["trivet", "native"] as const;
const TRIVET = ["trivet"] as const;

/** A time that is far longer than any run of an attack. */
const DEADLINE_MS = 60_000;
const UPLOADS = 20;
const CHUNKS = 76_000;
const COMPUTE_MS = 200;
const COMPUTING = 5;

/** Pipelines without pause on so many connections. */
function pipelining(connections: number): Attack {
  return {
    part: 1,
    title: `${connections} that pipeline${connections === 1 ? "s" : ""} without pause`,
    against: BOTH,
    maxWaitMs: 200,
    maxMemoryMiB: 100,
    ordinaryRequests: 40_000,
    async run(site) {
      const plan: PipelinerPlan = { port: site.server.port, connections, seconds: site.isQuick ? 1 : 8 };
      const file = decodeURIComponent(new URL("attack_pipeliner.ts", import.meta.url).pathname);
      const argv = [Deno.execPath(), "run", "--quiet", "--allow-all", "--no-check", "--no-lock", file];
      const pipeliner = new ChildProgram([...argv, JSON.stringify(plan)]);
      try {
        const { result, worstWaitMs } = await site.probeDuring(pipeliner.answer<PipelinerReport>(DEADLINE_MS));
        const { responses, closed } = result;
        const violations = closed > 0 ? [`${closed} connections were closed that ask for nothing forbidden`] : [];
        return { worstWaitMs, answered: `${responses} pipelined`, violations };
      } finally {
        await pipeliner.stop();
      }
    },
  };
}

/** Sends many uploads in chunks of a byte to a handler that reads late. */
function tinyChunks(options: Attack["options"], takesModule: boolean): Attack {
  return {
    part: 2,
    title: `chunks of a byte, read late${takesModule ? ", hybrid" : ""}`,
    against: takesModule ? TRIVET : BOTH,
    options,
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
        violations: [],
        late: growth > 2.5 ? [`four times the chunks cost ${growth.toFixed(1)} times as much each`] : [],
      };
    },
  };
}

async function upload(site: AttackSite, uploads: number, chunks: number) {
  const cpuBefore = site.server.cpuTime().seconds;
  const request = "POST /read-late?20 HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
  const content = new TextEncoder().encode(`${"1\r\na\r\n".repeat(chunks)}0\r\n\r\n`);
  const connections = await site.connectAll(uploads);
  const outcomes = await Promise.all(connections.map((each) => each.upload(request, content, DEADLINE_MS)));
  for (const connection of connections) connection.close();
  const cpuSeconds = Math.max(0.01, site.server.cpuTime().seconds - cpuBefore);
  return { answered: tally(outcomes), secondsPerChunk: cpuSeconds / (uploads * chunks) };
}

const STREAMED_CHUNKS: Attack = {
  part: 2,
  title: "a million chunks of a byte to a reader of a stream",
  against: BOTH,
  maxWaitMs: 1_000,
  async run(site) {
    const chunks = site.isQuick ? 100_000 : 1_000_000;
    const connection = await site.connect();
    const head = "POST /read-stream HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
    const content = new TextEncoder().encode(`${"1\r\na\r\n".repeat(chunks)}0\r\n\r\n`);
    const beganAtMs = performance.now();
    const { result, worstWaitMs } = await site.probeDuring(connection.upload(head, content, DEADLINE_MS));
    connection.close();
    const seconds = (performance.now() - beganAtMs) / 1000;
    return { worstWaitMs, answered: `${nameOf(result)} in ${seconds.toFixed(2)} s`, violations: [] };
  },
};

/** A light request and some that compute, all readable in the same turn. */
function oneTurn(name: string, options: Attack["options"]): Attack {
  return {
    part: 3,
    title: `a light request before ${COMPUTING} of ${COMPUTE_MS} ms in one turn${name}`,
    against: options === undefined ? BOTH : TRIVET,
    options,
    // The one that made them wait, and a handler that was begun before.
    maxWaitMs: 1.5 * COMPUTE_MS,
    async run(site) {
      const connections = await site.connectAll(COMPUTING + 2);
      for (const connection of connections) await connection.exchange(get("/hello"), PATIENCE_MS);
      const [holding, light, ...computing] = connections;
      // While a handler computes everything else becomes readable, in this order.
      const held = holding.exchange(get("/compute?60"), PATIENCE_MS);
      await rest(20);
      const beganAtMs = performance.now();
      const answered = light.exchange(get("/hello"), PATIENCE_MS)
        .then((outcome) => ({ outcome, waitMs: performance.now() - beganAtMs }));
      const others = Promise.all(computing.map((each) => each.exchange(get(`/compute?${COMPUTE_MS}`), PATIENCE_MS)));
      const { outcome, waitMs } = await answered;
      const outcomes = [await held, outcome, ...await others];
      for (const connection of connections) connection.close();
      const isLast = waitMs > (COMPUTING - 1) * COMPUTE_MS;
      const late = isLast ? ["the light response left when all that computed had"] : [];
      return { worstWaitMs: waitMs, answered: tally(outcomes), violations: [], late };
    },
  };
}

const BURST: Attack = {
  part: 4,
  title: "a burst of 16 connections to 2 loops",
  against: TRIVET,
  options: { loops: 2 },
  takesModule: true,
  async run(site) {
    const { stats } = await site.stats();
    const connections = await site.connectAll(16);
    const outcomes = await Promise.all(connections.map((each) => each.exchange(get("/thread"), PATIENCE_MS)));
    for (const connection of connections) connection.close();
    const counts = new Map<string, number>();
    for (const outcome of outcomes) {
      const thread = outcome.kind === "answered" ? outcome.content : outcome.kind;
      counts.set(thread, (counts.get(thread) ?? 0) + 1);
    }
    const shares = [...counts.values()].sort((a, b) => a - b);
    const least = stats.loops < 2 ? 16 : shares.length < 2 ? 0 : shares[0];
    // The system deals at random: fewer than 2 of 16 come about once in 2,000 runs.
    const late = least < 2 ? [`a loop got ${least} of 16`] : [];
    return { worstWaitMs: null, answered: shares.join(" and "), violations: [], late };
  },
};

const NAMES: Attack = {
  part: 5,
  title: "95 long names of headers, iterated",
  against: BOTH,
  async run(site) {
    const requests = site.isQuick ? 50 : 500;
    const lines = Array.from({ length: 95 }, (_, i) => `x-${"long-name-of-a-header-".repeat(3)}${i}: v`);
    const connection = await site.connect();
    await connection.exchange(get("/names", ...lines), PATIENCE_MS);
    const cpuBefore = site.server.cpuTime().seconds;
    const outcomes = [];
    for (let i = 0; i < requests; i++) outcomes.push(await connection.exchange(get("/names", ...lines), PATIENCE_MS));
    const microseconds = 1e6 * (site.server.cpuTime().seconds - cpuBefore) / requests;
    connection.close();
    const answered = `${tally(outcomes)}, ${Math.round(microseconds)} us each`;
    return {
      worstWaitMs: null,
      answered,
      violations: [],
      late: microseconds > 1_500 ? [`${Math.round(microseconds)} us each`] : [],
    };
  },
};

/** A client that holds the only worker, and a health check. */
function healthCheck(model: "blocking" | "worker-pool"): Attack {
  return {
    part: 12,
    title: `a health check beside a client that holds the only worker, ${model}`,
    against: TRIVET,
    options: { model, healthPath: "/health", ...model === "worker-pool" && { workers: 1 } },
    maxWaitMs: 300,
    async run(site) {
      const holding = await site.connect();
      await holding.send("GET /hel");
      await rest(50);
      const { outcome, waitMs } = await site.ask("/health", 2_000);
      holding.close();
      const violations = nameOf(outcome) === "200" ? [] : [`the health check got: ${nameOf(outcome)}`];
      return { worstWaitMs: waitMs, answered: nameOf(outcome), violations };
    },
  };
}

const QUEUE_TIMEOUT: Attack = {
  part: 9,
  title: "a connection in line for longer than queueTimeout, blocking",
  against: TRIVET,
  options: { model: "blocking", queueTimeout: 1_000 },
  maxWaitMs: 2_000,
  async run(site) {
    const first = site.ask("/sleep?3000");
    await rest(50);
    const { outcome, waitMs } = await site.ask("/hello");
    const violations = nameOf(outcome) === "503" ? [] : [`it got: ${nameOf(outcome)}`];
    return { worstWaitMs: waitMs, answered: tally([outcome, (await first).outcome]), violations };
  },
};

const REFUSALS: Attack = {
  part: 13,
  title: "500 at a time to a pool of 4 with maxQueue 100",
  against: TRIVET,
  options: { model: "worker-pool", workers: 4, maxQueue: 100 },
  maxMemoryMiB: 100,
  async run(site) {
    const total = site.isQuick ? 2_000 : 20_000;
    const asked: Asked[] = [];
    let left = total;
    const client = async (): Promise<void> => {
      while (left-- > 0) asked.push(await site.ask("/sleep?2"));
    };
    await Promise.all(Array.from({ length: 500 }, client));
    return toldOutcome(asked);
  },
};

const CONNECTION_LIMIT: Attack = {
  part: 14,
  title: "333 beyond maxConnections 200",
  against: TRIVET,
  options: { maxConnections: 200 },
  async run(site) {
    const idle = await site.connectAll(200);
    await Promise.all(idle.map((each) => each.exchange(get("/hello"), PATIENCE_MS)));
    const asked = await Promise.all(Array.from({ length: 333 }, () => site.ask("/hello")));
    for (const connection of idle) connection.close();
    await rest(100);
    return toldOutcome(asked);
  },
};

/** Everything that is refused is told so. */
function toldOutcome(asked: readonly Asked[]): AttackOutcome {
  const outcomes = asked.map(({ outcome }) => outcome);
  const untold = outcomes.filter((outcome) => !["200", "503"].includes(nameOf(outcome)));
  return {
    worstWaitMs: null,
    answered: tally(outcomes),
    violations: untold.length > 0 ? [`${untold.length} of ${outcomes.length} were told nothing: ${tally(untold)}`] : [],
  };
}

/** More connections than the process may have open. */
function descriptors(openFiles: number, connections: number): Attack {
  return {
    part: 18,
    title: `${connections} idle connections with ${openFiles} descriptors`,
    against: BOTH,
    printsErrors: true,
    openFiles,
    async run(site) {
      const idle: WireConnection[] = [];
      // In the backlog of a server that can't accept there is room for some, and others wait for ever.
      const connecting = Promise.all(Array.from({ length: connections }, async () => {
        idle.push(await site.connect());
      })).catch(() => {});
      await Promise.race([connecting, rest(2_000)]);
      const beyond = await Promise.all(Array.from({ length: 20 }, () => site.ask("/hello", 1_500)));
      for (const connection of idle) connection.close();
      const beganAtMs = performance.now();
      let back = await site.ask("/hello", 1_000);
      while (nameOf(back.outcome) !== "200" && performance.now() - beganAtMs < 5_000) {
        await rest(50);
        back = await site.ask("/hello", 1_000);
      }
      const backMs = performance.now() - beganAtMs;
      const told = beyond.filter(({ outcome }) => ["200", "503"].includes(nameOf(outcome))).length;
      return {
        worstWaitMs: backMs,
        answered: `beyond: ${tally(beyond.map(({ outcome }) => outcome))}`,
        violations: told < beyond.length
          ? [`${beyond.length - told} of ${beyond.length} beyond the limit were told nothing`]
          : [],
        late: backMs > 2_000 ? [`service came back after ${Math.round(backMs)} ms`] : [],
      };
    },
  };
}

const PORT_TWICE: Attack = {
  part: 16,
  title: "a second server with 2 loops on the same port",
  against: TRIVET,
  options: { loops: 2 },
  takesModule: true,
  async run(site) {
    const options = { loops: 2, port: site.server.port };
    try {
      const second = await startServer({ ...PORT_TWICE, options }, "trivet", site.runtime);
      await second.stop();
      return { worstWaitMs: null, answered: "it started", violations: ["it started"] };
    } catch (error) {
      const isRight = /EADDRINUSE|AddrInUse|in use/i.test(String(error));
      const violations = isRight ? [] : [`it failed otherwise: ${String(error).slice(0, 200)}`];
      return { worstWaitMs: null, answered: "refused", violations };
    }
  },
};

/** Methods that a fetch handler can't be given. */
function methods(name: string, options: Attack["options"], takesModule: boolean): Attack {
  return {
    part: 17,
    title: `TRACK, trace, connect and an unknown method, ${name}`,
    against: takesModule ? TRIVET : BOTH,
    options,
    takesModule,
    async run(site) {
      const found: string[] = [];
      for (const method of ["TRACK", "TRACE", "trace", "connect", "CONNECT", "FOO"]) {
        const connection = await site.connect();
        const target = method === "CONNECT" ? "x:1" : "/method";
        const outcome = await connection.exchange(`${method} ${target} HTTP/1.1\r\nHost: x\r\n\r\n`, 2_000);
        connection.close();
        found.push(outcome.kind === "answered" && outcome.status === 200 ? outcome.content : nameOf(outcome));
      }
      // A Request of Bun's own can't have a method that Bun does not know.
      const isNativeOfBun = site.runtime.name === "bun" && options?.nativeRequest === true;
      const expected = ["501", "501", "501", "501", "501", isNativeOfBun ? "501" : "FOO"];
      const isRight = found.every((each, index) => each === expected[index]);
      return {
        worstWaitMs: null,
        answered: found.join(" "),
        violations: isRight ? [] : [`it was: ${found.join(" ")}`],
      };
    },
  };
}

/** Handlers that throw, on a process whose errors can't be printed. */
function output(standardError: Attack["standardError"]): Attack {
  return {
    part: 19,
    title: `handlers that throw, with standard error to ${standardError}`,
    against: BOTH,
    printsErrors: true,
    standardError,
    async run(site) {
      const asked: Asked[] = [];
      for (let i = 0; i < 3; i++) asked.push(await site.ask("/throw", 2_000), await site.ask("/throw-later", 2_000));
      const right = asked.filter(({ outcome }) => nameOf(outcome) === "500").length;
      const violations = right === asked.length ? [] : [`${right} of ${asked.length} got 500`];
      return { worstWaitMs: null, answered: tally(asked.map(({ outcome }) => outcome)), violations };
    },
  };
}

/** Attacks on the loop and on limits. */
export const LOOP_ATTACKS: readonly Attack[] = [
  pipelining(1),
  pipelining(16),
  tinyChunks(undefined, false),
  tinyChunks({ model: "hybrid", threads: 2 }, true),
  STREAMED_CHUNKS,
  oneTurn("", undefined),
  oneTurn(", worker-pool", { model: "worker-pool", workers: 16 }),
  BURST,
  NAMES,
  QUEUE_TIMEOUT,
  healthCheck("blocking"),
  healthCheck("worker-pool"),
  REFUSALS,
  CONNECTION_LIMIT,
  PORT_TWICE,
  methods("a function", {}, false),
  methods("hybrid with nativeRequest", { model: "hybrid", threads: 2, nativeRequest: true }, true),
  descriptors(1024, 1100),
  output("a full disk"),
  output("a reader that is gone"),
];
