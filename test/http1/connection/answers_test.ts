/** Who answers when something goes wrong, and what is said: `onError`, errors of HEAD, trailers, bodies read late. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { ServeOptions } from "../../../src/api/options.ts";
import type { Handler } from "../../../src/api/handler.ts";
import { HttpResponse } from "../../../src/web/http_response.ts";
import { createGate, get, okText, post, startMemoryServer, statuses, text } from "../../support/memory_server.ts";

const never = (): Promise<Response> => new Promise(() => {});

describe("an onError that never gives a response", () => {
  const failing: readonly { name: string; handler: Handler }[] = [
    {
      name: "a handler that throws",
      handler: () => {
        throw new Error("broken");
      },
    },
    {
      name: "a handler whose response can't be sent",
      handler: () => new HttpResponse("hi", { headers: { "content-length": "5" } }),
    },
    {
      name: "a stream that fails before it begins",
      handler: () => new Response(new ReadableStream({ pull: (stream) => stream.error(new Error("broken")) })),
    },
  ];
  for (const { name, handler } of failing) {
    test(`has what is left of handlerTimeout for ${name}, then the standard response goes out`, async () => {
      const { send, clock, server } = await startMemoryServer(handler, { handlerTimeout: 1_000, onError: never });
      const peer = await send(get());
      await clock.advance(900);
      assert.equal(peer.received(), "");
      await clock.advance(400);
      assert.deepEqual(statuses(peer.received()), [500]);
      assert.equal(peer.serverSide, "open", "the client is not to blame");
      assert.equal(server.stats().activeExchanges, 0);
      assert.deepEqual((await send(get())).received(), "", "and it goes on");
    });
  }

  test("has 10 s where the handler has no time limit", async () => {
    const { send, clock } = await startMemoryServer(failing[0].handler, { onError: never });
    const peer = await send(get());
    await clock.advance(9_900);
    assert.equal(peer.received(), "");
    await clock.advance(1_200);
    assert.deepEqual(statuses(peer.received()), [500]);
  });
});

describe("the response to a HEAD that can't be served has no content (RFC 9110 section 9.3.2)", () => {
  const rows: readonly { status: number; request: string }[] = [
    { status: 400, request: "HEAD / HTTP/1.1\r\nHost: a.test\r\nno colon\r\n\r\n" },
    { status: 400, request: "HEAD / HTTP/1.1\r\n\r\n" },
    { status: 400, request: "HEAD / HTTP/1.1\r\nHost: [::1::]\r\n\r\n" },
    { status: 400, request: "HEAD bad HTTP/1.1\r\nHost: a.test\r\n\r\n" },
    { status: 414, request: `HEAD /${"x".repeat(9_000)} HTTP/1.1\r\nHost: a.test\r\n\r\n` },
    { status: 417, request: "HEAD / HTTP/1.1\r\nHost: a.test\r\nExpect: nothing\r\n\r\n" },
    { status: 431, request: `HEAD / HTTP/1.1\r\nHost: a.test\r\nx: ${"x".repeat(17_000)}\r\n\r\n` },
    { status: 501, request: "HEAD / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: br, chunked\r\n\r\n" },
    { status: 505, request: "HEAD / HTTP/2.0\r\nHost: a.test\r\n\r\n" },
    { status: 413, request: "HEAD / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 99999999\r\n\r\n" },
    { status: 400, request: "HEAD / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n" },
  ];
  for (const { status, request } of rows) {
    for (const split of [false, true]) {
      test(`${status} for ${JSON.stringify(request.slice(0, 70))}${split ? ", byte by byte" : ""}`, async () => {
        const { send } = await startMemoryServer(never);
        const peer = await send(...(split ? request.slice(0, 60).split("").concat(request.slice(60)) : [request]));
        assert.deepEqual(statuses(peer.received()), [status]);
        assert.match(peer.received(), /Content-Length: [1-9]\d*\r\n/);
        assert.match(peer.received(), /\r\n\r\n$/);
        assert.equal(peer.serverSide, "ended");
      });
    }
  }

  test("408, when the rest of it does not come", async () => {
    const { send, clock } = await startMemoryServer(never, { headersTimeout: 1_000 });
    const peer = await send("HEAD / HTTP/1.1\r\nHost: a.test\r\n");
    await clock.advance(1_500);
    assert.deepEqual(statuses(peer.received()), [408]);
    assert.match(peer.received(), /\r\n\r\n$/);
  });

  const FULL: readonly { name: string; options: ServeOptions; waits?: boolean }[] = [
    { name: "maxConnections, event-driven", options: { maxConnections: 1 } },
    { name: "maxConnections, worker-pool", options: { model: "worker-pool", workers: 1, maxConnections: 1 } },
    { name: "a full line, blocking", options: { model: "blocking", maxQueue: 0 } },
    { name: "a full line, worker-pool", options: { model: "worker-pool", workers: 1, maxQueue: 0 } },
    { name: "queueTimeout, blocking", options: { model: "blocking", queueTimeout: 1_000 }, waits: true },
    {
      name: "queueTimeout, worker-pool",
      options: { model: "worker-pool", workers: 1, queueTimeout: 1_000 },
      waits: true,
    },
  ];
  const BEGINNINGS: readonly [name: string, bytes: string, hasContent: boolean][] = [
    ["a whole head", "HEAD / HTTP/1.1\r\nHost: a.test\r\n\r\n", false],
    ["the beginning of a head", "HEAD / HTTP", false],
    ["an empty line before it", "\r\nHEAD / HTTP/1.1\r\n", false],
    ["a head that is malformed", "HEAD / HTTP/1.1\r\nno colon\r\n\r\n", false],
    ["as much as could be HEADER", "HEAD", true],
    ["nothing", "", true],
    ["a GET", "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n", true],
  ];
  for (const { name, options, waits = false } of FULL) {
    for (const [what, bytes, hasContent] of BEGINNINGS) {
      test(`503 because of ${name}, ${what} has come`, async () => {
        const { send, clock } = await startMemoryServer(never, { headersTimeout: 5_000, ...options });
        await send(get());
        const peer = await send(bytes);
        // A refusal waits for the first bytes, as long as a head may take.
        await clock.advance((waits ? 1_500 : 0) + (bytes === "" ? 6_000 : 0));
        assert.deepEqual(statuses(peer.received()), [503]);
        assert.match(peer.received(), hasContent ? /\r\n\r\n./ : /\r\n\r\n$/);
      });
    }
  }

  test("and that to a GET has it", async () => {
    const { send } = await startMemoryServer(never);
    assert.match((await send("GET / HTTP/2.0\r\n\r\n")).received(), /\r\n\r\nThe major version/);
  });
});

describe("trailers (RFC 9110 section 6.5)", () => {
  test("that are given by an async function are an error of the handler, and nothing is left unhandled", async () => {
    const late = (() => Promise.reject(new Error("late"))) as unknown as () => HeadersInit;
    const { send, reported } = await startMemoryServer((_request, info) => {
      info.sendTrailers(late);
      return new HttpResponse("hello");
    });
    const peer = await send(get("/", "TE: trailers", "Connection: TE"));
    assert.deepEqual(statuses(peer.received()), [500]);
    assert.match(String(reported[0].cause ?? reported[0]), /returned a promise, expected headers/);
  });

  for (
    const name of [
      ...["connection", "content-length", "host", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade"],
      ...["cache-control", "expect", "if-none-match", "max-forwards", "range"],
      ...["authorization", "cookie", "proxy-authenticate", "set-cookie", "www-authenticate"],
      ...["age", "date", "expires", "location", "retry-after", "vary"],
      ...["content-encoding", "content-range", "content-type"],
    ]
  ) {
    test(`with ${name} are an error of the handler (RFC 9110 section 6.5.1)`, async () => {
      const { send, reported } = await startMemoryServer((_request, info) => {
        // An array, since Headers of a request would leave some names out.
        info.sendTrailers(() => [["x-a", "1"], [name.toUpperCase(), "1"]]);
        return new HttpResponse("hello");
      });
      const peer = await send(get("/", "TE: trailers", "Connection: TE"));
      assert.deepEqual(statuses(peer.received()), [500]);
      assert.match(String(reported[0].cause ?? reported[0]), new RegExp(`"${name}" is not allowed in trailers`));
    });
  }

  test("may authenticate what was sent (RFC 9110 section 11.6.3)", async () => {
    const { send } = await startMemoryServer((_request, info) => {
      info.sendTrailers(() => ({ "authentication-info": "a=b", etag: '"1"', "server-timing": "a" }));
      return new HttpResponse("hello");
    });
    const peer = await send(get("/", "TE: trailers", "Connection: TE"));
    assert.match(peer.received(), /0\r\nauthentication-info: a=b\r\netag: "1"\r\nserver-timing: a\r\n\r\n$/);
  });

  test("that are awaited before the body is read hold only the client up, and the error says what to do", async () => {
    const outcome = createGate<Error & { code?: string }>();
    const { send, clock } = await startMemoryServer(async (_request, info) => {
      await info.trailers.catch(outcome.open);
      return text("late");
    }, { requestTimeout: 2_000, minDataRate: { bytesPerSecond: 0 } });
    const peer = await send(post("/", 200_000, "x".repeat(100_000)));
    await clock.advance(2_500);
    const error = await outcome.opened;
    assert.equal(error.code, "content-timeout");
    assert.match(error.message, /read the body before you await its trailers/);
    assert.deepEqual(statuses(peer.received()), [408]);
  });
});

describe("what a handler does behind its response", () => {
  const attempts: readonly { name: string; attempt: (info: Parameters<Handler>[1]) => void }[] = [
    { name: "inform()", attempt: (info) => info.inform(103, { link: "</a>" }) },
    { name: "sendTrailers()", attempt: (info) => info.sendTrailers(() => ({})) },
    { name: "upgrade()", attempt: (info) => info.upgrade("raw") },
  ];
  for (const { name, attempt } of attempts) {
    test(`${name} is refused with too-late`, async () => {
      const outcome = createGate<string>();
      const { send } = await startMemoryServer((_request, info) => {
        setTimeout(() => {
          try {
            attempt(info);
            outcome.open("accepted");
          } catch (error) {
            outcome.open((error as { code: string }).code);
          }
        });
        return text("hello");
      });
      const peer = await send(get("/", "Connection: upgrade", "Upgrade: raw"));
      assert.equal(await outcome.opened, "too-late");
      assert.equal(peer.received(), okText("hello"));
    });
  }

  test("does nothing when the client has left: the handler is not to blame", async () => {
    const gate = createGate();
    const outcome = createGate<string>();
    const { send, clock } = await startMemoryServer(async (_request, info) => {
      await gate.opened;
      info.inform(103, { link: "</a>" });
      outcome.open("ignored");
      return text("hello");
    });
    const peer = await send(get());
    peer.reset();
    await clock.settle();
    gate.open();
    assert.equal(await outcome.opened, "ignored");
  });
});

describe("a body that is read when the response is complete", () => {
  const body = "a body!!";
  for (let split = 0; split <= body.length; split++) {
    test(`is delivered, and then the next request is served: ${split} bytes come with the head`, async () => {
      const saved = createGate<string>();
      const { send, clock } = await startMemoryServer((request) => {
        if (request.method === "GET") return text("next");
        request.text().then(saved.open, saved.fail);
        return new HttpResponse(null, { status: 202 });
      });
      const peer = await send(post("/", body.length, body.slice(0, split)));
      assert.deepEqual(statuses(peer.received()), [202]);
      peer.send(body.slice(split) + get());
      await clock.settle();
      assert.equal(await saved.opened, body);
      assert.deepEqual(statuses(peer.received()), [202, 200]);
    });
  }

  test("fails at requestTimeout, and the connection is closed", async () => {
    const outcome = createGate<string>();
    const { send, clock } = await startMemoryServer((request) => {
      request.text().catch((error) => outcome.open(error.code));
      return new HttpResponse(null, { status: 202 });
    }, { requestTimeout: 2_000, minDataRate: { bytesPerSecond: 0 } });
    const peer = await send(post("/", 10, "hello"));
    await clock.advance(2_500);
    assert.equal(await outcome.opened, "content-timeout");
    assert.equal(peer.serverSide, "ended");
  });

  test("through its stream, the first read of which waits when the handler returns, is delivered too", async () => {
    const saved = createGate<string>();
    const { send, clock } = await startMemoryServer((request) => {
      new Response(request.body!.pipeThrough(new TextDecoderStream()).pipeThrough(new TextEncoderStream())).text()
        .then(saved.open, saved.fail);
      return new HttpResponse(null, { status: 202 });
    });
    const peer = await send(post("/", body.length, "a "));
    peer.send("body!!");
    await clock.settle();
    assert.equal(await saved.opened, body);
    assert.deepEqual(statuses(peer.received()), [202]);
  });

  test("is not waited for when its stream was merely looked at", async () => {
    const { send, clock } = await startMemoryServer((request) => {
      assert.ok(request.method === "GET" || request.body !== null);
      return text("ok");
    });
    const peer = await send(post("/", 8, "half"), "rest" + get());
    await clock.settle();
    assert.equal(peer.received(), okText("ok") + okText("ok"));
  });

  test("and held by its reader is not waited for longer than that: the reader has no excuse any more", async () => {
    const { send, clock, server } = await startMemoryServer((request) => {
      const reader = request.body!.getReader();
      reader.read();
      return new HttpResponse(null, { status: 202 });
    }, { requestTimeout: 2_000, minDataRate: { bytesPerSecond: 0 } });
    const peer = await send(post("/", 500_000, "first"), "x".repeat(200_000));
    assert.equal(peer.isPausedByServer, true);
    await clock.advance(8_000);
    peer.end();
    await clock.settle();
    assert.equal(server.stats().connections.open, 0);
  });
});

describe("one client that pipelines without pause", () => {
  test("is answered a few milliseconds at a time, and others between", async () => {
    const order: string[] = [];
    const { connect, clock, runtime } = await startMemoryServer((request) => {
      order.push(new URL(request.url).pathname);
      spend(1);
      return new HttpResponse("hello");
    });
    // Each request takes a millisecond of the clock by which turns are measured.
    let spentMs = 0;
    const spend = (ms: number): void => void (spentMs += ms);
    const { nowMs } = runtime.clock;
    runtime.clock.nowMs = () => nowMs.call(runtime.clock) + spentMs;
    const greedy = connect();
    const other = connect();
    greedy.send(get("/greedy").repeat(50));
    await new Promise((resolve) => setImmediate(resolve));
    other.send(get("/other"));
    await clock.settle();
    assert.equal(order.length, 51);
    assert.ok(order.indexOf("/other") < 12, `the other was served behind ${order.indexOf("/other")}`);
    assert.equal(statuses(greedy.received()).length, 50);
  });

  test("is answered a few at a time where no handler is called, too", async () => {
    let answeredBefore = -1;
    const { connect, clock, runtime } = await startMemoryServer(() => {
      answeredBefore = statuses(greedy.received()).length;
      return new HttpResponse("hello");
    }, { healthPath: "/health" });
    // Each look at the clock by which turns are measured takes a millisecond.
    let looks = 0;
    const { nowMs } = runtime.clock;
    runtime.clock.nowMs = () => nowMs.call(runtime.clock) + looks++;
    const greedy = connect();
    const other = connect();
    greedy.send(get("/health").repeat(50));
    await new Promise((resolve) => setImmediate(resolve));
    other.send(get("/other"));
    await clock.settle();
    assert.ok(answeredBefore < 20, `the other was served behind ${answeredBefore}`);
    assert.equal(statuses(greedy.received()).length, 50);
  });
});

describe("bytes that have lost their memory", () => {
  const lose = (bytes: Uint8Array<ArrayBuffer>): Uint8Array => {
    if (bytes.byteLength > 0) structuredClone(bytes.buffer, { transfer: [bytes.buffer] });
    return bytes;
  };
  const given = (): Uint8Array<ArrayBuffer> => new Uint8Array([1, 2, 3]);
  const streamOf = (...chunks: unknown[]): ReadableStream =>
    new ReadableStream({
      start(controller) {
        for (const chunk of chunks) controller.enqueue(chunk);
        controller.close();
      },
    });
  const LOST: readonly { name: string; make(): Response }[] = [
    {
      name: "as the body",
      make() {
        const bytes = given();
        const response = new HttpResponse(bytes);
        lose(bytes);
        return response;
      },
    },
    { name: "as a chunk", make: () => new HttpResponse(streamOf(lose(given()))) },
    { name: "as a chunk behind another", make: () => new HttpResponse(streamOf(given(), lose(given()))) },
    {
      name: "as a chunk that is a view",
      make() {
        const bytes = given();
        const view = new DataView(bytes.buffer);
        lose(bytes);
        return new HttpResponse(streamOf(view));
      },
    },
    ...[false, true].map((isLast) => ({
      name: `while a chunk is held for the first turn, and ${isLast ? "is the last" : "another one comes"}`,
      make() {
        const bytes = given();
        let pulls = 0;
        return new HttpResponse(
          new ReadableStream({
            pull(controller) {
              if (++pulls === 1) controller.enqueue(bytes);
              else lose(bytes);
              if (pulls === 2 && !isLast) controller.enqueue(given());
              else if (pulls > 1) controller.close();
            },
          }, { highWaterMark: 0 }),
        );
      },
    })),
  ];
  for (const { name, make } of LOST) {
    test(`are no response, and nothing of one is sent before the 500: ${name}`, async () => {
      const { send } = await startMemoryServer((request) =>
        request.url.endsWith("/next") ? new HttpResponse("next") : make()
      );
      const peer = await send(get("/") + get("/next"));
      assert.deepEqual(statuses(peer.received()), [500, 200]);
      assert.ok(peer.received().endsWith("next"));
    });
  }

  test("while the client does not take them end the connection: what follows must not be taken for them", async () => {
    const chunks = [256, 64].map((kib) => new Uint8Array(kib * 1024));
    const { runtime, clock, server } = await startMemoryServer((request) =>
      new HttpResponse(request.url.endsWith("/next") ? "next" : streamOf(...chunks))
    );
    const peer = runtime.connect();
    peer.stopReading();
    peer.send(get("/") + get("/next"));
    await clock.settle();
    // What the transport was given is in its hands.
    lose(chunks[1]);
    peer.read();
    await clock.settle();
    assert.equal(peer.serverSide, "closed");
    assert.doesNotMatch(peer.received(), /next/);
    assert.deepEqual(server.stats().errors, { "response-content-failed": 1 });
  });
});
