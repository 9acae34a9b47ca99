/** What crosses between the loop and a thread beside content: requests and responses, aborts, errors, upgrades. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { HandlerInfo, UpgradedConnection } from "../../src/api/handler.ts";
import type { ServeOptions } from "../../src/api/options.ts";
import { HttpResponse } from "../../src/web/http_response.ts";
import { createGate, get, okText, post, statuses, text } from "../support/memory_server.ts";
import { type PlacedHandler, startThreadServer, type ThreadServer } from "../support/thread_server.ts";

function start(handler: PlacedHandler, options: ServeOptions = {}): Promise<ThreadServer> {
  return startThreadServer(handler, { model: "hybrid", threads: 1, ...options });
}

/** The kinds of messages that have gone to threads. */
function kindsSent({ batches }: ThreadServer): string[] {
  return batches.filter(({ way }) => way === "to").flatMap(({ kinds }) => kinds);
}

describe("an abort crosses to the thread", () => {
  test("when the peer goes away: request.signal and info.completed say so", async () => {
    let signal!: AbortSignal;
    let info!: HandlerInfo;
    const { send, until, server } = await start((request, _place, given) => {
      signal = request.signal;
      info = given;
      return new Promise(() => {});
    });
    const peer = await send(get());
    assert.equal(signal.aborted, false);
    peer.reset();
    await until(() => server.stats().activeExchanges === 0 && signal.aborted);
    assert.equal(signal.reason.code, "peer-disconnected");
    await assert.rejects(info.completed, { code: "peer-disconnected" });
  });

  test("not when the response was delivered", async () => {
    let signal!: AbortSignal;
    const outcome = createGate<string>();
    const { send, until, clock } = await start((request, _place, info) => {
      signal = request.signal;
      info.completed.then(() => outcome.open("delivered"), () => outcome.open("aborted"));
      return text("hello");
    });
    const peer = await send(get());
    await until(() => peer.received() !== "");
    await clock.settle();
    assert.equal(await outcome.opened, "delivered");
    peer.reset();
    await clock.settle();
    assert.equal(signal.aborted, false);
  });

  test("and nothing of the call is left on either side", async () => {
    const server = await start(() => new Promise(() => {}));
    for (let i = 0; i < 5; i++) (await server.send(get())).reset();
    await server.clock.settle();
    assert.equal(kindsSent(server).filter((kind) => kind === "aborted").length, 5);
    assert.deepEqual(server.server.stats().workers, { total: 1, busy: 0 });
  });

  test("that a call was delivered is told within half a second, though no other call follows", async () => {
    const server = await start(() => text("hello"));
    await server.send(get());
    server.batches.length = 0;
    await server.clock.advance(500);
    assert.deepEqual(kindsSent(server), ["delivered"]);
  });

  test("a call that nobody waits for any more when it is due to leave does not leave", async () => {
    const server = await start(() => text("hello"));
    const peer = server.connect();
    peer.send(get());
    peer.reset();
    await server.clock.settle();
    assert.deepEqual(kindsSent(server), []);
  });
});

describe("a call whose content is over", () => {
  /** Reads the content, which comes in parts, and notes what is told then. */
  async function startReading(respond: (request: Request, content: Promise<string>) => Response | Promise<Response>) {
    const told: string[] = [];
    const server = await start((request, _place, info) => {
      request.signal.addEventListener("abort", () => told.push("aborted"));
      info.completed.then(() => told.push("completed"), () => told.push("failed"));
      const content = request.text();
      content.then((text) => told.push(text), ({ code }) => told.push(code));
      return respond(request, content);
    });
    return { ...server, told };
  }

  test("is told that its response was delivered", async () => {
    const { send, clock, told } = await startReading((_request, content) => content.then(text));
    const peer = await send(post("/", 6), "one", "two");
    await clock.advance(500);
    assert.deepEqual([peer.received(), told], [okText("onetwo"), ["onetwo", "completed"]]);
  });

  test("is told that its client has left", async () => {
    const { send, clock, told } = await startReading(() => new Promise(() => {}));
    const peer = await send(post("/", 6), "one", "two");
    await clock.settle();
    peer.reset();
    await clock.advance(500);
    assert.deepEqual(told.sort(), ["aborted", "failed", "onetwo"]);
  });

  test("goes on to send its response, also where the content has failed meanwhile", async () => {
    let gate = createGate();
    const { send, clock, told } = await startReading(() => {
      let left = 8;
      const stream = new ReadableStream<Uint8Array>({
        start: (controller) => controller.enqueue(new Uint8Array(10)),
        async pull(controller) {
          await gate.opened;
          if (left-- > 0) controller.enqueue(new Uint8Array(100_000));
          else controller.close();
        },
      }, { highWaterMark: 0 });
      return new HttpResponse(stream);
    });
    for (const isRight of [true, false]) {
      gate = createGate();
      told.length = 0;
      const head = "POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n";
      const peer = await send(head, "5\r\nhello\r\n", isRight ? "0\r\n\r\n" : "no chunk\r\n");
      await clock.advance(100);
      assert.deepEqual(told, [isRight ? "hello" : "chunk-invalid"]);
      gate.open();
      await clock.advance(1_000);
      assert.ok(peer.receivedBytes > 800_000, `${peer.receivedBytes}`);
      assert.equal(told.at(-1), "completed");
    }
  });

  test("is told that its response was delivered whose content was not sent", async () => {
    let isCancelled = false;
    const { send, clock, told } = await startReading(() =>
      new HttpResponse(
        new ReadableStream({
          cancel: () => void (isCancelled = true),
        }),
      )
    );
    const peer = await send(get().replace("GET", "HEAD"));
    await clock.advance(1_000);
    assert.deepEqual(statuses(peer.received()), [200]);
    assert.deepEqual([isCancelled, told], [true, ["", "completed"]]);
  });

  test("is over when its client has taken the response, and not before", async () => {
    const { connect, clock, told } = await startReading(() => new HttpResponse(new Uint8Array(200_000)));
    const peer = connect();
    peer.stopReading();
    peer.send(get());
    await clock.advance(500);
    assert.deepEqual(told, [""]);
    peer.read();
    await clock.advance(500);
    assert.deepEqual(told, ["", "completed"]);
  });

  test("has the rest of it still where it reads on behind its response, before which it all came", async () => {
    const gate = createGate();
    let content = "";
    const { send, clock } = await start(async (request) => {
      const reader = request.body!.getReader();
      const read = async (): Promise<void> => {
        content += new TextDecoder().decode((await reader.read()).value);
      };
      await read();
      await gate.opened;
      clock.after(1_000, () => void read().catch(({ code }) => content = code));
      return text("early");
    });
    const peer = await send(post("/", 6), "one", "two");
    gate.open();
    await clock.advance(500);
    assert.equal(peer.received(), okText("early"));
    await clock.advance(1_000);
    assert.equal(content, "onetwo");
  });

  test("has it still where it reads it behind its response, in which it came whole", async () => {
    const gate = createGate();
    const content = createGate<string>();
    const { send, clock } = await start((request) => {
      gate.opened.then(() => request.text()).then(content.open, ({ code }) => content.open(code));
      return text("early");
    });
    await send(post("/", 5, "hello"));
    await clock.advance(1_000);
    gate.open();
    assert.equal(await content.opened, "hello");
  });
});

test("content whose reading began just before the response was made comes behind it", async () => {
  const told: string[] = [];
  const { send, clock } = await start((request) => {
    const reader = request.body!.getReader();
    const read = async (): Promise<void> => {
      for (let next = await reader.read(); !next.done; next = await reader.read()) {
        told.push(new TextDecoder().decode(next.value));
      }
    };
    read().then(() => told.push("end"), ({ code }) => told.push(code));
    return new HttpResponse("early");
  });
  const peer = await send(post("/", 10), "first");
  await clock.advance(500);
  peer.send("other");
  await clock.advance(500);
  assert.deepEqual([statuses(peer.received()), told.join()], [[200], "first,other,end"]);
});

describe("what else crosses", () => {
  test("the request: method, URL, fields, addresses", async () => {
    const { send, until } = await start((request, _place, info) =>
      text(JSON.stringify([request.method, request.url, [...request.headers], info.remoteAddr, info.localAddr]))
    );
    const peer = await send("PUT /a/../b?c=%20d HTTP/1.1\r\nHost: a.test:80\r\nX: 1\r\nx: 2\r\n\r\n");
    await until(() => peer.received() !== "");
    const received = JSON.parse(peer.received().slice(peer.received().indexOf("\r\n\r\n") + 4));
    assert.deepEqual(received, [
      "PUT",
      "http://a.test/b?c=%20d",
      [["host", "a.test:80"], ["x", "1, 2"]],
      { transport: "tcp", hostname: "10.0.0.2", port: 50_000 },
      { transport: "tcp", hostname: "10.0.0.1", port: 80 },
    ]);
  });

  test("bytes of field values", async () => {
    const { send, until } = await start((request) =>
      new HttpResponse(null, { headers: { y: request.headers.get("x")! } })
    );
    const peer = await send(get("/", "X: caf\xe9 \xff"));
    await until(() => peer.received() !== "");
    assert.match(peer.received(), /^y: caf\xe9 \xff\r$/m);
  });

  test("status, reason phrase and fields of the response, with a field that comes twice", async () => {
    const { send, until } = await start(() => {
      const headers = new Headers([["set-cookie", "a=1"], ["set-cookie", "b=2"], ["x", "y"]]);
      return new HttpResponse("no", { status: 404, statusText: "Not Here", headers });
    });
    const peer = await send(get());
    await until(() => peer.received() !== "");
    assert.match(peer.received(), /^HTTP\/1\.1 404 Not Here\r\n/);
    assert.match(peer.received(), /set-cookie: a=1\r\nset-cookie: b=2\r\n/);
  });

  test("informational responses, before the final one, and none to a client of HTTP/1.0", async () => {
    const { send, until } = await start((_request, _place, info) => {
      info.inform(103, { link: "</a.css>" });
      return text("hello");
    });
    const peer = await send(get());
    await until(() => statuses(peer.received()).length === 2);
    assert.equal(peer.received(), `HTTP/1.1 103 Early Hints\r\nlink: </a.css>\r\n\r\n${okText("hello")}`);
    const old = await send(get().replace("HTTP/1.1", "HTTP/1.0"));
    await until(() => old.received() !== "");
    assert.deepEqual(statuses(old.received()), [200]);
  });

  const failures: { name: string; handler: PlacedHandler; code: string; cause: string | null }[] = [
    {
      name: "throws",
      handler: () => {
        throw new TypeError("secret");
      },
      code: "handler-failed",
      cause: "TypeError: secret",
    },
    {
      name: "rejects",
      handler: () => Promise.reject(new Error("secret")),
      code: "handler-failed",
      cause: "Error: secret",
    },
    { name: "gives no response", handler: () => null as unknown as Response, code: "response-invalid", cause: null },
    {
      name: "sets a wrong Content-Length",
      handler: () => new HttpResponse("x", { headers: { "content-length": "2" } }),
      code: "response-content-length-mismatch",
      cause: null,
    },
  ];
  for (const { name, handler, code, cause } of failures) {
    test(`the failure of a handler that ${name}: 500 to the peer, the error to onError`, async () => {
      const started = await start(handler);
      const { send, until, reported, server, clock } = started;
      const peer = await send(get());
      await until(() => peer.received() !== "");
      assert.deepEqual(statuses(peer.received()), [500]);
      assert.doesNotMatch(peer.received(), /secret/);
      assert.deepEqual(reported.map((error) => error.code), [code]);
      assert.equal(reported[0].cause === undefined ? null : String(reported[0].cause), cause);
      assert.deepEqual(server.stats().errors, { [code]: 1 });
      assert.equal(server.stats().threads.lost, 0);
      await clock.advance(500);
      assert.deepEqual(kindsSent(started), ["call", "delivered"]);
      assert.deepEqual(server.stats().workers, { total: 1, busy: 0 });
    });
  }

  test("a response that onError gives in place of the handler's", async () => {
    const { send, until } = await start(() => Promise.reject(new Error("secret")), {
      onError: (error, request) => text(`${error.code} ${request?.method}`),
    });
    const peer = await send(get());
    await until(() => peer.received() !== "");
    assert.equal(peer.received(), okText("handler-failed GET"));
  });

  test("that an upgraded connection is neither read nor written any more: then the call is over", async () => {
    const server = await start((_request, _place, info) => {
      const { response, connection } = info.upgrade("echo");
      connection.then(async ({ readable, writable }) => {
        await writable.getWriter().close();
        await readable.cancel();
      });
      return response;
    });
    const peer = await server.send(get("/", "Connection: upgrade", "Upgrade: echo"));
    await server.clock.advance(500);
    assert.equal(peer.serverSide, "ended");
    assert.equal(kindsSent(server).at(-1), "delivered");
  });

  for (const fails of [true, false]) {
    test(`that an upgrade does not come about: its handler ${fails ? "fails" : "gives another response"}`, async () => {
      const told: string[] = [];
      const { send, clock } = await start((_request, _place, info) => {
        info.upgrade("echo").connection.catch(() => told.push("not upgraded"));
        info.completed.then(() => told.push("completed"), ({ code }) => told.push(code));
        if (fails) throw new Error("secret");
        return new HttpResponse("no");
      });
      const peer = await send(get("/", "Connection: upgrade", "Upgrade: echo"));
      await clock.advance(500);
      assert.deepEqual([statuses(peer.received()), told], [[fails ? 500 : 200], ["not upgraded", "completed"]]);
    });
  }

  for (const held of [null, "readable", "writable"] as const) {
    const holds = held !== null;
    const whose = holds ? `its handler holds, ${held}: it is closed once that lets go` : "nothing holds: it is closed";
    test(`that the client of an upgraded connection has sent FIN which ${whose}`, async () => {
      let letGo = (): void => {};
      const started = await start((_request, _place, info) => {
        const { response, connection } = info.upgrade("echo");
        connection.then(({ readable, writable }) => {
          if (held === null) return;
          const holder = held === "readable" ? readable.getReader() : writable.getWriter();
          letGo = () => holder.releaseLock();
        });
        return response;
      }, { halfCloseTimeout: 1_000 });
      const { server, clock } = started;
      const peer = await started.send(get("/", "Connection: upgrade", "Upgrade: echo"));
      await clock.advance(900);
      peer.end();
      await clock.advance(900);
      assert.equal(server.stats().connections.open, 1);
      await clock.advance(500);
      assert.equal(server.stats().connections.open, holds ? 1 : 0);
      letGo();
      await clock.advance(500);
      assert.equal(server.stats().connections.open, 0);
      assert.equal(kindsSent(started).includes("delivered"), true);
    });
  }

  for (
    const [what, bytes, halfCloseTimeout] of [
      ["whose FIN is not seen", 640 * 1024, 1_000],
      ["whose FIN is not seen, and would mean nothing", 640 * 1024, Infinity],
      ["whose FIN is not seen, and would end it", 640 * 1024, 0],
      ["whose client may send FIN for long", 0, 60_000],
      ["whose client may send FIN for ever", 0, Infinity],
    ] as const
  ) {
    for (const taken of [null, "readable", "writable"] as const) {
      const whose = taken === null ? "ignores: it is closed in time" : `has taken the ${taken} of: it stays open`;
      test(`an upgraded connection ${what}, which its handler ${whose}`, async () => {
        const started = await start((_request, _place, info) => {
          const { response, connection } = info.upgrade("echo");
          connection.then((connection) => taken !== null && connection[taken]);
          return response;
        }, { keepAliveTimeout: 10_000, halfCloseTimeout });
        const { server, clock, send } = started;
        const peer = await send(get("/", "Connection: upgrade", "Upgrade: echo"));
        for (let sent = 0; sent < bytes; sent += 64 * 1024) await peer.send(new Uint8Array(64 * 1024));
        peer.end();
        await clock.advance(9_000);
        assert.equal(server.stats().connections.open, 1);
        await clock.advance(2_500);
        assert.equal(server.stats().connections.open, taken === null ? 0 : 1);
        assert.deepEqual(server.stats().errors, taken === null ? { "handler-timeout": 1 } : {});
        assert.equal(kindsSent(started).includes("delivered"), taken === null, "the call is over with it");
      });
    }
  }

  test("an upgraded connection that nothing has taken is looked at four times a second, also with halfCloseTimeout 0", async () => {
    const { clock, send } = await start((_request, _place, info) => info.upgrade("echo").response, {
      halfCloseTimeout: 0,
    });
    const intervals: number[] = [];
    const every = clock.every.bind(clock);
    clock.every = (intervalMs, callback) => {
      intervals.push(intervalMs);
      return every(intervalMs, callback);
    };
    await send(get("/", "Connection: upgrade", "Upgrade: echo"));
    await clock.advance(1_000);
    assert.equal(Math.min(...intervals), 250);
  });

  for (const way of ["an upgraded connection", "content behind its response"]) {
    test(`that the client of ${way} is gone, although the handler does not read what it has sent`, async () => {
      const isUpgrade = way === "an upgraded connection";
      const started = await start(async (request, _place, info) => {
        if (isUpgrade) {
          const { response, connection } = info.upgrade("echo");
          connection.then(({ readable, writable }) => [readable.getReader(), writable.getWriter()]);
          return response;
        }
        await request.body!.getReader().read();
        return text("enough");
      });
      const head = isUpgrade ? get("/", "Connection: upgrade", "Upgrade: echo") : post("/", 1024 * 1024);
      const peer = await started.send(head);
      for (let sent = 0; sent < 640 * 1024; sent += 64 * 1024) await peer.send(new Uint8Array(64 * 1024));
      await started.clock.advance(500);
      assert.deepEqual(statuses(peer.received()), [isUpgrade ? 101 : 200]);
      assert.equal(kindsSent(started).includes("delivered"), false);
      peer.reset();
      await started.clock.advance(1_000);
      assert.equal(started.server.stats().connections.open, 0);
      assert.equal(kindsSent(started).at(-1), "delivered", "the call is over on the thread");
    });
  }

  test("an upgraded connection is looked at until it is taken or its client is gone", async () => {
    let raw!: UpgradedConnection;
    const { clock, send } = await start((_request, _place, info) => {
      const { response, connection } = info.upgrade("echo");
      connection.then((upgraded) => raw = upgraded);
      return response;
    }, { keepAliveTimeout: 0 });
    const timers = clock.pendingCount;
    const peer = await send(get("/", "Connection: upgrade", "Upgrade: echo"));
    await clock.advance(1_000);
    const [timersBefore, { readable }] = [clock.pendingCount, raw];
    await clock.advance(1_000);
    assert.deepEqual([clock.pendingCount, readable.locked], [timersBefore - 1, false]);
    const other = await send(get("/", "Connection: upgrade", "Upgrade: echo"));
    for (const each of [peer, other]) each.reset();
    await clock.advance(5_000);
    assert.equal(clock.pendingCount, timers);
  });

  test("that an upgraded connection is lost", async () => {
    let failure: unknown = null;
    const { send, clock } = await start((_request, _place, info) => {
      const { response, connection } = info.upgrade("echo");
      connection.then(({ readable }) => readable.getReader().read()).catch(({ code }) => failure = code);
      return response;
    });
    const peer = await send(get("/", "Connection: upgrade", "Upgrade: echo"));
    await clock.settle();
    peer.reset();
    await clock.advance(100);
    assert.equal(failure, "peer-disconnected");
  });

  test("that an upgraded connection was aborted, although its client does not take what was written", async () => {
    let writer!: WritableStreamDefaultWriter<Uint8Array>;
    let failed = 0;
    const { connect, until, clock } = await start((_request, _place, info) => {
      const { response, connection } = info.upgrade("echo");
      connection.then(({ writable }) => {
        writer = writable.getWriter();
        for (let i = 0; i < 50; i++) writer.write(new Uint8Array(20_000)).catch(() => failed++);
      });
      return response;
    });
    const peer = connect();
    peer.stopReading();
    peer.send(get("/", "Connection: upgrade", "Upgrade: echo"));
    await until(() => writer !== undefined);
    await clock.advance(100);
    const aborted = writer.abort(new Error("enough"));
    await until(() => peer.serverSide === "closed");
    await aborted;
    assert.ok(failed > 20, `${failed}`);
  });

  test("the bytes of an upgraded connection, in both directions, and its end", async () => {
    let hasEnded = false;
    const { send, until } = await start((_request, _place, info) => {
      const { response, connection } = info.upgrade("echo");
      connection.then(async ({ readable, writable, remoteAddr, localAddr }) => {
        assert.deepEqual([remoteAddr, localAddr], [info.remoteAddr, info.localAddr]);
        await readable.pipeTo(writable);
        hasEnded = true;
      });
      return response;
    });
    const peer = await send(get("/", "Connection: upgrade", "Upgrade: echo") + "early");
    await until(() => peer.received().endsWith("early"));
    assert.match(peer.received(), /^HTTP\/1\.1 101 Switching Protocols\r\n/);
    peer.send("late");
    await until(() => peer.received().endsWith("earlylate"));
    peer.end();
    await until(() => hasEnded && peer.serverSide === "closed");
  });
});
