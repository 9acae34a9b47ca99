/**
 * Measures the ways between threads, apart from sockets, on the runtime that runs this file: its CPU time for a call
 * there and back, and how long a batch of calls takes.
 *
 * It prints a line of JSON and ends.
 *
 * @module
 */

import process from "node:process";
import { detectRuntime } from "../../runtime/detect.ts";
import type { Thread } from "../../src/runtime.ts";
import { OutgoingBatch, readBatch } from "../../src/threads/batch.ts";
import { CallWriter, countAnswers, type ThreadOrders } from "./load.ts";
import { createTransport, SHARED_BYTES, type TransportEnd, type TransportName, TRANSPORTS } from "./transports.ts";

/** One kind of traffic. */
export interface TrafficCase {
  readonly contentBytes: number;
  /** Calls that are sent together. */
  readonly batchSize: number;
  /** Batches that are under way at the same time. */
  readonly batches: number;
}

/** What was found of one way in one round. */
export interface TransportRound extends TrafficCase {
  readonly transport: TransportName;
  readonly cpuMicroseconds: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

/** One batch under way is the latency of an idle machine, four are a thread that is kept busy. */
const CASES: readonly TrafficCase[] = [
  ...[1, 4, 16, 64].flatMap((batchSize) => [1, 4].map((batches) => ({ contentBytes: 0, batchSize, batches }))),
  { contentBytes: 1024, batchSize: 16, batches: 4 },
  { contentBytes: 64 * 1024, batchSize: 4, batches: 4 },
];
const WARM_UP_SHARE = 0.5;
/** Nothing that is measured takes longer. */
const LIFETIME_MS = 5 * 60_000;

const runtime = detectRuntime();

/** Both ends of one way, with a thread of its own. */
class Measured {
  readonly transport: TransportName;
  readonly #end: TransportEnd;
  readonly #thread: Thread;
  readonly #outgoing = new OutgoingBatch();
  #writer = new CallWriter(runtime.decodeLatin1, 0);
  #one: TrafficCase = CASES[0];
  #untilMs = 0;
  #calls = 0;
  #unanswered: { readonly sentMs: number; left: number }[] = [];
  #tookMs: number[] = [];
  #settle: () => void = () => {};

  constructor(transport: TransportName, thread: Thread, end: TransportEnd) {
    this.transport = transport;
    this.#thread = thread;
    this.#end = end;
  }

  static async start(transport: TransportName): Promise<Measured> {
    const shared = new SharedArrayBuffer(transport.startsWith("ring") ? SHARED_BYTES : 0);
    const thread = await runtime.startThread(new URL("thread.ts", import.meta.url).href, {
      onMessage: (message) => end.take(message),
      onExit(cause) {
        if (cause !== undefined) fail(cause);
      },
    });
    const orders: ThreadOrders = { transport, shared };
    thread.post(orders);
    const end: TransportEnd = createTransport(transport, {
      side: 0,
      shared,
      post: (message, transfer) => thread.post(message, transfer),
      onBatch: (batch) => measured.#take(readBatch(batch)),
    });
    const measured = new Measured(transport, thread, end);
    return measured;
  }

  /** Sends and takes for so long. */
  async run(one: TrafficCase, milliseconds: number): Promise<TransportRound> {
    this.#one = one;
    this.#writer = new CallWriter(runtime.decodeLatin1, one.contentBytes);
    this.#calls = 0;
    this.#tookMs = [];
    const before = process.cpuUsage();
    this.#untilMs = performance.now() + milliseconds;
    await new Promise<void>((resolve) => {
      this.#settle = resolve;
      for (let i = 0; i < one.batches; i++) runtime.clock.defer(() => this.#send());
    });
    const { user, system } = process.cpuUsage(before);
    const sorted = this.#tookMs.sort((a, b) => a - b);
    const at = (part: number) => sorted[Math.min(sorted.length - 1, Math.floor(part * sorted.length))];
    const cpuMicroseconds = (user + system) / this.#calls;
    return { ...one, transport: this.transport, cpuMicroseconds, p50Ms: at(0.5), p99Ms: at(0.99) };
  }

  stop(): void {
    this.#thread.terminate();
  }

  #send(): void {
    const { batchSize } = this.#one;
    this.#unanswered.push({ sentMs: performance.now(), left: batchSize });
    this.#writer.write(this.#outgoing, batchSize);
    this.#outgoing.send((batch, transfer) => this.#end.send(batch, transfer));
  }

  /** Answers come in the order of the calls, perhaps those of several batches together. */
  #take(received: ReturnType<typeof readBatch>): void {
    let count = countAnswers(received, this.#one.contentBytes);
    this.#calls += count;
    const nowMs = performance.now();
    while (count > 0) {
      const [first] = this.#unanswered;
      const taken = Math.min(first.left, count);
      first.left -= taken;
      count -= taken;
      if (first.left > 0) continue;
      this.#unanswered.shift();
      this.#tookMs.push(nowMs - first.sentMs);
      if (nowMs < this.#untilMs) runtime.clock.defer(() => this.#send());
      else if (this.#unanswered.length === 0) this.#settle();
    }
  }
}

function fail(cause: Error): void {
  console.error(cause);
  process.exit(1);
}

const [rounds, milliseconds] = process.argv.slice(2).map(Number);
setTimeout(() => process.exit(1), LIFETIME_MS).unref();
const ways: Measured[] = [];
for (const name of Object.keys(TRANSPORTS)) ways.push(await Measured.start(name as TransportName));
const found: TransportRound[] = [];
for (const one of CASES) {
  for (const way of ways) await way.run(one, WARM_UP_SHARE * milliseconds);
  for (let round = 0; round < rounds; round++) {
    for (const way of round % 2 === 0 ? ways : ways.toReversed()) found.push(await way.run(one, milliseconds));
  }
}
for (const way of ways) way.stop();
console.log(JSON.stringify(found));
process.exit(0);
