/**
 * A thread that runs handlers, from its start to its end: the event loop's side of it.
 *
 * It decides when the thread is ready, when it is taken for lost, and when it ends. It must not know what becomes of
 * its calls, nor what follows a lost thread.
 *
 * @module
 */

import { nameModule } from "../api/telling.ts";
import { TrivetError } from "../api/errors.ts";
import { isPublicationBatch, type Publication, PublicationLink } from "../exchange/publication.ts";
import type { Runtime, Thread, Timer } from "../runtime.ts";
import { type Attachments, isBatch, type Message, OutgoingBatch, readBatch } from "./batch.ts";
import { restoreError, restoreTrivetError } from "./error_copy.ts";
import { type FromThread, type HandlerOrders, isReadiness, type Readiness } from "./protocol.ts";
import type { RemoteCall } from "./remote_call.ts";
import { SignOfLife } from "./sign_of_life.ts";
import { explainStartFailure } from "./start_failure.ts";
import { faultOf, ThreadCalls } from "./thread_calls.ts";
import { THREAD_STATES, type ThreadState } from "./thread_states.ts";

/** What a thread tells the pool. */
export interface HandlerThreadEvents {
  /** The thread can be given calls, perhaps more than before. */
  onFree(thread: HandlerThread): void;
  /**
   * The thread is gone. `returned` are calls, in order, that can be made on another thread; its other calls were
   * answered with an error. `cause` is `null` when the thread was asked to end.
   */
  onGone(thread: HandlerThread, returned: readonly RemoteCall[], cause: TrivetError | null): void;
  /** An error that belongs to no exchange: a rejection that nothing has handled, or a fault of this program. */
  onError(error: TrivetError): void;
  /** It has begun calls for so long without a turn of its event loop in between. */
  onTurn(durationMs: number): void;
  /** How late it was, each time that was looked at. */
  onDelays(delaysMs: readonly number[]): void;
  /** A handler has published to WebSockets, of which those of the thread are told already. */
  onPublished(thread: HandlerThread, publication: Publication): void;
}

/** What all threads of a pool are told. */
export type ThreadOrders = Omit<HandlerOrders, "role" | "claims">;

/** A module that is not loaded by then will not be. */
const START_TIMEOUT_MS = 30_000;
/** A thread that is asked to end is ended after this time. */
const CLOSE_TIMEOUT_MS = 500;

/** One thread. */
export class HandlerThread {
  /** WebSockets that are open there. */
  openSockets = 0;
  /** Whether it could be given calls once. */
  wasReady = false;
  readonly #runtime: Runtime;
  readonly #orders: ThreadOrders;
  readonly #events: HandlerThreadEvents;
  readonly #life: SignOfLife;
  readonly #calls: ThreadCalls;
  readonly #outgoing = new OutgoingBatch();
  readonly #publications: PublicationLink;
  readonly #post = (message: unknown, transfer: ArrayBuffer[]): void => this.#thread?.post(message, transfer);
  #state: ThreadState = THREAD_STATES.initial;
  #thread: Thread | null = null;
  #sendIsDeferred = false;
  /** Ends the wait for the start, or for the end. */
  #timer: Timer | null = null;
  #lossCause: TrivetError | null = null;
  #settleStart!: () => void;
  readonly #started = new Promise<void>((resolve) => this.#settleStart = resolve);
  #settleGone!: () => void;
  readonly #gone = new Promise<void>((resolve) => this.#settleGone = resolve);

  /**
   * @param runtime The runtime, which starts the thread.
   * @param orders What the thread is to do.
   * @param events Told what becomes of it.
   */
  constructor(runtime: Runtime, orders: ThreadOrders, events: HandlerThreadEvents) {
    this.#runtime = runtime;
    this.#orders = orders;
    this.#events = events;
    this.#calls = new ThreadCalls(runtime.clock, {
      outgoing: () => this.#openOutgoing(),
      onEnded: () => this.#closeIfIdle(),
      onAbandoned: () => this.#life.ask(),
      onOverdue: () => this.#life.suspect(tooLate()),
      onError: (error) => events.onError(error),
    });
    this.#publications = new PublicationLink(
      runtime.clock.defer,
      (batch) => this.#thread?.post(batch),
      (error) => events.onError(error),
    );
    this.#life = new SignOfLife(runtime.clock, {
      ask: (question) => this.#openOutgoing().add(["ping", question]),
      onSilence: (suspicion) => this.#guard(() => this.#lose(suspicion)),
    });
  }

  /** Starts the thread. Resolves when it is ready, rejects with a `TrivetError` when it can't be. */
  async start(entry: string, maxHeapBytes = 0): Promise<void> {
    this.#timer = this.#runtime.clock.after(START_TIMEOUT_MS, () => {
      this.#guard(() => this.#lose(this.#startError(`is not loaded after ${START_TIMEOUT_MS / 1000} s`)));
    });
    this.#startThread(entry, maxHeapBytes).catch((cause) => {
      this.#guard(() => this.#lose(this.#startError("can't be loaded, because no thread could be started", cause)));
    });
    await this.#started;
    if (this.#state !== "gone" && this.#state !== "closing") return;
    if (this.#lossCause === null) throw this.#startError("was not loaded: the server has stopped");
    throw await explainStartFailure(this.#runtime.files, entry, this.#lossCause);
  }

  get state(): ThreadState {
    return this.#state;
  }

  /** Whether the thread takes calls, and does not compute for a client that is gone. */
  get isReady(): boolean {
    return this.#takesCalls && this.#calls.given.hasPlace;
  }

  /** Whether the thread is likely to begin one more call soon. */
  get hasRoom(): boolean {
    return this.#takesCalls && this.#calls.given.hasRoom;
  }

  /** Whether the thread has come no further for some milliseconds although it has something to do. */
  get isHeldUp(): boolean {
    return this.#calls.given.isHeldUp;
  }

  /** Whether the thread has said that it waits for calls. */
  get isIdle(): boolean {
    return this.#calls.given.isIdle;
  }

  /** Calls it was given and has not answered. */
  get load(): number {
    return this.#calls.unanswered;
  }

  /** Calls it was given and has not begun. */
  get unbegunCount(): number {
    return this.#calls.given.unbegunCount;
  }

  /** Of these the one that it was given first. */
  get firstUnbegun(): RemoteCall | null {
    return this.#calls.given.first;
  }

  /** Calls that it was given since its start and that were not taken back. */
  get callCount(): number {
    return this.#calls.count;
  }

  /** Gives it a call. */
  give(call: RemoteCall): void {
    this.#calls.give(call);
  }

  /** Takes a call back that has not begun. Returns whether that was possible. */
  takeBack(call: RemoteCall): boolean {
    return this.#calls.takeBack(call);
  }

  /** Sees whether it is held up. Returns whether it has something to do. */
  watch(): boolean {
    return this.#state !== "gone" && this.#calls.given.watch();
  }

  /** Whether it is to begin one call a turn. */
  set beginsOneATurn(isSo: boolean) {
    this.#calls.given.claims.oneATurn = isSo;
  }

  /** Gives it no more calls; it ends when all its exchanges have. */
  retire(): void {
    if (this.#state !== "ready") return;
    this.#enter("retiring");
    this.#closeIfIdle();
  }

  /** Tells its WebSockets what was published elsewhere. */
  publish(publication: Publication): void {
    if (this.#state === "ready" || this.#state === "retiring") this.#publications.tell(publication);
  }

  /** Tells its handlers that the server drains. */
  drain(): void {
    if (this.#state === "ready" || this.#state === "retiring") this.#openOutgoing().add(["drain", 0]);
  }

  /** Ends it, in order if it still listens. Resolves when it is gone. */
  close(): Promise<void> {
    this.#close();
    return this.#gone;
  }

  /** Sends what need not hurry. */
  sendRest(): void {
    if (!this.#outgoing.isEmpty || this.#calls.areToldLate) this.#deferSend();
  }

  // What the thread says.

  async #startThread(entry: string, maxHeapBytes: number): Promise<void> {
    const thread = await this.#runtime.startThread(entry, {
      onMessage: (message) => this.#guard(() => this.#onMessage(message)),
      onExit: (cause) => this.#guard(() => this.#onExit(cause)),
    }, maxHeapBytes);
    // The listener and the connections keep the process alive; a thread alone should not.
    thread.unref();
    if (this.#state !== "starting") {
      thread.terminate();
      return;
    }
    this.#thread = thread;
    const orders: HandlerOrders = { role: "handler", ...this.#orders, claims: this.#calls.given.claims.words };
    thread.post(orders);
  }

  /** A handler can post messages too; what is none of the conversation is ignored. */
  #onMessage(received: unknown): void {
    if (this.#state === "gone") return;
    if (this.#state === "starting") {
      if (isReadiness(received)) this.#takeReadiness(received);
      return;
    }
    if (isPublicationBatch(received)) {
      this.#publications.take(received, (publication) => this.#events.onPublished(this, publication));
      return;
    }
    if (!isBatch(received)) return;
    const batch = readBatch(received);
    for (const message of batch.messages as readonly (FromThread & Message)[]) this.#take(message, batch);
    if (this.#state === "ready") this.#events.onFree(this);
  }

  #take(message: FromThread, attached: Attachments): void {
    switch (message[0]) {
      case "pace":
        this.#calls.given.takePace(message[1], message[2], message[3]);
        this.#events.onTurn(message[3]);
        return;
      case "pong":
        if (this.#life.hear(message[1])) this.#calls.blameOverdue();
        return;
      case "error":
        this.#events.onError(restoreTrivetError(message[2]));
        return;
      case "delays":
        this.#events.onDelays(message[2]);
        return;
      case "sockets":
        this.openSockets = message[2];
        return;
    }
    this.#calls.take(message, attached);
  }

  #takeReadiness(readiness: Readiness): void {
    if (!readiness.isReady) {
      this.#lose(restoreError(readiness.error) as TrivetError);
      return;
    }
    this.#stopTimer();
    this.#enter("ready");
    this.wasReady = true;
    this.#settleStart();
    this.#events.onFree(this);
  }

  #onExit(cause: Error | undefined): void {
    if (this.#state === "starting") {
      this.#lossCause = this.#startError("has ended its thread while it was loaded", cause);
    } else if (this.#state === "ready" || this.#state === "retiring") {
      // A thread whose runtime can't end it from outside ends itself when a handler takes too long.
      this.#lossCause = this.#life.suspicion ??
        new TrivetError("thread-crashed", "A thread that runs handlers has ended.", { cause });
    }
    this.#end();
  }

  // Its end.

  /** The thread is of no use any more, and is ended. */
  #lose(cause: TrivetError): void {
    if (this.#state === "gone") return;
    this.#lossCause = cause;
    this.#thread?.terminate();
    this.#end();
  }

  #end(): void {
    if (this.#state === "gone") return;
    const cause = this.#lossCause;
    this.#enter("gone");
    this.#stopTimer();
    this.#life.end();
    this.#settleStart();
    this.#settleGone();
    const returned = this.#calls.giveUp(cause);
    this.#events.onGone(this, returned, cause);
  }

  #closeIfIdle(): void {
    if (this.#state === "retiring" && this.#calls.size === 0) this.#close();
  }

  #close(): void {
    if (this.#state === "gone" || this.#state === "closing") return;
    const isListening = this.#state !== "starting";
    this.#enter("closing");
    this.#stopTimer();
    this.#life.end();
    this.#settleStart();
    if (this.#thread === null) {
      this.#end();
    } else if (isListening) {
      this.#openOutgoing().add(["close", 0]);
      this.#timer = this.#runtime.clock.after(CLOSE_TIMEOUT_MS, () => this.#thread?.terminate());
    } else {
      this.#thread.terminate();
    }
  }

  get #takesCalls(): boolean {
    return this.#state === "ready" && this.#life.state === "heard";
  }

  #openOutgoing(): OutgoingBatch {
    this.#deferSend();
    return this.#outgoing;
  }

  #deferSend(): void {
    if (this.#sendIsDeferred) return;
    this.#sendIsDeferred = true;
    this.#runtime.clock.defer(() => {
      this.#sendIsDeferred = false;
      this.#guard(() => this.#send());
    });
  }

  #send(): void {
    this.#calls.write(this.#outgoing);
    if (!this.#outgoing.isEmpty) this.#outgoing.send(this.#post);
  }

  #enter(state: ThreadState): void {
    this.#state = THREAD_STATES.enter(this.#state, state);
  }

  /** A fault in what an event sets off costs this thread, and nothing beside it. */
  #guard(act: () => void): void {
    try {
      act();
    } catch (fault) {
      this.#events.onError(faultOf(fault));
      this.#lose(faultOf(fault));
    }
  }

  #stopTimer(): void {
    this.#timer?.cancel();
    this.#timer = null;
  }

  #startError(what: string, cause?: unknown): TrivetError {
    return new TrivetError("module-invalid", `The module ${nameModule(this.#orders.module)} ${what}.`, { cause });
  }
}

function tooLate(): TrivetError {
  return new TrivetError("handler-timeout", "The server did not make a response in time.");
}
