/**
 * What becomes of exchanges whose thread is lost. What had not begun is made again. What had begun is answered with 503
 * when the thread crashed, since it may be what ends threads; when another exchange is to blame it is made again if that
 * is safe.
 */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { HandlerInfo } from "../../src/api/handler.ts";
import type { ServeOptions } from "../../src/api/options.ts";
import { get, okText, post, statuses, text } from "../support/memory_server.ts";
import { type PlacedHandler, startThreadServer } from "../support/thread_server.ts";

const boom = new Error("boom");
const forEver = (): Promise<Response> => new Promise(() => {});

/** The models whose handlers run on threads, with one of them. */
const MODELS: readonly ServeOptions[] = [
  { model: "hybrid", threads: 1 },
  { model: "worker-pool", workers: 1 },
];

/** A request with content, as much of it as is given. */
function withContent(method: string, length: number, content: string): string {
  return post("/", length, content).replace("POST", method);
}

/** A handler that does not answer at its first call, whatever it does, and tells method and content at later ones. */
function answeringLater(
  first: (request: Request, info: HandlerInfo) => unknown = () => {},
  isFirst: (calls: number) => boolean = (calls) => calls === 1,
) {
  const calls: number[] = [];
  const handler: PlacedHandler = async (request, { number }, info) => {
    calls.push(number);
    if (isFirst(calls.length)) return await first(request, info) as Response ?? forEver();
    return text(`${request.method} ${await request.text()}`);
  };
  return { calls, handler };
}

interface Row {
  readonly name: string;
  readonly input: string;
  /** Whether the thread is lost before it has begun the call. */
  readonly unbegun?: boolean;
  /** What the handler does at its first call before it hangs. */
  readonly first?: (request: Request, info: HandlerInfo) => unknown;
  /** What comes of the request when the thread is lost. */
  readonly rest?: string;
  /** What the call that is made again answers; without it the exchange gets 503, whoever is to blame. */
  readonly again?: string;
}

const LARGE = "x".repeat(30_000);

/** RFC 9110 section 9.2.2: what is idempotent can be done twice. */
const ROWS: readonly Row[] = [
  { name: "GET", input: get(), again: "GET " },
  { name: "HEAD", input: get().replace("GET", "HEAD"), again: "" },
  { name: "OPTIONS", input: get().replace("GET", "OPTIONS"), again: "OPTIONS " },
  { name: "DELETE", input: get().replace("GET", "DELETE"), again: "DELETE " },
  { name: "PUT with its content", input: withContent("PUT", 5, "hello"), again: "PUT hello" },
  { name: "PUT with large content", input: withContent("PUT", 30_000, LARGE), again: `PUT ${LARGE}` },
  {
    name: "PUT with content that was read from the message",
    input: withContent("PUT", 5, "hello"),
    first: (request) => void request.text(),
    again: "PUT hello",
  },
  {
    name: "PUT with content to come that nobody has asked for",
    input: withContent("PUT", 10, "hello"),
    rest: "world",
    again: "PUT helloworld",
  },
  {
    name: "PUT with content to come that the handler has asked for",
    input: withContent("PUT", 10, "hello"),
    first: (request) => void request.text().catch(() => {}),
    rest: "world",
  },
  {
    name: "PUT with content to come that the handler has thrown away",
    input: withContent("PUT", 10, "hello"),
    first: (request) => void request.body!.cancel(),
    rest: "world",
  },
  { name: "POST", input: post("/", 0) },
  { name: "POST with content", input: post("/", 5, "hello") },
  { name: "PATCH", input: withContent("PATCH", 5, "hello") },
  { name: "a method of one's own", input: get().replace("GET", "PURGE") },
  { name: "POST that was not begun", input: post("/", 0), unbegun: true, again: "POST " },
  { name: "POST with content that was not begun", input: post("/", 5, "hello"), unbegun: true, again: "POST hello" },
  {
    name: "POST with content to come that was not begun",
    input: post("/", 10, "hello"),
    unbegun: true,
    rest: "world",
    again: "POST helloworld",
  },
  { name: "GET that was informed", input: get(), first: (_request, info) => info.inform(103, { link: "</a>" }) },
];

/** The final response of a peer that may have got an informational one first: its status and its content. */
function finalOf(received: string): [status: number[], content: string] {
  const final = received.replace(/^HTTP\/1.1 103 [\s\S]*?\r\n\r\n/, "");
  return [statuses(final), final.slice(final.indexOf("\r\n\r\n") + 4)];
}

describe("an exchange whose thread is lost because another one takes too long", () => {
  const TIMEOUT: ServeOptions = { model: "hybrid", threads: 1, handlerTimeout: 800 };

  for (const { name, input, first, rest = "", again } of ROWS.filter(({ unbegun }) => unbegun !== true)) {
    test(`is ${again === undefined ? "answered with 503" : "made again"}: ${name}`, async () => {
      const { calls, handler } = answeringLater(first);
      const { send, until, clock, server, reported } = await startThreadServer((request, place, info) => {
        if (!request.url.endsWith("/spin")) return handler(request, place, info);
        place.thread.freeze();
        return forEver();
      }, TIMEOUT);
      const peer = await send(input);
      const spinning = await send(get("/spin"));
      await clock.advance(1_150);
      assert.deepEqual(statuses(spinning.received()), [503]);
      peer.send(rest);
      await until(() => server.stats().activeExchanges === 0);
      const expected = again === undefined ? [[503], "Service Unavailable\n"] : [[200], again];
      assert.deepEqual(finalOf(peer.received()), expected);
      assert.deepEqual(calls, again === undefined ? [1] : [1, 2]);
      assert.deepEqual(reported.map(({ code }) => code), ["handler-timeout"], "of the one that takes too long");
    });
  }

  test("is answered with 503 when three threads were lost behind its back", async () => {
    const { calls, handler } = answeringLater(() => {}, () => true);
    const { send, until, clock, server } = await startThreadServer((request, place, info) => {
      if (!request.url.endsWith("/spin")) return handler(request, place, info);
      place.thread.freeze();
      return forEver();
    }, TIMEOUT);
    const peer = await send(get());
    for (const attempt of [1, 2, 3]) {
      await until(() => calls.length === attempt);
      assert.equal(peer.received(), "");
      await send(get("/spin"));
      await clock.advance(1_200);
    }
    assert.deepEqual(statuses(peer.received()), [503]);
    assert.deepEqual(calls, [1, 2, 3]);
    assert.equal(server.stats().errors["thread-lost"], 1);
  });
});

for (const options of MODELS) {
  describe(`an exchange of the model ${options.model} whose thread crashes`, () => {
    for (const { name, input, unbegun = false, first, rest = "", again } of ROWS) {
      test(`is ${unbegun ? "made again" : "answered with 503, and its handler is not called twice"}: ${name}`, async () => {
        const { calls, handler } = answeringLater(first, (count) => count === 1 && !unbegun);
        const { threads, send, until, clock, server, reported, warned } = await startThreadServer(handler, options);
        if (unbegun) threads[0].freeze();
        const peer = await send(input);
        assert.equal(calls.length, unbegun ? 0 : 1);
        threads[0].crash(boom);
        peer.send(rest);
        await until(() => server.stats().activeExchanges === 0);
        const isHead = input.startsWith("HEAD");
        const expected = unbegun ? [[200], again] : [[503], isHead ? "" : "Service Unavailable\n"];
        assert.deepEqual(finalOf(peer.received()), expected);
        assert.deepEqual(calls, unbegun ? [2] : [1]);
        await until(() => server.stats().threads.ready === 1);
        assert.deepEqual(server.stats().threads, { ready: 1, started: 2, lost: 1, renewed: 0 });
        assert.deepEqual(reported.map(({ code, cause }) => [code, (cause as Error).message]), [
          ["thread-crashed", "boom"],
        ]);
        assert.deepEqual(warned.filter((code) => code !== "workers-busy"), ["thread-replaced"]);
        peer.send(get("/next"));
        await until(() => server.stats().activeExchanges === 0 && server.stats().requests === 2);
        await clock.settle();
        assert.deepEqual(statuses(peer.received()).at(-1), 200, "the connection persists");
      });
    }

    test("is cut off when its response has begun", async () => {
      const { calls, handler } = answeringLater(() => {
        return new Response(new ReadableStream({ start: (to) => to.enqueue(new TextEncoder().encode("part")) }));
      });
      const { threads, send, until, clock, server } = await startThreadServer(handler, options);
      const peer = await send(get());
      await until(() => peer.received().endsWith("\r\n4\r\npart\r\n"));
      threads[0].crash(boom);
      await clock.settle();
      assert.equal(peer.serverSide, "closed");
      assert.match(peer.received(), /\r\n4\r\npart\r\n$/, "the content has no end");
      assert.equal(calls.length, 1);
      assert.equal(server.stats().activeExchanges, 0);
    });

    test("is not made again when its client has gone", async () => {
      const { calls, handler } = answeringLater();
      const { threads, send, until, server } = await startThreadServer(handler, options);
      const peer = await send(get());
      peer.reset();
      await until(() => server.stats().activeExchanges === 0);
      threads[0].crash(boom);
      await until(() => server.stats().threads.ready === 1);
      assert.deepEqual(calls, [1]);
    });

    test("is made again while the server drains, if it had not begun", async () => {
      const { handler } = answeringLater(() => {}, () => false);
      const { threads, send, until, clock, server, alive } = await startThreadServer(handler, options);
      threads[0].freeze();
      const peer = await send(get());
      const report = server.shutdown();
      threads[0].crash(boom);
      await until(() => peer.received() !== "");
      assert.equal(peer.received(), okText("GET ", "Connection: close"));
      peer.end();
      await until(() => server.stats().state === "stopped");
      assert.deepEqual(await report, { drained: 1, aborted: 0, durationMs: 0 });
      assert.deepEqual([alive(), clock.pendingCount], [[], 0]);
    });

    test("is cut off by stop while it waits for another thread", async () => {
      const { handler } = answeringLater();
      const setup = { lacksModule: (number: number) => number > 1 };
      const { threads, send, clock, server, alive } = await startThreadServer(handler, options, setup);
      threads[0].freeze();
      const peer = await send(get());
      threads[0].crash(boom);
      await clock.advance(50);
      const report = server.stop();
      await clock.settle();
      assert.equal(peer.serverSide, "closed");
      assert.equal((await report).aborted, 1);
      assert.deepEqual([alive(), clock.pendingCount], [[], 0]);
    });

    test("is answered with 503 by queueTimeout, and not by handlerTimeout, while it waits for another thread", async () => {
      const { handler } = answeringLater();
      const setup = { lacksModule: (number: number) => number > 1 };
      const timed = { ...options, handlerTimeout: 1_000, queueTimeout: 5_000, retryAfter: 3 };
      const { threads, send, clock, server } = await startThreadServer(handler, timed, setup);
      threads[0].freeze();
      const peer = await send(get());
      threads[0].crash(boom);
      await clock.advance(4_900);
      assert.equal(peer.received(), "");
      await clock.advance(400);
      assert.deepEqual(statuses(peer.received()), [503]);
      assert.match(peer.received(), /^retry-after: 3\r$/m);
      assert.deepEqual(server.stats().errors["queue-timeout"], 1);
    });
  });
}

describe("handlerTimeout on a thread", () => {
  const TIMEOUT: ServeOptions = { model: "hybrid", threads: 1, handlerTimeout: 800 };
  /** The clock of the server ticks each 100 ms with that timeout, and a deadline is never early. */
  const TIMED_OUT_AFTER_MS = 900;
  /** In this time the server has found out whether the thread still listens. */
  const ASKED_WITHIN_MS = 400;

  /** What the handler does, by the path it is called with. */
  const byPath: PlacedHandler = (request, { thread }) => {
    const { pathname } = new URL(request.url);
    if (pathname === "/spin") thread.freeze();
    return pathname === "/" ? text("hello") : forEver();
  };

  test("answers 503 and aborts the signal; a thread that still listens goes on", async () => {
    let signal!: AbortSignal;
    const { send, clock, server, threads, reported } = await startThreadServer((request) => {
      signal = request.signal;
      return new URL(request.url).pathname === "/" ? text("hello") : forEver();
    }, TIMEOUT);
    const peer = await send(get("/slow"));
    const aborted = signal;
    await clock.advance(TIMED_OUT_AFTER_MS - 1);
    assert.deepEqual([peer.received(), aborted.aborted], ["", false]);
    await clock.advance(1 + ASKED_WITHIN_MS);
    await clock.settle();
    assert.deepEqual(statuses(peer.received()), [503]);
    assert.equal(aborted.aborted, true);
    assert.equal(aborted.reason.code, "handler-timeout");
    await clock.advance(2_000);
    assert.equal(threads[0].isAlive, true);
    assert.deepEqual(server.stats().threads, { ready: 1, started: 1, lost: 0, renewed: 0 });
    assert.deepEqual(server.stats().errors, { "handler-timeout": 1 });
    assert.deepEqual(reported.map(({ code }) => code), ["handler-timeout"]);
    peer.send(get("/"));
    await clock.settle();
    assert.deepEqual(statuses(peer.received()), [503, 200]);
  });

  test("terminates a thread that says nothing for 250 ms, and replaces it", async () => {
    const { send, clock, until, server, threads, warned, reported } = await startThreadServer(byPath, TIMEOUT);
    const peer = await send(get("/spin"));
    await clock.advance(TIMED_OUT_AFTER_MS + 249);
    assert.equal(threads[0].isAlive, true);
    await clock.advance(1);
    assert.deepEqual(statuses(peer.received()), [503]);
    assert.deepEqual([threads[0].isAlive, threads[0].wasTerminated], [false, true]);
    await until(() => server.stats().threads.ready === 1);
    assert.deepEqual(server.stats().threads, { ready: 1, started: 2, lost: 1, renewed: 0 });
    assert.deepEqual([warned, reported.map(({ code }) => code)], [["thread-replaced"], ["handler-timeout"]]);
    assert.deepEqual((await send(get("/"))).received().slice(0, 15), "HTTP/1.1 200 OK");
  });

  test("replaces a thread that computes for ever behind a response: the next call is made on another", async () => {
    const { send, clock, until, server, threads } = await startThreadServer((_request, { thread, number }, info) => {
      if (number === 1) info.completed.then(() => thread.freeze());
      return text(`from ${number}`);
    }, TIMEOUT);
    const first = await send(get("/"));
    await until(() => first.received().endsWith("from 1"));
    const next = await send(post("/", 0));
    await clock.advance(TIMED_OUT_AFTER_MS + 249);
    assert.deepEqual([threads[0].isAlive, next.received()], [true, ""]);
    await clock.advance(1);
    await until(() => next.received().endsWith("from 2"));
    assert.deepEqual([threads[0].wasTerminated, server.stats().threads.lost], [true, 1]);
  });

  test("leaves a thread alone that answers within 250 ms", async () => {
    const { send, clock, server, threads } = await startThreadServer(byPath, TIMEOUT);
    await send(get("/spin"));
    await clock.advance(TIMED_OUT_AFTER_MS + 200);
    threads[0].thaw();
    await clock.advance(1_000);
    assert.equal(threads[0].isAlive, true);
    assert.equal(server.stats().threads.started, 1);
    assert.deepEqual(statuses((await send(get("/"))).received()), [200]);
  });

  test("has the other exchanges of the thread made again, or answered with 503", async () => {
    const calls: string[] = [];
    const { send, clock, until, server } = await startThreadServer((request, { number, thread }) => {
      const { pathname } = new URL(request.url);
      calls.push(`${request.method} ${pathname} ${number}`);
      if (pathname === "/spin") thread.freeze();
      return number === 1 ? forEver() : text(pathname);
    }, TIMEOUT);
    const spinning = await send(get("/spin"));
    await clock.advance(600);
    // In time for nobody but the first to have waited too long when the thread is ended: 1 150 ms from the start.
    const unbegun = await send(post("/unbegun", 0));
    const queued = await send(post("/queued", 0));
    await clock.advance(TIMED_OUT_AFTER_MS - 600 + 250);
    await until(() => server.stats().activeExchanges === 0);
    assert.deepEqual(statuses(spinning.received()), [503]);
    assert.deepEqual([unbegun, queued].map((peer) => peer.received()), [okTextAt("/unbegun"), okTextAt("/queued")]);
    assert.deepEqual(calls, ["GET /spin 1", "POST /unbegun 2", "POST /queued 2"]);
  });

  test("blames the call that was begun last; others are made again if idempotent, even those that were overdue too", async () => {
    const calls: string[] = [];
    const { send, clock, until, server, reported } = await startThreadServer((request, { number, thread }) => {
      const { pathname } = new URL(request.url);
      calls.push(`${pathname} ${number}`);
      if (pathname === "/spin") thread.freeze();
      return number === 1 ? forEver() : text(pathname);
    }, TIMEOUT);
    const begunGet = await send(get("/get"));
    const begunPost = await send(post("/post", 0));
    const spinning = await send(get("/spin"));
    await clock.advance(TIMED_OUT_AFTER_MS + 250);
    await until(() => server.stats().activeExchanges === 0);
    assert.deepEqual(statuses(spinning.received()), [503]);
    assert.deepEqual([begunGet.received(), statuses(begunPost.received())], [okTextAt("/get"), [503]]);
    assert.deepEqual(calls, ["/get 1", "/post 1", "/spin 1", "/get 2"]);
    assert.deepEqual(server.stats().errors, { "handler-timeout": 1, "thread-lost": 1 });
    assert.deepEqual(reported.map(({ code }) => code), ["handler-timeout"]);
  });

  test("gives a call that is made again all its time again", async () => {
    const { send, clock, until, server } = await startThreadServer((request, { thread }) => {
      if (new URL(request.url).pathname === "/spin") thread.freeze();
      return forEver();
    }, TIMEOUT);
    const begun = await send(get("/get"));
    await send(get("/spin"));
    await clock.advance(TIMED_OUT_AFTER_MS + 250);
    await until(() => server.stats().threads.ready === 1);
    await clock.advance(TIMED_OUT_AFTER_MS - 101);
    assert.equal(begun.received(), "");
    await clock.advance(101 + ASKED_WITHIN_MS);
    assert.deepEqual(statuses(begun.received()), [503]);
  });

  test("is kept by the thread itself where its runtime can't end it: it ends when its call was cut short", async () => {
    const { send, until, server, threads, reported } = await startThreadServer(byPath, TIMEOUT);
    threads[0].cutShortOnce();
    const peer = await send(get("/"));
    await until(() => server.stats().activeExchanges === 0);
    assert.deepEqual(statuses(peer.received()), [503]);
    assert.deepEqual([threads[0].isAlive, threads[0].wasTerminated], [false, false]);
    assert.equal(server.stats().threads.lost, 1);
    assert.deepEqual(reported.map(({ code }) => code), ["thread-crashed"]);
  });

  test("without it a thread that stands still is left alone, however long", async () => {
    const { send, clock, server } = await startThreadServer(byPath, { model: "hybrid", threads: 1 });
    const peer = await send(get("/spin"));
    await clock.advance(60_000);
    assert.equal(peer.received(), "");
    assert.equal(server.stats().threads.lost, 0);
  });

  /** A response at the moment at which the thread was ended. */
  function okTextAt(content: string): string {
    return okText(content).replace("00:00:00 GMT", "00:00:01 GMT");
  }
});

describe("a thread that stops listening while calls are in flight", () => {
  test("has those made again whose time is not over, too, but for the one it has begun last", async () => {
    const calls: string[] = [];
    const { send, clock, until, server, threads } = await startThreadServer((request, { number }) => {
      const { pathname } = new URL(request.url);
      calls.push(`${pathname} ${number}`);
      return number === 1 ? forEver() : text(pathname);
    }, { model: "hybrid", threads: 1, handlerTimeout: 800 });
    const first = await send(get("/first"));
    await clock.advance(500);
    const second = await send(get("/second"));
    await clock.advance(50);
    const last = await send(get("/last"));
    await clock.advance(50);
    threads[0].freeze();
    await clock.advance(600);
    await until(() => server.stats().activeExchanges === 0);
    assert.deepEqual([first, second, last].map((peer) => statuses(peer.received())), [[200], [200], [503]]);
    assert.deepEqual(calls, ["/first 1", "/second 1", "/last 1", "/first 2", "/second 2"]);
  });
});

describe("a busy thread among others", () => {
  test("is lost alone: exchanges on other threads do not notice", async () => {
    const { calls, handler } = answeringLater(() => {}, (count) => count <= 3);
    const options: ServeOptions = { model: "hybrid", threads: 3 };
    const { send, threads, until, server, clock } = await startThreadServer(handler, options);
    const peers = [await send(get()), await send(get()), await send(get())];
    const [, second] = calls;
    threads[second - 1].crash(boom);
    await until(() => server.stats().activeExchanges === 2);
    await clock.settle();
    assert.deepEqual(peers.map((peer) => statuses(peer.received())), [[], [503], []]);
    assert.equal(calls.length, 3);
  });

  test("calls of a lost thread stand in front of the queue, in the order in which they came", async () => {
    const calls: string[] = [];
    const { send, threads, until, server } = await startThreadServer((request, { number, thread }) => {
      const { pathname } = new URL(request.url);
      calls.push(`${pathname} ${number}`);
      if (pathname === "/3" && number === 1) thread.freeze();
      return number === 1 ? forEver() : text(pathname);
    }, { model: "hybrid", threads: 1 });
    for (const name of ["/1", "/2", "/3", "/4", "/5", "/6"]) await send(get(name));
    threads[0].crash(boom);
    await until(() => server.stats().activeExchanges === 0);
    assert.deepEqual(calls, ["/1 1", "/2 1", "/3 1", "/4 2", "/5 2", "/6 2"]);
  });
});
