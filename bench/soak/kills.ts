/** Kills threads at random under load, and looks at what becomes of every exchange and of the server. */

import { setTimeout as rest } from "node:timers/promises";
import { ServerProcess } from "../processes.ts";
import { WireConnection } from "../../test/support/wire_connection.ts";
import type { Contestant } from "../models/lab.ts";
import { countEach, type Experiment, timesEach, type Trial } from "../report.ts";
import type { BenchRuntime } from "../runtimes.ts";
import type { ServerStats } from "../../mod.ts";
import type { Watched } from "../servers/server.ts";
import { type Entry, exchange, type RequestKind, sendOne } from "./requests.ts";

/** A model whose threads are killed, and the longest time until a thread crashes that was told to. */
interface Killed extends Contestant {
  readonly clients: number;
  readonly maxFuseMs: number;
}

const THREADS = 4;
/** Long enough that only a handler which never returns, or a wait for a thread, takes it. */
const HANDLER_TIMEOUT_MS = 2_000;
const HYBRID = onThreads("hybrid", 16, 20);
// A worker has one connection at a time: the thread is to crash when it has the next one.
const POOL = onThreads("worker-pool", 8, 60);
const CRASHES = ["throw", "reject", "exit"] as const;
const KINDS: Readonly<Partial<Record<RequestKind, number>>> = { get: 40, put: 20, post: 25, upload: 5, stream: 10 };
/** Kinds for which calling the handler twice does no harm, and all it needs to be called again is there. */
const SAFE_KINDS: readonly RequestKind[] = ["get", "put", "stream"];
const UNSAFE_KINDS: readonly RequestKind[] = ["post", "kill", "spin"];

/** A handler waits at random for up to so long, and a client rests for up to so long between requests. */
const MAX_WAIT_MS = 20;
const MAX_REST_MS = 10;
/** Between two kills, at random; of so many one is a handler that never returns. */
const [MIN_KILL_GAP_MS, MAX_KILL_GAP_MS] = [400, 1_600];
const SPIN_EVERY = 6;
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

function onThreads(model: "hybrid" | "worker-pool", clients: number, maxFuseMs: number): Killed {
  const options = { model, [model === "hybrid" ? "threads" : "workers"]: THREADS, handlerTimeout: HANDLER_TIMEOUT_MS };
  return { title: `${model}, ${THREADS} threads`, options, asModule: true, clients, maxFuseMs };
}

export function killsOf(seconds: number): Experiment {
  const text = `For ${seconds} s clients send one request after another over kept connections: GET, ` +
    "PUT and POST with content in one write, uploads of 300 kB, streams. Handlers wait for up to 20 ms. About once a " +
    "second a thread is killed: a request that is answered at once makes its thread throw, reject or exit up to " +
    `${HYBRID.maxFuseMs} ms later (${POOL.maxFuseMs} ms for worker-pool), so that no exchange in flight is to blame; ` +
    `every sixth is a handler that never returns, which \`handlerTimeout\`, ${HANDLER_TIMEOUT_MS} ms, has to end. Each ` +
    "handler first writes its request's number to a file. Violated is: an exchange without an end or with a wrong one; " +
    "a connection that is closed before a response, or within one that is no stream; a 503 because of a lost thread " +
    `for a request whose handler was not called, unless at least ${ATTEMPTS} threads were lost meanwhile; a POST ` +
    `carried out twice; a timeout before ${HANDLER_TIMEOUT_MS} ms, and one of GET, PUT or a stream at all, whose ` +
    `handlers are quick; not all threads ready ${MAX_HEALING_MS / 1000} s later; counts that do not agree; a thread ` +
    "that goes on computing.";
  const cases = [HYBRID, POOL].map((killed) => ({
    title: killed.title,
    run: async (runtime: BenchRuntime, say: (line: string) => void) => [await kill(killed, seconds, runtime, say)],
  }));
  return { name: "kills", title: "Killed threads", text, cases };
}

async function kill(killed: Killed, seconds: number, runtime: BenchRuntime, say: (line: string) => void) {
  const { options, asModule } = killed;
  const journal = await Deno.makeTempFile({ dir: runtime.folder });
  await using server = await ServerProcess.launch(runtime, { module: "routes.ts", options, asModule, journal });
  await probe(server.port);
  const threadsBefore = server.threadsAndDescriptors().threads.length;
  await server.ask("watch");
  const entries = await runLoad(killed, server.port, seconds);
  say(`${entries.length} exchanges`);
  const aftermath = await lookAfter(server, threadsBefore);
  const calls = countEach((await Deno.readTextFile(journal)).trimEnd().split("\n"));
  return conclude(entries, calls, aftermath);
}

/** Clients that send one request after another, and the killer; gives every exchange there was. */
async function runLoad({ clients, maxFuseMs }: Killed, port: number, seconds: number): Promise<Entry[]> {
  const entries: Entry[] = [];
  const untilMs = Date.now() + 1000 * seconds;
  const runClient = async (): Promise<void> => {
    let connection: WireConnection | null = null;
    while (Date.now() < untilMs) {
      connection ??= await WireConnection.open(port);
      const entry: Entry = await exchange(connection, pickKind(), pickMs(0, MAX_WAIT_MS));
      entries.push(entry);
      if (!entry.persists) connection.close();
      connection = entry.persists ? connection : null;
      await rest(pickMs(0, MAX_REST_MS));
    }
    connection?.close();
  };
  const runKiller = async (): Promise<void> => {
    const underWay: Promise<unknown>[] = [];
    for (let kills = 1;; kills++) {
      await rest(pickMs(MIN_KILL_GAP_MS, MAX_KILL_GAP_MS));
      if (Date.now() >= untilMs) break;
      const kind = kills % SPIN_EVERY === 0 ? "spin" : "kill";
      const sent = sendOne(port, kind, pickMs(1, maxFuseMs), CRASHES[kills % CRASHES.length]);
      // The next one does not wait for this one's answer: a handler that never returns is answered late.
      underWay.push(sent.then((entry) => entries.push(entry)));
    }
    await Promise.all(underWay);
  };
  await Promise.all([...Array.from({ length: clients }, runClient), runKiller()]);
  return entries;
}

type Aftermath = Awaited<ReturnType<typeof lookAfter>>;

async function lookAfter(server: ServerProcess, threadsBefore: number) {
  const startMs = performance.now();
  const readyCount = async () => (await server.stats()).stats.threads.ready;
  while (await readyCount() < THREADS && performance.now() - startMs < MAX_HEALING_MS) await rest(50);
  const healedMs = Math.round(performance.now() - startMs);
  const probesRight = await probe(server.port);
  await rest(CALM_MS);
  const cpuBefore = server.cpuTime().seconds;
  await rest(IDLE_MS);
  const idleCpuShare = (server.cpuTime().seconds - cpuBefore) / (IDLE_MS / 1000);
  const found = await server.ask<Watched & { stats: ServerStats }>("stats");
  const threadsAfter = server.threadsAndDescriptors().threads.length;
  return { ...found, healedMs, probesRight, idleCpuShare, threadsBefore, threadsAfter };
}

/** Some requests at the same time, so that every thread has some. Returns how many were answered as they should. */
async function probe(port: number): Promise<number> {
  const entries = await Promise.all(Array.from({ length: PROBES }, () => sendOne(port, "get", 10)));
  return entries.filter(({ ending }) => ending === "right").length;
}

function conclude(entries: readonly Entry[], calls: Map<string, number>, after: Aftermath): Trial {
  const { stats, losses, readyMs, healedMs, probesRight, idleCpuShare, threadsBefore, threadsAfter } = after;
  const callsOf = ({ id }: Entry) => calls.get(`${id}`) ?? 0;
  const { ready, started, lost } = stats.threads;
  const problems: readonly (string | false)[] = [
    ...timesEach(entries.map((entry) => violationOf(entry, callsOf(entry), losses))),
    ready < THREADS && `${ready} of ${THREADS} threads are ready after ${healedMs} ms`,
    started !== THREADS + lost && `${started} threads were started and ${lost} lost`,
    lost === 0 && "no thread was lost",
    probesRight < PROBES && `${probesRight} of ${PROBES} requests at the end were answered as they should`,
    stats.activeExchanges > 0 && `${stats.activeExchanges} exchanges are left`,
    stats.connections.open > 0 && `${stats.connections.open} connections are left`,
    stats.queue.waiting > 0 && `${stats.queue.waiting} wait for ever`,
    idleCpuShare >= MAX_IDLE_CPU_SHARE && `${Math.round(100 * idleCpuShare)} % of a processor are used when idle`,
    threadsAfter - threadsBefore > MAX_MORE_THREADS &&
    `there were ${threadsBefore} threads of the system and are ${threadsAfter}`,
  ];
  const load = entries.filter(({ kind }) => kind !== "kill" && kind !== "spin");
  const safe = load.filter(({ kind }) => SAFE_KINDS.includes(kind));
  const count = (of: readonly Entry[], ending: string) => of.filter((entry) => entry.ending.startsWith(ending)).length;
  const ofKind = (kind: string) => load.filter((entry) => entry.kind === kind);
  const watchedMs = readyMs.reduce((sum, ms) => sum + ms, 0);
  const share = (ms = 0) => `${(100 * ms / watchedMs).toFixed(1)} %`;
  return {
    figures: {
      exchanges: load.length,
      kills: entries.length - load.length,
      "threads lost": lost,
      "made again": load.filter((entry) => callsOf(entry) > 1).length,
      ...Object.fromEntries(
        Object.keys(KINDS).map((kind) => [
          `${kind} 200/503`,
          `${count(ofKind(kind), "right")}/${count(ofKind(kind), "503")}`,
        ]),
      ),
      "streams cut": count(ofKind("stream"), "cut within"),
      "safe, lost": count(safe, "503 lost"),
      "safe, timed out": count(safe, "503 timeout"),
      "others timed out": count(load, "503 timeout") - count(safe, "503 timeout"),
      "longest ms": Math.max(...load.map(({ beganAtMs, endedAtMs }) => endedAtMs - beganAtMs)),
      "all ready": share(readyMs[THREADS]),
      "none ready": share(readyMs[0]),
      "healed in ms": healedMs,
      "system threads": `${threadsBefore} → ${threadsAfter}`,
    },
    problems: problems.filter((problem) => problem !== false),
    details: { ...after, unusual: load.filter(({ ending }) => ending !== "right") },
  };
}

function violationOf(
  { kind, ending, beganAtMs, endedAtMs, got }: Entry,
  calls: number,
  losses: Watched["losses"],
): string {
  const tookMs = endedAtMs - beganAtMs;
  if (calls > (UNSAFE_KINDS.includes(kind) ? 1 : ATTEMPTS)) return `${kind} was carried out ${calls} times`;
  switch (ending) {
    case "right":
      return calls === 0 ? `${kind} was answered without a call of its handler` : "";
    case "hung":
    case "cut before":
    case "503 other":
      return `${kind} ended with "${ending}"`;
    case "wrong":
      return `${kind} got ${got}`;
    case "cut within":
      return kind === "stream" ? "" : `${kind} was cut off within its response`;
    case "503 timeout":
      if (tookMs + CLOCK_TOLERANCE_MS < HANDLER_TIMEOUT_MS) return `${kind} timed out after ${tookMs} ms`;
      // No handler but the one that never returns takes as long: this one's thread was held up by it.
      if (!SAFE_KINDS.includes(kind)) return "";
      return `${kind} timed out behind a handler that never returns, and was not made again`;
  }
  // A call that had begun on a thread that crashed may be what crashed it, and is not made again.
  const lostUntil = (ms: number) => losses.findLast(({ atMs }) => atMs <= ms)?.lost ?? 0;
  const lostMeanwhile = lostUntil(endedAtMs + LOSS_TOLERANCE_MS) - lostUntil(beganAtMs - LOSS_TOLERANCE_MS);
  if (calls > 0 || lostMeanwhile >= ATTEMPTS) return "";
  return `${kind} got 503 without a call although less than ${ATTEMPTS} threads were lost meanwhile`;
}

function pickKind(): RequestKind {
  let at = 100 * Math.random();
  const [kind] = Object.entries(KINDS).find(([, percent]) => (at -= percent) < 0) ?? ["get"];
  return kind as RequestKind;
}

function pickMs(min: number, max: number): number {
  return Math.round(min + (max - min) * Math.random());
}
