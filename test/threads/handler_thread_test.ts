/**
 * A thread that runs handlers, in each of its states, met by each event: whatever dies when, its start and its close
 * settle, each of its calls ends or comes back, nothing throws into the runtime, and nothing is left.
 */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { TrivetError } from "../../src/api/errors.ts";
import type { ParentThread } from "../../src/runtime.ts";
import { type Message, OutgoingBatch, readBatch } from "../../src/threads/batch.ts";
import { Claims } from "../../src/threads/claims.ts";
import { copyError } from "../../src/threads/error_copy.ts";
import { HandlerThread } from "../../src/threads/handler_thread.ts";
import { THREAD_STATES, type ThreadState } from "../../src/threads/thread_states.ts";
import type { HandlerOrders } from "../../src/threads/protocol.ts";
import { RemoteCall } from "../../src/threads/remote_call.ts";
import "../support/record_transitions.ts";
import { createMemoryRuntime } from "../support/memory_runtime.ts";
import { createGate } from "../support/memory_server.ts";
import { createExchange, type PlainExchange } from "../support/plain_exchange.ts";

const HANDLER_TIMEOUT_MS = 1_000;

/** One thread in memory, which says what the test has it say. */
function createBench(comes: Promise<void> | null = null) {
  const parents: ParentThread[] = [];
  const heard: unknown[] = [];
  const errors: TrivetError[] = [];
  const returned: RemoteCall[] = [];
  const causes: (TrivetError | null)[] = [];
  const memory = createMemoryRuntime({
    async thread(inside) {
      const parent = (await inside.parentThread())!;
      parents.push(parent);
      parent.listen((message) => void heard.push(message));
    },
  });
  const startThread: typeof memory.startThread = async (entry, events) => {
    await comes;
    return await memory.startThread(entry, events);
  };
  const runtime = comes === null ? memory : { ...memory, startThread };
  const { clock } = runtime;
  const orders = {
    module: "./m.ts",
    nativeRequest: false,
    fastResponse: false,
    callLimitMs: 0,
    halfCloseTimeoutMs: 1_000,
    takeTimeoutMs: 75_000,
    rejectionsAreFatal: false,
    measuresDelay: false,
  };
  const thread = new HandlerThread(runtime, orders, {
    onFree: () => {},
    onGone: (_thread, calls, cause) => {
      returned.push(...calls);
      causes.push(cause);
    },
    onError: (error) => void errors.push(error),
    onDelays: () => {},
    onTurn: () => {},
    onPublished: () => {},
  });
  const settled: Record<string, string> = {};
  const note = (name: string, promise: Promise<unknown>): void => {
    settled[name] = "pending";
    promise.then(() => settled[name] = "resolved", (error) => {
      settled[name] = error instanceof TrivetError ? error.code : `not a TrivetError: ${error}`;
    });
  };
  const say = async (message: unknown): Promise<void> => {
    parents.at(-1)?.post(message);
    await clock.settle();
  };
  const sayBatch = async (...messages: Message[]): Promise<void> => {
    const batch = new OutgoingBatch();
    for (const message of messages) batch.add(message);
    let sent: unknown;
    batch.send((made) => sent = made);
    await say(sent);
  };
  const exchanges: PlainExchange[] = [];
  const calls: RemoteCall[] = [];
  const keeper = { handlerTimeoutMs: HANDLER_TIMEOUT_MS, nowMs: () => clock.nowMs(), abandoned: () => {} };
  const give = async (method = "GET"): Promise<RemoteCall> => {
    const plain = createExchange(method);
    const call = new RemoteCall(plain.exchange, keeper);
    exchanges.push(plain);
    calls.push(call);
    thread.give(call);
    await clock.settle();
    return call;
  };
  /** The thread looks at calls, up to this one, and begins those that it may. */
  const begin = (sequence: number): boolean => new Claims((heard[0] as HandlerOrders).claims).begin(sequence);
  /** What the thread has heard, by kind. */
  const kinds = (): string[] => heard.slice(1).flatMap((batch) => readBatch(batch).messages.map(([kind]) => kind));
  return {
    thread,
    runtime,
    clock,
    say,
    sayBatch,
    note,
    settled,
    errors,
    returned,
    causes,
    exchanges,
    calls,
    give,
    begin,
    kinds,
    heard,
  };
}

type Bench = ReturnType<typeof createBench>;

/** How each state is come to, with one call that has begun and one that has not where there can be calls. */
const WAYS_TO: Readonly<Record<ThreadState, (bench: Bench) => Promise<void>>> = {
  async starting({ thread, note, clock }) {
    note("start", thread.start("file:///entry.ts"));
    await clock.settle();
  },
  async ready(bench) {
    await WAYS_TO.starting(bench);
    await bench.say({ isReady: true });
    await bench.give();
    await bench.give();
    bench.begin(1);
  },
  async retiring(bench) {
    await WAYS_TO.ready(bench);
    bench.thread.retire();
  },
  async closing(bench) {
    await WAYS_TO.ready(bench);
    bench.note("close", bench.thread.close());
    await bench.clock.settle();
  },
  async gone(bench) {
    await WAYS_TO.ready(bench);
    bench.runtime.threads[0].crash(new Error("boom"));
    await bench.clock.settle();
  },
};

const boom = copyError(new TrivetError("handler-failed", "It failed."));

const EVENTS: Readonly<Record<string, (bench: Bench) => unknown>> = {
  "it is ready": ({ say }) => say({ isReady: true }),
  "it can't be ready": ({ say }) =>
    say({ isReady: false, error: copyError(new TrivetError("module-invalid", "No such module.")) }),
  "it answers a call": ({ sayBatch }) => sayBatch(["answer", 1, 200, "", [], null, null, null, false, false]),
  "it answers a call twice": ({ sayBatch }) =>
    sayBatch(
      ["answer", 1, 200, "", [], null, null, null, false, false],
      ["answer", 1, 200, "", [], null, null, null, false, false],
    ),
  "it fails a call": ({ sayBatch }) => sayBatch(["failed", 1, boom]),
  "it fails a call that it has not begun": ({ sayBatch }) => sayBatch(["failed", 2, boom]),
  "it answers what it was not asked": ({ sayBatch }) =>
    sayBatch(["answer", 77, 200, "", [], null, null, null, false, false]),
  "it says how fast it is": ({ sayBatch, begin }) => begin(2) && sayBatch(["pace", 2, 2, 1]),
  "it says that it listens, unasked": ({ sayBatch }) => sayBatch(["pong", 1]),
  "it tells of a rejection": ({ sayBatch }) => sayBatch(["error", 0, boom]),
  "it tells how many WebSockets it has": ({ sayBatch }) => sayBatch(["sockets", 0, 3]),
  "it publishes": ({ say }) => say({ published: [{ topic: "a", message: "b" }], takenBytes: 0 }),
  "it is published to": ({ thread }) => thread.publish({ topic: "a", message: "b" }),
  "it says what is no kind of message": ({ sayBatch }) => sayBatch(["hello", 1]),
  "the user's module posts an object": ({ say }) => say({}),
  "the user's module posts null": ({ say }) => say(null),
  "the user's module posts what looks like a batch": ({ say }) => say(["no JSON", [], [], null]),
  "it crashes": ({ runtime }) => runtime.threads.at(-1)?.crash(new Error("boom")),
  "it ends by itself": ({ runtime }) => runtime.threads.at(-1)?.crash(new Error("The thread has ended by itself.")),
  "it stands still": ({ runtime }) => runtime.threads.at(-1)?.freeze(),
  "it is retired": ({ thread }) => thread.retire(),
  "it is closed": ({ thread, note }) => note("close early", thread.close()),
  "it is watched": ({ thread }) => [thread.watch(), thread.watch(), thread.watch()],
  "a call is taken back": ({ thread }) => thread.firstUnbegun !== null && thread.takeBack(thread.firstUnbegun),
  "a client goes": ({ exchanges }) => exchanges[0]?.exchange.abort(new TrivetError("peer-disconnected", "Gone.")),
  "the client of a call that waits goes": ({ exchanges }) =>
    exchanges[1]?.exchange.abort(new TrivetError("peer-disconnected", "Gone.")),
  "the time of a call is over": ({ calls, clock }) =>
    clock.advance(HANDLER_TIMEOUT_MS + 10).then(() => [calls[0]?.overdue(), calls[0]?.overdue()]),
  "31 s pass": ({ clock }) => clock.advance(31_000),
};

describe("a thread that runs handlers", () => {
  for (const state of Object.keys(THREAD_STATES.ways) as ThreadState[]) {
    for (const [event, happen] of Object.entries(EVENTS)) {
      test(`that is ${state}: ${event}; and everything settles`, async () => {
        const bench = createBench();
        const { thread, clock, note, settled, runtime, exchanges, calls, returned } = bench;
        await WAYS_TO[state](bench);
        assert.equal(thread.state, state);
        await happen(bench);
        await clock.settle();
        note("close at last", thread.close());
        await clock.advance(500);
        await clock.settle();
        assert.deepEqual(Object.entries(settled).filter(([, how]) => how === "pending"), []);
        assert.deepEqual(Object.values(settled).filter((how) => how.startsWith("not a")), []);
        assert.equal(thread.state, "gone");
        assert.deepEqual(runtime.threads.filter(({ isAlive }) => isAlive), []);
        assert.equal(clock.pendingCount, 0);
        for (const [index, { exchange, outcomes }] of exchanges.entries()) {
          const call = calls[index];
          const isBack = call.state === "waiting" && (returned.includes(call) || event === "a call is taken back");
          const hasEnded = outcomes.length === 1 || exchange.progress === "aborted";
          assert.ok(isBack || hasEnded, `call ${index} is ${call.state}, ${outcomes}`);
          assert.ok(!(isBack && hasEnded), `call ${index} is made again and was answered: ${outcomes}`);
        }
      });
    }
  }
});

describe("a thread that the runtime gives when it is not wanted any more", () => {
  for (const [name, end] of [["was closed", 0], ["was given up after 30 s", 30_000]] as const) {
    test(`is ended, where it ${name}`, async () => {
      const gate = createGate();
      const { thread, runtime, clock, note, settled, heard } = createBench(gate.opened);
      note("start", thread.start("file:///entry.ts"));
      if (end === 0) note("close", thread.close());
      await clock.advance(end);
      assert.equal(settled.start, "module-invalid");
      gate.open();
      await clock.settle();
      assert.deepEqual([runtime.threads.map(({ isAlive }) => isAlive), heard], [[false], []]);
      assert.equal(clock.pendingCount, 0);
    });
  }
});

describe("messages that the user's module posts", () => {
  for (const message of [{}, null, undefined, "text", 1, [], [1, 2, 3, 4], ["", [], []], { isReady: true }]) {
    test(`are ignored: ${JSON.stringify(message)}`, async () => {
      const bench = createBench();
      await WAYS_TO.starting(bench);
      // What says that it is ready is taken at its word until the thread is.
      if (typeof message !== "object" || message === null || !("isReady" in message)) await bench.say(message);
      assert.equal(bench.thread.state, "starting");
      await bench.say({ isReady: true });
      await bench.give();
      await bench.say(message);
      assert.deepEqual([bench.thread.state, bench.errors], ["ready", []]);
    });
  }
});

describe("the calls of a thread that is gone", () => {
  test("come back if they had not begun; those that had are answered with an error", async () => {
    const bench = createBench();
    await WAYS_TO.gone(bench);
    const [begun, unbegun] = bench.calls;
    assert.deepEqual([begun.state, unbegun.state], ["over", "waiting"]);
    assert.deepEqual(bench.returned, [unbegun]);
    assert.deepEqual(bench.exchanges.map(({ outcomes }) => outcomes), [["thread-lost"], []]);
    assert.deepEqual(bench.causes.map((cause) => cause?.code), ["thread-crashed"]);
  });
});

describe("a call whose client goes", () => {
  test("is not begun any more if it had not, and the thread gets others", async () => {
    const bench = createBench();
    await WAYS_TO.ready(bench);
    bench.exchanges[1].exchange.abort(new TrivetError("peer-disconnected", "Gone."));
    assert.equal(bench.begin(2), false);
    assert.equal(bench.thread.isReady, true);
    assert.equal(bench.thread.load, 1);
    assert.deepEqual(bench.kinds(), ["call", "call"], "the thread need not be told");
  });

  test("is aborted on the thread if it had, which gets no other call until it says that it listens", async () => {
    const bench = createBench();
    await WAYS_TO.ready(bench);
    bench.exchanges[0].exchange.abort(new TrivetError("peer-disconnected", "Gone."));
    await bench.clock.settle();
    assert.deepEqual(bench.kinds(), ["call", "call", "aborted", "ping"]);
    assert.equal(bench.thread.isReady, false);
    await bench.sayBatch(["pong", 1]);
    assert.equal(bench.thread.isReady, true);
  });
});

describe("a thread that is asked whether it listens", () => {
  /** The first call has begun and takes too long, behind another one that was given up. */
  async function suspect() {
    const bench = createBench();
    await WAYS_TO.ready(bench);
    bench.begin(2);
    bench.thread.watch();
    bench.exchanges[1].exchange.abort(new TrivetError("peer-disconnected", "Gone."));
    await bench.clock.advance(HANDLER_TIMEOUT_MS);
    assert.equal(bench.calls[0].overdue(), 300, "the call is given the time to find out");
    await bench.clock.settle();
    return bench;
  }

  test("is still suspected when it has answered an earlier question only", async () => {
    const bench = await suspect();
    await bench.sayBatch(["pong", 1]);
    await bench.clock.advance(250);
    assert.equal(bench.thread.state, "gone");
    assert.equal(bench.causes[0]?.code, "handler-timeout");
  });

  test("may still answer the call whose time is over before it says that it listens", async () => {
    const bench = await suspect();
    await bench.sayBatch(["answer", 1, 200, "", [], null, null, null, false, false], ["pong", 2]);
    await bench.clock.advance(1_000);
    assert.deepEqual(bench.exchanges[0].outcomes, [200]);
    assert.deepEqual([bench.exchanges[0].isTimedOut, bench.thread.state], [false, "ready"]);
  });

  test("is well when it has answered the last one: then it is the handler that takes too long", async () => {
    const bench = await suspect();
    await bench.sayBatch(["pong", 1], ["pong", 2]);
    await bench.clock.advance(1_000);
    assert.equal(bench.thread.state, "ready");
    assert.deepEqual(bench.exchanges.map(({ isTimedOut }) => isTimedOut), [true, false]);
  });
});
