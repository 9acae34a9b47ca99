/**
 * The way of a server from its start to its stop.
 *
 * It decides when the server listens, drains and is done. It must not know connections one by one, what a concurrency
 * model is made of, nor what users are shown of a server.
 *
 * @module
 */

import { TrivetError } from "../api/errors.ts";
import type { ResolvedOptions, ResolvedShutdown } from "../api/resolve_options.ts";
import type { ShutdownReport } from "../api/server.ts";
import { tellUser } from "../api/telling.ts";
import type { Scheduler, StopCounts } from "../models/scheduler.ts";
import type { Runtime, Timer } from "../runtime.ts";
import type { Address, Listener, TransportEvents } from "../transport.ts";
import type { Certificates } from "./certificates.ts";
import type { ConnectionServices } from "./connection_services.ts";
import { listenFailed, openListener, urlOf } from "./listening.ts";
import type { Observation } from "./observation.ts";
import { Patience } from "./patience.ts";
import type { Reports } from "./reports.ts";
import { SERVER_PHASES, type ServerPhase, SHOWN_STATES } from "./server_state.ts";

const AT_ONCE: ResolvedShutdown = { delayMs: 0, timeoutMs: 0, closesIdle: true };
/** How long exchanges in flight may go on when another server is to have the port. */
const GIVE_WAY_MS = 1_000;

/** What a server is made of. */
export interface LifetimeParts {
  readonly options: ResolvedOptions;
  readonly runtime: Runtime;
  /** The concurrency model. */
  readonly scheduler: Scheduler;
  readonly services: ConnectionServices;
  readonly reports: Reports;
  readonly certificates: Certificates;
  /** Takes what the listener tells. */
  readonly events: TransportEvents;
  /** What has to be done before anything else, such as loading the handler. */
  readonly prepare: (() => Promise<void>) | null;
  /** What is seen of its event loop. */
  readonly observation: Observation;
}

/** One server over one listener, from start to stop. */
export class Lifetime {
  readonly #options: ResolvedOptions;
  readonly #runtime: Runtime;
  readonly #services: ConnectionServices;
  readonly #certificates: Certificates;
  readonly #events: TransportEvents;
  readonly #scheduler: Scheduler;
  readonly #observation: Observation;
  readonly #ready = new Settlement<void>();
  readonly #finished = new Settlement<void>();
  readonly #onSignal: () => void;
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
   * @param parts What the server is made of.
   * @param onSignal Called when the option `signal` aborts before the server stops.
   */
  constructor(parts: LifetimeParts, onSignal: () => void) {
    const { options, runtime, scheduler, services, reports, certificates, events, observation } = parts;
    this.#options = options;
    this.#runtime = runtime;
    this.#scheduler = scheduler;
    this.#services = services;
    this.#certificates = certificates;
    this.#events = events;
    this.#observation = observation;
    this.#onSignal = onSignal;
    this.#finished.promise.catch(ignore);
    this.#patience = new Patience(runtime.clock, (cause) => {
      reports.report(new TrivetError("internal-error", "A part of the server has not ended in order.", { cause }));
    });
    services.open.onClosed = () => this.#finishIfDone();
  }

  /** What the server is doing. */
  get phase(): ServerPhase {
    return this.#phase;
  }

  /** Whether a connection that is made now is served. */
  get takesConnections(): boolean {
    return this.#phase === "listening" || this.#phase === "announcing" || this.#phase === "emptying";
  }

  /** Where the server listens; `null` until that is known. */
  get address(): Address | null {
    return this.#listener?.address ?? null;
  }

  /** Resolves when the server listens; rejects when it can't. */
  get ready(): Promise<void> {
    return this.#ready.promise;
  }

  /** Resolves when the last thread has ended; rejects when the server could not start. */
  get finished(): Promise<void> {
    return this.#finished.promise;
  }

  /** Begins to start. */
  begin(prepare: (() => Promise<void>) | null): void {
    const { signal } = this.#options;
    if (signal?.aborted === true) {
      this.#onSignal();
    } else {
      signal?.addEventListener("abort", this.#onSignal, { once: true });
      this.#load(prepare);
    }
  }

  /** Stops gracefully. */
  async shutdown(how: ResolvedShutdown): Promise<ShutdownReport> {
    this.#beginStop(how);
    const delayMs = this.#phase === "announcing" ? how.delayMs : 0;
    this.#cutOffAfter(delayMs + how.timeoutMs);
    return await this.#report();
  }

  /** Stops at once. */
  async stop(): Promise<ShutdownReport> {
    this.#cutOff();
    return await this.#report();
  }

  /** Gives the port up at once, for another server to listen there; what is in flight has a moment to end. */
  giveWay(): Promise<void> | void {
    this.#services.closeIdle();
    this.#stopTaking();
    this.#cutOffAfter(GIVE_WAY_MS);
    return this.#released;
  }

  /** Lets the listener keep the process alive, or not. */
  reference(isReferenced: boolean): void {
    this.#isReferenced = isReferenced;
    if (isReferenced) this.#listener?.ref();
    else this.#listener?.unref();
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
      bound = openListener(this.#options, this.#runtime, this.#events, this.#scheduler.listeners ?? 1);
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
    this.#ready.resolve();
    const { onListen, tls } = this.#options;
    const { host } = this.#runtime;
    const { address } = this.#listener!;
    if (onListen === undefined) host.print(`Listening on ${urlOf(address, tls)}`);
    else tellUser(host, () => onListen(address));
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
    if (isServing || !this.#isEnding) this.#services.announce();
    // Other event loops that stop already hear of it too: idle connections may be closed now.
    if (this.#phase !== "failing") this.#scheduler.announce?.(how);
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
    if (!this.takesConnections) return;
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

  #cutOffAfter(timeoutMs: number): void {
    this.#patience.bringForward(this.#runtime.clock.nowMs() + timeoutMs, () => this.#cutOff());
  }

  #cutOff(): void {
    this.#stopTaking();
    if (this.#patience.isOver) return;
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
    // The program that waits for the end may want to listen at the same port.
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
      // A server that was stopped before it could listen has not settled `ready` yet.
      this.#ready.resolve();
      this.#finished.resolve();
    } else {
      this.#ready.reject(this.#failure);
      this.#finished.reject(this.#failure);
    }
  }

  get #isEnding(): boolean {
    return SHOWN_STATES[this.#phase] !== "starting" && this.#phase !== "listening";
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
