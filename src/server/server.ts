/**
 * The server as users have it.
 *
 * It decides what they are shown of it, and passes on what they ask of it. It must not know how it starts and stops
 * (`lifetime.ts`), nor what a concurrency model is made of.
 *
 * @module
 */

import { TrivetError } from "../api/errors.ts";
import { type ResolvedOptions, resolveShutdown } from "../api/resolve_options.ts";
import type { Server, ShutdownOptions, ShutdownReport } from "../api/server.ts";
import type { ServerStats } from "../api/stats.ts";
import { VERSION } from "../api/version.ts";
import type { Publication } from "../exchange/publication.ts";
import type { Scheduler } from "../models/scheduler.ts";
import type { MetricsFormat } from "../observe/exposition.ts";
import type { Runtime } from "../runtime.ts";
import type { Address, TransportEvents } from "../transport.ts";
import type { Certificates } from "./certificates.ts";
import { collectStats } from "./collect_stats.ts";
import type { ConnectionServices } from "./connection_services.ts";
import { Lifetime, type LifetimeParts } from "./lifetime.ts";
import { urlOf } from "./listening.ts";
import type { LocalPlace } from "./local/local_fetch.ts";
import type { Observation } from "./observation.ts";
import { SHOWN_STATES } from "./server_state.ts";

/** The end of a scope is no restart: what has nothing in flight is closed. */
const END_OF_SCOPE: ShutdownOptions = { delay: 0, closeIdle: true };
/** What a path counts from, where the server has no URL that a request could have. */
const LOCAL_URL = "http://localhost/";

const NO_ADDRESS = "The address is known when the server listens: await server.ready() first. " +
  "A server that was stopped before that has none.";

/** What a server is made of. */
export interface ServerParts extends LifetimeParts {
  /** Takes what connections within the process tell, which begin with neither TLS nor the header of a proxy. */
  readonly localEvents: TransportEvents;
}

/** One server over one listener. */
export class HttpServer implements Server {
  readonly #options: ResolvedOptions;
  readonly #runtime: Runtime;
  readonly #services: ConnectionServices;
  readonly #certificates: Certificates;
  readonly #localEvents: TransportEvents;
  readonly #scheduler: Scheduler;
  readonly #observation: Observation;
  readonly #startedAtMs: number;
  readonly #lifetime: Lifetime;
  readonly #ready: Promise<Server>;

  /**
   * Begins to start.
   *
   * @param parts What it is made of.
   */
  constructor(parts: ServerParts) {
    this.#options = parts.options;
    this.#runtime = parts.runtime;
    this.#services = parts.services;
    this.#certificates = parts.certificates;
    this.#localEvents = parts.localEvents;
    this.#scheduler = parts.scheduler;
    this.#observation = parts.observation;
    this.#startedAtMs = parts.runtime.clock.nowMs();
    this.#lifetime = new Lifetime(parts, () => void this.shutdown().catch(ignore));
    this.#ready = this.#lifetime.ready.then(() => this);
    this.#lifetime.begin(parts.prepare);
  }

  get addr(): Address {
    const { address } = this.#lifetime;
    if (address !== null) return address;
    throw new TrivetError("not-listening", NO_ADDRESS);
  }

  get port(): number {
    const { addr } = this;
    return addr.transport === "tcp" ? addr.port : 0;
  }

  get url(): string {
    return urlOf(this.addr, this.#options.tls);
  }

  get finished(): Promise<void> {
    // `finished` rejects for a failed start too, so that `ready` need not be looked at.
    this.#ready.catch(ignore);
    return this.#lifetime.finished;
  }

  ready(): Promise<Server> {
    return this.#ready;
  }

  async shutdown(options?: ShutdownOptions): Promise<ShutdownReport> {
    return await this.#lifetime.shutdown(resolveShutdown(options, this.#options));
  }

  async stop(): Promise<ShutdownReport> {
    return await this.#lifetime.stop();
  }

  /** Gives its place to another server. Resolves when that can listen there, or returns when it can now. */
  giveWay(): Promise<void> | void {
    return this.#lifetime.giveWay();
  }

  async reloadTls(): Promise<boolean> {
    if (this.#options.tls === undefined) throw new TypeError("The server has no certificates: it has no option tls.");
    return await this.#certificates.reload();
  }

  stats(): ServerStats {
    const uptimeMs = Math.round(this.#runtime.clock.nowMs() - this.#startedAtMs);
    const state = SHOWN_STATES[this.#lifetime.phase];
    const { droppedLines } = this.#runtime.host;
    const { model } = this.#options;
    const measured = this.#observation.measured();
    return collectStats(state, model, uptimeMs, this.#services, this.#scheduler, droppedLines, measured);
  }

  /** Is no method, so that it can be handed to whatever wants a `fetch`. */
  readonly fetch = async (input: string | URL | Request, init?: RequestInit): Promise<Response> => {
    await this.ready();
    // A server that was stopped before it could listen has no address.
    const base = this.#lifetime.address?.transport === "tcp" ? this.url : LOCAL_URL;
    const { fetchLocally, toRequest } = await import("./local/local_fetch.ts");
    return await fetchLocally(toRequest(input, init, base), this.#runtime, () => this.#localPlace());
  };

  publish(topic: string, message: string | ArrayBufferLike | ArrayBufferView): void {
    this.#services.webSockets.publish(topic, message);
  }

  /** Gives what was published on another thread to the WebSockets of this one. */
  deliver(publication: Publication): void {
    this.#services.webSockets.deliver(publication);
  }

  /** Is told what is published here, where this server is one of several loops. */
  set onPublished(callback: (publication: Publication) => void) {
    this.#services.onPublished = callback;
  }

  async metrics(format: MetricsFormat = "prometheus"): Promise<string> {
    const stats = this.stats();
    if (stats.measured === null) {
      throw new TypeError("Nothing was measured: metrics() needs a server with the option metrics: true.");
    }
    const { name: runtime } = this.#runtime;
    const { writeMetrics } = await import("../observe/exposition.ts");
    return await writeMetrics(stats, stats.measured, { version: VERSION, runtime }, format);
  }

  ref(): void {
    this.#lifetime.reference(true);
  }

  unref(): void {
    this.#lifetime.reference(false);
  }

  /**
   * That it could not start is what `ready()` tells: told here too it would hide the error that has ended the scope.
   */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.shutdown(END_OF_SCOPE).catch((error) => {
      if (this.#lifetime.phase !== "failed") throw error;
    });
  }

  /** Where a connection within the process is made, unless it would never be served. */
  #localPlace(): LocalPlace {
    if (!this.#lifetime.takesConnections) {
      throw new TrivetError("draining", "server.fetch() came after the server had begun to stop.");
    }
    return { events: this.#localEvents, address: this.addr };
  }
}

function ignore(): void {}
