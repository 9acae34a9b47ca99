/** Limits on connections, the graceful stop and errors of the handler: who is refused, finished, cut off and told. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { createMemoryRuntime, type MemoryPeer } from "../../support/memory_runtime.ts";
import {
  createMemoryServer,
  get,
  okText,
  post,
  startMemoryServer,
  statuses,
  text,
} from "../../support/memory_server.ts";

const hello = () => text("hello");

describe("maxConnections", () => {
  test("answers further connections with 503 and Retry-After, and takes new ones when there is room", async () => {
    const { connect, send, clock, server } = await startMemoryServer(hello, { maxConnections: 2, retryAfter: 7 });
    const first = connect();
    connect();
    await clock.settle();
    const refused = await send(get());
    assert.deepEqual(statuses(refused.received()), [503]);
    assert.match(refused.received(), /retry-after: 7\r\n/);
    assert.match(refused.received(), /Connection: close\r\n/);
    first.end();
    refused.end();
    await clock.settle();
    const taken = await send(get());
    assert.equal(taken.received(), okText("hello"));
    assert.equal(server.stats().connections.refused, 1);
  });

  test("tells every refused client so, and closes the one that was told first when too many linger", async () => {
    const { connect, clock, server } = await startMemoryServer(hello, { maxConnections: 1 });
    const peers = Array.from({ length: 2_001 }, () => connect());
    for (const peer of peers.slice(1)) peer.send(get());
    await clock.settle();
    const told = peers.filter((peer) => statuses(peer.received())[0] === 503).length;
    const lingering = peers.filter((peer) => peer.serverSide === "ended");
    assert.deepEqual([told, lingering.length], [2_000, 512]);
    assert.deepEqual(lingering, peers.slice(-512));
    assert.deepEqual(server.stats().errors, { "connection-limit": 2_000 }, "the end of one that lingers is no error");
    assert.equal(server.stats().connections.refused, 2_000);
    await clock.advance(25_000);
    assert.equal(server.stats().connections.open, 0);
  });

  test("closes no client that lingers while there are few, however many have come and gone", async () => {
    const { connect, clock } = await startMemoryServer(hello, { maxConnections: 1, headersTimeout: 0 });
    connect();
    const slow = connect();
    slow.send(get());
    for (let i = 0; i < 3_000; i++) {
      const peer = connect();
      peer.send(get());
      peer.end();
      if (i % 100 === 0) await clock.settle();
    }
    await clock.settle();
    assert.deepEqual([slow.serverSide, statuses(slow.received())], ["ended", [503]]);
  });

  test("does not count those that are refused and linger: when a served one closes, the next is served", async () => {
    const { connect, send, clock } = await startMemoryServer(hello, { maxConnections: 2, maxConnectionsPerIp: 2 });
    const served = [connect(), connect()];
    await clock.settle();
    const refused = [await send(get()), await send(get()), await send(get())];
    assert.deepEqual(refused.map((peer) => peer.serverSide), ["ended", "ended", "ended"]);
    served[0].end();
    await clock.settle();
    assert.equal((await send(get())).received(), okText("hello"));
    assert.deepEqual(statuses((await send(get())).received()), [503]);
  });

  describe("where few descriptors are left", () => {
    /** A quarter of the 64 that connections leave of 100. */
    const SHARE = 16;
    /** A server whose one place is taken, and so many clients that are refused. */
    const refuse = async (count: number, speak: boolean) => {
      const runtime = createMemoryRuntime({ descriptorLimit: 100 });
      const { connect, clock, server } = createMemoryServer(runtime, { maxConnections: 1 }, hello);
      await server.ready();
      connect();
      const refused = Array.from({ length: count }, () => connect());
      for (const peer of speak ? refused : []) peer.send(get());
      await clock.settle();
      return { refused, connect, clock };
    };
    const told = (peers: readonly MemoryPeer[]): number[] => {
      return peers.flatMap((peer, i) => statuses(peer.received())[0] === 503 ? [i] : []);
    };

    test("closes the one that was told first as soon as more linger than a quarter of these", async () => {
      const { refused } = await refuse(SHARE + 2, true);
      assert.equal(told(refused).length, SHARE + 2);
      assert.deepEqual(refused.map(({ serverSide }) => serverSide), [
        ...Array(2).fill("closed"),
        ...Array(SHARE).fill("ended"),
      ]);
    });

    test("tells the one that came first as soon as more say nothing, and none before", async () => {
      assert.deepEqual(told((await refuse(SHARE, false)).refused), []);
      const { refused, connect, clock } = await refuse(SHARE + 2, false);
      assert.deepEqual(told(refused), [0, 1]);
      refused[5].send(get());
      connect();
      await clock.settle();
      assert.deepEqual(told(refused), [0, 1, 5], "one that was told makes room for another");
      connect();
      await clock.settle();
      assert.deepEqual(told(refused), [0, 1, 2, 5]);
    });
  });

  test("tells a client that says nothing after a second: unread bytes would make a reset of the close", async () => {
    const { connect, clock } = await startMemoryServer(hello, { maxConnections: 1 });
    connect();
    const silent = connect();
    await clock.advance(900);
    assert.equal(silent.received(), "");
    await clock.advance(1_000);
    assert.deepEqual(statuses(silent.received()), [503]);
    assert.equal(silent.serverSide, "ended");
  });
});

test("maxConnectionsPerIp refuses only the address that has too many", async () => {
  const { runtime, clock } = await startMemoryServer(hello, { maxConnectionsPerIp: 1 });
  const from = (hostname: string) => runtime.connect({ transport: "tcp", hostname, port: 1 });
  const peers = [from("10.0.0.2"), from("10.0.0.2"), from("10.0.0.3")];
  for (const peer of peers) peer.send(get());
  await clock.settle();
  assert.deepEqual(peers.map((peer) => statuses(peer.received())), [[200], [503], [200]]);
});

test("an accept error is reported and counted, and accepting goes on", async () => {
  const { runtime, send, reported, server } = await startMemoryServer(hello);
  runtime.failAccept(new Error("EMFILE"));
  assert.deepEqual(reported.map((error) => error.code), ["accept-failed"]);
  assert.equal(server.stats().errors["accept-failed"], 1);
  assert.equal((await send(get())).received(), okText("hello"));
});

describe("a handler that fails", () => {
  const failures: [string, () => Response | Promise<Response>, string][] = [
    ["throws", () => {
      throw new Error("secret");
    }, "handler-failed"],
    ["rejects", () => Promise.reject(new Error("secret")), "handler-failed"],
    ["rejects with what is no error", () => Promise.reject(null), "handler-failed"],
    ["returns nothing", () => undefined as unknown as Response, "response-invalid"],
    ["returns a text", () => "secret" as unknown as Response, "response-invalid"],
    ["returns a network error", () => Response.error(), "response-invalid"],
    [
      "returns a Response twice",
      (() => {
        const once = new Response("x");
        return () => (once.bodyUsed || void once.text(), once);
      })(),
      "response-invalid",
    ],
    [
      "sets a Content-Length that is too long",
      () => new Response("x", { headers: { "content-length": "2" } }),
      "response-content-length-mismatch",
    ],
    [
      "sets a Content-Length that is none",
      () => new Response("x", { headers: { "content-length": "one" } }),
      "response-content-length-mismatch",
    ],
    [
      "sets a field with a control character",
      () => new Response("x", { headers: { x: "a\x01b" } }),
      "response-field-invalid",
    ],
  ];
  for (const [name, handler, code] of failures) {
    test(`because it ${name} gives 500 without its words, tells onError, and goes on`, async () => {
      let isFirst = true;
      const { send, reported, server } = await startMemoryServer((): Response | Promise<Response> => {
        if (!isFirst) return text("hello");
        isFirst = false;
        return handler();
      });
      const peer = await send(get(), get());
      assert.deepEqual(statuses(peer.received()), [500, 200]);
      assert.doesNotMatch(peer.received(), /secret/);
      assert.deepEqual(reported.map((error) => [error.code, error.blame]), [[code, "handler"]]);
      assert.equal(server.stats().errors[code], 1);
    });
  }

  test("is answered with what onError gives, also later", async () => {
    const onError = () => Promise.resolve(new Response("mended", { status: 502 }));
    const { send } = await startMemoryServer(() => Promise.reject(new Error("x")), { onError });
    assert.match((await send(get())).received(), /^HTTP\/1\.1 502 Bad Gateway\r\n[^]*mended$/);
  });

  test("is answered with 500 when onError fails too", async () => {
    const onError = () => Promise.reject(new Error("y"));
    const { send } = await startMemoryServer(() => Promise.reject(new Error("x")), { onError });
    assert.deepEqual(statuses((await send(get())).received()), [500]);
  });

  test("to a HEAD request gives 500 without content", async () => {
    const { send } = await startMemoryServer(() => Promise.reject(new Error("x")));
    const peer = await send("HEAD / HTTP/1.1\r\nHost: a.test\r\n\r\n" + post("/", 0));
    assert.match(peer.received(), /Content-Length: 22\r\n\r\nHTTP\/1\.1 500/);
  });
});
