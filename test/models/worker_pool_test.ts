/** The model "worker-pool" with a function: a fixed number of workers, each of which owns one connection at a time. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Handler } from "../../src/api/handler.ts";
import type { ServeOptions } from "../../src/api/options.ts";
import type { MemoryPeer } from "../support/memory_runtime.ts";
import {
  createGate,
  type Gate,
  get,
  type MemoryServer,
  okText,
  post,
  startMemoryServer,
  statuses,
  text,
} from "../support/memory_server.ts";

const path: Handler = (request) => text(new URL(request.url).pathname);
const never: Handler = () => new Promise(() => {});
const CLOSE = "Connection: close";

function start(handler: Handler, options: ServeOptions = {}): Promise<MemoryServer> {
  return startMemoryServer(handler, { model: "worker-pool", workers: 2, ...options });
}

/** A pool whose handler answers with the path when the path's gate is opened. */
async function startGated(options: ServeOptions = {}) {
  const gates = new Map<string, Gate>();
  const called: string[] = [];
  const gate = (name: string): Gate => {
    if (!gates.has(name)) gates.set(name, createGate());
    return gates.get(name)!;
  };
  const started = await start(async (request) => {
    const { pathname } = new URL(request.url);
    called.push(pathname);
    await gate(pathname).opened;
    return text(pathname);
  }, options);
  const open = async (name: string): Promise<void> => {
    gate(name).open();
    await started.clock.settle();
  };
  return { ...started, called, open };
}

describe("the worker pool", () => {
  test("serves as many connections at once as it has workers; the others wait, first come first served", async () => {
    const { connect, clock, called, open } = await startGated();
    const peers = Array.from({ length: 5 }, () => connect());
    for (const index of [4, 3, 2, 1, 0]) {
      peers[index].send(get(`/${index}`));
      await clock.settle();
    }
    assert.deepEqual(called, ["/1", "/0"]);
    await open("/1");
    assert.deepEqual(called, ["/1", "/0", "/2"]);
    await open("/2");
    await open("/0");
    assert.deepEqual(called, ["/1", "/0", "/2", "/3", "/4"]);
  });

  test("keeps a connection with its worker from request to request", async () => {
    const { send, clock, called, open } = await startGated({ workers: 1 });
    const owner = await send(get("/1") + get("/2"));
    await open("/1");
    assert.deepEqual(called, ["/1", "/2"]);
    const other = await send(get("/3"));
    assert.deepEqual(called, ["/1", "/2"]);
    await open("/2");
    assert.equal(owner.received(), okText("/1") + okText("/2", CLOSE));
    await open("/3");
    assert.equal(other.received(), okText("/3"));
    await clock.settle();
  });

  test("counts its workers, the line, the longest wait and refusals", async () => {
    const { send, clock, server, open } = await startGated({ maxQueue: 2 });
    assert.deepEqual(server.stats().workers, { total: 2, busy: 0 });
    await send(get("/1"));
    assert.deepEqual(server.stats().workers, { total: 2, busy: 1 });
    await send(get("/2"));
    await send(get("/3"));
    await clock.advance(300);
    await send(get("/4"));
    await clock.advance(700);
    await send(get("/5"));
    assert.deepEqual(server.stats().workers, { total: 2, busy: 2 });
    assert.deepEqual(server.stats().queue, { waiting: 2, longestWaitMs: 1_000, refused: 1 });
    await open("/1");
    assert.deepEqual(server.stats().queue, { waiting: 1, longestWaitMs: 1_000, refused: 1 });
    await clock.advance(1_500);
    assert.deepEqual(server.stats().queue, { waiting: 1, longestWaitMs: 2_200, refused: 1 });
    assert.deepEqual(server.stats().threads, { ready: 0, started: 0, lost: 0, renewed: 0 });
    const { model, loops, responses } = server.stats();
    assert.deepEqual([model, loops, responses], ["worker-pool", 1, 1]);
  });

  test("has twice as many workers as there are cores unless told otherwise", async () => {
    const { server } = await startMemoryServer(path, { model: "worker-pool" });
    assert.equal(server.stats().workers.total, 2);
  });

  const handlers: { name: string; handler: Handler; status: number }[] = [
    { name: "answers synchronously", handler: path, status: 200 },
    { name: "answers asynchronously", handler: async (request, info) => await path(request, info), status: 200 },
    {
      name: "throws",
      handler: () => {
        throw new Error("secret");
      },
      status: 500,
    },
    { name: "rejects", handler: () => Promise.reject(new Error("secret")), status: 500 },
  ];
  for (const { name, handler, status } of handlers) {
    test(`goes on when the handler ${name}`, async () => {
      const { connect, clock, server } = await start(handler);
      const peers = Array.from({ length: 7 }, () => connect());
      for (const peer of peers) peer.send(get("/a") + get("/b", CLOSE));
      // The next in line is served a turn after a worker is free.
      for (const _ of peers) await clock.settle();
      // Who is in line makes others give their worker up behind the response.
      for (const peer of peers) assert.equal(statuses(peer.received())[0], status);
      assert.equal(server.stats().workers.busy, 0);
    });
  }

  test("a worker whose client resets its connection takes the next", async () => {
    const { send, clock, called } = await startGated({ workers: 1 });
    const gone = await send(get("/1"));
    await send(get("/2"));
    gone.reset();
    await clock.settle();
    assert.deepEqual(called, ["/1", "/2"]);
  });

  test("a client that sends nothing holds a worker until headersTimeout", async () => {
    const { connect, send, clock } = await start(path, { workers: 1 });
    connect();
    const waiting = await send(get("/1"));
    await clock.advance(14_900);
    assert.equal(waiting.received(), "");
    await clock.advance(700);
    assert.deepEqual(statuses(waiting.received()), [200]);
  });

  test("a client that lingers behind its response does not hold a worker", async () => {
    const { send } = await start(path, { workers: 1 });
    const lingers = await send(get("/1", CLOSE));
    assert.equal(lingers.serverSide, "ended");
    const next = await send(get("/2", CLOSE));
    assert.equal(next.received(), okText("/2", CLOSE));
  });

  test("a client that was refused for its content and does not close does not hold a worker", async () => {
    const { send } = await start(path, { workers: 1, maxRequestBodySize: 10 });
    const lingers = await send(post("/1", 1_000_000, "x".repeat(1_000)));
    assert.deepEqual(statuses(lingers.received()), [413]);
    assert.equal((await send(get("/2"))).received(), okText("/2"));
  });
});

describe("a persistent connection of the worker pool", () => {
  test("persists while nobody waits", async () => {
    const { send } = await start(path, { workers: 1 });
    const peer = await send(get("/1"), get("/2"));
    assert.equal(peer.received(), okText("/1") + okText("/2"));
    assert.equal(peer.serverSide, "open");
  });

  test("is closed with the present response when others wait, and says so", async () => {
    const { send, open } = await startGated({ workers: 1 });
    const owner = await send(get("/1"));
    const waiting = await send(get("/2"));
    await open("/1");
    assert.equal(owner.received(), okText("/1", CLOSE));
    assert.equal(owner.serverSide, "ended");
    await open("/2");
    assert.equal(waiting.received(), okText("/2"));
  });

  test("is given up when it has been idle for a second while others wait", async () => {
    const { send, clock } = await start(path, { workers: 1 });
    const idle = await send(get("/1"));
    await clock.advance(400);
    const waiting = await send(get("/2"));
    assert.equal(waiting.received(), "", "at once would be too soon: a request may be on its way");
    assert.equal(idle.serverSide, "open");
    // The server's clock ticks each half second.
    await clock.advance(1_200);
    assert.equal(idle.serverSide, "ended");
    assert.deepEqual(statuses(waiting.received()), [200]);
    assert.equal(idle.received(), okText("/1"));
  });

  test("is not given up while nobody waits", async () => {
    const { send, clock } = await start(path, { workers: 1, keepAliveTimeout: 5_000 });
    const idle = await send(get("/1"));
    await clock.advance(4_900);
    assert.equal(idle.serverSide, "open");
  });

  test("is not given up in the middle of a request", async () => {
    const { send, clock } = await start(path, { workers: 1 });
    const slow = await send(get("/1"), "GET /2 HTTP/1.1\r\n");
    const waiting = await send(get("/3"));
    await clock.advance(10_000);
    assert.equal(waiting.received(), "");
    slow.send("Host: a.test\r\n\r\n");
    await clock.settle();
    assert.deepEqual(statuses(slow.received()), [200, 200]);
    assert.deepEqual(statuses(waiting.received()), [200]);
  });

  test("only as many are given up as connections wait", async () => {
    const { send, clock, server } = await start(path, { workers: 3 });
    const idle: MemoryPeer[] = [];
    for (const name of ["/1", "/2", "/3"]) idle.push(await send(get(name)));
    await clock.advance(1_500);
    await send(get("/4"));
    await clock.advance(600);
    assert.deepEqual(idle.map((peer) => peer.serverSide).sort(), ["ended", "open", "open"]);
    assert.equal(server.stats().queue.waiting, 0);
  });
});

describe("the line of the worker pool", () => {
  for (const maxQueue of [0, 1, 4]) {
    test(`has room for ${maxQueue}; others get 503 with Retry-After and a close`, async () => {
      const { connect, clock, server, warned } = await start(never, { maxQueue, retryAfter: 3 });
      const peers = Array.from({ length: 2 + maxQueue + 2 }, () => connect());
      for (const peer of peers) peer.send(get());
      await clock.settle();
      assert.deepEqual(peers.map((peer) => statuses(peer.received())), [
        ...Array(2 + maxQueue).fill([]),
        [503],
        [503],
      ]);
      const refused = peers.at(-1)!;
      assert.match(refused.received(), /^retry-after: 3\r$/m);
      assert.match(refused.received(), /^Connection: close\r$/m);
      assert.equal(refused.serverSide, "ended");
      const { queue, connections, errors } = server.stats();
      assert.deepEqual(queue, { waiting: maxQueue, longestWaitMs: 0, refused: 2 });
      assert.deepEqual([connections.refused, errors], [2, { "queue-full": 2 }]);
      assert.equal(warned.filter((code) => code === "queue-full").length, 1);
    });
  }

  test("that is full is warned of once in 10 seconds", async () => {
    const { send, clock, warned } = await start(never, { workers: 1, maxQueue: 0, headersTimeout: 0 });
    await send(get());
    for (let second = 0; second < 25; second++) {
      await send(get());
      await clock.advance(1_000);
    }
    assert.equal(warned.filter((code) => code === "queue-full").length, 3);
  });

  test("is left by a client that goes away, whose place another gets", async () => {
    const { connect, send, clock, server, called, open } = await startGated({ workers: 1, maxQueue: 2 });
    await send(get("/1"));
    const gone = connect();
    gone.send(get("/2"));
    await send(get("/3"));
    gone.reset();
    await clock.settle();
    assert.equal(server.stats().queue.waiting, 1);
    await send(get("/4"));
    await open("/1");
    await open("/3");
    assert.deepEqual(called, ["/1", "/3", "/4"]);
  });

  test("tells every client it refuses, however many come at once", async () => {
    const { connect, clock, server } = await start(never, { workers: 1, maxQueue: 0 });
    const [, ...refused] = Array.from({ length: 401 }, () => connect());
    for (const peer of refused) peer.send(get());
    await clock.settle();
    assert.equal(refused.filter((peer) => statuses(peer.received())[0] === 503).length, 400);
    assert.deepEqual(server.stats().queue.refused, 400);
    for (const peer of refused) peer.end();
    await clock.settle();
    assert.equal(server.stats().connections.open, 1);
  });

  test("a refused client that does not close is cut off when it has had the time to read", async () => {
    const { send, clock, server } = await start(never, { workers: 1, maxQueue: 0, headersTimeout: 0 });
    await send(get());
    const refused = await send(get());
    await clock.advance(4_900);
    assert.equal(refused.serverSide, "ended");
    await clock.advance(1_000);
    assert.equal(refused.serverSide, "closed");
    assert.equal(server.stats().connections.open, 1);
  });
});

describe("the warning of busy workers", () => {
  const rows: { workers: number; connections: number; warns: boolean }[] = [
    { workers: 10, connections: 8, warns: false },
    { workers: 10, connections: 9, warns: true },
    { workers: 5, connections: 4, warns: false },
    { workers: 5, connections: 5, warns: true },
    { workers: 4, connections: 3, warns: false },
    { workers: 4, connections: 4, warns: true },
  ];
  for (const { workers, connections, warns } of rows) {
    test(`${warns ? "comes" : "does not come"} with ${connections} of ${workers}`, async () => {
      const { send, warned } = await start(never, { workers });
      for (let i = 0; i < connections; i++) await send(get());
      assert.deepEqual(warned, warns ? ["workers-busy"] : []);
    });
  }

  test("comes once in 10 seconds", async () => {
    const { send, clock, warned } = await start(path, { workers: 1 });
    for (let second = 0; second < 25; second++) {
      await send(get("/", CLOSE));
      await clock.advance(1_000);
    }
    assert.deepEqual(warned, ["workers-busy", "workers-busy", "workers-busy"]);
  });
});

describe("a graceful stop of the worker pool", () => {
  test("serves the line and what runs, closes what is idle if it is told to, and leaves nothing behind", async () => {
    const { send, clock, server, open } = await startGated();
    const idle = await send(get("/0"));
    await open("/0");
    const running = await send(get("/1"));
    const waiting = await send(get("/2"));
    const report = server.shutdown({ closeIdle: true });
    await clock.settle();
    assert.deepEqual([idle.serverSide, running.serverSide, waiting.serverSide], ["ended", "open", "open"]);
    await open("/1");
    assert.equal(running.received(), okText("/1", CLOSE));
    await open("/2");
    assert.equal(waiting.received(), okText("/2", CLOSE));
    for (const peer of [idle, running, waiting]) peer.end();
    await clock.settle();
    assert.deepEqual(await report, { drained: 3, aborted: 0, durationMs: 0 });
    assert.deepEqual([clock.pendingCount, server.stats().workers.busy], [0, 0]);
  });

  test("cuts off at its deadline what still runs", async () => {
    const { send, clock, server } = await start(never, { headersTimeout: 0 });
    const peers = [await send(get()), await send(get()), await send(get())];
    const report = server.shutdown({ timeout: 2_000 });
    await clock.advance(2_100);
    assert.deepEqual(peers.map((peer) => peer.serverSide), ["closed", "closed", "closed"]);
    const { drained, aborted, durationMs } = await report;
    assert.deepEqual([drained, aborted], [0, 3], "also what waited for its turn");
    assert.equal(durationMs, 2_000);
    assert.equal(clock.pendingCount, 0);
  });
});
