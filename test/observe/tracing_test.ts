/** The channel "trivet.request", and the trace context that handlers get: in memory, under each model. */

import assert from "node:assert/strict";
import { AsyncLocalStorage } from "node:async_hooks";
import { tracingChannel } from "node:diagnostics_channel";
import { afterEach, describe, test } from "node:test";
import type { Handler } from "../../src/api/handler.ts";
import type { ServeOptions } from "../../src/api/options.ts";
import type { TracedCall } from "../../src/exchange/tracing.ts";
import type { TraceContext } from "../../src/http/trace_context.ts";
import { createGate, get, okText, startMemoryServer, text } from "../support/memory_server.ts";
import { startThreadServer } from "../support/thread_server.ts";

const channel = tracingChannel<unknown, TracedCall>("trivet.request");
const EVENTS = ["start", "end", "asyncStart", "asyncEnd", "error"] as const;
type EventName = (typeof EVENTS)[number];

const subscribed: [EventName, (call: unknown) => void][] = [];
const stores: AsyncLocalStorage<unknown>[] = [];

/** Notes events of the channel, until the test is over. */
function listen(...names: readonly EventName[]): { events: string[]; calls: Set<TracedCall> } {
  const events: string[] = [];
  const calls = new Set<TracedCall>();
  for (const name of names) {
    const listener = (call: unknown): void => {
      events.push(name);
      calls.add(call as TracedCall);
    };
    channel[name].subscribe(listener);
    subscribed.push([name, listener]);
  }
  return { events, calls };
}

/** Binds a store to the start of calls. */
function bind<T>(transform: (call: TracedCall) => T): AsyncLocalStorage<T> {
  const store = new AsyncLocalStorage<T>();
  channel.start.bindStore(store, (call) => transform(call as TracedCall));
  stores.push(store as AsyncLocalStorage<unknown>);
  return store;
}

afterEach(() => {
  for (const [name, listener] of subscribed.splice(0)) channel[name].unsubscribe(listener);
  for (const store of stores.splice(0)) channel.start.unbindStore(store);
});

/** A server whose channel is open. */
async function start(handler: Handler, options: ServeOptions = {}) {
  const started = await startMemoryServer(handler, options);
  await started.clock.settle();
  return started;
}

const hello: Handler = () => text("hello");
const later: Handler = () => Promise.resolve(text("hello"));
const throwing: Handler = () => {
  throw new Error("no");
};

describe("the channel trivet.request", () => {
  const rows: readonly (readonly [name: string, Handler, events: string[], ends: "result" | "error"])[] = [
    ["gives a response", hello, ["start", "end"], "result"],
    ["gives a promise", later, ["start", "end", "asyncStart", "asyncEnd"], "result"],
    ["throws", throwing, ["start", "error", "end"], "error"],
    ["rejects", () => Promise.reject(new Error("no")), ["start", "end", "error", "asyncStart", "asyncEnd"], "error"],
  ];
  for (const [name, handler, expected, end] of rows) {
    test(`tells of a handler that ${name}, each time with the same call`, async () => {
      const { send } = await start(handler);
      const { events, calls } = listen(...EVENTS);
      const peer = await send(get("/a?b"));
      assert.deepEqual(events, expected);
      assert.equal(calls.size, 1);
      const [call] = calls;
      assert.equal(call.request.url, "http://a.test/a?b");
      assert.equal(call.info.remoteAddr.transport, "tcp");
      assert.equal(end in call, true);
      assert.match(peer.received(), end === "result" ? /^HTTP\/1\.1 200 / : /^HTTP\/1\.1 500 /);
    });
  }

  for (const name of EVENTS) {
    test(`is heard by one that listens to ${name} alone`, async () => {
      const { send } = await start(name === "error" ? throwing : later);
      const { events } = listen(name);
      await send(get());
      assert.deepEqual(events, [name]);
    });
  }

  test("does not change what is sent, and tells nothing when nothing listens any more", async () => {
    const { send } = await start(hello);
    const { events } = listen("start");
    assert.equal((await send(get())).received(), okText("hello"));
    const [[name, listener]] = subscribed.splice(0);
    channel[name].unsubscribe(listener);
    assert.equal((await send(get())).received(), okText("hello"));
    assert.equal(events.length, 1);
  });

  test("sets what is bound to its start for all that the handler does, and for nothing else", async () => {
    const gate = createGate();
    const seen: (string | undefined)[] = [];
    const paths = bind((call) => new URL(call.request.url).pathname);
    const { send, clock } = await start(async () => {
      seen.push(paths.getStore());
      await gate.opened;
      seen.push(paths.getStore());
      return text("hello");
    });
    await send(get("/one"));
    await send(get("/two"));
    assert.equal(paths.getStore(), undefined);
    gate.open();
    await clock.settle();
    assert.deepEqual(seen, ["/one", "/two", "/one", "/two"]);
  });

  const models: readonly (readonly [string, ServeOptions])[] = [
    ["hybrid", { model: "hybrid", threads: 1 }],
    ["worker-pool on threads", { model: "worker-pool", workers: 1 }],
    ["event-driven with a module", {}],
    ["blocking with a module", { model: "blocking" }],
  ];
  for (const [name, options] of models) {
    test(`is told where the handler runs, once: ${name}`, async () => {
      let seen: string | undefined;
      const paths = bind((call) => new URL(call.request.url).pathname);
      const { events } = listen("start", "end");
      const { connect, clock } = await startThreadServer(() => {
        seen = paths.getStore();
        return text("hello");
      }, options);
      const peer = connect();
      peer.send(get("/here"));
      await clock.settle();
      await clock.settle();
      assert.deepEqual([seen, events], ["/here", ["start", "end"]]);
    });
  }
});

describe("info.trace", () => {
  const PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
  for (const [model, options] of [["event-driven", {}], ["hybrid", { model: "hybrid", threads: 1 }]] as const) {
    test(`is the trace context of the request: ${model}`, async () => {
      const seen: (TraceContext | null)[] = [];
      const { connect, clock } = await startThreadServer((_request, _place, info) => {
        seen.push(info.trace);
        return text("hello");
      }, options);
      const peer = connect();
      peer.send(get("/", `traceparent: ${PARENT}`, "tracestate: a=1", "TraceState: b=2") + get());
      await clock.settle();
      await clock.settle();
      assert.deepEqual(seen, [{
        traceId: "0af7651916cd43dd8448eb211c80319c",
        parentId: "b7ad6b7169203331",
        isSampled: true,
        flags: 1,
        state: "a=1, b=2",
      }, null]);
    });
  }
});
