/**
 * Fairness on Deno: when connections whose bytes were used are read again.
 *
 * Deno finishes at most 128 reads in a turn of its loop (the budget of a task of tokio). What is ready beyond them
 * waits, and in the next turn comes behind whatever has become ready since. So the peers that answer fastest are read
 * again and again, and with a thousand busy connections most of them would wait for a second. Therefore, once a turn
 * has brought as many reads as it can, those that had their turn are read again only when the others had theirs.
 *
 * Nor is a connection read again in a turn that has lasted long, if it brings more than fits in a small buffer: its
 * bytes are there before those of others are seen.
 *
 * It decides which connection may be read when. It must not know what is read.
 *
 * @module
 */

import { scheduleApart } from "./async_context.ts";
import type { LoopTurns } from "./deno_loop_turns.ts";

/** Up to so many connections none can be left over in a turn. */
const MAX_UNWATCHED = 128;
/** From so many reads on a turn may have left some over; writes and accepts take part of Deno's budget. */
const CROWDED_READS = 96;
/**
 * Without a read for so long, twice in a row, none is waiting. Once says nothing: the responses of a full turn are
 * written behind its end, which takes as long and uses up the budget, so that the turn behind has no reads.
 */
const QUIET_MS = 1;
const QUIET_LULLS = 2;
/**
 * A connection counts as busy for so many rounds behind its last read. While a lull is waited for nothing is done, so
 * that a round is over when all that are busy had a turn; but each round of so many waits for a lull, in which those
 * have a turn that have become busy since.
 */
const BUSY_ROUNDS = 8;

/** A connection that is read again when it is its turn. */
export interface TurnTaker {
  /** The round in which it was read last: what the turns keep of it, 0 at first. */
  lastRound: number;
  /** Reads again, unless that is under way or not wanted any more. */
  readOn(): void;
}

/** The turns of all connections of a process. */
export class ReadTurns {
  /** How many connections are open. */
  openConnections = 0;
  readonly #loop: LoopTurns;
  #waiting: TurnTaker[] = [];
  /** Reads that have come in this turn of the loop. */
  #reads = 0;
  /** Connections that were read in this turn and had not counted as busy: a sign that more of them may wait. */
  #newcomers = 0;
  /** `crowded` from a turn with as many reads as it can have, until none waits. */
  #state: "roomy" | "crowded" = "roomy";
  #round = BUSY_ROUNDS;
  /** Turns of the loop that this round has lasted. */
  #turns = 0;
  /** How many connections count as busy; of these, those that were read last in each of the last rounds. */
  #busy = 0;
  readonly #busySince: number[] = new Array(BUSY_ROUNDS).fill(0);
  /** How many timers in a row were over with no read before them. */
  #lulls = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;
  readonly #onTurnEnd = (): void => this.#endTurn();
  readonly #onLull = (): void => this.#beginLull();
  readonly #onLullTurnEnd = (): void => this.#endLullTurn();

  /** @param loop The turns of the loop that reads. */
  constructor(loop: LoopTurns) {
    this.#loop = loop;
  }

  /**
   * The bytes of a read were used: the connection is read again, at once or when it is its turn.
   *
   * @param connection Which.
   * @param isBulk Whether more was read than most requests have.
   */
  goOn(connection: TurnTaker, isBulk: boolean): void {
    if (this.openConnections <= MAX_UNWATCHED && this.#state === "roomy") {
      if (isBulk && this.#loop.isLong()) this.#loop.defer(() => connection.readOn());
      else connection.readOn();
      return;
    }
    if (this.#reads++ === 0) scheduleApart(setImmediate, this.#onTurnEnd);
    this.#waiting.push(connection);
    this.#countBusy(connection);
  }

  #countBusy(connection: TurnTaker): void {
    const { lastRound } = connection;
    if (lastRound > this.#round - BUSY_ROUNDS) {
      this.#busySince[lastRound % BUSY_ROUNDS]--;
    } else {
      this.#busy++;
      this.#newcomers++;
    }
    this.#busySince[this.#round % BUSY_ROUNDS]++;
    connection.lastRound = this.#round;
  }

  #endTurn(): void {
    if (this.#reads >= CROWDED_READS) this.#state = "crowded";
    this.#reads = 0;
    if (this.#state === "roomy") {
      this.#readWaiting();
      return;
    }
    this.#lulls = 0;
    this.#waitForLull();
    if (this.#isRoundOver()) this.#readWaiting();
    this.#newcomers = 0;
  }

  #waitForLull(): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(this.#onLull, QUIET_MS);
  }

  /** All had a turn, or there were enough turns for that: one that trickles must not keep the others waiting. */
  #isRoundOver(): boolean {
    const { length } = this.#waiting;
    if (length >= this.openConnections) return true;
    if (length >= this.#busy && this.#newcomers === 0 && this.#round % BUSY_ROUNDS !== 0) return true;
    return ++this.#turns * (CROWDED_READS / 2) > this.openConnections;
  }

  /** The timer comes before the reads of the same turn, whose end comes after them. */
  #beginLull(): void {
    this.#lulls++;
    setImmediate(this.#onLullTurnEnd);
  }

  #endLullTurn(): void {
    if (this.#reads > 0 || this.#lulls === 0) return;
    if (this.#lulls < QUIET_LULLS) {
      this.#waitForLull();
      return;
    }
    this.#state = "roomy";
    this.#readWaiting();
  }

  #readWaiting(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    this.#turns = 0;
    const oldest = ++this.#round % BUSY_ROUNDS;
    this.#busy -= this.#busySince[oldest];
    this.#busySince[oldest] = 0;
    for (const connection of waiting) connection.readOn();
  }
}
