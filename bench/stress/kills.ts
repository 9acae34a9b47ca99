/**
 * Kills threads at random under load, and looks at what becomes of every exchange and of the server.
 *
 * @module
 */

import type { BenchRuntime } from "../contenders.ts";
import { ServerProcess } from "../server_process.ts";
import { type Ending, type Entry, runLoad, sendOne } from "./kills_load.ts";
import type { StressLaunch, StressStats } from "./stress_server.ts";
import type { StressCase, StressOptions, StressProgram, Trial } from "./trial.ts";

/** A model whose threads are killed. */
interface Contestant {
  readonly title: string;
  readonly options: Readonly<Record<string, string | number>>;
  readonly threads: number;
  readonly clients: number;
  readonly maxFuseMs: number;
}

const THREADS = 4;
/** Long enough that only a handler which never returns, or a wait for a thread, takes it. */
const HANDLER_TIMEOUT_MS = 2_000;
const CONTESTANTS: readonly Contestant[] = [
  {
    title: `hybrid, ${THREADS} threads`,
    options: { model: "hybrid", threads: THREADS },
    threads: THREADS,
    clients: 16,
    maxFuseMs: 20,
  },
  {
    title: `worker-pool, ${THREADS} threads`,
    options: { model: "worker-pool", workers: THREADS },
    threads: THREADS,
    clients: 8,
    // A worker has one connection at a time: the thread is to crash when it has the next one.
    maxFuseMs: 60,
  },
];

const QUICK_SECONDS = 8;
/** A call is made at most so often (`MAX_ATTEMPTS` of src/threads/remote_call.ts). */
const ATTEMPTS = 3;
/** The server's clock is coarse; the deadline itself is never early, the client's clock may be. */
const CLOCK_TOLERANCE_MS = 20;
/** A loss is seen by the server's program a little later than it happens. */
const LOSS_TOLERANCE_MS = 50;
/** The longest pause before a thread is replaced, and the time it takes to start. */
const MAX_HEALING_MS = 15_000;
const PROBES = 40;
/** Deno ends a handler that never returns from inside, somewhat later than it is given up. */
const CALM_MS = 2_000;
const IDLE_MS = 2_000;
const MAX_IDLE_CPU_SHARE = 0.2;
/** Pools of the runtimes may have grown by a thread or two. */
const MAX_MORE_THREADS = 3;

/** The program. */
export const KILLS: StressProgram = {
  name: "kills",
  title: "Killed threads",
  describe: ({ seconds, isQuick }) =>
    `For ${
      isQuick ? QUICK_SECONDS : seconds
    } s clients send one request after another over kept connections: GET, PUT ` +
    "and POST with content in one write, uploads of 300 kB, streams. Handlers wait for up to 20 ms. About once a second " +
    "a thread is killed: a request that is answered at once makes its thread throw, reject or exit up to " +
    `${CONTESTANTS[0].maxFuseMs} ms later (${CONTESTANTS[1].maxFuseMs} ms for worker-pool), so that no exchange in ` +
    "flight is to blame; every sixth is a handler that never returns, " +
    `which \`handlerTimeout\`, ${HANDLER_TIMEOUT_MS} ms, has to end. Each handler first writes its request's number to a ` +
    "file. Violated is: an exchange without an end or with a wrong one; a connection that is closed before a response, " +
    "or within one that is no stream; a 503 for GET, PUT or a stream because of a lost thread unless at least " +
    `${ATTEMPTS} threads were lost meanwhile; the same for a POST whose handler was not called; a POST carried out ` +
    `twice; a timeout before ${HANDLER_TIMEOUT_MS} ms, and one of GET, PUT or a stream at all, whose handlers are quick; not all threads ready ${
      MAX_HEALING_MS / 1000
    } s later; counts ` +
    "that do not agree; a thread that goes on computing.",
  cases: CONTESTANTS.map((contestant): StressCase => ({
    title: contestant.title,
    run: (runtime, options, say) => runTrial(contestant, runtime, options, say),
  })),
};

async function runTrial(
  contestant: Contestant,
  runtime: BenchRuntime,
  { seconds, isQuick }: StressOptions,
  say: (line: string) => void,
): Promise<Trial> {
  const journal = await Deno.makeTempFile({ prefix: "trivet-stress-" });
  const options = { ...contestant.options, handlerTimeout: HANDLER_TIMEOUT_MS };
  const launch: StressLaunch = { trivet: runtime.trivet, options, handler: "kills_handler.ts", journal };
  const server = await ServerProcess.launch(runtime, "../stress/stress_server.ts", launch);
  try {
    await probe(server);
    const threadsBefore = threadsOf(server);
    const entries = await runLoad({
      port: server.port,
      clients: contestant.clients,
      seconds: isQuick ? QUICK_SECONDS : seconds,
      maxFuseMs: contestant.maxFuseMs,
    });
    say(`${entries.length} exchanges`);
    const aftermath = await lookAfter(server, contestant, threadsBefore);
    const calls = countCalls(await Deno.readTextFile(journal));
    return conclude(contestant, entries, calls, aftermath, server.printedErrors);
  } finally {
    await server.stop();
    await Deno.remove(journal);
  }
}

/** What the server is like when the load is over. */
interface Aftermath {
  readonly found: StressStats;
  readonly healedMs: number;
  readonly probesRight: number;
  readonly idleCpuShare: number;
  readonly threads: readonly [before: number, after: number];
}

async function lookAfter(server: ServerProcess, { threads }: Contestant, threadsBefore: number): Promise<Aftermath> {
  const startMs = performance.now();
  const readyCount = async () => (await server.stats() as StressStats).stats.threads.ready;
  while (await readyCount() < threads && performance.now() - startMs < MAX_HEALING_MS) await rest(50);
  const healedMs = performance.now() - startMs;
  const probesRight = await probe(server);
  await rest(CALM_MS);
  const cpuBefore = server.cpuTime().seconds;
  await rest(IDLE_MS);
  const idleCpuShare = (server.cpuTime().seconds - cpuBefore) / (IDLE_MS / 1000);
  const found = await server.stats() as StressStats;
  return { found, healedMs, probesRight, idleCpuShare, threads: [threadsBefore, threadsOf(server)] };
}

/** Some requests at the same time, so that every thread has some. Returns how many were answered as they should. */
async function probe({ port }: ServerProcess): Promise<number> {
  const entries = await Promise.all(Array.from({ length: PROBES }, () => sendOne(port, "get", 10)));
  return entries.filter(({ ending }) => ending === "right").length;
}

function threadsOf({ pid }: ServerProcess): number {
  return [...Deno.readDirSync(`/proc/${pid}/task`)].length;
}

/** How often each request's handler was called. */
function countCalls(journal: string): Map<number, number> {
  const calls = new Map<number, number>();
  for (const line of journal.trimEnd().split("\n")) calls.set(Number(line), (calls.get(Number(line)) ?? 0) + 1);
  return calls;
}

function conclude(
  { title, threads }: Contestant,
  entries: readonly Entry[],
  calls: ReadonlyMap<number, number>,
  aftermath: Aftermath,
  printed: string,
): Trial {
  const { found, healedMs, probesRight, idleCpuShare } = aftermath;
  const violations = new Map<string, number>();
  for (const entry of entries) {
    const violation = violationOf(entry, calls.get(entry.id) ?? 0, found.losses);
    if (violation !== null) violations.set(violation, (violations.get(violation) ?? 0) + 1);
  }
  const { stats, readyMs } = found;
  const { ready, started, lost } = stats.threads;
  const facts: readonly [isRight: boolean, violation: string][] = [
    [ready === threads, `${ready} of ${threads} threads are ready after ${Math.round(healedMs)} ms`],
    [started === threads + lost, `${started} threads were started and ${lost} lost`],
    [lost > 0, "no thread was lost"],
    [probesRight === PROBES, `${probesRight} of ${PROBES} requests at the end were answered as they should`],
    [stats.activeExchanges === 0, `${stats.activeExchanges} exchanges are left`],
    [stats.connections.open === 0, `${stats.connections.open} connections are left`],
    [stats.queue.waiting === 0, `${stats.queue.waiting} wait for ever`],
    [idleCpuShare < MAX_IDLE_CPU_SHARE, `${Math.round(100 * idleCpuShare)} % of a processor are used when idle`],
    [
      aftermath.threads[1] - aftermath.threads[0] <= MAX_MORE_THREADS,
      `there were ${aftermath.threads[0]} threads of the system and are ${aftermath.threads[1]}`,
    ],
    [printed === "", `it printed: ${printed}`],
  ];
  const kills = entries.filter(({ kind }) => kind === "kill" || kind === "spin");
  const load = entries.filter((entry) => !kills.includes(entry));
  const of = (...kinds: Entry["kind"][]) => load.filter(({ kind }) => kinds.includes(kind));
  const safe = load.filter(({ kind }) => isSafe(kind));
  const watchedMs = readyMs.reduce((sum, ms) => sum + ms, 0);
  const share = (ms: number) => `${(100 * ms / watchedMs).toFixed(1)} %`;
  const longest = Math.max(...load.map(({ beganAtMs, endedAtMs }) => endedAtMs - beganAtMs));
  return {
    title,
    figures: {
      exchanges: load.length,
      kills: kills.length,
      "threads lost": lost,
      "made again": load.filter(({ id }) => (calls.get(id) ?? 0) > 1).length,
      "GET 200/503": tally(of("get")),
      "PUT 200/503": tally(of("put")),
      "POST 200/503": tally(of("post")),
      "upload 200/503": tally(of("upload")),
      "stream 200/503/cut": `${tally(of("stream"))}/${count(of("stream"), "cut within")}`,
      "safe, lost 3 times": count(safe, "503 lost"),
      "safe, timed out": count(safe, "503 timeout"),
      "others timed out": count(load, "503 timeout") - count(safe, "503 timeout"),
      "longest ms": longest,
      "all ready": share(readyMs[threads] ?? 0),
      "none ready": share(readyMs[0] ?? 0),
      "healed in ms": Math.round(healedMs),
      "system threads": aftermath.threads.join(" → "),
    },
    violations: [
      ...[...violations].map(([violation, times]) => `${times} times: ${violation}`),
      ...facts.filter(([isRight]) => !isRight).map(([, violation]) => violation),
    ],
    notes: [],
    details: { ...aftermath, unusual: load.filter(({ ending }) => ending !== "right") },
  };
}

/** What is wrong with how an exchange has ended, if anything. */
function violationOf(
  { kind, ending, beganAtMs, endedAtMs, got }: Entry,
  calls: number,
  losses: StressStats["losses"],
): string | null {
  const tookMs = endedAtMs - beganAtMs;
  const isStream = kind === "stream";
  const maxCalls = kind === "post" || kind === "kill" || kind === "spin" ? 1 : ATTEMPTS;
  if (calls > maxCalls) return `${kind} was carried out ${calls} times`;
  switch (ending) {
    case "right":
      return calls === 0 ? `${kind} was answered without a call of its handler` : null;
    case "hung":
    case "cut before":
    case "503 other":
      return `${kind} ended with "${ending}"`;
    case "wrong":
      return `${kind} got ${got}`;
    case "cut within":
      return isStream ? null : `${kind} was cut off within its response`;
    case "503 timeout":
      if (tookMs + CLOCK_TOLERANCE_MS < HANDLER_TIMEOUT_MS) return `${kind} timed out after ${tookMs} ms`;
      // No handler but the one that never returns takes as long: this one's thread was held up by it.
      return isSafe(kind) ? `${kind} timed out behind a handler that never returns, and was not made again` : null;
  }
  const wasSafe = isSafe(kind) || calls === 0;
  if (!wasSafe || lostBetween(losses, beganAtMs, endedAtMs) >= ATTEMPTS) return null;
  return `${kind} got 503 with ${calls} calls although less than ${ATTEMPTS} threads were lost meanwhile`;
}

/** Whether calling the handler twice does no harm, and all it needs to be called again is there. */
function isSafe(kind: Entry["kind"]): boolean {
  return kind === "get" || kind === "put" || kind === "stream";
}

function lostBetween(losses: StressStats["losses"], fromMs: number, untilMs: number): number {
  const lostUntil = (ms: number) => losses.findLast(({ atMs }) => atMs <= ms)?.lost ?? 0;
  return lostUntil(untilMs + LOSS_TOLERANCE_MS) - lostUntil(fromMs - LOSS_TOLERANCE_MS);
}

function tally(entries: readonly Entry[]): string {
  return `${count(entries, "right")}/${entries.filter(({ ending }) => ending.startsWith("503")).length}`;
}

function count(entries: readonly Entry[], ending: Ending): number {
  return entries.filter((entry) => entry.ending === ending).length;
}

function rest(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
