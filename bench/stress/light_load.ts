/**
 * The load beside busy threads: requests at a pace, each timed from when it is sent, whether or not others are answered.
 *
 * @module
 */

import { type Outcome, StressConnection } from "./stress_connection.ts";

/** What is sent, for how long. */
export interface LightPlan {
  readonly port: number;
  readonly seconds: number;
  /** Clients that keep threads busy, one request after another; 0 for none. */
  readonly busyClients: number;
  readonly busyTarget: string;
  /** Requests of each kind in a second, on average. */
  readonly healthPerSecond: number;
  readonly refusedPerSecond: number;
  readonly halfHeadsPerSecond: number;
}

/** What was found: times in milliseconds, of each request that ended as it should. */
export interface LightFindings {
  readonly healthMs: number[];
  readonly refusedMs: number[];
  readonly timeoutMs: number[];
  /** Requests that should have been refused and found room. */
  admitted: number;
  busyAnswered: number;
  /** What ended otherwise, and how often. */
  readonly problems: Map<string, number>;
}

/** The path that the server answers itself. */
export const HEALTH_PATH = "/health";
const WARM_UP_MS = 1_000;
const RETRY_DELAY_MS = 50;
const PATIENCE_MS = 5_000;

/** Sends it. */
export async function runLightLoad(plan: LightPlan): Promise<LightFindings> {
  const findings: LightFindings = {
    healthMs: [],
    refusedMs: [],
    timeoutMs: [],
    admitted: 0,
    busyAnswered: 0,
    problems: new Map(),
  };
  const untilMs = performance.now() + WARM_UP_MS + 1000 * plan.seconds;
  const busy = Array.from({ length: plan.busyClients }, () => keepBusy(plan, untilMs, findings));
  await rest(WARM_UP_MS);
  const idle: StressConnection[] = [];
  await Promise.all([
    pace(plan.healthPerSecond, untilMs, () => checkHealth(plan.port, idle, findings)),
    pace(plan.refusedPerSecond, untilMs, () => beRefused(plan, findings)),
    pace(plan.halfHeadsPerSecond, untilMs, () => sendHalfHead(plan.port, findings)),
  ]);
  await Promise.all(busy);
  for (const connection of idle) connection.close();
  return findings;
}

/** Begins something at random times, so often on average, and waits for the end of all. */
async function pace(perSecond: number, untilMs: number, begin: () => Promise<void>): Promise<void> {
  if (perSecond === 0) return;
  const begun: Promise<void>[] = [];
  let dueMs = performance.now();
  for (;;) {
    dueMs -= 1000 * Math.log(1 - Math.random()) / perSecond;
    if (dueMs >= untilMs) break;
    await rest(Math.max(0, dueMs - performance.now()));
    begun.push(begin());
  }
  await Promise.all(begun);
}

async function keepBusy({ port, busyTarget }: LightPlan, untilMs: number, findings: LightFindings): Promise<void> {
  let connection: StressConnection | null = null;
  while (performance.now() < untilMs) {
    connection ??= await StressConnection.open(port);
    const outcome = await connection.exchange(get(busyTarget), PATIENCE_MS);
    const status = statusOf(outcome);
    if (status === 200) findings.busyAnswered++;
    else if (status !== 503) report(findings, "a request that computes", outcome);
    if (outcome.kind !== "answered" || !outcome.persists) {
      connection.close();
      connection = null;
    }
    if (status !== 200) await rest(RETRY_DELAY_MS);
  }
  connection?.close();
}

/** On a connection that is kept, a further one where all are in use. */
async function checkHealth(port: number, idle: StressConnection[], findings: LightFindings): Promise<void> {
  const connection = idle.pop() ?? await StressConnection.open(port);
  const sentAtMs = performance.now();
  const outcome = await connection.exchange(get(HEALTH_PATH), PATIENCE_MS);
  if (statusOf(outcome) !== 200) return report(findings, "a health check", outcome);
  findings.healthMs.push(performance.now() - sentAtMs);
  idle.push(connection);
}

/** On a new connection, because a refusal closes it; its being accepted is a part of the time. */
async function beRefused({ port }: LightPlan, findings: LightFindings): Promise<void> {
  const sentAtMs = performance.now();
  const connection = await StressConnection.open(port);
  const outcome = await connection.exchange(get("/busy/0"), PATIENCE_MS);
  const status = statusOf(outcome);
  if (status === 503) findings.refusedMs.push(performance.now() - sentAtMs);
  else if (status === 200) findings.admitted++;
  else report(findings, "a request for the full queue", outcome);
  connection.close();
}

async function sendHalfHead(port: number, findings: LightFindings): Promise<void> {
  const connection = await StressConnection.open(port);
  const sentAtMs = performance.now();
  const outcome = await connection.exchange("GET / HTTP/1.1\r\nHost: stress.exam", PATIENCE_MS);
  if (statusOf(outcome) === 408) findings.timeoutMs.push(performance.now() - sentAtMs);
  else report(findings, "half a head", outcome);
  connection.close();
}

function report({ problems }: LightFindings, what: string, outcome: Outcome): void {
  const problem = `${what} ended with ${JSON.stringify(outcome).slice(0, 200)}`;
  problems.set(problem, (problems.get(problem) ?? 0) + 1);
}

function statusOf(outcome: Outcome): number {
  return outcome.kind === "answered" ? outcome.status : 0;
}

function get(target: string): string {
  return `GET ${target} HTTP/1.1\r\nHost: stress.example\r\n\r\n`;
}

function rest(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
