/**
 * The rules of `src/runtime.ts` for threads, each as a test, for real threads and for those in memory.
 *
 * @module
 */

import assert from "node:assert/strict";
import { test } from "node:test";
import type { Thread, ThreadEvents } from "../../src/runtime.ts";
import type { Misdeed } from "../fixtures/threads/obey.ts";
import { ThreadRecorder } from "./thread_recorder.ts";

/** What is tested. */
export interface ThreadsUnderTest {
  /** Starts a thread that runs `obey` of `test/fixtures/threads/`. */
  start(events: ThreadEvents): Promise<Thread>;
  /** What an uncaught error may come from here. */
  readonly misdeeds: readonly Misdeed[];
}

/** A test of one rule: the thread, and how to have another one. */
type Rule = (title: string, run: (thread: ThreadRecorder, another: Start) => Promise<void>) => void;
type Start = () => Promise<ThreadRecorder>;

const MIB = 1 << 20;

/** Tests threads against the rules of the contract; to be called within a `describe`. */
export function testThreads({ start, misdeeds }: ThreadsUnderTest): void {
  const rule: Rule = (title, run) =>
    void test(title, async () => {
      const recorders: ThreadRecorder[] = [];
      const another: Start = async () => {
        const recorder = new ThreadRecorder();
        await recorder.start(start);
        recorders.push(recorder);
        return recorder;
      };
      try {
        await run(await another(), another);
      } finally {
        for (const recorder of recorders) recorder.terminate();
      }
      for (const recorder of recorders) {
        await recorder.ended();
        assert.deepEqual(recorder.violations, []);
      }
    });
  testMessages(rule);
  testTransfer(rule);
  testEnd(rule);
  testFailures(rule, misdeeds);
  testRunWithin(rule);
}

function testMessages(rule: Rule): void {
  rule("messages sent before the thread listens arrive, in order, and so do those after them", async (thread) => {
    for (let i = 0; i < 10; i++) thread.order({ order: "echo", value: i });
    await thread.received(1);
    for (let i = 10; i < 20; i++) thread.order({ order: "echo", value: i });
    assert.deepEqual(await thread.received(20), Array.from({ length: 20 }, (_, i) => i));
  });

  rule("10,000 messages arrive in order in both directions", async (thread) => {
    const sent = Array.from({ length: 10_000 }, (_, i) => i);
    thread.order({ order: "echo", value: -1 });
    await thread.received(1);
    for (const value of sent) thread.order({ order: "echo", value });
    assert.deepEqual(await thread.received(sent.length + 1), [-1, ...sent]);
  });

  rule("a message may be any plain value", async (thread) => {
    const values = [
      undefined,
      null,
      true,
      0,
      -1.5,
      "",
      "Gr\u00fc\u00dfe \u{1f600} \ud800",
      12n,
      { nested: { list: [1, [2, { three: 3 }]], absent: undefined } },
      new Map([["a", new Set([1, 2])]]),
      new Date(0),
      new Uint8Array([1, 2, 3]),
      new Float64Array([0.5]),
    ];
    for (const value of values) thread.order({ order: "echo", value });
    assert.deepEqual(await thread.received(values.length), values);
  });

  rule("a message is a copy: changes made to it after post do not arrive", async (thread) => {
    for (const isListening of [false, true]) {
      if (isListening) await thread.received(1);
      const value = { list: [1] };
      thread.order({ order: "echo", value });
      value.list.push(2);
    }
    assert.deepEqual(await thread.received(2), [{ list: [1] }, { list: [1] }]);
  });

  rule("what can't be sent fails in post, at both ends, and the thread goes on", async (thread) => {
    const sendFunction = (): void => thread.post(() => {});
    assert.throws(sendFunction, { name: "DataCloneError" });
    thread.order({ order: "send a function" });
    assert.deepEqual(await thread.received(1), ["DataCloneError"]);
    assert.throws(sendFunction, { name: "DataCloneError" });
    thread.order({ order: "echo", value: "still here" });
    assert.equal((await thread.received(2))[1], "still here");
  });

  rule("messages of several threads come from and go to the right one", async (thread, another) => {
    const threads = [thread, await another(), await another()];
    for (const [i, each] of threads.entries()) each.order({ order: "echo", value: i });
    for (const [i, each] of threads.entries()) assert.deepEqual(await each.received(1), [i]);
  });
}

function testTransfer(rule: Rule): void {
  for (const isListening of [false, true]) {
    const when = isListening ? "while the thread listens" : "before the thread listens";
    rule(`buffers that are transferred move there and back, sent ${when}`, async (thread) => {
      if (isListening) await untilListening(thread);
      const buffers = [Uint8Array.of(1, 2, 3).buffer, new Uint8Array(100_000).fill(7).buffer];
      thread.order({ order: "return", buffers }, buffers);
      assert.deepEqual(buffers.map(({ byteLength }) => byteLength), [0, 0]);
      const returned = await thread.received(isListening ? 2 : 1);
      const [small, large] = returned.at(-1) as ArrayBuffer[];
      assert.deepEqual(new Uint8Array(small), Uint8Array.of(1, 2, 3));
      assert.equal(large.byteLength, 100_000);
      assert.ok(new Uint8Array(large).every((byte) => byte === 7));
    });

    rule(`shared memory is shared, sent ${when}`, async (thread) => {
      if (isListening) await untilListening(thread);
      const shared = new SharedArrayBuffer(4);
      for (let i = 0; i < 3; i++) thread.order({ order: "increment", shared });
      thread.order({ order: "echo", value: "done" });
      await thread.received(isListening ? 2 : 1);
      assert.equal(Atomics.load(new Int32Array(shared), 0), 3);
    });
  }

  rule("64 MiB cross in one message, copied and moved", async (thread) => {
    const bytes = new Uint8Array(64 * MIB);
    for (let at = 0; at < bytes.length; at += 4096) bytes[at] = at >> 12;
    thread.order({ order: "echo", value: bytes });
    const copy = (await thread.received(1))[0] as Uint8Array<ArrayBuffer>;
    assertPattern(copy);
    thread.order({ order: "return", buffers: [copy.buffer] }, [copy.buffer]);
    const [moved] = (await thread.received(2))[1] as ArrayBuffer[];
    assertPattern(new Uint8Array(moved));
  });
}

async function untilListening(thread: ThreadRecorder): Promise<void> {
  thread.order({ order: "echo", value: "listening" });
  await thread.received(1);
}

function assertPattern(bytes: Uint8Array): void {
  assert.equal(bytes.length, 64 * MIB);
  for (let at = 0; at < bytes.length; at += 4096) {
    if (bytes[at] !== ((at >> 12) & 0xff)) assert.fail(`The byte at ${at} is ${bytes[at]}.`);
  }
}

function testEnd(rule: Rule): void {
  rule("terminate ends an idle thread, without a cause, and may be called again", async (thread) => {
    thread.order({ order: "echo", value: 1 });
    await thread.received(1);
    thread.terminate();
    thread.terminate();
    assert.equal(await thread.ended(), undefined);
    thread.terminate();
  });

  rule("terminate ends a thread that has only been started", async (thread) => {
    thread.terminate();
    assert.equal(await thread.ended(), undefined);
  });

  rule("no message follows terminate, not even one that is under way", async (thread) => {
    thread.order({ order: "echo", value: 0 });
    await thread.received(1);
    for (let i = 0; i < 1_000; i++) thread.order({ order: "echo", value: i });
    await thread.received(2);
    const { length } = thread.messages;
    thread.terminate();
    assert.equal(await thread.ended(), undefined);
    assert.equal(thread.messages.length, length);
  });

  rule("a thread that is gone can be sent messages, to nobody, and refers to nothing", async (thread) => {
    thread.terminate();
    thread.order({ order: "echo", value: 1 });
    await thread.ended();
    thread.order({ order: "echo", value: 2 });
    const { buffer } = new Uint8Array(1);
    thread.order({ order: "return", buffers: [buffer] }, [buffer]);
    thread.unrefAndRef();
  });

  rule("a thread that exits ends without a cause, and what it sent before arrives", async (thread) => {
    thread.order({ order: "count and exit", count: 1_000 });
    assert.equal(await thread.ended(), undefined);
    assert.deepEqual(thread.messages, Array.from({ length: 1_000 }, (_, i) => i));
  });

  rule("ref and unref may be called at any time", async (thread) => {
    thread.unrefAndRef();
    thread.order({ order: "echo", value: 1 });
    await thread.received(1);
    thread.unrefAndRef();
    thread.terminate();
    thread.unrefAndRef();
    await thread.ended();
    thread.unrefAndRef();
  });
}

function testFailures(rule: Rule, misdeeds: readonly Misdeed[]): void {
  for (const misdeed of misdeeds) {
    rule(`an uncaught error ends the thread and is the cause: ${misdeed}`, async (thread) => {
      thread.order({ order: "echo", value: "before" });
      thread.order({ order: "misbehave", misdeed });
      const cause = await thread.ended();
      assert.equal(cause?.message, misdeed === "reject" ? misdeed : "throw in a listener");
      assert.equal((cause as Error & { code?: unknown }).code, "ERR_MISCHIEF");
      // The name survives as well, but not under `bun test`; see the tests with a process of their own.
      assert.match(cause.stack ?? "", /Mischief[^]*obey\.[jt]s/);
      assert.deepEqual(thread.messages, ["before"]);
    });
  }

  rule("the end of one thread is no concern of another", async (thread, another) => {
    const other = await another();
    thread.order({ order: "misbehave", misdeed: "throw in a listener" });
    await thread.ended();
    other.order({ order: "echo", value: "still here" });
    assert.deepEqual(await other.received(1), ["still here"]);
  });
}

function testRunWithin(rule: Rule): void {
  for (const limitMs of [0, 1_000.5, Infinity]) {
    const limit = limitMs === 0 ? "without a limit" : `within ${limitMs} ms`;
    rule(`a callback that returns ${limit} has been run`, async (thread) => {
      for (let i = 0; i < 3; i++) thread.order({ order: "run within", limitMs, what: "return" });
      assert.deepEqual(await thread.received(6), Array.from({ length: 3 }, () => [true, "no error"]).flat());
    });

    rule(`an error of a callback that runs ${limit} is passed on, whatever its code`, async (thread) => {
      thread.order({ order: "run within", limitMs, what: "throw" });
      thread.order({ order: "run within", limitMs, what: "forge" });
      assert.deepEqual(await thread.received(2), ["Mischief", "Forged"]);
    });
  }
}
