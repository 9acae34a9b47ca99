/**
 * A thread that runs handlers, from its start to its end: the event loop's side of it.
 *
 * It decides how many calls the thread is given at a time and when it is taken for lost. It must not know where calls
 * come from, nor what follows a lost thread.
 *
 * @module
 */

import { TrivetError } from "../api/errors.ts";
import type { Runtime, Thread, Timer } from "../runtime.ts";
import { type Attachments, type Message, OutgoingBatch, readBatch } from "./batch.ts";
import { CallTable } from "./call_table.ts";
import { copyError, restoreError } from "./error_copy.ts";
import type { FromThread, HandlerOrders, Readiness } from "./protocol.ts";
import type { CallLink, RemoteCall } from "./remote_call.ts";

/**
 * | from       | to         | when                                                                        |
 * |------------|------------|-----------------------------------------------------------------------------|
 * | `starting` | `ready`    | the module is loaded                                                        |
 * | `starting` | `gone`     | the module can't be loaded, or is not in time                               |
 * | `ready`    | `retiring` | it has made as many calls as one thread makes                               |
 * | `ready`    | `gone`     | it crashed, or does not answer any more                                     |
 * | `retiring` | `gone`     | its last exchange has ended; or as above                                    |
 * | any        | `closing`  | the server stops                                                            |
 * | `closing`  | `gone`     | it has ended, or was ended because it did not end by itself                 |
 */
type ThreadState = "starting" | "ready" | "retiring" | "closing" | "gone";

/** What a thread tells the one who keeps threads. */
export interface HandlerThreadEvents {
  /** The thread can be given calls, perhaps more than before. */
  onFree(thread: HandlerThread): void;
  /** The thread is gone. `calls` are those it had not answered, in order. */
  onGone(thread: HandlerThread, calls: readonly LostCall[], cause: TrivetError | null): void;
}

/** A call whose thread is gone. */
export interface LostCall {
  readonly call: RemoteCall;
  /** Whether the handler was called for it. */
  readonly wasBegun: boolean;
  /** Whether it is the one that a thread which does not answer any more has begun last. */
  readonly isSuspect: boolean;
}

/** What all threads of a pool are told. */
export interface ThreadOrders {
  readonly module: string;
  readonly nativeRequest: boolean;
  readonly callLimitMs: number;
}

/** A module that is not loaded by then will not be. */
const START_TIMEOUT_MS = 30_000;
/** A thread is given as many calls as it is likely to begin within this time; the others wait for the next one free. */
const TARGET_UNBEGUN_MS = 2;
const MAX_WINDOW = 64;
/** How much a batch counts for the pace of a thread, against all before it. */
const PACE_WEIGHT = 0.25;
/** A thread in which a handler took too long is asked to say something, and is lost if it does not within this time. */
const ANSWER_TIMEOUT_MS = 250;
/** What its calls are given beyond that, so that they are still there when the thread is lost. */
const ANSWER_MARGIN_MS = 50;
/** A thread that is asked to end is ended after this time. */
const CLOSE_TIMEOUT_MS = 500;

/** One thread. */
export class HandlerThread implements CallLink {
  /** Calls it was given since its start. */
  callCount = 0;
  readonly #runtime: Runtime;
  readonly #orders: ThreadOrders;
  readonly #events: HandlerThreadEvents;
  readonly #begun: Int32Array<SharedArrayBuffer> = new Int32Array(new SharedArrayBuffer(4));
  /** Calls it was given, by their number, until their exchange has ended. */
  readonly #calls = new CallTable<RemoteCall>();
  readonly #outgoing = new OutgoingBatch();
  readonly #post = (message: unknown, transfer: ArrayBuffer[]): void => this.#thread?.post(message, transfer);
  #state: ThreadState = "starting";
  #thread: Thread | null = null;
  #unanswered = 0;
  #toWrite: RemoteCall[] = [];
  /** The numbers of calls whose exchange was delivered, which the thread was not told. */
  #delivered: number[] = [];
  #sendIsDeferred = false;
  #lastSequence = 0;
  #window = 1;
  #callMs = TARGET_UNBEGUN_MS;
  #timer: Timer | null = null;
  #settleStart: ((error: TrivetError | null) => void) | null = null;
  #settleGone!: () => void;
  readonly #gone = new Promise<void>((resolve) => this.#settleGone = resolve);
  /** Pings the thread has not answered. */
  #pingsUnheard = 0;
  /** Calls whose time is over, and that wait for the thread's answer. */
  #overdue: RemoteCall[] = [];
  /** Why the thread is taken for lost if it does not answer. */
  #suspicion: TrivetError | null = null;
  #lossCause: TrivetError | null = null;

  /**
   * @param runtime The runtime, which starts the thread.
   * @param orders What the thread is to do.
   * @param events Told what becomes of it.
   */
  constructor(runtime: Runtime, orders: ThreadOrders, events: HandlerThreadEvents) {
    this.#runtime = runtime;
    this.#orders = orders;
    this.#events = events;
  }

  /** Starts the thread. Resolves when it is ready, rejects with a `TrivetError` when it can't be. */
  async start(entry: string): Promise<void> {
    const settled = new Promise<TrivetError | null>((resolve) => {
      this.#settleStart = resolve;
    });
    this.#timer = this.#runtime.clock.after(START_TIMEOUT_MS, () => {
      this.#lose(this.#startError(`is not loaded after ${START_TIMEOUT_MS / 1000} s`));
    });
    try {
      this.#thread = await this.#runtime.startThread(entry, {
        onMessage: (message) => this.#onMessage(message),
        onExit: (cause) => this.#onExit(cause),
      });
      // The listener and the connections keep the process alive; a thread alone should not.
      this.#thread.unref();
      const orders: HandlerOrders = { role: "handler", ...this.#orders, begun: this.#begun };
      if (this.#state === "starting") this.#thread.post(orders);
      else this.#thread.terminate();
    } catch (cause) {
      this.#lose(this.#startError("can't be loaded, because no thread could be started", cause));
    }
    const error = await settled;
    if (error !== null) throw error;
  }

  /** Whether the thread takes calls, and does not compute for somebody who is gone. */
  get isReady(): boolean {
    return this.#state === "ready" && this.#pingsUnheard === 0;
  }

  /** Whether the thread is likely to begin one more call soon. */
  get hasRoom(): boolean {
    return this.isReady && this.#unbegun < this.#window;
  }

  /** Calls it was given and has not answered. */
  get load(): number {
    return this.#unanswered;
  }

  /** Gives it a call. */
  give(call: RemoteCall): void {
    this.callCount++;
    call.giveTo(this, this.#calls.add(call));
    this.#unanswered++;
    this.#toWrite.push(call);
    this.#deferSend();
  }

  /** Gives it no more calls; it ends when all its exchanges have. */
  retire(): void {
    if (this.#state !== "ready") return;
    this.#state = "retiring";
    this.#closeIfIdle();
  }

  /** Tells its handlers that the server drains. */
  drain(): void {
    if (this.#state === "ready" || this.#state === "retiring") this.outgoing().add(["drain", 0]);
  }

  /** Ends it, in order if it still listens. Resolves when it is gone. */
  close(): Promise<void> {
    if (this.#state !== "gone") this.#close();
    return this.#gone;
  }

  outgoing(): OutgoingBatch {
    this.#deferSend();
    return this.#outgoing;
  }

  delivered(call: RemoteCall, isWatched: boolean): void {
    if (!this.#calls.delete(call.id)) return;
    if (!call.isAnswered) this.#unanswered--;
    this.#delivered.push(call.id);
    // A handler that waits for it should know soon; else it goes with the next batch.
    if (isWatched) this.#deferSend();
    this.#closeIfIdle();
  }

  aborted(call: RemoteCall, cause: TrivetError): void {
    if (!this.#calls.delete(call.id)) return;
    if (!call.isAnswered) this.#unanswered--;
    const unwritten = this.#toWrite.indexOf(call);
    if (unwritten >= 0) {
      this.#toWrite.splice(unwritten, 1);
    } else {
      this.outgoing().add(["aborted", call.id, copyError(cause)]);
      if (!call.isAnswered) this.#ask(null);
    }
    this.#closeIfIdle();
  }

  overdue(call: RemoteCall): number {
    this.#overdue.push(call);
    this.#ask(new TrivetError("handler-timeout", "The server did not make a response in time."));
    return ANSWER_TIMEOUT_MS + ANSWER_MARGIN_MS;
  }

  /** Sends what need not hurry. */
  sendRest(): void {
    if (!this.#outgoing.isEmpty || this.#delivered.length > 0) this.#deferSend();
  }

  /** Calls that the thread was given and has not begun. */
  get #unbegun(): number {
    return this.#toWrite.length + countUpTo(this.#lastSequence, Atomics.load(this.#begun, 0));
  }

  #deferSend(): void {
    if (this.#sendIsDeferred) return;
    this.#sendIsDeferred = true;
    this.#runtime.clock.defer(() => {
      this.#sendIsDeferred = false;
      this.#send();
    });
  }

  #send(): void {
    if (this.#delivered.length > 0) {
      this.#outgoing.add(["delivered", 0, this.#delivered]);
      this.#delivered = [];
    }
    const calls = this.#toWrite;
    this.#toWrite = [];
    for (const call of calls) {
      this.#lastSequence = (this.#lastSequence + 1) | 0;
      call.write(this.#outgoing, this.#lastSequence);
    }
    if (!this.#outgoing.isEmpty) this.#outgoing.send(this.#post);
  }

  #onMessage(received: unknown): void {
    if (this.#state === "gone") return;
    if (this.#state === "starting") {
      this.#takeReadiness(received as Readiness);
      return;
    }
    const batch = readBatch(received);
    for (const message of batch.messages as readonly (FromThread & Message)[]) {
      if (message[0] === "pace") this.#takePace(message[2], message[3]);
      else if (message[0] === "pong") this.#takePong();
      else this.#takeCallMessage(message, batch);
    }
    if (this.#state === "ready") this.#events.onFree(this);
  }

  #takeCallMessage(message: FromThread, attached: Attachments): void {
    const call = this.#calls.get(message[1]);
    if (call === null) return;
    if (!call.isAnswered && (message[0] === "answer" || message[0] === "failed")) this.#unanswered--;
    call.take(message, attached);
  }

  /** Lets the thread have as many calls as it begins in the time aimed at. */
  #takePace(begun: number, elapsedMs: number): void {
    if (begun === 0) return;
    this.#callMs += (elapsedMs / begun - this.#callMs) * PACE_WEIGHT;
    this.#window = Math.max(1, Math.min(MAX_WINDOW, Math.floor(TARGET_UNBEGUN_MS / this.#callMs)));
  }

  #takeReadiness(readiness: Readiness): void {
    if (!readiness.isReady) {
      this.#lose(restoreError(readiness.error) as TrivetError);
      return;
    }
    this.#stopTimer();
    this.#state = "ready";
    this.#settleStart?.(null);
    this.#events.onFree(this);
  }

  /**
   * Asks the thread for a sign of life. Until it gives one it is given no calls: it may be busy with one that was given
   * up. With a suspicion it is lost if it gives none in time.
   */
  #ask(suspicion: TrivetError | null): void {
    this.#pingsUnheard++;
    this.outgoing().add(["ping", 0]);
    if (suspicion === null || this.#timer !== null || this.#state === "closing") return;
    this.#suspicion = suspicion;
    this.#timer = this.#runtime.clock.after(ANSWER_TIMEOUT_MS, () => this.#lose(suspicion));
  }

  #takePong(): void {
    this.#pingsUnheard--;
    if (this.#pingsUnheard > 0 || this.#suspicion === null) return;
    this.#suspicion = null;
    if (this.#state !== "closing") this.#stopTimer();
    // The thread is well: it is their own handlers that take too long.
    const overdue = this.#overdue;
    this.#overdue = [];
    for (const call of overdue) {
      if (this.#calls.get(call.id) === call && call.isAwaited) call.exchange.connection.responder.endHandlerTime();
    }
  }

  /** The thread is of no use any more, and is ended. */
  #lose(cause: TrivetError): void {
    this.#lossCause = cause;
    this.#thread?.terminate();
    this.#end();
  }

  #onExit(cause: Error | undefined): void {
    if (this.#state === "starting") {
      this.#lossCause = this.#startError("has ended its thread while it was loaded", cause);
    } else if (this.#state !== "closing" && this.#state !== "gone") {
      // A thread whose runtime can't end it from outside ends itself when a handler takes too long.
      this.#lossCause = this.#suspicion ??
        new TrivetError("thread-crashed", "A thread that runs handlers has ended.", { cause });
    }
    this.#end();
  }

  #end(): void {
    if (this.#state === "gone") return;
    const cause = this.#lossCause;
    this.#state = "gone";
    this.#stopTimer();
    const begun = Atomics.load(this.#begun, 0);
    const lost: LostCall[] = [];
    for (const call of this.#calls.clear()) {
      const { isAnswered, sequence } = call;
      const wasBegun = isAnswered || (sequence !== null && countUpTo(sequence, begun) <= 0);
      const isSuspect = cause?.code === "handler-timeout" && !isAnswered && sequence === begun;
      lost.push({ call, wasBegun, isSuspect });
    }
    this.#unanswered = 0;
    this.#toWrite = [];
    this.#settleStart?.(cause ?? this.#startError("was not loaded: the server has stopped"));
    this.#settleGone();
    this.#events.onGone(this, lost, cause);
  }

  #closeIfIdle(): void {
    if (this.#state === "retiring" && this.#calls.size === 0) this.#close();
  }

  #close(): void {
    if (this.#state === "gone" || this.#state === "closing") return;
    const isListening = this.#state !== "starting";
    this.#state = "closing";
    this.#stopTimer();
    if (this.#thread === null) {
      this.#end();
    } else if (isListening) {
      this.outgoing().add(["close", 0]);
      this.#timer = this.#runtime.clock.after(CLOSE_TIMEOUT_MS, () => this.#thread?.terminate());
    } else {
      this.#thread.terminate();
    }
  }

  #stopTimer(): void {
    this.#timer?.cancel();
    this.#timer = null;
  }

  #startError(what: string, cause?: unknown): TrivetError {
    return new TrivetError("module-invalid", `The module ${JSON.stringify(this.#orders.module)} ${what}.`, { cause });
  }
}

/** How far one sequence is ahead of another; sequences are 32-bit integers that wrap around. */
function countUpTo(sequence: number, from: number): number {
  return (sequence - from) | 0;
}
