/**
 * The load of the comparison: some flows of requests beside each other, for a bounded time.
 *
 * It is told what to send as JSON in its argument, prints what it found in a line of JSON, and ends.
 *
 * @module
 */

import { cpuSecondsOfMachine, cpuTimeOf } from "../process_figures.ts";
import type { LoadReport, LoadSpec } from "./compare_report.ts";
import { Flow } from "./flow.ts";

/** Beside the time the run is told to take. */
const MORE_TIME_MS = 10_000;
const LINGER_STEP_MS = 20;

async function run({ port, serverPid, flows: specs, warmUpSeconds, seconds, lingerSeconds }: LoadSpec) {
  setTimeout(() => Deno.exit(1), 1000 * (warmUpSeconds + seconds + lingerSeconds) + MORE_TIME_MS);
  const startMs = performance.now();
  const measureFromMs = startMs + 1000 * warmUpSeconds;
  const measureUntilMs = measureFromMs + 1000 * seconds;
  const flows = specs.map((spec) => new Flow(spec, port, { startMs, measureFromMs, measureUntilMs }));
  for (const flow of flows) flow.start();
  await until(measureFromMs);
  const cpuFrom = cpuSeconds(serverPid);
  await until(measureUntilMs);
  const [client, server] = cpuSince(cpuFrom, serverPid).map((cpu) => cpu / seconds);
  const lingerUntilMs = measureUntilMs + 1000 * lingerSeconds;
  while (performance.now() < lingerUntilMs && flows.some(({ isWaiting }) => isWaiting)) {
    await until(performance.now() + LINGER_STEP_MS);
  }
  const [clientToEnd, serverToEnd, machineToEnd] = cpuSince(cpuFrom, serverPid);
  const secondsToEnd = (performance.now() - measureFromMs) / 1000;
  const report: LoadReport = {
    flows: Object.fromEntries(flows.map((flow, index) => [specs[index].name, flow.stop()])),
    seconds,
    clientCpuShare: client,
    serverCpuShare: server,
    otherCpuShare: Math.max(0, machineToEnd - clientToEnd - serverToEnd) / secondsToEnd,
  };
  console.log(JSON.stringify(report));
}

/** Of this client, of the server, and of all there is on the machine. */
function cpuSeconds(serverPid: number): number[] {
  return [cpuTimeOf("self").seconds, cpuTimeOf(serverPid).seconds, cpuSecondsOfMachine()];
}

function cpuSince(from: readonly number[], serverPid: number): number[] {
  return cpuSeconds(serverPid).map((cpu, index) => cpu - from[index]);
}

function until(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, Math.max(0, ms - performance.now())));
}

await run(JSON.parse(Deno.args[0]));
Deno.exit(0);
