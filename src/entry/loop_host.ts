/**
 * A server on a thread of its own, which shares the port with those of other threads: the thread's side.
 *
 * It decides what is told to the thread that has started it. It must not know that thread's server.
 *
 * @module
 */

import { createServer } from "../server/create_server.ts";
import type { TrivetError } from "../api/errors.ts";
import { THREAD_ENTRY } from "./thread_entry.ts";
import { loadHandlerModule } from "../server/load_handler.ts";
import type { ServeModule } from "../api/options.ts";
import type { ParentThread, Runtime } from "../runtime.ts";
import type { Server, ShutdownReport } from "../api/server.ts";
import type { ServerStats } from "../api/stats.ts";
import { copyError } from "../threads/error_copy.ts";
import {
  type FromLoop,
  type LoopCounts,
  type LoopOrders,
  NO_COUNTS,
  type RequestCopy,
  type ResponseCopy,
  type ToLoop,
} from "../models/loops/loop_protocol.ts";
import { HttpResponse } from "../web/http_response.ts";

/** How often counts are told, if they have changed. */
const COUNTS_INTERVAL_MS = 100;
/** The thread that has started this one says when the time of a graceful stop is over. */
const NO_TIMEOUT_MS = 2 ** 31 - 1;

/** One loop, on the thread's side. */
export class LoopHost {
  readonly #runtime: Runtime;
  readonly #parent: ParentThread;
  readonly #orders: LoopOrders;
  /** Who waits for what `onError` gives, by the number of the report. */
  readonly #reports = new Map<number, (response: ResponseCopy | null) => void>();
  #lastReportId = 0;
  #server: Server | null = null;
  #lastCounts = "";

  /**
   * @param runtime The runtime.
   * @param parent The thread that has started this one.
   * @param orders What it was told first.
   */
  constructor(runtime: Runtime, parent: ParentThread, orders: LoopOrders) {
    this.#runtime = runtime;
    this.#parent = parent;
    this.#orders = orders;
  }

  /** Loads the module, so that what is wrong with it is known before anybody listens. */
  async load(): Promise<void> {
    await loadHandlerModule(this.#runtime.host, String(this.#orders.options.module));
  }

  /** Takes a message. */
  take(received: unknown): void {
    const message = received as ToLoop;
    switch (message.kind) {
      case "listen":
        this.#listen(message.port);
        return;
      case "drain":
        this.#end(this.#server?.shutdown({ timeout: NO_TIMEOUT_MS }));
        return;
      case "cut-off":
        this.#server?.stop();
        return;
      case "response":
        this.#reports.get(message.reportId)?.(message.response);
        this.#reports.delete(message.reportId);
    }
  }

  async #listen(port: number): Promise<void> {
    const onError = (error: TrivetError, request?: Request): Promise<Response> => this.#report(error, request);
    const options: ServeModule = {
      ...this.#orders.options,
      port,
      onListen: () => {},
      ...(this.#orders.reportsErrors ? { onError } : {}),
    };
    try {
      const server = this.#server = createServer(this.#runtime, THREAD_ENTRY, options);
      await server.ready();
      this.#runtime.clock.every(COUNTS_INTERVAL_MS, () => this.#sayCounts());
      this.#say({ kind: "listening", error: null });
    } catch (error) {
      this.#say({ kind: "listening", error: copyError(error) });
    }
  }

  async #end(stopping: Promise<ShutdownReport> | undefined): Promise<void> {
    const nothing = { drained: 0, aborted: 0 };
    // A server that could not listen has nothing to report, and was reported itself.
    const { drained, aborted } = await stopping?.catch(() => nothing) ?? nothing;
    this.#say({ kind: "stopped", drained, aborted, counts: this.#counts() });
  }

  /** Has `onError` called where the user has set it. What it gives is sent in place of the standard response. */
  async #report(error: TrivetError, request: Request | undefined): Promise<Response> {
    const reportId = ++this.#lastReportId;
    const answered = new Promise<ResponseCopy | null>((resolve) => this.#reports.set(reportId, resolve));
    this.#say({ kind: "error", reportId, error: copyError(error), request: copyRequest(request) });
    const response = await answered;
    // A rejection says that there is none: then the peer gets the standard response.
    if (response === null) return Promise.reject(error);
    const { status, statusText, fields, content } = response;
    return new HttpResponse(content, { status, statusText, headers: fields.map(([name, value]) => [name, value]) });
  }

  #counts(): LoopCounts {
    return this.#server === null ? NO_COUNTS : toCounts(this.#server.stats());
  }

  #sayCounts(): void {
    const counts = this.#counts();
    const text = JSON.stringify(counts);
    if (text === this.#lastCounts) return;
    this.#lastCounts = text;
    this.#say({ kind: "counts", counts });
  }

  #say(message: FromLoop): void {
    this.#parent.post(message);
  }
}

function toCounts(stats: ServerStats): LoopCounts {
  const { requests, responses, activeExchanges, bytesReceived, bytesSent, errors } = stats;
  return { ...stats.connections, requests, responses, activeExchanges, bytesReceived, bytesSent, errors };
}

function copyRequest(request: Request | undefined): RequestCopy | null {
  if (request === undefined) return null;
  return { method: request.method, url: request.url, fields: [...request.headers] };
}
