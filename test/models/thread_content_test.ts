/** Content on its way between the loop and a thread, in both directions: whole or in chunks, with credit. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { HandlerInfo } from "../../src/api/handler.ts";
import type { ServeOptions } from "../../src/api/options.ts";
import { HttpResponse } from "../../src/web/http_response.ts";
import type { MemoryPeer } from "../support/memory_runtime.ts";
import { createGate, get, okText, post, statuses, text } from "../support/memory_server.ts";
import { type PlacedHandler, startThreadServer, type ThreadServer } from "../support/thread_server.ts";

const encoder = new TextEncoder();
/** What a stream between threads may be ahead of its reader. */
const CREDIT_BYTES = 256 * 1024;
/** What the content of a request may be ahead of its reader on the loop: what is kept, and a read or two. */
const KEPT_BYTES = 64 * 1024;
const PIECE = "x".repeat(16 * 1024);

function start(handler: PlacedHandler, options: ServeOptions = {}): Promise<ThreadServer> {
  return startThreadServer(handler, { model: "hybrid", threads: 1, ...options });
}

/** The kinds of messages that have gone one way, without those about pace. */
function kindsOf({ batches }: ThreadServer, way: "to" | "from"): string[] {
  return batches.filter((batch) => batch.way === way).flatMap(({ kinds }) => kinds).filter((kind) => kind !== "pace");
}

async function lengthOf(body: ReadableStream<Uint8Array>): Promise<number> {
  let length = 0;
  for await (const piece of body) length += piece.byteLength;
  return length;
}

/** Sends pieces as long as the server reads, at most so many. Returns how many were taken. */
async function sendWhileRead(
  peer: MemoryPeer,
  piece: string,
  count: number,
  settle: () => Promise<void>,
): Promise<number> {
  for (let sent = 0; sent < count; sent++) {
    if (peer.isPausedByServer) return sent;
    peer.send(piece);
    await settle();
  }
  return count;
}

describe("content of a request on its way to a thread", () => {
  test("is not taken back for onError, which is given the request when the handler has been too slow", async () => {
    const told: (string | undefined)[] = [];
    const gate = createGate();
    const { send, clock, server } = await start(async (request) => {
      await request.body!.getReader().read();
      await gate.opened;
      return text("late");
    }, {
      handlerTimeout: 800,
      nativeRequest: true,
      onError: (error, request) => {
        told.push(error.code, request?.method);
      },
    });
    const chunk = `${PIECE.length.toString(16)}\r\n${PIECE}\r\n`;
    const peer = await send("POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk);
    await clock.advance(1_500);
    assert.deepEqual([statuses(peer.received()), told], [[503], ["handler-timeout", "POST"]]);
    for (let sent = 0; sent < 16; sent++) await peer.send(chunk);
    await clock.settle();
    assert.deepEqual([peer.serverSide, server.stats().errors], ["open", { "handler-timeout": 1 }]);
    gate.open();
  });

  for (const first of ["text", "body"] as const) {
    test(`is whole for the handler that reads it as ${first}, although onError is given the request meanwhile`, async () => {
      let read: Promise<number> | null = null;
      const { send, clock, until } = await start((request, _place, info) => {
        read = first === "text" ? request.text().then((all) => all.length) : lengthOf(request.body!);
        info.sendTrailers(() => {
          throw new Error("boom");
        });
        return text("answered");
      }, { nativeRequest: true, onError: () => {} });
      const peer = await send(post("/", 10 * PIECE.length, PIECE, "TE: trailers", "Connection: TE"));
      await clock.settle();
      for (let sent = 1; sent < 10; sent++) await peer.send(PIECE);
      let length = 0;
      read!.then((all) => length = all, () => length = -1);
      await until(() => length !== 0);
      assert.equal(length, 10 * PIECE.length);
    });
  }

  const whole: { name: string; content: string }[] = [
    { name: "small content", content: "hello" },
    { name: "large content", content: "x".repeat(200_000) },
    { name: "content of every byte", content: String.fromCharCode(...Array.from({ length: 256 }, (_, i) => i)) },
    { name: "content of which there is none, announced as such", content: "" },
  ];
  for (const { name, content } of whole) {
    test(`that came with the head goes with the call: ${name}`, async () => {
      const server = await start(async (request) => {
        const bytes = new Uint8Array(await request.arrayBuffer());
        return text(`${bytes.byteLength} ${bytes.reduce((sum, byte) => (sum * 31 + byte) % 1_000_007, 7)}`);
      });
      const peer = await server.send(post("/", content.length, content));
      const sum = [...content].reduce((sum, char) => (sum * 31 + char.charCodeAt(0)) % 1_000_007, 7);
      assert.equal(peer.received(), okText(`${content.length} ${sum}`));
      assert.deepEqual(kindsOf(server, "to"), ["call"]);
      assert.deepEqual(kindsOf(server, "from"), ["answer"]);
    });
  }

  test("that comes later flows when the handler asks for it, and ends", async () => {
    const pieces: string[] = [];
    const server = await start(async (request) => {
      for await (const piece of request.body!) pieces.push(new TextDecoder().decode(piece));
      return text("done");
    });
    const peer = await server.send(post("/", 9), "one");
    for (const piece of ["two", "end"]) {
      peer.send(piece);
      await server.clock.settle();
    }
    await server.until(() => peer.received() !== "");
    assert.deepEqual(pieces, ["one", "two", "end"]);
    const kinds = kindsOf(server, "to");
    assert.deepEqual(kinds.slice(0, 5), ["call", "chunk", "chunk", "chunk", "end"]);
    assert.equal(kindsOf(server, "from")[0], "demand");
  });

  test("flows on in as many small pieces as the client likes, each of which takes more than its bytes", async () => {
    const pieces = 4_000;
    const server = await start(async (request) => text(String((await request.text()).length)));
    const peer = await server.send(post("/", pieces));
    for (let sent = 0; sent < pieces; sent++) {
      peer.send("x");
      // The piece leaves by itself when its promises have settled.
      for (let turn = 0; turn < 10; turn++) await null;
      if (sent % 100 === 0) await server.clock.settle();
    }
    await server.until(() => peer.received() !== "");
    assert.equal(peer.received(), okText(String(pieces)));
    assert.ok(kindsOf(server, "to").filter((kind) => kind === "chunk").length > pieces / 2);
  });

  test("brings 100 (Continue) when the handler asks for it, and not before", async () => {
    const gate = createGate();
    const { send, until, clock } = await start(async (request) => {
      await gate.opened;
      return text(await request.text());
    });
    const peer = await send(post("/", 5, "", "Expect: 100-continue"));
    assert.equal(peer.received(), "");
    gate.open();
    await until(() => peer.received() === "HTTP/1.1 100 Continue\r\n\r\n");
    peer.send("hello");
    await until(() => peer.received().endsWith("hello"));
    await clock.settle();
    assert.equal(peer.received(), `HTTP/1.1 100 Continue\r\n\r\n${okText("hello")}`);
  });

  test("carries its trailer section", async () => {
    const { send, until } = await start(async (request, _place, info) => {
      const content = await request.text();
      const trailers = await info.trailers;
      return text(`${content} ${trailers.get("digest")} ${trailers.get("x")}`);
    });
    const head = "POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n";
    const late = await send(head, "5\r\nhello\r\n", "0\r\nDigest: abc\r\nX: y\r\n\r\n");
    await until(() => late.received() !== "");
    assert.equal(late.received(), okText("hello abc y"));
    const whole = await send(`${head}5\r\nhello\r\n0\r\nDigest: abc\r\nX: y\r\n\r\n`);
    await until(() => whole.received() !== "");
    assert.equal(whole.received(), okText("hello abc y"));
  });

  test("comes to a handler that awaits only its trailer section", async () => {
    const { send, until } = await start(async (_request, _place, info) => text(`${(await info.trailers).get("x")}`));
    const head = "POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n";
    const peer = await send(head, "5\r\nhello\r\n", "0\r\nX: y\r\n\r\n");
    await until(() => peer.received() !== "");
    assert.equal(peer.received(), okText("y"));
  });

  test("that is more than may wait holds only the client up while its trailers are awaited, as on the loop", async () => {
    const [unread, read] = [createGate<Error & { code?: string }>(), createGate()];
    const { send, clock, until } = await start(async (request, _place, info) => {
      const trailers = info.trailers.catch(unread.open);
      if (request.method === "PUT") await read.opened.then(() => request.text());
      await trailers;
      return text("late");
    }, { requestTimeout: 2_000, handlerTimeout: 0, minDataRate: { bytesPerSecond: 0 } });
    const sent = CREDIT_BYTES + 2 * KEPT_BYTES;
    const pieces: string[] = new Array(sent / PIECE.length).fill(PIECE);
    const peer = await send(post("/", 2 * sent), ...pieces);
    assert.equal(peer.isPausedByServer, true);
    await clock.advance(3_000);
    assert.deepEqual(statuses(peer.received()), [408]);
    const { code, message } = await unread.opened;
    assert.equal(code, "content-timeout");
    assert.match(message, /read the body before you await its trailers/);

    const reading = await send(post("/", sent).replace("POST", "PUT"), ...pieces);
    await clock.advance(1_000);
    assert.equal(reading.received(), "");
    read.open();
    await until(() => reading.received() !== "");
    assert.deepEqual(statuses(reading.received()), [200], "content that is read in time comes");
  });

  describe("behind the response", () => {
    test("comes to a handler that has begun to read it before, from a client that waits for 100 (Continue)", async () => {
      let content = "";
      const { send, until } = await start((request) => {
        request.text().then((text) => content = text);
        return text("early");
      });
      const peer = await send(post("/", 5, "", "Expect: 100-continue"));
      await until(() => peer.received() === `HTTP/1.1 100 Continue\r\n\r\n${okText("early")}`);
      peer.send("hello");
      await until(() => content === "hello");
    });

    /** Answers at once, and gives what becomes of the content. */
    const answerAtOnce = async (read: (request: Request, info: HandlerInfo) => Promise<unknown>) => {
      let outcome: unknown = "none";
      let isCompleted = false;
      const server = await start((request, _place, info) => {
        read(request, info).then((value) => outcome = value, ({ code }) => outcome = code);
        info.completed.then(() => isCompleted = true);
        return text("early");
      }, { maxRequestsPerThread: 1 });
      const peer = await server.send(post("/", 10), "first");
      await server.clock.advance(1_000);
      assert.deepEqual([peer.received(), isCompleted], [okText("early"), true]);
      return { server, peer, outcome: () => outcome };
    };

    test("comes to a handler that reads it, and then the next request has its turn", async () => {
      const { server, peer, outcome } = await answerAtOnce((request) => request.text());
      assert.deepEqual([outcome(), server.alive()], ["none", [1, 2]], "its thread is not let go of before");
      peer.send(`other${get()}`);
      await server.clock.advance(1_000);
      assert.equal(outcome(), "firstother");
      assert.deepEqual(statuses(peer.received()), [200, 200]);
      assert.equal(server.alive().includes(1), false);
    });

    test("fails with the connection for a handler that reads it", async () => {
      const { server, peer, outcome } = await answerAtOnce((request) => request.text());
      peer.reset();
      await server.clock.advance(1_000);
      assert.deepEqual([outcome(), server.alive()], ["peer-disconnected", [2]]);
    });

    test("is skipped when the handler stops reading, and the next request has its turn", async () => {
      const gate = createGate();
      const { server, peer, outcome } = await answerAtOnce(async (request) => {
        const reader = request.body!.getReader();
        await reader.read();
        await gate.opened;
        await reader.cancel();
        return "stopped";
      });
      gate.open();
      await server.clock.advance(1_000);
      assert.equal(outcome(), "stopped");
      server.batches.length = 0;
      peer.send(`other${get()}`);
      await server.clock.advance(1_000);
      assert.deepEqual(statuses(peer.received()), [200, 200]);
      assert.equal(kindsOf(server, "to").includes("chunk"), false, "the thread gets none of it");
      assert.equal(server.alive().includes(1), false);
    });

    test("is too late for a handler that begins to read then, or awaits its trailer section", async () => {
      const gate = createGate();
      const late = await answerAtOnce((request) => gate.opened.then(() => request.text()));
      gate.open();
      await late.server.clock.advance(1_000);
      assert.equal(late.outcome(), "too-late");
      const { outcome } = await answerAtOnce((_request, info) => info.trailers);
      assert.equal(outcome(), "too-late");
    });
  });

  test("stops the peer while the handler does not read, and goes on when it does", async () => {
    const [begin, goOn] = [createGate(), createGate()];
    let bytes = 0;
    const { send, until, clock } = await start(async (request) => {
      await begin.opened;
      const reader = request.body!.getReader();
      for (let first = true;; first = false) {
        const { value, done } = await reader.read();
        if (done) return text(String(bytes));
        bytes += value.byteLength;
        if (first) await goOn.opened;
      }
    });
    const total = 2_000_000;
    const piece = "x".repeat(10_000);
    const settle = () => clock.settle();
    const peer = await send(post("/", total));
    const unasked = await sendWhileRead(peer, piece, 200, settle);
    assert.ok(unasked * 10_000 >= KEPT_BYTES && unasked * 10_000 <= KEPT_BYTES + 20_000, `${unasked}`);
    begin.open();
    await clock.settle();
    await clock.settle();
    const ahead = unasked + await sendWhileRead(peer, piece, 200 - unasked, settle);
    assert.equal(peer.isPausedByServer, true);
    const mostBytes = 2 * (CREDIT_BYTES + KEPT_BYTES);
    assert.ok(ahead * 10_000 > CREDIT_BYTES && ahead * 10_000 < mostBytes, `${ahead}`);
    goOn.open();
    for (let sent = ahead; sent < 200; sent++) {
      await until(() => !peer.isPausedByServer);
      peer.send(piece);
    }
    await until(() => peer.received() !== "");
    assert.equal(peer.received(), okText(String(total)));
    assert.equal(bytes, total);
  });

  const failures: { name: string; fail: (peer: MemoryPeer) => void; code: string; status: number[] }[] = [
    { name: "resets its connection", fail: (peer) => peer.reset(), code: "peer-disconnected", status: [] },
    { name: "ends its connection", fail: (peer) => peer.end(), code: "message-incomplete", status: [400] },
  ];
  for (const { name, fail, code, status } of failures) {
    test(`fails with ${code} when the peer ${name} in the middle`, async () => {
      const outcome = createGate<{ code?: string }>();
      const { send, until, clock, server } = await start(async (request) => {
        await request.text().catch(outcome.open);
        return text("never");
      });
      const peer = await send(post("/", 10), "hello");
      await clock.settle();
      fail(peer);
      await until(() => server.stats().activeExchanges === 0);
      assert.equal((await outcome.opened).code, code);
      assert.deepEqual(statuses(peer.received()), status);
    });
  }

  test("that a handler cancels holds the client up no longer, also before the handler has answered", async () => {
    const gate = createGate();
    const { send, until, clock } = await start(async (request) => {
      await request.body?.cancel();
      await gate.opened;
      return text("ok");
    });
    const peer = await send(post("/", 200_000));
    assert.equal(await sendWhileRead(peer, "x".repeat(10_000), 20, () => clock.settle()), 20);
    gate.open();
    await until(() => peer.received() !== "");
    assert.equal(peer.received(), okText("ok"));
  });

  test("that a handler cancels is thrown away, and the connection goes on", async () => {
    const { send, until } = await start(async (request) => {
      await request.body?.cancel();
      return text("ok");
    });
    const peer = await send(post("/", 200_000), "x".repeat(200_000) + get());
    await until(() => statuses(peer.received()).length === 2);
    assert.deepEqual(statuses(peer.received()), [200, 200]);
  });

  for (const [kind, read] of Object.entries({ unread: false, "half read": true })) {
    test(`of a known length that a handler cancels ${kind} is not waited for, and the connection closes`, async () => {
      const { send, until } = await start(async (request) => {
        const reader = request.body!.getReader();
        if (read) await reader.read();
        await reader.cancel();
        return text("enough");
      });
      const peer = await send(post("/", 5_000_000, "x".repeat(200_000)));
      await until(() => peer.received() !== "");
      assert.match(peer.received(), /^Connection: close\r$/m);
    });
  }

  test("that a handler does not read is thrown away, and the connection goes on", async () => {
    const { send, until } = await start(() => text("ok"));
    const peer = await send(post("/", 100_000), "x".repeat(60_000), "x".repeat(40_000) + get());
    await until(() => statuses(peer.received()).length === 2);
    assert.equal(peer.received(), okText("ok") + okText("ok"));
  });

  test("can be the content of the response", async () => {
    const { send, until, clock } = await start((request) => new Response(request.body));
    const peer = await send(post("/", 10), "hello");
    await clock.settle();
    peer.send("world");
    await until(() => peer.received().endsWith("\r\n0\r\n\r\n"));
    assert.equal(dechunk(peer.received()), "helloworld");
  });
});

/** The content of one chunked response. */
function dechunk(received: string): string {
  const chunks = received.slice(received.indexOf("\r\n\r\n") + 4);
  let content = "";
  for (let at = 0; at < chunks.length;) {
    const lineEnd = chunks.indexOf("\r\n", at);
    const size = parseInt(chunks.slice(at, lineEnd), 16);
    if (size === 0) break;
    content += chunks.slice(lineEnd + 2, lineEnd + 2 + size);
    at = lineEnd + 2 + size + 2;
  }
  return content;
}

describe("content of a response on its way from a thread", () => {
  const whole: { name: string; respond: () => Response; content: string }[] = [
    { name: "text", respond: () => new HttpResponse("hällo"), content: "h\xc3\xa4llo" },
    { name: "bytes", respond: () => new HttpResponse(new Uint8Array([0, 255, 128])), content: "\x00\xff\x80" },
    {
      name: "many bytes",
      respond: () => new HttpResponse(new Uint8Array(100_000).fill(65)),
      content: "A".repeat(100_000),
    },
    { name: "a Response of the runtime", respond: () => text("hello"), content: "hello" },
    { name: "nothing", respond: () => new HttpResponse(null), content: "" },
    {
      name: "a stream, one chunk of which is empty",
      respond: () => new HttpResponse(ReadableStream.from([new Uint8Array(0), Uint8Array.of(65)])),
      content: "A",
    },
    { name: "an empty text", respond: () => new HttpResponse(""), content: "" },
  ];
  for (const { name, respond, content } of whole) {
    test(`that is whole goes with the answer: ${name}`, async () => {
      const { send, until } = await start(respond);
      const peer = await send(get());
      await until(() => peer.received() !== "");
      assert.match(peer.received(), new RegExp(`^Content-Length: ${content.length}\r$`, "m"));
      assert.ok(peer.received().endsWith(`\r\n\r\n${content}`));
    });
  }

  test("that is a view of a larger buffer stays the handler's", async () => {
    const kept = new Uint8Array(10_000).fill(65);
    const { send, until } = await start(() => new HttpResponse(kept.subarray(100, 5_100)));
    for (let call = 0; call < 2; call++) {
      const peer = await send(get());
      await until(() => peer.received() !== "");
      assert.match(peer.received(), /^Content-Length: 5000\r$/m);
    }
    assert.equal(kept.byteLength, 10_000);
    assert.equal(kept[0], 65);
  });

  test("may lie in a buffer that the handler uses again for the next response", async () => {
    const scratch = new Uint8Array(100);
    const { send, connect, until, server } = await start((request) => {
      const { written } = encoder.encodeInto(new URL(request.url).pathname, scratch);
      return new HttpResponse(scratch.subarray(0, written));
    });
    // When it is known that calls are begun fast, many of them come to the thread in one batch.
    for (let call = 0; call < 50; call++) (await send(get("/first"))).reset();
    const peers = Array.from({ length: 5 }, () => connect());
    peers.forEach((peer, index) => peer.send(get(`/${index}`)));
    await until(() => server.stats().activeExchanges === 0 && server.stats().responses === 55);
    assert.deepEqual(peers.map((peer) => peer.received().slice(-2)), ["/0", "/1", "/2", "/3", "/4"]);
  });

  test("that is streamed and given twice the same buffer arrives twice", async () => {
    const chunk = new Uint8Array(5_000).fill(66);
    const { send, until } = await start(() => {
      let left = 3;
      return new Response(
        new ReadableStream({
          async pull(controller) {
            await new Promise((resolve) => setImmediate(resolve));
            if (left-- > 0) controller.enqueue(chunk);
            else controller.close();
          },
        }),
      );
    });
    const peer = await send(get());
    await until(() => /\r\n0\r\n\r\n$|Content-Length/.test(peer.received()));
    assert.equal(dechunk(peer.received()), "B".repeat(15_000));
    assert.equal(chunk.byteLength, 5_000);
  });

  test("flows as it is given", async () => {
    let controller!: ReadableStreamDefaultController<Uint8Array>;
    const { send, until } = await start(() =>
      new Response(new ReadableStream({ start: (given) => void (controller = given) }))
    );
    const peer = await send(get());
    await until(() => peer.received().includes("Transfer-Encoding: chunked"));
    for (const tick of ["tick", "tock"]) {
      controller.enqueue(encoder.encode(tick));
      await until(() => peer.received().endsWith(`4\r\n${tick}\r\n`));
    }
    controller.close();
    await until(() => peer.received().endsWith("\r\n0\r\n\r\n"));
    assert.equal(peer.serverSide, "open");
  });

  test("stops while the peer does not read, and goes on when it does", async () => {
    const total = 4_000_000;
    let given = 0;
    const { send, connect, until, clock } = await start(() =>
      new Response(
        new ReadableStream({
          pull(controller) {
            controller.enqueue(new Uint8Array(20_000));
            given += 20_000;
            if (given === total) controller.close();
          },
        }),
      )
    );
    const peer = connect();
    peer.stopReading();
    peer.send(get());
    for (let turn = 0; turn < 50; turn++) await clock.settle();
    const ahead = given;
    // At most the credit, what waits on the loop, and the windows of both kernels.
    assert.ok(ahead > CREDIT_BYTES && ahead < 2 * CREDIT_BYTES + 200_000, `${ahead}`);
    for (let turn = 0; turn < 20; turn++) await clock.settle();
    assert.equal(given, ahead);
    peer.read();
    await until(() => peer.received().endsWith("\r\n0\r\n\r\n"));
    assert.equal(dechunk(peer.received()).length, total);
    assert.equal((await send(get("/"))).serverSide, "open");
  });

  test("is cancelled when the peer goes away", async () => {
    const cancelled = createGate<unknown>();
    const { send, until, clock } = await start(() =>
      new Response(
        new ReadableStream({
          start: (controller) => controller.enqueue(encoder.encode("part")),
          cancel: (reason) => cancelled.open(reason),
        }),
      )
    );
    const peer = await send(get());
    await until(() => peer.received().endsWith("part\r\n"));
    peer.reset();
    await clock.settle();
    const reason = await cancelled.opened as { code?: string };
    assert.equal(reason.code, "peer-disconnected");
  });

  test("that fails in the middle is cut off, and onError is told why", async () => {
    let controller!: ReadableStreamDefaultController<Uint8Array>;
    const { send, until, reported } = await start(() =>
      new Response(new ReadableStream({ start: (given) => void (controller = given) }))
    );
    const peer = await send(get());
    controller.enqueue(encoder.encode("part"));
    await until(() => peer.received().endsWith("part\r\n"));
    controller.error(new RangeError("out of paper"));
    await until(() => peer.serverSide === "closed");
    assert.ok(peer.received().endsWith("part\r\n"));
    assert.deepEqual(reported.map(({ code }) => code), ["response-content-failed"]);
    const cause = reported[0].cause as Error;
    assert.deepEqual([cause.name, cause.message, cause instanceof RangeError], ["RangeError", "out of paper", true]);
  });

  test("to HEAD is not read", async () => {
    let isCancelled = false;
    const { send, until } = await start(() =>
      new Response(new ReadableStream({ cancel: () => void (isCancelled = true) }))
    );
    const peer = await send(get().replace("GET", "HEAD"));
    await until(() => peer.received() !== "");
    assert.deepEqual(statuses(peer.received()), [200]);
    await until(() => isCancelled);
  });

  test("carries a trailer section that is made when the last of it was sent", async () => {
    const gate = createGate();
    let sum = 0;
    const { send, until } = await start((_request, _place, info) => {
      info.sendTrailers(() => ({ sum: String(sum) }));
      const stream = new ReadableStream<Uint8Array>({
        start: (controller) => controller.enqueue(new Uint8Array(1)),
        async pull(controller) {
          await gate.opened;
          sum = 42;
          controller.close();
        },
      }, { highWaterMark: 0 });
      return new HttpResponse(stream);
    });
    const peer = await send(get("/", "TE: trailers", "Connection: te"));
    gate.open();
    await until(() => /0\r\nsum: 42\r\n\r\n$/.test(peer.received()));
  });

  test("carries a trailer section to who wants one", async () => {
    const { send, until } = await start((request, _place, info) => {
      if (request.url.endsWith("/trailers")) info.sendTrailers(() => ({ digest: "abc" }));
      return new HttpResponse("hello");
    });
    const peer = await send(get("/trailers", "TE: trailers", "Connection: te"));
    await until(() => peer.received().endsWith("\r\n\r\n"));
    await until(() => /0\r\ndigest: abc\r\n\r\n$/.test(peer.received()));
    for (const request of [get("/trailers"), get("/", "TE: trailers", "Connection: te")]) {
      const other = await send(request);
      await until(() => other.received() !== "");
      assert.match(other.received(), /^Content-Length: 5\r$/m);
    }
  });
});
