/**
 * Which side has a call that was given to a thread: both may want it, and one gets it.
 *
 * Each call has a word in shared memory, and is claimed by compare-and-exchange: by the thread before it calls the
 * handler, or by the event loop to take the call back. So a thread that computes, and hears nothing, holds up none of
 * the calls behind. The same class stands on both sides, over the same memory; it must not know what a call is.
 *
 * @module
 */

/** Calls that a thread may have been given and not have looked at; a power of two. */
export const MAX_CLAIMS = 64;

/** The words before those of the calls: how far the thread has looked, and which call it has begun last; its pace. */
const LOOKED_AT = 0;
const BEGUN_LAST = 1;
const ONE_A_TURN = 2;
const FIRST_CLAIM = 3;

/** What the word of a call says. */
const OFFERED = 1;
const BEGUN = 2;
const WITHDRAWN = 3;

/**
 * Claims of the calls of one thread, by their sequence: 32-bit integers that wrap around, each one more than the one
 * before. The word of a call is used again when the thread has looked at the call.
 */
export class Claims {
  /** The shared memory. */
  readonly words: Int32Array<SharedArrayBuffer>;

  /** @param words The memory of the other side; without it memory is made. */
  constructor(words: Int32Array<SharedArrayBuffer> = createWords()) {
    this.words = words;
  }

  /** The sequence of the call that the thread has looked at last. */
  get lookedAt(): number {
    return Atomics.load(this.words, LOOKED_AT);
  }

  /** The sequence of the call that the thread has begun last. */
  get begunLast(): number {
    return Atomics.load(this.words, BEGUN_LAST);
  }

  /** Whether the thread is to begin one call a turn, because a handler may compute. */
  get oneATurn(): boolean {
    return Atomics.load(this.words, ONE_A_TURN) === 1;
  }

  set oneATurn(isSo: boolean) {
    Atomics.store(this.words, ONE_A_TURN, isSo ? 1 : 0);
  }

  /** The event loop is about to send a call. */
  offer(sequence: number): void {
    Atomics.store(this.words, placeOf(sequence), OFFERED);
  }

  /** The event loop wants a call back. Returns whether it has it: then the thread never begins it. */
  withdraw(sequence: number): boolean {
    if (countUpTo(sequence, this.lookedAt) <= 0) return false;
    return Atomics.compareExchange(this.words, placeOf(sequence), OFFERED, WITHDRAWN) === OFFERED;
  }

  /** The thread looks at a call. Returns whether it may begin it. */
  begin(sequence: number): boolean {
    const isMine = Atomics.compareExchange(this.words, placeOf(sequence), OFFERED, BEGUN) === OFFERED;
    if (isMine) Atomics.store(this.words, BEGUN_LAST, sequence);
    Atomics.store(this.words, LOOKED_AT, sequence);
    return isMine;
  }
}

/** How far one sequence is ahead of another. */
export function countUpTo(sequence: number, from: number): number {
  return (sequence - from) | 0;
}

function createWords(): Int32Array<SharedArrayBuffer> {
  return new Int32Array(new SharedArrayBuffer((FIRST_CLAIM + MAX_CLAIMS) * Int32Array.BYTES_PER_ELEMENT));
}

function placeOf(sequence: number): number {
  return FIRST_CLAIM + (sequence & MAX_CLAIMS - 1);
}
