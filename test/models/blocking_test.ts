/** The model "blocking": one connection at a time, from accept to close. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Handler } from "../../src/api/handler.ts";
import type { ServeOptions } from "../../src/api/options.ts";
import type { MemoryPeer } from "../support/memory_runtime.ts";
import { createGate, get, okText, post, startMemoryServer, statuses, text } from "../support/memory_server.ts";

const path: Handler = (request) => text(new URL(request.url).pathname);
/** What a response has when its connection ends with it. */
const CLOSE = "Connection: close";

function start(handler: Handler = path, options: ServeOptions = {}) {
  return startMemoryServer(handler, { model: "blocking", ...options });
}

/** Ends connections in turn, so that the next is served, and gives what each has received. */
async function endInTurn(peers: readonly MemoryPeer[], settle: () => Promise<void>): Promise<string[]> {
  for (const peer of peers) {
    peer.end();
    await settle();
  }
  return peers.map((peer) => peer.received());
}

describe("the blocking model", () => {
  test("serves connections one at a time, in the order in which they were accepted", async () => {
    const gates = [createGate(), createGate(), createGate()];
    const called: string[] = [];
    const { connect, clock } = await start(async (request) => {
      const { pathname } = new URL(request.url);
      called.push(pathname);
      await gates[Number(pathname.slice(1))].opened;
      return text(pathname);
    });
    const peers = [connect(), connect(), connect()];
    // Who sends first does not matter.
    for (const index of [2, 1, 0]) {
      peers[index].send(get(`/${index}`));
      await clock.settle();
    }
    assert.deepEqual(called, ["/0"]);
    for (const index of [0, 1, 2]) {
      assert.equal(peers[index].received(), "");
      gates[index].open();
      await clock.settle();
      assert.equal(peers[index].received(), okText(`/${index}`, CLOSE));
      assert.deepEqual(called, ["/0", "/1", "/2"].slice(0, index + 2));
    }
  });

  test("reads nothing of a request whose connection waits", async () => {
    const gate = createGate();
    const { send, clock, server } = await start(async () => {
      await gate.opened;
      return text("hello");
    });
    await send(get());
    const waiting = await send(get() + "x".repeat(70_000));
    assert.equal(server.stats().requests, 1);
    assert.equal(waiting.isPausedByServer, true, "what it sends is not taken without bound");
    // Even what can't be a request is not seen before it is its turn.
    const malformed = await send("nonsense\r\n\r\n");
    assert.equal(malformed.received(), "");
    gate.open();
    await clock.settle();
    assert.deepEqual(statuses(waiting.received()), [200]);
    assert.deepEqual(statuses(malformed.received()), [400]);
  });

  test("serves who waits when the connection in front has said all, without waiting for its client's end", async () => {
    const { send } = await start();
    const first = await send(get("/1"));
    assert.equal(first.serverSide, "ended");
    const second = await send(get("/2"));
    assert.deepEqual([first.received(), second.received()], [okText("/1", CLOSE), okText("/2", CLOSE)]);
  });

  test("says which of one and how many waiting connections there are", async () => {
    const gate = createGate();
    const { send, clock, server } = await start(async () => {
      await gate.opened;
      return text("hello");
    });
    assert.deepEqual(server.stats().workers, { total: 1, busy: 0 });
    for (let i = 0; i < 3; i++) await send(get());
    await clock.advance(1_200);
    assert.deepEqual(server.stats().workers, { total: 1, busy: 1 });
    assert.deepEqual(server.stats().queue, { waiting: 2, longestWaitMs: 1_200, refused: 0 });
    gate.open();
    await clock.settle();
    assert.deepEqual(server.stats().workers, { total: 1, busy: 0 });
    assert.deepEqual(server.stats().queue, { waiting: 0, longestWaitMs: 1_200, refused: 0 });
    assert.equal(server.stats().model, "blocking");
  });
});

describe("a response of the blocking model", () => {
  const rows: { name: string; options: ServeOptions; persists: boolean }[] = [
    { name: "closes its connection", options: {}, persists: false },
    { name: "lets it persist when keepAliveTimeout is set", options: { keepAliveTimeout: 5_000 }, persists: true },
    { name: "lets it persist even with the default value", options: { keepAliveTimeout: 75_000 }, persists: true },
    { name: "closes it when keepAliveTimeout is undefined", options: { keepAliveTimeout: undefined }, persists: false },
  ];
  for (const { name, options, persists } of rows) {
    test(name, async () => {
      const { send } = await start(path, options);
      const peer = await send(get("/a"), get("/b"));
      assert.equal(peer.received(), persists ? okText("/a") + okText("/b") : okText("/a", CLOSE));
      assert.equal(peer.serverSide, persists ? "open" : "ended");
    });
  }

  test("on a persistent connection answers what is pipelined, in order, before the next connection", async () => {
    const { connect, clock } = await start(path, { keepAliveTimeout: 5_000 });
    const [first, second] = [connect(), connect()];
    second.send(get("/4", CLOSE));
    first.send(get("/1") + get("/2") + get("/3", CLOSE));
    await clock.settle();
    assert.equal(first.received(), okText("/1") + okText("/2") + okText("/3", CLOSE));
    assert.equal(second.received(), okText("/4", CLOSE));
  });

  test("lets a persistent connection that is idle stop the others until keepAliveTimeout", async () => {
    const { send, clock } = await start(path, { keepAliveTimeout: 5_000 });
    const idle = await send(get("/1"));
    const waiting = await send(get("/2", CLOSE));
    await clock.advance(4_900);
    assert.equal(waiting.received(), "");
    await clock.advance(1_200);
    assert.equal(idle.serverSide, "ended");
    assert.deepEqual(statuses(waiting.received()), [200]);
  });
});

describe("a handler of the blocking model", () => {
  const rows: { name: string; handler: Handler; status: number }[] = [
    { name: "that answers synchronously", handler: path, status: 200 },
    { name: "that answers asynchronously", handler: async (request) => await path(request, null!), status: 200 },
    {
      name: "that throws",
      handler: () => {
        throw new Error("secret");
      },
      status: 500,
    },
    { name: "that rejects", handler: () => Promise.reject(new Error("secret")), status: 500 },
    { name: "that gives no response", handler: () => undefined as unknown as Response, status: 500 },
  ];
  for (const { name, handler, status } of rows) {
    test(`${name} is called for one connection after the other`, async () => {
      const { connect, clock } = await start(handler);
      const peers = [connect(), connect(), connect()];
      for (const peer of peers) peer.send(get());
      await clock.settle();
      const received = await endInTurn(peers, () => clock.settle());
      assert.deepEqual(received.map(statuses), [[status], [status], [status]]);
    });

    test(`${name} is called for each pipelined request`, async () => {
      const { send } = await start(handler, { keepAliveTimeout: 5_000 });
      const peer = await send(get().repeat(5));
      assert.deepEqual(statuses(peer.received()), Array(5).fill(status));
    });
  }
});

describe("who is slow stops the others until a deadline ends it", () => {
  const rows: { name: string; input: string; options: ServeOptions; untilMs: number; status: number[] }[] = [
    { name: "who sends nothing", input: "", options: {}, untilMs: 15_000, status: [] },
    { name: "who does not end its head", input: "GET / HT", options: {}, untilMs: 15_000, status: [408] },
    {
      name: "who does not send its content",
      input: post("/", 10_000, "x"),
      options: { minDataRate: { bytesPerSecond: 0 } },
      untilMs: 120_000,
      status: [408],
    },
    {
      name: "who sends its content too slowly",
      input: post("/", 10_000, "x"),
      options: {},
      untilMs: 5_000,
      status: [408],
    },
  ];
  const readAll: Handler = async (request) => text(String((await request.text()).length));
  for (const { name, input, options, untilMs, status } of rows) {
    test(name, async () => {
      const { connect, send, clock } = await start(readAll, { ...options, queueTimeout: 0 });
      const slow = connect();
      slow.send(input);
      const waiting = await send(get());
      await clock.advance(untilMs - 100);
      assert.equal(waiting.received(), "");
      await clock.advance(1_200);
      assert.deepEqual(statuses(slow.received()), status);
      assert.deepEqual(statuses(waiting.received()), [200]);
    });
  }

  test("a handler that takes long is ended by handlerTimeout", async () => {
    let isFirst = true;
    const { send, clock } = await start(() => {
      if (!isFirst) return text("hello");
      isFirst = false;
      return new Promise(() => {});
    }, { handlerTimeout: 1_000 });
    const first = await send(get());
    const second = await send(get());
    assert.equal(second.received(), "");
    await clock.advance(1_300);
    assert.deepEqual(statuses(first.received()), [503]);
    assert.deepEqual(statuses(second.received()), [200]);
  });

  test("a client that does not read its response is ended by writeTimeout", async () => {
    const { connect, send, clock } = await start((request) => {
      return new URL(request.url).pathname === "/" ? text("hello") : text("x".repeat(1_000_000));
    }, { queueTimeout: 60_000 });
    const slow = connect();
    slow.stopReading();
    slow.send(get("/large"));
    const waiting = await send(get());
    await clock.advance(29_000);
    assert.equal(waiting.received(), "");
    await clock.advance(2_000);
    assert.equal(slow.serverSide, "closed");
    assert.deepEqual(statuses(waiting.received()), [200]);
  });

  test("a client that resets its connection stops nobody any more", async () => {
    const { send, clock } = await start(() => new Promise(() => {}));
    const gone = await send(get());
    const waiting = await send("GET / HTTP/1.1\r\n");
    gone.reset();
    await clock.settle();
    assert.equal(waiting.isPausedByServer, false);
    await clock.advance(15_600);
    assert.deepEqual(statuses(waiting.received()), [408], "its own time began with its turn");
  });
});

describe("the line of the blocking model", () => {
  const never: Handler = () => new Promise(() => {});

  for (const maxQueue of [0, 1, 3]) {
    test(`has room for ${maxQueue} beside the one that is served; others get 503`, async () => {
      const { connect, clock, server, warned } = await start(never, { maxQueue, retryAfter: 7 });
      // At once: none of them is served yet when the next one is accepted.
      const peers = Array.from({ length: maxQueue + 3 }, () => connect());
      for (const peer of peers) peer.send(get());
      await clock.settle();
      const taken = peers.slice(0, maxQueue + 1);
      const refused = peers.slice(maxQueue + 1);
      assert.deepEqual(taken.map((peer) => peer.received()), taken.map(() => ""));
      for (const peer of refused) {
        assert.deepEqual(statuses(peer.received()), [503]);
        assert.match(peer.received(), /^retry-after: 7\r$/m);
        assert.match(peer.received(), /^Connection: close\r$/m);
        assert.equal(peer.serverSide, "ended");
      }
      assert.deepEqual(server.stats().queue, { waiting: maxQueue, longestWaitMs: 0, refused: 2 });
      assert.equal(server.stats().errors["queue-full"], 2);
      assert.deepEqual(warned, ["queue-full"]);
    });
  }

  test("that is full is warned of once in 10 seconds", async () => {
    const { send, clock, warned } = await start(never, { maxQueue: 0, headersTimeout: 0 });
    await send(get());
    for (let second = 0; second < 25; second++) {
      await send(get());
      await clock.advance(1_000);
    }
    assert.equal(warned.length, 3);
  });

  test("has room again when its first is served", async () => {
    const gates = [createGate(), createGate(), createGate()];
    let calls = 0;
    const { send, clock } = await start(async () => {
      await gates[calls++].opened;
      return text("hello");
    }, { maxQueue: 1 });
    const first = await send(get());
    const second = await send(get());
    assert.deepEqual(statuses((await send(get())).received()), [503]);
    gates[0].open();
    await clock.settle();
    assert.deepEqual([statuses(first.received()), statuses(second.received())], [[200], []]);
    const third = await send(get());
    gates[1].open();
    gates[2].open();
    await clock.settle();
    assert.deepEqual([statuses(second.received()), statuses(third.received())], [[200], [200]]);
  });

  const departures: { name: string; input: string; leave: (peer: MemoryPeer) => void }[] = [
    { name: "resets its connection", input: "", leave: (peer) => peer.reset() },
    { name: "resets its connection behind a request", input: get(), leave: (peer) => peer.reset() },
    { name: "ends its connection without a request", input: "", leave: (peer) => peer.end() },
  ];
  for (const { name, input, leave } of departures) {
    test(`is left by who ${name}`, async () => {
      const { connect, send, clock, server } = await start(never, { maxQueue: 1 });
      await send(get());
      const gone = connect();
      gone.send(input);
      await clock.settle();
      assert.equal(server.stats().queue.waiting, 1);
      leave(gone);
      await clock.settle();
      assert.equal(server.stats().queue.waiting, 0);
      const next = await send(get());
      assert.equal(next.received(), "", "it has the place");
    });
  }
});

describe("a graceful stop of the blocking model", () => {
  test("serves everything that waits, one after another, and leaves nothing behind", async () => {
    const gate = createGate();
    const { send, clock, server } = await start(async () => {
      await gate.opened;
      return text("hello");
    });
    const served = await send(get());
    const silent = await send("");
    const waiting = await send(get());
    const report = server.shutdown();
    await clock.settle();
    assert.equal(server.stats().draining, true);
    assert.deepEqual([served, silent, waiting].map((peer) => peer.received()), ["", "", ""]);
    gate.open();
    await clock.settle();
    assert.equal(served.received(), okText("hello", CLOSE));
    silent.send(get());
    await clock.settle();
    assert.deepEqual([silent, waiting].map((peer) => peer.received()), Array(2).fill(okText("hello", CLOSE)));
    for (const peer of [served, silent, waiting]) peer.end();
    await clock.settle();
    assert.deepEqual(await report, { drained: 3, aborted: 0, durationMs: 0 });
    assert.equal(clock.pendingCount, 0);
    assert.deepEqual(server.stats().errors, {});
  });

  test("is ended by stop, at once", async () => {
    const { send, clock, server } = await start(() => new Promise(() => {}));
    const served = await send(get());
    const waiting = await send(get());
    const graceful = server.shutdown({ timeout: 60_000 });
    const hard = server.stop();
    await clock.settle();
    assert.deepEqual([served.serverSide, waiting.serverSide], ["closed", "closed"]);
    assert.equal((await hard).aborted, 2);
    assert.deepEqual(await graceful, await hard);
    assert.equal(clock.pendingCount, 0);
  });
});
