/**
 * A thread with an event loop that serves connections of its own: the side of the thread that has started it.
 *
 * It decides when such a thread listens, drains and is ended, and starts it anew when it is lost. It must not know how
 * it serves.
 *
 * @module
 */

import type { AccessLogEntry } from "../../api/access_log.ts";
import { TrivetError } from "../../api/errors.ts";
import { isPublicationBatch, type Publication, PublicationLink } from "../../exchange/publication.ts";
import type { Runtime, Thread, Timer } from "../../runtime.ts";
import { StateTable } from "../../states.ts";
import { restoreTrivetError } from "../../threads/error_copy.ts";
import { withoutConnections } from "../../observe/measurements.ts";
import { isReadiness } from "../../threads/protocol.ts";
import { explainStartFailure } from "../../threads/start_failure.ts";
import { faultOf } from "../../threads/thread_calls.ts";
import type { StopCounts } from "../scheduler.ts";
import { answerReport } from "./error_reports.ts";
import {
  addCounts,
  type Announcement,
  type FromLoop,
  isFromLoop,
  type LoopCounts,
  type LoopOrders,
  NO_COUNTS,
  type ToLoop,
} from "./loop_protocol.ts";

/** What a loop thread needs of the server. */
export interface LoopThreadOptions {
  readonly runtime: Runtime;
  /** The URL of the module that a thread starts from. */
  readonly entry: string;
  readonly orders: LoopOrders;
  /** The user's `onError`. */
  readonly onError: ((error: TrivetError, request?: Request) => Response | Promise<Response> | void) | undefined;
  /** Told of each request, where the access log is a function. */
  readonly onRequest: (entry: AccessLogEntry) => void;
  /** Told when the thread was lost. */
  readonly onCrash: (cause: TrivetError) => void;
  /** Told when it could not be started in the place of one that was lost. */
  readonly onNotStarted: (cause: TrivetError) => void;
  /** Told of an error that belongs to no exchange. */
  readonly reportError: (error: TrivetError) => void;
}

/** How far a loop on another thread has come. */
export type LoopState = "idle" | "starting" | "loaded" | "binding" | "listening" | "lost" | "stopping" | "stopped";

/** The states of a loop on another thread. */
export const LOOP_STATES: StateTable<LoopState> = new StateTable<LoopState>("an event loop", "idle", {
  idle: {
    starting: "the server starts",
    stopped: "the server stops before that",
  },
  starting: {
    loaded: "the module is loaded",
    lost: "the module can't be loaded, or is not in time",
    stopping: "the server drains, and the thread is ended",
    stopped: "the server drains before there is a thread",
  },
  loaded: {
    binding: "it is told to listen",
    lost: "it crashed",
    stopping: "the server drains",
  },
  binding: {
    listening: "its listener is bound",
    lost: "it crashed, can't listen, or does not in time",
    stopping: "the server drains",
  },
  listening: {
    lost: "it crashed",
    stopping: "the server drains",
  },
  lost: {
    starting: "it had listened, and a second is over",
    stopped: "the server stops",
  },
  stopping: { stopped: "its last connection is closed, or was cut off, and its thread is gone" },
  stopped: {},
});

/** A module that is not loaded by then will not be, nor does a listener take so long. */
const START_TIMEOUT_MS = 30_000;
/** Before a lost thread is started again. */
const RESTART_DELAY_MS = 1_000;
/** A loop that is cut off and does not say that it has stopped is ended after this time. */
const STOP_TIMEOUT_MS = 1_000;

const AT_ONCE: Announcement = { delayMs: 0, closesIdle: true };

/** One loop on another thread. */
export class LoopThread {
  /** Told what the loop has published. */
  onPublished: (publication: Publication) => void = () => {};
  readonly #options: LoopThreadOptions;
  #state: LoopState = LOOP_STATES.initial;
  #thread: Thread | null = null;
  #port = 0;
  /** Whether it has ever listened: only then it is started again when it is lost; else its server does not start. */
  #hasListened = false;
  /** Why it was lost. */
  #lossCause: TrivetError | null = null;
  /** What the present thread counts, and what those before it have counted until they were lost. */
  #counts = NO_COUNTS;
  #countsBefore = NO_COUNTS;
  /** Ends the wait of the present state. */
  #timer: Timer | null = null;
  /** What waits for the present state to be left, so that no wait outlives what it is for. */
  #waiters: (() => void)[] = [];
  #ended: StopCounts = { drained: 0, aborted: 0 };
  /** What waits for certificates to be read. */
  #reloads: ((error: TrivetError | null) => void)[] = [];
  /** The way of what is published, to the present thread. */
  #publications: PublicationLink | null = null;

  /** @param options What it needs of the server. */
  constructor(options: LoopThreadOptions) {
    this.#options = options;
  }

  get state(): LoopState {
    return this.#state;
  }

  /** Whether the loop takes connections. */
  get isServing(): boolean {
    return this.#state === "listening";
  }

  /** What the loop counts: at most a tenth of a second old. */
  get counts(): LoopCounts {
    return addCounts(this.#countsBefore, this.#counts);
  }

  /** Starts the thread and lets it load the module. Rejects with a `TrivetError` when it can't. */
  async start(): Promise<void> {
    if (this.#state === "idle") this.#begin();
    await this.#left("starting");
    if (this.#state !== "lost") return;
    throw await explainStartFailure(this.#options.runtime.files, this.#options.entry, this.#lossCause!);
  }

  /**
   * Lets the loop listen. Rejects with a `TrivetError` when it can't; when the server stops it resolves all the same.
   */
  async listen(port: number): Promise<void> {
    if (this.#state === "loaded") {
      this.#enter("binding");
      this.#port = port;
      this.#startTimer(START_TIMEOUT_MS, () => {
        this.#lose(new TrivetError("listen-failed", `A loop does not listen after ${START_TIMEOUT_MS / 1000} s.`));
      });
      this.#say({ kind: "listen", port });
    }
    await this.#left("binding");
    this.throwIfLost();
  }

  /**
   * Has the loop read its certificates anew. Rejects with a `TrivetError` where it can't use them. A loop that does not
   * listen reads them when it begins to.
   */
  reloadTls(): Promise<void> {
    if (!this.isServing) return Promise.resolve();
    return new Promise((resolve, reject) => {
      this.#reloads.push((error) => error === null ? resolve() : reject(error));
      this.#say({ kind: "reload-tls" });
    });
  }

  /** Throws the `TrivetError` for which the loop was lost, if it is. */
  throwIfLost(): void {
    if (this.#state === "lost") throw this.#lossCause;
  }

  /** Tells its WebSockets what was published elsewhere. */
  publish(publication: Publication): void {
    if (this.#state === "listening" || this.#state === "stopping") this.#publications?.tell(publication);
  }

  /** Stops in order: as it is said, or sooner than it was said before. */
  drain(how: Announcement = AT_ONCE): void {
    const state = this.#state;
    if (state === "stopped") return;
    if (state === "stopping") {
      this.#say({ kind: "drain", ...how });
      return;
    }
    this.#stopTimer();
    if (this.#thread === null) {
      this.#enter("stopped");
      return;
    }
    this.#enter("stopping");
    if (state === "starting") this.#thread.terminate();
    else this.#say({ kind: "drain", ...how });
  }

  /** Stops at once. */
  cutOff(): void {
    if (this.#state !== "stopping") this.drain();
    if (this.#state !== "stopping" || this.#timer !== null) return;
    this.#say({ kind: "cut-off" });
    this.#startTimer(STOP_TIMEOUT_MS, () => this.#thread?.terminate());
  }

  /** Resolves when the loop has stopped and its thread is gone, with how its connections have ended. */
  async stop(): Promise<StopCounts> {
    if (this.#state !== "stopping") this.drain();
    await this.#left("stopping");
    return this.#ended;
  }

  #begin(): void {
    this.#enter("starting");
    this.#startTimer(START_TIMEOUT_MS, () => {
      this.#lose(moduleInvalid(`A loop is not ready after ${START_TIMEOUT_MS / 1000} s.`));
    });
    this.#startThread().catch((cause) => {
      this.#guard(() => {
        if (this.#state === "starting") this.#lose(moduleInvalid("No thread could be started for a loop.", cause));
      });
    });
  }

  async #startThread(): Promise<void> {
    const { runtime, entry, orders } = this.#options;
    const thread = await runtime.startThread(entry, {
      onMessage: (message) => this.#guard(() => this.#onMessage(thread, message)),
      onExit: (cause) => this.#guard(() => this.#onExit(thread, cause)),
    });
    thread.unref();
    if (this.#state !== "starting" || this.#thread !== null) {
      thread.terminate();
      return;
    }
    this.#thread = thread;
    const { clock } = this.#options.runtime;
    const { reportError } = this.#options;
    this.#publications = new PublicationLink(clock.defer, (batch) => thread.post(batch), reportError);
    thread.post(orders);
  }

  #say(message: ToLoop): void {
    this.#thread?.post(message);
  }

  /** Code of the user's module can post messages too; what is none of the conversation is ignored. */
  #onMessage(thread: Thread, message: unknown): void {
    if (thread !== this.#thread) return;
    if (isReadiness(message)) {
      if (this.#state !== "starting") return;
      if (message.isReady) this.#settle("loaded");
      else this.#lose(restoreTrivetError(message.error));
    } else if (isPublicationBatch(message)) {
      this.#publications?.take(message, this.onPublished);
    } else if (isFromLoop(message)) {
      this.#take(thread, message);
    }
  }

  #take(thread: Thread, message: FromLoop): void {
    switch (message.kind) {
      case "listening":
        if (this.#state !== "binding") return;
        if (message.error !== null) {
          this.#lose(restoreTrivetError(message.error));
        } else {
          this.#hasListened = true;
          this.#settle("listening");
        }
        return;
      case "tls-reloaded":
        this.#reloads.shift()?.(message.error === null ? null : restoreTrivetError(message.error));
        return;
      case "counts":
        this.#counts = message.counts;
        return;
      case "error":
        this.#answer(thread, message);
        return;
      case "requests":
        this.#say({ kind: "requests-heard", count: message.entries.length });
        for (const entry of message.entries) this.#options.onRequest(entry);
        return;
      case "loose-error":
        this.#options.reportError(restoreTrivetError(message.error));
        return;
      case "stopped":
        this.#counts = message.counts;
        this.#ended = { drained: message.drained, aborted: message.aborted };
        thread.terminate();
    }
  }

  /**
   * Calls the user's `onError` here, where the user has set it, and sends its response to the thread that waits for it:
   * one in the place of that numbers its errors anew.
   */
  #answer(thread: Thread, message: FromLoop & { kind: "error" }): void {
    const { onError, reportError } = this.#options;
    answerReport(message, onError, reportError).then((response) => {
      const answer: ToLoop = { kind: "response", reportId: message.reportId, response };
      thread.post(answer);
    });
  }

  #onExit(thread: Thread, cause: Error | undefined): void {
    if (thread !== this.#thread) return;
    if (this.#state === "stopping") {
      // A loop that has stopped in order counts no exchange under way.
      this.#ended = { ...this.#ended, aborted: this.#ended.aborted + this.#counts.activeExchanges };
      this.#loseConnections();
      this.#settle("stopped");
    } else if (this.#state === "starting") {
      this.#lose(moduleInvalid("A thread has ended while it loaded the module.", cause));
    } else {
      this.#lose(new TrivetError("thread-crashed", "A thread with an event loop has ended.", { cause }));
    }
  }

  /** The thread is of no use any more. */
  #lose(cause: TrivetError): void {
    const wasListening = this.#state === "listening";
    this.#lossCause = cause;
    this.#thread?.terminate();
    this.#loseConnections();
    this.#settle("lost");
    if (this.#hasListened) this.#startTimer(RESTART_DELAY_MS, () => this.#startAnew());
    if (wasListening) this.#options.onCrash(cause);
  }

  /** The thread is gone, and its connections with it. What it has counted is kept. */
  #loseConnections(): void {
    this.#thread = null;
    this.#countsBefore = addCounts(this.#countsBefore, {
      ...this.#counts,
      open: 0,
      activeExchanges: 0,
      openSockets: 0,
      measured: withoutConnections(this.#counts.measured),
    });
    this.#counts = NO_COUNTS;
  }

  /** Starts it again. What fails is tried again, since the loop is lost then. */
  #startAnew(): void {
    this.#begin();
    this.start().then(() => this.listen(this.#port)).catch((cause) => this.#options.onNotStarted(cause));
  }

  /** Enters the state that ends the wait of the one before. */
  #settle(state: LoopState): void {
    this.#stopTimer();
    this.#enter(state);
  }

  #enter(state: LoopState): void {
    this.#state = LOOP_STATES.enter(this.#state, state);
    const waiters = this.#waiters;
    this.#waiters = [];
    for (const wake of waiters) wake();
    // A thread that is lost or stops answers no more, and reads nothing more either.
    for (const settle of this.#reloads.splice(0)) settle(null);
  }

  /** Resolves when the loop is in another state than this. */
  async #left(state: LoopState): Promise<void> {
    while (this.#state === state) await new Promise<void>((resolve) => this.#waiters.push(resolve));
  }

  #startTimer(delayMs: number, callback: () => void): void {
    this.#timer = this.#options.runtime.clock.after(delayMs, () => {
      this.#timer = null;
      this.#guard(callback);
    });
  }

  #stopTimer(): void {
    this.#timer?.cancel();
    this.#timer = null;
  }

  /** A fault in what an event sets off costs this loop, and nothing beside it. */
  #guard(act: () => void): void {
    try {
      act();
    } catch (fault) {
      const error = faultOf(fault);
      this.#options.reportError(error);
      if (this.#state !== "lost" && this.#state !== "stopping" && this.#state !== "stopped") this.#lose(error);
    }
  }
}

function moduleInvalid(message: string, cause?: unknown): TrivetError {
  return new TrivetError("module-invalid", message, { cause });
}
