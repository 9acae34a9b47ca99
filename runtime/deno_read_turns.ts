/**
 * Fairness on Deno: when connections whose bytes were used are read again.
 *
 * Deno finishes at most 128 reads in a turn of its loop (the budget of a task of tokio). What is ready beyond them
 * waits, and in the next turn comes behind whatever has become ready since. So the peers who answer fastest are read
 * again and again, and with a thousand busy connections most of them would wait for a second. Therefore, once a turn has
 * brought as many reads as it can, those who had their turn are read again only when the others had theirs.
 *
 * Deno also writes only behind the turn. So once what was done with the reads of a turn has taken some milliseconds, the
 * others of the same turn are used a turn later, and what is finished leaves first.
 *
 * @module
 */

/** Up to so many connections nobody can be left over in a turn. */
const MAX_UNWATCHED = 128;
/** From so many reads on a turn may have left some over; writes and accepts take part of Deno's budget. */
const CROWDED_READS = 96;
/** Without a read for so long nobody is waiting. */
const QUIET_MS = 1;

/** What is done with the reads of one turn may take so long. */
const MAX_TURN_MS = 4;
/** What takes less than this is not counted: it would take hundreds of reads to make a turn long. */
const COUNTED_MS = 0.5;

/** Who is read again when it is their turn. */
export interface TurnTaker {
  /** Reads again, unless that is under way or not wanted any more. */
  readOn(): void;
}

/** The turns of all connections of a process. */
export class ReadTurns {
  /** How many connections are open. */
  openConnections = 0;
  #waiting: TurnTaker[] = [];
  /** Reads that have come in this turn of the loop. */
  #reads = 0;
  /** `crowded` from a turn with as many reads as it can have, until nobody waits. */
  #state: "roomy" | "crowded" = "roomy";
  /** Turns of the loop since those who wait were read the last time. */
  #turns = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;
  /** What was done with reads of this turn has taken so long, as far as it is counted. */
  #spentMs = 0;
  /** Reads that came in a turn that had taken long enough. */
  #unused: (() => void)[] = [];
  readonly #onLongTurnEnd = (): void => void setImmediate(this.#onNextTurn);
  readonly #onNextTurn = (): void => this.#useWaiting();
  readonly #onTurnEnd = (): void => this.#endTurn();
  readonly #onQuiet = (): void => void setImmediate(this.#onQuietTurnEnd);
  readonly #onQuietTurnEnd = (): void => this.#endQuietTurn();

  /** Whether reads of this turn have taken long enough, so that others are used a turn later. */
  get isOver(): boolean {
    return this.#spentMs > MAX_TURN_MS;
  }

  /** What was done with a read of this turn has taken so long. */
  spend(ms: number): void {
    if (ms < COUNTED_MS) return;
    if (this.#spentMs === 0) setImmediate(this.#onLongTurnEnd);
    this.#spentMs += ms;
  }

  /** Uses a read when the turn is over, in the order in which they came. */
  useLater(use: () => void): void {
    this.#unused.push(use);
  }

  /** The bytes of a read were used: the connection is read again, at once or when it is its turn. */
  goOn(connection: TurnTaker): void {
    if (this.openConnections <= MAX_UNWATCHED && this.#state === "roomy") {
      connection.readOn();
      return;
    }
    if (this.#reads++ === 0) setImmediate(this.#onTurnEnd);
    this.#waiting.push(connection);
  }

  #endTurn(): void {
    if (this.#reads >= CROWDED_READS) this.#state = "crowded";
    this.#reads = 0;
    if (this.#state === "roomy") {
      this.#readWaiting();
      return;
    }
    clearTimeout(this.#timer);
    this.#timer = setTimeout(this.#onQuiet, QUIET_MS);
    if (this.#isRoundOver()) this.#readWaiting();
  }

  /** Everybody had a turn, or there were enough turns for that: who trickles must not keep the others waiting. */
  #isRoundOver(): boolean {
    return this.#waiting.length >= this.openConnections || ++this.#turns * (CROWDED_READS / 2) > this.openConnections;
  }

  /** The timer comes before the reads of the same turn, and this after them. */
  #endQuietTurn(): void {
    if (this.#reads > 0) return;
    this.#state = "roomy";
    this.#readWaiting();
  }

  #useWaiting(): void {
    this.#spentMs = 0;
    const unused = this.#unused;
    this.#unused = [];
    // Each of them looks for itself whether it has to wait once more.
    for (const use of unused) use();
  }

  #readWaiting(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    this.#turns = 0;
    for (const connection of waiting) connection.readOn();
  }
}
