/**
 * Calls by their number, while they last.
 *
 * It decides which numbers are given, so that each has a place of its own in an array. A `Map` would do but for its
 * garbage: V8 makes a new table for every so many entries, and each refers to the next one, so that as soon as one of
 * them is old, whatever was in a later one survives every collection of young objects. With two such maps those took
 * 7 to 15 ms each under load, and well below 1 ms without. It must not know what a call is.
 *
 * @module
 */

/** The number of no call. */
const NONE = 0;
const INITIAL_PLACES = 64;

/** Calls by their number. */
export class CallTable<T> {
  /** How many there are. */
  size = 0;
  #lastId = NONE;
  /** The numbers in their places; a power of two of them. */
  #ids: number[] = new Array(INITIAL_PLACES).fill(NONE);
  #calls: (T | null)[] = new Array(INITIAL_PLACES).fill(null);

  /** Takes a call and gives it a number, greater than those before and never used again. */
  add(call: T): number {
    if (2 * this.size >= this.#ids.length) this.#grow();
    const mask = this.#ids.length - 1;
    // A call that lasts keeps its place, and the numbers that would need it are passed over.
    do this.#lastId++; while (this.#ids[this.#lastId & mask] !== NONE);
    this.put(this.#lastId, call);
    return this.#lastId;
  }

  /** Takes a call whose number was given by the table of another thread. */
  put(id: number, call: T): void {
    while (this.#ids[id & this.#ids.length - 1] !== NONE) this.#grow();
    const place = id & this.#ids.length - 1;
    this.#ids[place] = id;
    this.#calls[place] = call;
    this.size++;
  }

  /** The call of this number; `null` when it is not here, or not any more. */
  get(id: number): T | null {
    const place = id & this.#ids.length - 1;
    return this.#ids[place] === id ? this.#calls[place] : null;
  }

  /** Lets go of a call. Returns whether it was here. */
  delete(id: number): boolean {
    const place = id & this.#ids.length - 1;
    if (id === NONE || this.#ids[place] !== id) return false;
    this.#ids[place] = NONE;
    this.#calls[place] = null;
    this.size--;
    return true;
  }

  /** Lets go of all calls and gives them in the order of their numbers. */
  clear(): T[] {
    const ids = this.#ids.filter((id) => id !== NONE).sort((a, b) => a - b);
    const calls = ids.map((id) => this.get(id) as T);
    this.#ids.fill(NONE);
    this.#calls.fill(null);
    this.size = 0;
    return calls;
  }

  /** Twice as many places: numbers that differed in theirs still do. */
  #grow(): void {
    const ids = this.#ids;
    const calls = this.#calls;
    this.#ids = new Array(2 * ids.length).fill(NONE);
    this.#calls = new Array(2 * ids.length).fill(null);
    for (const [at, id] of ids.entries()) {
      if (id === NONE) continue;
      const place = id & this.#ids.length - 1;
      this.#ids[place] = id;
      this.#calls[place] = calls[at];
    }
  }
}
