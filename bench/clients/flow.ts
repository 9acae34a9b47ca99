/**
 * One flow of requests and what becomes of them.
 *
 * It decides when a request is due, on which connection it is sent and how its answer is judged. A request's time begins
 * when it is due, not when the client gets round to it: a server that holds up the client hides nothing that way.
 *
 * @module
 */

import type { FlowReport, FlowSpec } from "./compare_report.ts";
import { distributionOfArrivals, distributionOfClients } from "./distribution.ts";
import { type Answer, ClosedError, RawConnection } from "./raw_connection.ts";

/** When a run begins, is measured and ends, on the clock of `performance.now()`. */
export interface RunTimes {
  readonly startMs: number;
  readonly measureFromMs: number;
  readonly measureUntilMs: number;
}

/** What a client does that was refused or cut off: try again, but not at once. */
const RETRY_DELAY_MS = 100;
const ONE_SECOND_MS = 1_000;
/** The same gaps in every run. */
const SEED = 0x2545f491;

const encoder = new TextEncoder();

/** A flow at work. */
export class Flow {
  readonly #spec: FlowSpec;
  readonly #port: number;
  readonly #times: RunTimes;
  readonly #request: Uint8Array;
  readonly #open = new Set<RawConnection>();
  readonly #idle: RawConnection[] = [];
  /** When each request was due that is under way. */
  readonly #underWay = new Set<{ readonly dueMs: number }>();
  readonly #answeredMs: number[] = [];
  readonly #refusedMs: number[] = [];
  readonly #latenessMs: number[] = [];
  #sent = 0;
  #cut = 0;
  #wrong = 0;
  #repeated = 0;
  #chunked = 0;
  #firstWrong = "";
  #isStopped = false;

  /** Begins nothing yet. */
  constructor(spec: FlowSpec, port: number, times: RunTimes) {
    this.#spec = spec;
    this.#port = port;
    this.#times = times;
    this.#request = encoder.encode(`GET ${spec.target} HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\n\r\n`);
  }

  /** Begins to send. */
  start(): void {
    const { arrivals } = this.#spec;
    if ("perSecond" in arrivals) {
      this.#sendDue(arrivals.perSecond, this.#times.startMs, randomNumbers(SEED));
      return;
    }
    // They begin one after another in the warm-up: all at once they would stay in step, and come in bursts for ever.
    const { startMs, measureFromMs } = this.#times;
    for (let i = 0; i < arrivals.clients; i++) {
      setTimeout(() => this.#runClient(), (measureFromMs - startMs) * i / arrivals.clients / 2);
    }
  }

  /** Whether an answer to a request that was due in the measured time is still awaited. */
  get isWaiting(): boolean {
    if ("clients" in this.#spec.arrivals) return false;
    for (const { dueMs } of this.#underWay) if (this.#isDueInTime(dueMs)) return true;
    return false;
  }

  /** Closes every connection and says what was found. */
  stop(): FlowReport {
    this.#isStopped = true;
    const nowMs = performance.now();
    const isPaced = "perSecond" in this.#spec.arrivals;
    // A client that waits was due at any time: it counts with how long it has waited until now.
    const waiting = [...this.#underWay].filter(({ dueMs }) => !isPaced || this.#isDueInTime(dueMs));
    for (const connection of this.#open) connection.close();
    const unanswered = waiting.length;
    const distributionOf = isPaced ? distributionOfArrivals : distributionOfClients;
    const answered = this.#answeredMs.length;
    const refused = this.#refusedMs.length;
    return {
      sent: isPaced ? this.#sent : answered + refused + this.#cut + this.#wrong + unanswered,
      answered,
      refused,
      cut: this.#cut,
      unanswered,
      wrong: this.#wrong,
      firstWrong: this.#firstWrong,
      answeredWithinSecond: this.#answeredMs.filter((ms) => ms <= ONE_SECOND_MS).length,
      repeated: this.#repeated,
      chunked: this.#chunked,
      latency: distributionOf(this.#answeredMs, waiting.map(({ dueMs }) => nowMs - dueMs)),
      refusal: distributionOfArrivals(this.#refusedMs, []),
      latenessP99Ms: distributionOfArrivals(this.#latenessMs, [])?.p99.ms ?? 0,
    };
  }

  async #runClient(): Promise<void> {
    while (!this.#isStopped) {
      const outcome = await this.#send(performance.now());
      if (outcome !== "answered") await new Promise((resolve) => setTimeout(resolve, RETRY_DELAY_MS));
    }
  }

  /** Sends what is due and sets a timer for what is next. The gaps are those of independent arrivals (exponential). */
  #sendDue(perSecond: number, firstDueMs: number, random: () => number): void {
    const nowMs = performance.now();
    let dueMs = firstDueMs;
    while (dueMs <= nowMs && dueMs < this.#times.measureUntilMs) {
      if (this.#isDueInTime(dueMs)) {
        this.#sent++;
        this.#latenessMs.push(nowMs - dueMs);
      }
      this.#send(dueMs);
      dueMs -= 1000 * Math.log(1 - random()) / perSecond;
    }
    if (dueMs >= this.#times.measureUntilMs || this.#isStopped) return;
    setTimeout(() => this.#sendDue(perSecond, dueMs, random), dueMs - nowMs);
  }

  async #send(dueMs: number): Promise<"answered" | "not answered"> {
    const entry = { dueMs };
    this.#underWay.add(entry);
    let answer: Answer | null = null;
    try {
      answer = await this.#exchange();
    } catch (error) {
      if (!(error instanceof ClosedError)) throw error;
    }
    if (this.#isStopped) return "not answered";
    this.#underWay.delete(entry);
    this.#judge(dueMs, answer);
    return answer?.status === 200 ? "answered" : "not answered";
  }

  #judge(dueMs: number, answer: Answer | null): void {
    const nowMs = performance.now();
    // Requests at a pace count when they were due in the measured time, those of clients when they were answered in it.
    const isPaced = "perSecond" in this.#spec.arrivals;
    if (!this.#isDueInTime(isPaced ? dueMs : nowMs)) return;
    const { expected } = this.#spec;
    if (answer?.isChunked === true) this.#chunked++;
    if (answer === null) this.#cut++;
    else if (answer.status === 200 && (expected === null || answer.content === expected)) {
      this.#answeredMs.push(nowMs - dueMs);
    } else if (answer.status === 503) this.#refusedMs.push(nowMs - dueMs);
    else {
      this.#wrong++;
      this.#firstWrong ||= answer.text.slice(0, 500);
    }
  }

  async #exchange(): Promise<Answer> {
    const kept = this.#idle.pop();
    if (kept !== undefined) {
      try {
        return await this.#exchangeOn(kept);
      } catch (error) {
        // A server may close a persistent connection at any time; a GET that had no answer is sent again.
        if (!(error instanceof ClosedError) || this.#isStopped) throw error;
        this.#repeated++;
      }
    }
    const fresh = await RawConnection.open(this.#port);
    this.#open.add(fresh);
    if (this.#isStopped) fresh.close();
    return await this.#exchangeOn(fresh);
  }

  async #exchangeOn(connection: RawConnection): Promise<Answer> {
    let persists = false;
    try {
      const answer = await connection.exchange(this.#request);
      persists = answer.persists && this.#spec.connections === "kept";
      return answer;
    } finally {
      if (persists) this.#idle.push(connection);
      else {
        this.#open.delete(connection);
        connection.close();
      }
    }
  }

  #isDueInTime(ms: number): boolean {
    return ms >= this.#times.measureFromMs && ms < this.#times.measureUntilMs;
  }
}

/** Numbers from 0 to 1 that look random and are the same each time (xorshift by Marsaglia). */
function randomNumbers(seed: number): () => number {
  let state = seed;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 2 ** 32;
  };
}
