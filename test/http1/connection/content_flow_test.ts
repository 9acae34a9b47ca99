/** Content in both directions: back-pressure, failures in the middle, and who is told whether it was delivered. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { HandlerInfo } from "../../../src/api/handler.ts";
import { HttpResponse } from "../../../src/web/http_response.ts";
import { createGate, get, post, startMemoryServer, statuses } from "../../support/memory_server.ts";

const encoder = new TextEncoder();

describe("request content", () => {
  test("stops the transport while nobody reads it, and lets it go on when somebody does", async () => {
    const gate = createGate();
    const { send, clock } = await startMemoryServer(async (request) => {
      await gate.opened;
      let bytes = 0;
      for await (const chunk of request.body!) bytes += chunk.byteLength;
      return new Response(String(bytes));
    });
    const peer = await send(post("/", 300_000));
    for (let i = 0; i < 30; i++) peer.send("x".repeat(10_000));
    await clock.settle();
    assert.equal(peer.isPausedByServer, true);
    gate.open();
    await clock.settle();
    await clock.settle();
    assert.match(peer.received(), /\r\n\r\n300000$/);
  });

  test("reaches a reader piece by piece as it comes", async () => {
    const pieces: number[] = [];
    const { send, clock } = await startMemoryServer(async (request) => {
      for await (const chunk of request.body!) pieces.push(chunk.byteLength);
      return new Response("done");
    });
    const peer = await send(post("/", 6));
    for (const piece of ["a", "bb", "ccc"]) {
      peer.send(piece);
      await clock.settle();
    }
    assert.deepEqual(pieces, [1, 2, 3]);
  });

  test("that a handler cancels is thrown away, and the connection goes on", async () => {
    const { send } = await startMemoryServer(async (request) => {
      await request.body?.cancel();
      return new Response("ok");
    });
    const peer = await send(post("/", 200_000), "x".repeat(200_000) + get());
    assert.deepEqual(statuses(peer.received()), [200, 200]);
  });

  test("fails with the error of a peer that goes away", async () => {
    const outcome = createGate<{ code?: string }>();
    const { send, clock } = await startMemoryServer(async (request) => {
      await request.text().catch(outcome.open);
      return new Response("never");
    });
    const peer = await send(post("/", 10, "hello"));
    peer.reset();
    await clock.settle();
    assert.equal((await outcome.opened).code, "peer-disconnected");
  });

  test("that turns out malformed behind the beginning of the response cuts that response off when it is over", async () => {
    const { send, server } = await startMemoryServer((request) => new Response(request.body));
    const head = "POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n";
    const peer = await send(head, "5\r\nhello\r\n", "zz\r\n");
    assert.deepEqual(statuses(peer.received()), [200]);
    assert.match(peer.received(), /5\r\nhello\r\n$/, "the content has no end");
    assert.equal(peer.serverSide, "closed");
    assert.equal(server.stats().errors["chunk-invalid"], 1);
  });
});

describe("response content", () => {
  function stream(...parts: (string | Error)[]): ReadableStream<Uint8Array> {
    const left = [...parts];
    return new ReadableStream({
      pull(controller) {
        const part = left.shift();
        if (part === undefined) controller.close();
        else if (typeof part === "string") controller.enqueue(encoder.encode(part));
        else controller.error(part);
      },
    });
  }

  test("that is there from the start gets a Content-Length, however its stream cuts it up", async () => {
    const { send } = await startMemoryServer(() => new Response(stream("a", "b", "c")));
    const peer = await send(get());
    assert.match(peer.received(), /Content-Length: 3\r\n\r\nabc$/);
  });

  const KIB = 1024;
  const HELD: readonly (readonly [string, number[], RegExp])[] = [
    ["one large piece", [200 * KIB], /Content-Length: 204800/],
    ["small pieces", [600, 600, 3000, 0, 1, 9000], /Content-Length: 13201/],
    ["pieces of 64 KiB together", [1, 32 * KIB, 32 * KIB - 1], /Content-Length: 65536/],
    ["pieces of more than 64 KiB together", [1, 32 * KIB, 32 * KIB], /Transfer-Encoding: chunked/],
    ["a large piece behind a small one", [1, 200 * KIB], /Transfer-Encoding: chunked/],
    ["a small piece behind a large one", [200 * KIB, 1], /Transfer-Encoding: chunked/],
  ];
  for (const [name, sizes, framing] of HELD) {
    test(`that is there from the start is whole, and its length known up to 64 KiB in pieces: ${name}`, async () => {
      // Their letters are no hexadecimal digits, which sizes of chunks are written in.
      const parts = sizes.map((size, index) => "uvwxyz"[index].repeat(size));
      const { send, clock } = await startMemoryServer(() => new Response(stream(...parts)));
      const peer = await send(get());
      await clock.settle();
      const [head, content] = peer.received().split(/\r\n\r\n(.*)/s);
      assert.match(head, framing);
      assert.equal(content.replaceAll(/[0-9a-f]*\r\n/g, ""), parts.join(""));
    });
  }

  test("that comes later is chunked, and its head does not wait for it", async () => {
    let controller!: ReadableStreamDefaultController<Uint8Array>;
    const body = new ReadableStream<Uint8Array>({ start: (given) => void (controller = given) });
    const { send, clock } = await startMemoryServer(() => new Response(body));
    const peer = await send(get());
    assert.match(peer.received(), /Transfer-Encoding: chunked\r\n\r\n$/);
    controller.enqueue(encoder.encode("tick"));
    await clock.settle();
    assert.match(peer.received(), /\r\n\r\n4\r\ntick\r\n$/);
    controller.close();
    await clock.settle();
    assert.match(peer.received(), /4\r\ntick\r\n0\r\n\r\n$/);
    assert.equal(peer.serverSide, "open");
  });

  test("that comes later ends with the connection for HTTP/1.0", async () => {
    let controller!: ReadableStreamDefaultController<Uint8Array>;
    const body = new ReadableStream<Uint8Array>({ start: (given) => void (controller = given) });
    const { send, clock } = await startMemoryServer(() => new Response(body));
    const peer = await send("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    controller.enqueue(encoder.encode("tick"));
    controller.close();
    await clock.settle();
    assert.doesNotMatch(peer.received(), /Transfer-Encoding|Content-Length/);
    assert.match(peer.received(), /Connection: close\r\n\r\ntick$/);
    assert.equal(peer.serverSide, "ended");
  });

  test("is pulled only as fast as the peer takes it", async () => {
    let pulls = 0;
    const body = new ReadableStream<Uint8Array>({
      pull(controller) {
        pulls++;
        controller.enqueue(new Uint8Array(10_000));
        if (pulls === 100) controller.close();
      },
    });
    const { connect, clock } = await startMemoryServer(() => new Response(body));
    const peer = connect();
    peer.stopReading();
    peer.send(get());
    await clock.settle();
    await clock.settle();
    assert.ok(pulls < 30, `${pulls} of 100 pieces were pulled`);
    peer.read();
    await clock.settle();
    await clock.settle();
    assert.equal(pulls, 100);
    assert.match(peer.received(), /0\r\n\r\n$/);
  });

  test("that fails before anything was sent gives 500", async () => {
    const { send, reported } = await startMemoryServer(() => new Response(stream("a", new Error("gone"))));
    const peer = await send(get());
    assert.deepEqual(statuses(peer.received()), [500]);
    assert.deepEqual(reported.map((error) => [error.code, (error.cause as Error).message]), [[
      "response-content-failed",
      "gone",
    ]]);
  });

  test("that fails in the middle is cut off without its end", async () => {
    let controller!: ReadableStreamDefaultController<Uint8Array>;
    const body = new ReadableStream<Uint8Array>({ start: (given) => void (controller = given) });
    let completed: Promise<void> | undefined;
    const { send, clock, reported } = await startMemoryServer((_request, info) => {
      completed = info.completed;
      return new Response(body);
    });
    const peer = await send(get());
    controller.enqueue(encoder.encode("tick"));
    await clock.settle();
    controller.error(new Error("gone"));
    await clock.settle();
    assert.match(peer.received(), /4\r\ntick\r\n$/);
    assert.equal(peer.serverSide, "closed");
    assert.equal(reported.length, 1);
    await assert.rejects(completed!, { code: "response-content-failed" });
  });

  for (const [name, length, parts, tail] of [["longer", 3, ["tick"], ""], ["shorter", 9, ["tick"], "tick"]] as const) {
    test(`that is ${name} than its Content-Length cuts the connection off`, async () => {
      let controller!: ReadableStreamDefaultController<Uint8Array>;
      const body = new ReadableStream<Uint8Array>({ start: (given) => void (controller = given) });
      const headers = { "content-length": String(length) };
      const { send, clock, reported } = await startMemoryServer(() => new Response(body, { headers }));
      const peer = await send(get());
      for (const part of parts) controller.enqueue(encoder.encode(part));
      await clock.settle();
      if (name === "shorter") controller.close();
      await clock.settle();
      assert.equal(peer.received().split("\r\n\r\n")[1], tail);
      assert.equal(peer.serverSide, "closed");
      assert.deepEqual(reported.map((error) => error.code), ["response-content-length-mismatch"]);
    });
  }

  test("is cancelled when the peer goes away", async () => {
    const cancelled = createGate<unknown>();
    const body = new ReadableStream<Uint8Array>({ cancel: cancelled.open });
    const { send, clock } = await startMemoryServer(() => new Response(body));
    const peer = await send(get());
    peer.reset();
    await clock.settle();
    assert.equal((await cancelled.opened as { code: string }).code, "peer-disconnected");
  });
});

describe("delivery", () => {
  async function serveWatched() {
    let info!: HandlerInfo;
    let signal!: AbortSignal;
    const gate = createGate<Response>();
    const served = await startMemoryServer((request, given) => {
      info = given;
      signal = request.signal;
      return gate.opened;
    });
    const peer = await served.send(get());
    let outcome = "pending";
    info.completed.then(() => outcome = "delivered", (error) => outcome = error.code);
    return { ...served, peer, gate, signal, outcome: () => outcome };
  }

  test("of a response that was taken: completed resolves, the signal never aborts", async () => {
    const { peer, gate, clock, signal, outcome } = await serveWatched();
    gate.open(new Response("x"));
    await clock.settle();
    assert.equal(outcome(), "delivered");
    peer.reset();
    await clock.settle();
    assert.equal(signal.aborted, false);
  });

  test("of a response to a peer that has gone away: completed rejects, the signal aborts", async () => {
    const { peer, gate, clock, signal, outcome } = await serveWatched();
    peer.reset();
    await clock.settle();
    assert.equal(outcome(), "peer-disconnected");
    assert.equal(signal.aborted, true);
    gate.open(new Response("x"));
    await clock.settle();
    assert.equal(peer.received(), "");
  });

  test("of a response the peer has not taken yet is pending until it has", async () => {
    const { peer, gate, clock, signal, outcome } = await serveWatched();
    peer.stopReading();
    gate.open(new HttpResponse(new Uint8Array(500_000)));
    await clock.settle();
    assert.equal(outcome(), "pending");
    peer.read();
    await clock.settle();
    assert.equal(outcome(), "delivered");
    assert.equal(signal.aborted, false);
  });
});

describe("100 (Continue) (RFC 9110 section 10.1.1)", () => {
  const expecting = post("/", 5, "", "Expect: 100-continue");

  test("is sent when the handler first reads, also by answering with the content", async () => {
    const { send, clock } = await startMemoryServer((request) => new Response(request.body));
    const peer = await send(expecting);
    assert.equal(peer.received().slice(0, 25), "HTTP/1.1 100 Continue\r\n\r\n");
    peer.send("hello");
    await clock.settle();
    assert.match(peer.received(), /hello/);
  });

  test("can't be sent behind the final head: content that is asked for then fails", async () => {
    const gate = createGate();
    const outcome = createGate<{ code?: string }>();
    let controller!: ReadableStreamDefaultController<Uint8Array>;
    const body = new ReadableStream<Uint8Array>({ start: (given) => void (controller = given) });
    const { send, clock } = await startMemoryServer((request) => {
      gate.opened.then(() => request.text()).catch(outcome.open);
      return new Response(body);
    });
    const peer = await send(expecting);
    assert.match(peer.received(), /^HTTP\/1\.1 200 OK\r\n[^]*Connection: close\r\n/);
    gate.open();
    await clock.settle();
    assert.equal((await outcome.opened).code, "too-late");
    controller.close();
    await clock.settle();
    assert.equal(peer.serverSide, "ended");
  });

  test("is not sent when the content has come already", async () => {
    const { send } = await startMemoryServer(async (request) => new Response(await request.text()));
    const peer = await send(post("/", 5, "hello", "Expect: 100-continue"));
    assert.deepEqual(statuses(peer.received()), [200]);
  });
});

describe("trailer section of a request", () => {
  const head = "POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n";

  test("is there when the content was read", async () => {
    const { send } = await startMemoryServer(async (request, info) => {
      await request.text();
      return HttpResponse.json([...await info.trailers]);
    });
    const peer = await send(head, "5\r\nhello\r\n", "0\r\nX: y\r\n\r\n");
    assert.match(peer.received(), /\[\["x","y"\]\]$/);
  });

  test("is asked for when it is awaited: a peer that waits for 100 (Continue) is told", async () => {
    const { send, clock } = await startMemoryServer(async (_request, info) =>
      HttpResponse.json([...await info.trailers])
    );
    const expecting = head.replace(/\r\n$/, "Expect: 100-continue\r\n\r\n");
    const peer = await send(expecting);
    assert.equal(peer.received(), "HTTP/1.1 100 Continue\r\n\r\n");
    peer.send("0\r\nX: y\r\n\r\n");
    await clock.settle();
    assert.match(peer.received(), /\[\["x","y"\]\]$/);
  });

  test("rejects when the response was complete before", async () => {
    const outcome = createGate<{ code?: string }>();
    const { send } = await startMemoryServer((_request, info) => {
      info.trailers.catch(outcome.open);
      return new Response("early");
    });
    await send(head, "5\r\nhello\r\n");
    assert.equal((await outcome.opened).code, "too-late");
  });
});
