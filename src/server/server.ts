/**
 * The server: its way from start to stop.
 *
 * It decides when the server listens, drains and is done. It must not know connections one by one, nor what a
 * concurrency model is made of.
 *
 * @module
 */

import { TrivetError } from "../api/errors.ts";
import { composeAuthority } from "../http/authority.ts";
import type { OpenConnections } from "./open_connections.ts";
import type { Server, ShutdownOptions, ShutdownReport } from "../api/server.ts";
import type { ResolvedOptions } from "../api/options.ts";
import type { Address, Listener, Runtime, Timer } from "../runtime.ts";
import type { Scheduler, StopCounts } from "../models/scheduler.ts";
import { SERVER_STATES } from "./server_state.ts";
import type { ServerState, ServerStats } from "../api/stats.ts";
import { collectStats } from "./collect_stats.ts";

/** The default of `shutdown`; a third of the 30 s Kubernetes waits before it kills. */
const DEFAULT_SHUTDOWN_TIMEOUT_MS = 10_000;
const MAX_TIMEOUT_MS = 2 ** 31 - 1;

/** One server over one listener. */
export class HttpServer implements Server {
  readonly #options: ResolvedOptions;
  readonly #runtime: Runtime;
  readonly #connections: OpenConnections;
  readonly #scheduler: Scheduler;
  readonly #startedAtMs: number;
  readonly #ready: Promise<Server>;
  readonly #finished: Promise<void>;
  readonly #onSignal = (): void => void this.shutdown().catch(ignore);
  #resolveFinished!: () => void;
  #rejectFinished!: (error: TrivetError) => void;
  #state: ServerState = SERVER_STATES.initial;
  /** Whether the server is still on its way to listening; it can be told to stop meanwhile. */
  #isStarting = true;
  #giveUpStart: () => void = () => {};
  #listener: Listener | null = null;
  #isReferenced = true;
  #stopBeganAtMs = 0;
  #stoppedAtMs = 0;
  /** Resolves when the port is free, where that takes a moment. */
  #released: Promise<void> | null = null;
  #openAtStop = 0;
  #aborted = 0;
  /** Connections of other event loops that have closed in order. */
  #drainedElsewhere = 0;
  #deadline: Timer | null = null;
  #deadlineAtMs = Infinity;

  /**
   * Begins to start.
   *
   * @param scheduler The concurrency model.
   * @param prepare What has to be done before anything else, such as loading the handler.
   */
  constructor(
    options: ResolvedOptions,
    runtime: Runtime,
    connections: OpenConnections,
    scheduler: Scheduler,
    prepare: (() => Promise<void>) | null,
  ) {
    this.#options = options;
    this.#runtime = runtime;
    this.#connections = connections;
    this.#scheduler = scheduler;
    this.#startedAtMs = runtime.clock.nowMs();
    this.#finished = new Promise((resolve, reject) => {
      this.#resolveFinished = resolve;
      this.#rejectFinished = reject;
    });
    this.#finished.catch(ignore);
    connections.onChange = () => this.#finishIfDone();
    this.#ready = this.#start(prepare);
    if (options.signal?.aborted === true) this.#onSignal();
    else options.signal?.addEventListener("abort", this.#onSignal, { once: true });
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
    this.#ready.catch(ignore);
    return this.#finished;
  }

  ready(): Promise<Server> {
    return this.#ready;
  }

  async shutdown(options: ShutdownOptions = {}): Promise<ShutdownReport> {
    const timeoutMs = options.timeout ?? DEFAULT_SHUTDOWN_TIMEOUT_MS;
    if (!Number.isInteger(timeoutMs) || timeoutMs < 0 || timeoutMs > MAX_TIMEOUT_MS) {
      throw new RangeError(`The timeout is ${timeoutMs}, allowed is a whole number from 0 to ${MAX_TIMEOUT_MS}.`);
    }
    this.#beginStop();
    this.#bringForwardDeadline(timeoutMs);
    return await this.#report();
  }

  async stop(): Promise<ShutdownReport> {
    this.#beginStop();
    this.#cutOff();
    return await this.#report();
  }

  stats(): ServerStats {
    const uptimeMs = Math.round(this.#runtime.clock.nowMs() - this.#startedAtMs);
    return collectStats(this.#state, this.#options.model, uptimeMs, this.#connections, this.#scheduler);
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
    await this.shutdown();
  }

  /** Without threads or a module to wait for it binds at once where the runtime can, and `addr` is there already. */
  #start(prepare: (() => Promise<void>) | null): Promise<Server> {
    const started = prepare === null
      ? this.#scheduler.start?.()
      : prepare().then(() => this.#state === "starting" ? this.#scheduler.start?.() : undefined);
    if (started === undefined) return this.#listen();
    // Nobody waits for a module that is still being loaded when the server is stopped.
    const gaveUp = new Promise<void>((resolve) => this.#giveUpStart = resolve);
    return Promise.race([started, gaveUp]).then(
      () => this.#state === "starting" ? this.#listen() : this.#startInVain(),
      (error) => this.#state === "starting" ? this.#failToStart(error) : this.#startInVain(),
    );
  }

  #listen(): Promise<Server> {
    const { hostname, port, unix, tcpBacklog, tls } = this.#options;
    const reusePort = this.#options.reusePort || this.#scheduler.sharesPort === true;
    let listening: Listener | Promise<Listener>;
    try {
      const where = { hostname, port, unixPath: unix, tcpBacklog, reusePort, tls };
      listening = this.#runtime.listen(where, this.#connections);
    } catch (cause) {
      return this.#failToListen(cause);
    }
    if (!(listening instanceof Promise)) return this.#takeListener(listening);
    return listening.then((listener) => this.#takeListener(listener), (cause) => this.#failToListen(cause));
  }

  #takeListener(listener: Listener): Promise<Server> {
    this.#listener = listener;
    if (!this.#isReferenced) listener.unref();
    if (this.#state !== "starting") {
      listener.close();
      return this.#startInVain();
    }
    const everywhere = this.#scheduler.listening?.(listener.address);
    if (everywhere === undefined) return this.#becomeListening();
    return everywhere.then(() => this.#becomeListening(), (error) => {
      listener.close();
      return this.#failToStart(error);
    });
  }

  #becomeListening(): Promise<Server> {
    if (this.#state !== "starting") return this.#startInVain();
    this.#isStarting = false;
    this.#enter("listening");
    const { onListen } = this.#options;
    if (onListen !== undefined) onListen(this.addr);
    else console.log(`Listening on ${this.url}`);
    return Promise.resolve(this);
  }

  /** The server was stopped before it could listen. */
  #startInVain(): Promise<Server> {
    this.#isStarting = false;
    this.#finishIfDone();
    return Promise.resolve(this);
  }

  #failToListen(cause: unknown): Promise<never> {
    const { hostname, port, unix } = this.#options;
    const where = unix ?? `${hostname}:${port}`;
    const reason = reasonOf(cause);
    return this.#failToStart(new TrivetError("listen-failed", `Can't listen at ${where}: ${reason}`, { cause }));
  }

  async #failToStart(error: TrivetError): Promise<never> {
    this.#isStarting = false;
    this.#options.signal?.removeEventListener("abort", this.#onSignal);
    this.#enter("joining");
    // Connections may have come already, when another event loop could not listen.
    this.#connections.abort(new TrivetError("shutdown-timeout", "The server could not start.", { cause: error }));
    await this.#scheduler.stop?.();
    this.#deadline?.cancel();
    this.#enter("stopped");
    this.#rejectFinished(error);
    throw error;
  }

  #beginStop(): void {
    if (this.#state !== "starting" && this.#state !== "listening") return;
    this.#enter("draining");
    this.#stopBeganAtMs = this.#runtime.clock.nowMs();
    this.#openAtStop = this.#connections.count;
    this.#options.signal?.removeEventListener("abort", this.#onSignal);
    this.#released = this.#listener?.close() ?? null;
    this.#connections.drain();
    this.#giveUpStart();
    this.#finishIfDone();
  }

  #bringForwardDeadline(timeoutMs: number): void {
    const { clock } = this.#runtime;
    const atMs = clock.nowMs() + timeoutMs;
    if (this.#state === "stopped" || atMs >= this.#deadlineAtMs) return;
    this.#deadline?.cancel();
    this.#deadlineAtMs = atMs;
    this.#deadline = clock.after(timeoutMs, () => this.#cutOff());
  }

  #cutOff(): void {
    const error = new TrivetError("shutdown-timeout", "The server has stopped before the exchange was complete.");
    this.#aborted += this.#connections.abort(error);
    this.#scheduler.cutOff?.();
  }

  #finishIfDone(): void {
    if (this.#state !== "draining" || this.#isStarting || this.#connections.count > 0) return;
    if (this.#released !== null) {
      // Whoever waits for the end may want to listen at the same port.
      this.#released.then(() => {
        this.#released = null;
        this.#finishIfDone();
      });
      return;
    }
    const drained = this.#scheduler.drained?.();
    if (drained === undefined) this.#join();
    else drained.then((elsewhere) => this.#join(elsewhere));
  }

  #join(elsewhere: StopCounts = { drained: 0, aborted: 0 }): void {
    // While others drained, a connection of this loop may have closed once more.
    if (this.#state !== "draining") return;
    this.#enter("joining");
    this.#drainedElsewhere = elsewhere.drained;
    this.#aborted += elsewhere.aborted;
    const stopping = this.#scheduler.stop?.();
    if (stopping === undefined) this.#finish();
    else stopping.then(() => this.#finish());
  }

  #finish(): void {
    this.#enter("stopped");
    this.#deadline?.cancel();
    this.#stoppedAtMs = this.#runtime.clock.nowMs();
    this.#resolveFinished();
  }

  #enter(state: ServerState): void {
    this.#state = SERVER_STATES.enter(this.#state, state);
  }

  async #report(): Promise<ShutdownReport> {
    await this.#finished;
    const abortedHere = Math.min(this.#aborted, this.#openAtStop);
    return {
      drained: this.#openAtStop - abortedHere + this.#drainedElsewhere,
      aborted: this.#aborted,
      durationMs: Math.round(this.#stoppedAtMs - this.#stopBeganAtMs),
    };
  }
}

/** An address at which every interface is meant can't be connected to by that name everywhere. */
function urlOf(address: Address, scheme: string): string {
  if (address.transport === "unix") return `${scheme}+unix://${encodeURIComponent(address.path)}/`;
  const isAny = address.hostname === "0.0.0.0" || address.hostname === "::";
  return `${scheme}://${composeAuthority(isAny ? "localhost" : address.hostname, address.port)}/`;
}

/** The runtime's own words; not every runtime names the code of the system's error in them. */
function reasonOf(cause: unknown): string {
  if (!(cause instanceof Error)) return String(cause);
  const { code } = cause as { code?: unknown };
  const isNamed = typeof code !== "string" || cause.message.includes(code);
  return isNamed ? cause.message : `${cause.message} (${code})`;
}

function ignore(): void {}
