/**
 * The place where experiments are made: starts the servers and the load, and ends them.
 *
 * It decides what is the same in all experiments: how hard the computing handler works, what every server is told, and
 * that nothing outlives its use.
 *
 * @module
 */

import { ChildProgram } from "../child_program.ts";
import type { AttackReport } from "../clients/slow_heads.ts";
import type { FlowReport, FlowSpec, LoadReport, LoadSpec } from "../clients/compare_report.ts";
import type { BenchRuntime } from "../contenders.ts";
import { HELLO } from "../handlers.ts";
import { ServerProcess } from "../server_process.ts";
import type { CompareLaunch } from "../servers/compare_server.ts";
import { type Contestant, CONTESTANTS } from "./contestants.ts";
import type { Round } from "./experiment.ts";
import { computeFor, LIGHT, WAITED } from "./work.ts";

/** How long the computing handler computes, on a core of its own. */
export const COMPUTE_MS = 20;
/** The path that the server answers itself, without the handler. */
const HEALTH_PATH = "/health";
/** More than one run of the load needs to start and to end. */
const LOAD_DEADLINE_MS = 12_000;
const GROW_DEADLINE_MS = 30_000;
/** The first guess of the calibration, and how often the compiled code is timed. */
const FIRST_ROUNDS = 1_000_000;
const CALIBRATION_RUNS = 9;

/** A server of a contestant that runs. */
export interface RunningServer {
  readonly server: ServerProcess;
  readonly startBytes: number;
}

/** Where one runtime is measured. */
export class Lab {
  readonly runtime: BenchRuntime;
  readonly isQuick: boolean;
  /** Rounds of the computing handler, as calibrated. */
  computeRounds = FIRST_ROUNDS;
  /** Requests in a second that the load client itself is able to make, against raw TCP. */
  generatorPerSecond = 0;

  /** Nothing is started yet. */
  constructor(runtime: BenchRuntime, isQuick: boolean) {
    this.runtime = runtime;
    this.isQuick = isQuick;
  }

  /** Requests whose handler does nothing. */
  light(arrivals: FlowSpec["arrivals"], connections: FlowSpec["connections"]): FlowSpec {
    return { name: "light", target: "/light", expected: LIGHT, arrivals, connections };
  }

  /** Requests whose handler waits for a timer. */
  waiting(clients: number): FlowSpec {
    return { name: "waiting", target: "/wait", expected: WAITED, arrivals: { clients }, connections: "kept" };
  }

  /** Requests whose handler computes. */
  heavy(arrivals: FlowSpec["arrivals"], connections: FlowSpec["connections"]): FlowSpec {
    const { computeRounds } = this;
    const expected = computeFor(computeRounds);
    return { name: "heavy", target: `/compute/${computeRounds}`, expected, arrivals, connections };
  }

  /** What a load balancer asks. */
  health(perSecond: number, connections: FlowSpec["connections"]): FlowSpec {
    return { name: "health", target: HEALTH_PATH, expected: null, arrivals: { perSecond }, connections };
  }

  /** Starts the server of a contestant, uses it and ends it. */
  async withServer<T>(
    { options, asModule }: Contestant,
    further: Readonly<Record<string, number>>,
    use: (running: RunningServer) => Promise<T>,
  ): Promise<T> {
    const launch: CompareLaunch = {
      trivet: this.runtime.trivet,
      options: { ...options, healthPath: HEALTH_PATH, ...further },
      asModule,
    };
    const server = await ServerProcess.launch(this.runtime, "compare_server.ts", launch);
    try {
      return await use({ server, startBytes: server.memory().residentBytes });
    } finally {
      await server.stop();
    }
  }

  /** Runs a load against a server. */
  async load(server: ServerProcess, spec: Omit<LoadSpec, "port" | "serverPid">): Promise<LoadReport> {
    const whole: LoadSpec = { ...spec, port: server.port, serverPid: server.pid };
    const client = startClient("compare_load.ts", JSON.stringify(whole));
    try {
      const { warmUpSeconds, seconds, lingerSeconds } = spec;
      return await client.answer<LoadReport>(1000 * (warmUpSeconds + seconds + lingerSeconds) + LOAD_DEADLINE_MS);
    } finally {
      await client.stop();
    }
  }

  /** Begins an attack with slow heads, without any yet, uses it and ends it. */
  async withAttack<T>(
    server: ServerProcess,
    use: (grow: (count: number) => Promise<AttackReport>) => Promise<T>,
  ): Promise<T> {
    const attack = startClient("slow_heads.ts", `${server.port}`);
    try {
      return await use((count) => attack.ask<AttackReport>(`grow ${count}`, GROW_DEADLINE_MS));
    } finally {
      await attack.stop();
    }
  }

  /** Puts together what was found. A flow that is listed must not be cut off. */
  async roundOf(
    { server, startBytes }: RunningServer,
    load: LoadReport,
    facts: Round["facts"],
    flowsNeverCut: readonly string[],
    caseTitle = "",
  ): Promise<Round> {
    const problems: string[] = [];
    for (const [name, { wrong, firstWrong, cut }] of Object.entries(load.flows)) {
      if (wrong > 0) problems.push(`${wrong} wrong answers to ${name} requests, the first: ${firstWrong}`);
      if (cut > 0 && flowsNeverCut.includes(name)) problems.push(`${cut} ${name} requests were cut off`);
    }
    const stats = await server.stats();
    const { peakBytes } = server.memory();
    return { case: caseTitle, load, startBytes, peakBytes, facts, stats, printed: server.printedErrors, problems };
  }

  /** Finds out how many rounds take the computing handler its time, on this runtime and machine. */
  async calibrate(): Promise<void> {
    await this.withServer(CONTESTANTS["event-driven"], {}, async ({ server }) => {
      const url = (rounds: number) => `http://127.0.0.1:${server.port}/compute/${rounds}`;
      const timed = async (rounds: number) => {
        const startMs = performance.now();
        await (await fetch(url(rounds))).text();
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
  }

  /** Finds out what the load client is able to, against a listener on raw TCP that parses nothing. */
  async measureGenerator(clients: number, seconds: number): Promise<LoadReport> {
    const server = await ServerProcess.start(this.runtime, "raw", { handler: "hello", packages: "", patient: false });
    try {
      const flow: FlowSpec = { ...this.waiting(clients), target: "/", expected: HELLO };
      const load = await this.load(server, { flows: [flow], warmUpSeconds: 1, seconds, lingerSeconds: 0 });
      this.generatorPerSecond = load.flows.waiting.answered / seconds;
      return load;
    } finally {
      await server.stop();
    }
  }
}

/** Requests that were answered, in a second. */
export function answeredPerSecond({ flows, seconds }: LoadReport, flow: string): number {
  return flows[flow].answered / seconds;
}

/** A part of the requests that were due, such as those that were answered. */
export function shareOf(part: number, { sent }: FlowReport): number {
  return sent === 0 ? 0 : part / sent;
}

function startClient(file: string, argument: string): ChildProgram {
  const path = decodeURIComponent(new URL(`../clients/${file}`, import.meta.url).pathname);
  return new ChildProgram([Deno.execPath(), "run", "-A", "--quiet", "--no-check", "--no-lock", path, argument]);
}
