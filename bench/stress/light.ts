/**
 * Measures what the event loop does by itself while every thread of the hybrid model computes.
 *
 * @module
 */

import type { Distribution } from "../clients/compare_report.ts";
import { distributionOfArrivals } from "../clients/distribution.ts";
import type { BenchRuntime } from "../contenders.ts";
import { ServerProcess } from "../server_process.ts";
import { HEALTH_PATH, type LightFindings, runLightLoad } from "./light_load.ts";
import type { StressLaunch } from "./stress_server.ts";
import type { StressCase, StressOptions, StressProgram, Trial } from "./trial.ts";

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
const HEADERS_TIMEOUT_MS = 80;
/** The server's clock ticks eight times in its shortest timeout, and a deadline ends at the second tick behind it. */
const DESIGN_MS = 2 * HEADERS_TIMEOUT_MS / 8;
const SECONDS = 10;
const QUICK_SECONDS = 1;
const MAX_P99_MS = 10;
/** A quick run has too few requests for a percentile; a loop that is held up by handlers shows in the median too. */
const QUICK_MAX_P50_MS = 20;
const BURN_MS = 120_000;

/** The program. */
export const LIGHT: StressProgram = {
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
    `client share with them. Violated is: ${judge(isQuick).name} of the health check or the 503 is not below ` +
    `${judge(isQuick).maxMs} ms, or that of the 408 not below ${
      DESIGN_MS + judge(isQuick).maxMs
    } ms, unless it is so ` +
    "beside other processes too.",
  cases: [{ title: "hybrid", run: runTrial }] satisfies StressCase[],
};

/** What was measured in one scene. */
interface Measured {
  readonly scene: Scene;
  readonly health: Distribution | null;
  readonly refused: Distribution | null;
  /** How late the 408 comes, beyond the time that is set. */
  readonly late: Distribution | null;
  readonly counts: Readonly<Record<string, number>>;
  readonly problems: readonly string[];
}

async function runTrial(
  runtime: BenchRuntime,
  { isQuick }: StressOptions,
  say: (line: string) => void,
): Promise<Trial> {
  const measured: Measured[] = [];
  for (const scene of SCENES) {
    const found = await measure(runtime, scene, isQuick ? QUICK_SECONDS : SECONDS);
    measured.push(found);
    say(`${scene.title}: p50/p99 health ${both(found.health)}, 503 ${both(found.refused)}, 408 ${both(found.late)} ms`);
  }
  const violations = measured.flatMap(({ scene, problems }) => problems.map((each) => `${scene.title}: ${each}`));
  for (const found of measured.filter(({ scene }) => scene.busy === "every thread")) {
    const machine = measured.find(({ scene }) =>
      scene.busy === "other processes" && scene.threads === found.scene.threads
    );
    violations.push(...violationsOf(found, machine!, isQuick));
  }
  const figures: Record<string, string> = {};
  for (const { scene, health, refused, late } of measured) {
    figures[scene.title] = [health, refused, late].map(both).join(", ");
  }
  return {
    title: "p50/p99 ms: health, 503, 408",
    figures,
    violations,
    notes: measured.map(({ scene, counts }) =>
      `${scene.title}: ${Object.entries(counts).map(([name, count]) => `${count} ${name}`).join(", ")}`
    ),
    details: measured,
  };
}

function violationsOf(found: Measured, machine: Measured, isQuick: boolean): string[] {
  const { name: quantile, of: quantileOf, maxMs } = judge(isQuick);
  const kinds: readonly [name: string, of: (each: Measured) => Distribution | null, allowedMs: number][] = [
    ["the health check", ({ health }) => health, maxMs],
    ["the 503", ({ refused }) => refused, maxMs],
    ["the 408", ({ late }) => late, DESIGN_MS + maxMs],
  ];
  return kinds.flatMap(([name, of, allowedMs]) => {
    const foundMs = quantileOf(of(found));
    // Without busy threads there is no full queue: then the health check stands for the refusal.
    const machineMs = quantileOf(of(machine) ?? machine.health);
    if (foundMs < allowedMs || machineMs >= allowedMs) return [];
    return [`${found.scene.title}: ${quantile} of ${name} is ${foundMs.toFixed(1)} ms`];
  });
}

/** Two runs: a short time for heads would be in the way of the other requests. */
async function measure(runtime: BenchRuntime, scene: Scene, seconds: number): Promise<Measured> {
  const { threads, busy } = scene;
  const isBusy = busy === "every thread";
  // A thread makes one and has the next one already; in the second run nobody is to be refused.
  const room = 2 * threads + MAX_QUEUE;
  const plan = {
    seconds,
    busyTarget: `/busy/${BUSY_MS}`,
    healthPerSecond: 0,
    refusedPerSecond: 0,
    halfHeadsPerSecond: 0,
  };
  const burners = busy === "other processes" ? Array.from({ length: threads }, burn) : [];
  try {
    const light = await withServer(runtime, threads, {}, ({ port }) =>
      runLightLoad({
        ...plan,
        port,
        busyClients: isBusy ? room + SURPLUS_CLIENTS : 0,
        healthPerSecond: PER_SECOND,
        refusedPerSecond: isBusy ? PER_SECOND : 0,
      }));
    const timeouts = await withServer(
      runtime,
      threads,
      { headersTimeout: HEADERS_TIMEOUT_MS },
      ({ port }) => runLightLoad({ ...plan, port, busyClients: isBusy ? room : 0, halfHeadsPerSecond: PER_SECOND }),
    );
    return summarize(scene, light, timeouts);
  } finally {
    for (const burner of burners) burner.kill("SIGKILL");
    await Promise.all(burners.map((burner) => burner.status));
  }
}

function summarize(scene: Scene, light: LightFindings, timeouts: LightFindings): Measured {
  const problems = [...light.problems, ...timeouts.problems].map(([problem, count]) => `${count} times: ${problem}`);
  const isBusy = scene.busy === "every thread";
  if (isBusy && light.refusedMs.length === 0) problems.push("the queue was never full");
  if (isBusy && Math.min(light.busyAnswered, timeouts.busyAnswered) === 0) problems.push("no handler computed");
  return {
    scene,
    health: distributionOfArrivals(light.healthMs, []),
    refused: distributionOfArrivals(light.refusedMs, []),
    late: distributionOfArrivals(timeouts.timeoutMs.map((ms) => ms - HEADERS_TIMEOUT_MS), []),
    counts: {
      "health checks": light.healthMs.length,
      "refused": light.refusedMs.length,
      "found room": light.admitted,
      "timed out heads": timeouts.timeoutMs.length,
      "handlers computed": light.busyAnswered + timeouts.busyAnswered,
    },
    problems,
  };
}

async function withServer<T>(
  runtime: BenchRuntime,
  threads: number,
  further: Readonly<Record<string, number>>,
  use: (server: ServerProcess) => Promise<T>,
): Promise<T> {
  const options = { model: "hybrid", threads, maxQueue: MAX_QUEUE, healthPath: HEALTH_PATH, ...further };
  const launch: StressLaunch = { trivet: runtime.trivet, options, handler: "light_handler.ts", journal: "" };
  const server = await ServerProcess.launch(runtime, "../stress/stress_server.ts", launch);
  try {
    return await use(server);
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

/** What of a distribution is judged, and how. */
function judge(isQuick: boolean) {
  return {
    name: isQuick ? "p50" : "p99",
    maxMs: isQuick ? QUICK_MAX_P50_MS : MAX_P99_MS,
    of: (distribution: Distribution | null) => (isQuick ? distribution?.p50 : distribution?.p99)?.ms ?? Infinity,
  };
}

function both(distribution: Distribution | null): string {
  return distribution === null ? "–" : `${distribution.p50.ms.toFixed(1)}/${distribution.p99.ms.toFixed(1)}`;
}
