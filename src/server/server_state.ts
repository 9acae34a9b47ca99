/**
 * The states of a server and the ways between them.
 *
 * @module
 */

import type { ServerState } from "../api/stats.ts";
import { StateTable } from "../states.ts";

/** The states of a server. */
export const SERVER_STATES: StateTable<ServerState> = new StateTable<ServerState>("a server", "starting", {
  starting: {
    listening: "threads are ready and the port is bound",
    draining: "it is stopped before that",
    joining: "a thread can't start, or the port can't be bound",
  },
  listening: { draining: "shutdown(), the signal or stop(): nothing new is taken" },
  draining: { joining: "the last connection is closed, in order or cut off at the deadline" },
  joining: { stopped: "the last thread has ended" },
  stopped: {},
});
