/**
 * The two states of an HTTP/1.1 connection, and everything that hangs on them.
 *
 * It decides which way leads from which state to which, and what the row that was entered means: which deadline runs,
 * when the socket is read, what a FIN means. It must not know who reads or writes.
 *
 * @module
 */

import type { CoarseClock } from "../../exchange/coarse_clock.ts";
import type { ConnectionSettings } from "./service.ts";

// Reading.
export const PARKED = 0;
export const FIRST = 1;
export const IDLE = 2;
export const WAITING = 3;
export const HEAD = 4;
export const WITHHELD = 5;
export const CONTENT = 6;
export const COMPLETE = 7;
export const SKIPPING = 8;
export const IN_UPGRADE = 9;
export const DISCARDING = 10;
export const LINGERING = 11;
export const CLOSED = 12;
export type Reading = number;

// Writing.
export const NONE = 0;
export const AWAITING = 1;
export const HELD = 2;
export const STREAMING = 3;
export const DONE = 4;
export const UPGRADED = 5;
export const FLUSHING = 6;
export const ENDED = 7;
export const CUT = 8;
export const GONE = 9;
export type Writing = number;

// When the socket is read.
export const READ_ALWAYS = 0;
export const READ_UNLESS_CONGESTED = 1;
export const READ_UNLESS_HELD = 2;
export const READ_UNTIL_KEPT = 3;
export const READ_BY_STREAM = 4;

// What the peer's FIN means.
export const FIN_NOTHING = 0;
export const FIN_CLOSE = 1;
export const FIN_HEAD = 2;
export const FIN_FAILS_CONTENT = 3;
export const FIN_GONE_TIMER = 4;
export const FIN_TO_STREAM = 5;

// What the passing of a deadline means; also the place of its length among the timeouts.
export const NO_DEADLINE = 0;
export const HEADERS = 1;
export const KEEP_ALIVE = 2;
export const REQUEST = 3;
export const HANDLER = 4;
export const LINGER = 5;
export const QUEUE = 6;

interface ReadingRow {
  readonly name: string;
  readonly reads: number;
  readonly deadline: number;
  readonly fin: number;
  readonly to: readonly Reading[];
}

interface WritingRow {
  readonly name: string;
  readonly deadline: number;
  readonly to: readonly Writing[];
}

export const READING: readonly ReadingRow[] = [
  { name: "parked", reads: READ_UNTIL_KEPT, deadline: QUEUE, fin: FIN_CLOSE, to: [FIRST, DISCARDING] },
  {
    name: "first",
    reads: READ_UNLESS_CONGESTED,
    deadline: HEADERS,
    fin: FIN_CLOSE,
    to: [HEAD, WITHHELD, CONTENT, COMPLETE, DISCARDING],
  },
  {
    name: "idle",
    reads: READ_UNLESS_CONGESTED,
    deadline: KEEP_ALIVE,
    fin: FIN_CLOSE,
    to: [WAITING, HEAD, WITHHELD, CONTENT, COMPLETE, DISCARDING],
  },
  {
    // Bytes are there whose turn it is not: the peer does not take the responses, or others are served first.
    name: "waiting",
    reads: READ_UNTIL_KEPT,
    deadline: NO_DEADLINE,
    fin: FIN_GONE_TIMER,
    to: [HEAD, WITHHELD, CONTENT, COMPLETE, DISCARDING],
  },
  {
    name: "head",
    reads: READ_UNLESS_CONGESTED,
    deadline: HEADERS,
    fin: FIN_HEAD,
    to: [WITHHELD, CONTENT, COMPLETE, DISCARDING],
  },
  {
    name: "withheld",
    reads: READ_ALWAYS,
    deadline: NO_DEADLINE,
    fin: FIN_FAILS_CONTENT,
    to: [CONTENT, COMPLETE, DISCARDING],
  },
  {
    name: "content",
    reads: READ_UNLESS_HELD,
    deadline: REQUEST,
    fin: FIN_FAILS_CONTENT,
    to: [COMPLETE, SKIPPING, DISCARDING],
  },
  {
    name: "complete",
    reads: READ_UNTIL_KEPT,
    deadline: NO_DEADLINE,
    fin: FIN_GONE_TIMER,
    to: [IDLE, IN_UPGRADE, DISCARDING],
  },
  { name: "skipping", reads: READ_ALWAYS, deadline: REQUEST, fin: FIN_CLOSE, to: [IDLE, DISCARDING] },
  { name: "upgraded", reads: READ_BY_STREAM, deadline: NO_DEADLINE, fin: FIN_TO_STREAM, to: [] },
  { name: "discarding", reads: READ_ALWAYS, deadline: NO_DEADLINE, fin: FIN_NOTHING, to: [LINGERING] },
  { name: "lingering", reads: READ_ALWAYS, deadline: LINGER, fin: FIN_NOTHING, to: [] },
  { name: "closed", reads: READ_BY_STREAM, deadline: NO_DEADLINE, fin: FIN_NOTHING, to: [] },
];

export const WRITING: readonly WritingRow[] = [
  { name: "none", deadline: NO_DEADLINE, to: [AWAITING, FLUSHING] },
  { name: "awaiting", deadline: HANDLER, to: [HELD, DONE] },
  { name: "held", deadline: HANDLER, to: [AWAITING, STREAMING, DONE] },
  { name: "streaming", deadline: NO_DEADLINE, to: [DONE] },
  { name: "done", deadline: NO_DEADLINE, to: [NONE, UPGRADED, FLUSHING] },
  { name: "upgraded", deadline: NO_DEADLINE, to: [] },
  { name: "flushing", deadline: NO_DEADLINE, to: [ENDED] },
  { name: "ended", deadline: NO_DEADLINE, to: [] },
  { name: "cut", deadline: NO_DEADLINE, to: [] },
  { name: "gone", deadline: NO_DEADLINE, to: [] },
];

const toMask = (to: readonly number[], always: number): number => to.reduce((mask, each) => mask | 1 << each, always);
/** Every connection can be cut off, and every peer can go. */
const READING_TO: readonly number[] = READING.map(({ to }) => toMask(to, 1 << CLOSED));
const WRITING_TO: readonly number[] = WRITING.map(({ to }) => toMask(to, 1 << CUT | 1 << GONE));
/** For tests. */
export const MASKS = { reading: READING_TO as number[], writing: WRITING_TO as number[] };
const READING_DEADLINE: readonly number[] = READING.map(({ deadline }) => deadline);
const WRITING_DEADLINE: readonly number[] = WRITING.map(({ deadline }) => deadline);
export const READS: readonly number[] = READING.map(({ reads }) => reads);
export const FIN: readonly number[] = READING.map(({ fin }) => fin);

/** Rows whose deadline depends on the row before. */
const IS_OF_REQUEST = 1 << HEAD | 1 << WITHHELD | 1 << CONTENT | 1 << SKIPPING;

const LINGER_MS = 5_000;
const DRAINING_LINGER_MS = 1_000;
/** What `onError` has, beyond what is left of the handler's time. */
const RESCUE_MS = 10_000;

/** The timeouts of a server by deadline, a tick added so that none is early. */
export function timeoutsOf(settings: ConnectionSettings, tickMs: number): readonly number[] {
  const { headersTimeoutMs, keepAliveTimeoutMs, requestTimeoutMs, handlerTimeoutMs } = settings;
  return [0, headersTimeoutMs, keepAliveTimeoutMs, requestTimeoutMs, handlerTimeoutMs, LINGER_MS, 0]
    .map((timeoutMs) => timeoutMs === 0 ? Infinity : timeoutMs + tickMs);
}

/** What tests set: who is told of each transition, and whether a way that is not there throws. */
export const recorder: {
  record: ((side: "reading" | "writing", from: string, to: string) => void) | null;
  isStrict: boolean;
} = { record: null, isStrict: false };

/** Whose states they are. */
export interface StateOwner {
  /** A state was to be entered to which no way leads: the connection is cut off, and nothing else is. */
  breakDown(fault: Error): void;
}

/** The two states of one connection. */
export class Lifecycle {
  reading: Reading = PARKED;
  writing: Writing = NONE;
  /** When the deadline of each state passes, on the coarse clock. */
  readingAtMs = Infinity;
  writingAtMs = Infinity;
  /** When the present state of reading was entered, and when the request began. */
  sinceMs = 0;
  #beganAtMs = 0;
  #usedMs = 0;
  readonly #clock: CoarseClock;
  readonly #timeouts: readonly number[];

  readonly #owner: StateOwner;

  constructor(clock: CoarseClock, timeouts: readonly number[], owner: StateOwner) {
    this.#owner = owner;
    this.#clock = clock;
    this.#timeouts = timeouts;
  }

  /** The only way to change a state. */
  enter(reading: Reading, writing: Writing): void {
    const fromReading = this.reading;
    const fromWriting = this.writing;
    if (reading !== fromReading) {
      if ((READING_TO[fromReading] & 1 << reading) === 0) {
        this.#refuse(noWay(READING, fromReading, reading));
        return;
      }
      if (recorder.record !== null) recorder.record("reading", READING[fromReading].name, READING[reading].name);
      this.reading = reading;
      const { nowMs } = this.#clock;
      this.sinceMs = nowMs;
      if ((IS_OF_REQUEST & 1 << reading) !== 0) this.#timeRequest(fromReading, reading, nowMs);
      else this.readingAtMs = nowMs + this.#timeouts[READING_DEADLINE[reading]];
    }
    if (writing !== fromWriting) {
      if ((WRITING_TO[fromWriting] & 1 << writing) === 0) {
        this.#refuse(noWay(WRITING, fromWriting, writing));
        return;
      }
      if (recorder.record !== null) recorder.record("writing", WRITING[fromWriting].name, WRITING[writing].name);
      this.writing = writing;
      // A held head and a roll-back go on with the handler's time.
      if (WRITING_DEADLINE[writing] !== HANDLER) this.writingAtMs = Infinity;
      else if (fromWriting === NONE) this.writingAtMs = this.#clock.nowMs + this.#timeouts[HANDLER];
    }
  }

  /** The handler is called once more. */
  restartHandler(): void {
    this.writingAtMs = this.#clock.nowMs + this.#timeouts[HANDLER];
  }

  /** Somebody has so much more time, or at most so much. */
  extendHandler(extraMs: number): void {
    this.writingAtMs = this.#clock.nowMs + this.#clock.tickMs + extraMs;
  }

  /** onError was called: it has what is left of the handler's time, or a time of its own. */
  boundRescue(): void {
    if (this.writingAtMs === Infinity) this.extendHandler(RESCUE_MS);
  }

  hurryLinger(): void {
    this.readingAtMs = Math.min(this.readingAtMs, this.#clock.nowMs + this.#clock.tickMs + DRAINING_LINGER_MS);
  }

  #refuse(fault: Error): void {
    if (recorder.isStrict) throw fault;
    // What was to be entered is not: from here only the end can be.
    if (this.reading !== CLOSED) this.#owner.breakDown(fault);
  }

  /** The deadlines that depend on where the state was entered from. */
  #timeRequest(from: Reading, reading: Reading, nowMs: number): void {
    const timeoutMs = this.#timeouts[READING_DEADLINE[reading]];
    // What is skipped goes on with the time of the content.
    if (reading === SKIPPING) return;
    if (reading === CONTENT) {
      // The time of the request counts from its first byte, without that in which the peer was to wait.
      if (from === WITHHELD) this.#beganAtMs = nowMs - this.#usedMs;
      else if (from !== HEAD) this.#beganAtMs = nowMs;
      this.readingAtMs = Math.max(nowMs + 1 + this.#clock.tickMs, this.#beganAtMs + timeoutMs);
      return;
    }
    if (reading === HEAD) {
      this.#beganAtMs = nowMs;
      // Who has just connected has one time for the first byte and the head.
      if (from === FIRST) return;
    } else if (reading === WITHHELD) {
      this.#usedMs = from === HEAD ? nowMs - this.#beganAtMs : 0;
    }
    this.readingAtMs = nowMs + timeoutMs;
  }
}

function noWay(rows: readonly { readonly name: string }[], from: number, to: number): Error {
  return new Error(`No way leads from ${rows[from].name} to ${rows[to].name}.`);
}
