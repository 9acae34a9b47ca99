/** The threads in memory keep the contract of `src/runtime.ts`, and do what a test has them do. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { obey } from "../fixtures/threads/obey.ts";
import { createMemoryRuntime, type MemoryRuntime, type MemoryThreadRuntime } from "../support/memory_runtime.ts";
import { ThreadRecorder } from "./thread_recorder.ts";
import { testThreads } from "./thread_rules.ts";

describe("threads in memory", () =>
  testThreads({
    start: (events) => createMemoryRuntime({ thread: obey }).startThread("memory:obedient", events),
    misdeeds: ["throw in a listener"],
  }));

/** Starts a thread that sends everything back, and each 100 ms a tick. */
async function startEcho(): Promise<{ runtime: MemoryRuntime; thread: ThreadRecorder }> {
  const runtime = createMemoryRuntime({ thread: echo });
  const thread = new ThreadRecorder();
  await thread.start((events) => runtime.startThread("memory:echo", events));
  await runtime.clock.settle();
  return { runtime, thread };
}

async function echo({ parentThread, clock }: MemoryThreadRuntime): Promise<void> {
  const parent = await parentThread();
  clock.every(100, () => parent!.post("tick"));
  parent!.listen((message) => parent!.post([message, parent!.runWithin(1, () => {})]));
}

describe("what a test can do to threads in memory", () => {
  test("it sees which threads were started and which are alive", async () => {
    const { runtime, thread } = await startEcho();
    await runtime.startThread("memory:other", { onMessage: () => {}, onExit: () => {} });
    const seen = () => runtime.threads.map(({ entry, isAlive, wasTerminated }) => [entry, isAlive, wasTerminated]);
    assert.deepEqual(seen(), [["memory:echo", true, false], ["memory:other", true, false]]);
    thread.terminate();
    assert.deepEqual(seen(), [["memory:echo", false, true], ["memory:other", true, false]]);
  });

  test("a message and its answer need no time to pass", async () => {
    const { runtime, thread } = await startEcho();
    thread.post("hello");
    assert.deepEqual(thread.messages, []);
    await runtime.clock.settle();
    assert.deepEqual(thread.messages, [["hello", true]]);
  });

  test("a frozen thread hears nothing, says nothing and has no time, until it thaws", async () => {
    const { runtime, thread } = await startEcho();
    runtime.threads[0].freeze();
    thread.post("hello");
    await runtime.clock.advance(250);
    assert.deepEqual(thread.messages, []);
    runtime.threads[0].thaw();
    await runtime.clock.settle();
    assert.deepEqual(thread.messages, ["tick", "tick", ["hello", true]]);
  });

  test("a frozen thread can be terminated", async () => {
    const { runtime, thread } = await startEcho();
    runtime.threads[0].freeze();
    thread.post("hello");
    thread.terminate();
    await runtime.clock.settle();
    assert.deepEqual([thread.messages, thread.end, thread.violations], [[], { cause: undefined }, []]);
  });

  test("a thread that crashes has an error for its end, and its timers are gone", async () => {
    const { runtime, thread } = await startEcho();
    runtime.threads[0].crash(new RangeError("out of memory"));
    await runtime.clock.settle();
    assert.equal(`${thread.end?.cause}`, "RangeError: out of memory");
    assert.deepEqual([runtime.threads[0].isAlive, runtime.clock.pendingCount], [false, 0]);
  });

  test("what the function of a thread, or a timer, throws is its end", async () => {
    const fail = (): never => {
      throw new TypeError("no module");
    };
    for (const main of [fail, ({ clock }: MemoryThreadRuntime) => void clock.after(1, fail)]) {
      const runtime = createMemoryRuntime({ thread: main });
      const thread = new ThreadRecorder();
      await thread.start((events) => runtime.startThread("memory:failing", events));
      await runtime.clock.advance(1);
      assert.equal(`${thread.end?.cause}`, "TypeError: no module");
    }
  });

  test("a run can be cut short once", async () => {
    const { runtime, thread } = await startEcho();
    runtime.threads[0].cutShortOnce();
    thread.post(1);
    thread.post(2);
    await runtime.clock.settle();
    assert.deepEqual(thread.messages, [[1, false], [2, true]]);
  });
});
