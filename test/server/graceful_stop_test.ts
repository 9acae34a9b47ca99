/**
 * A graceful stop loses no request: it is announced, everything that was accepted is answered, and what is idle waits for
 * the request that may be on its way. In memory, on virtual time.
 */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { ShutdownOptions } from "../../src/api/server.ts";
import type { Listener, ListenOptions, TransportEvents } from "../../src/transport.ts";
import { createMemoryRuntime } from "../support/memory_runtime.ts";
import {
  createGate,
  createMemoryServer,
  get,
  okText,
  post,
  startMemoryServer,
  text,
} from "../support/memory_server.ts";

const hello = (): Response => text("hello");
const never = (): Promise<Response> => new Promise(() => {});
const CLOSE = "Connection: close";

describe("a stop that is announced", () => {
  test("answers everything until the delay is over, and says that each connection ends", async () => {
    const { send, clock, server } = await startMemoryServer(hello, { healthPath: "/health" });
    const idle = await send(get());
    const report = server.shutdown({ delay: 1_000 });
    const { state, draining } = server.stats();
    assert.deepEqual([state, draining], ["draining", true]);
    await clock.advance(999);
    const check = await send(get("/health"));
    assert.match(check.received(), /^HTTP\/1\.1 503 [^]*\r\nConnection: close\r\n[^]*stopping\n$/);
    const late = await send(get());
    assert.equal(late.received(), okText("hello", CLOSE));
    await clock.advance(1);
    await assert.rejects(send(get()), /There is no listener/);
    idle.send(get());
    await clock.settle();
    assert.match(idle.received(), /hello[^]*\r\nConnection: close\r\n[^]*hello$/);
    for (const peer of [idle, check, late]) peer.end();
    await clock.settle();
    assert.deepEqual(await report, { drained: 3, aborted: 0, durationMs: 1_000 });
    assert.equal(clock.pendingCount, 0);
  });

  test("is over at once when a later call has no delay, and nothing of the delay is left", async () => {
    const { clock, server, connect } = await startMemoryServer(hello);
    const first = server.shutdown({ delay: 5_000 });
    const second = server.shutdown({ delay: 0 });
    await clock.settle();
    assert.throws(connect, /There is no listener/);
    assert.deepEqual(await first, await second);
    assert.equal(clock.pendingCount, 0);
  });

  test("has the delay and the time of the options, unless it is given others", async () => {
    for (
      const [given, delayMs, timeoutMs] of [[{}, 2_000, 3_000], [{ delay: 500, timeout: 700 }, 500, 700]] as const
    ) {
      const { send, connect, clock, server } = await startMemoryServer(never, {
        drainDelay: 2_000,
        drainTimeout: 3_000,
      });
      await send(get());
      const report = server.shutdown(given);
      await clock.advance(delayMs - 1);
      connect().reset();
      await clock.advance(1);
      assert.throws(connect, /There is no listener/);
      await clock.advance(timeoutMs);
      assert.deepEqual(await report, { drained: 1, aborted: 1, durationMs: delayMs + timeoutMs });
    }
  });

  test("is over sooner when a later call says so, and not later", async () => {
    const { send, connect, clock, server } = await startMemoryServer(never);
    await send(get());
    const reports = [server.shutdown({ delay: 5_000, timeout: 60_000 })];
    await clock.advance(1_000);
    reports.push(server.shutdown({ delay: 1_000, timeout: 2_000 }), server.shutdown({ delay: 9_000 }));
    await clock.advance(1_000);
    assert.throws(connect, /There is no listener/);
    await clock.advance(2_000);
    const [first, ...others] = await Promise.all(reports);
    assert.deepEqual(first, { drained: 0, aborted: 1, durationMs: 4_000 });
    assert.deepEqual(others, [first, first]);
    assert.equal(clock.pendingCount, 0);
  });

  test("is cut short by stop()", async () => {
    const { send, connect, clock, server } = await startMemoryServer(never);
    await send(get());
    const report = server.shutdown({ delay: 5_000 });
    await clock.advance(1_000);
    assert.deepEqual(await server.stop(), { drained: 0, aborted: 1, durationMs: 1_000 });
    assert.deepEqual(await report, await server.stop());
    assert.throws(connect, /There is no listener/);
    assert.equal(clock.pendingCount, 0);
  });

  test("tells handlers of it when the delay is over", async () => {
    let draining!: AbortSignal;
    const { send, clock, server } = await startMemoryServer((_request, info) => {
      draining = info.draining;
      return never();
    });
    await send(get());
    server.shutdown({ delay: 1_000 });
    await clock.advance(999);
    assert.equal(draining.aborted, false);
    await clock.advance(1);
    assert.equal(draining.aborted, true);
    await server.stop();
  });

  test("begins when the signal aborts, with the delay of the options", async () => {
    const controller = new AbortController();
    const { connect, server, clock } = await startMemoryServer(hello, { signal: controller.signal, drainDelay: 1_000 });
    controller.abort();
    await clock.advance(999);
    connect().end();
    await clock.advance(1);
    await server.finished;
  });
});

describe("the queue of the system", () => {
  test("is emptied before the server drains, and what comes until then is answered", async () => {
    const memory = createMemoryRuntime();
    const gate = createGate();
    const runtime = {
      ...memory,
      listen(options: ListenOptions, events: TransportEvents): Listener {
        const listener = memory.listen(options, events) as Listener;
        return { ...listener, closeWhenEmpty: () => gate.opened.then(() => void listener.close()) };
      },
    };
    const { server, clock, send } = createMemoryServer(runtime, {}, hello);
    await server.ready();
    const report = server.shutdown();
    const peer = await send(get());
    assert.equal(peer.received(), okText("hello", CLOSE));
    peer.end();
    await clock.advance(100);
    assert.equal(server.stats().state, "draining");
    gate.open();
    await clock.settle();
    assert.deepEqual(await report, { drained: 1, aborted: 0, durationMs: 100 });
  });

  for (const how of ["stop()", "the deadline"]) {
    test(`is not waited for beyond ${how}`, async () => {
      const memory = createMemoryRuntime();
      let closed = 0;
      const runtime = {
        ...memory,
        listen(options: ListenOptions, events: TransportEvents): Listener {
          const listener = memory.listen(options, events) as Listener;
          return { ...listener, close: () => void closed++, closeWhenEmpty: () => new Promise<void>(() => {}) };
        },
      };
      const { server, clock } = createMemoryServer(runtime, {}, hello);
      await server.ready();
      const report = server.shutdown({ timeout: 1_000 });
      if (how === "stop()") server.stop();
      else await clock.advance(1_000);
      assert.equal((await report).aborted, 0);
      assert.equal(closed, 1);
    });
  }
});

describe("a server that drains", () => {
  test("finishes exchanges in flight and says close", async () => {
    const gate = createGate();
    const { send, clock, server } = await startMemoryServer(() => gate.opened.then(hello));
    const busy = await send(get());
    const report = server.shutdown();
    await clock.settle();
    assert.deepEqual([server.stats().state, busy.serverSide], ["draining", "open"]);
    gate.open();
    await clock.settle();
    assert.equal(busy.received(), okText("hello", CLOSE));
    busy.end();
    await clock.settle();
    assert.deepEqual(await report, { drained: 1, aborted: 0, durationMs: 0 });
    assert.equal(server.stats().state, "stopped");
    await server.finished;
    assert.equal(clock.pendingCount, 0);
  });

  test("answers what has only begun to come, and every request behind one in flight", async () => {
    const gate = createGate();
    const { send, clock, server } = await startMemoryServer(async (request) => {
      await gate.opened;
      return text(await request.text());
    });
    const begun = await send("POST / HTTP/1.1\r\n");
    const pipelined = await send(post("/", 1, "a") + post("/", 1, "b") + post("/", 1, "c"));
    server.shutdown();
    await clock.settle();
    begun.send("Host: a.test\r\nContent-Length: 5\r\n\r\nhello");
    gate.open();
    await clock.settle();
    assert.equal(begun.received(), okText("hello", CLOSE));
    assert.equal(pipelined.received(), okText("a") + okText("b") + okText("c", CLOSE));
    await server.stop();
  });

  test("waits for a connection that has not said anything, and answers its one request", async () => {
    const { connect, clock, server } = await startMemoryServer(hello);
    const peer = connect();
    await clock.settle();
    const report = server.shutdown();
    await clock.advance(5_000);
    peer.send(get());
    await clock.settle();
    assert.match(peer.received(), /\r\nConnection: close\r\n[^]*hello$/);
    peer.end();
    await clock.settle();
    assert.deepEqual(await report, { drained: 1, aborted: 0, durationMs: 5_000 });
  });

  test("closes idle connections when their time is over, or at the deadline, which cuts off nothing", async () => {
    for (const [keepAliveTimeout, durationMs] of [[3_000, 3_000], [60_000, 10_000]] as const) {
      const { send, clock, server } = await startMemoryServer(hello, { keepAliveTimeout });
      const peer = await send(get());
      const report = server.shutdown();
      await clock.advance(durationMs - 500);
      assert.equal(peer.serverSide, "open");
      // The coarse clock, and the second in which a client may close too.
      await clock.advance(2_500);
      const { drained, aborted } = await report;
      assert.deepEqual([drained, aborted], [1, 0]);
    }
  });

  test("closes them at once if it is told to, then or when it drains already", async () => {
    const { connect, send, clock, server } = await startMemoryServer(hello);
    const [fresh, idle, begun] = [connect(), await send(get()), await send("GET")];
    const report = server.shutdown();
    await clock.advance(100);
    assert.deepEqual([fresh, idle, begun].map((peer) => peer.serverSide), ["open", "open", "open"]);
    server.shutdown({ closeIdle: true });
    await clock.settle();
    assert.deepEqual([fresh, idle, begun].map((peer) => peer.serverSide), ["ended", "ended", "open"]);
    begun.send(get().slice(3));
    await clock.settle();
    assert.equal(begun.received(), okText("hello", CLOSE));
    for (const peer of [fresh, idle, begun]) peer.end();
    await clock.settle();
    assert.deepEqual(await report, { drained: 3, aborted: 0, durationMs: 100 });
  });

  test("closes them when its delay is over, and not before, where it is told to with a delay", async () => {
    const { send, clock, server } = await startMemoryServer(hello);
    const idle = await send(get());
    server.shutdown({ delay: 1_000, closeIdle: true });
    await clock.advance(999);
    assert.equal(idle.serverSide, "open");
    await clock.advance(1);
    assert.equal(idle.serverSide, "ended");
  });

  test("closes one whose content was still being thrown away when that is over, if it is told to", async () => {
    const { send, clock, server } = await startMemoryServer(hello);
    const peer = await send(post("/", 10, "hello"));
    assert.equal(peer.received(), okText("hello"));
    server.shutdown({ closeIdle: true });
    await clock.settle();
    assert.equal(peer.serverSide, "open");
    peer.send("world");
    await clock.settle();
    assert.equal(peer.serverSide, "ended");
  });

  test("does not wait long for clients that do not close", async () => {
    const { send, clock, server } = await startMemoryServer(hello);
    await send(get());
    const report = server.shutdown({ closeIdle: true });
    await clock.advance(3_000);
    assert.equal((await report).aborted, 0);
  });

  test("cuts off at its deadline what is left, and reports it", async () => {
    let signal!: AbortSignal;
    const { send, clock, server } = await startMemoryServer((request) => {
      signal = request.signal;
      return never();
    });
    const peer = await send(get());
    const begun = await send("GET");
    const report = server.shutdown({ timeout: 3_000 });
    await clock.advance(2_900);
    assert.deepEqual([peer.serverSide, begun.serverSide], ["open", "open"]);
    await clock.advance(200);
    assert.deepEqual([peer.serverSide, begun.serverSide], ["closed", "closed"]);
    assert.equal(signal.aborted, true);
    assert.deepEqual(await report, { drained: 0, aborted: 2, durationMs: 3_000 });
  });

  test("is ended by stop, at once", async () => {
    const { send, clock, server } = await startMemoryServer(never);
    const peer = await send(get());
    const graceful = server.shutdown({ timeout: 60_000 });
    const hard = server.stop();
    await clock.settle();
    assert.equal(peer.serverSide, "closed");
    assert.deepEqual(await hard, { drained: 0, aborted: 1, durationMs: 0 });
    assert.deepEqual(await graceful, await hard);
  });

  test("is what the end of a scope leaves, without what is idle", async () => {
    const { send, clock, server } = await startMemoryServer(hello, { drainDelay: 5_000 });
    const idle = await send(get());
    const disposed = server[Symbol.asyncDispose]();
    await clock.settle();
    assert.equal(idle.serverSide, "ended");
    idle.end();
    await disposed;
  });
});

describe("a server that gives way to another one at its place", () => {
  test("closes its listener and what is idle at once, and says that what is in flight is the last", async () => {
    const gate = createGate();
    const { send, clock, server } = await startMemoryServer(async ({ url }) => {
      if (url.endsWith("/slow")) await gate.opened;
      return text("hello");
    });
    const [idle, slow] = [await send(get()), await send(get("/slow"))];
    await server.giveWay();
    await assert.rejects(send(get()), /There is no listener/);
    await clock.settle();
    assert.deepEqual([idle.serverSide, slow.serverSide], ["ended", "open"]);
    gate.open();
    await clock.settle();
    assert.equal(slow.received(), okText("hello", CLOSE));
    for (const peer of [idle, slow]) peer.end();
    await server.finished;
    assert.equal(clock.pendingCount, 0);
  });

  test("cuts off what is in flight after a second", async () => {
    const { send, clock, server } = await startMemoryServer(never);
    const peer = await send(get());
    server.giveWay();
    await clock.advance(999);
    assert.equal(peer.serverSide, "open");
    await clock.advance(1);
    assert.equal(peer.serverSide, "closed");
    assert.deepEqual(await server.shutdown(), { drained: 0, aborted: 1, durationMs: 1_000 });
  });
});

test("certificates whose files are watched are let go of by each kind of stop", async () => {
  for (const how of ["shutdown", "stop"] as const) {
    const { server, clock } = await startMemoryServer(hello, { tls: { cert: "c", key: "k" }, tlsWatch: true });
    assert.equal(clock.pendingCount, 1);
    await server[how]();
    assert.equal(clock.pendingCount, 0);
    await assert.rejects(server.reloadTls(), { code: "not-listening" });
  }
});

describe("the report of a stop", () => {
  test("counts the connections that were open when it began, and none before them", async () => {
    for (const how of ["shutdown", "stop"] as const) {
      const { send, clock, server } = await startMemoryServer(hello);
      for (let i = 0; i < 3; i++) (await send(get())).end();
      await clock.settle();
      const open = await send(get());
      const report = server[how]({ closeIdle: true });
      await clock.settle();
      open.end();
      await clock.settle();
      assert.deepEqual(await report, { drained: 1, aborted: 0, durationMs: 0 });
    }
  });
});

test("a client that is refused and not told yet is not counted as cut off by a stop", async () => {
  const { send, connect, clock, server } = await startMemoryServer(hello, { maxConnections: 1 });
  await send(get());
  connect();
  await clock.settle();
  assert.equal(server.stats().connections.refused, 1);
  assert.deepEqual(await server.stop(), { drained: 1, aborted: 0, durationMs: 0 });
});

const A_WAIT = "allowed is a whole number of milliseconds from 0 to 2147483647.";

/** What is no way to stop: what `shutdown()` is given, and what it says. */
const WRONG_STOPS: readonly { readonly given: unknown; readonly error: string; readonly message: string }[] = [
  ...["delay", "timeout"].flatMap((name) => [
    ...[-1, 0.5, NaN, 2 ** 31].map((value) => ({
      given: { [name]: value },
      error: "RangeError",
      message: `The option ${name} is ${value}, ${A_WAIT}`,
    })),
    { given: { [name]: "1" }, error: "TypeError", message: `The option ${name} is "1", ${A_WAIT}` },
  ]),
  {
    given: { closeIdle: "yes" },
    error: "TypeError",
    message: 'The option closeIdle is "yes", allowed is a boolean.',
  },
  {
    given: { timeuot: 1 },
    error: "TypeError",
    message: 'Unknown option of shutdown() "timeuot", did you mean timeout?',
  },
  ...[5_000, "SIGTERM", true, null, () => {}].map((given) => ({
    given,
    error: "TypeError",
    message: `shutdown() got ${
      typeof given === "function" ? "a function" : JSON.stringify(given)
    }, expected options, such as shutdown({ timeout: 5000 }).`,
  })),
];

test("a stop that was asked for in a wrong way is refused, and the server goes on", async () => {
  const { server } = await startMemoryServer(hello);
  for (const { given, error: name, message } of WRONG_STOPS) {
    await assert.rejects(server.shutdown(given as ShutdownOptions), { name, message });
  }
  assert.equal(server.stats().state, "listening");
  await server.stop();
});
