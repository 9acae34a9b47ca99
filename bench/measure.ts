/**
 * Measures the contenders of one scenario on one runtime, in turn and more than once.
 *
 * @module
 */

import { type BenchRuntime, CONTENDERS, type Packages } from "./contenders.ts";
import type { LoadGenerator, LoadResult } from "./load.ts";
import type { ContenderName, Scenario } from "./scenarios.ts";
import { ServerProcess } from "./server_process.ts";
import { type VerifiedResponse, verifyResponse } from "./verify.ts";

/** One round of one contender. */
export interface Round {
  readonly requests: number;
  readonly seconds: number;
  readonly p50Ms: number | null;
  readonly p99Ms: number | null;
  /** Time of the server's process on a processor. */
  readonly cpuSeconds: number;
  /** Of that, time in the system: what the sockets cost, whatever the server does beside. */
  readonly systemSeconds: number;
}

/** What was found of one contender. */
export interface Measurement {
  readonly runtime: string;
  readonly scenario: string;
  readonly contender: ContenderName;
  readonly rounds: readonly Round[];
  /** Resident memory after the last round. */
  readonly residentBytes: number;
  /** What was wrong with the responses; empty when nothing was. */
  readonly problems: readonly string[];
}

/** How it is measured. */
export interface Method {
  readonly rounds: number;
  readonly seconds: number;
  /** Seconds of load before the first round, in which each content is compared; 0 is to compare it in the rounds. */
  readonly warmUpSeconds: number;
  readonly generator: LoadGenerator;
  /** For loads of so many requests a second; `null` where there is none. */
  readonly steadyGenerator: LoadGenerator | null;
  readonly packages: Packages;
  readonly contenders: readonly ContenderName[];
  readonly folder: string;
}

/** What was found of one contender so far. */
interface Found {
  readonly name: ContenderName;
  readonly rounds: Round[];
  readonly problems: string[];
  residentBytes: number;
  /** Whether it could not be started, or not be loaded; it is not tried again then. */
  hasFailed: boolean;
}

/**
 * Measures one scenario on one runtime. A contender that fails is reported with its problem, and without more rounds.
 *
 * Each round has a process of its own: how fast a process is depends on what its compiler has seen and where its memory
 * lies, by more than one contender differs from another.
 */
export async function measureScenario(
  scenario: Scenario,
  runtime: BenchRuntime,
  method: Method,
): Promise<Measurement[]> {
  const all = contendersOf(scenario, runtime, method).map((name): Found => (
    { name, rounds: [], problems: [], residentBytes: 0, hasFailed: false }
  ));
  for (let round = 0; round < method.rounds; round++) {
    // Every other round runs backwards, so that a machine that gets slower or faster favours nobody.
    for (const found of round % 2 === 0 ? all : all.toReversed()) {
      if (found.hasFailed) continue;
      try {
        await measureRound(found, scenario, runtime, method);
      } catch (error) {
        found.hasFailed = true;
        found.problems.push(error instanceof Error ? error.message : String(error));
      }
    }
  }
  return all.map(({ name, rounds, problems, residentBytes }) => (
    { runtime: runtime.name, scenario: scenario.name, contender: name, rounds, residentBytes, problems }
  ));
}

function contendersOf(scenario: Scenario, runtime: BenchRuntime, method: Method): ContenderName[] {
  return scenario.contenders.filter((name) => {
    const { files, isPackage } = CONTENDERS[name];
    if (files[runtime.name] === undefined || !method.contenders.includes(name)) return false;
    if (CONTENDERS[name].isBefore && runtime.trivetBefore === null) return false;
    return !isPackage || method.packages.folder !== null;
  });
}

/** Starts the contender, warms it up and loads it. */
async function measureRound(
  found: Found,
  scenario: Scenario,
  runtime: BenchRuntime,
  method: Method,
): Promise<void> {
  const { name, rounds, problems } = found;
  const { handler, target, fields, content } = scenario;
  const request = { url: `http://127.0.0.1${target}`, fields, contentBytes: content?.byteLength ?? 0 };
  const packages = method.packages.folder ?? "";
  const server = await ServerProcess.start(runtime, name, { handler, packages, patient: false, request });
  try {
    const verified = await verifyResponse(server.port, scenario);
    problems.push(...verified.problems);
    const isWarmedUp = method.warmUpSeconds > 0;
    if (isWarmedUp) {
      const warmUp = await runLoad(server, verified, scenario, method, method.warmUpSeconds, true);
      problems.push(...warmUp.problems);
    }
    const before = server.cpuTime();
    const load = await runLoad(server, verified, scenario, method, method.seconds, !isWarmedUp);
    const after = server.cpuTime();
    problems.push(...load.problems);
    const { requests, seconds, p50Ms, p99Ms } = load;
    const cpuSeconds = after.seconds - before.seconds;
    const systemSeconds = after.systemSeconds - before.systemSeconds;
    rounds.push({ requests, seconds, p50Ms, p99Ms, cpuSeconds, systemSeconds });
    found.residentBytes = server.memory().residentBytes;
    // Others print what a peer that goes away has done to them; Trivet has no reason to.
    if (CONTENDERS[name].isTrivet && server.printedErrors !== "") problems.push(`it printed: ${server.printedErrors}`);
  } finally {
    await server.stop();
  }
}

function runLoad(
  { port }: ServerProcess,
  verified: VerifiedResponse,
  scenario: Scenario,
  { generator, steadyGenerator, folder }: Method,
  seconds: number,
  checked: boolean,
): Promise<LoadResult> {
  // Content is compared under full load, also where the rounds are of another one.
  const chosen = scenario.requestsPerSecond === null || checked ? generator : steadyGenerator!;
  return chosen.run({ port, scenario, seconds, checked, verified, folder });
}
