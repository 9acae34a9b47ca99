/**
 * Draws a table of transitions as the diagram that stands in the documentation.
 *
 * @module
 */

import type { StateTable } from "../../src/states.ts";

/** One way from a state to another. */
export interface Transition {
  readonly from: string;
  readonly to: string;
  /** When it is gone. */
  readonly when: string;
}

/** The ways of a table of states, one by one. */
export function transitionsOf<State extends string>({ ways }: StateTable<State>): Transition[] {
  return Object.entries<Readonly<Partial<Record<string, string>>>>(ways).flatMap(([from, to]) =>
    Object.entries(to).map(([state, when]) => ({ from, to: state, when: when! }))
  );
}

/**
 * A block of Mermaid (`stateDiagram-v2`) in Markdown, from the fence that begins it to the one that ends it. A state that
 * no way leads to is where it begins, and one that no way leads out of is where it ends.
 */
export function drawStateDiagram(transitions: readonly Transition[]): string {
  const { first, last } = endsOf(transitions);
  const lines = [
    ...first.map((state) => `[*] --> ${state}`),
    ...transitions.map(({ from, to, when }) => `${from} --> ${to}: ${when}`),
    ...last.map((state) => `${state} --> [*]`),
  ];
  return ["```mermaid", "stateDiagram-v2", ...lines.map((line) => `    ${line}`), "```"].join("\n");
}

/** The states of a table: all of them, those no way leads to, and those no way leads out of. */
export function endsOf(transitions: readonly Transition[]): {
  readonly states: readonly string[];
  readonly first: readonly string[];
  readonly last: readonly string[];
} {
  const from = new Set(transitions.map((transition) => transition.from));
  const to = new Set(transitions.map((transition) => transition.to));
  const states = [...new Set([...from, ...to])];
  return {
    states,
    first: states.filter((state) => !to.has(state)),
    last: states.filter((state) => !from.has(state)),
  };
}
