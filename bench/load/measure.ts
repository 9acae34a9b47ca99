/**
 * Measures the contenders of one scenario on one runtime, in turn and more than once.
 *
 * @module
 */

import { pin } from "../process_figures.ts";
import { messageOf } from "../report.ts";
import type { BenchRuntime, RuntimeName } from "../runtimes.ts";
import type { ServerProcess } from "../server_process.ts";
import { WireConnection } from "../clients/wire_connection.ts";
import { type ContenderName, contenderOf, type Peers, startContender } from "./contenders.ts";
import { type LoadResult, runLoad, type VerifiedResponse, verifyResponse } from "./generators.ts";
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
export interface Method {
  readonly rounds: number;
  readonly seconds: number;
  /** How often each server is started anew. */
  readonly starts: number;
  /** Seconds of load before the first round, in which each content is compared; 0 is to compare it in the rounds. */
  readonly warmUpSeconds: number;
  readonly packages: string;
  readonly peers: Peers;
  readonly contenders: readonly ContenderName[];
  readonly folder: string;
}

/** A server that runs. */
interface Running {
  readonly found: Measurement;
  readonly server: ServerProcess;
  readonly verified: VerifiedResponse;
}

/** A round of a load at a pace needs many requests. */
const MIN_STEADY_SECONDS = 1;
const SPREAD_CONNECTIONS = 64;
const PATIENCE_MS = 5_000;

/**
 * Measures one scenario on one runtime. A contender that fails is reported with its problem, and without more rounds.
 *
 * How fast a process is depends on what its compiler has seen and where its memory lies, so that each server is started
 * more than once in a run; its rounds alternate with those of the others, A B C, C B A.
 */
export async function measureScenario(scenario: Scenario, runtime: BenchRuntime, method: Method) {
  const names = contendersOf(scenario, runtime, method);
  const all = names.map((contender): Measurement => (
    {
      runtime: runtime.name,
      scenario: scenario.name,
      contender,
      rounds: [],
      residentBytes: 0,
      shares: [],
      problems: [],
    }
  ));
  for (let start = 0; start < method.starts; start++) {
    const running: Running[] = [];
    try {
      for (const found of all) await attempt(found, () => launch(found, scenario, runtime, method, running));
      for (let round = 0; round < method.rounds; round++) {
        // Every other round runs backwards, so that a machine that gets slower or faster favours neither.
        for (const each of round % 2 === 0 ? running : running.toReversed()) {
          await attempt(each.found, () => measureRound(each, scenario, method));
        }
      }
      for (const { found, server } of running) await attempt(found, () => lookAtLast(found, server, scenario));
    } finally {
      await Promise.all(running.map(({ server }) => server.stop()));
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

function contendersOf(scenario: Scenario, runtime: BenchRuntime, method: Method): ContenderName[] {
  return scenario.contenders.filter((name) => {
    const { on, isPackage, isBefore, isPeer, file } = contenderOf(name);
    if (!method.contenders.includes(name) || on?.includes(runtime.name) === false) return false;
    if (isBefore && runtime.trivetBefore === null) return false;
    if (isPeer) return method.peers.commands[file] !== undefined;
    return !(isPackage || /^(hono|h3)/.test(scenario.handler)) || method.packages !== "";
  });
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
  try {
    const verified = await verifyResponse(server.port, scenario);
    found.problems.push(...verified.problems);
    const one = { found, server, verified };
    if (method.warmUpSeconds > 0) found.problems.push(...(await loaded(one, scenario, method, true)).problems);
    // Not before: code is compiled beside the server while it warms up.
    if (!scenario.isSpread && found.contender !== "trivet-thread") await pin(server.pid);
    running.push(one);
  } catch (error) {
    await server.stop();
    throw error;
  }
}

function loaded({ server, verified }: Running, scenario: Scenario, method: Method, isWarmUp: boolean) {
  const checked = isWarmUp || method.warmUpSeconds === 0;
  const measured = scenario.requestsPerSecond === null ? method.seconds : Math.max(MIN_STEADY_SECONDS, method.seconds);
  const seconds = isWarmUp ? method.warmUpSeconds : measured;
  return runLoad({ port: server.port, scenario, seconds, checked, verified, folder: method.folder });
}

async function measureRound(one: Running, scenario: Scenario, method: Method): Promise<void> {
  const { found, server } = one;
  const before = server.cpuTime();
  const { problems, ...load } = await loaded(one, scenario, method, false);
  const after = server.cpuTime();
  found.problems.push(...problems);
  const cpuSeconds = after.seconds - before.seconds;
  found.rounds.push({ ...load, cpuSeconds, systemSeconds: after.systemSeconds - before.systemSeconds });
}

async function lookAtLast(found: Measurement, server: ServerProcess, scenario: Scenario): Promise<void> {
  found.residentBytes = server.memory().residentBytes;
  if (scenario.isSpread) found.shares = await sharesOf(server.port);
  // Others print what a peer that goes away has done to them; Trivet has no reason to.
  const { isTrivet } = contenderOf(found.contender);
  if (isTrivet && server.printedErrors !== "") found.problems.push(`it printed: ${server.printedErrors}`);
}

/** How many of some connections each process or thread answers. */
async function sharesOf(port: number): Promise<number[]> {
  const connections = await Promise.all(
    Array.from({ length: SPREAD_CONNECTIONS }, () => WireConnection.open(port)),
  );
  const counts = new Map<string, number>();
  for (const connection of connections) {
    const outcome = await connection.exchange("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", PATIENCE_MS);
    const who = outcome.kind === "answered" ? outcome.content : outcome.kind;
    counts.set(who, (counts.get(who) ?? 0) + 1);
  }
  for (const connection of connections) connection.close();
  return [...counts.values()].sort((a, b) => b - a);
}
