/**
 * What the load client of the comparison is told and what it tells: types only.
 *
 * @module
 */

/** Requests of one kind that are sent beside others. */
export interface FlowSpec {
  readonly name: string;
  readonly target: string;
  /** The content of a 200; `null` where only the status counts. */
  readonly expected: string | null;
  /**
   * When requests are sent: each of so many clients sends its next one when it has the answer to the last; or they come
   * at random with so many in a second on average, whether or not the earlier ones are answered.
   */
  readonly arrivals: { readonly clients: number } | { readonly perSecond: number };
  /** Whether a connection that persists is used again. */
  readonly connections: "kept" | "fresh";
}

/** One run. */
export interface LoadSpec {
  readonly port: number;
  /** The process that serves, whose time on processors is taken over the measured time. */
  readonly serverPid: number;
  readonly flows: readonly FlowSpec[];
  readonly warmUpSeconds: number;
  readonly seconds: number;
  /** How long the answers to what was sent in the measured time are waited for afterwards. */
  readonly lingerSeconds: number;
}

/** A quantile. */
export interface Quantile {
  readonly ms: number;
  /** Whether it is known only to be more than this, because what was not answered had waited no longer at the end. */
  readonly isLowerBound: boolean;
}

/** How long answers took. */
export interface Distribution {
  readonly p50: Quantile;
  readonly p99: Quantile;
}

/** What became of one flow in the measured time. */
export interface FlowReport {
  /** Requests that were due. */
  readonly sent: number;
  /** With a 200 and the right content. */
  readonly answered: number;
  /** With a 503. */
  readonly refused: number;
  /** Closed or reset without an answer. */
  readonly cut: number;
  /** Neither, until the end. */
  readonly unanswered: number;
  /** With anything else. */
  readonly wrong: number;
  /** The beginning of the first such answer. */
  readonly firstWrong: string;
  /** Of the answered ones, how many came within a second. */
  readonly answeredWithinSecond: number;
  /** Sent a second time, because the server had closed the persistent connection meanwhile. */
  readonly repeated: number;
  /** Of the answers, those whose content came in chunks. */
  readonly chunked: number;
  /** Of the answered ones and of those that still waited at the end; `null` where there is neither. */
  readonly latency: Distribution | null;
  /** Of the refused ones. */
  readonly refusal: Distribution | null;
  /** How late the client itself was to begin a request that was due, as 99th percentile; 0 for clients. */
  readonly latenessP99Ms: number;
}

/** What was found in one run. */
export interface LoadReport {
  readonly flows: Readonly<Record<string, FlowReport>>;
  /** The measured time. */
  readonly seconds: number;
  /** Of one processor, in the measured time. */
  readonly clientCpuShare: number;
  readonly serverCpuShare: number;
  /** Of everything else on the machine, attackers and the system's own work among it, until the last answer. */
  readonly otherCpuShare: number;
}
