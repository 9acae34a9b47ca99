/** The model "worker-pool" with a module: each worker has a thread of its own, which may compute or block. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { ServeOptions } from "../../src/api/options.ts";
import { createGate, get, okText, post, statuses, text } from "../support/memory_server.ts";
import {
  createThreadServer,
  type PlacedHandler,
  startThreadServer,
  type ThreadServer,
} from "../support/thread_server.ts";

const boom = new Error("boom");
const CLOSE = "Connection: close";
const number: PlacedHandler = (_request, place) => text(String(place.number));
const never: PlacedHandler = () => new Promise(() => {});

function start(handler: PlacedHandler, options: ServeOptions = {}): Promise<ThreadServer> {
  return startThreadServer(handler, { model: "worker-pool", workers: 2, ...options });
}

/** The text a 200 has brought. */
function content(received: string): string {
  return received.slice(received.indexOf("\r\n\r\n") + 4);
}

/** Starts one thread that answers and notes what it was asked for; the thread that replaces it begins when `second` opens. */
async function startWithSecondWithheld() {
  const called: string[] = [];
  const second = createGate();
  const started = await startThreadServer(
    (request) => {
      called.push(new URL(request.url).pathname);
      return text("hello");
    },
    { model: "worker-pool", workers: 1 },
    { begin: (thread) => thread === 2 ? second.opened : undefined },
  );
  return { ...started, called, second };
}

describe("the worker pool on threads", () => {
  test("runs all handlers of a connection on the thread of its worker", async () => {
    const { connect, clock, server } = await start(number);
    const [first, second] = [connect(), connect()];
    for (const peer of [first, second]) peer.send(get() + get());
    await clock.settle();
    await clock.settle();
    assert.deepEqual([first.received(), second.received()], [okText("1").repeat(2), okText("2").repeat(2)]);
    assert.deepEqual(server.stats().threads, { ready: 2, started: 2, lost: 0, renewed: 0 });
    assert.deepEqual(server.stats().workers, { total: 2, busy: 2 });
  });

  test("a thread that computes holds up nobody but its own connection", async () => {
    const { send, threads, clock } = await start(number, { workers: 3 });
    threads[0].freeze();
    const held = await send(get());
    const others = [await send(get()), await send(get())];
    assert.equal(held.received(), "");
    assert.deepEqual(others.map((peer) => content(peer.received())), ["2", "3"]);
    threads[0].thaw();
    await clock.settle();
    assert.equal(content(held.received()), "1");
  });

  test("has a bounded line of connections; others get 503 from the loop, whatever threads do", async () => {
    const { connect, threads, clock, server, until } = await start(number, { maxQueue: 2 });
    for (const thread of threads) thread.freeze();
    const peers = Array.from({ length: 6 }, () => connect());
    for (const peer of peers) peer.send(get("/", CLOSE));
    await clock.settle();
    assert.deepEqual(peers.map((peer) => statuses(peer.received())), [[], [], [], [], [503], [503]]);
    assert.deepEqual(server.stats().queue, { waiting: 2, longestWaitMs: 0, refused: 2 });
    for (const thread of threads) thread.thaw();
    await until(() => peers.every((peer) => peer.received() !== ""));
    assert.deepEqual(peers.map((peer) => statuses(peer.received())), [[200], [200], [200], [200], [503], [503]]);
  });

  test("closes a persistent connection with its response while others wait", async () => {
    const gate = createGate();
    const { send, until } = await start(async () => {
      await gate.opened;
      return text("hello");
    }, { workers: 1 });
    const owner = await send(get());
    const waiting = await send(get());
    gate.open();
    await until(() => waiting.received() !== "");
    assert.deepEqual([owner.received(), waiting.received()], [okText("hello", CLOSE), okText("hello")]);
  });

  test("answers deadlines of the peer while every thread stands still", async () => {
    const { connect, threads, clock } = await start(number);
    for (const thread of threads) thread.freeze();
    const peer = connect();
    peer.send("GET / HTTP/1.1\r\n");
    await clock.advance(15_600);
    assert.deepEqual(statuses(peer.received()), [408]);
  });

  test("keeps a connection whose thread crashes between two requests", async () => {
    const { send, threads, until, server, alive } = await start(number, { workers: 1 });
    const peer = await send(get());
    threads[0].crash(boom);
    peer.send(get());
    await until(() => server.stats().responses === 2);
    assert.equal(peer.received(), okText("1") + okText("2"));
    assert.deepEqual(alive(), [2]);
  });

  test("a crash is noticed by the connection of its worker alone", async () => {
    const calls: number[] = [];
    const { send, threads, until } = await start((request, place) => {
      calls.push(place.number);
      return calls.length <= 2 ? new Promise<Response>(() => {}) : text(`${request.method} ${place.number}`);
    });
    const first = await send(post("/", 0));
    const second = await send(get());
    threads[0].crash(boom);
    await until(() => first.received() !== "");
    assert.deepEqual(statuses(first.received()), [503]);
    assert.equal(second.received(), "");
    threads[1].crash(boom);
    await until(() => second.received() !== "");
    assert.deepEqual(statuses(second.received()), [503]);
    first.send(get());
    await until(() => first.received().endsWith("GET 3"));
  });

  test("gives connections to workers whose thread is ready; with none they wait in line", async () => {
    const lost = new Set([3, 4, 5, 6, 7, 8]);
    const setup = { lacksModule: (thread: number) => lost.has(thread) };
    const started = await startThreadServer(number, { model: "worker-pool", workers: 2 }, setup);
    const { send, threads, clock, until, server } = started;
    threads[0].crash(boom);
    await clock.settle();
    const other = await send(get("/", CLOSE));
    assert.equal(content(other.received()), "2");
    threads[1].crash(boom);
    await clock.settle();
    const waiting = await send(get("/", CLOSE));
    assert.equal(waiting.received(), "");
    assert.deepEqual(server.stats().queue.waiting, 1);
    assert.deepEqual(server.stats().workers.busy, 0);
    lost.clear();
    await clock.advance(1_000);
    await until(() => waiting.received() !== "");
    assert.deepEqual(statuses(waiting.received()), [200]);
  });

  test("gives a client no worker whose thread still computes for one that left, while another is free", async () => {
    const { send, threads } = await start((_request, place) => {
      if (place.number === 1) place.thread.freeze();
      return place.number === 1 ? new Promise<Response>(() => {}) : text(String(place.number));
    });
    const gone = await send(get());
    gone.reset();
    const next = await send(get());
    assert.equal(content(next.received()), "2");
    assert.equal(threads[0].isAlive, true);
  });

  test("replaces the thread of a handler that outlives handlerTimeout, and serves on", async () => {
    const { send, clock, until, server, threads } = await start((_request, place) => {
      if (place.number === 1) place.thread.freeze();
      return place.number === 1 ? new Promise<Response>(() => {}) : text(String(place.number));
    }, { workers: 1, handlerTimeout: 800 });
    const peer = await send(get());
    // The clock of the server ticks each 100 ms; the thread has 250 ms to say that it still listens.
    await clock.advance(900 + 249);
    assert.equal(threads[0].isAlive, true);
    await clock.advance(1);
    assert.equal(threads[0].wasTerminated, true);
    assert.deepEqual(statuses(peer.received()), [503]);
    await until(() => server.stats().threads.ready === 1);
    peer.send(get());
    await until(() => server.stats().responses === 2);
    assert.deepEqual(statuses(peer.received()), [503, 200], "the connection and its worker are the same");
  });

  test("renews the thread of a worker after maxRequestsPerThread, in the middle of a connection", async () => {
    const { connect, until, server, alive } = await start(number, { workers: 1, maxRequestsPerThread: 2 });
    const peer = connect();
    for (let call = 1; call <= 6; call++) {
      peer.send(get());
      await until(() => server.stats().responses === call);
      await until(() => server.stats().threads.renewed === Math.floor(call / 2) && alive().length === 1);
    }
    assert.deepEqual(statuses(peer.received()), Array(6).fill(200));
    assert.deepEqual(server.stats().threads, { ready: 1, started: 4, lost: 0, renewed: 3 });
  });

  test("has a worker for each two of the cores' threads unless told otherwise", async () => {
    const { server } = await startThreadServer(number, { model: "worker-pool" });
    assert.deepEqual([server.stats().workers.total, server.stats().threads.ready], [2, 2]);
  });
});

describe("a graceful stop of the worker pool on threads", () => {
  test("serves the line and what runs, ends the threads, and leaves nothing behind", async () => {
    const gate = createGate();
    const { send, clock, until, server, alive, threads } = await start(async () => {
      await gate.opened;
      return text("hello");
    }, { workers: 1 });
    const running = await send(get());
    const waiting = await send(get());
    const report = server.shutdown();
    await clock.settle();
    assert.deepEqual(alive(), [1]);
    gate.open();
    await until(() => waiting.received() !== "");
    assert.deepEqual([running, waiting].map((peer) => peer.received()), Array(2).fill(okText("hello", CLOSE)));
    for (const peer of [running, waiting]) peer.end();
    await until(() => server.stats().state === "stopped");
    assert.deepEqual(await report, { drained: 2, aborted: 0, durationMs: 0 });
    assert.deepEqual([alive(), clock.pendingCount, threads[0].wasTerminated], [[], 0, false]);
  });

  test("cuts off at its deadline a request that waits for its thread to be replaced", async () => {
    const setup = { lacksModule: (thread: number) => thread > 1 };
    const started = await startThreadServer(never, { model: "worker-pool", workers: 1 }, setup);
    const { send, threads, clock, server } = started;
    threads[0].freeze();
    const peer = await send(get());
    threads[0].crash(boom);
    await clock.advance(50);
    const report = server.shutdown({ timeout: 1_000 });
    await clock.advance(1_100);
    assert.deepEqual([peer.received(), peer.serverSide], ["", "closed"]);
    assert.equal((await report).aborted, 1);
    assert.equal(clock.pendingCount, 0);
  });

  test("calls the handler of a request that waited while its thread was replaced", async () => {
    const { called, second, ...started } = await startWithSecondWithheld();
    const { send, threads, clock, until, server } = started;
    threads[0].freeze();
    const peer = await send(get("/kept"));
    threads[0].crash(boom);
    await clock.settle();
    const report = server.shutdown();
    await clock.settle();
    second.open();
    await until(() => peer.received() !== "");
    assert.deepEqual([called, statuses(peer.received())], [["/kept"], [200]]);
    peer.end();
    await until(() => server.stats().state === "stopped");
    assert.equal((await report).aborted, 0);
  });

  test("does not call the handler of a client that left while its thread was replaced", async () => {
    const { called, second, ...started } = await startWithSecondWithheld();
    const { send, threads, clock, until, server } = started;
    threads[0].freeze();
    const gone = await send(get("/gone"));
    threads[0].crash(boom);
    await clock.settle();
    gone.reset();
    await clock.settle();
    second.open();
    await until(() => server.stats().threads.ready === 1);
    const next = await send(get("/next"));
    await until(() => next.received() !== "");
    assert.deepEqual(called, ["/next"]);
    assert.deepEqual([server.stats().threads.lost, started.reported.length], [1, 1]);
  });

  test("stop ends threads that stand still", async () => {
    const { send, threads, clock, server, alive } = await start(never);
    for (const thread of threads) thread.freeze();
    await send(get());
    const report = server.stop();
    await clock.advance(500);
    assert.deepEqual(await report, { drained: 0, aborted: 1, durationMs: 500 });
    assert.deepEqual([alive(), clock.pendingCount], [[], 0]);
  });
});

test("a worker pool that could not start has nothing to serve with", async () => {
  const setup = { lacksModule: (thread: number) => thread === 1 };
  const started = createThreadServer(number, { model: "worker-pool", workers: 2 }, setup);
  started.server.ready().catch(() => {});
  await started.until(() => started.server.stats().state === "stopped");
  assert.deepEqual(started.server.stats().threads.ready, 0);
  await assert.rejects(started.server.ready(), { code: "module-invalid" });
});
