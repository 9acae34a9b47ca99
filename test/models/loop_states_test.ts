/**
 * A loop on another thread, in each of its states, met by each event: whatever dies when, every promise of a start, a
 * listen and a stop settles, nothing throws into the runtime, and nothing is left.
 */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { TrivetError } from "../../src/api/errors.ts";
import type { ParentThread } from "../../src/runtime.ts";
import { copyError } from "../../src/threads/error_copy.ts";
import { LOOP_STATES, type LoopState, LoopThread } from "../../src/models/loops/loop_thread.ts";
import { NO_COUNTS } from "../../src/models/loops/loop_protocol.ts";
import "../support/record_transitions.ts";
import { createMemoryRuntime } from "../support/memory_runtime.ts";
import { createGate } from "../support/memory_server.ts";

const ORDERS = {
  role: "loop",
  options: { module: "./m.ts" },
  fastResponse: false,
  reportsErrors: false,
  rejectionsAreFatal: false,
  tellsRequests: false,
} as const;

/** One loop over a thread in memory that says what the test has it say. */
function createBench() {
  const parents: ParentThread[] = [];
  const heard: unknown[] = [];
  const reported: TrivetError[] = [];
  const crashes: TrivetError[] = [];
  const notStarted: TrivetError[] = [];
  const told: unknown[] = [];
  const runtime = createMemoryRuntime({
    async thread(inside) {
      const parent = (await inside.parentThread())!;
      parents.push(parent);
      parent.listen((message) => void heard.push(message));
    },
  });
  const settled: Record<string, string> = {};
  /** Notes how a promise settles; one that never does stays pending. */
  const note = (name: string, promise: Promise<unknown>): void => {
    settled[name] = "pending";
    promise.then(() => settled[name] = "resolved", (error) => {
      settled[name] = error instanceof TrivetError ? error.code : `not a TrivetError: ${error}`;
    });
  };
  const loop = new LoopThread({
    runtime,
    entry: "file:///entry.ts",
    orders: ORDERS,
    onError: undefined,
    onRequest: (entry) => void told.push(entry),
    onCrash: (cause) => void crashes.push(cause),
    onNotStarted: (cause) => void notStarted.push(cause),
    reportError: (error) => void reported.push(error),
  });
  const { clock } = runtime;
  const say = async (message: unknown): Promise<void> => {
    parents.at(-1)?.post(message);
    await clock.settle();
  };
  return { loop, runtime, clock, say, note, settled, reported, crashes, notStarted, heard, told };
}

type Bench = ReturnType<typeof createBench>;

const failure = copyError(new TrivetError("listen-failed", "The port is taken."));
const badModule = copyError(new TrivetError("module-invalid", "There is no such module."));

/** How each state is come to. */
const WAYS_TO: Readonly<Record<LoopState, (bench: Bench) => Promise<void>>> = {
  async idle() {},
  async starting({ loop, note, clock }) {
    note("start", loop.start());
    await clock.settle();
  },
  async loaded(bench) {
    await WAYS_TO.starting(bench);
    await bench.say({ isReady: true });
  },
  async binding(bench) {
    await WAYS_TO.loaded(bench);
    bench.note("listen", bench.loop.listen(80));
    await bench.clock.settle();
  },
  async listening(bench) {
    await WAYS_TO.binding(bench);
    await bench.say({ kind: "listening", error: null });
  },
  async lost(bench) {
    await WAYS_TO.listening(bench);
    bench.runtime.threads[0].crash(new Error("boom"));
    await bench.clock.settle();
  },
  async stopping(bench) {
    await WAYS_TO.listening(bench);
    bench.note("stop", bench.loop.stop());
    await bench.clock.settle();
  },
  async stopped(bench) {
    await WAYS_TO.stopping(bench);
    await bench.say({ kind: "stopped", drained: 1, aborted: 0, counts: NO_COUNTS });
  },
};

/** What may happen in any state. */
const EVENTS: Readonly<Record<string, (bench: Bench) => void | Promise<void>>> = {
  "the thread is ready": ({ say }) => say({ isReady: true }),
  "the thread can't be ready": ({ say }) => say({ isReady: false, error: badModule }),
  "the loop listens": ({ say }) => say({ kind: "listening", error: null }),
  "the loop can't listen": ({ say }) => say({ kind: "listening", error: failure }),
  "the loop counts": ({ say }) => say({ kind: "counts", counts: { ...NO_COUNTS, accepted: 3 } }),
  "the loop has an error": ({ say }) => say({ kind: "error", reportId: 1, error: failure, request: null }),
  "a rejection is told": ({ say }) => say({ kind: "loose-error", error: failure }),
  "the loop publishes": ({ say }) => say({ published: [{ topic: "a", message: "b" }], takenBytes: 0 }),
  "it is published to": ({ loop }) => loop.publish({ topic: "a", message: "b" }),
  "the loop has stopped": ({ say }) => say({ kind: "stopped", drained: 0, aborted: 0, counts: NO_COUNTS }),
  "a message of the user's module": ({ say }) => say({ hello: "there" }),
  "no object": ({ say }) => say(null),
  "a kind without its content": ({ say }) => say({ kind: "error" }),
  "another kind without its content": ({ say }) => say({ kind: "requests" }),
  "the thread crashes": ({ runtime }) => runtime.threads.at(-1)?.crash(new Error("boom")),
  "the thread stands still": ({ runtime }) => runtime.threads.at(-1)?.freeze(),
  "it is told to listen": ({ loop, note }) => note("listen again", loop.listen(81)),
  "it is started": ({ loop, note }) => note("start again", loop.start()),
  "it is told to drain": ({ loop }) => loop.drain(),
  "it is cut off": ({ loop }) => loop.cutOff(),
  "it is told to stop": ({ loop, note }) => note("stop early", loop.stop()),
  "31 s pass": ({ clock }) => clock.advance(31_000),
};

describe("a loop on another thread", () => {
  for (const state of Object.keys(LOOP_STATES.ways) as LoopState[]) {
    for (const [event, happen] of Object.entries(EVENTS)) {
      test(`that is ${state}: ${event}; and everything settles`, async () => {
        const bench = createBench();
        const { loop, clock, note, settled, runtime, reported } = bench;
        await WAYS_TO[state](bench);
        assert.equal(loop.state, state);
        await happen(bench);
        await clock.settle();
        note("stop at last", loop.stop());
        loop.cutOff();
        await clock.advance(1_000);
        await clock.settle();
        assert.deepEqual(Object.entries(settled).filter(([, how]) => how === "pending"), []);
        assert.deepEqual(Object.values(settled).filter((how) => how.startsWith("not a")), []);
        assert.equal(settled["stop at last"], "resolved");
        assert.equal(loop.state, "stopped");
        assert.deepEqual(runtime.threads.filter(({ isAlive }) => isAlive), []);
        assert.equal(clock.pendingCount, 0);
        const faults = reported.filter(({ code }) => code === "internal-error").length;
        assert.ok(faults === 0 || event.endsWith("kind without its content"), `${faults} faults`);
      });
    }
  }

  test("that is frozen while it loads is given up after 30 s, and so is one that does not bind", async () => {
    const loading = createBench();
    await WAYS_TO.starting(loading);
    loading.runtime.threads[0].freeze();
    await loading.clock.advance(29_999);
    assert.equal(loading.settled.start, "pending");
    await loading.clock.advance(1);
    assert.equal(loading.settled.start, "module-invalid");
    const binding = createBench();
    await WAYS_TO.binding(binding);
    await binding.clock.advance(30_000);
    assert.deepEqual([binding.settled.listen, binding.loop.state], ["listen-failed", "lost"]);
  });

  test("that is stopped before the runtime has given it a thread ends at once, and the thread too when it comes", async () => {
    const { loop, note, settled, clock, runtime } = createBench();
    note("start", loop.start());
    note("stop", loop.stop());
    assert.equal(loop.state, "stopped");
    await clock.settle();
    assert.deepEqual(settled, { start: "resolved", stop: "resolved" });
    assert.deepEqual([runtime.threads.map(({ isAlive }) => isAlive), clock.pendingCount], [[false], 0]);
  });

  test("is told to drain once, however it ends then, and a stop waits for the drain", async () => {
    const bench = createBench();
    const { loop, heard, note, settled, clock, say } = bench;
    await WAYS_TO.listening(bench);
    heard.length = 0;
    loop.drain({ delayMs: 5_000, closesIdle: false });
    note("stop", loop.stop());
    loop.cutOff();
    loop.cutOff();
    await clock.settle();
    assert.deepEqual(heard, [{ kind: "drain", delayMs: 5_000, closesIdle: false }, { kind: "cut-off" }]);
    assert.equal(settled.stop, "pending");
    await say({ kind: "stopped", drained: 1, aborted: 2, counts: NO_COUNTS });
    assert.deepEqual(await loop.stop(), { drained: 1, aborted: 2 });
    assert.equal(settled.stop, "resolved");
  });

  test("that is stopped ends, and reports nothing, although the runtime says later that there is no thread", async () => {
    const { loop, runtime, clock, note, settled, reported } = createBench();
    runtime.startThread = async () => {
      await clock.settle();
      throw new Error("There are no more threads.");
    };
    note("start", loop.start());
    note("stop", loop.stop());
    await clock.settle();
    await clock.settle();
    assert.deepEqual([settled, reported], [{ start: "resolved", stop: "resolved" }, []]);
  });

  test("ends a thread that is given to it when it does not wait for one, and starts another in its time", async () => {
    const bench = createBench();
    const { loop, runtime, clock } = bench;
    await WAYS_TO.lost(bench);
    const { startThread } = runtime;
    const gate = createGate();
    runtime.startThread = async (entry, events) => {
      await gate.opened;
      return await startThread(entry, events);
    };
    await clock.advance(1_000);
    assert.equal(loop.state, "starting");
    await clock.advance(30_000);
    assert.equal(loop.state, "lost");
    gate.open();
    await clock.settle();
    assert.deepEqual(runtime.threads.map(({ isAlive }) => isAlive), [false, false]);
    await clock.advance(1_000);
    assert.deepEqual(runtime.threads.map(({ isAlive }) => isAlive), [false, false, true]);
    await bench.say({ isReady: true });
    assert.equal(loop.state, "binding");
  });

  test("reads its certificates where it listens, and says what is wrong with them", async () => {
    const bench = createBench();
    const { loop, note, settled, say, clock } = bench;
    await WAYS_TO.listening(bench);
    note("good", loop.reloadTls());
    note("bad", loop.reloadTls());
    await say({ kind: "tls-reloaded", error: null });
    assert.deepEqual([settled.good, settled.bad], ["resolved", "pending"]);
    await say({ kind: "tls-reloaded", error: failure });
    assert.equal(settled.bad, "listen-failed");
    bench.runtime.threads[0].crash(new Error("boom"));
    await clock.settle();
    note("lost", loop.reloadTls());
    await clock.settle();
    assert.equal(settled.lost, "resolved", "it reads them when it listens again");
  });

  test("is lost by what it says wrongly, which is reported, and nothing else is", async () => {
    const bench = createBench();
    await WAYS_TO.listening(bench);
    await bench.say({ kind: "requests" });
    assert.deepEqual(bench.reported.map(({ code }) => code), ["internal-error"]);
    assert.deepEqual([bench.loop.state, bench.runtime.threads[0].wasTerminated], ["lost", true]);
    const stopping = createBench();
    await WAYS_TO.stopping(stopping);
    await stopping.say({ kind: "requests" });
    assert.deepEqual([stopping.loop.state, stopping.runtime.threads[0].isAlive], ["stopping", true]);
  });

  test("has an error told that belongs to no exchange", async () => {
    const bench = createBench();
    await WAYS_TO.listening(bench);
    await bench.say({ kind: "loose-error", error: failure });
    assert.deepEqual(bench.reported.map(({ code }) => code), ["listen-failed"]);
  });

  test("hears that the requests which it has told were taken, and by how many there is room for others", async () => {
    const bench = createBench();
    await WAYS_TO.listening(bench);
    await bench.say({ kind: "requests", entries: ["one", "two"] });
    await bench.say({ kind: "requests", entries: ["three"] });
    assert.deepEqual(bench.told, ["one", "two", "three"]);
    assert.deepEqual(bench.heard.slice(-2), [
      { kind: "requests-heard", count: 2 },
      { kind: "requests-heard", count: 1 },
    ]);
  });

  test("that is lost is told nothing, and does not fall behind by that", async () => {
    const bench = createBench();
    await WAYS_TO.lost(bench);
    for (const topic of ["a", "b"]) bench.loop.publish({ topic, message: "m".repeat(17 * 1024 * 1024) });
    await bench.clock.settle();
    assert.deepEqual(bench.reported, []);
  });

  test("that has never listened is not started again; one that has is, after a second", async () => {
    const never = createBench();
    await WAYS_TO.loaded(never);
    never.runtime.threads[0].crash(new Error("boom"));
    await never.clock.advance(60_000);
    assert.equal(never.runtime.threads.length, 1);
    assert.deepEqual([never.crashes, never.notStarted], [[], []], "its server is told by listen");
    const once = createBench();
    await WAYS_TO.lost(once);
    await once.clock.advance(1_000);
    assert.equal(once.runtime.threads.length, 2);
    await once.say({ isReady: true });
    assert.deepEqual(once.heard.at(-1), { kind: "listen", port: 80 });
    assert.deepEqual([once.crashes.map(({ code }) => code), once.notStarted], [["thread-crashed"], []]);
    once.runtime.threads[1].crash(new Error("boom"));
    await once.clock.settle();
    assert.deepEqual([once.crashes.length, once.notStarted.map(({ code }) => code)], [1, ["thread-crashed"]]);
  });
});
