/**
 * Named states, and the only ways between them.
 *
 * Whatever has a lifetime, such as a server, an exchange or a thread, has one field for its state and a table of ways.
 * The table says when each way is taken, the field changes through {@linkcode StateTable.enter} alone, and the diagrams
 * in `ARCHITECTURE.md` are drawn from the tables. This module must not know what the states mean.
 *
 * @module
 */

/** From each state, the states that may follow it, and when they do. A state without ways is an end. */
export type Ways<State extends string> = Readonly<Record<State, Readonly<Partial<Record<State, string>>>>>;

/**
 * What tests set: it is told of each way that is taken, so that the tables can be compared with what really happens.
 * Elsewhere it is `null`, and costs a comparison.
 */
export const transitionRecorder: { record: ((table: string, from: string, to: string) => void) | null } = {
  record: null,
};

/** A state was to be entered to which no way leads: a fault of this program, and of nothing that it was given. */
export class NoWayError extends Error {
  override readonly name = "NoWayError";

  constructor(table: string, from: string, to: string) {
    super(`No way leads from "${from}" to "${to}" in the states of ${table}.`);
  }
}

/** The states of one kind of thing. */
export class StateTable<State extends string> {
  /** Whose states they are. */
  readonly name: string;
  /** The state everything begins in. */
  readonly initial: State;
  readonly ways: Ways<State>;

  constructor(name: string, initial: NoInfer<State>, ways: Ways<State>) {
    this.name = name;
    this.initial = initial;
    this.ways = ways;
  }

  /**
   * The one way to change a state: `this.#state = TABLE.enter(this.#state, "draining")`.
   *
   * @returns The state that is entered.
   * @throws {NoWayError} The field then keeps the state it had.
   */
  enter(from: State, to: State): State {
    if (this.ways[from][to] === undefined) throw new NoWayError(this.name, from, to);
    if (transitionRecorder.record !== null) transitionRecorder.record(this.name, from, to);
    return to;
  }
}
