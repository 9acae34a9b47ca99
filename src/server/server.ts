/**
 * The server: its way from start to stop.
 *
 * It decides when the server listens, drains and is done. It must not know connections one by one, nor what a
 * concurrency model is made of.
 *
 * @module
 */

import { TrivetError } from "../api/errors.ts";
import { tellUser } from "../api/telling.ts";
import { composeAuthority } from "../http/authority.ts";
import type { ConnectionServices } from "./connection_services.ts";
import type { Reports } from "./reports.ts";
import type { Publication } from "../exchange/publication.ts";
import type { Server, ShutdownOptions, ShutdownReport } from "../api/server.ts";
import type { ResolvedOptions } from "../api/resolve_options.ts";
import type { Address, Listener, ListenOptions, Runtime, Timer, TransportEvents } from "../runtime.ts";
import type { Scheduler } from "../models/scheduler.ts";
import { SERVER_PHASES, type ServerPhase, SHOWN_STATES } from "./server_state.ts";
import type { ServerStats } from "../api/stats.ts";
import { collectStats } from "./collect_stats.ts";

/** The default of `shutdown`; a third of the 30 s Kubernetes waits before it kills. */
const DEFAULT_SHUTDOWN_TIMEOUT_MS = 10_000;
const MAX_TIMEOUT_MS = 2 ** 31 - 1;
/**
 * How long a stop waits for what should end by itself once everything was cut off: the port, other loops, threads. Each
 * of them has a shorter deadline of its own; this one makes sure that a stop ends whatever becomes of them.
 */
const PATIENCE_MS = 3_000;

/** What a server is made of. */
export interface ServerParts {
  readonly options: ResolvedOptions;
  readonly runtime: Runtime;
  /** The concurrency model. */
  readonly scheduler: Scheduler;
  readonly services: ConnectionServices;
  readonly reports: Reports;
  /** Takes what the listener tells. */
  readonly events: TransportEvents;
  /** What has to be done before anything else, such as loading the handler. */
  readonly prepare: (() => Promise<void>) | null;
  /** Resolves when what was observed has left, soon at the latest. */
  readonly flushed?: (() => Promise<void>) | null;
}

/** One server over one listener. */
export class HttpServer implements Server {
  readonly #options: ResolvedOptions;
  readonly #runtime: Runtime;
  readonly #services: ConnectionServices;
  readonly #reports: Reports;
  readonly #events: TransportEvents;
  readonly #scheduler: Scheduler;
  readonly #flushed: (() => Promise<void>) | null;
  readonly #startedAtMs: number;
  readonly #ready = new Settlement<Server>();
  readonly #finished = new Settlement<void>();
  readonly #onSignal = (): void => void this.shutdown().catch(ignore);
  #phase: ServerPhase = SERVER_PHASES.initial;
  #listener: Listener | null = null;
  #isReferenced = true;
  /** Resolves when the port is free, where that takes a moment. */
  #released: Promise<void> | void = undefined;
  /** Leaves the present phase, which waits for something, without it. */
  #goOn: () => void = () => {};
  /** Why the server could not start. */
  #failure: TrivetError | null = null;
  #stopBeganAtMs = 0;
  #stoppedAtMs = 0;
  #openAtStop = 0;
  #aborted = 0;
  /** Connections of other event loops that have closed in order. */
  #drainedElsewhere = 0;
  /** When what is open is cut off, and after that, when what does not end is given up. */
  #deadline: Timer | null = null;
  #deadlineAtMs = Infinity;
  #wasCutOff = false;

  /**
   * Begins to start.
   *
   * @param parts What it is made of.
   */
  constructor(parts: ServerParts) {
    const { options, runtime, scheduler, services, reports, events, prepare, flushed = null } = parts;
    this.#options = options;
    this.#runtime = runtime;
    this.#scheduler = scheduler;
    this.#services = services;
    this.#reports = reports;
    this.#events = events;
    this.#flushed = flushed;
    this.#startedAtMs = runtime.clock.nowMs();
    this.#finished.promise.catch(ignore);
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
    const state = SHOWN_STATES[this.#phase];
    const { droppedLines } = this.#runtime.host;
    return collectStats(state, this.#options.model, uptimeMs, this.#services, this.#scheduler, droppedLines);
  }

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
      bound = this.#openListener();
    } catch (cause) {
      this.#failToBind(cause);
      return;
    }
    if (bound instanceof Promise) bound.then((listener) => this.#take(listener), (cause) => this.#failToBind(cause));
    else this.#take(bound);
  }

  #openListener(): Listener | Promise<Listener> {
    const { hostname, port, unix: unixPath, tcpBacklog, tls } = this.#options;
    const isShared = this.#scheduler.sharesPort === true;
    const where = { hostname, port, unixPath, tcpBacklog, reusePort: this.#options.reusePort || isShared, tls };
    const listen = (): Listener | Promise<Listener> => this.#runtime.listen(where, this.#events);
    // Loops share the port with each other, and with another server only if that was asked for. A socket that may share
    // its port does not notice who else does; one that may not fails then.
    if (!isShared || this.#options.reusePort || port === 0) return listen();
    return probe(this.#runtime, { ...where, reusePort: false, tls: undefined }).then(listen);
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
    this.#ready.resolve(this);
    const { onListen } = this.#options;
    const { host } = this.#runtime;
    if (onListen === undefined) host.print(`Listening on ${this.url}`);
    else tellUser(host, () => onListen(this.addr));
  }

  #failToBind(cause: unknown): void {
    if (this.#phase !== "binding") {
      this.#withdraw();
      return;
    }
    const { hostname, port, unix } = this.#options;
    const where = unix ?? `${hostname}:${port}`;
    this.#fail(new TrivetError("listen-failed", `Can't listen at ${where}: ${reasonOf(cause)}`, { cause }));
  }

  #fail(cause: unknown): void {
    // A start that was given up may fail as it likes.
    if (this.#isEnding) return;
    this.#enter("failing");
    const error = cause instanceof TrivetError
      ? cause
      : new TrivetError("internal-error", "The server could not start.", { cause });
    this.#failure = error;
    this.#leaveListening();
    // Connections may have come already, when another event loop could not listen.
    this.#services.open.abort(new TrivetError("shutdown-timeout", "The server could not start.", { cause: error }));
    this.#giveUpAfterPatience();
    this.#follow([this.#released, this.#scheduler.stop?.()], () => this.#finish());
  }

  // The stop.

  #beginStop(): void {
    if (this.#isEnding) return;
    this.#enter(this.#phase === "binding" ? "withdrawing" : "draining");
    this.#stopBeganAtMs = this.#runtime.clock.nowMs();
    this.#leaveListening();
    // Those that only wait to be told that they were refused are neither drained nor aborted.
    this.#openAtStop = this.#services.open.servedCount;
    if (this.#phase === "withdrawing") this.#goOn = () => this.#withdraw();
    // Handlers run within this call, and may do what they like, such as stopping the server at once.
    this.#services.drainSignal.begin();
    this.#finishIfDone();
  }

  #leaveListening(): void {
    this.#options.signal?.removeEventListener("abort", this.#onSignal);
    this.#released = this.#listener?.close();
    this.#services.drain();
  }

  #bringForwardDeadline(timeoutMs: number): void {
    const atMs = this.#runtime.clock.nowMs() + timeoutMs;
    if (this.#wasCutOff || this.#hasEnded || atMs >= this.#deadlineAtMs) return;
    this.#deadline?.cancel();
    this.#deadlineAtMs = atMs;
    this.#deadline = this.#runtime.clock.after(timeoutMs, () => this.#cutOff());
  }

  #cutOff(): void {
    if (this.#wasCutOff || this.#hasEnded) return;
    const error = new TrivetError("shutdown-timeout", "The server has stopped before the exchange was complete.");
    this.#giveUpAfterPatience();
    this.#aborted += this.#services.open.abort(error);
    this.#scheduler.cutOff?.();
  }

  /** From now on nothing is waited for any longer than that. */
  #giveUpAfterPatience(): void {
    this.#wasCutOff = true;
    this.#deadline?.cancel();
    this.#deadline = this.#runtime.clock.after(PATIENCE_MS, () => {
      this.#giveUpAfterPatience();
      this.#goOn();
    });
  }

  /** Goes on when all of this has ended, whatever has become of it. */
  #follow(endings: readonly (Promise<unknown> | void)[], next: () => void): void {
    this.#goOn = next;
    const pending = endings.filter((ending) => ending !== undefined);
    if (pending.length === 0) {
      next();
      return;
    }
    Promise.allSettled(pending).then((results) => {
      for (const result of results) {
        if (result.status === "fulfilled") continue;
        const { reason: cause } = result;
        this.#reports.report(
          new TrivetError("internal-error", "A part of the server has not ended in order.", { cause }),
        );
      }
      next();
    });
  }

  #withdraw(): void {
    if (this.#phase !== "withdrawing") return;
    this.#enter("draining");
    this.#finishIfDone();
  }

  #finishIfDone(): void {
    if (this.#phase !== "draining" || this.#services.open.count > 0) return;
    this.#enter("settling");
    const drained = this.#scheduler.drained?.().then((elsewhere) => {
      this.#drainedElsewhere = elsewhere.drained;
      this.#aborted += elsewhere.aborted;
    });
    // Who waits for the end may want to listen at the same port.
    this.#follow([this.#released, drained], () => this.#join());
  }

  #join(): void {
    if (this.#phase !== "settling") return;
    this.#enter("joining");
    // A connection can have been accepted while the port was given back.
    this.#services.open.abort(new TrivetError("draining", "The server has stopped."));
    this.#giveUpAfterPatience();
    this.#follow([this.#scheduler.stop?.(), this.#flushed?.()], () => this.#finish());
  }

  #finish(): void {
    if (this.#phase !== "joining" && this.#phase !== "failing") return;
    this.#enter(this.#phase === "joining" ? "stopped" : "failed");
    this.#deadline?.cancel();
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
    const abortedHere = Math.min(this.#aborted, this.#openAtStop);
    return {
      drained: this.#openAtStop - abortedHere + this.#drainedElsewhere,
      aborted: this.#aborted,
      durationMs: Math.round(this.#stoppedAtMs - this.#stopBeganAtMs),
    };
  }
}

/** Fails as listening does at an address that is taken, and leaves it as it was. */
async function probe(runtime: Runtime, where: ListenOptions): Promise<void> {
  const ignored: TransportEvents = {
    // A client that is so early would not have found a server a moment before.
    onOpen: (transport) => transport.abort(),
    onData: ignore,
    onDrain: ignore,
    onEnd: ignore,
    onClose: ignore,
    onAcceptError: ignore,
  };
  const listener = await runtime.listen(where, ignored);
  await listener.close();
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
