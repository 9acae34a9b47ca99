/**
 * The server: its way from start to stop.
 *
 * It decides when the server listens, drains and is done. It must not know connections one by one, nor what a
 * concurrency model is made of.
 *
 * @module
 */

import { TrivetError } from "../api/errors.ts";
import { type ResolvedOptions, type ResolvedShutdown, resolveShutdown } from "../api/resolve_options.ts";
import { tellUser } from "../api/telling.ts";
import type { Publication } from "../exchange/publication.ts";
import type { Server, ShutdownOptions, ShutdownReport } from "../api/server.ts";
import { VERSION } from "../api/version.ts";
import { type MetricsFormat, writeMetrics } from "../observe/exposition.ts";
import type { Observation } from "./observation.ts";
import type { ServerStats } from "../api/stats.ts";
import type { Scheduler, StopCounts } from "../models/scheduler.ts";
import type { Address, Listener, Runtime, Timer, TransportEvents } from "../runtime.ts";
import { collectStats } from "./collect_stats.ts";
import type { Certificates } from "./certificates.ts";
import type { ConnectionServices } from "./connection_services.ts";
import { listenFailed, openListener, urlOf } from "./listening.ts";
import { type LocalClient, LocalConnection } from "./local/local_connection.ts";
import { fetchLocally, toRequest } from "./local/local_fetch.ts";
import { Patience } from "./patience.ts";
import type { Reports } from "./reports.ts";
import { SERVER_PHASES, type ServerPhase, SHOWN_STATES } from "./server_state.ts";

/** The end of a scope is no restart: what has nothing in flight is closed. */
const END_OF_SCOPE: ShutdownOptions = { delay: 0, closeIdle: true };
const AT_ONCE: ResolvedShutdown = { delayMs: 0, timeoutMs: 0, closesIdle: true };

/** What a path counts from, where the server has no URL that a request could have. */
const LOCAL_URL = "http://localhost/";

/** What a server is made of. */
export interface ServerParts {
  readonly options: ResolvedOptions;
  readonly runtime: Runtime;
  /** The concurrency model. */
  readonly scheduler: Scheduler;
  readonly services: ConnectionServices;
  readonly reports: Reports;
  readonly certificates: Certificates;
  /** Takes what the listener tells. */
  readonly events: TransportEvents;
  /** Takes what connections within the process tell, which begin with neither TLS nor the header of a proxy. */
  readonly localEvents: TransportEvents;
  /** What has to be done before anything else, such as loading the handler. */
  readonly prepare: (() => Promise<void>) | null;
  /** What is seen of its event loop. */
  readonly observation: Observation;
}

/** One server over one listener. */
export class HttpServer implements Server {
  readonly #options: ResolvedOptions;
  readonly #runtime: Runtime;
  readonly #services: ConnectionServices;
  readonly #certificates: Certificates;
  readonly #events: TransportEvents;
  readonly #localEvents: TransportEvents;
  readonly #scheduler: Scheduler;
  readonly #observation: Observation;
  readonly #startedAtMs: number;
  readonly #ready = new Settlement<Server>();
  readonly #finished = new Settlement<void>();
  readonly #onSignal = (): void => void this.shutdown().catch(ignore);
  #phase: ServerPhase = SERVER_PHASES.initial;
  #listener: Listener | null = null;
  #isReferenced = true;
  /** Resolves when the port is free, where that takes a moment. */
  #released: Promise<void> | void = undefined;
  readonly #patience: Patience;
  /** Ends the time in which a stop is only announced. */
  #announcement: Timer | null = null;
  #announcedUntilMs = Infinity;
  /** Why the server could not start. */
  #failure: TrivetError | null = null;
  #stopBeganAtMs = 0;
  #stoppedAtMs = 0;
  /** Connections that had been taken when the stop began and were closed already. */
  #closedAtStop = 0;
  #aborted = 0;
  /** How the connections of other event loops have ended. */
  #elsewhere: StopCounts = { drained: 0, aborted: 0 };

  /**
   * Begins to start.
   *
   * @param parts What it is made of.
   */
  constructor(parts: ServerParts) {
    const { options, runtime, scheduler, services, reports, certificates, events, localEvents, prepare, observation } =
      parts;
    this.#options = options;
    this.#runtime = runtime;
    this.#scheduler = scheduler;
    this.#services = services;
    this.#certificates = certificates;
    this.#events = events;
    this.#localEvents = localEvents;
    this.#observation = observation;
    this.#startedAtMs = runtime.clock.nowMs();
    this.#finished.promise.catch(ignore);
    this.#patience = new Patience(runtime.clock, (cause) => {
      reports.report(new TrivetError("internal-error", "A part of the server has not ended in order.", { cause }));
    });
    services.open.onClosed = () => this.#finishIfDone();
    if (options.signal?.aborted === true) {
      this.#onSignal();
    } else {
      options.signal?.addEventListener("abort", this.#onSignal, { once: true });
      this.#load(prepare);
    }
  }

  get addr(): Address {
    if (this.#listener !== null) return this.#listener.address;
    throw new TrivetError("not-listening", "The address is known when the server listens: await server.ready() first.");
  }

  get port(): number {
    const { addr } = this;
    return addr.transport === "tcp" ? addr.port : 0;
  }

  get url(): string {
    return urlOf(this.addr, this.#options.tls === undefined ? "http" : "https");
  }

  get finished(): Promise<void> {
    // Who waits for the end hears of a failed start there.
    this.#ready.promise.catch(ignore);
    return this.#finished.promise;
  }

  ready(): Promise<Server> {
    return this.#ready.promise;
  }

  async shutdown(options: ShutdownOptions = {}): Promise<ShutdownReport> {
    const how = resolveShutdown(options, this.#options);
    this.#beginStop(how);
    const delayMs = this.#phase === "announcing" ? how.delayMs : 0;
    if (!this.#hasEnded) {
      this.#patience.bringForward(this.#runtime.clock.nowMs() + delayMs + how.timeoutMs, () => this.#cutOff());
    }
    return await this.#report();
  }

  async stop(): Promise<ShutdownReport> {
    this.#cutOff();
    return await this.#report();
  }

  async reloadTls(): Promise<boolean> {
    if (this.#options.tls === undefined) throw new TypeError("The server has no certificates: it has no option tls.");
    return await this.#certificates.reload();
  }

  stats(): ServerStats {
    const uptimeMs = Math.round(this.#runtime.clock.nowMs() - this.#startedAtMs);
    const state = SHOWN_STATES[this.#phase];
    const { droppedLines } = this.#runtime.host;
    const { model } = this.#options;
    const measured = this.#observation.measured();
    return collectStats(state, model, uptimeMs, this.#services, this.#scheduler, droppedLines, measured);
  }

  /** Is no method, so that it can be handed to whatever wants a `fetch`. */
  readonly fetch = async (input: string | URL | Request, init?: RequestInit): Promise<Response> => {
    await this.ready();
    const base = this.addr.transport === "tcp" ? this.url : LOCAL_URL;
    return await fetchLocally(toRequest(input, init, base), this.#runtime, (client) => this.#connect(client));
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
    return await writeMetrics(stats, stats.measured, { version: VERSION, runtime }, format);
  }

  ref(): void {
    this.#isReferenced = true;
    this.#listener?.ref();
  }

  unref(): void {
    this.#isReferenced = false;
    this.#listener?.unref();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.shutdown(END_OF_SCOPE);
  }

  /** Opens no connection that would never be served. */
  #connect(client: LocalClient): LocalConnection {
    if (this.#phase !== "listening" && this.#phase !== "announcing" && this.#phase !== "emptying") {
      throw new TrivetError("draining", "server.fetch() came after the server had begun to stop.");
    }
    return new LocalConnection(this.#localEvents, client, this.addr, this.#runtime.clock.defer);
  }

  // The start.

  /** Without threads or a module to wait for it binds at once where the runtime can, and `addr` is there already. */
  #load(prepare: (() => Promise<void>) | null): void {
    const startModel = (): Promise<void> | void => {
      // A server that was stopped while its module was loaded has no use for threads.
      if (this.#phase === "loading") return this.#scheduler.start?.();
    };
    const loaded = prepare === null ? startModel() : prepare().then(startModel);
    if (loaded === undefined) this.#bind();
    else loaded.then(() => this.#bind(), (error) => this.#fail(error));
  }

  #bind(): void {
    if (this.#phase !== "loading") return;
    this.#enter("binding");
    let bound: Listener | Promise<Listener>;
    try {
      bound = openListener(this.#options, this.#runtime, this.#events, this.#scheduler.sharesPort === true);
    } catch (cause) {
      this.#failToBind(cause);
      return;
    }
    if (bound instanceof Promise) bound.then((listener) => this.#take(listener), (cause) => this.#failToBind(cause));
    else this.#take(bound);
  }

  #take(listener: Listener): void {
    this.#listener = listener;
    if (!this.#isReferenced) listener.unref();
    if (this.#phase !== "binding") {
      this.#released = listener.close();
      this.#withdraw();
      return;
    }
    const everywhere = this.#scheduler.listening?.(listener.address);
    if (everywhere === undefined) {
      this.#listen();
      return;
    }
    this.#enter("spreading");
    everywhere.then(() => this.#listen(), (error) => this.#fail(error));
  }

  #listen(): void {
    if (this.#phase !== "binding" && this.#phase !== "spreading") return;
    this.#enter("listening");
    this.#certificates.use(this.#listener!, this.#options.tlsWatch);
    this.#ready.resolve(this);
    const { onListen } = this.#options;
    const { host } = this.#runtime;
    if (onListen === undefined) host.print(`Listening on ${this.url}`);
    else tellUser(host, () => onListen(this.addr));
  }

  #failToBind(cause: unknown): void {
    if (this.#phase === "binding") this.#fail(listenFailed(this.#options, cause));
    else this.#withdraw();
  }

  #fail(cause: unknown): void {
    // A start that was given up may fail as it likes.
    if (this.#isEnding) return;
    this.#enter("failing");
    const error = cause instanceof TrivetError
      ? cause
      : new TrivetError("internal-error", "The server could not start.", { cause });
    this.#failure = error;
    this.#ignoreSignal();
    this.#services.announce();
    this.#closeListener();
    this.#services.drain();
    // Connections may have come already, when another event loop could not listen.
    this.#services.open.abort(new TrivetError("shutdown-timeout", "The server could not start.", { cause: error }));
    this.#patience.giveUpSoon();
    this.#patience.follow([this.#released, this.#scheduler.stop?.(), this.#observation.end()], () => {
      this.#finish();
    });
  }

  // The stop: first it is only announced, then the system's queue is emptied, then what is open is served to its end.

  #beginStop(how: ResolvedShutdown): void {
    const isServing = this.#phase === "listening" || this.#phase === "announcing";
    if (how.closesIdle) this.#services.closeIdle();
    if (isServing || !this.#isEnding) {
      this.#services.announce();
      this.#scheduler.announce?.(how);
    }
    if (!this.#isEnding) this.#noteStop();
    if (!isServing) this.#abandonStart();
    else if (how.delayMs === 0) this.#empty();
    else this.#announceUntil(this.#runtime.clock.nowMs() + how.delayMs);
  }

  #noteStop(): void {
    this.#ignoreSignal();
    const { open, admission } = this.#services;
    this.#stopBeganAtMs = this.#runtime.clock.nowMs();
    this.#closedAtStop = admission.takenCount - open.servedCount;
  }

  /** A server that is stopped before it listens has nothing to announce. */
  #abandonStart(): void {
    if (this.#isEnding) return;
    const isBinding = this.#phase === "binding";
    this.#enter(isBinding ? "withdrawing" : "draining");
    if (isBinding) this.#patience.await(() => this.#withdraw());
    this.#closeListener();
    this.#drain();
  }

  /** Load balancers and clients are told; everything is accepted and answered until then. */
  #announceUntil(untilMs: number): void {
    if (this.#phase === "listening") this.#enter("announcing");
    if (untilMs >= this.#announcedUntilMs) return;
    this.#announcement?.cancel();
    this.#announcedUntilMs = untilMs;
    const { clock } = this.#runtime;
    this.#announcement = clock.after(untilMs - clock.nowMs(), () => this.#empty());
  }

  /** Nothing that a client was told is accepted is lost: the listener closes when the system's queue is empty. */
  #empty(): void {
    this.#announcement?.cancel();
    this.#enter("emptying");
    const go = (): void => {
      if (this.#phase !== "emptying") return;
      this.#enter("draining");
      this.#drain();
    };
    this.#certificates.stop();
    const emptied = this.#released = this.#listener!.closeWhenEmpty();
    if (emptied === undefined) go();
    else emptied.then(go, go);
  }

  #drain(): void {
    this.#services.drain();
    // Handlers run within this call, and may do what they like, such as stopping the server at once.
    this.#services.drainSignal.begin();
    this.#finishIfDone();
  }

  /** Whatever the phase, nothing new is taken any more. */
  #stopTaking(): void {
    if (SHOWN_STATES[this.#phase] === "starting") this.#beginStop(AT_ONCE);
    if (this.#phase !== "listening" && this.#phase !== "announcing" && this.#phase !== "emptying") return;
    if (this.#phase === "listening") this.#noteStop();
    this.#announcement?.cancel();
    this.#enter("draining");
    this.#services.announce();
    this.#closeListener();
    this.#drain();
  }

  #closeListener(): void {
    this.#certificates.stop();
    this.#released = this.#listener?.close();
  }

  #ignoreSignal(): void {
    this.#options.signal?.removeEventListener("abort", this.#onSignal);
  }

  #cutOff(): void {
    this.#stopTaking();
    if (this.#patience.isOver || this.#hasEnded) return;
    const error = new TrivetError("shutdown-timeout", "The server has stopped before the exchange was complete.");
    this.#patience.giveUpSoon();
    this.#aborted += this.#services.open.abort(error);
    this.#scheduler.cutOff?.();
  }

  #withdraw(): void {
    if (this.#phase !== "withdrawing") return;
    this.#enter("draining");
    this.#finishIfDone();
  }

  #finishIfDone(): void {
    if (this.#phase !== "draining" || this.#services.open.count > 0) return;
    this.#enter("settling");
    const drained = this.#scheduler.drained?.().then((elsewhere) => void (this.#elsewhere = elsewhere));
    // Who waits for the end may want to listen at the same port.
    this.#patience.follow([this.#released, drained], () => this.#join());
  }

  #join(): void {
    if (this.#phase !== "settling") return;
    this.#enter("joining");
    // A connection can have been accepted while the port was given back.
    this.#aborted += this.#services.open.abort(new TrivetError("draining", "The server has stopped."));
    this.#patience.giveUpSoon();
    this.#patience.follow([this.#scheduler.stop?.(), this.#observation.end()], () => this.#finish());
  }

  #finish(): void {
    if (this.#phase !== "joining" && this.#phase !== "failing") return;
    this.#enter(this.#phase === "joining" ? "stopped" : "failed");
    this.#patience.end();
    this.#stoppedAtMs = this.#runtime.clock.nowMs();
    if (this.#failure === null) {
      // Of a server that was stopped before it could listen, this is the first that is heard.
      this.#ready.resolve(this);
      this.#finished.resolve();
    } else {
      this.#ready.reject(this.#failure);
      this.#finished.reject(this.#failure);
    }
  }

  get #isEnding(): boolean {
    return SHOWN_STATES[this.#phase] !== "starting" && this.#phase !== "listening";
  }

  get #hasEnded(): boolean {
    return SHOWN_STATES[this.#phase] === "stopped";
  }

  #enter(phase: ServerPhase): void {
    this.#phase = SERVER_PHASES.enter(this.#phase, phase);
  }

  async #report(): Promise<ShutdownReport> {
    await this.#finished.promise;
    const { drained, aborted } = this.#elsewhere;
    return {
      drained: this.#services.admission.takenCount - this.#closedAtStop - this.#aborted + drained,
      aborted: this.#aborted + aborted,
      durationMs: Math.round(this.#stoppedAtMs - this.#stopBeganAtMs),
    };
  }
}

/** A promise that its owner settles. */
class Settlement<T> {
  resolve!: (value: T) => void;
  reject!: (error: unknown) => void;
  readonly promise: Promise<T> = new Promise<T>((resolve, reject) => {
    this.resolve = resolve;
    this.reject = reject;
  });
}

function ignore(): void {}
