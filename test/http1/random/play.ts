/**
 * A play of some clients, their requests and the handlers that are called.
 *
 * It decides what an act means. It must not know how acts are thought out, nor what must be so afterwards.
 *
 * @module
 */

import type { MemoryPeer } from "../../support/memory_runtime.ts";
import { type MemoryServer, startMemoryServer } from "../../support/memory_server.ts";
import { startThreadServer, type ThreadServer } from "../../support/thread_server.ts";
import { answerFrames, type Client, createClient, send, sendFrame } from "./client.ts";
import { Handlers } from "./handlers.ts";
import { judge, judgeGone, judgeRest } from "./judge.ts";
import type { Act, Ask, Finale, Script } from "./script.ts";

/** The longest wait of all deadlines together, with room. */
const REST_MS = 20 * 60_000;
const DRAIN_MS = 10_000;
const ARRIVAL_TURNS = 20;
/** Shorter than a Close is waited for. */
const REST_STEP_MS = 4_000;
/** Of a client within a request: so many pauses are no reason to give it up. */
const MAX_PAUSE_MS = 100;
/** Of a client that takes nothing, in all: it is less than a Close is waited for. */
const MAX_STALL_MS = 2_000;

/** One play of a script. */
export class Play {
  readonly #script: Script;
  readonly #clients: Client[] = [];
  readonly #asks = new Map<string, Ask>();
  readonly #handlers = new Handlers(this.#asks);
  #started!: MemoryServer | ThreadServer;

  constructor(script: Script) {
    this.#script = script;
  }

  /** Plays it, and judges what came of it. */
  async run(): Promise<void> {
    const { options, acts, finale } = this.#script;
    const handlers = this.#handlers;
    // What runs on the loop of this thread has no place.
    this.#started = options.module === undefined
      ? await startMemoryServer((request, info) => handlers.handle(request, info), options)
      : await startThreadServer((request, place, info) => handlers.handle(request, info, place?.thread), options);
    const { clock } = this.#started;
    for (const act of acts) {
      await this.#do(act);
      await clock.settle();
      for (const { looks, sent, peer } of this.#clients) looks.push({ sent, receivedBytes: peer.receivedBytes });
      this.#clients.forEach(answerFrames);
    }
    await this.#end(finale);
    judge(this.#started, this.#clients, handlers, finale);
  }

  async #do(act: Act): Promise<void> {
    const { clock } = this.#started;
    switch (act.does) {
      case "connect":
        return this.#connect(act.asks);
      case "wait":
        // One that lets the server wait within a request may lose its connection, unannounced behind a head.
        for (const client of this.#clients) {
          const isWithin = client.sent > 0 && !client.ends.includes(client.sent);
          if (client.isStalled) client.stalledMs += act.ms;
          if ((act.ms > MAX_PAUSE_MS && isWithin) || client.stalledMs > MAX_STALL_MS) client.isPatient = false;
        }
        return await clock.advance(act.ms);
      case "answer":
      case "fail":
      case "close":
      case "give":
      case "say":
      case "close socket":
        return this.#handlers.do(act);
      case "crash":
      case "freeze":
      case "thaw":
        return this.#doWithThread(act);
      default:
        return this.#doWithClient(act);
    }
  }

  #connect(asks: readonly Ask[]): void {
    const client = createClient(this.#connectNext(), this.#clients.length, asks);
    asks.forEach((ask, index) => this.#asks.set(client.names[index], ask));
    this.#clients.push(client);
  }

  /** To the loop of this thread, or in turn to that of another one. */
  #connectNext(): MemoryPeer {
    const started = this.#started;
    const isElsewhere = this.#script.options.loops === 2 && this.#clients.length % 2 === 1;
    return isElsewhere && "connectTo" in started ? started.connectTo(1) : started.connect();
  }

  #doWithClient(act: Extract<Act, { readonly client: number }>): void {
    if (this.#clients.length === 0) return;
    const client = this.#clients[act.client % this.#clients.length];
    switch (act.does) {
      case "send":
        return send(client, act.much);
      case "read":
        return client.peer.read(act.bytes);
      case "message":
        return sendFrame(client, act.does, act.bytes);
      case "ping":
      case "close frame":
        return sendFrame(client, act.does);
      case "stop reading":
        client.isStalled = true;
        return client.peer.stopReading(act.bytes);
      case "read on":
        client.isStalled = false;
        return client.peer.read();
      default:
        client.isPatient = false;
        client.hasLeft = true;
        if (act.does === "end") client.peer.end();
        else client.peer.reset();
    }
  }

  #doWithThread({ does, thread }: Extract<Act, { readonly thread: number }>): void {
    const alive = this.#started.runtime.threads.filter(({ isAlive }) => isAlive);
    if (alive.length === 0) return;
    const chosen = alive[thread % alive.length];
    // The connections of a loop that has died are closed by the system, of which there is none here.
    if (does === "crash" && this.#script.options.loops !== undefined) return;
    if (does === "crash") chosen.crash(new Error("The thread has crashed."));
    else if (does === "freeze") chosen.freeze();
    else chosen.thaw();
  }

  /** Lets everything that is on its way come to where it goes, to a thread and back too. */
  async #arrive(): Promise<void> {
    for (let turns = 0; turns < ARRIVAL_TURNS; turns++) await this.#started.clock.settle();
  }

  /** Lets time pass, in which clients do what WebSockets ask of them. */
  async #rest(ms: number): Promise<void> {
    for (let leftMs = ms; leftMs > 0; leftMs -= REST_STEP_MS) {
      await this.#started.clock.advance(Math.min(leftMs, REST_STEP_MS));
      this.#clients.forEach(answerFrames);
    }
  }

  /** Lets everything come to its end. */
  async #end(finale: Finale): Promise<void> {
    const { server, clock, runtime } = this.#started;
    for (const thread of runtime.threads) if (thread.isAlive) thread.thaw();
    if (finale !== "rest") { for (const client of this.#clients) if (client.isStalled) client.isPatient = false; }
    if (finale === "stop") {
      const stopped = server.stop();
      await clock.advance(1);
      await stopped;
    } else if (finale !== "rest") {
      const stopped = server.shutdown({ timeout: DRAIN_MS, closeIdle: finale === "shutdown, idle ones too" });
      await this.#rest(1);
      if (finale === "shutdown, answered meanwhile") this.#handlers.end();
      await this.#rest(DRAIN_MS + 1_000);
      await stopped;
    }
    for (const { peer } of this.#clients) peer.read();
    await this.#arrive();
    judgeGone(this.#clients, this.#handlers);
    this.#handlers.end();
    await this.#arrive();
    this.#handlers.closeSockets();
    await this.#rest(REST_MS);
    if (finale === "rest") {
      judgeRest(server.stats());
      const stopped = server.stop();
      await clock.advance(1);
      await stopped;
    }
  }
}
