/**
 * The phases of a server and the ways between them.
 *
 * A phase says everything: how far the start has come, what of it is still going on while the server stops already, and
 * whether it could start at all. Users see the coarser {@linkcode ServerState}. This module must not know what happens
 * in a phase.
 *
 * @module
 */

import type { ServerState } from "../api/stats.ts";
import { StateTable } from "../states.ts";

/** What a server is doing, exactly. */
export type ServerPhase =
  | "loading"
  | "binding"
  | "spreading"
  | "listening"
  | "announcing"
  | "emptying"
  | "withdrawing"
  | "draining"
  | "settling"
  | "joining"
  | "failing"
  | "stopped"
  | "failed";

/** The phases of a server. */
export const SERVER_PHASES: StateTable<ServerPhase> = new StateTable<ServerPhase>("a server", "loading", {
  loading: {
    binding: "the module is loaded and threads are ready",
    draining: "it is stopped before that",
    failing: "the module or a thread is not to be had",
  },
  binding: {
    spreading: "the port is bound, and other loops are to listen at it too",
    listening: "the port is bound",
    withdrawing: "it is stopped before that",
    failing: "the port can't be bound",
  },
  spreading: {
    listening: "every loop listens",
    draining: "it is stopped before that",
    failing: "a loop can't listen",
  },
  listening: {
    announcing: "shutdown() or the signal, with a delay: everything is still taken, and told of the stop",
    emptying: "shutdown() or the signal, without a delay",
    draining: "stop(): nothing new is taken",
  },
  announcing: {
    emptying: "the delay is over: what waits to be accepted is",
    draining: "stop()",
  },
  emptying: { draining: "nothing waits to be accepted, and the listener is closed; or stop()" },
  withdrawing: { draining: "the port is bound and given back, or can't be bound" },
  draining: { settling: "the last connection is closed, in order or cut off at the deadline" },
  settling: { joining: "the port is free, and the connections of other loops are closed" },
  joining: { stopped: "the last thread has ended" },
  failing: { failed: "what had been started has ended" },
  stopped: {},
  failed: {},
});

/** What users are told of a phase. */
export const SHOWN_STATES: Readonly<Record<ServerPhase, ServerState>> = {
  loading: "starting",
  binding: "starting",
  spreading: "starting",
  listening: "listening",
  announcing: "draining",
  emptying: "draining",
  withdrawing: "draining",
  draining: "draining",
  settling: "draining",
  joining: "joining",
  failing: "joining",
  stopped: "stopped",
  failed: "stopped",
};
