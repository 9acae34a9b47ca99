/** Persistent connections, pipelining, closing: what stays open, what is answered in which order, what is lost. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Handler } from "../../../src/api/handler.ts";
import type { ServeOptions } from "../../../src/api/options.ts";
import { HttpResponse } from "../../../src/web/http_response.ts";
import { createGate, get, okText, post, startMemoryServer, statuses, text } from "../../support/memory_server.ts";

const path: Handler = (request) => text(new URL(request.url).pathname);
const pathLater: Handler = async (request) => {
  await Promise.resolve();
  return text(new URL(request.url).pathname);
};

describe("a persistent connection (RFC 9112 section 9.3)", () => {
  const rows: { name: string; input: string; persists: boolean; lines?: string[]; options?: ServeOptions }[] = [
    { name: "HTTP/1.1 persists", input: get("/a"), persists: true },
    {
      name: "HTTP/1.1 with close does not",
      input: get("/a", "Connection: close"),
      persists: false,
      lines: ["Connection: close"],
    },
    { name: "HTTP/1.0 does not", input: "GET /a HTTP/1.0\r\n\r\n", persists: false, lines: ["Connection: close"] },
    {
      name: "HTTP/1.0 with keep-alive does, and is told so",
      input: "GET /a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
      persists: true,
      lines: ["Connection: keep-alive"],
    },
    {
      name: "the last request allowed does not",
      input: get("/a"),
      persists: false,
      lines: ["Connection: close"],
      options: { maxRequestsPerSocket: 1 },
    },
  ];
  for (const { name, input, persists, lines = [], options } of rows) {
    test(name, async () => {
      const { send } = await startMemoryServer(path, options);
      const peer = await send(input);
      assert.equal(peer.received(), okText("/a", ...lines));
      assert.equal(peer.serverSide, persists ? "open" : "ended");
    });
  }

  test("heads that come in pieces on two connections, and one that comes whole between them, stay apart", async () => {
    const { send, runtime } = await startMemoryServer(path);
    const pieces = (target: string) => get(target).split(/(?<=[aH])/);
    const [first, second] = [pieces("/first-a"), pieces("/second-a")];
    const peers = [await send(first[0]), await send(second[0])];
    for (let i = 1; i < first.length; i++) {
      peers[0].send(first[i]);
      assert.equal((await send(get("/whole"))).received(), okText("/whole"));
      peers[1].send(second[i]);
      await runtime.clock.settle();
    }
    assert.deepEqual(peers.map((peer) => peer.received()), [okText("/first-a"), okText("/second-a")]);
  });

  test("a handler's Connection: close is honoured", async () => {
    const { send } = await startMemoryServer(() => new HttpResponse("x", { headers: { connection: "close" } }));
    const peer = await send(get());
    assert.equal(peer.received(), okText("x", "Connection: close"));
    assert.equal(peer.serverSide, "ended");
  });

  test("nothing behind a request with close is taken for a request (RFC 9112 section 9.6)", async () => {
    const { send, server } = await startMemoryServer(path);
    const peer = await send(get("/a", "Connection: close") + get("/b"));
    assert.equal(peer.received(), okText("/a", "Connection: close"));
    assert.equal(server.stats().requests, 1);
  });
});

describe("pipelined requests (RFC 9112 section 9.3.2)", () => {
  for (const [name, handler] of [["a synchronous handler", path], ["an asynchronous handler", pathLater]] as const) {
    test(`are answered in order by ${name}`, async () => {
      const { send } = await startMemoryServer(handler);
      const paths = Array.from({ length: 50 }, (_, i) => `/${i}`);
      const peer = await send(paths.map((each) => get(each)).join(""));
      assert.equal(peer.received(), paths.map((each) => okText(each)).join(""));
    });
  }

  test("are answered in order when the first takes longest", async () => {
    const gate = createGate();
    const { send, clock } = await startMemoryServer(async (request) => {
      if (request.url.endsWith("/slow")) await gate.opened;
      return await pathLater(request, undefined!);
    });
    const peer = await send(get("/slow") + get("/b"));
    assert.equal(peer.received(), "");
    gate.open();
    await clock.settle();
    assert.equal(peer.received(), okText("/slow") + okText("/b"));
  });

  test("are not read ahead without bound while one is in flight", async () => {
    const gate = createGate();
    const { send, clock } = await startMemoryServer(async (request) => {
      await gate.opened;
      return await pathLater(request, undefined!);
    });
    const further = get("/1", `x: ${"x".repeat(8_000)}`);
    const peer = await send(get("/0"), ...new Array(8).fill(further));
    assert.equal(peer.isPausedByServer, false, "a little is kept, so that a peer that goes is seen to");
    await peer.send(further);
    assert.equal(peer.isPausedByServer, true);
    gate.open();
    await clock.settle();
    assert.equal(peer.isPausedByServer, false);
    assert.deepEqual(statuses(peer.received()), new Array(10).fill(200));
  });

  test("an early response does not wait for a later one", async () => {
    const gate = createGate();
    const { send, clock } = await startMemoryServer(async (request) => {
      if (request.url.endsWith("/slow")) await gate.opened;
      return await pathLater(request, undefined!);
    });
    const peer = await send(get("/a") + get("/slow"));
    assert.equal(peer.received(), okText("/a"));
    gate.open();
    await clock.settle();
    assert.equal(peer.received(), okText("/a") + okText("/slow"));
  });

  test("the good one before a bad one is answered, and the bad one too", async () => {
    const { send } = await startMemoryServer(path);
    const peer = await send(get("/a") + "GET / HTTP/1.1\r\n\r\n" + get("/b"));
    assert.deepEqual(statuses(peer.received()), [200, 400]);
    assert.equal(peer.serverSide, "ended");
  });

  test("wait while the peer does not take the responses", async () => {
    const big = "x".repeat(40_000);
    const { connect, clock, server } = await startMemoryServer(() => new Response(big));
    const peer = connect();
    peer.stopReading();
    for (let i = 0; i < 20; i++) peer.send(get(`/${i}`));
    await clock.settle();
    // What fills the transport, and one more for each of two reads.
    assert.ok(server.stats().requests <= 8, `${server.stats().requests} of 20 requests were taken`);
    peer.read();
    await clock.settle();
    assert.equal(statuses(peer.received()).length, 20);
  });
});

describe("half-close", () => {
  test("a peer that ends its side gets the response of the request it sent", async () => {
    const gate = createGate();
    const { send, clock } = await startMemoryServer(async () => {
      await gate.opened;
      return text("late");
    });
    const peer = await send(get());
    peer.end();
    await clock.settle();
    gate.open();
    await clock.settle();
    assert.equal(peer.received(), okText("late"));
    assert.equal(peer.serverSide, "closed");
  });

  test("all pipelined requests before the end are answered", async () => {
    const { send, clock } = await startMemoryServer(pathLater);
    const peer = await send(get("/a") + get("/b") + get("/c"));
    peer.end();
    await clock.settle();
    assert.equal(peer.received(), okText("/a") + okText("/b") + okText("/c"));
    assert.equal(peer.serverSide, "closed");
  });

  test("a head that is cut off gets 400", async () => {
    const { send, clock } = await startMemoryServer(path);
    const peer = await send("GET / HTTP/1.1\r\nHost");
    peer.end();
    await clock.settle();
    assert.deepEqual(statuses(peer.received()), [400]);
    assert.equal(peer.serverSide, "closed");
  });

  test("content that is cut off gets 400 and is never handed over as complete (RFC 9112 section 8)", async () => {
    const outcomes: string[] = [];
    const { send, clock } = await startMemoryServer(async (request) => {
      await request.text().then((text) => outcomes.push(text), (error) => outcomes.push(error.code));
      return new Response("never");
    });
    const peer = await send(post("/", 10, "hello"));
    peer.end();
    await clock.settle();
    assert.deepEqual(outcomes, ["message-incomplete"]);
    assert.deepEqual(statuses(peer.received()), [400]);
  });

  test("content that is cut off is the client's fault too where the response that is made of it fails", async () => {
    const outcomes: string[] = [];
    const { send, clock, server, reported } = await startMemoryServer((request, info) => {
      info.completed.catch((error) => outcomes.push(error.code));
      const content = request.body!.getReader();
      // As fetch() gives the answer of a server that it sends the content on to: with an error of its own.
      const pull = async (controller: ReadableStreamDefaultController<Uint8Array>) => {
        const { value } = await content.read().catch((cause) => {
          throw new TypeError("terminated", { cause });
        });
        controller.enqueue(value!);
      };
      return new Response(new ReadableStream({ pull }, { highWaterMark: 0 }));
    });
    const peer = await send(post("/", 10, "hello"));
    peer.end();
    await clock.settle();
    assert.deepEqual(reported, []);
    assert.deepEqual(server.stats().errors, { "message-incomplete": 1 });
    assert.deepEqual(outcomes, ["message-incomplete"]);
    assert.match(peer.received(), /^HTTP\/1.1 200 [^]*hello/);
    assert.equal(peer.serverSide, "closed");
  });

  test("an idle connection that ends is closed without a word", async () => {
    const { connect, clock, server } = await startMemoryServer(path);
    const peer = connect();
    await clock.settle();
    peer.end();
    await clock.settle();
    assert.equal(peer.received(), "");
    assert.equal(peer.serverSide, "closed");
    assert.deepEqual(server.stats().errors, {});
  });
});

describe("content the handler did not read (RFC 9112 section 9.3)", () => {
  test("is thrown away, and the next request is understood", async () => {
    const { send } = await startMemoryServer(path);
    const peer = await send(post("/a", 10, "hello"), "world" + get("/b"));
    assert.equal(peer.received(), okText("/a") + okText("/b"));
    assert.equal(peer.serverSide, "open");
  });

  test("that is chunked is thrown away up to maxRequestBodySize, however long that takes its peer to send", async () => {
    const { send } = await startMemoryServer(path, { maxRequestBodySize: 640 * 1024 });
    const chunk = `4000\r\n${"x".repeat(0x4000)}\r\n`;
    const head = "POST /a HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n";
    const peer = await send(head, chunk.repeat(40), `0\r\n\r\n${get("/b")}`);
    assert.equal(peer.received(), okText("/a") + okText("/b"));
    const endless = await send(head, chunk.repeat(41));
    assert.equal(endless.received(), okText("/a"));
    assert.equal(endless.serverSide, "ended");
  });

  test("that is chunked is thrown away until requestTimeout", async () => {
    const { send, clock } = await startMemoryServer(path, { requestTimeout: 2_000, keepAliveTimeout: 60_000 });
    const head = "POST /a HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n";
    const peer = await send(head, "5\r\nhello\r\n");
    assert.equal(peer.received(), okText("/a"));
    await clock.advance(1_900);
    assert.equal(peer.serverSide, "open");
    await clock.advance(1_000);
    assert.equal(peer.serverSide, "ended");
    assert.equal(peer.received(), okText("/a"), "the response is out, so that no other can follow");
  });

  test("and is known to be long closes the connection, and says so", async () => {
    const { send } = await startMemoryServer(path);
    const peer = await send(post("/a", 1_000_000, "x"));
    assert.equal(peer.received(), okText("/a", "Connection: close"));
    assert.equal(peer.serverSide, "ended");
  });

  test("and was promised behind 100 (Continue) closes the connection, and says so", async () => {
    const { send } = await startMemoryServer(path);
    const peer = await send(post("/a", 5, "", "Expect: 100-continue"));
    assert.equal(peer.received(), okText("/a", "Connection: close"));
  });

  test("does not keep a handler waiting that reads it behind its response", async () => {
    const outcome = createGate<string>();
    const { send, clock } = await startMemoryServer((request) => {
      setTimeout(() => request.text().then(outcome.open, (error) => outcome.open(error.code)));
      return text("early");
    });
    const peer = await send(post("/a", 10, "hello"));
    await clock.settle();
    assert.equal(await outcome.opened, "too-late");
    assert.equal(peer.received(), okText("early"));
  });
});

describe("an early error while the peer is still sending", () => {
  test("413 for a length that is too large comes before the content", async () => {
    const { send } = await startMemoryServer(path, { maxRequestBodySize: 10 });
    const peer = await send(post("/", 11));
    assert.deepEqual(statuses(peer.received()), [413]);
    assert.match(peer.received(), /Connection: close\r\n/);
  });

  test("413 for chunks that grow too large comes while they come, and the peer can still read it", async () => {
    const codes: string[] = [];
    const { send, server, clock } = await startMemoryServer(async (request) => {
      await request.text().catch((error) => codes.push(error.code));
      return new Response("never");
    }, { maxRequestBodySize: 10 });
    const peer = await send(
      "POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n",
      "8\r\n12345678\r\n",
      "8\r\n12345678\r\n",
    );
    assert.deepEqual(statuses(peer.received()), [413]);
    assert.equal(peer.serverSide, "ended");
    for (let i = 0; i < 100; i++) peer.send("x".repeat(10_000));
    await clock.settle();
    assert.equal(peer.isPausedByServer, false, "what the peer sends on is read and thrown away");
    peer.end();
    await clock.settle();
    assert.equal(server.stats().connections.open, 0);
    assert.deepEqual(codes, ["content-too-large"]);
  });

  test("a peer that never stops sending is cut off", async () => {
    const { send, clock, server } = await startMemoryServer(path, { maxRequestBodySize: 10 });
    const peer = await send(post("/", 11));
    const megabyte = new Uint8Array(1 << 20);
    for (let i = 0; i < 40; i++) {
      peer.send(megabyte);
      await clock.settle();
    }
    assert.equal(peer.serverSide, "closed");
    assert.equal(server.stats().connections.open, 0);
  });
});
