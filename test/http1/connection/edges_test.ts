/**
 * What a connection must not do at the edges of its rules: each of these was a change of the code that no other test had
 * noticed.
 */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Handler, UpgradedConnection } from "../../../src/api/handler.ts";
import { HttpResponse } from "../../../src/web/http_response.ts";
import { createMemoryRuntime } from "../../support/memory_runtime.ts";
import {
  createGate,
  createMemoryServer,
  get,
  okText,
  post,
  startMemoryServer,
  statuses,
  text,
} from "../../support/memory_server.ts";
import { withoutRecordingLater } from "../../support/record_transitions.ts";

const path: Handler = (request) => text(new URL(request.url).pathname);
const echo: Handler = async (request) => text(await request.text());

describe("content that turns out malformed while the response streams (RFC 9112 section 8)", () => {
  test("is the last of its connection: nothing behind it is taken for a request", async () => {
    const { connect, clock, server } = await startMemoryServer(() => {
      let gives = 3;
      const stream = new ReadableStream({
        async pull(controller) {
          await new Promise((resolve) => setImmediate(resolve));
          controller.enqueue(new Uint8Array([0x61]));
          if (--gives === 0) controller.close();
        },
      }, { highWaterMark: 0 });
      return new HttpResponse(stream);
    });
    const peer = connect();
    peer.send("POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n");
    await new Promise((resolve) => setImmediate(resolve));
    peer.send(`nonsense\r\n${get("/smuggled")}`);
    await clock.settle();
    await clock.settle();
    peer.send(get("/smuggled"));
    await clock.settle();
    assert.equal(server.stats().requests, 1);
    assert.ok(statuses(peer.received()).length <= 1, peer.received());
    assert.notEqual(peer.serverSide, "open");
  });
});

describe("maxRequestsPerSocket", () => {
  test("lets so many pass, and says close with the last of them only", async () => {
    const { send, server } = await startMemoryServer(path, { maxRequestsPerSocket: 2 });
    const peer = await send(get("/1"), get("/2"), get("/3"));
    assert.equal(peer.received(), okText("/1") + okText("/2", "Connection: close"));
    assert.equal(server.stats().requests, 2);
  });
});

describe("info.trailers", () => {
  test("of a request without content are there, and empty", async () => {
    const { send } = await startMemoryServer(async (_request, info) => text(`${[...await info.trailers].length}`));
    assert.equal((await send(get())).received(), okText("0"));
  });
});

describe("what a handler had set for its own response", () => {
  for (
    const [name, given, isLate] of [
      ["the one that onError gives", 200, false],
      ["the standard one", 500, false],
      ["the one that says that it took too long", 503, true],
    ] as const
  ) {
    test(`is not sent with ${name}`, async () => {
      const { send, clock } = await startMemoryServer((_request, info) => {
        info.sendTrailers(() => ({ "x-sum": "1" }));
        if (isLate) return new Promise(() => {});
        throw new Error("boom");
      }, { handlerTimeout: 1_000, onError: () => given === 200 ? text("sorry") : undefined });
      const peer = await send(get("/", "TE: trailers", "Connection: TE"));
      await clock.advance(2_000);
      assert.deepEqual(statuses(peer.received()), [given]);
      assert.match(peer.received(), /\r\nContent-Length: \d+\r\n/);
      assert.doesNotMatch(peer.received(), /x-sum|chunked/i);
    });
  }
});

describe("onError that never settles", () => {
  for (const [handlerTimeout, waitsMs] of [[2_000, 2_000], [0, 10_000]]) {
    const title = handlerTimeout === 0 ? "10 s without handlerTimeout" : "what is left of handlerTimeout";
    test(`has ${title}, and then the standard response goes out`, async () => {
      const { send, clock } = await startMemoryServer(() => {
        throw new Error("boom");
      }, { handlerTimeout, onError: () => new Promise<Response>(() => {}) });
      const peer = await send(get());
      await clock.advance(waitsMs - 100);
      assert.equal(peer.received(), "");
      await clock.advance(1_200);
      assert.match(peer.received(), /^HTTP\/1\.1 50[03] /);
    });
  }
});

describe("requestTimeout and 100 (Continue) (RFC 9110 section 10.1.1)", () => {
  const EXPECTING = post("/", 4, "", "Expect: 100-continue");
  const reading = (gate: Promise<void>): Handler => async (request) => {
    await gate;
    return text(await request.text());
  };

  test("does not count the time in which the peer was to wait", async () => {
    const gate = createGate();
    const { send, clock } = await startMemoryServer(reading(gate.opened), { requestTimeout: 4_000 });
    const peer = await send(EXPECTING);
    await clock.advance(6_000);
    gate.open();
    await clock.advance(1_000);
    peer.send("abcd");
    await clock.settle();
    assert.deepEqual(statuses(peer.received()), [100, 200]);
  });

  test("counts the time that the head took", async () => {
    const { send, clock } = await startMemoryServer(echo, { requestTimeout: 4_000, headersTimeout: 3_900 });
    const peer = await send(EXPECTING.slice(0, 20));
    await clock.advance(3_000);
    peer.send(EXPECTING.slice(20));
    await clock.advance(2_200);
    assert.deepEqual(statuses(peer.received()), [100, 408]);
  });
});

describe("a client that has ended its side while it waits in line", () => {
  for (const [waitsMs, expected] of [[400, [200]], [2_500, []]] as const) {
    test(`is ${expected.length > 0 ? "served when its turn comes in time" : "not served any more"}`, async () => {
      const gate = createGate();
      const { connect, clock, server } = await startMemoryServer(async (request) => {
        if (request.url.endsWith("/first")) await gate.opened;
        return text("served");
      }, { model: "blocking" });
      const first = connect();
      first.send(get("/first"));
      await clock.settle();
      const second = connect();
      second.send(get("/second"));
      second.end();
      await clock.advance(waitsMs);
      gate.open();
      await clock.settle();
      assert.deepEqual(statuses(first.received()), [200]);
      assert.deepEqual(statuses(second.received()), [...expected]);
      assert.equal(server.stats().requests, 1 + expected.length);
    });
  }
});

test("requests that came whole before a client's FIN are answered, although they have to wait for their turn", async () => {
  const { connect, clock, server } = await startMemoryServer(() => text("served"));
  const peer = connect();
  peer.send(get("/first") + get("/second").slice(0, 20));
  for (let microtasks = 0; microtasks < 50; microtasks++) await null;
  // Others use up the time of this turn.
  const turn = clock.holdUp(10);
  peer.send(get("/second").slice(20) + get("/third"));
  peer.end();
  await turn;
  await clock.settle();
  assert.deepEqual(statuses(peer.received()), [200, 200, 200]);
  assert.deepEqual(server.stats().errors, {});
});

describe("an upgraded connection", () => {
  for (const readsOnce of [false, true]) {
    const title = readsOnce ? "whose reader has stopped" : "that nobody reads";
    test(`${title} stops the peer, and goes on when it is read`, async () => {
      let raw: UpgradedConnection | undefined;
      const { connect, clock } = await startMemoryServer((_request, info) => {
        const { response, connection } = info.upgrade("raw");
        connection.then((upgraded) => raw = upgraded);
        return response;
      });
      const peer = connect();
      peer.send(get("/", "Connection: upgrade", "Upgrade: raw"));
      await clock.settle();
      const pieces = 8;
      let bytes = 0;
      if (readsOnce) {
        const reader = raw!.readable.getReader();
        peer.send("a");
        bytes += (await reader.read()).value!.byteLength - 1;
        reader.releaseLock();
      }
      for (let i = 0; i < pieces; i++) peer.send(new Uint8Array(32 * 1024));
      await clock.settle();
      assert.equal(peer.isPausedByServer, true);
      peer.end();
      for await (const chunk of raw!.readable) bytes += chunk.byteLength;
      assert.equal(bytes, pieces * 32 * 1024);
    });
  }
});

describe("a fault of the server itself", () => {
  test("costs the one connection it happens on, and is reported and counted as internal-error", async () => {
    const memory = createMemoryRuntime();
    let isFaulty = true;
    const decodeLatin1: typeof memory.decodeLatin1 = (bytes, start, end) => {
      if (!isFaulty) return memory.decodeLatin1(bytes, start, end);
      isFaulty = false;
      throw new RangeError("a fault");
    };
    const { connect, clock, server, reported } = createMemoryServer({ ...memory, decodeLatin1 }, {}, path);
    await server.ready();
    const [unlucky, lucky] = [connect(), connect()];
    await clock.settle();
    // In tests a fault is thrown on, so that it fails them; here it is to be met as elsewhere.
    await withoutRecordingLater(async () => {
      unlucky.send(get("/unlucky"));
      await clock.settle();
    });
    lucky.send(get("/lucky"));
    await clock.settle();
    assert.equal(unlucky.serverSide, "closed");
    assert.equal(lucky.received(), okText("/lucky"));
    assert.deepEqual(reported.map(({ code, cause }) => [code, String(cause)]), [
      ["internal-error", "RangeError: a fault"],
    ]);
    assert.equal(server.stats().errors["internal-error"], 1);
    assert.equal(server.stats().connections.open, 1);
  });
});
