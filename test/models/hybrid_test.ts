/** The model "hybrid": every handler call on a thread, dispatched from a loop that no handler can hold up. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { ServeOptions } from "../../src/api/options.ts";
import { createGate, type Gate, get, okText, post, statuses, text } from "../support/memory_server.ts";
import { type PlacedHandler, startThreadServer, type ThreadServer } from "../support/thread_server.ts";

const path: PlacedHandler = (request) => text(new URL(request.url).pathname);
const never: PlacedHandler = () => new Promise(() => {});

function start(handler: PlacedHandler, options: ServeOptions = {}): Promise<ThreadServer> {
  return startThreadServer(handler, { model: "hybrid", threads: 1, ...options });
}

/** A server whose handler answers with the number of its thread when the gate of its path is opened. */
async function startGated(options: ServeOptions = {}) {
  const gates = new Map<string, Gate>();
  const called: [name: string, thread: number][] = [];
  const gate = (name: string): Gate => {
    if (!gates.has(name)) gates.set(name, createGate());
    return gates.get(name)!;
  };
  const started = await start(async (request, { number }) => {
    const { pathname } = new URL(request.url);
    called.push([pathname, number]);
    await gate(pathname).opened;
    return text(String(number));
  }, options);
  const open = async (name: string): Promise<void> => {
    gate(name).open();
    await started.clock.settle();
  };
  return { ...started, called, open };
}

/** Makes so many calls, one after the other, and thereby tells how fast the one thread begins them. */
async function callInTurn({ send }: ThreadServer, count: number): Promise<void> {
  for (let i = 0; i < count; i++) {
    const peer = await send(get());
    assert.deepEqual(statuses(peer.received()), [200]);
    peer.reset();
  }
}

/** Sends so many requests while the one thread stands still. Returns how many it was given at once. */
async function countGiven(server: ThreadServer, count: number): Promise<number> {
  server.threads[0].freeze();
  for (let i = 0; i < count; i++) server.connect().send(get());
  await server.clock.settle();
  server.batches.length = 0;
  server.threads[0].thaw();
  await server.until(() => server.server.stats().activeExchanges === 0);
  const [first] = server.batches.filter(({ kinds }) => kinds.includes("call"));
  return first.kinds.filter((kind) => kind === "call").length;
}

describe("the hybrid model", () => {
  test("runs handlers on threads, and answers what they give", async () => {
    const { send, server } = await start(path, { threads: 3 });
    const peer = await send(get("/a"), get("/b"));
    assert.equal(peer.received(), okText("/a") + okText("/b"));
    assert.deepEqual(server.stats().threads, { ready: 3, started: 3, lost: 0, renewed: 0 });
    assert.equal(server.stats().model, "hybrid");
  });

  test("has as many threads as there are cores unless told otherwise", async () => {
    const { server } = await startThreadServer(path, { model: "hybrid" });
    assert.equal(server.stats().threads.ready, 1);
  });

  test("gives each call to the thread that has the fewest", async () => {
    const { send, called, open, server } = await startGated({ threads: 3 });
    for (const name of ["/1", "/2", "/3", "/4", "/5", "/6"]) await send(get(name));
    assert.deepEqual(called.map(([, thread]) => thread).sort(), [1, 1, 2, 2, 3, 3]);
    assert.deepEqual(server.stats().workers, { total: 3, busy: 3 });
    const [, free] = called[1];
    await open("/2");
    await send(get("/7"));
    assert.deepEqual(called.at(-1), ["/7", free]);
  });

  test("does not give calls to a thread that stands still while another is free", async () => {
    const { send, threads, called } = await startGated({ threads: 2 });
    threads[0].freeze();
    for (const name of ["/1", "/2", "/3", "/4", "/5"]) await send(get(name));
    assert.deepEqual(called.map(([, thread]) => thread), [2, 2, 2, 2], "one was given to the first in good faith");
    threads[0].thaw();
    await send("");
    assert.equal(called.length, 5);
  });

  test("says in one batch what is said in one turn", async () => {
    const server = await start(path);
    await callInTurn(server, 200);
    server.batches.length = 0;
    const peers = Array.from({ length: 20 }, () => server.connect());
    for (const peer of peers) peer.send(get());
    await server.clock.settle();
    for (const peer of peers) assert.deepEqual(statuses(peer.received()), [200]);
    const calls = server.batches.filter(({ kinds }) => kinds.includes("call"));
    const answers = server.batches.filter(({ kinds }) => kinds.includes("answer"));
    assert.deepEqual([calls.length, answers.length], [1, 1]);
    assert.equal(calls[0].kinds.filter((kind) => kind === "call").length, 20);
    assert.equal(answers[0].kinds.filter((kind) => kind === "answer").length, 20);
  });

  test("answers pipelined requests in order, one at a time", async () => {
    const { send, called, open, clock } = await startGated({ threads: 2 });
    const peer = await send(get("/1") + get("/2"));
    await open("/2");
    assert.deepEqual(called.map(([name]) => name), ["/1"]);
    await open("/1");
    await clock.settle();
    assert.deepEqual(called.map(([name]) => name), ["/1", "/2"]);
    assert.deepEqual(statuses(peer.received()), [200, 200]);
  });

  test("counts threads that have something to do", async () => {
    const { send, server, open } = await startGated({ threads: 4 });
    await send(get("/1"));
    await send(get("/2"));
    assert.deepEqual(server.stats().workers, { total: 4, busy: 2 });
    await open("/1");
    assert.deepEqual(server.stats().workers, { total: 4, busy: 1 });
    assert.equal(server.stats().activeExchanges, 1);
  });
});

describe("the window of a thread", () => {
  test("is one call until it is known how fast the thread begins them", async () => {
    const server = await start(path);
    assert.equal(await countGiven(server, 5), 1);
  });

  test("opens as the thread begins calls fast, up to 64", async () => {
    const server = await start(path);
    await callInTurn(server, 5);
    const soon = await countGiven(server, 100);
    assert.ok(soon > 1 && soon < 64, `${soon}`);
    await callInTurn(server, 100);
    assert.equal(await countGiven(server, 100), 64);
  });

  test("is one call again when the handler begins to compute", async () => {
    let computeMs = 0;
    const server = await start((_request, place) => {
      place.compute(computeMs);
      return text("done");
    });
    await callInTurn(server, 100);
    computeMs = 20;
    await callInTurn(server, 20);
    assert.equal(await countGiven(server, 10), 1);
  });

  test("is answered at once, but call by call for five times as long as a handler has computed", async () => {
    let computeMs = 0;
    const server = await start((_request, place) => {
      place.compute(computeMs);
      return text("done");
    });
    const countAnswers = async (): Promise<number[]> => {
      await callInTurn(server, 200);
      server.batches.length = 0;
      const peers = Array.from({ length: 5 }, () => server.connect());
      for (const peer of peers) peer.send(get());
      await server.until(() => peers.every((peer) => peer.received() !== ""));
      return server.batches.map(({ kinds }) => kinds.filter((kind) => kind === "answer").length).filter(Boolean);
    };
    const afterComputing = async (ms: number): Promise<number[]> => {
      computeMs = 30;
      await callInTurn(server, 1);
      computeMs = 0;
      await server.clock.advance(ms);
      return await countAnswers();
    };
    assert.deepEqual(await afterComputing(160), [5]);
    assert.deepEqual(await afterComputing(140), [1, 1, 1, 1, 1]);
  });

  test("holds as many calls as are begun in 2 ms", async () => {
    const server = await start((_request, place) => {
      place.compute(0.2);
      return text("done");
    });
    await callInTurn(server, 100);
    const given = await countGiven(server, 30);
    assert.ok(given >= 9 && given <= 10, `${given}`);
  });
});

describe("the queue of the hybrid model", () => {
  for (const maxQueue of [0, 1, 3]) {
    test(`has room for ${maxQueue} while every thread stands still; others get 503 at once`, async () => {
      const options = { threads: 2, maxQueue, retryAfter: 2 };
      const { connect, threads, clock, until, server, warned } = await start(path, options);
      for (const thread of threads) thread.freeze();
      const peers = Array.from({ length: 2 + maxQueue + 2 }, () => connect());
      for (const peer of peers) peer.send(get());
      await clock.settle();
      const taken = peers.slice(0, 2 + maxQueue);
      const refused = peers.slice(2 + maxQueue);
      assert.deepEqual(taken.map((peer) => peer.received()), taken.map(() => ""));
      for (const peer of refused) {
        assert.deepEqual(statuses(peer.received()), [503]);
        assert.match(peer.received(), /^retry-after: 2\r$/m);
        assert.match(peer.received(), /^Connection: close\r$/m);
      }
      assert.deepEqual(server.stats().queue, { waiting: maxQueue, longestWaitMs: 0, refused: 2 });
      assert.deepEqual(warned, ["queue-full"]);
      await clock.advance(700);
      assert.equal(server.stats().queue.longestWaitMs, maxQueue === 0 ? 0 : 700);
      for (const thread of threads) thread.thaw();
      await until(() => server.stats().activeExchanges === 0);
      assert.deepEqual(taken.map((peer) => statuses(peer.received())), taken.map(() => [200]));
      assert.equal(server.stats().queue.waiting, 0);
    });
  }

  test("that is full is warned of once in 10 seconds", async () => {
    const { send, threads, clock, warned } = await start(path, { maxQueue: 0 });
    threads[0].freeze();
    await send(get());
    for (let second = 0; second < 25; second++) {
      await send(get());
      await clock.advance(1_000);
    }
    assert.equal(warned.filter((code) => code === "queue-full").length, 3);
  });

  test("is first come, first served", async () => {
    const { send, threads, called, until } = await startGated();
    threads[0].freeze();
    const names = ["/1", "/2", "/3", "/4"];
    for (const name of names) await send(get(name));
    threads[0].thaw();
    await until(() => called.length === names.length);
    assert.deepEqual(called.map(([name]) => name), names);
  });

  test("is not overtaken by a request that comes when a thread has room again", async () => {
    const { send, connect, threads, called, until, clock } = await startGated();
    threads[0].freeze();
    for (const name of ["/1", "/2", "/3"]) await send(get(name));
    threads[0].thaw();
    // It comes in the turn in which the thread says that it has begun the first.
    connect().send(get("/4"));
    await until(() => called.length === 4);
    await clock.settle();
    assert.deepEqual(called.map(([name]) => name), ["/1", "/2", "/3", "/4"]);
  });

  test("is left by a client that goes away, whose handler is not called", async () => {
    const { send, threads, called, clock, server } = await startGated();
    threads[0].freeze();
    await send(get("/1"));
    const gone = await send(get("/2"));
    await send(get("/3"));
    gone.reset();
    await clock.settle();
    assert.equal(server.stats().queue.waiting, 1);
    threads[0].thaw();
    await clock.settle();
    assert.deepEqual(called.map(([name]) => name), ["/1", "/3"]);
  });

  test("is left after queueTimeout with 503, the calls that a thread was given and has not begun too", async () => {
    const { send, threads, called, clock, server } = await startGated({ queueTimeout: 800, retryAfter: 3 });
    threads[0].freeze();
    const given = await send(get("/1"));
    // A thread that had nothing to do is known to be held up within half a second.
    await clock.advance(510);
    const waiting = await send(get("/2"));
    assert.equal(server.stats().queue.waiting, 2);
    await clock.advance(700);
    assert.deepEqual([given.received(), waiting.received()], ["", ""]);
    await clock.advance(400);
    for (const peer of [given, waiting]) {
      assert.deepEqual(statuses(peer.received()), [503]);
      assert.match(peer.received(), /^retry-after: 3\r$/m);
    }
    assert.equal(server.stats().queue.waiting, 0);
    assert.deepEqual(server.stats().errors, { "queue-timeout": 2 });
    threads[0].thaw();
    await clock.settle();
    assert.deepEqual(called, [], "what was taken back is not begun");
  });

  test("is not part of the handler's time: handlerTimeout counts from the call", async () => {
    const { send, threads, called, clock } = await startGated({ handlerTimeout: 800, queueTimeout: 0 });
    threads[0].freeze();
    const peers = [await send(get("/1")), await send(get("/2"))];
    await clock.advance(700);
    assert.deepEqual(peers.map((peer) => peer.received()), ["", ""]);
    threads[0].thaw();
    await clock.settle();
    assert.deepEqual(called.map(([name]) => name), ["/1", "/2"]);
    await clock.advance(799);
    assert.deepEqual(peers.map((peer) => peer.received()), ["", ""]);
    await clock.advance(600);
    assert.deepEqual(peers.map((peer) => statuses(peer.received())), [[503], [503]]);
  });
});

describe("while every thread stands still", () => {
  async function startFrozen(options: ServeOptions = {}): Promise<ThreadServer> {
    const started = await start((_request, { thread }) => {
      thread.freeze();
      return new Promise<Response>(() => {});
    }, { threads: 2, maxQueue: 0, healthPath: "/health", ...options });
    // A call that computes, and one behind it that is not begun, for each thread.
    for (let i = 0; i < 4; i++) await started.send(get(`/${i}`));
    return started;
  }

  const healthy = (head: boolean): string =>
    "HTTP/1.1 200 OK\r\ncache-control: no-store\r\ncontent-type: text/plain;charset=UTF-8\r\n" +
    `Date: Thu, 01 Jan 2026 00:00:00 GMT\r\nContent-Length: 3\r\n\r\n${head ? "" : "ok\n"}`;

  const rows: { name: string; input: string; status: number[]; bytes?: string; afterMs?: number }[] = [
    { name: "healthPath is answered", input: get("/health"), status: [200], bytes: healthy(false) },
    { name: "healthPath with a query is answered", input: get("/health?full"), status: [200], bytes: healthy(false) },
    {
      name: "healthPath is answered to HEAD",
      input: get("/health").replace("GET", "HEAD"),
      status: [200],
      bytes: healthy(true),
    },
    { name: "another path is refused with 503", input: get("/healthy"), status: [503] },
    { name: "POST to healthPath is refused with 503", input: post("/health", 0), status: [503] },
    { name: "a malformed request gets 400", input: "GET /\r\n\r\n", status: [400] },
    { name: "content that is too large gets 413", input: post("/", 20_000_000), status: [413] },
    { name: "a head that does not end gets 408", input: "GET / HTTP/1.1\r\n", status: [408], afterMs: 15_600 },
  ];
  for (const { name, input, status, bytes, afterMs = 0 } of rows) {
    test(name, async () => {
      const { send, clock, server } = await startFrozen();
      const peer = await send(input);
      await clock.advance(afterMs);
      assert.deepEqual(statuses(peer.received()), status);
      if (bytes !== undefined) assert.equal(peer.received(), bytes);
      assert.deepEqual(server.stats().threads, { ready: 2, started: 2, lost: 0, renewed: 0 });
    });
  }

  test("a server that drains answers a health check on an open connection with 503", async () => {
    const { send, clock, server } = await startFrozen();
    const peer = await send("GET /health HTTP/1.1\r\n");
    server.shutdown();
    peer.send("Host: a.test\r\n\r\n");
    await clock.settle();
    assert.deepEqual(statuses(peer.received()), [503]);
    assert.match(peer.received(), /^Connection: close\r$/m);
    await clock.advance(11_000);
    await server.finished;
  });
});

describe("a graceful stop of the hybrid model", () => {
  test("serves the queue and what runs, ends the threads, and leaves nothing behind", async () => {
    const started = await startGated({ threads: 2 });
    const { send, threads, clock, server, open } = started;
    const running = [await send(get("/1")), await send(get("/2"))];
    for (const thread of threads) thread.freeze();
    const given = [await send(get("/1")), await send(get("/2"))];
    const queued = [await send(get("/3")), await send(get("/4"))];
    const report = server.shutdown();
    await clock.settle();
    for (const thread of threads) thread.thaw();
    for (const path of ["/1", "/2", "/3", "/4"]) await open(path);
    for (const peer of [...running, ...given, ...queued]) {
      assert.deepEqual(statuses(peer.received()), [200]);
      assert.match(peer.received(), /^Connection: close\r$/m);
    }
    assert.equal(server.stats().state, "draining");
    for (const peer of [...running, ...given, ...queued]) peer.end();
    await clock.settle();
    assert.deepEqual(await report, { drained: 6, aborted: 0, durationMs: 0 });
    assert.deepEqual(threads.map((thread) => thread.wasTerminated), [false, false], "they were asked, and have ended");
    assert.deepEqual(started.alive(), []);
    assert.equal(clock.pendingCount, 0);
    assert.equal(server.stats().threads.ready, 0);
    assert.equal(server.stats().threads.lost, 0);
  });

  test("terminates a thread that does not end within 500 ms", async () => {
    const { threads, clock, server, alive } = await start(path, { threads: 2 });
    threads[0].freeze();
    const report = server.shutdown();
    await clock.settle();
    assert.equal(server.stats().state, "joining");
    assert.equal(server.stats().draining, false);
    assert.deepEqual(alive(), [1]);
    await clock.advance(499);
    assert.deepEqual(alive(), [1]);
    await clock.advance(1);
    await clock.settle();
    assert.deepEqual(threads.map((thread) => thread.wasTerminated), [true, false]);
    assert.deepEqual(await report, { drained: 0, aborted: 0, durationMs: 500 });
    assert.equal(clock.pendingCount, 0);
  });

  test("cuts off at its deadline what threads still run, aborts its signal, and ends the threads", async () => {
    let signal!: AbortSignal;
    const { send, clock, server, alive } = await start((request) => {
      signal = request.signal;
      return new Promise(() => {});
    });
    const peer = await send(get());
    const report = server.shutdown({ timeout: 3_000 });
    await clock.advance(2_999);
    assert.equal(peer.serverSide, "open");
    await clock.advance(1);
    await clock.settle();
    assert.equal(peer.serverSide, "closed");
    assert.equal(signal.aborted, true);
    assert.deepEqual(await report, { drained: 0, aborted: 1, durationMs: 3_000 });
    assert.deepEqual(alive(), []);
    assert.equal(clock.pendingCount, 0);
  });

  test("stop ends threads that stand still, calls and queue and all", async () => {
    const { send, threads, clock, server, alive } = await start(never, { threads: 2 });
    for (const thread of threads) thread.freeze();
    const peers = [await send(get()), await send(get()), await send(get())];
    const report = server.stop();
    await clock.advance(500);
    assert.deepEqual(peers.map((peer) => peer.serverSide), ["closed", "closed", "closed"]);
    assert.deepEqual(await report, { drained: 0, aborted: 3, durationMs: 500 });
    assert.deepEqual(alive(), []);
    assert.equal(clock.pendingCount, 0);
  });

  test("twice is harmless, and stop works during it", async () => {
    const { send, clock, server, alive } = await start(never);
    await send(get());
    const reports = [server.shutdown(), server.shutdown({ timeout: 20_000 }), server.stop(), server.stop()];
    await clock.settle();
    const [first, ...others] = await Promise.all(reports);
    assert.deepEqual(first, { drained: 0, aborted: 1, durationMs: 0 });
    for (const other of others) assert.deepEqual(other, first);
    assert.deepEqual(alive(), []);
  });
});
