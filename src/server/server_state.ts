/**
 * The states of a server and the ways between them: one table.
 *
 * `src/server/server.ts` goes no other way, and the diagram in `src/ARCHITECTURE.md` is drawn from it.
 *
 * @module
 */

/** What a server is doing. */
export type ServerState = "starting" | "listening" | "draining" | "joining" | "stopped";

/** One way from a state to another. */
export interface ServerTransition {
  readonly from: ServerState;
  readonly to: ServerState;
  /** When it is gone. */
  readonly when: string;
}

/** Every way there is. */
export const SERVER_TRANSITIONS: readonly ServerTransition[] = [
  { from: "starting", to: "listening", when: "threads are ready and the port is bound" },
  { from: "starting", to: "draining", when: "it is stopped before that" },
  { from: "starting", to: "joining", when: "a thread can't start, or the port can't be bound" },
  { from: "listening", to: "draining", when: "shutdown(), the signal or stop(): nothing new is taken" },
  { from: "draining", to: "joining", when: "the last connection is closed, in order or cut off at the deadline" },
  { from: "joining", to: "stopped", when: "the last thread has ended" },
];

/** Whether a server may go from one state to another. */
export function isTransition(from: ServerState, to: ServerState): boolean {
  return SERVER_TRANSITIONS.some((transition) => transition.from === from && transition.to === to);
}
