/**
 * Flows of requests and what becomes of them. A request's time begins when it is due, not when the client gets round
 * to it: a server that holds up the client hides nothing that way.
 */

import process from "node:process";
import { setTimeout as rest } from "node:timers/promises";
import { createRandom } from "../../test/support/random.ts";
import { cpuSecondsOfMachine, type ServerProcess } from "../processes.ts";
import { get, type Outcome, WireConnection } from "../../test/support/wire_connection.ts";

/** Requests of one kind that are sent beside others. */
export interface FlowSpec {
  /** The path of a GET; or all of a request, where it begins with a method. */
  readonly request: string;
  /** The status that is an answer, 200 unless told otherwise; a 503 is a refusal. */
  readonly status?: number;
  /** The content of such an answer; `null` where only the status counts. */
  readonly expected: string | null;
  /**
   * When requests are sent: each of so many clients sends its next one when it has the answer to the last; or they come
   * at random with so many in a second on average, whether or not the earlier ones are answered. Clients may keep a pace:
   * then there is at least so long between two requests of one.
   */
  readonly arrivals: { readonly clients: number; readonly everyMs?: number } | { readonly perSecond: number };
  /** Whether a connection that persists is used again. */
  readonly connections: "kept" | "fresh";
}

/** How long flows last, and how long the answers to what was sent in the measured time are waited for afterwards. */
export type FlowTimes = Readonly<Record<"warmUpSeconds" | "seconds" | "lingerSeconds", number>>;
export type FlowReport = ReturnType<Flow["stop"]>;
export type FlowsReport = Awaited<ReturnType<typeof runFlows>>;

/** What a client does that was refused or cut off: try again, but not at once. */
const RETRY_DELAY_MS = 100;
const ONE_SECOND_MS = 1_000;
const PATIENCE_MS = 60_000;
const LINGER_STEP_MS = 20;
/** The same gaps in every run. */
const SEED = 0x2545f491;

export async function runFlows(server: ServerProcess, specs: Readonly<Record<string, FlowSpec>>, times: FlowTimes) {
  const { warmUpSeconds, seconds, lingerSeconds } = times;
  const startMs = performance.now();
  const measureFromMs = startMs + 1000 * warmUpSeconds;
  const measureUntilMs = measureFromMs + 1000 * seconds;
  const flows = Object.entries(specs).map(([name, spec]) =>
    [name, new Flow(spec, server.port, measureFromMs, measureUntilMs)] as const
  );
  for (const [, flow] of flows) flow.start(startMs);
  await until(measureFromMs);
  const clientCpuSeconds = () => Object.values(process.cpuUsage()).reduce((sum, each) => sum + each) / 1e6;
  const cpuSeconds = () => [clientCpuSeconds(), server.cpuTime().seconds, cpuSecondsOfMachine()];
  const before = cpuSeconds();
  const since = () => cpuSeconds().map((cpu, index) => cpu - before[index]);
  await until(measureUntilMs);
  const [clientCpuShare, serverCpuShare] = since().map((cpu) => cpu / seconds);
  const lingerUntilMs = measureUntilMs + 1000 * lingerSeconds;
  while (performance.now() < lingerUntilMs && flows.some(([, flow]) => flow.isWaiting)) await rest(LINGER_STEP_MS);
  const [clientToEnd, servingToEnd, machineToEnd] = since();
  const secondsToEnd = (performance.now() - measureFromMs) / 1000;
  return {
    flows: Object.fromEntries(flows.map(([name, flow]) => [name, flow.stop()])),
    seconds,
    /** Of one processor, in the measured time; of everything else on the machine until the last answer. */
    clientCpuShare,
    serverCpuShare,
    otherCpuShare: Math.max(0, machineToEnd - clientToEnd - servingToEnd) / secondsToEnd,
  };
}

/** A request and what has become of it. */
interface Sent {
  readonly dueMs: number;
  endedMs?: number;
  fate?: "answered" | "refused" | "cut" | Outcome;
}

/** A flow at work. What is measured begins and ends on the clock of `performance.now()`. */
class Flow {
  readonly #spec: FlowSpec;
  readonly #port: number;
  readonly #fromMs: number;
  readonly #untilMs: number;
  readonly #request: string;
  readonly #isPaced: boolean;
  readonly #open = new Set<WireConnection>();
  readonly #idle: WireConnection[] = [];
  readonly #sent: Sent[] = [];
  readonly #random = createRandom(SEED);
  #isStopped = false;

  constructor(spec: FlowSpec, port: number, fromMs: number, untilMs: number) {
    [this.#spec, this.#port, this.#fromMs, this.#untilMs] = [spec, port, fromMs, untilMs];
    this.#isPaced = "perSecond" in spec.arrivals;
    this.#request = spec.request.startsWith("/") ? get(spec.request) : spec.request;
  }

  start(startMs: number): void {
    const { arrivals } = this.#spec;
    if ("perSecond" in arrivals) return this.#sendDue(arrivals.perSecond, startMs);
    // They begin one after another in the warm-up: all at once they would stay in step, and come in bursts for ever.
    for (let i = 0; i < arrivals.clients; i++) {
      setTimeout(() => this.#runClient(arrivals.everyMs), (this.#fromMs - startMs) * i / arrivals.clients / 2);
    }
  }

  /** Whether an answer to a request that was due in the measured time is still awaited. */
  get isWaiting(): boolean {
    return this.#isPaced && this.#sent.some((each) => each.endedMs === undefined && this.#counts(each));
  }

  /** Closes every connection and says what was found. */
  stop() {
    this.#isStopped = true;
    const nowMs = performance.now();
    for (const connection of this.#open) connection.close();
    const counted = this.#sent.filter((each) => this.#counts(each));
    const timesOf = (fate?: string) =>
      counted.filter((each) => each.fate === fate).map(({ dueMs, endedMs = nowMs }) => endedMs - dueMs);
    const [answered, refused, waiting] = [timesOf("answered"), timesOf("refused"), timesOf()];
    return {
      sent: counted.length,
      answered: answered.length,
      refused: refused.length,
      /** Closed or reset without an answer. */
      cut: timesOf("cut").length,
      unanswered: waiting.length,
      /** Answered with anything else. */
      wrong: counted.map(({ fate }) => fate).filter((fate) => typeof fate === "object"),
      /** Of the answered ones. */
      longestMs: Math.max(0, ...answered),
      answeredWithinSecond: answered.filter((ms) => ms <= ONE_SECOND_MS).length,
      /** Of the answered ones and of those that still waited at the end. */
      latency: distributionOf(answered, waiting, this.#isPaced),
      refusal: distributionOf(refused, [], true),
    };
  }

  /**
   * Requests at a pace count when they were due in the measured time, those of clients when they ended in it. A client
   * that waits was due at any time: it counts with how long it has waited.
   */
  #counts({ dueMs, endedMs = this.#fromMs }: Sent): boolean {
    const ms = this.#isPaced ? dueMs : endedMs;
    return ms >= this.#fromMs && ms < this.#untilMs;
  }

  async #runClient(everyMs = 0): Promise<void> {
    while (!this.#isStopped) {
      const dueMs = performance.now();
      if (!await this.#send(dueMs)) await rest(RETRY_DELAY_MS);
      else if (everyMs > 0) await until(dueMs + everyMs);
    }
  }

  /** Sends what is due and sets a timer for what is next. The gaps are those of independent arrivals (exponential). */
  #sendDue(perSecond: number, firstDueMs: number): void {
    const nowMs = performance.now();
    let dueMs = firstDueMs;
    while (dueMs <= nowMs && dueMs < this.#untilMs) {
      this.#send(dueMs);
      dueMs -= 1000 * Math.log((1 + this.#random(2 ** 32)) / 2 ** 32) / perSecond;
    }
    if (dueMs >= this.#untilMs || this.#isStopped) return;
    setTimeout(() => this.#sendDue(perSecond, dueMs), dueMs - nowMs);
  }

  /** Returns whether it was answered. */
  async #send(dueMs: number): Promise<boolean> {
    const sent: Sent = { dueMs };
    this.#sent.push(sent);
    const outcome = await this.#exchange();
    if (this.#isStopped) return false;
    sent.endedMs = performance.now();
    const { status = 200, expected } = this.#spec;
    const isExpected = (content: string) => expected === null || content === expected;
    if (outcome.kind !== "answered") sent.fate = outcome.kind === "malformed" ? outcome : "cut";
    else if (outcome.status === status && isExpected(outcome.content)) sent.fate = "answered";
    else sent.fate = outcome.status === 503 ? "refused" : outcome;
    return sent.fate === "answered";
  }

  async #exchange(): Promise<Outcome> {
    const kept = this.#idle.pop();
    try {
      const connection = kept ?? await WireConnection.open(this.#port);
      this.#open.add(connection);
      if (this.#isStopped) connection.close();
      const outcome = await connection.exchange(this.#request, PATIENCE_MS);
      if (outcome.kind === "answered" && outcome.persists && this.#spec.connections === "kept") {
        this.#idle.push(connection);
        return outcome;
      }
      this.#open.delete(connection);
      connection.close();
      // A server may close a persistent connection at any time; a GET that had no answer is sent again.
      const isLost = kept !== undefined && outcome.kind === "cut" && outcome.receivedBytes === 0;
      return isLost && !this.#isStopped ? await this.#exchange() : outcome;
    } catch {
      return { kind: "cut", receivedBytes: 0 };
    }
  }
}

function until(ms: number): Promise<void> {
  return rest(Math.max(0, ms - performance.now()));
}

/** A quantile; a lower bound is known only to be more, because what was not answered had waited no longer at the end. */
export interface Quantile {
  readonly ms: number;
  readonly isLowerBound: boolean;
}

/** For rounding: the product of many quotients is a little off the exact share. */
const TOLERANCE = 1e-9;

/**
 * The median and the 99th percentile; `null` where there are no times.
 *
 * Of requests that come at a pace, those that wait at the end are often the worst ones, so nothing is concluded from the
 * others: a quantile of what all have waited at least is given, and called a lower bound where one of those that still
 * wait is among the shorter ones. Clients that send one request after another are cut short by the end of the measurement
 * at a time of no meaning, which is what the product-limit estimate of Kaplan and Meier is for: each time that ended
 * lowers the share that lasts longer by one part of those that were still waiting then.
 */
function distributionOf(ended: readonly number[], waiting: readonly number[], isPaced: boolean) {
  const of = (times: readonly number[], hasEnded: boolean) => times.map((ms) => ({ ms, hasEnded }));
  // Of equal times those that have ended come first: one that still waits lasts longer.
  const times = [...of(ended, true), ...of(waiting, false)].sort((a, b) => a.ms - b.ms);
  const quantile = (part: number): Quantile => {
    if (isPaced) {
      const rank = Math.ceil(part * times.length) - 1;
      return { ms: times[rank].ms, isLowerBound: times.slice(0, rank + 1).some(({ hasEnded }) => !hasEnded) };
    }
    let lasting = 1;
    const found = times.find(({ hasEnded }, index) => {
      if (hasEnded) lasting *= 1 - 1 / (times.length - index);
      return hasEnded && lasting <= 1 - part + TOLERANCE;
    });
    return { ms: (found ?? times[times.length - 1]).ms, isLowerBound: found === undefined };
  };
  return times.length === 0 ? null : { p50: quantile(0.5), p99: quantile(0.99) };
}

/** Milliseconds, with so many more, in three digits that count; ">" where more is not known. */
export function formatMs(quantile: Quantile | undefined, moreMs = 0): string {
  if (quantile === undefined) return "none";
  const { isLowerBound } = quantile;
  const ms = quantile.ms + moreMs;
  return `${isLowerBound ? "> " : ""}${ms < 10 ? ms.toFixed(1) : String(Math.round(ms))}`;
}
