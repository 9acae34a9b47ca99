/**
 * A thread with an event loop that serves connections of its own: the side of the thread that has started it.
 *
 * It decides when such a thread listens, drains and is ended, and starts it anew when it is lost. It must not know how
 * it serves.
 *
 * @module
 */

import { TrivetError } from "../../api/errors.ts";
import { describeError } from "../../api/telling.ts";
import type { Runtime, Thread, Timer } from "../../runtime.ts";
import { restoreTrivetError } from "../../threads/error_copy.ts";
import { nativeResponse } from "../../web/native_body.ts";
import { readResponse } from "../../web/read_response.ts";
import {
  addCounts,
  type FromLoop,
  type LoopCounts,
  type LoopOrders,
  NO_COUNTS,
  type RequestCopy,
  type ResponseCopy,
  type ToLoop,
} from "./loop_protocol.ts";
import type { Readiness } from "../../threads/protocol.ts";

/** What a loop thread needs of the server. */
export interface LoopThreadOptions {
  readonly runtime: Runtime;
  /** The URL of the module that a thread starts from. */
  readonly entry: string;
  readonly orders: LoopOrders;
  /** The user's `onError`. */
  readonly onError: ((error: TrivetError, request?: Request) => Response | Promise<Response> | void) | undefined;
  /** Told when the thread was lost. */
  readonly onCrash: (cause: TrivetError) => void;
}

/**
 * | from         | to           | when                                          |
 * |--------------|--------------|-----------------------------------------------|
 * | `starting`   | `loaded`     | the module is loaded                          |
 * | `loaded`     | `listening`  | its listener is bound                         |
 * | `listening`  | `starting`   | the thread was lost: another one is started   |
 * | any          | `stopping`   | the server drains                             |
 * | any          | `stopped`    | its last connection is closed; it is gone     |
 */
type LoopState = "starting" | "loaded" | "listening" | "stopping" | "stopped";

/** A module that is not loaded by then will not be. */
const START_TIMEOUT_MS = 30_000;
/** Before a lost thread is started again. */
const RESTART_DELAY_MS = 1_000;
/** A loop that is cut off and does not say that it has stopped is ended after this time. */
const STOP_TIMEOUT_MS = 1_000;

/** One loop on another thread. */
export class LoopThread {
  readonly #options: LoopThreadOptions;
  #state: LoopState = "starting";
  #thread: Thread | null = null;
  #port = 0;
  /** What the present thread counts, and what those before it have counted until they were lost. */
  #counts = NO_COUNTS;
  #countsBefore = NO_COUNTS;
  #timer: Timer | null = null;
  #settleStart: ((error: TrivetError | null) => void) | null = null;
  #settleListen: ((error: TrivetError | null) => void) | null = null;
  #settleStop!: () => void;
  readonly #stopped = new Promise<void>((resolve) => this.#settleStop = resolve);
  #ended = { drained: 0, aborted: 0 };

  /** @param options What it needs of the server. */
  constructor(options: LoopThreadOptions) {
    this.#options = options;
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
    const { runtime, entry, orders } = this.#options;
    const settled = new Promise<TrivetError | null>((resolve) => this.#settleStart = resolve);
    this.#timer = runtime.clock.after(START_TIMEOUT_MS, () => {
      this.#settleStart?.(new TrivetError("module-invalid", `A loop is not ready after ${START_TIMEOUT_MS / 1000} s.`));
    });
    try {
      const thread = await runtime.startThread(entry, {
        onMessage: (message) => this.#onMessage(thread, message as Readiness | FromLoop),
        onExit: (cause) => this.#onExit(thread, cause),
      });
      this.#thread = thread;
      thread.unref();
      if (this.#state === "starting") thread.post(orders);
      else thread.terminate();
    } catch (cause) {
      this.#settleStart?.(new TrivetError("module-invalid", "No thread could be started for a loop.", { cause }));
    }
    const error = await settled;
    this.#stopTimer();
    if (error === null) return;
    this.#thread?.terminate();
    throw error;
  }

  /** Lets the loop listen. Rejects with a `TrivetError` when it can't. */
  async listen(port: number): Promise<void> {
    if (this.#state !== "loaded") return;
    this.#port = port;
    const settled = new Promise<TrivetError | null>((resolve) => this.#settleListen = resolve);
    this.#say({ kind: "listen", port });
    const error = await settled;
    if (error !== null) throw error;
    if (this.#state === "loaded") this.#state = "listening";
  }

  /** Takes nothing new, and stops when the last exchange has ended. */
  drain(): void {
    if (this.#state === "stopping" || this.#state === "stopped") return;
    const isRunning = this.#state !== "starting";
    this.#state = "stopping";
    if (isRunning) this.#say({ kind: "drain" });
    else this.#thread?.terminate();
    if (this.#thread === null) this.#end();
  }

  /** Stops at once. */
  cutOff(): void {
    this.drain();
    if (this.#state !== "stopping") return;
    this.#say({ kind: "cut-off" });
    this.#timer ??= this.#options.runtime.clock.after(STOP_TIMEOUT_MS, () => this.#thread?.terminate());
  }

  /** Resolves when the loop has stopped and its thread is gone, with how its connections have ended. */
  async stop(): Promise<{ drained: number; aborted: number }> {
    this.drain();
    await this.#stopped;
    return this.#ended;
  }

  #say(message: ToLoop): void {
    this.#thread?.post(message);
  }

  #onMessage(thread: Thread, message: Readiness | FromLoop): void {
    if (thread !== this.#thread) return;
    if ("isReady" in message) {
      if (message.isReady && this.#state === "starting") this.#state = "loaded";
      this.#settleStart?.(message.isReady ? null : restoreTrivetError(message.error));
      return;
    }
    switch (message.kind) {
      case "listening":
        this.#settleListen?.(message.error === null ? null : restoreTrivetError(message.error));
        return;
      case "counts":
        this.#counts = message.counts;
        return;
      case "error":
        this.#report(message);
        return;
      case "stopped":
        this.#counts = message.counts;
        this.#ended = { drained: message.drained, aborted: message.aborted };
        thread.terminate();
    }
  }

  #onExit(thread: Thread, cause: Error | undefined): void {
    if (thread !== this.#thread) return;
    this.#thread = null;
    const { onCrash } = this.#options;
    const error = new TrivetError("thread-crashed", "A thread with an event loop has ended.", { cause });
    this.#settleStart?.(new TrivetError("module-invalid", "A thread has ended while it loaded the module.", { cause }));
    this.#settleListen?.(error);
    if (this.#state === "stopping") {
      this.#end();
    } else if (this.#state === "listening") {
      onCrash(error);
      this.#startAnew();
    }
  }

  /** What the lost thread has counted is kept; its connections are gone. */
  #startAnew(): void {
    this.#countsBefore = addCounts(this.#countsBefore, { ...this.#counts, open: 0, activeExchanges: 0 });
    this.#counts = NO_COUNTS;
    this.#state = "starting";
    this.#timer = this.#options.runtime.clock.after(RESTART_DELAY_MS, () => {
      this.start().then(() => this.listen(this.#port)).catch(() => {
        if (this.#state === "starting" || this.#state === "loaded") this.#startAnew();
      });
    });
  }

  #end(): void {
    this.#state = "stopped";
    this.#stopTimer();
    this.#settleStop();
  }

  /** Calls the user's `onError` here, where the user has set it, and sends its response to the loop. */
  async #report({ reportId, error, request }: FromLoop & { kind: "error" }): Promise<void> {
    let response: ResponseCopy | null = null;
    try {
      const given = await this.#options.onError?.(
        restoreTrivetError(error),
        request === null ? undefined : restoreRequest(request),
      );
      if (given !== undefined) response = await copyResponse(given);
    } catch (thrown) {
      // The user's own report has failed; its cause is the user's to see, and the peer still gets a response.
      this.#options.runtime.host.printError(describeError(thrown));
    }
    this.#say({ kind: "response", reportId, response });
  }

  #stopTimer(): void {
    this.#timer?.cancel();
    this.#timer = null;
  }
}

function restoreRequest({ method, url, fields }: RequestCopy): Request {
  return new Request(url, { method, headers: fields.map(([name, value]) => [name, value]) });
}

async function copyResponse(response: Response): Promise<ResponseCopy> {
  const { status, statusText, fields: lines, content } = await readResponse(response);
  const fields: [string, string][] = [];
  for (let i = 0; i < lines.length; i += 2) fields.push([lines[i], lines[i + 1]]);
  const held = new (nativeResponse())(content as BodyInit | null);
  return { status, statusText, fields, content: content === null ? null : new Uint8Array(await held.arrayBuffer()) };
}
