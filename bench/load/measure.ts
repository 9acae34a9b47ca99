/** Measures the contenders of one scenario on one runtime, in turn and more than once. */

import { get, WireConnection } from "../../test/support/wire_connection.ts";
import { pin, type ServerProcess } from "../processes.ts";
import { countEach, type Finding, messageOf } from "../report.ts";
import type { BenchRuntime } from "../runtimes.ts";
import { type ContenderName, CONTENDERS, isThere, type Method, startContender } from "./contenders.ts";
import { type Generator, type LoadResult, openGenerator } from "./generators.ts";
import type { Scenario } from "./scenarios.ts";

/** One round of one contender, with the time of the server's processes on a processor, and what of it is the system's. */
export type Round = Omit<LoadResult, "problems"> & Readonly<Record<"cpuSeconds" | "systemSeconds", number>>;

export interface Measurement extends Finding {
  readonly contender: ContenderName;
  /** One that has failed has fewer of them. */
  readonly rounds: Round[];
  residentBytes: number;
  /** Connections that each process or thread got, where there is more than one. */
  shares: number[];
  readonly problems: string[];
}

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
    const found = { of: scenario.name, runtime: runtime.name, title: CONTENDERS[contender].title, contender };
    return { ...found, figures: {}, rounds: [], residentBytes: 0, shares: [], problems: [] };
  });
  for (let start = 0; start < method.starts; start++) {
    await using started = new AsyncDisposableStack();
    const running: Running[] = [];
    for (const found of all) {
      await attempt(found, async () => void running.push(await launch(found, scenario, runtime, method, started)));
    }
    for (let round = 0; round < method.rounds; round++) {
      // Every other round runs backwards, so that a machine that gets slower or faster favours neither.
      for (const each of round % 2 === 0 ? running : running.toReversed()) {
        await attempt(each.found, () => measureRound(each, Math.max(method.seconds, scenario.minSeconds)));
      }
    }
    for (const { found, server } of running) await attempt(found, () => lookAtLast(found, server, scenario));
  }
  return all;
}

async function attempt(found: Measurement, step: () => Promise<void>): Promise<void> {
  await step().catch((error) => found.problems.push(messageOf(error)));
}

function contendersOf({ contenders, handler, webSocket }: Scenario, runtime: BenchRuntime, method: Method) {
  const isOfNpm = (name: ContenderName) =>
    /^(hono|h3)/.test(handler) || webSocket !== null && runtime.name === "node" && name === "native";
  return contenders.filter((name) => isThere(name, runtime, method) && !(isOfNpm(name) && method.packages === ""));
}

async function launch(
  found: Measurement,
  scenario: Scenario,
  runtime: BenchRuntime,
  method: Method,
  started: AsyncDisposableStack,
): Promise<Running> {
  const server = started.use(await startContender(found.contender, scenario, runtime, method));
  const generator = started.use(await openGenerator(server.port, scenario, method));
  const requests = CONTENDERS[found.contender].kind === "peer" ? 0 : method.warmUpRequests;
  found.problems.push(...generator.problems, ...await generator.warmUp(method.warmUpSeconds, requests));
  // Not before: code is compiled beside the server while it warms up.
  if (!scenario.isSpread && found.contender !== "trivet-thread") await pin(server.pid);
  return { found, server, generator };
}

async function measureRound({ found, server, generator }: Running, seconds: number): Promise<void> {
  const before = server.cpuTime();
  const { problems, ...load } = await generator.load(seconds);
  const after = server.cpuTime();
  found.problems.push(...problems);
  const cpuSeconds = after.seconds - before.seconds;
  found.rounds.push({ ...load, cpuSeconds, systemSeconds: after.systemSeconds - before.systemSeconds });
}

async function lookAtLast(found: Measurement, server: ServerProcess, scenario: Scenario): Promise<void> {
  found.residentBytes = server.memory().residentBytes;
  if (scenario.isSpread) found.shares = await sharesOf(server.port);
  // Others print what a peer that goes away has done to them; Trivet has no reason to.
  const isTrivet = CONTENDERS[found.contender].kind === "trivet";
  // The system deals at random.
  if (isTrivet && scenario.isSpread && !(found.shares[1] > 1)) found.problems.push("one loop has all connections");
  if (isTrivet && server.printedErrors !== "") found.problems.push(`it printed: ${server.printedErrors}`);
}

/** How many of some connections each process or thread answers. */
async function sharesOf(port: number): Promise<number[]> {
  const connections = await Promise.all(Array.from({ length: SPREAD_CONNECTIONS }, () => WireConnection.open(port)));
  const outcomes = await Promise.all(connections.map((each) => each.exchange(get("/"), PATIENCE_MS)));
  for (const connection of connections) connection.close();
  const answers = outcomes.map((outcome) => outcome.kind === "answered" ? outcome.content : outcome.kind);
  return [...countEach(answers).values()].sort((a, b) => b - a);
}
