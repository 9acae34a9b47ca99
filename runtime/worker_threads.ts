/**
 * Threads of all three runtimes, over `node:worker_threads`: as fast on each as its own kind of worker.
 *
 * It decides what counts as the end of a thread, and that nothing which is sent gets lost. It knows nothing of what is
 * sent. The module of Node is loaded when a thread is started, because that costs Deno 20 ms.
 *
 * @module
 */

import type { MessagePort, Worker } from "node:worker_threads";
import type { ParentThread, Thread, ThreadEvents } from "../src/runtime.ts";
import { describeFailure, failureToError, type ThreadFailure } from "./thread_failure.ts";
import type { ThreadTraits } from "./threads.ts";

/** What a thread is started with, by which it knows that it was started here and is not a worker of the user's. */
const THREAD_MARK = "trivet:thread";
/** Marks the messages that are between the two ends themselves. */
const SIGNAL = "trivet:signal";
/**
 * How long a thread may take to end. It takes milliseconds, unless the thread is in a call of the system that waits, or
 * Bun's garbage collector or regular expressions are at work.
 */
const END_TIMEOUT_MS = 2_000;
/** How long is waited on Deno for a thread to hear that it should end, before it is given up. */
const HEARING_TIMEOUT_MS = 100;

const MIB = 1024 * 1024;
/**
 * Of the part of a bounded heap where new objects are, in MiB. A collection moves what is alive there at once, and a heap
 * that grows by more than Node allows beyond its bound ends the process in place of the thread: that of Node 24 would be
 * three times as large.
 */
const MAX_YOUNG_MIB = 16;

/** What one end tells the other about the thread itself. */
type Signal =
  /** The thread listens. */
  | { readonly [SIGNAL]: "listening" }
  /** The thread is to end. */
  | { readonly [SIGNAL]: "end" }
  /** The thread ends because it wants to. */
  | { readonly [SIGNAL]: "exit" }
  /** The thread ends because of an uncaught error. */
  | { readonly [SIGNAL]: "failure"; readonly failure: ThreadFailure };

/** A message that waits for the thread to listen, copied already. */
interface WaitingMessage {
  readonly message: unknown;
  readonly transfer: ArrayBuffer[] | undefined;
}

/** What the runtime tells of a worker. */
type WorkerEvent = "message" | "error" | "exit";

/** Starts a thread. */
export async function startThread(
  entry: string,
  events: ThreadEvents,
  maxHeapBytes: number,
  traits: ThreadTraits,
): Promise<Thread> {
  const { Worker } = await import("node:worker_threads");
  const isLimited = traits.limitsThreadMemory && maxHeapBytes > 0;
  const worker = new Worker(toModuleUrl(entry), {
    workerData: { [THREAD_MARK]: true },
    ...isLimited
      ? { resourceLimits: { maxOldGenerationSizeMb: maxHeapBytes / MIB, maxYoungGenerationSizeMb: MAX_YOUNG_MIB } }
      : {},
  });
  return new StartedThread(worker, events, traits);
}

/** Deno runs modules of the net, but node:worker_threads takes no such URL: a module that imports it stands in. */
function toModuleUrl(entry: string): URL {
  const url = new URL(entry);
  if (url.protocol === "file:") return url;
  return new URL(`data:text/javascript,${encodeURIComponent(`import ${JSON.stringify(url.href)};`)}`);
}

/**
 * The state of a thread that was started:
 *
 *     starting   messages wait, since Deno loses those that come before the thread listens
 *     listening  messages pass
 *     ending     nothing passes; it was terminated, or it told why it ends
 *     gone       `onExit` was told, or is about to be
 */
type ThreadState = "starting" | "listening" | "ending" | "gone";

class StartedThread implements Thread {
  readonly #worker: Worker;
  readonly #events: ThreadEvents;
  readonly #traits: ThreadTraits;
  #state: ThreadState = "starting";
  /** What came before the caller of `startThread` had the thread; `null` once that must have it. */
  #early: { readonly event: WorkerEvent; readonly told: unknown }[] | null = [];
  #waiting: WaitingMessage[] = [];
  /** Whether the end is one that was asked for. */
  #isEndWanted = false;
  #cause: Error | undefined;
  #endTimer: ReturnType<typeof setTimeout> | undefined;

  constructor(worker: Worker, events: ThreadEvents, traits: ThreadTraits) {
    this.#worker = worker;
    this.#events = events;
    this.#traits = traits;
    for (const event of ["message", "error", "exit"] as const) {
      worker.on(event, (told: unknown) => this.#hear(event, told));
    }
    // Deno asks what the thread tells while it makes it. On a busy machine there is something at once, and it comes
    // between the microtasks that bring the thread to the caller, which could not terminate it yet.
    setTimeout(() => this.#beginHearing(), 0);
  }

  post(message: unknown, transfer?: ArrayBuffer[]): void {
    if (this.#state === "listening") this.#send(message, transfer);
    else if (this.#state === "starting") this.#waiting.push(structuredClone({ message, transfer }, { transfer }));
  }

  terminate(): void {
    this.#isEndWanted = true;
    // The thread may have failed, or be gone without that being told yet: its cause is of no use now.
    this.#cause = undefined;
    if (this.#state === "ending" || this.#state === "gone") return;
    if (this.#traits.canEndBusyThreads || this.#state === "starting") {
      this.#beginEnd(END_TIMEOUT_MS);
      void this.#worker.terminate();
    } else {
      // Deno 2.9 can't end a thread that does not return to its event loop, and once that was tried, nor can node:vm
      // from inside. So the thread is told to end, does so as soon as it hears of it, and is not waited for long.
      this.#beginEnd(HEARING_TIMEOUT_MS);
      signal(this.#worker, { [SIGNAL]: "end" });
    }
  }

  ref(): void {
    if (this.#state !== "gone") this.#worker.ref();
  }

  unref(): void {
    if (this.#state !== "gone") this.#worker.unref();
  }

  #beginHearing(): void {
    const early = this.#early!;
    this.#early = null;
    for (const { event, told } of early) this.#hear(event, told);
  }

  #hear(event: WorkerEvent, told: unknown): void {
    if (this.#early !== null) this.#early.push({ event, told });
    else if (event === "message") this.#takeMessage(told);
    else if (event === "error") this.#fail(told instanceof Error ? told : toError(told));
    else this.#finish(told as number);
  }

  #takeMessage(message: unknown): void {
    if (this.#state === "ending" || this.#state === "gone") return;
    if (isSignal(message)) this.#takeSignal(message);
    else this.#events.onMessage(this.#traits.searchesMessages ? unwrap(message) : message);
  }

  #send(message: unknown, transfer: ArrayBuffer[] | undefined): void {
    this.#worker.postMessage(this.#traits.searchesMessages ? wrap(message) : message, transfer);
  }

  #takeSignal(signal: Signal): void {
    if (signal[SIGNAL] === "failure") {
      this.#fail(failureToError(signal.failure));
    } else if (signal[SIGNAL] === "exit") {
      this.#isEndWanted = true;
      this.#beginEnd(END_TIMEOUT_MS);
    } else if (signal[SIGNAL] === "listening") {
      this.#state = "listening";
      for (const { message, transfer } of this.#waiting) this.#send(message, transfer);
      this.#waiting = [];
    }
  }

  #fail(cause: Error): void {
    if (this.#state === "ending" || this.#state === "gone") return;
    this.#cause = cause;
    this.#beginEnd(END_TIMEOUT_MS);
  }

  #beginEnd(timeoutMs: number): void {
    this.#state = "ending";
    this.#waiting = [];
    this.#endTimer = setTimeout(() => this.#giveUp(), timeoutMs);
  }

  /**
   * The thread is busy, waits in the system, or for ever in a listener of its own "exit" event. A process of Bun and
   * Node does not end before the system lets its threads go, so that may still be waited for.
   */
  #giveUp(): void {
    if (this.#traits.canEndBusyThreads) void this.#worker.terminate();
    this.#worker.unref();
    this.#finish(0);
  }

  #finish(exitCode: number): void {
    if (this.#state === "gone") return;
    this.#state = "gone";
    clearTimeout(this.#endTimer);
    this.#waiting = [];
    if (!this.#isEndWanted) this.#cause ??= new Error(`The thread has ended by itself, with exit code ${exitCode}.`);
    // This may be within a call of terminate().
    queueMicrotask(() => this.#events.onExit(this.#cause));
  }
}

function isSignal(message: unknown): message is Signal {
  return typeof message === "object" && message !== null && SIGNAL in message;
}

function toError(thrown: unknown): Error {
  return failureToError(describeFailure(thrown));
}

/** The parent of this thread; `null` where it was not started here. */
export async function connectParent(traits: ThreadTraits): Promise<ParentThread | null> {
  const { parentPort, workerData } = await import("node:worker_threads");
  if (parentPort === null || typeof workerData !== "object" || workerData?.[THREAD_MARK] !== true) return null;
  let takeRejection: ((thrown: unknown) => void) | null = null;
  reportFailures(parentPort, "uncaughtException", () => null);
  reportFailures(parentPort, "unhandledRejection", () => takeRejection);
  const runWithin = traits.canEndBusyThreads ? null : (await import("./interruption.ts")).runWithin;
  const { searchesMessages } = traits;
  return {
    post: (message, transfer) => parentPort.postMessage(searchesMessages ? wrap(message) : message, transfer),
    listen(onMessage) {
      parentPort.on("message", (message: unknown) => {
        if (isSignal(message)) process.exit(0);
        onMessage(searchesMessages ? unwrap(message) : message);
      });
      signal(parentPort, { [SIGNAL]: "listening" });
    },
    runWithin(limitMs, callback) {
      if (runWithin !== null && limitMs > 0) return runWithin(limitMs, callback);
      callback();
      return true;
    },
    onRejection(callback) {
      takeRejection = callback;
    },
    exit() {
      signal(parentPort, { [SIGNAL]: "exit" });
      process.exit(0);
    },
  };
}

/**
 * Ends the thread at an uncaught error and tells which, unless something takes the error. Left alone, Deno prints it
 * and loses its stack, Bun and Node lose what is no Error, and each has its own exit code. Code that listens to the
 * same event has taken it upon itself, as in the main thread.
 */
function reportFailures(
  port: MessagePort,
  event: "uncaughtException" | "unhandledRejection",
  taker: () => ((thrown: unknown) => void) | null,
): void {
  process.on(event, (thrown: unknown) => {
    if (process.listenerCount(event) > 1) return;
    const take = taker();
    if (take !== null) {
      take(thrown);
      return;
    }
    signal(port, { [SIGNAL]: "failure", failure: describeFailure(thrown) });
    process.exit(1);
  });
}

function signal(port: MessagePort | Worker, message: Signal): void {
  port.postMessage(message);
}

/** Puts a message where Deno does not search it. */
function wrap(message: unknown): unknown {
  return typeof message === "object" && message !== null ? new Map([[0, message]]) : message;
}

function unwrap(message: unknown): unknown {
  return message instanceof Map ? message.get(0) : message;
}
