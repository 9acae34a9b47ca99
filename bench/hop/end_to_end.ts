/**
 * What a hop costs a server: the same handler called on the loop and on one thread, under the same load.
 *
 * @module
 */

import type { BenchRuntime } from "../contenders.ts";
import { measureLatency } from "../latency.ts";
import type { LoadGenerator } from "../load.ts";
import { type Scenario, SCENARIOS } from "../scenarios.ts";
import { ServerProcess } from "../server_process.ts";
import type { CompareLaunch } from "../servers/compare_server.ts";
import { type VerifiedResponse, verifyResponse } from "../verify.ts";

/** Where the handler is called. */
export const MODELS = {
  "event-driven": { model: "event-driven" },
  "hybrid": { model: "hybrid", threads: 1 },
} as const;

export type ModelName = keyof typeof MODELS;

/** What was found of one model in one round. */
export interface ModelRound {
  readonly model: ModelName;
  /** Connections that were always busy; or `null` for requests at a steady pace of 400 a second. */
  readonly connections: number | null;
  /** CPU time of the server's process for a request. */
  readonly cpuMicroseconds: number;
  readonly requestsPerSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly problems: readonly string[];
}

/** A server under load. */
interface Contestant {
  readonly model: ModelName;
  readonly server: ServerProcess;
  readonly verified: VerifiedResponse;
}

const LOADS = [64, 1000, null] as const;
const WARM_UP_SECONDS = 1;

/** Measures both models in turn. */
export async function measureModels(
  runtime: BenchRuntime,
  generator: LoadGenerator,
  rounds: number,
  seconds: number,
  folder: string,
): Promise<ModelRound[]> {
  const contestants: Contestant[] = [];
  const found: ModelRound[] = [];
  try {
    for (const model of Object.keys(MODELS) as ModelName[]) {
      const launch: CompareLaunch = {
        trivet: runtime.trivet,
        options: MODELS[model],
        asModule: true,
        handler: "hop_handler.ts",
      };
      const server = await ServerProcess.launch(runtime, "compare_server.ts", launch);
      contestants.push({ model, server, verified: await verifyResponse(server.port, scenarioOf(64)) });
      await measure(contestants[contestants.length - 1], 64, generator, WARM_UP_SECONDS, folder);
    }
    for (const connections of LOADS) {
      for (let round = 0; round < rounds; round++) {
        for (const contestant of round % 2 === 0 ? contestants : contestants.toReversed()) {
          found.push(await measure(contestant, connections, generator, seconds, folder));
        }
      }
    }
  } finally {
    for (const { server } of contestants) await server.stop();
  }
  return found;
}

async function measure(
  { model, server, verified }: Contestant,
  connections: number | null,
  generator: LoadGenerator,
  seconds: number,
  folder: string,
): Promise<ModelRound> {
  const cpuBefore = server.cpuTime().seconds;
  let result;
  if (connections === null) {
    result = { ...await measureLatency(server.port, seconds), seconds, problems: [] };
  } else {
    const scenario = scenarioOf(connections);
    result = await generator.run({ port: server.port, scenario, seconds, checked: false, verified, folder });
  }
  return {
    model,
    connections,
    cpuMicroseconds: 1e6 * (server.cpuTime().seconds - cpuBefore) / result.requests,
    requestsPerSecond: result.requests / result.seconds,
    p50Ms: result.p50Ms ?? 0,
    p99Ms: result.p99Ms ?? 0,
    problems: server.printedErrors === "" ? result.problems : [...result.problems, server.printedErrors],
  };
}

function scenarioOf(connections: number): Scenario {
  const hello = SCENARIOS.find(({ name }) => name === "hello");
  if (hello === undefined) throw new Error('There is no scenario "hello".');
  return { ...hello, connections };
}
