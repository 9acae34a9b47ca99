/**
 * Clients that have sent FIN (`halfCloseTimeout`): nearly all of them have closed and are released in time; one that has
 * merely ended its own side, as `nc` does, still gets what it asked for.
 */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Handler } from "../../../src/api/handler.ts";
import type { ServeOptions } from "../../../src/api/options.ts";
import { createGate, get, okText, post, startMemoryServer, statuses, text } from "../../support/memory_server.ts";
import type { MemoryPeer } from "../../support/memory_runtime.ts";

/** What a handler learnt of the end of its exchange. */
interface Learnt {
  signal: string | null;
  cancel: string | null;
  completed: string | null;
}

/** Handlers that wait, by path; what they learn is written down. */
function learningHandler(learnt: Learnt): Handler {
  return async (request, info) => {
    request.signal.addEventListener("abort", () => learnt.signal = request.signal.reason.code);
    info.completed.catch((error) => learnt.completed = error.code);
    const cancel = (reason: { code: string }): void => void (learnt.cancel = reason.code);
    switch (new URL(request.url).pathname) {
      case "/silent":
        return new Response(new ReadableStream({ cancel }));
      case "/pending":
        return new Response(new ReadableStream({ start: (stream) => stream.enqueue(new Uint8Array(9)), cancel }));
      default:
        return await new Promise<Response>(() => {});
    }
  };
}

const PHASES: readonly { name: string; send: string; cancels?: boolean }[] = [
  { name: "its handler waits", send: get("/") },
  { name: "its handler waits, and does not read the body that came", send: post("/", 5, "hello") },
  { name: "its handler waits, and the next request is there", send: get("/") + get("/") },
  { name: "its stream has given nothing yet", send: get("/silent"), cancels: true },
  { name: "its stream has fallen silent", send: get("/pending"), cancels: true },
];

describe("a client that has sent FIN is released after halfCloseTimeout", () => {
  for (const { name, send, cancels } of PHASES) {
    test(`when ${name}`, async () => {
      const learnt: Learnt = { signal: null, cancel: null, completed: null };
      const started = await startMemoryServer(learningHandler(learnt), { halfCloseTimeout: 400 });
      const peer = await started.send(send);
      peer.end();
      await started.clock.advance(399);
      assert.deepEqual([peer.serverSide, learnt.signal], ["open", null]);
      await started.clock.advance(101);
      const gone = "peer-disconnected";
      assert.deepEqual([peer.serverSide, started.server.stats().connections.open], ["closed", 0]);
      assert.deepEqual(learnt, { signal: gone, cancel: cancels ? gone : null, completed: gone });
      assert.equal(started.server.stats().requests, 1, "no further request is begun");
      assert.deepEqual(started.server.stats().errors, { [gone]: 1 });
      await started.server.stop();
      assert.equal(started.clock.pendingCount, 0);
    });
  }

  test("by default after a second", async () => {
    const { send, clock } = await startMemoryServer(() => new Promise(() => {}));
    const peer = await send(get());
    peer.end();
    await clock.advance(990);
    assert.equal(peer.serverSide, "open");
    await clock.advance(260);
    assert.equal(peer.serverSide, "closed");
  });

  test("at once and within the event with 0", async () => {
    const { send } = await startMemoryServer(() => new Promise(() => {}), { halfCloseTimeout: 0 });
    const peer = await send(get());
    peer.end();
    await new Promise((resolve) => setImmediate(resolve));
    assert.equal(peer.serverSide, "closed");
  });

  test("never with Infinity", async () => {
    const gate = createGate();
    const { send, clock } = await startMemoryServer(async () => {
      await gate.opened;
      return text("patience");
    }, { halfCloseTimeout: Infinity });
    const peer = await send(get());
    peer.end();
    await clock.advance(3_600_000);
    assert.equal(peer.serverSide, "open");
    gate.open();
    await clock.settle();
    assert.match(peer.received(), /\r\n\r\npatience$/);
  });

  test("in the middle of a body, at once: the rest can't come", async () => {
    const { send, clock } = await startMemoryServer(async (request) => text(await request.text()));
    const peer = await send(post("/", 10, "hello"));
    peer.end();
    await clock.settle();
    assert.deepEqual(statuses(peer.received()), [400]);
    assert.equal(peer.serverSide, "closed");
  });

  test("in the middle of a body whose response has begun", async () => {
    const cancelled = createGate<string>();
    const { send, clock, server } = await startMemoryServer(() =>
      new Response(new ReadableStream({ cancel: (reason) => cancelled.open(reason.code) }))
    );
    const peer = await send(post("/", 10, "hello"));
    peer.end();
    await clock.advance(1_500);
    assert.equal(await cancelled.opened, "peer-disconnected");
    assert.equal(server.stats().connections.open, 0);
  });
});

describe("a client that has ended its own side and is there", () => {
  test("gets an answer that takes nearly as long as halfCloseTimeout", async () => {
    const gate = createGate();
    const { send, clock } = await startMemoryServer(async () => {
      await gate.opened;
      return text("late");
    });
    const peer = await send(get());
    peer.end();
    await clock.advance(900);
    gate.open();
    await clock.settle();
    assert.equal(peer.received(), okText("late"));
  });

  test("gets every answer to what it has pipelined", async () => {
    const { send, clock } = await startMemoryServer((request) => text(new URL(request.url).pathname));
    const peer = await send(get("/a") + get("/b") + get("/c"));
    peer.end();
    await clock.settle();
    assert.equal(peer.received(), okText("/a") + okText("/b") + okText("/c"));
    assert.equal(peer.serverSide, "closed");
  });

  test("gets a stream that goes on: whatever the transport takes whole restarts the time", async () => {
    const { send, clock } = await startMemoryServer(() => {
      let pieces = 0;
      return new Response(
        new ReadableStream({
          async pull(stream) {
            await new Promise<void>((resolve) => clock.after(700, resolve));
            stream.enqueue(new Uint8Array(1));
            if (++pieces === 6) stream.close();
          },
        }),
      );
    });
    const peer = await send(get());
    peer.end();
    await clock.advance(6_000);
    assert.match(peer.received(), /0\r\n\r\n$/);
  });

  test("gets a long response that it takes slowly: then the write deadline rules", async () => {
    const { connect, clock, server } = await startMemoryServer(() => new Response(new Uint8Array(1_000_000)));
    const peer = connect();
    peer.stopReading();
    peer.send(get());
    await clock.settle();
    peer.end();
    while (peer.receivedBytes < 1_000_000) {
      await clock.advance(20_000);
      assert.equal(server.stats().connections.open, 1);
      peer.read(200_000);
      await clock.settle();
    }
    assert.equal(server.stats().connections.open, 0);
  });

  test("and takes nothing more is cut off by the write deadline", async () => {
    const { connect, clock, server } = await startMemoryServer(() => new Response(new Uint8Array(1_000_000)));
    const peer = connect();
    peer.stopReading();
    peer.send(get());
    await clock.settle();
    peer.end();
    await clock.advance(31_000);
    assert.equal(server.stats().connections.open, 0);
    assert.equal(server.stats().errors["write-timeout"], 1);
  });
});

describe("a client that leaves while it waits in line", () => {
  const models: readonly ServeOptions[] = [{ model: "blocking" }, { model: "worker-pool", workers: 1 }];
  const leavings: readonly { name: string; send: string; leave: (peer: MemoryPeer) => void; within: number }[] = [
    { name: "without a word", send: "", leave: (peer) => peer.end(), within: 0 },
    { name: "behind its request", send: get(), leave: (peer) => peer.end(), within: 1_300 },
    { name: "by a reset", send: get(), leave: (peer) => peer.reset(), within: 0 },
  ];
  for (const options of models) {
    for (const { name, send, leave, within } of leavings) {
      test(`${name} is released and its handler is not called, in the model ${options.model}`, async () => {
        const called: string[] = [];
        const gate = createGate();
        const started = await startMemoryServer(async (request) => {
          called.push(new URL(request.url).pathname);
          await gate.opened;
          return text("done");
        }, options);
        const served = await started.send(get("/served"));
        const gone = await started.send(send);
        const next = await started.send(get("/next"));
        leave(gone);
        await started.clock.advance(within);
        await started.clock.settle();
        assert.equal(gone.serverSide === "open", false);
        assert.equal(started.server.stats().queue.waiting, 1);
        gate.open();
        await started.clock.settle();
        served.end();
        await started.clock.settle();
        assert.deepEqual(statuses(next.received()), [200]);
        assert.deepEqual(called, ["/served", "/next"]);
      });
    }
  }
});

for (const options of [{ model: "blocking" }, { model: "worker-pool", workers: 1 }] as const) {
  test(`clients that leave together are not served one after another, in the model ${options.model}`, async () => {
    let called = 0;
    const { send, clock, server } = await startMemoryServer(() => {
      called++;
      return new Promise(() => {});
    }, options);
    const peers: MemoryPeer[] = [];
    for (let i = 0; i < 10; i++) peers.push(await send(post("/", 10, "hello")));
    for (const peer of peers) peer.reset();
    await clock.settle();
    assert.equal(called, 1);
    assert.equal(server.stats().connections.open, 0);
  });
}

test("a client that has waited in line for more than half of halfCloseTimeout behind its FIN is not served any more", async () => {
  const rows: readonly { waitedMs: number; isServed: boolean }[] = [
    { waitedMs: 400, isServed: true },
    { waitedMs: 600, isServed: false },
  ];
  for (const { waitedMs, isServed } of rows) {
    const gate = createGate();
    const { send, clock } = await startMemoryServer(async () => {
      await gate.opened;
      return text("served");
    }, { model: "blocking" });
    const first = await send(get());
    const waiting = await send(get());
    waiting.end();
    await clock.advance(waitedMs);
    gate.open();
    await clock.settle();
    first.end();
    await clock.settle();
    assert.deepEqual(statuses(waiting.received()), isServed ? [200] : []);
    assert.equal(waiting.serverSide, "closed");
  }
});

const raw = get("/", "Connection: upgrade", "Upgrade: raw");

describe("an upgraded connection whose client has sent FIN", () => {
  const handlers: readonly { name: string; handler: Handler; closes: boolean }[] = [
    {
      name: "and whose handler ignores it",
      handler: (_request, info) => info.upgrade("raw").response,
      closes: true,
    },
    {
      name: "and whose handler has only waited for it",
      handler: (_request, info) => {
        const { response, connection } = info.upgrade("raw");
        connection.then(() => {});
        return response;
      },
      closes: true,
    },
    {
      name: "and whose handler still holds its writable side",
      handler: (_request, info) => {
        const { response, connection } = info.upgrade("raw");
        connection.then(({ writable }) => writable.getWriter());
        return response;
      },
      closes: false,
    },
  ];
  for (const { name, handler, closes } of handlers) {
    test(`${name}: ${closes ? "is closed" : "stays open"}`, async () => {
      const { send, clock, server } = await startMemoryServer(handler);
      const peer = await send(raw);
      assert.deepEqual(statuses(peer.received()), [101]);
      peer.end();
      await clock.advance(5_000);
      assert.equal(server.stats().connections.open, closes ? 0 : 1);
    });
  }
});

describe("an upgraded connection whose FIN", () => {
  for (
    const [what, bytes, halfCloseTimeout] of [
      ["is not seen, since more came than is kept,", 200_000, 1_000],
      ["is not seen, and would mean nothing,", 200_000, Infinity],
      ["means nothing for long", 0, 60_000],
      ["means nothing", 0, Infinity],
    ] as const
  ) {
    for (const isTaken of [false, true]) {
      const end = isTaken
        ? "stays open where its handler has taken a stream"
        : "is closed where its handler ignores it";
      test(`${what} ${end} behind \`keepAliveTimeout\``, async () => {
        const { send, clock, server } = await startMemoryServer((_request, info) => {
          const { response, connection } = info.upgrade("raw");
          connection.then((connection) => isTaken && connection.readable);
          return response;
        }, { keepAliveTimeout: 10_000, halfCloseTimeout });
        const peer = await send(raw);
        await peer.send(new Uint8Array(bytes));
        peer.end();
        await clock.advance(9_900);
        assert.equal(server.stats().connections.open, 1);
        await clock.advance(2_000);
        assert.equal(server.stats().connections.open, isTaken ? 1 : 0);
        assert.equal(server.stats().errors["handler-timeout"], isTaken ? undefined : 1);
      });
    }
  }
});
