/**
 * The two states of an HTTP/1.1 connection, and everything that hangs on them.
 *
 * Its tables decide which way leads from which state to which, which two states go together, and what the row that was
 * entered means: when the socket is read, which deadline runs, what the peer's FIN means and what follows when the
 * deadline passes. It must not know what is read or written.
 *
 * @module
 */

import type { ConnectionActivity } from "../../api/stats.ts";
import type { CoarseClock } from "../../exchange/coarse_clock.ts";
import { NoWayError, transitionRecorder } from "../../states.ts";
import type { ConnectionSettings } from "./service.ts";

/** What is being read: an index into {@linkcode READING}. */
export type Reading = number;
export const PARKED: Reading = 0;
export const REFUSING: Reading = 1;
export const FIRST: Reading = 2;
export const IDLE: Reading = 3;
export const WAITING: Reading = 4;
export const HEAD: Reading = 5;
export const WITHHELD: Reading = 6;
export const CONTENT: Reading = 7;
export const COMPLETE: Reading = 8;
export const SKIPPING: Reading = 9;
export const IN_UPGRADE: Reading = 10;
export const DISCARDING: Reading = 11;
export const LINGERING: Reading = 12;
export const CLOSED: Reading = 13;

/** What is being written: an index into {@linkcode WRITING}. */
export type Writing = number;
export const NONE: Writing = 0;
export const AWAITING: Writing = 1;
export const HELD: Writing = 2;
export const STREAMING: Writing = 3;
export const DONE: Writing = 4;
export const UPGRADED: Writing = 5;
export const FLUSHING: Writing = 6;
export const ENDED: Writing = 7;
export const CUT: Writing = 8;
export const GONE: Writing = 9;

/**
 * When the socket is read: always; while the peer takes responses; while content is taken; until as much is kept as may
 * be; or as whatever has taken the connection over decides.
 */
export type Reads = "always" | "unless-congested" | "unless-held" | "until-kept" | "by-stream";
/** What the peer's FIN means. */
export type Fin = "nothing" | "close" | "close-unless-kept" | "end-of-head" | "fails-content" | "gone" | "to-stream";
/** What follows when the deadline of a row passes. */
export type Late = "never" | "refuse" | "answer" | "close" | "408" | "fail-content" | "abort";
/** Which timeout is the length of a deadline. */
type Timeout = "queue" | "refusal" | "headers" | "keep-alive" | "request" | "handler" | "linger";
/**
 * What ends the wait of a row that has no timeout: the deadline of a write (`outbound.ts`), the row of the other state,
 * or the handler, whose stream may last as long as it likes. Of a row that is over nothing is awaited.
 */
type Ending = "write" | "as-written" | "as-read" | "stream" | "over";
type Deadline = Timeout | Ending;

interface ReadingRow {
  readonly name: string;
  /** What an operator sees of it. */
  readonly activity: ConnectionActivity;
  readonly reads: Reads;
  readonly deadline: Deadline;
  readonly fin: Fin;
  readonly late: Late;
  /** The states that may follow; that the connection closes is always possible. */
  readonly to: readonly Reading[];
  /** The states of writing that may go with it. */
  readonly with: readonly Writing[];
}

interface WritingRow {
  readonly name: string;
  readonly deadline: "handler" | Ending;
  /** The states that may follow; that it is cut off or gone is always possible. */
  readonly to: readonly Writing[];
}

const IN_FLIGHT = [AWAITING, HELD, STREAMING, DONE];
const OF_A_REQUEST = [WITHHELD, CONTENT, COMPLETE];

/** What is read. */
export const READING: readonly ReadingRow[] = [
  // It is not its turn yet.
  {
    name: "parked",
    activity: "waiting",
    reads: "until-kept",
    deadline: "queue",
    fin: "close-unless-kept",
    late: "refuse",
    to: [FIRST, REFUSING, DISCARDING],
    with: [NONE],
  },
  // It will be answered with an error as soon as something was read: unread bytes would make a reset of the close.
  {
    name: "refusing",
    activity: "closing",
    reads: "always",
    deadline: "refusal",
    fin: "close",
    late: "answer",
    to: [DISCARDING],
    with: [NONE],
  },
  // It has just connected, and no byte has come.
  {
    name: "first",
    activity: "idle",
    reads: "unless-congested",
    deadline: "headers",
    fin: "close",
    late: "close",
    to: [HEAD, ...OF_A_REQUEST, DISCARDING],
    with: [NONE],
  },
  {
    name: "idle",
    activity: "idle",
    reads: "unless-congested",
    deadline: "keep-alive",
    fin: "close",
    late: "close",
    to: [WAITING, HEAD, ...OF_A_REQUEST, DISCARDING],
    with: [NONE],
  },
  // Bytes are kept: the peer does not take the responses before, or it is the turn of other connections.
  {
    name: "waiting",
    activity: "active",
    reads: "until-kept",
    deadline: "write",
    fin: "gone",
    late: "never",
    to: [HEAD, ...OF_A_REQUEST, DISCARDING],
    with: [NONE],
  },
  {
    name: "head",
    activity: "active",
    reads: "unless-congested",
    deadline: "headers",
    fin: "end-of-head",
    late: "408",
    to: [...OF_A_REQUEST, DISCARDING],
    with: [NONE],
  },
  // The peer waits for 100 (Continue) before it sends the content.
  {
    name: "withheld",
    activity: "active",
    reads: "always",
    deadline: "as-written",
    fin: "fails-content",
    late: "never",
    to: [CONTENT, COMPLETE, DISCARDING],
    with: IN_FLIGHT,
  },
  {
    name: "content",
    activity: "active",
    reads: "unless-held",
    deadline: "request",
    fin: "fails-content",
    late: "fail-content",
    to: [COMPLETE, SKIPPING, DISCARDING],
    with: IN_FLIGHT,
  },
  {
    name: "complete",
    activity: "active",
    reads: "until-kept",
    deadline: "as-written",
    fin: "gone",
    late: "never",
    to: [IDLE, IN_UPGRADE, DISCARDING],
    with: IN_FLIGHT,
  },
  // Content that is not wanted stands before the next request.
  {
    name: "skipping",
    activity: "active",
    reads: "always",
    deadline: "request",
    fin: "close",
    late: "fail-content",
    to: [IDLE, DISCARDING],
    with: [DONE],
  },
  {
    name: "upgraded",
    activity: "upgraded",
    reads: "by-stream",
    // For its handler to take it. From then on it is the handler's, whose streams may last as long as they like.
    deadline: "keep-alive",
    fin: "to-stream",
    late: "abort",
    to: [LINGERING],
    with: [UPGRADED, ENDED],
  },
  // The connection is to end, as soon as what was gathered has left.
  {
    name: "discarding",
    activity: "closing",
    reads: "always",
    deadline: "write",
    fin: "nothing",
    late: "never",
    to: [LINGERING],
    with: [FLUSHING],
  },
  {
    name: "lingering",
    activity: "closing",
    reads: "always",
    deadline: "linger",
    fin: "nothing",
    late: "abort",
    to: [],
    with: [ENDED],
  },
  {
    name: "closed",
    activity: "closing",
    reads: "by-stream",
    deadline: "over",
    fin: "nothing",
    late: "never",
    to: [],
    with: [CUT, GONE],
  },
];

/** What is written. */
export const WRITING: readonly WritingRow[] = [
  { name: "none", deadline: "as-read", to: [AWAITING, FLUSHING] },
  { name: "awaiting", deadline: "handler", to: [HELD, DONE] },
  // A stream was given, and its head waits for what its first turn brings. A roll-back goes on with the time it had.
  { name: "held", deadline: "handler", to: [AWAITING, STREAMING, DONE] },
  { name: "streaming", deadline: "stream", to: [DONE] },
  { name: "done", deadline: "as-read", to: [NONE, UPGRADED, FLUSHING] },
  { name: "upgraded", deadline: "as-read", to: [ENDED] },
  { name: "flushing", deadline: "write", to: [ENDED] },
  // FIN was sent.
  { name: "ended", deadline: "as-read", to: [] },
  // This server has cut the connection off.
  { name: "cut", deadline: "over", to: [] },
  // The peer has closed the connection, or it broke.
  { name: "gone", deadline: "over", to: [] },
];

const toMask = (states: readonly number[], always: number): number =>
  states.reduce((mask, state) => mask | 1 << state, always);
const READING_TO = READING.map(({ to }, reading) => reading === CLOSED ? 0 : toMask(to, 1 << CLOSED));
const WRITING_TO = WRITING.map(({ to }, writing) => writing >= CUT ? 0 : toMask(to, 1 << CUT | 1 << GONE));
const PAIRS = READING.map((row) => toMask(row.with, 0));

/**
 * In the order of `timeoutsOf`, behind none at all. Those from `headers` on count from the first byte of a request.
 */
const TIMEOUTS: readonly (Deadline | null)[] = [
  null,
  "queue",
  "refusal",
  "keep-alive",
  "linger",
  "handler",
  "headers",
  "request",
];
const timeoutOf = ({ deadline }: { readonly deadline: Deadline }): number => Math.max(0, TIMEOUTS.indexOf(deadline));
const READING_TIMEOUT = READING.map(timeoutOf);
const WRITING_TIMEOUT = WRITING.map(timeoutOf);
const HEADERS = TIMEOUTS.indexOf("headers");
const HANDLER = TIMEOUTS.indexOf("handler");

/** How long bytes are read and thrown away behind our FIN. */
const LINGER_MS = 5_000;
const DRAINING_LINGER_MS = 1_000;
/** How long a connection that is refused may take to say something first. */
const REFUSAL_MS = 1_000;
/** How long `onError` may take to give a response, where the handler has no time limit of its own. */
const RESCUE_MS = 10_000;

/** The timeouts of a server by deadline, a tick added so that none is early; `Infinity` for none. */
export function timeoutsOf(settings: ConnectionSettings, tickMs: number): readonly number[] {
  const { queueTimeoutMs, headersTimeoutMs, keepAliveTimeoutMs, requestTimeoutMs, handlerTimeoutMs } = settings;
  return [
    0,
    queueTimeoutMs,
    REFUSAL_MS,
    keepAliveTimeoutMs,
    LINGER_MS,
    handlerTimeoutMs,
    headersTimeoutMs,
    requestTimeoutMs,
  ]
    .map((timeoutMs) => timeoutMs === 0 ? Infinity : timeoutMs + tickMs);
}

/** The connection whose states these are. */
export interface LifecycleOwner {
  /** A state was to be entered to which no way leads: the connection has to be cut off. */
  breakDown(fault: unknown): void;
}

/** The two states of one connection. */
export class Lifecycle {
  reading: Reading = PARKED;
  writing: Writing = NONE;
  /** When the deadline of each state passes, on the coarse clock. */
  readingAtMs: number;
  writingAtMs = Infinity;
  /** When the present state of reading was entered. */
  sinceMs: number;
  /** When the first byte of the present request came. */
  #beganAtMs = 0;
  /** What the request had used of its time when its peer was to wait for 100 (Continue). */
  #usedMs = 0;
  readonly #clock: CoarseClock;
  readonly #timeouts: readonly number[];
  readonly #owner: LifecycleOwner;

  /**
   * @param clock The clock of the server.
   * @param timeouts What {@linkcode timeoutsOf} gives.
   * @param owner Told of faults.
   */
  constructor(clock: CoarseClock, timeouts: readonly number[], owner: LifecycleOwner) {
    this.#clock = clock;
    this.#owner = owner;
    this.#timeouts = timeouts;
    this.sinceMs = clock.nowMs;
    this.readingAtMs = clock.nowMs + timeouts[READING_TIMEOUT[PARKED]];
  }

  /**
   * The only way to change a state. Both are given, since only some go together. Where no way leads, which is a fault
   * of this program, both stay what they were.
   */
  enter(reading: Reading, writing: Writing): void {
    const fromReading = this.reading;
    const fromWriting = this.writing;
    const isReading = reading !== fromReading;
    const isWriting = writing !== fromWriting;
    if (
      (PAIRS[reading] & 1 << writing) === 0 || (isReading && (READING_TO[fromReading] & 1 << reading) === 0) ||
      (isWriting && (WRITING_TO[fromWriting] & 1 << writing) === 0)
    ) {
      this.#owner.breakDown(new NoWayError("a connection", nameOf(fromReading, fromWriting), nameOf(reading, writing)));
      return;
    }
    if (transitionRecorder.record !== null) record(fromReading, fromWriting, reading, writing);
    const { nowMs } = this.#clock;
    if (isWriting) {
      this.writing = writing;
      if (WRITING_TIMEOUT[writing] !== HANDLER) this.writingAtMs = Infinity;
      else if (fromWriting === NONE) this.writingAtMs = nowMs + this.#timeouts[HANDLER];
    }
    if (!isReading) return;
    this.reading = reading;
    this.sinceMs = nowMs;
    // The time in which the peer waits for 100 (Continue) does not count.
    if (reading === WITHHELD) this.#usedMs = fromReading === HEAD ? nowMs - this.#beganAtMs : 0;
    const timeout = READING_TIMEOUT[reading];
    if (timeout >= HEADERS) this.#timeRequest(fromReading, reading, timeout);
    else this.readingAtMs = nowMs + this.#timeouts[timeout];
  }

  /** Whether neither state has a timeout that will pass. */
  get isUnbounded(): boolean {
    return this.readingAtMs === Infinity && this.writingAtMs === Infinity;
  }

  /** The handler has so much time from now on. */
  extendHandler(extraMs: number): void {
    this.writingAtMs = this.#clock.nowMs + this.#clock.tickMs + extraMs;
  }

  /** `onError` was asked for a response: it has what is left of the handler's time, or else a time of its own. */
  boundRescue(): void {
    if (this.writingAtMs === Infinity) this.extendHandler(RESCUE_MS);
  }

  /** So much time has passed that is not the peer's. */
  extendReading(elapsedMs: number): void {
    this.readingAtMs += elapsedMs;
  }

  /** What has taken an upgraded connection decides how long that waits. */
  unboundReading(): void {
    this.readingAtMs = Infinity;
  }

  /** Lingering takes no longer than a server that drains can wait. */
  hurryLinger(): void {
    this.readingAtMs = Math.min(this.readingAtMs, this.#clock.nowMs + this.#clock.tickMs + DRAINING_LINGER_MS);
  }

  /** Sets a deadline that counts from the first byte of the request. */
  #timeRequest(from: Reading, reading: Reading, timeout: number): void {
    const { nowMs } = this.#clock;
    const timeoutMs = this.#timeouts[timeout];
    if (timeout === HEADERS) {
      this.#beganAtMs = nowMs;
      // A peer that has just connected has one time for the first byte and the head.
      if (from !== FIRST) this.readingAtMs = nowMs + timeoutMs;
      return;
    }
    // What is skipped goes on with the time of the content it is the rest of.
    if (reading === SKIPPING) return;
    if (from === WITHHELD) this.#beganAtMs = nowMs - this.#usedMs;
    else if (from !== HEAD) this.#beganAtMs = nowMs;
    this.readingAtMs = Math.max(nowMs + this.#clock.tickMs + 1, this.#beganAtMs + timeoutMs);
  }
}

function nameOf(reading: Reading, writing: Writing): string {
  return `${READING[reading].name} and ${WRITING[writing].name}`;
}

/** For tests: each state on its own, and the pair. */
function record(fromReading: Reading, fromWriting: Writing, reading: Reading, writing: Writing): void {
  const tell = transitionRecorder.record!;
  if (reading !== fromReading) tell("reading", READING[fromReading].name, READING[reading].name);
  if (writing !== fromWriting) tell("writing", WRITING[fromWriting].name, WRITING[writing].name);
  tell("pairs", READING[reading].name, WRITING[writing].name);
}
