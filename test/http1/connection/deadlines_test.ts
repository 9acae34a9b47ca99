/** Every deadline of a connection, on virtual time: what ends it, in which status, and that activity does not reset it. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { HttpResponse } from "../../../src/web/http_response.ts";
import { createGate, get, post, startMemoryServer, statuses } from "../../support/memory_server.ts";

/** The time a deadline may be late: two ticks of the coarse clock, with the default timeouts. */
const LATENESS_MS = 1_000;

const hello = () => new Response("hello");

describe("a turn that takes longer than a timeout", () => {
  const ROWS: readonly (readonly [what: string, first: string, then: string])[] = [
    ["the rest of a head", "GET / HTTP/1.1\r\n", "Host: a.test\r\n\r\n"],
    ["the next request", `${get("/")}`, get("/")],
    ["the rest of a body", "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 4\r\n\r\nab", "cd"],
  ];
  for (const [what, first, then] of ROWS) {
    test(`is not charged to a client: ${what} that could not be read meanwhile is answered`, async () => {
      const timeouts = { headersTimeout: 5_000, keepAliveTimeout: 5_000, requestTimeout: 5_000 };
      const { send, clock } = await startMemoryServer(async (request) => new Response(await request.text()), timeouts);
      const peer = await send(first);
      await clock.holdUp(20_000);
      peer.send(then);
      await clock.settle();
      assert.deepEqual(new Set(statuses(peer.received())), new Set([200]));
      assert.equal(peer.serverSide, "open");
    });
  }
});

describe("headersTimeout", () => {
  test("ends a head that trickles in, one byte a second, with 408 and a close", async () => {
    const { connect, clock, server } = await startMemoryServer(hello, { headersTimeout: 10_000 });
    const peer = connect();
    const head = get("/", `X: ${"y".repeat(100)}`);
    let sent = 0;
    while (peer.received() === "" && sent < 60) {
      peer.send(head[sent++]);
      await clock.advance(1_000);
    }
    assert.ok(sent >= 10 && sent <= 12, `answered after ${sent} seconds`);
    assert.match(peer.received(), /^HTTP\/1\.1 408 Request Timeout\r\n[^]*Connection: close\r\n/);
    assert.equal(peer.serverSide, "ended");
    assert.equal(server.stats().errors["head-timeout"], 1);
  });

  test("closes a connection that never sends a byte, and says nothing", async () => {
    const { connect, clock } = await startMemoryServer(hello, { headersTimeout: 10_000 });
    const peer = connect();
    await clock.advance(9_000);
    assert.equal(peer.serverSide, "open");
    await clock.advance(1_000 + 2 * LATENESS_MS);
    assert.equal(peer.received(), "");
    assert.equal(peer.serverSide, "ended");
  });

  test("closes a connection that sent an empty line only, and says nothing", async () => {
    const { send, clock } = await startMemoryServer(hello, { headersTimeout: 10_000 });
    const peer = await send("\r\n");
    await clock.advance(10_000 + 2 * LATENESS_MS);
    assert.equal(peer.received(), "");
    assert.equal(peer.serverSide, "ended");
  });

  test("does not end a head that comes in time", async () => {
    const { send, clock } = await startMemoryServer(hello, { headersTimeout: 10_000 });
    const peer = await send("GET / HTTP/1.1\r\n");
    await clock.advance(9_000);
    peer.send("Host: a.test\r\n\r\n");
    await clock.advance(60_000);
    assert.deepEqual(statuses(peer.received()), [200]);
  });
});

describe("keepAliveTimeout", () => {
  test("closes an idle connection without a response", async () => {
    const { send, clock } = await startMemoryServer(hello, { keepAliveTimeout: 5_000 });
    const peer = await send(get());
    await clock.advance(4_500);
    assert.equal(peer.serverSide, "open");
    await clock.advance(500 + 2 * LATENESS_MS);
    assert.equal(peer.serverSide, "ended");
    assert.deepEqual(statuses(peer.received()), [200]);
  });

  test("counts from the last response", async () => {
    const { send, clock } = await startMemoryServer(hello, { keepAliveTimeout: 5_000 });
    const peer = await send(get());
    for (let i = 0; i < 5; i++) {
      await clock.advance(4_000);
      peer.send(get());
      await clock.settle();
    }
    assert.equal(statuses(peer.received()).length, 6);
    assert.equal(peer.serverSide, "open");
  });

  test("of 0 keeps the connection for ever", async () => {
    const { send, clock } = await startMemoryServer(hello, { keepAliveTimeout: 0 });
    const peer = await send(get());
    await clock.advance(3_600_000);
    assert.equal(peer.serverSide, "open");
  });
});

describe("requestTimeout", () => {
  test("ends content that comes too slowly as a whole with 408, however steadily it comes", async () => {
    const { send, clock, server } = await startMemoryServer(
      async (request) => new Response(await request.text()),
      { requestTimeout: 20_000, minDataRate: { bytesPerSecond: 0 } },
    );
    const peer = await send(post("/", 1_000));
    for (let i = 0; i < 25; i++) {
      peer.send("x");
      await clock.advance(1_000);
    }
    assert.deepEqual(statuses(peer.received()), [408]);
    assert.equal(peer.serverSide, "ended");
    assert.equal(server.stats().errors["content-timeout"], 1);
  });

  test("does not count the time in which the handler lets the content wait", async () => {
    const gate = createGate();
    const { send, clock } = await startMemoryServer(async (request) => {
      await gate.opened;
      return new Response(String((await request.arrayBuffer()).byteLength));
    }, { requestTimeout: 20_000 });
    const peer = await send(post("/", 100_000), "x".repeat(80_000));
    assert.equal(peer.isPausedByServer, true);
    await clock.advance(120_000);
    assert.equal(peer.received(), "");
    gate.open();
    await clock.settle();
    peer.send("x".repeat(20_000));
    await clock.settle();
    assert.deepEqual(statuses(peer.received()), [200]);
  });
});

describe("minDataRate", () => {
  const minDataRate = { bytesPerSecond: 100, gracePeriod: 5_000 };

  test("ends content that comes slower with 408, behind the grace period", async () => {
    const { send, clock, server } = await startMemoryServer(
      async (request) => new Response(await request.text()),
      { minDataRate },
    );
    const peer = await send(post("/", 10_000));
    for (let second = 0; second < 4; second++) {
      peer.send("x".repeat(50));
      await clock.advance(1_000);
    }
    assert.equal(peer.received(), "");
    for (let second = 0; second < 4; second++) {
      peer.send("x".repeat(50));
      await clock.advance(1_000);
    }
    assert.deepEqual(statuses(peer.received()), [408]);
    assert.equal(server.stats().errors["data-rate-too-low"], 1);
  });

  test("lets content pass that comes just fast enough", async () => {
    const { send, clock } = await startMemoryServer(
      async (request) => new Response(await request.text()),
      { minDataRate },
    );
    const peer = await send(post("/", 6_000));
    for (let second = 0; second < 60; second++) {
      peer.send("x".repeat(100));
      await clock.advance(990);
    }
    assert.deepEqual(statuses(peer.received()), [200]);
  });

  test("does not end content that waits for 100 (Continue)", async () => {
    const gate = createGate();
    const { send, clock } = await startMemoryServer(async (request) => {
      await gate.opened;
      return new Response(await request.text());
    }, { minDataRate });
    const peer = await send(post("/", 5, "", "Expect: 100-continue"));
    await clock.advance(60_000);
    gate.open();
    await clock.settle();
    assert.equal(peer.received(), "HTTP/1.1 100 Continue\r\n\r\n");
    peer.send("hello");
    await clock.settle();
    assert.deepEqual(statuses(peer.received()), [100, 200]);
  });
});

describe("handlerTimeout", () => {
  test("answers 503 and aborts the request's signal; a later response is thrown away", async () => {
    const gate = createGate<Response>();
    let signal: AbortSignal | undefined;
    let isCancelled = false;
    const { send, clock, server, reported } = await startMemoryServer((request) => {
      signal = request.signal;
      return gate.opened;
    }, { handlerTimeout: 2_000 });
    const peer = await send(get());
    await clock.advance(1_900);
    assert.equal(peer.received(), "");
    await clock.advance(1_000);
    assert.deepEqual(statuses(peer.received()), [503]);
    assert.equal(signal?.aborted, true);
    assert.equal(server.stats().errors["handler-timeout"], 1);
    assert.deepEqual(reported.map(({ code }) => code), ["handler-timeout"], "it is the user's to mend");

    gate.open(new Response(new ReadableStream({ cancel: () => void (isCancelled = true) })));
    await clock.settle();
    assert.deepEqual(statuses(peer.received()), [503]);
    assert.equal(isCancelled, true);
  });

  test("does not bound the content of a response that streams", async () => {
    const encoder = new TextEncoder();
    let controller!: ReadableStreamDefaultController<Uint8Array>;
    const stream = new ReadableStream<Uint8Array>({ start: (given) => void (controller = given) });
    const { send, clock } = await startMemoryServer(() => new Response(stream), { handlerTimeout: 1_000 });
    const peer = await send(get());
    for (let i = 0; i < 10; i++) {
      controller.enqueue(encoder.encode("tick"));
      await clock.advance(1_000);
    }
    controller.close();
    await clock.settle();
    assert.match(peer.received(), /0\r\n\r\n$/);
  });
});

describe("writeTimeout", () => {
  test("cuts off a peer that does not take the response, and aborts the signal", async () => {
    let signal: AbortSignal | undefined;
    let completed: Promise<void> | undefined;
    const { connect, clock, server } = await startMemoryServer((request, info) => {
      signal = request.signal;
      completed = info.completed;
      return new HttpResponse(new Uint8Array(1_000_000));
    }, { writeTimeout: 10_000 });
    const peer = connect();
    peer.stopReading();
    peer.send(get());
    await clock.advance(9_000);
    assert.equal(peer.serverSide, "open");
    await clock.advance(4_000);
    assert.equal(peer.serverSide, "closed");
    assert.equal(signal?.aborted, true);
    await assert.rejects(completed!, { code: "write-timeout" });
    assert.equal(server.stats().errors["write-timeout"], 1);
  });

  test("does not cut off a peer that takes a large response slowly", async () => {
    const size = 1_000_000;
    const { connect, clock } = await startMemoryServer(
      () => new HttpResponse(new Uint8Array(size)),
      { writeTimeout: 10_000 },
    );
    const peer = connect();
    peer.stopReading();
    peer.send(get());
    for (let i = 0; peer.receivedBytes < size && i < 100; i++) {
      await clock.advance(5_000);
      peer.read(70_000);
    }
    await clock.settle();
    assert.ok(peer.receivedBytes > size);
    assert.equal(peer.serverSide, "open");
  });
});

describe("lingering close", () => {
  test("waits for the peer's FIN, but not for ever", async () => {
    const { send, clock, server } = await startMemoryServer(hello);
    const peer = await send(get("/", "Connection: close"));
    assert.equal(peer.serverSide, "ended");
    assert.equal(server.stats().connections.open, 1);
    await clock.advance(5_000 + 2 * LATENESS_MS);
    assert.equal(peer.serverSide, "closed");
    assert.equal(server.stats().connections.open, 0);
  });

  test("ends at once when the peer closes too", async () => {
    const { send, clock, server } = await startMemoryServer(hello);
    const peer = await send(get("/", "Connection: close"));
    peer.end();
    await clock.settle();
    assert.equal(peer.serverSide, "closed");
    assert.equal(server.stats().connections.open, 0);
    assert.equal(clock.pendingCount, 0, "an idle server has no timer");
  });
});
