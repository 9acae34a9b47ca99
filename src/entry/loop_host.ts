/**
 * A server on a thread of its own, which shares the port with those of other threads: the thread's side.
 *
 * It decides what is told to the thread that has started it. It must not know that thread's server.
 *
 * @module
 */

import { createServer } from "../server/create_server.ts";
import type { AccessLogEntry } from "../api/access_log.ts";
import { TrivetError } from "../api/errors.ts";
import { THREAD_ENTRY } from "./thread_entry.ts";
import { loadHandlerModule } from "../server/load_handler.ts";
import type { ServeModule } from "../api/options.ts";
import { isPublicationBatch, PublicationLink } from "../exchange/publication.ts";
import type { ParentThread, Runtime } from "../runtime.ts";
import type { HttpServer } from "../server/server.ts";
import type { ServerStats } from "../api/stats.ts";
import { copyRequest } from "../models/loops/error_reports.ts";
import { StateTable } from "../states.ts";
import { copyError } from "../threads/error_copy.ts";
import {
  type Announcement,
  type FromLoop,
  type LoopCounts,
  type LoopOrders,
  NO_COUNTS,
  type ResponseCopy,
  type ToLoop,
} from "../models/loops/loop_protocol.ts";
import type { StopCounts } from "../models/scheduler.ts";
import { HttpResponse } from "../web/http_response.ts";

/** How often counts are told, if they have changed. */
const COUNTS_INTERVAL_MS = 100;
/** The thread that has started this one says when the time of a graceful stop is over. */
const NO_TIMEOUT_MS = 2 ** 31 - 1;
/** Requests that may be told and not heard of; further ones are dropped, as lines are that an output does not take. */
const MAX_UNHEARD = 10_000;

const NOTHING: StopCounts = { drained: 0, aborted: 0 };

/** How far a loop has come, on its own thread. */
export type LoopHostState = "waiting" | "serving" | "draining" | "ended";

/** The states of a loop on its own thread. */
export const LOOP_HOST_STATES: StateTable<LoopHostState> = new StateTable<LoopHostState>(
  "a loop on its thread",
  "waiting",
  {
    waiting: { serving: "it is told to listen", draining: "it is told to drain before that" },
    serving: { draining: "it is told to drain" },
    draining: { ended: "its last connection is closed" },
    ended: {},
  },
);

/** One loop, on the thread's side. */
export class LoopHost {
  readonly #runtime: Runtime;
  readonly #parent: ParentThread;
  readonly #orders: LoopOrders;
  /** Takes what `onError` gives, by the number of the report. */
  readonly #reports = new Map<number, (response: ResponseCopy | null) => void>();
  #lastReportId = 0;
  #state: LoopHostState = LOOP_HOST_STATES.initial;
  #server: HttpServer | null = null;
  readonly #publications: PublicationLink;
  #lastCounts = "";
  /** Requests that this turn has brought, where they are told. */
  #requests: AccessLogEntry[] = [];
  #unheard = 0;
  #droppedRequests = 0;

  /**
   * @param runtime The runtime.
   * @param parent The thread that has started this one.
   * @param orders What it was told first.
   */
  constructor(runtime: Runtime, parent: ParentThread, orders: LoopOrders) {
    this.#runtime = runtime;
    this.#parent = parent;
    this.#orders = orders;
    this.#publications = new PublicationLink(
      runtime.clock.defer,
      (batch) => parent.post(batch),
      (error) => this.#say({ kind: "loose-error", error: copyError(error) }),
    );
  }

  /** Loads the module, so that what is wrong with it is known before the port is opened. */
  async load(): Promise<void> {
    await loadHandlerModule(this.#runtime, String(this.#orders.options.module));
  }

  /** Tells of a promise that was rejected and that nothing has handled: a fault of the handler that ends no thread. */
  reportRejection(cause: unknown): void {
    const error = new TrivetError(
      "unhandled-rejection",
      "A promise was rejected on a loop, and nothing has handled it.",
      {
        cause,
      },
    );
    this.#say({ kind: "loose-error", error: copyError(error) });
  }

  /** Takes a message. */
  take(received: unknown): void {
    if (isPublicationBatch(received)) {
      this.#publications.take(received, (publication) => this.#server?.deliver(publication));
      return;
    }
    const message = received as ToLoop;
    switch (message.kind) {
      case "listen":
        if (this.#state !== "waiting") return;
        this.#enter("serving");
        this.#listen(message.port);
        return;
      case "reload-tls":
        this.#reloadTls();
        return;
      case "drain":
        if (this.#state === "ended") return;
        if (this.#state === "draining") {
          this.#shutDown(message);
          return;
        }
        this.#enter("draining");
        this.#drain(message);
        return;
      case "cut-off":
        // A server that could not listen was reported itself.
        this.#server?.stop().catch(() => {});
        return;
      case "requests-heard":
        this.#unheard -= message.count;
        return;
      case "response":
        this.#reports.get(message.reportId)?.(message.response);
        this.#reports.delete(message.reportId);
    }
  }

  async #reloadTls(): Promise<void> {
    try {
      await this.#server?.reloadTls();
      this.#say({ kind: "tls-reloaded", error: null });
    } catch (error) {
      this.#say({ kind: "tls-reloaded", error: copyError(error) });
    }
  }

  async #listen(port: number): Promise<void> {
    const onError = (error: TrivetError, request?: Request): Promise<Response> => this.#report(error, request);
    const options: ServeModule = {
      ...this.#orders.options,
      port,
      onListen: () => {},
      ...(this.#orders.reportsErrors ? { onError } : {}),
      ...(this.#orders.tellsRequests ? { accessLog: (entry) => this.#tellRequest(entry) } : {}),
    };
    try {
      const server = this.#server = createServer(this.#runtime, THREAD_ENTRY, options);
      server.onPublished = (publication) => this.#publications.tell(publication);
      await server.ready();
      this.#runtime.clock.every(COUNTS_INTERVAL_MS, () => this.#sayCounts());
      this.#say({ kind: "listening", error: null });
    } catch (error) {
      this.#say({ kind: "listening", error: copyError(error) });
    }
  }

  async #drain(how: Announcement): Promise<void> {
    const { drained, aborted } = await this.#shutDown(how);
    this.#enter("ended");
    this.#sayRequests();
    this.#say({ kind: "stopped", drained, aborted, counts: this.#counts() });
  }

  async #shutDown({ delayMs: delay, closesIdle: closeIdle }: Announcement): Promise<StopCounts> {
    try {
      return await this.#server?.shutdown({ delay, timeout: NO_TIMEOUT_MS, closeIdle }) ?? NOTHING;
    } catch {
      // A server that could not listen has nothing to report, and was reported itself.
      return NOTHING;
    }
  }

  /** Has `onError` called where the user has set it. What it gives is sent in place of the standard response. */
  async #report(error: TrivetError, request: Request | undefined): Promise<Response> {
    const reportId = ++this.#lastReportId;
    const answered = new Promise<ResponseCopy | null>((resolve) => this.#reports.set(reportId, resolve));
    this.#say({ kind: "error", reportId, error: copyError(error), request: copyRequest(request) });
    const response = await answered;
    // A rejection says that onError gave no response: the client gets the standard one.
    if (response === null) return Promise.reject(error);
    const { status, statusText, fields, content } = response;
    return new HttpResponse(content, { status, statusText, headers: fields.map(([name, value]) => [name, value]) });
  }

  #tellRequest(entry: AccessLogEntry): void {
    if (this.#unheard >= MAX_UNHEARD) {
      this.#droppedRequests++;
      return;
    }
    this.#unheard++;
    if (this.#requests.push(entry) === 1) this.#runtime.clock.defer(() => this.#sayRequests());
  }

  #sayRequests(): void {
    const entries = this.#requests;
    if (entries.length === 0) return;
    this.#requests = [];
    this.#say({ kind: "requests", entries });
  }

  #counts(): LoopCounts {
    return this.#server === null ? NO_COUNTS : toCounts(this.#server.stats(), this.#droppedRequests);
  }

  #sayCounts(): void {
    const counts = this.#counts();
    const text = JSON.stringify(counts);
    if (text === this.#lastCounts) return;
    this.#lastCounts = text;
    this.#say({ kind: "counts", counts });
  }

  #enter(state: LoopHostState): void {
    this.#state = LOOP_HOST_STATES.enter(this.#state, state);
  }

  #say(message: FromLoop): void {
    this.#parent.post(message);
  }
}

function toCounts(stats: ServerStats, droppedRequests: number): LoopCounts {
  const { requests, responses, activeExchanges, webSockets, bytesReceived, bytesSent, errors } = stats;
  return {
    ...stats.connections,
    openSockets: webSockets.open,
    requests,
    responses,
    activeExchanges,
    bytesReceived,
    bytesSent,
    errors,
    droppedLines: stats.droppedLines + droppedRequests,
    measured: stats.measured,
  };
}
