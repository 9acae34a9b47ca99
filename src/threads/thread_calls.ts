/**
 * The calls of one thread, each until its exchange has ended or it is taken back.
 *
 * It decides what the thread is told of them, which of them are to blame when time is over, and which are lost with the
 * thread. It must not know how the thread is started or ended, nor where calls come from.
 *
 * @module
 */

import { TrivetError } from "../api/errors.ts";
import type { Clock } from "../runtime.ts";
import type { Attachments, OutgoingBatch } from "./batch.ts";
import { CallTable } from "./call_table.ts";
import { copyError } from "./error_copy.ts";
import { GivenCalls } from "./given_calls.ts";
import type { FromThread } from "./protocol.ts";
import type { CallLink, RemoteCall } from "./remote_call.ts";
import { ANSWER_TIMEOUT_MS } from "./sign_of_life.ts";
import { type CallState, isUnanswered } from "./thread_states.ts";

/**
 * What calls are given beyond the time in which a thread has to answer, so that they are still there when it is lost.
 */
const ANSWER_MARGIN_MS = 50;

/** The thread as its calls need it. */
export interface CallsOwner {
  /** Opens the batch of this turn. */
  outgoing(): OutgoingBatch;
  /** The thread has a call less. */
  onEnded(): void;
  /** A call was given up that the thread has begun and may be busy with. */
  onAbandoned(): void;
  /** The time of a call is over. */
  onOverdue(): void;
  /** A fault of this program. */
  onError(error: TrivetError): void;
}

/** The calls of one thread. */
export class ThreadCalls implements CallLink {
  /** The calls that the thread has not begun. */
  readonly given: GivenCalls;
  /** How many it was given since its start that were not taken back. */
  count = 0;
  /** How many it was given and has not answered. */
  unanswered = 0;
  readonly #owner: CallsOwner;
  /** By their number, until their exchange has ended. */
  readonly #calls = new CallTable<RemoteCall>();
  /** The numbers of calls whose exchange was delivered, which the thread was not told. */
  #delivered: number[] = [];
  /** Calls whose time is over, and that wait for the thread's answer. */
  #overdue: RemoteCall[] = [];

  /**
   * @param clock Says when a call has begun.
   * @param owner The thread.
   */
  constructor(clock: Clock, owner: CallsOwner) {
    this.given = new GivenCalls(clock);
    this.#owner = owner;
  }

  /** How many there are. */
  get size(): number {
    return this.#calls.size;
  }

  /** Whether there is something to say that need not hurry. */
  get areToldLate(): boolean {
    return this.#delivered.length > 0;
  }

  /** Gives the thread a call. */
  give(call: RemoteCall): void {
    this.count++;
    call.give(this, this.#calls.add(call));
    this.unanswered++;
    this.given.add(call);
    this.#owner.outgoing();
  }

  /** Takes a call back that has not begun. Returns whether that was possible. */
  takeBack(call: RemoteCall): boolean {
    if (!this.given.takeBack(call)) return false;
    this.#calls.delete(call.id);
    this.unanswered--;
    this.count--;
    call.takeBack();
    this.#owner.onEnded();
    return true;
  }

  /** Writes down what the thread has to be told. */
  write(batch: OutgoingBatch): void {
    if (this.#delivered.length > 0) {
      batch.add(["delivered", 0, this.#delivered]);
      this.#delivered = [];
    }
    this.given.write(batch);
  }

  /** Takes what the thread says of a call. */
  take(message: FromThread, attached: Attachments): void {
    const call = this.#calls.get(message[1]);
    if (call === null) return;
    if (call.isUnanswered && (message[0] === "answer" || message[0] === "failed")) this.unanswered--;
    try {
      call.take(message, attached);
    } catch (fault) {
      this.onFault(call, fault);
    }
  }

  /** The thread is well: it is the calls' own handlers that take too long. */
  blameOverdue(): void {
    const overdue = this.#overdue;
    this.#overdue = [];
    for (const call of overdue) {
      if (call.state === "overdue") call.exchange.connection.responder.endHandlerTime();
    }
  }

  /**
   * The thread is gone. Answers what can't be made again with an error.
   *
   * @returns The rest, in the order in which it was given.
   */
  giveUp(cause: TrivetError | null): RemoteCall[] {
    const { begunLast } = this.given.claims;
    const hasTimedOut = cause?.code === "handler-timeout";
    const lost = new TrivetError("thread-lost", "The thread that ran the handler was lost.", {
      cause: cause ?? undefined,
    });
    const returned: RemoteCall[] = [];
    this.given.look();
    for (const call of this.#calls.clear()) {
      const wasBegun = !this.given.takeBack(call);
      const isSuspect = hasTimedOut && call.isUnanswered && wasBegun && call.sequence === begunLast;
      if (!isSuspect && call.canBeMadeAgain(wasBegun, hasTimedOut)) {
        call.takeBack();
        returned.push(call);
        continue;
      }
      try {
        call.giveUp(isSuspect ? cause : lost);
      } catch (fault) {
        this.#owner.onError(faultOf(fault));
      }
    }
    this.unanswered = 0;
    return returned;
  }

  // What calls tell.

  outgoing(): OutgoingBatch {
    return this.#owner.outgoing();
  }

  look(): void {
    this.given.look();
  }

  delivered(call: RemoteCall, isWatched: boolean): void {
    if (!this.#calls.delete(call.id)) return;
    this.#delivered.push(call.id);
    // A handler that waits for it should know soon; else it goes with the next batch.
    if (isWatched) this.#owner.outgoing();
    this.#owner.onEnded();
  }

  aborted(call: RemoteCall, from: CallState, cause: TrivetError): void {
    if (!this.#calls.delete(call.id)) return;
    if (isUnanswered(from)) this.unanswered--;
    if (this.given.takeBack(call)) {
      this.count--;
    } else {
      this.#owner.outgoing().add(["aborted", call.id, copyError(cause)]);
      // The thread may be busy with that call, and gets no other until it says something.
      if (isUnanswered(from)) this.#owner.onAbandoned();
    }
    this.#owner.onEnded();
  }

  overdue(call: RemoteCall): number {
    this.#overdue.push(call);
    this.#owner.onOverdue();
    return ANSWER_TIMEOUT_MS + ANSWER_MARGIN_MS;
  }

  notBegun(): void {
    // While a handler is awaited, its own time tells. Else the thread computes behind a response, perhaps for ever.
    if (this.unanswered === this.given.unbegunCount) this.#owner.onOverdue();
  }

  onFault(call: RemoteCall, fault: unknown): void {
    this.#owner.onError(faultOf(fault));
    this.#calls.delete(call.id);
    if (call.state !== "over") call.giveUp(faultOf(fault));
  }
}

/** What a fault of this program is reported as. */
export function faultOf(fault: unknown): TrivetError {
  return new TrivetError("internal-error", "The server has failed, which is a fault of its own.", { cause: fault });
}
