/** Who is told whether a response was delivered, and back-pressure in both directions, over real sockets. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { detectRuntime } from "../../runtime/detect.ts";
import { type Handler, type HandlerInfo, HttpResponse, serve, type ServeOptions, type TrivetError } from "../../mod.ts";
import type { Server } from "../../src/api/server.ts";
import { get, post } from "../fixtures/differential.ts";
import { createGate } from "../support/memory_server.ts";
import { connectRaw, type RawClient } from "../support/raw_client.ts";

const DEADLINE_MS = 20_000;
const MIB = 1024 * 1024;
/** More than the buffers of both ends of a connection hold, however large the system makes them. */
const MORE_THAN_BUFFERS_HOLD = 64 * MIB;

/** What a handler has learned of one exchange. */
interface Outcome {
  readonly signal: AbortSignal;
  /** "delivered", or the code of the error. */
  readonly completed: Promise<string>;
}

function watch(request: Request, info: HandlerInfo): Outcome {
  return { signal: request.signal, completed: info.completed.then(() => "delivered", (error) => error.code) };
}

/** A server whose handler is called with what it should tell the test. */
async function startWatched(respond: Handler, options: ServeOptions = {}) {
  const watched = createGate<Outcome>();
  const where = { port: 0, hostname: "127.0.0.1", onListen: () => {}, onError: () => {} };
  const server = await serve({ ...where, ...options }, (request, info) => {
    watched.open(watch(request, info));
    return respond(request, info);
  }).ready();
  const client = await connectRaw({ port: server.port });
  return { server, client, outcome: watched.opened };
}

/** Waits until a condition holds. */
async function until(holds: () => boolean, what: string): Promise<void> {
  const deadlineMs = Date.now() + DEADLINE_MS;
  while (!holds()) {
    assert.ok(Date.now() < deadlineMs, `in vain for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}

/** Waits until a number has stopped changing, as it does when back-pressure has come all the way. */
async function settled(read: () => number, what: string): Promise<number> {
  let last = -1;
  let since = Date.now();
  let looks = 0;
  await until(() => {
    const now = read();
    if (now !== last) [since, looks] = [Date.now(), 0];
    last = now;
    // A busy machine may let much time pass in which nothing is done.
    return ++looks > 20 && now > 0 && Date.now() - since > 150;
  }, `${what} to stop changing`);
  return last;
}

async function stop(server: Server, client: RawClient): Promise<void> {
  client.destroy();
  assert.deepEqual((await server.shutdown({ timeout: DEADLINE_MS })).aborted, 0);
}

/** A stream without end that counts what is pulled from it. */
function endless(chunkBytes: number) {
  const chunk = new Uint8Array(chunkBytes);
  const counts = { pulledBytes: 0 };
  const cancelled = createGate<unknown>();
  const stream = new ReadableStream<Uint8Array<ArrayBuffer>>({
    pull(controller) {
      counts.pulledBytes += chunkBytes;
      controller.enqueue(chunk.slice());
    },
    cancel: (reason) => cancelled.open(reason),
  });
  return { stream, counts, cancelled: cancelled.opened };
}

/** A stream that ends when its last piece has left. */
function slowly(pieces: readonly string[]): ReadableStream<Uint8Array<ArrayBuffer>> {
  const left = [...pieces];
  return new ReadableStream({
    async pull(controller) {
      await new Promise((resolve) => setTimeout(resolve, 20));
      const piece = left.shift();
      if (piece === undefined) controller.close();
      else controller.enqueue(new TextEncoder().encode(piece));
    },
  }, { highWaterMark: 0 });
}

describe("a response that was delivered", () => {
  const RESPONSES: readonly [name: string, respond: Handler][] = [
    ["at once", () => new HttpResponse("hello")],
    ["later", async () => {
      await new Promise((resolve) => setTimeout(resolve, 5));
      return new HttpResponse("hello");
    }],
    ["as a Response of the runtime", () => new Response("hello")],
    ["as a large one", () => new HttpResponse(new Uint8Array(MIB))],
    ["as a stream", () => new HttpResponse(new Blob(["hello"]).stream())],
    ["as a stream whose pieces have left when it ends", () => new HttpResponse(slowly(["hel", "lo"]))],
    ["as such a stream of a known length", () => {
      return new HttpResponse(slowly(["hel", "lo"]), { headers: { "content-length": "5" } });
    }],
  ];
  for (const [name, respond] of RESPONSES) {
    test(`${name} resolves completed, and the signal never aborts, not even when the client goes away`, async () => {
      const { server, client, outcome } = await startWatched(respond);
      client.send(get("/"));
      const { signal, completed } = await outcome;
      assert.equal(await completed, "delivered");
      client.reset();
      await until(() => server.stats().connections.open === 0, "the close");
      assert.equal(signal.aborted, false);
      await stop(server, client);
    });

    test(`${name} resolves completed where the connection closes behind it`, async () => {
      const { server, client, outcome } = await startWatched(respond);
      client.send(get("/", "Connection: close"));
      await client.receiveAll();
      const { signal, completed } = await outcome;
      assert.equal(await completed, "delivered");
      assert.equal(signal.aborted, false);
      await stop(server, client);
    });
  }
});

describe("a client that goes away", () => {
  for (const way of ["resets the connection", "closes the connection"] as const) {
    test(`and ${way} before the response aborts the signal and rejects completed`, async () => {
      const answer = createGate();
      // Only a peer that stops sending lets a server see its close; FIN alone may be a half-close.
      const { server, client, outcome } = await startWatched(async () => {
        await answer.opened;
        return new HttpResponse(new Uint8Array(MIB));
      }, { writeTimeout: 2_000 });
      client.send(get("/"));
      const { signal, completed } = await outcome;
      if (way === "resets the connection") client.reset();
      else client.destroy();
      if (way === "closes the connection") answer.open();
      assert.equal(await completed, "peer-disconnected");
      assert.equal(signal.aborted, true);
      assert.equal((signal.reason as TrivetError).code, "peer-disconnected");
      answer.open();
      await stop(server, client);
    });
  }

  test("in the middle of a stream cancels it with the reason, and aborts the signal", async () => {
    const { stream, cancelled } = endless(16 * 1024);
    const { server, client, outcome } = await startWatched(() => new HttpResponse(stream));
    client.send(get("/"));
    await client.receiveUntil(100_000);
    client.reset();
    const { signal, completed } = await outcome;
    assert.equal(((await cancelled) as TrivetError).code, "peer-disconnected");
    assert.equal(await completed, "peer-disconnected");
    assert.equal(signal.aborted, true);
    await stop(server, client);
  });

  test("while a stream has nothing to give cancels it too", async () => {
    const cancelled = createGate<unknown>();
    const silent = new ReadableStream<Uint8Array>({ cancel: (reason) => cancelled.open(reason) });
    const { server, client, outcome } = await startWatched(() => new HttpResponse(silent));
    client.send(get("/"));
    await client.receiveUntil((received) => received.endsWith("\r\n\r\n"));
    client.reset();
    assert.equal(((await cancelled.opened) as TrivetError).code, "peer-disconnected");
    assert.equal((await outcome).signal.aborted, true);
    await stop(server, client);
  });

  test("in the middle of its content fails the reading of it", async () => {
    const failed = createGate<TrivetError>();
    const { server, client, outcome } = await startWatched(async (request) => {
      await request.text().catch(failed.open);
      return new HttpResponse("never");
    });
    client.send(post("/", "Content-Length: 10") + "hello");
    const { signal } = await outcome;
    client.reset();
    assert.equal((await failed.opened).code, "peer-disconnected");
    assert.equal(signal.aborted, true);
    await stop(server, client);
  });
});

describe("a half-closed client", () => {
  test("still gets its response, and nothing aborts", async () => {
    const answer = createGate();
    const { server, client, outcome } = await startWatched(async () => {
      await answer.opened;
      return new HttpResponse("hello");
    });
    client.send(get("/"));
    client.end();
    const { signal, completed } = await outcome;
    answer.open();
    assert.match(await client.receiveAll(), /hello$/);
    assert.equal(await completed, "delivered");
    assert.equal(signal.aborted, false);
    await stop(server, client);
  });
});

describe("what keeps a response from being delivered", () => {
  const CASES: readonly { name: string; respond: Handler; options?: ServeOptions; send: string; code: string }[] = [
    {
      name: "a handler that takes too long",
      respond: () => new Promise(() => {}),
      options: { handlerTimeout: 40 },
      send: get("/"),
      code: "handler-timeout",
    },
    {
      name: "content that is too large",
      respond: async (request) => new HttpResponse(await request.bytes()),
      options: { maxRequestBodySize: 4 },
      send: post("/", "Transfer-Encoding: chunked") + "5\r\nhello\r\n",
      code: "content-too-large",
    },
    {
      name: "content that is malformed",
      respond: async (request) => new HttpResponse(await request.bytes()),
      send: post("/", "Transfer-Encoding: chunked") + "five\r\n",
      code: "chunk-invalid",
    },
  ];
  for (const { name, respond, options, send, code } of CASES) {
    test(`${name}: the signal and completed say so`, async () => {
      const { server, client, outcome } = await startWatched(respond, options);
      client.send(send);
      const { signal, completed } = await outcome;
      assert.equal(await completed, code);
      assert.equal((signal.reason as TrivetError).code, code);
      await stop(server, client);
    });
  }

  test("a client that does not read within the write timeout", async () => {
    const { stream, cancelled } = endless(64 * 1024);
    const { server, client, outcome } = await startWatched(() => new HttpResponse(stream), { writeTimeout: 200 });
    client.pause();
    client.send(get("/"));
    const { completed } = await outcome;
    assert.equal(await completed, "write-timeout");
    assert.equal(((await cancelled) as TrivetError).code, "write-timeout");
    await stop(server, client);
  });
});

describe("back-pressure", () => {
  test("of a client that does not read stops the pulling of the response, until it reads", async () => {
    const { stream, counts } = endless(64 * 1024);
    const { server, client } = await startWatched(() => new HttpResponse(stream));
    client.pause();
    client.send(get("/"));
    const pulledBytes = await settled(() => counts.pulledBytes, "the pulling");
    assert.ok(pulledBytes < MORE_THAN_BUFFERS_HOLD, `${pulledBytes} bytes were pulled`);
    client.resume();
    await until(() => counts.pulledBytes > pulledBytes + MIB, "more to be pulled");
    client.reset();
    await stop(server, client);
  });

  test("of a handler that does not read stops the client's writes, until it reads", async () => {
    const goOn = createGate();
    const { server, client } = await startWatched(async (request) => {
      const reader = request.body!.getReader();
      let bytes = (await reader.read()).value!.byteLength;
      await goOn.opened;
      for (let result = await reader.read(); !result.done; result = await reader.read()) {
        bytes += result.value.byteLength;
      }
      return new HttpResponse(`${bytes} bytes`);
    }, { maxRequestBodySize: MORE_THAN_BUFFERS_HOLD });
    client.send(post("/", `Content-Length: ${MORE_THAN_BUFFERS_HOLD}`));
    client.send(new Uint8Array(MORE_THAN_BUFFERS_HOLD));
    const receivedBytes = await settled(() => server.stats().bytesReceived, "the receiving");
    assert.ok(receivedBytes < MIB, `${receivedBytes} bytes were read from the socket`);
    goOn.open();
    assert.match(await client.receiveUntil((received) => received.endsWith(" bytes")), /\r\n\r\n67108864 bytes$/);
    await stop(server, client);
  });

  test("of a handler that does not take the content at all stops them too", async () => {
    const answer = createGate();
    const { server, client } = await startWatched(async () => {
      await answer.opened;
      return new HttpResponse("not read");
    }, { maxRequestBodySize: MORE_THAN_BUFFERS_HOLD });
    client.send(post("/", `Content-Length: ${MORE_THAN_BUFFERS_HOLD}`));
    client.send(new Uint8Array(MORE_THAN_BUFFERS_HOLD));
    const receivedBytes = await settled(() => server.stats().bytesReceived, "the receiving");
    assert.ok(receivedBytes < MIB, `${receivedBytes} bytes were read from the socket`);
    answer.open();
    assert.match(await client.receiveAll(), /^HTTP\/1\.1 200 OK\r\n.*Connection: close\r\n\r\nnot read$/s);
    client.destroy();
    await server.stop();
  });

  test("of a client that pipelines and does not read stops the handling of further requests", async () => {
    let calls = 0;
    const { server, client } = await startWatched(() => {
      calls++;
      return new HttpResponse(new Uint8Array(MIB));
    });
    client.pause();
    client.send(get("/").repeat(40));
    const callsBefore = await settled(() => calls, "the calls");
    assert.ok(callsBefore < 20, `the handler was called ${callsBefore} times`);
    client.resume();
    await until(() => calls === 40, "all calls");
    client.reset();
    await stop(server, client);
  });

  test("passes through an echo, whose client reads late", async () => {
    const { server, client } = await startWatched((request) => new HttpResponse(request.body));
    const content = new Uint8Array(4 * MIB).map((_, at) => at * 31 % 251);
    client.pause();
    client.send(post("/", `Content-Length: ${content.byteLength}`, "Connection: close"));
    client.send(content);
    await settled(() => server.stats().bytesReceived, "the receiving");
    client.resume();
    await client.receiveAll();
    assert.deepEqual(unchunked(client.bytes()), Array.from(content));
    await stop(server, client);
  });
});

describe("a response that fails midway never looks whole", () => {
  const rows: readonly { name: string; request: string }[] = [
    { name: "of unknown length, to HTTP/1.0: its connection is reset", request: "GET / HTTP/1.0\r\n\r\n" },
    { name: "that is chunked: it has no last chunk", request: get("/") },
  ];
  for (const { name, request } of rows) {
    test(name, async () => {
      const { server, client } = await startWatched(() => {
        let pieces = 0;
        return new Response(
          new ReadableStream({
            async pull(stream) {
              await new Promise((resolve) => setTimeout(resolve, 30));
              if (pieces++ === 0) stream.enqueue(new TextEncoder().encode("half"));
              else stream.error(new Error("broken"));
            },
          }),
        );
      });
      client.send(request);
      await client.receiveUntil((received) => received.includes("half"));
      await until(() => client.state === "closed" || client.state === "half-closed", "the end");
      assert.doesNotMatch(client.received(), /\r\n0\r\n/);
      // Deno has no way to reset what `Deno.listen` accepts; there only the chunked coding tells.
      if (request.includes("HTTP/1.0") && detectRuntime().name !== "deno") {
        await until(() => client.cause !== null, "a reset");
        assert.equal((client.cause as { code?: string } | null)?.code, "ECONNRESET");
      }
      await stop(server, client);
    });
  }
});

describe("a response that fails midway takes no response before it along", () => {
  for (const length of [80_000, 150_000, 300_000]) {
    test(`of ${length} bytes, whose client pipelines and reads late`, async () => {
      const { server, client } = await startWatched((request) => {
        if (request.url.endsWith("/whole")) return new HttpResponse(new Uint8Array(length).fill(97));
        const pieces = [new Uint8Array(1_000).fill(98)];
        return new Response(
          new ReadableStream({
            async pull(stream) {
              await new Promise((resolve) => setTimeout(resolve, 10));
              const piece = pieces.pop();
              if (piece === undefined) stream.error(new Error("broken"));
              else stream.enqueue(piece);
            },
          }),
        );
      });
      client.pause();
      client.send(get("/whole") + get("/"));
      await until(() => server.stats().connections.open === 0, "the close");
      client.resume();
      const received = await client.receiveAll();
      assert.equal(received.split("a".repeat(length)).length, 2, "all of the first response has come");
      assert.match(received, /b{1000}\r\n$/);
      await stop(server, client);
    });
  }
});

/** The content of a chunked response. */
function unchunked(response: Uint8Array): number[] {
  const text = Array.from(response, (byte) => String.fromCharCode(byte)).join("");
  let at = text.indexOf("\r\n\r\n") + 4;
  const content: number[] = [];
  for (;;) {
    const lineEnd = text.indexOf("\r\n", at);
    const size = parseInt(text.slice(at, lineEnd), 16);
    if (size === 0) return content;
    for (let i = 0; i < size; i++) content.push(response[lineEnd + 2 + i]);
    at = lineEnd + 2 + size + 2;
  }
}
