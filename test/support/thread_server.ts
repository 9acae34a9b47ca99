/**
 * A server in memory whose handlers run on threads in memory: a test decides what each thread does, and when it stands
 * still or ends.
 *
 * What runs on a thread is the thread's real program (`src/entry/thread.ts`); only the module it loads is the test's own.
 *
 * @module
 */

import type { HandlerInfo } from "../../src/api/handler.ts";
import type { ServeOptions } from "../../src/api/options.ts";
import type { Clock, ParentThread, Runtime } from "../../src/runtime.ts";
import type { ListenOptions, TransportEvents } from "../../src/transport.ts";
import { runThread } from "../../src/entry/thread.ts";
import { type Message, readBatch } from "../../src/threads/batch.ts";
import { HANDLER_MODULE_URL, setHandler } from "./handler_module.ts";
import { createMemoryServer, type MemoryServer } from "./memory_server.ts";
import { createMemoryRuntime, type MemoryPeer, type MemoryThreadRuntime } from "./memory_runtime.ts";
import type { MemoryThread } from "./memory_threads.ts";

/** The thread on which a handler was called. */
export interface HandlerPlace {
  /** The number of the thread, from 1 on. */
  readonly number: number;
  /** What a test may do to it. */
  readonly thread: MemoryThread;
  /** Computes for so long: time passes for this thread alone. */
  compute(ms: number): void;
}

/** A handler that is told on which thread it was called. */
export type PlacedHandler = (
  request: Request,
  place: HandlerPlace,
  info: HandlerInfo,
) => Response | Promise<Response>;

/** The kinds of the messages of one batch, and its way. */
export interface BatchRecord {
  /** The number of the thread. */
  readonly thread: number;
  readonly way: "to" | "from";
  readonly kinds: readonly string[];
}

/** A server with threads. */
export interface ThreadServer extends MemoryServer {
  /** Every thread that was started, in order; also those that have ended. */
  readonly threads: readonly MemoryThread[];
  /** When each thread was started, in virtual time. */
  readonly startedAtMs: readonly number[];
  /** Every batch that came to a thread or left it. */
  readonly batches: BatchRecord[];
  /** How this thread's own listener was asked for, if it was. */
  readonly listenedWith: readonly ListenOptions[];
  /** Connects to the listener of the thread with this number. */
  connectTo(number: number): MemoryPeer;
  /** The numbers of the threads that are alive. */
  alive(): number[];
  /** Lets everything happen until something is so; it fails when it does not become so without time passing. */
  until(isSo: () => boolean): Promise<void>;
}

/** What a test may change about threads. */
export interface ThreadServerSetup {
  /** Says that the thread with this number does not find the module. */
  readonly lacksModule?: (number: number) => boolean;
  /** Called when this thread's own listener is there. */
  readonly listens?: () => void;
  /** Says that the thread with this number can't listen. */
  readonly cannotListen?: (number: number) => boolean;
  /** Why threads can't share a port. */
  readonly whyNotShared?: string;
  /** What a listener does, of whichever thread, that is to read its certificates anew. */
  readonly reloadTls?: () => Promise<boolean>;
  /** Says that the runtime will not start the thread with this number. */
  readonly isNotStarted?: (number: number) => boolean;
  /** Called when a thread with this number begins; what it returns is waited for before the thread hears anything. */
  readonly begin?: (number: number, thread: MemoryThread) => void | Promise<void>;
  /** Called when a thread has said that it is ready, or can't be, and nobody has heard it yet. */
  readonly saidReadiness?: (number: number, thread: MemoryThread) => void;
}

/** Loading a module takes turns of the real event loop, a number that only the runtime knows. */
const MAX_TURNS = 400;

/** Begins to start a server whose handler comes from a module that is loaded on threads. */
export function createThreadServer(
  handler: PlacedHandler,
  options: ServeOptions,
  setup: ThreadServerSetup = {},
): ThreadServer {
  const startedAtMs: number[] = [];
  const batches: BatchRecord[] = [];
  const listenedWith: ListenOptions[] = [];
  const insides = new Map<number, MemoryThreadRuntime>();
  let place: HandlerPlace | null = null;
  let begun = 0;

  const memory = createMemoryRuntime({
    async thread(inside) {
      // A thread that was ended before it began has a number too.
      while (!memory.threads[begun].isAlive) begun++;
      const number = ++begun;
      const { clock, compute } = slowClock(inside.clock);
      const mine: HandlerPlace = { number, thread: memory.threads[number - 1], compute };
      await setup.begin?.(number, mine.thread);
      const enter = (call: () => boolean): boolean => {
        place = mine;
        return call();
      };
      const record = (way: "to" | "from", message: unknown): void => {
        if (Array.isArray(message)) batches.push({ thread: number, way, kinds: kindsOf(message) });
        else if (way === "from") setup.saidReadiness?.(number, mine.thread);
      };
      insides.set(number, inside);
      const runtime = asThread(inside, clock, enter, record);
      if (setup.lacksModule?.(number) === true) {
        runtime.files = {
          ...runtime.files,
          kindOf: () => Promise.resolve(null),
        };
      }
      if (setup.cannotListen?.(number) === true) runtime.listen = () => Promise.reject(new Error("The port is taken."));
      await runThread(runtime);
    },
    whyNotShared: setup.whyNotShared ?? null,
    reloadTls: setup.reloadTls,
  });
  const { clock } = memory;
  let asked = 0;
  const runtime = {
    ...memory,
    listen: (asked: ListenOptions, events: TransportEvents) => {
      listenedWith.push(asked);
      const listener = memory.listen(asked, events);
      setup.listens?.();
      return listener;
    },
    startThread: (entry: string, events: Parameters<Runtime["startThread"]>[1]) => {
      startedAtMs.push(clock.nowMs());
      if (setup.isNotStarted?.(++asked) === true) return Promise.reject(new Error("There are no more threads."));
      return memory.startThread(entry, events);
    },
  };

  setHandler((request, info) => handler(request, place!, info));
  const started = createMemoryServer(runtime, { module: HANDLER_MODULE_URL, ...options });
  return {
    ...started,
    threads: memory.threads,
    startedAtMs,
    batches,
    listenedWith,
    connectTo: (number) => insides.get(number)!.connect(),
    alive: () => memory.threads.flatMap(({ isAlive }, index) => isAlive ? [index + 1] : []),
    async until(isSo) {
      for (let turn = 0; turn < MAX_TURNS; turn++) {
        if (isSo()) return;
        await clock.settle();
      }
      throw new Error("It has not become so.");
    },
  };
}

/** Starts a server whose handler comes from a module that is loaded on threads. */
export async function startThreadServer(
  handler: PlacedHandler,
  options: ServeOptions,
  setup: ThreadServerSetup = {},
): Promise<ThreadServer> {
  const started = createThreadServer(handler, options, setup);
  await started.server.ready();
  await started.clock.settle();
  return started;
}

/** The runtime of a thread, in which the module is found, calls are seen, and batches are recorded. */
function asThread(
  inside: MemoryThreadRuntime,
  clock: Clock,
  enter: (call: () => boolean) => boolean,
  record: (way: "to" | "from", message: unknown) => void,
): { -readonly [Name in keyof Runtime]: Runtime[Name] } {
  return {
    ...inside,
    clock,
    async parentThread(): Promise<ParentThread> {
      const parent = (await inside.parentThread())!;
      return {
        ...parent,
        runWithin: (limitMs, callback) => enter(() => parent.runWithin(limitMs, callback)),
        post(message, transfer) {
          // What moves can't be looked at afterwards.
          const copy = structuredClone(message);
          parent.post(message, transfer);
          record("from", copy);
        },
        listen: (onMessage) =>
          parent.listen((message) => {
            record("to", message);
            onMessage(message);
          }),
      };
    },
  };
}

/** A clock on which time can be spent. */
function slowClock(clock: Clock): { clock: Clock; compute(ms: number): void } {
  let spentMs = 0;
  return {
    clock: {
      nowMs: () => clock.nowMs() + spentMs,
      wallTimeMs: () => clock.wallTimeMs(),
      every: (intervalMs, callback) => clock.every(intervalMs, callback),
      after: (delayMs, callback) => clock.after(delayMs, callback),
      defer: (callback) => clock.defer(callback),
      callApart: (callback) => callback(),
    },
    compute: (ms) => void (spentMs += ms),
  };
}

function kindsOf(batch: unknown): string[] {
  return readBatch(batch).messages.map(([kind]: Message) => kind);
}
