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

/** A contender that runs. */
interface Running {
  readonly name: ContenderName;
  readonly server: ServerProcess;
  readonly verified: VerifiedResponse;
  readonly rounds: Round[];
  readonly problems: string[];
}

/** Measures one scenario on one runtime. A contender that fails is reported with its problem, and without rounds. */
export async function measureScenario(
  scenario: Scenario,
  runtime: BenchRuntime,
  method: Method,
): Promise<Measurement[]> {
  const running: Running[] = [];
  const failed: Measurement[] = [];
  try {
    for (const name of contendersOf(scenario, runtime, method)) {
      try {
        running.push(await startContender(name, scenario, runtime, method));
      } catch (error) {
        const problems = [error instanceof Error ? error.message : String(error)];
        failed.push({
          runtime: runtime.name,
          scenario: scenario.name,
          contender: name,
          rounds: [],
          residentBytes: 0,
          problems,
        });
      }
    }
    for (let round = 0; round < method.rounds; round++) {
      // Every other round runs backwards, so that a machine that gets slower or faster favours nobody.
      for (const contender of round % 2 === 0 ? running : running.toReversed()) {
        await measureRound(contender, scenario, method);
      }
    }
    return failed.concat(running.map(({ name, server, rounds, problems }) => {
      const residentBytes = server.memory().residentBytes;
      // Others print what a peer that goes away has done to them; Trivet has no reason to.
      const printed = CONTENDERS[name].isTrivet && server.printedErrors !== "";
      const all = printed ? [...problems, `it printed: ${server.printedErrors}`] : problems;
      return { runtime: runtime.name, scenario: scenario.name, contender: name, rounds, residentBytes, problems: all };
    }));
  } finally {
    await Promise.all(running.map(({ server }) => server.stop()));
  }
}

function contendersOf(scenario: Scenario, runtime: BenchRuntime, method: Method): ContenderName[] {
  return scenario.contenders.filter((name) => {
    const { files, isPackage } = CONTENDERS[name];
    if (files[runtime.name] === undefined || !method.contenders.includes(name)) return false;
    if (CONTENDERS[name].isBefore && runtime.trivetBefore === null) return false;
    return !isPackage || method.packages.folder !== null;
  });
}

async function startContender(
  name: ContenderName,
  scenario: Scenario,
  runtime: BenchRuntime,
  method: Method,
): Promise<Running> {
  const packages = method.packages.folder ?? "";
  const { handler, target, fields, content } = scenario;
  const request = { url: `http://127.0.0.1${target}`, fields, contentBytes: content?.byteLength ?? 0 };
  const server = await ServerProcess.start(runtime, name, { handler, packages, patient: false, request });
  try {
    const verified = await verifyResponse(server.port, scenario);
    const contender: Running = { name, server, verified, rounds: [], problems: [...verified.problems] };
    if (method.warmUpSeconds > 0) {
      const { problems } = await runLoad(contender, scenario, method, method.warmUpSeconds, true);
      contender.problems.push(...problems);
    }
    return contender;
  } catch (error) {
    await server.stop();
    throw error;
  }
}

async function measureRound(contender: Running, scenario: Scenario, method: Method): Promise<void> {
  const before = contender.server.cpuTime();
  const load = await runLoad(contender, scenario, method, method.seconds, method.warmUpSeconds === 0);
  const after = contender.server.cpuTime();
  const cpuSeconds = after.seconds - before.seconds;
  const systemSeconds = after.systemSeconds - before.systemSeconds;
  const { requests, seconds, p50Ms, p99Ms, problems } = load;
  contender.rounds.push({ requests, seconds, p50Ms, p99Ms, cpuSeconds, systemSeconds });
  contender.problems.push(...problems);
}

function runLoad(
  { server, verified }: Running,
  scenario: Scenario,
  { generator, steadyGenerator, folder }: Method,
  seconds: number,
  checked: boolean,
): Promise<LoadResult> {
  // Content is compared under full load, also where the rounds are of another one.
  const chosen = scenario.requestsPerSecond === null || checked ? generator : steadyGenerator!;
  return chosen.run({ port: server.port, scenario, seconds, checked, verified, folder });
}
