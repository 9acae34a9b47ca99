/** Where the models are compared: who takes part, the servers, the load, and how hard the computing handler works. */

import { ServerProcess } from "../processes.ts";
import { type FlowReport, type FlowSpec, type FlowsReport, type FlowTimes, runFlows } from "../clients/flow.ts";
import { HELLO } from "../load/handlers.ts";
import { percent } from "../report.ts";
import type { BenchRuntime } from "../runtimes.ts";
import { BACKLOG } from "../servers/launch.ts";
import { hash } from "../servers/routes.ts";

export interface Contestant {
  readonly title: string;
  readonly options: Readonly<Record<string, string | number>>;
  readonly asModule?: true;
  /** How many handlers can wait for something at the same time; where it is absent only the clients bound it. */
  readonly handlersAtOnce?: number;
}

export type Round = Awaited<ReturnType<Lab["round"]>>;

const CORES = navigator.hardwareConcurrency;
export const POOL_WORKERS = 8;

function on(
  title: string,
  options: Contestant["options"],
  handlersAtOnce?: number,
  asModule?: true,
): Contestant {
  return { title, options, handlersAtOnce, asModule };
}

function pool(workers: number, asModule?: true): Contestant {
  const title = `worker-pool, ${workers} ${asModule ? "threads" : "workers"}`;
  return on(title, { model: "worker-pool", workers }, workers, asModule);
}

export const CONTESTANTS = {
  "blocking": on("blocking", { model: "blocking" }, 1),
  "pool-8": pool(POOL_WORKERS),
  "pool-32": pool(32),
  "pool-8-threads": pool(POOL_WORKERS, true),
  "event-driven": on("event-driven, 1 loop", { model: "event-driven" }),
  "event-driven-all": on(`event-driven, ${CORES} loops`, { model: "event-driven", loops: CORES }, undefined, true),
  // The only bound of its own is on connections, and there is none unless it is set.
  "event-driven-bounded": on("event-driven, maxConnections", { model: "event-driven" }),
  "hybrid": on(`hybrid, ${CORES} threads`, { model: "hybrid", threads: CORES }, undefined, true),
};

export type ContestantName = keyof typeof CONTESTANTS;

/** Clients that keep their connection and send the next request when the last one is answered. */
export const CLIENTS = 1_000;
export const WAIT_MS = 100;
export const COMPUTE_MS = 20;
const HEALTH_PATH = "/health";
/** The first guess of the calibration, and how often the compiled code is timed. */
const FIRST_ROUNDS = 1_000_000;
const CALIBRATION_RUNS = 9;

export const WAITING: FlowSpec = {
  request: `/sleep?${WAIT_MS}`,
  expected: "slept",
  arrivals: { clients: CLIENTS },
  connections: "kept",
};

export function light(arrivals: FlowSpec["arrivals"], connections: FlowSpec["connections"]): FlowSpec {
  return { request: "/hello", expected: "hello", arrivals, connections };
}

export function health(perSecond: number, connections: FlowSpec["connections"]): FlowSpec {
  return { request: HEALTH_PATH, expected: null, arrivals: { perSecond }, connections };
}

export class Lab {
  readonly runtime: BenchRuntime;
  readonly isQuick: boolean;
  computeRounds = FIRST_ROUNDS;
  /** Requests in a second that the client is able to make, against raw TCP, what it takes of a core, and the rounds. */
  setUpFigures: readonly string[] = [];

  constructor(runtime: BenchRuntime, isQuick: boolean) {
    [this.runtime, this.isQuick] = [runtime, isQuick];
  }

  heavy(arrivals: FlowSpec["arrivals"], connections: FlowSpec["connections"]): FlowSpec {
    const { computeRounds } = this;
    return { request: `/hash?${computeRounds}`, expected: hash(computeRounds), arrivals, connections };
  }

  start(name: ContestantName, further = {}): Promise<ServerProcess> {
    const { options, asModule } = CONTESTANTS[name];
    const all = { tcpBacklog: BACKLOG, ...options, healthPath: HEALTH_PATH, ...further };
    return ServerProcess.launch(this.runtime, { module: "routes.ts", options: all, asModule });
  }

  async round(
    server: ServerProcess,
    flows: Readonly<Record<string, FlowSpec>>,
    times: FlowTimes,
    flowsNeverCut: readonly string[] = [],
  ) {
    const load = await runFlows(server, flows, times);
    const problems = Object.entries(load.flows).flatMap(([name, { wrong, cut }]) => [
      wrong.length > 0 &&
      `${wrong.length} wrong answers to ${name} requests, the first: ${JSON.stringify(wrong[0]).slice(0, 300)}`,
      cut > 0 && flowsNeverCut.includes(name) && `${cut} ${name} requests were cut off`,
    ]).filter((each) => each !== false);
    return { load, peakBytes: server.memory().peakBytes, problems };
  }

  /** Finds out how many rounds take the computing handler its time, and what the client is able to. */
  async setUp(): Promise<readonly string[]> {
    await this.#calibrate();
    await using raw = await ServerProcess.launch(this.runtime, {}, "raw.ts");
    const times = { warmUpSeconds: 1, seconds: this.isQuick ? 0.5 : 1, lingerSeconds: 0 };
    const load = await runFlows(raw, { waiting: { ...WAITING, request: "/", expected: HELLO } }, times);
    const perSecond = String(Math.round(answeredPerSecond(load, "waiting")));
    return this.setUpFigures = [perSecond, percent(load.clientCpuShare), String(this.computeRounds)];
  }

  async #calibrate(): Promise<void> {
    await using server = await this.start("event-driven");
    /** The fastest counts: whatever else the machine does can only make it slower. */
    const fastestMs = async () => {
      let fastestMs = Infinity;
      for (let i = 0; i < CALIBRATION_RUNS; i++) {
        const startMs = performance.now();
        await (await fetch(`http://127.0.0.1:${server.port}/hash?${this.computeRounds}`)).text();
        fastestMs = Math.min(fastestMs, performance.now() - startMs);
      }
      return fastestMs;
    };
    await fastestMs();
    // Twice, because the time of a request that computes little is not all computing.
    for (let pass = 0; pass < 2; pass++) {
      this.computeRounds = Math.round(this.computeRounds * COMPUTE_MS / await fastestMs());
    }
  }
}

export function answeredPerSecond({ flows, seconds }: FlowsReport, flow: string): number {
  return flows[flow].answered / seconds;
}

/** A part of the requests that were due, such as those that were answered. */
export function shareOf(part: number, { sent }: FlowReport): number {
  return sent === 0 ? 0 : part / sent;
}
