/** `server.fetch()`: requests of the process itself, which meet what requests of the network meet. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Handler } from "../../src/api/handler.ts";
import type { ServeOptions } from "../../src/api/options.ts";
import type { TrivetError } from "../../src/api/errors.ts";
import { HttpResponse } from "../../src/web/http_response.ts";
import { createMemoryRuntime } from "../support/memory_runtime.ts";
import {
  createGate,
  createMemoryServer,
  get,
  type MemoryServer,
  startMemoryServer,
  statuses,
} from "../support/memory_server.ts";
import { TEST_SERVER_CERT, TEST_SERVER_KEY } from "../support/test_certificates.ts";

/** Says what it got. */
const mirror: Handler = async (request, info) =>
  Response.json({
    method: request.method,
    url: request.url,
    headers: [...request.headers].filter(([name]) => name !== "content-type"),
    body: await request.text(),
    remote: info.remoteAddr,
  });

/** Turns the virtual event loop until a promise has settled. */
async function settled<T>({ clock }: MemoryServer, promise: Promise<T>): Promise<T> {
  let isSettled = false;
  promise.then(() => isSettled = true, () => isSettled = true);
  while (!isSettled) await clock.settle();
  return await promise;
}

async function ask(memory: MemoryServer, input: string | URL | Request, init?: RequestInit): Promise<Response> {
  return await settled(memory, memory.server.fetch(input, init));
}

async function textOf(memory: MemoryServer, input: string, init?: RequestInit): Promise<string> {
  const response = await ask(memory, input, init);
  return `${response.status} ${await settled(memory, response.text())}`;
}

function bodyOf(...pieces: string[]): ReadableStream<Uint8Array> {
  return new ReadableStream({
    start(controller) {
      for (const piece of pieces) controller.enqueue(new TextEncoder().encode(piece));
      controller.close();
    },
  });
}

/** Streams of a Request need this in some runtimes, and not all types know it. */
const HALF = { duplex: "half" } as RequestInit;

describe("what the handler gets", () => {
  const remote = { transport: "tcp", hostname: "127.0.0.1", port: 0 };
  const rows: [name: string, input: string | URL | Request, init: RequestInit | undefined, expected: object][] = [
    ["a path counts from server.url", "/a?b=c", undefined, { url: "http://localhost:8000/a?b=c" }],
    ["a URL is taken as it is", new URL("http://a.test/x"), undefined, { url: "http://a.test/x" }],
    ["the scheme is that of the server", "https://a.test/x", undefined, { url: "http://a.test/x" }],
    ["a Request", new Request("http://a.test/r", { method: "DELETE" }), undefined, {
      method: "DELETE",
      url: "http://a.test/r",
    }],
    ["a Request and what changes it", new Request("http://a.test/r"), { method: "PUT" }, { method: "PUT" }],
    ["header fields, and a host of the caller's own", "/", { headers: { "x-own": "caf\u00e9", host: "b.test" } }, {
      url: "http://b.test/",
      headers: [["host", "b.test"], ["x-own", "caf\u00e9"]],
    }],
    ["content that is there at once comes with its length", "/", { method: "POST", body: "hello" }, {
      body: "hello",
      headers: [["content-length", "5"], ["host", "localhost:8000"]],
    }],
    ["no field of the caller decides where the content ends (RFC 9112 section 6.3)", "/", {
      method: "POST",
      body: "hello",
      headers: { "content-length": "99", "transfer-encoding": "gzip", connection: "close" },
    }, { body: "hello", headers: [["content-length", "5"], ["host", "localhost:8000"]] }],
    ["a stream that is over within a turn has a length too", "/", { method: "POST", body: bodyOf("a", "b"), ...HALF }, {
      body: "ab",
      headers: [["content-length", "2"], ["host", "localhost:8000"]],
    }],
    ["the peer is this machine", "/", undefined, { remote }],
  ];
  for (const [name, input, init, expected] of rows) {
    test(name, async () => {
      const memory = await startMemoryServer(mirror);
      const response = await ask(memory, input, init);
      const got = await settled(memory, response.json());
      assert.deepEqual({ ...got, ...expected }, got);
      await memory.server.stop();
    });
  }

  test("content that takes its time streams in as it comes", async () => {
    const seen: string[] = [];
    const memory = await startMemoryServer(async (request) => {
      for await (const piece of request.body!) seen.push(new TextDecoder().decode(piece));
      return new HttpResponse(request.headers.get("transfer-encoding"));
    });
    let controller!: ReadableStreamDefaultController<Uint8Array>;
    const body = new ReadableStream<Uint8Array>({ start: (given) => void (controller = given) });
    const answer = memory.server.fetch("/", { method: "POST", body, ...HALF });
    for (const piece of ["one", "two"]) {
      controller.enqueue(new TextEncoder().encode(piece));
      await memory.clock.settle();
    }
    assert.deepEqual(seen, ["one", "two"]);
    controller.close();
    assert.equal(await (await settled(memory, answer)).text(), "chunked");
    await memory.server.stop();
  });
});

describe("what comes back", () => {
  const rows: [name: string, response: () => Response | HttpResponse, expected: string][] = [
    ["text", () => new HttpResponse("hello", { status: 201, statusText: "Made" }), "201 Made hello"],
    ["nothing", () => new HttpResponse(null, { status: 204 }), "204 No Content "],
    ["a stream", () => new HttpResponse(bodyOf("a", "b")), "200 OK ab"],
    [
      "a redirect, which is not followed",
      () => new HttpResponse(null, { status: 302, headers: { location: "/" } }),
      "302 Found ",
    ],
  ];
  for (const [name, response, expected] of rows) {
    test(name, async () => {
      const memory = await startMemoryServer(response);
      const got = await ask(memory, "/");
      assert.equal(`${got.status} ${got.statusText} ${await settled(memory, got.text())}`, expected);
      assert.ok(got.headers.has("date"), "as it would go out on the wire");
      await memory.server.stop();
    });
  }

  test("each Set-Cookie stays by itself", async () => {
    const memory = await startMemoryServer(() =>
      new HttpResponse(null, { headers: [["set-cookie", "a=1"], ["set-cookie", "b=2"]] })
    );
    assert.deepEqual((await ask(memory, "/")).headers.getSetCookie(), ["a=1", "b=2"]);
    await memory.server.stop();
  });

  test("a HEAD has the head of a GET and no content (RFC 9110 section 9.3.2)", async () => {
    const memory = await startMemoryServer(() => new HttpResponse("hello"));
    const response = await ask(memory, "/", { method: "HEAD" });
    assert.deepEqual([response.headers.get("content-length"), response.body], ["5", null]);
    await memory.server.stop();
  });

  test("what is said before a response is not taken for it (RFC 9110 section 15.2)", async () => {
    const memory = await startMemoryServer((_request, info) => {
      info.inform(103, { link: "</style.css>" });
      return new HttpResponse("then");
    });
    assert.equal(await textOf(memory, "/"), "200 then");
    await memory.server.stop();
  });

  test("a reader that waits holds the handler's stream up, and gets all of it in the end", async () => {
    const PIECES = 64;
    let pulled = 0;
    const memory = await startMemoryServer(() =>
      new HttpResponse(
        new ReadableStream({
          pull(controller) {
            controller.enqueue(new Uint8Array(64 * 1024));
            if (++pulled === PIECES) controller.close();
          },
        }, { highWaterMark: 0 }),
      )
    );
    const response = await ask(memory, "/");
    await memory.clock.settle();
    assert.ok(pulled < 8, `${pulled} pieces were pulled for a reader that has not begun`);
    assert.equal((await settled(memory, response.arrayBuffer())).byteLength, PIECES * 64 * 1024);
    await memory.server.stop();
  });

  test("an upload goes on behind a response that came before it", async () => {
    const read = createGate<string>();
    const memory = await startMemoryServer((request) => {
      request.text().then(read.open, read.fail);
      return new HttpResponse("already");
    });
    const body = new ReadableStream<Uint8Array>({
      async start(controller) {
        controller.enqueue(new TextEncoder().encode("a"));
        await new Promise((resolve) => setTimeout(resolve, 20));
        controller.enqueue(new TextEncoder().encode("b"));
        controller.close();
      },
    });
    assert.equal(await textOf(memory, "/", { method: "POST", body, ...HALF }), "200 already");
    assert.equal(await settled(memory, read.opened), "ab");
    await memory.server.stop();
  });
});

describe("limits, deadlines and errors are those of any request", () => {
  const slow: Handler = () => new Promise(() => {});
  const rows: [
    name: string,
    options: ServeOptions,
    handler: Handler,
    input: string,
    init: RequestInit | undefined,
    status: number,
  ][] = [
    ["maxRequestBodySize", { maxRequestBodySize: 4 }, mirror, "/", { method: "POST", body: "hello" }, 413],
    ["maxHeaderSize", { maxHeaderSize: 1_000 }, mirror, "/", { headers: { "x-long": "x".repeat(1_000) } }, 431],
    ["maxRequestTargetSize", { maxRequestTargetSize: 100 }, mirror, `/${"x".repeat(100)}`, undefined, 414],
    ["a handler that throws", {}, () => Promise.reject(new Error("private")), "/", undefined, 500],
    ["healthPath", { healthPath: "/health" }, slow, "/health", undefined, 200],
  ];
  for (const [name, options, handler, input, init, status] of rows) {
    test(name, async () => {
      const memory = await startMemoryServer(handler, options);
      const response = await ask(memory, input, init);
      assert.equal(response.status, status);
      assert.doesNotMatch(await settled(memory, response.text()), /private/);
      await memory.server.stop();
    });
  }

  test("handlerTimeout", async () => {
    const memory = await startMemoryServer(slow, { handlerTimeout: 1_000 });
    const answer = memory.server.fetch("/");
    await memory.clock.advance(2_000);
    assert.equal((await answer).status, 503);
    await memory.server.stop();
  });

  test("requestTimeout, for a body that does not come", async () => {
    const memory = await startMemoryServer(mirror, { requestTimeout: 1_000 });
    const answer = memory.server.fetch("/", { method: "POST", body: new ReadableStream(), ...HALF });
    await memory.clock.advance(2_000);
    assert.equal((await answer).status, 408);
    await memory.server.stop();
  });

  test("maxConnections, and a connection that counts", async () => {
    const memory = await startMemoryServer(slow, { maxConnections: 1 });
    const peer = await memory.send(get("/"));
    assert.equal((await ask(memory, "/")).status, 503);
    assert.deepEqual(statuses(peer.received()), []);
    await memory.server.stop();
  });

  test("a blocking server has it wait for its turn", async () => {
    const memory = await startMemoryServer(() => new HttpResponse("hello"), { model: "blocking" });
    const peer = memory.connect();
    await memory.clock.settle();
    let status = 0;
    memory.server.fetch("/").then((response) => status = response.status);
    await memory.clock.settle();
    assert.equal(status, 0);
    peer.end();
    await memory.clock.settle();
    assert.equal(status, 200);
    await memory.server.stop();
  });

  test("content that is cut off is an error of the reader", async () => {
    const memory = await startMemoryServer(() =>
      new HttpResponse(
        new ReadableStream({
          async pull(controller) {
            controller.enqueue(new TextEncoder().encode("half"));
            await new Promise((resolve) => setTimeout(resolve, 20));
            controller.error(new Error("no more"));
          },
        }),
      )
    );
    const response = await ask(memory, "/");
    await assert.rejects(settled(memory, response.text()), /cut the response off/);
    await memory.server.stop();
  });
});

describe("a caller that leaves", () => {
  for (const point of ["before the response", "in the middle of it"] as const) {
    test(`${point} aborts the handler's request, and gets its own reason`, async () => {
      const aborted = createGate<string>();
      const memory = await startMemoryServer((request) => {
        request.signal.addEventListener("abort", () => aborted.open((request.signal.reason as TrivetError).code));
        if (point === "before the response") return new Promise(() => {});
        return new HttpResponse(new ReadableStream({ start: (controller) => controller.enqueue(new Uint8Array(1)) }));
      });
      const { signal, abort } = stopper();
      const answer = memory.server.fetch("/", { signal });
      await memory.clock.settle();
      if (point === "before the response") {
        abort();
        await assert.rejects(settled(memory, answer), /that is enough/);
      } else {
        const response = await settled(memory, answer);
        abort();
        await assert.rejects(settled(memory, response.text()), /that is enough/);
      }
      assert.equal(await settled(memory, aborted.opened), "peer-disconnected");
      await memory.server.stop();
    });
  }

  test("by cancelling the body ends the handler's stream", async () => {
    const cancelled = createGate();
    const memory = await startMemoryServer(() =>
      new HttpResponse(
        new ReadableStream({
          start: (controller) => controller.enqueue(new Uint8Array(1)),
          cancel: () => cancelled.open(),
        }),
      )
    );
    const response = await ask(memory, "/");
    await settled(memory, response.body!.cancel());
    await settled(memory, cancelled.opened);
    await memory.server.stop();
  });

  test("with a body that fails gets that failure", async () => {
    const memory = await startMemoryServer(mirror);
    const body = new ReadableStream({
      async pull(controller) {
        await new Promise((resolve) => setTimeout(resolve, 20));
        controller.error(new RangeError("the disk is gone"));
      },
    });
    await assert.rejects(ask(memory, "/", { method: "POST", body, ...HALF }), /the disk is gone/);
    await memory.server.stop();
  });

  test("and one that had left before sends nothing", async () => {
    const memory = await startMemoryServer(mirror);
    const { signal, abort } = stopper();
    abort();
    await assert.rejects(ask(memory, "/", { signal }), /that is enough/);
    assert.equal(memory.server.stats().connections.accepted, 0);
    await memory.server.stop();
  });
});

describe("start and stop", () => {
  test("a request that comes before the server listens waits for it", async () => {
    const memory = createMemoryServer(createMemoryRuntime(), {}, mirror);
    assert.equal((await ask(memory, "/")).status, 200);
    await memory.server.stop();
  });

  test("a request that comes before a stop that comes before the server listens is told", async () => {
    const memory = createMemoryServer(createMemoryRuntime(), { signal: AbortSignal.abort() }, mirror);
    await assert.rejects(ask(memory, "/"), { code: "draining" });
    assert.throws(() => memory.server.url, { code: "not-listening", message: /stopped before that has none/ });
  });

  test("one that is in flight is answered by a stop, and the next is told", async () => {
    const gate = createGate();
    const memory = await startMemoryServer(async () => {
      await gate.opened;
      return new HttpResponse("late");
    });
    const answer = memory.server.fetch("/");
    await memory.clock.settle();
    const stopped = memory.server.shutdown();
    await assert.rejects(ask(memory, "/"), { code: "draining" });
    gate.open();
    const response = await settled(memory, answer);
    assert.equal(await response.text(), "late");
    assert.deepEqual(await settled(memory, stopped), { drained: 1, aborted: 0, durationMs: 0 });
    await assert.rejects(ask(memory, "/"), { code: "draining" });
  });

  test("the body of a request that is not taken is let go", async () => {
    const memory = await startMemoryServer(mirror);
    await settled(memory, memory.server.shutdown());
    const cancelled = createGate<string>();
    const body = new ReadableStream({ cancel: (reason) => cancelled.open(reason.code) });
    await assert.rejects(ask(memory, "/", { method: "POST", body, ...HALF }), { code: "draining" });
    assert.equal(await settled(memory, cancelled.opened), "draining");
  });

  test("a stop that is only announced takes it, and tells it", async () => {
    const memory = await startMemoryServer(mirror);
    const stopped = memory.server.shutdown({ delay: 1_000 });
    assert.equal((await ask(memory, "/")).headers.get("connection"), "close");
    await memory.clock.advance(1_000);
    await settled(memory, stopped);
  });

  test("a start that fails is its failure too", async () => {
    const runtime = createMemoryRuntime();
    runtime.listen = () => {
      throw Object.assign(new Error("taken"), { code: "EADDRINUSE" });
    };
    const memory = createMemoryServer(runtime, {}, mirror);
    memory.server.ready().catch(() => {});
    memory.server.finished.catch(() => {});
    await assert.rejects(ask(memory, "/"), { code: "listen-failed" });
  });
});

test("neither TLS nor the header of a proxy is asked of it, and the scheme is that of the server", async () => {
  const tls = { cert: TEST_SERVER_CERT, key: TEST_SERVER_KEY };
  const memory = await startMemoryServer(mirror, { tls, proxyProtocol: { from: ["10.0.0.9"] } });
  assert.equal((await settled(memory, (await ask(memory, "/")).json())).url, "https://localhost:8000/");
  await memory.server.stop();
});

for (const [name, input] of Object.entries({ undefined, null: null, number: 5, object: {} })) {
  test(`what is no request is refused: ${name}`, async () => {
    const memory = await startMemoryServer(() => new Response("hello"));
    await assert.rejects(ask(memory, input as never), {
      name: "TypeError",
      message: `server.fetch() got ${name}, expected a Request, a URL or a path.`,
    });
  });
}

test("an upgrade is refused with what to do", async () => {
  const memory = await startMemoryServer(mirror);
  const upgrade = { headers: { upgrade: "websocket", connection: "upgrade" } };
  await assert.rejects(ask(memory, "/", upgrade), { name: "TypeError", message: /server\.url/ });
  await memory.server.stop();
});

test("it is no method, so that it can be handed on", async () => {
  const memory = await startMemoryServer(mirror);
  const { fetch } = memory.server;
  assert.equal((await settled(memory, fetch("/"))).status, 200);
  await memory.server.stop();
});

test("no connection is left behind", async () => {
  const memory = await startMemoryServer(mirror, { maxRequestBodySize: 10 });
  for (const body of ["a", "a".repeat(100)]) await textOf(memory, "/", { method: "POST", body });
  await memory.clock.settle();
  assert.equal(memory.server.stats().connections.open, 0);
  assert.equal(memory.clock.pendingCount, 0);
  await memory.server.stop();
});

function stopper(): { signal: AbortSignal; abort: () => void } {
  const controller = new AbortController();
  return { signal: controller.signal, abort: () => controller.abort(new Error("that is enough")) };
}
