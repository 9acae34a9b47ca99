/**
 * What each state of a connection does with a FIN, with time and with a peer that takes nothing, and what is left of one
 * request for the next: each was a change of the code that no other test had noticed.
 */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Handler, UpgradedConnection } from "../../../src/api/handler.ts";
import { HttpResponse } from "../../../src/web/http_response.ts";
import { createGate, get, post, startMemoryServer, statuses, text } from "../../support/memory_server.ts";

const CHUNKED = "POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n";
const hello: Handler = () => text("hello");

describe("a FIN", () => {
  test("of a client that is being refused closes its connection at once", async () => {
    const { connect, clock, server } = await startMemoryServer(hello, { maxConnections: 1 });
    connect();
    const refused = connect();
    await clock.settle();
    assert.equal(refused.serverSide, "open", "what it says first is waited for");
    refused.end();
    await clock.settle();
    assert.equal(refused.serverSide, "closed");
    assert.equal(server.stats().connections.open, 1);
  });

  test("within content that is not wanted, behind the response, closes the connection at once", async () => {
    const { send, clock, server } = await startMemoryServer(hello);
    const peer = await send(`${CHUNKED}1\r\na\r\n`);
    assert.deepEqual(statuses(peer.received()), [200]);
    assert.equal(peer.serverSide, "open");
    peer.end();
    await clock.settle();
    assert.equal(server.stats().connections.open, 0);
  });

  test("of a client that waits for 100 (Continue) fails the content, and the client is not waited for", async () => {
    const gate = createGate();
    const outcome = createGate<string>();
    const { send, clock } = await startMemoryServer(async (request) => {
      await gate.opened;
      await request.text().catch((error) => outcome.open(error.code));
      return text("late");
    });
    const peer = await send(post("/", 4, "", "Expect: 100-continue"));
    peer.end();
    await clock.settle();
    assert.deepEqual(statuses(peer.received()), [400]);
    gate.open();
    assert.equal(await outcome.opened, "message-incomplete");
  });

  test("of the peer of an upgrade whose handler has let go of both streams closes it at once", async () => {
    let raw: UpgradedConnection | undefined;
    const { send, clock, server } = await startMemoryServer((_request, info) => {
      const { response, connection } = info.upgrade("raw");
      connection.then((upgraded) => raw = upgraded);
      return response;
    });
    const peer = await send(get("/", "Connection: upgrade", "Upgrade: raw"));
    await raw!.readable.cancel();
    await raw!.writable.close();
    await clock.settle();
    assert.equal(peer.serverSide, "ended");
    peer.end();
    await clock.settle();
    assert.equal(server.stats().connections.open, 0);
  });
});

describe("an upgrade whose handler has let go of both streams", () => {
  for (const order of [["readable", "writable"], ["writable", "readable"]] as const) {
    test(`leaves its worker to others before its peer has sent FIN: ${order.join(", then ")}`, async () => {
      let raw: UpgradedConnection | undefined;
      const { send, connect, clock } = await startMemoryServer((request, info) => {
        if (request.url.endsWith("/next")) return text("next");
        const { response, connection } = info.upgrade("raw");
        connection.then((upgraded) => raw = upgraded);
        return response;
      }, { model: "worker-pool", workers: 1 });
      await send(get("/", "Connection: upgrade", "Upgrade: raw"));
      const next = connect();
      next.send(get("/next"));
      await clock.settle();
      assert.equal(next.received(), "");
      for (const side of order) await (side === "readable" ? raw!.readable.cancel() : raw!.writable.close());
      await clock.settle();
      assert.deepEqual(statuses(next.received()), [200]);
    });
  }
});

describe("content that is not wanted, behind the response", () => {
  test("has what is left of requestTimeout, and no more", async () => {
    const options = { requestTimeout: 4_000, minDataRate: { bytesPerSecond: 0 } };
    const gate = createGate();
    const { send, clock } = await startMemoryServer(() => gate.opened.then(() => text("early")), options);
    const peer = await send(CHUNKED);
    await clock.advance(3_000);
    gate.open();
    await clock.settle();
    assert.deepEqual(statuses(peer.received()), [200]);
    for (let second = 0; second < 2; second++) {
      peer.send("1\r\na\r\n");
      await clock.advance(1_000);
    }
    assert.notEqual(peer.serverSide, "open");
  });
});

describe("a client that takes nothing", () => {
  const LARGE = new Uint8Array(200_000);
  for (
    const [state, more] of [["sends nothing more", ""], ["sends a part of a head", "GET /2 HT"]] as const
  ) {
    test(`and ${state} is not read until it does`, async () => {
      const { connect, clock } = await startMemoryServer(() => new HttpResponse(LARGE));
      const peer = connect();
      peer.stopReading();
      peer.send(get("/1"));
      await clock.settle();
      if (more !== "") peer.send(more);
      await clock.settle();
      assert.equal(peer.isPausedByServer, true);
      peer.read();
      await clock.settle();
      assert.equal(peer.isPausedByServer, false);
    });
  }
});

describe("a request behind one that onError has answered", () => {
  test("has its own time-out", async () => {
    const { send, clock } = await startMemoryServer((request) => {
      if (request.url.endsWith("/fails")) throw new Error("boom");
      return new Promise<Response>(() => {});
    }, { handlerTimeout: 2_000, onError: ({ code }) => code === "handler-failed" ? text("sorry") : undefined });
    const peer = await send(get("/fails"), get("/hangs"));
    await clock.advance(3_000);
    assert.deepEqual(statuses(peer.received()), [200, 503]);
  });
});

describe("a response that comes when its connection is gone", () => {
  test("is dropped, and counts stay right", async () => {
    const gate = createGate();
    const { send, clock, server } = await startMemoryServer(() => gate.opened.then(() => text("late")));
    const peer = await send(get());
    peer.reset();
    await clock.settle();
    gate.open();
    await clock.settle();
    const { requests, responses, activeExchanges } = server.stats();
    assert.deepEqual({ requests, responses, activeExchanges }, { requests: 1, responses: 0, activeExchanges: 0 });
    assert.equal(peer.received(), "");
  });
});

describe("an interim response (RFC 9110 section 15.2)", () => {
  test("is not sent to a client that speaks HTTP/1.0", async () => {
    const { send } = await startMemoryServer((_request, info) => {
      info.inform(103, { link: "</a>" });
      return text("hello");
    });
    assert.deepEqual(statuses((await send("GET / HTTP/1.0\r\n\r\n")).received()), [200]);
    assert.deepEqual(statuses((await send(get())).received()), [103, 200]);
  });
});

describe("the 101 of an upgrade", () => {
  test("reaches the peer before the handler writes anything", async () => {
    const { send } = await startMemoryServer((_request, info) => info.upgrade("raw").response);
    const peer = await send(get("/", "Connection: upgrade", "Upgrade: raw"));
    assert.deepEqual(statuses(peer.received()), [101]);
  });
});

describe("info.completed", () => {
  test("resolves although nothing listens to the signal", async () => {
    const outcome = createGate<unknown>();
    const { send } = await startMemoryServer((_request, info) => {
      info.completed.then(outcome.open, outcome.fail);
      return text("hello");
    });
    await send(get());
    await outcome.opened;
  });
});

describe("trailers of a response", () => {
  test("are not asked for when the client wants none", async () => {
    let asked = 0;
    const { send } = await startMemoryServer((_request, info) => {
      info.sendTrailers(() => {
        asked++;
        return { "x-sum": "1" };
      });
      return new HttpResponse(new Blob(["hello"]).stream());
    });
    const peer = await send(get());
    assert.deepEqual(statuses(peer.received()), [200]);
    assert.doesNotMatch(peer.received(), /x-sum/);
    assert.equal(asked, 0);
  });
});

describe("what a handler throws that is no error", () => {
  for (const thrown of [null, undefined, "text", 1]) {
    test(`${JSON.stringify(thrown)} is an error of the handler`, async () => {
      for (const isLate of [false, true]) {
        const { send, reported } = await startMemoryServer(() => {
          if (isLate) return Promise.reject(thrown);
          throw thrown;
        });
        assert.deepEqual(statuses((await send(get())).received()), [500]);
        assert.deepEqual(reported.map(({ code, cause }) => [code, cause]), [["handler-failed", thrown]]);
      }
    });
  }
});

describe("the body of a request", () => {
  test("that was read whole can't be read again", async () => {
    const { send } = await startMemoryServer(async (request) => {
      const first = await request.text();
      const second = await request.text().then(() => "read twice", ({ name }) => name);
      return text(`${first} ${second} ${request.bodyUsed}`);
    });
    assert.match((await send(post("/", 4, "abcd"))).received(), /abcd TypeError true$/);
  });
});

describe("the Date of a response (RFC 9110 section 6.6.1)", () => {
  test("is right after a minute without traffic", async () => {
    const { send, clock } = await startMemoryServer(hello, { keepAliveTimeout: 1_000 });
    await send(get());
    await clock.advance(61_000);
    assert.match((await send(get())).received(), /\r\nDate: Thu, 01 Jan 2026 00:01:0[01] GMT\r\n/);
  });
});
