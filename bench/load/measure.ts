/**
 * Measures the contenders of one scenario on one runtime, in turn and more than once.
 *
 * @module
 */

import { pin } from "../process_figures.ts";
import { countEach, messageOf } from "../report.ts";
import type { BenchRuntime, RuntimeName } from "../runtimes.ts";
import type { ServerProcess } from "../server_process.ts";
import { WireConnection } from "../clients/wire_connection.ts";
import { type ContenderName, contenderOf, type Found, isThere, startContender } from "./contenders.ts";
import { type Generator, type GeneratorPlace, type LoadResult, openGenerator } from "./generators.ts";
import type { Scenario } from "./scenarios.ts";

/** One round of one contender. */
export interface Round extends Omit<LoadResult, "problems"> {
  /** Time of the server's processes on a processor. */
  readonly cpuSeconds: number;
  /** Of that, time in the system: what the sockets cost, whatever the server does beside. */
  readonly systemSeconds: number;
}

/** What was found of one contender. */
export interface Measurement {
  readonly runtime: RuntimeName;
  readonly scenario: string;
  readonly contender: ContenderName;
  /** One that has failed has fewer of them. */
  readonly rounds: Round[];
  /** Resident memory after the last round. */
  residentBytes: number;
  /** Connections that each process or thread got, where there is more than one. */
  shares: number[];
  /** What was wrong with the responses; empty when nothing was. */
  readonly problems: string[];
}

/** How it is measured. */
export interface Method extends Found, GeneratorPlace {
  readonly rounds: number;
  readonly seconds: number;
  /** How often each server is started anew. */
  readonly starts: number;
  /** Seconds of load before the first round, in which each content is compared; 0 is to compare it in the rounds. */
  readonly warmUpSeconds: number;
  readonly contenders: readonly ContenderName[];
}

/** A server that runs, and what loads it. */
interface Running {
  readonly found: Measurement;
  readonly server: ServerProcess;
  readonly generator: Generator;
}

const SPREAD_CONNECTIONS = 64;
const PATIENCE_MS = 5_000;

/**
 * Measures one scenario on one runtime. A contender that fails is reported with its problem, and without more rounds.
 *
 * How fast a process is depends on what its compiler has seen and where its memory lies, so that each server is started
 * more than once in a run; its rounds alternate with those of the others, A B C, C B A.
 */
export async function measureScenario(scenario: Scenario, runtime: BenchRuntime, method: Method) {
  const all = contendersOf(scenario, runtime, method).map((contender): Measurement => {
    const found = { runtime: runtime.name, scenario: scenario.name, contender };
    return { ...found, rounds: [], residentBytes: 0, shares: [], problems: [] };
  });
  for (let start = 0; start < method.starts; start++) {
    const running: Running[] = [];
    try {
      for (const found of all) await attempt(found, () => launch(found, scenario, runtime, method, running));
      for (let round = 0; round < method.rounds; round++) {
        // Every other round runs backwards, so that a machine that gets slower or faster favours neither.
        for (const each of round % 2 === 0 ? running : running.toReversed()) {
          await attempt(each.found, () => measureRound(each, method));
        }
      }
      for (const { found, server } of running) await attempt(found, () => lookAtLast(found, server, scenario));
    } finally {
      await Promise.all(running.map(async ({ server, generator }) => {
        await generator.stop();
        await server.stop();
      }));
    }
  }
  return all;
}

async function attempt(found: Measurement, step: () => Promise<void>): Promise<void> {
  try {
    await step();
  } catch (error) {
    found.problems.push(messageOf(error));
  }
}

function contendersOf({ contenders, handler, webSocket }: Scenario, runtime: BenchRuntime, method: Method) {
  const isOfNpm = (name: ContenderName) =>
    /^(hono|h3)/.test(handler) || webSocket !== null && runtime.name === "node" && name === "native";
  return contenders.filter((name) =>
    method.contenders.includes(name) && isThere(name, runtime, method) && !(isOfNpm(name) && method.packages === "")
  );
}

/** Starts a contender and warms it up. */
async function launch(
  found: Measurement,
  scenario: Scenario,
  runtime: BenchRuntime,
  method: Method,
  running: Running[],
): Promise<void> {
  const server = await startContender(found.contender, scenario, runtime, method);
  let generator: Generator | undefined;
  try {
    generator = await openGenerator(server.port, scenario, method);
    found.problems.push(...generator.problems);
    if (method.warmUpSeconds > 0) found.problems.push(...(await generator.warmUp(method.warmUpSeconds)).problems);
    // Not before: code is compiled beside the server while it warms up.
    if (!scenario.isSpread && found.contender !== "trivet-thread") await pin(server.pid);
    running.push({ found, server, generator });
  } catch (error) {
    await generator?.stop();
    await server.stop();
    throw error;
  }
}

async function measureRound({ found, server, generator }: Running, method: Method): Promise<void> {
  const before = server.cpuTime();
  const { problems, ...load } = await generator.load(method.seconds, method.warmUpSeconds === 0);
  const after = server.cpuTime();
  found.problems.push(...problems);
  const cpuSeconds = after.seconds - before.seconds;
  found.rounds.push({ ...load, cpuSeconds, systemSeconds: after.systemSeconds - before.systemSeconds });
}

async function lookAtLast(found: Measurement, server: ServerProcess, scenario: Scenario): Promise<void> {
  found.residentBytes = server.memory().residentBytes;
  if (scenario.isSpread) found.shares = await sharesOf(server.port);
  // Others print what a peer that goes away has done to them; Trivet has no reason to.
  const isTrivet = contenderOf(found.contender).kind === "trivet";
  if (isTrivet && server.printedErrors !== "") found.problems.push(`it printed: ${server.printedErrors}`);
}

/** How many of some connections each process or thread answers. */
async function sharesOf(port: number): Promise<number[]> {
  const opening = Array.from({ length: SPREAD_CONNECTIONS }, () => WireConnection.open(port));
  const answers: string[] = [];
  const connections = await Promise.all(opening);
  for (const connection of connections) {
    const outcome = await connection.exchange("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", PATIENCE_MS);
    answers.push(outcome.kind === "answered" ? outcome.content : outcome.kind);
  }
  for (const connection of connections) connection.close();
  return [...countEach(answers).values()].sort((a, b) => b - a);
}
