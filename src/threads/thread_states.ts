/**
 * How far threads that run handlers and the calls on them have come: the states of both, and the only ways between
 * them.
 *
 * @module
 */

import { StateTable } from "../states.ts";

/** How far a thread has come. */
export type ThreadState = "starting" | "ready" | "retiring" | "closing" | "gone";

/** The states of a thread that runs handlers. */
export const THREAD_STATES: StateTable<ThreadState> = new StateTable<ThreadState>("a handler thread", "starting", {
  starting: {
    ready: "the module is loaded",
    closing: "the server stops",
    gone: "the module can't be loaded, or is not in time",
  },
  ready: {
    retiring: "another thread takes its place",
    closing: "the server stops",
    gone: "it crashed, or does not answer any more",
  },
  retiring: {
    closing: "its last exchange has ended, or the server stops",
    gone: "it crashed, or does not answer any more",
  },
  closing: { gone: "it has ended, or was ended because it did not end by itself" },
  gone: {},
});

/** How far a call has come. */
export type CallState = "waiting" | "given" | "begun" | "overdue" | "answered" | "reading" | "upgraded" | "over";

/** The states of a call. */
export const CALL_STATES: StateTable<CallState> = new StateTable<CallState>("a call", "waiting", {
  waiting: {
    given: "a thread has room for it",
    over: "its client is gone, it has waited too long, or the server drains",
  },
  given: {
    waiting: "it was taken back from a thread that is held up, or that was lost before the handler was called",
    begun: "the thread has called the handler",
    answered: "the first that is heard of it is what became of it",
    over: "its client is gone, it has waited too long, or its thread was lost",
  },
  begun: {
    waiting: "its thread was lost because of another call, and to call the handler twice does no harm",
    overdue: "the time of the handler is over, and the thread is asked whether it still listens",
    answered: "the thread has said what became of it: only content is awaited",
    over: "its client is gone, or its thread was lost",
  },
  overdue: {
    waiting: "its thread was lost because of another call, and to call the handler twice does no harm",
    answered: "the thread has said what became of it after all",
    over: "the thread listens, so that the handler is at fault; or the thread was lost",
  },
  answered: {
    upgraded: "the 101 is out, and the bytes of the connection pass to and from the thread",
    reading: "the response was delivered, and the handler still reads the content of the request",
    over: "the response was delivered and the handler reads no content any more, or it can't be delivered",
  },
  reading: { over: "the content has come whole, failed or is not read any more, or the thread was lost" },
  upgraded: { over: "both directions have ended, or the connection was cut off" },
  over: {},
});

/** Whether a thread that has a call in this state still has to say what becomes of it. */
export function isUnanswered(state: CallState): boolean {
  return state === "waiting" || state === "given" || state === "begun" || state === "overdue";
}
