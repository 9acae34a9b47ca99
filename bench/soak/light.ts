/**
 * Measures what the event loop does by itself while every thread of the hybrid model computes.
 *
 * @module
 */

import type { Distribution } from "../clients/distribution.ts";
import { type FlowReport, type FlowSpec, runFlows } from "../clients/flow.ts";
import { BUSY } from "../models/handler.ts";
import type { BenchRuntime } from "../runtimes.ts";
import { ServerProcess } from "../server_process.ts";
import type { Trial, TrialOptions, TrialProgram } from "../trials.ts";

/** What computes while the loop is looked at. */
interface Scene {
  readonly title: string;
  readonly threads: number;
  readonly busy: "nothing" | "other processes" | "every thread";
}

const CORES = navigator.hardwareConcurrency;
const SCENES: readonly Scene[] = [
  { title: "nothing computes", threads: 1, busy: "nothing" },
  ...[...new Set([1, CORES])].flatMap((threads): Scene[] => [
    { title: threads === 1 ? "another process" : `${threads} other processes`, threads, busy: "other processes" },
    { title: threads === 1 ? "the only thread" : `all ${threads} threads`, threads, busy: "every thread" },
  ]),
];

/** How long a handler computes. */
const BUSY_MS = 30;
const PER_SECOND = 100;
/** Exchanges that wait, beside one that a thread makes and one that it was given already. */
const MAX_QUEUE = 4;
/** So many clients more than have room keep the queue full; being refused they are a load on the loop themselves. */
const SURPLUS_CLIENTS = 2;
const HEALTH_PATH = "/health";
const HEADERS_TIMEOUT_MS = 80;
/** The server's clock ticks eight times in its shortest timeout, and a deadline ends at the second tick behind it. */
const DESIGN_MS = 2 * HEADERS_TIMEOUT_MS / 8;
const SECONDS = 10;
const QUICK_SECONDS = 1;
/** Of the 99th percentile; a quick run has too few requests for one, and a loop that is held up shows in the median. */
const MAX_P99_MS = 10;
const QUICK_MAX_P50_MS = 20;
const BURN_MS = 120_000;

/** The program. */
export const LIGHT: TrialProgram = {
  name: "light",
  title: "Light requests beside busy threads",
  describe: ({ isQuick }) =>
    `The model hybrid, whose handlers compute for ${BUSY_MS} ms one after another, without a pause. Beside them come at ` +
    `random (Poisson) ${PER_SECOND} requests in a second for \`healthPath\`, which the loop answers, and as many on new ` +
    `connections for a handler: with every thread busy and \`maxQueue\`, ${MAX_QUEUE}, full they get a 503. In a second ` +
    `run ${PER_SECOND} connections in a second send half a head; their 408 is timed from the end of \`headersTimeout\` ` +
    `(${HEADERS_TIMEOUT_MS} ms), after which the clock of the server makes it up to ${DESIGN_MS} ms late by design. Each ` +
    `runs for ${
      isQuick ? QUICK_SECONDS : SECONDS
    } s. The same is measured while the server has nothing to compute and ` +
    `as many other processes compute in its place: this is what the machine adds, whose ${CORES} cores the loop and the ` +
    `client share with them. Violated is: ${isQuick ? "p50" : "p99"} of the health check or the 503 is not below ` +
    `${maxMs(isQuick)} ms, or that of the 408 not below ${
      DESIGN_MS + maxMs(isQuick)
    } ms, unless it is so beside other ` +
    "processes too.",
  cases: [{ title: "hybrid", run: runTrial }],
};

/** What was measured in one scene. */
interface Measured {
  readonly scene: Scene;
  /** In the order of the title: the health check, the 503, and how late the 408 comes beyond the time that is set. */
  readonly times: readonly (Distribution | null)[];
  readonly counts: string;
  readonly problems: readonly string[];
}

async function runTrial(runtime: BenchRuntime, { isQuick }: TrialOptions, say: (line: string) => void): Promise<Trial> {
  const measured: Measured[] = [];
  for (const scene of SCENES) {
    const found = await measure(runtime, scene, isQuick ? QUICK_SECONDS : SECONDS);
    measured.push(found);
    say(`${scene.title}: p50/p99 health, 503, 408 ${found.times.map(both).join(", ")} ms`);
  }
  const violations = measured.flatMap(({ scene, problems }) => problems.map((each) => `${scene.title}: ${each}`));
  for (const found of measured.filter(({ scene }) => scene.busy === "every thread")) {
    const beside = measured.find(({ scene }) =>
      scene.busy === "other processes" && scene.threads === found.scene.threads
    )!;
    violations.push(...violationsOf(found, beside, isQuick));
  }
  return {
    title: "p50/p99 ms: health, 503, 408",
    figures: Object.fromEntries(measured.map(({ scene, times }) => [scene.title, times.map(both).join(", ")])),
    violations,
    notes: measured.map(({ scene, counts }) => `${scene.title}: ${counts}`),
    details: measured,
  };
}

function violationsOf(found: Measured, machine: Measured, isQuick: boolean): string[] {
  const of = (times: Distribution | null) => (isQuick ? times?.p50 : times?.p99)?.ms ?? Infinity;
  return ["the health check", "the 503", "the 408"].flatMap((name, index) => {
    const allowedMs = maxMs(isQuick) + (index === 2 ? DESIGN_MS : 0);
    const foundMs = of(found.times[index]);
    // Without busy threads there is no full queue: then the health check stands for the refusal.
    if (foundMs < allowedMs || of(machine.times[index] ?? machine.times[0]) >= allowedMs) return [];
    return [`${found.scene.title}: ${isQuick ? "p50" : "p99"} of ${name} is ${foundMs.toFixed(1)} ms`];
  });
}

/** Two runs: a short time for heads would be in the way of the other requests. */
async function measure(runtime: BenchRuntime, { threads, busy, title }: Scene, seconds: number): Promise<Measured> {
  const isBusy = busy === "every thread";
  // A thread makes one and has the next one already; in the second run none is to be refused.
  const room = 2 * threads + MAX_QUEUE;
  const busyFlow = (clients: number): FlowSpec[] =>
    isBusy ? [flow("busy", `/busy/${BUSY_MS}`, { arrivals: { clients }, expected: BUSY })] : [];
  const half = { request: "GET / HTTP/1.1\r\nHost: soak.exam", status: 408, connections: "fresh" } as const;
  const burners = busy === "other processes" ? Array.from({ length: threads }, burn) : [];
  try {
    const light = await run(runtime, threads, {}, seconds, [
      ...busyFlow(room + SURPLUS_CLIENTS),
      flow("health", HEALTH_PATH),
      ...isBusy ? [flow("refused", "/busy/0", { connections: "fresh" })] : [],
    ]);
    const timeouts = await run(runtime, threads, { headersTimeout: HEADERS_TIMEOUT_MS }, seconds, [
      ...busyFlow(room),
      flow("half", half.request, half),
    ]);
    const late = (timeouts.half.latency === null ? [] : [timeouts.half.latency]).map(({ p50, p99 }) => ({
      p50: { ...p50, ms: p50.ms - HEADERS_TIMEOUT_MS },
      p99: { ...p99, ms: p99.ms - HEADERS_TIMEOUT_MS },
    }));
    const problems = problemsOf({ ...timeouts, ...light });
    const computed = [light, timeouts].map((flows) => flows.busy?.answered ?? 0);
    if (isBusy && light.refused.refused === 0) problems.push("the queue was never full");
    if (isBusy && Math.min(...computed) === 0) problems.push("no handler computed");
    const counts = `${light.health.answered} health checks, ${light.refused?.refused ?? 0} refused, ` +
      `${light.refused?.answered ?? 0} found room, ${timeouts.half.answered} heads timed out, ` +
      `${computed[0] + computed[1]} handlers computed`;
    const times = [light.health.latency, light.refused?.refusal ?? null, late[0] ?? null];
    return { scene: { threads, busy, title }, times, counts, problems };
  } finally {
    for (const burner of burners) burner.kill("SIGKILL");
    await Promise.all(burners.map((burner) => burner.status));
  }
}

function flow(name: string, request: string, further: Partial<FlowSpec> = {}): FlowSpec {
  return { name, request, expected: null, arrivals: { perSecond: PER_SECOND }, connections: "kept", ...further };
}

/** What ended otherwise than it should; only what is to be refused may be. */
function problemsOf(flows: Readonly<Record<string, FlowReport>>): string[] {
  return Object.entries(flows).flatMap(([name, { wrong, firstWrong, cut, refused }]) => [
    ...wrong > 0 ? [`${wrong} wrong answers to ${name}, the first: ${firstWrong}`] : [],
    ...cut > 0 ? [`${cut} of ${name} were cut off`] : [],
    ...refused > 0 && name !== "refused" && name !== "busy" ? [`${refused} of ${name} were refused`] : [],
  ]);
}

async function run(
  runtime: BenchRuntime,
  threads: number,
  further: Readonly<Record<string, number>>,
  seconds: number,
  flows: readonly FlowSpec[],
): Promise<Readonly<Record<string, FlowReport>>> {
  const options = { model: "hybrid", threads, maxQueue: MAX_QUEUE, healthPath: HEALTH_PATH, ...further };
  const server = await ServerProcess.trivet(runtime, "../models/handler.ts", options, true);
  try {
    return (await runFlows(server, flows, { warmUpSeconds: 1, seconds, lingerSeconds: 1 })).flows;
  } finally {
    await server.stop();
  }
}

/** A process that computes until it is ended, and not for ever. */
function burn(): Deno.ChildProcess {
  const code = `const end = Date.now() + ${BURN_MS}; while (Date.now() < end);`;
  return new Deno.Command(Deno.execPath(), { args: ["eval", code], stdin: "null", stdout: "null", stderr: "null" })
    .spawn();
}

function maxMs(isQuick: boolean): number {
  return isQuick ? QUICK_MAX_P50_MS : MAX_P99_MS;
}

function both(times: Distribution | null): string {
  return times === null ? "–" : `${times.p50.ms.toFixed(1)}/${times.p99.ms.toFixed(1)}`;
}
