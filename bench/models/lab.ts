/**
 * The place where experiments are made: who takes part, the servers, the load, and how hard the computing handler works.
 *
 * @module
 */

import { startClient } from "../child_program.ts";
import { type FlowReport, type FlowSpec, type FlowsReport, type FlowTimes, runFlows } from "../clients/flow.ts";
import type { HolderReport } from "../clients/holder.ts";
import { HELLO } from "../load/handlers.ts";
import type { BenchRuntime } from "../runtimes.ts";
import { ServerProcess } from "../server_process.ts";
import { BACKLOG } from "../servers/launch.ts";
import { hash } from "../servers/routes.ts";

/** A model with its options. */
export interface Contestant {
  readonly title: string;
  readonly options: Readonly<Record<string, string | number>>;
  /** Whether it gets the handler as a module. */
  readonly asModule?: true;
  /** How many handlers can wait for something at the same time; where it is absent only the clients bound it. */
  readonly handlersAtOnce?: number;
}

/** What was found of one contestant in one case of an experiment. */
export interface Round {
  /** The case, where an experiment has more than one; else empty. */
  readonly case: string;
  readonly load: FlowsReport;
  /** The most memory the server had until the end. */
  readonly peakBytes: number;
  /** Figures of this experiment beside the load. */
  readonly facts: Readonly<Record<string, number>>;
  /** What must not be, such as answers with wrong content. */
  readonly problems: readonly string[];
}

const CORES = navigator.hardwareConcurrency;
/** The workers of the pool that takes part in every experiment. */
export const POOL_WORKERS = 8;
const ONE_LOOP: Contestant = { title: "event-driven, 1 loop", options: { model: "event-driven" } };

function pool(workers: number, asModule?: true): Contestant {
  const title = `worker-pool, ${workers} ${asModule ? "threads" : "workers"}`;
  return { title, options: { model: "worker-pool", workers }, asModule, handlersAtOnce: workers };
}

/** The models, each with the numbers that make it what it is, by the name that `--model` selects. */
export const CONTESTANTS = {
  "blocking": { title: "blocking", options: { model: "blocking" }, handlersAtOnce: 1 },
  "pool-8": pool(POOL_WORKERS),
  "pool-32": pool(32),
  "pool-8-threads": pool(POOL_WORKERS, true),
  "event-driven": ONE_LOOP,
  "event-driven-all": {
    title: `event-driven, ${CORES} loops`,
    options: { model: "event-driven", loops: CORES },
    asModule: true,
  },
  // The only bound of its own is on connections, and there is none unless it is set.
  "event-driven-bounded": { title: "event-driven, maxConnections", options: { model: "event-driven" } },
  "hybrid": { title: `hybrid, ${CORES} threads`, options: { model: "hybrid", threads: CORES }, asModule: true },
} as const satisfies Record<string, Contestant>;

/** The name of a contestant. */
export type ContestantName = keyof typeof CONTESTANTS;

/** A contestant by its name. */
export function contestantOf(name: ContestantName): Contestant {
  return CONTESTANTS[name];
}

/** How long the handler waits that does. */
export const WAIT_MS = 100;
/** How long the computing handler computes, on a core of its own. */
export const COMPUTE_MS = 20;
/** The path that the server answers itself, without the handler. */
const HEALTH_PATH = "/health";
const GROW_DEADLINE_MS = 30_000;
/** The first guess of the calibration, and how often the compiled code is timed. */
const FIRST_ROUNDS = 1_000_000;
const CALIBRATION_RUNS = 9;

/** Where one runtime is measured. */
export class Lab {
  readonly runtime: BenchRuntime;
  readonly isQuick: boolean;
  /** Rounds of the computing handler, as calibrated. */
  computeRounds = FIRST_ROUNDS;
  /** Requests in a second that the client itself is able to make, against raw TCP, and what it takes of a core. */
  clientPerSecond = 0;
  clientCpuShare = 0;

  /** Nothing is started yet. */
  constructor(runtime: BenchRuntime, isQuick: boolean) {
    this.runtime = runtime;
    this.isQuick = isQuick;
  }

  /** Requests whose handler does nothing. */
  light(arrivals: FlowSpec["arrivals"], connections: FlowSpec["connections"]): FlowSpec {
    return { name: "light", request: "/hello", expected: "hello", arrivals, connections };
  }

  /** Requests whose handler waits for a timer. */
  waiting(clients: number): FlowSpec {
    return {
      name: "waiting",
      request: `/sleep?${WAIT_MS}`,
      expected: "slept",
      arrivals: { clients },
      connections: "kept",
    };
  }

  /** Requests whose handler computes. */
  heavy(arrivals: FlowSpec["arrivals"], connections: FlowSpec["connections"]): FlowSpec {
    const { computeRounds } = this;
    const expected = hash(computeRounds);
    return { name: "heavy", request: `/hash?${computeRounds}`, expected, arrivals, connections };
  }

  /** What a load balancer asks. */
  health(perSecond: number, connections: FlowSpec["connections"]): FlowSpec {
    return { name: "health", request: HEALTH_PATH, expected: null, arrivals: { perSecond }, connections };
  }

  /** Starts the server of a contestant, uses it and ends it. */
  async withServer<T>(
    name: ContestantName,
    further: Readonly<Record<string, number>>,
    use: (server: ServerProcess) => Promise<T>,
  ): Promise<T> {
    const { options, asModule } = contestantOf(name);
    const all = { tcpBacklog: BACKLOG, ...options, healthPath: HEALTH_PATH, ...further };
    const server = await ServerProcess.serve(this.runtime, { module: "routes.ts", options: all, asModule });
    try {
      return await use(server);
    } finally {
      await server.stop();
    }
  }

  /** Begins an attack with slow heads, without any yet, uses it and ends it. */
  async withAttack<T>(
    server: ServerProcess,
    use: (grow: (count: number) => Promise<HolderReport>) => Promise<T>,
  ): Promise<T> {
    const attack = startClient("clients/holder.ts", `${server.port}`, "slow");
    try {
      return await use((count) => attack.ask<HolderReport>(`grow ${count}`, GROW_DEADLINE_MS));
    } finally {
      await attack.stop();
    }
  }

  /** Runs a load and puts together what was found. A flow that is listed must not be cut off. */
  async round(
    server: ServerProcess,
    flows: readonly FlowSpec[],
    times: FlowTimes,
    facts: Round["facts"] = {},
    flowsNeverCut: readonly string[] = [],
    title = "",
  ): Promise<Round> {
    const load = await runFlows(server, flows, times);
    const problems: string[] = [];
    for (const [name, { wrong, firstWrong, cut }] of Object.entries(load.flows)) {
      if (wrong > 0) problems.push(`${wrong} wrong answers to ${name} requests, the first: ${firstWrong}`);
      if (cut > 0 && flowsNeverCut.includes(name)) problems.push(`${cut} ${name} requests were cut off`);
    }
    return { case: title, load, peakBytes: server.memory().peakBytes, facts, problems };
  }

  /** Finds out how many rounds take the computing handler its time, and what the client is able to. */
  async setUp(clients: number): Promise<void> {
    await this.withServer("event-driven", {}, async ({ port }) => {
      const timed = async (rounds: number) => {
        const startMs = performance.now();
        await (await fetch(`http://127.0.0.1:${port}/hash?${rounds}`)).text();
        return performance.now() - startMs;
      };
      for (let i = 0; i < CALIBRATION_RUNS; i++) await timed(this.computeRounds);
      // Twice, because the time of a request that computes little is not all computing.
      for (let pass = 0; pass < 2; pass++) {
        // The fastest counts: whatever else the machine does can only make it slower.
        let fastestMs = Infinity;
        for (let i = 0; i < CALIBRATION_RUNS; i++) fastestMs = Math.min(fastestMs, await timed(this.computeRounds));
        this.computeRounds = Math.round(this.computeRounds * COMPUTE_MS / fastestMs);
      }
    });
    const raw = await ServerProcess.launch(this.runtime, "raw.ts", {});
    try {
      const seconds = this.isQuick ? 0.5 : 1;
      const flow: FlowSpec = { ...this.waiting(clients), request: "/", expected: HELLO };
      const load = await runFlows(raw, [flow], { warmUpSeconds: 1, seconds, lingerSeconds: 0 });
      this.clientPerSecond = answeredPerSecond(load, "waiting");
      this.clientCpuShare = load.clientCpuShare;
    } finally {
      await raw.stop();
    }
  }
}

/** Requests that were answered, in a second. */
export function answeredPerSecond({ flows, seconds }: FlowsReport, flow: string): number {
  return flows[flow].answered / seconds;
}

/** A part of the requests that were due, such as those that were answered. */
export function shareOf(part: number, { sent }: FlowReport): number {
  return sent === 0 ? 0 : part / sent;
}
