/**
 * The seams of a server, each with a user in this file: who speaks on a connection (`server/preface.ts`), and who is told
 * of what happens (`exchange/observer.ts`).
 */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { TrivetError } from "../../src/api/errors.ts";
import type { Handler } from "../../src/api/handler.ts";
import type { ServeOptions } from "../../src/api/options.ts";
import { Warnings } from "../../src/api/warnings.ts";
import { resolveOptions } from "../../src/api/resolve_options.ts";
import type { Observer } from "../../src/exchange/observer.ts";
import { HandlerTurns } from "../../src/models/handler_turns.ts";
import { EventDrivenScheduler } from "../../src/models/event_driven.ts";
import { assembleServer } from "../../src/server/create_server.ts";
import { NOTHING_OBSERVED } from "../../src/server/observation.ts";
import type { ProtocolChoice, Speaker } from "../../src/server/preface.ts";
import { Reports } from "../../src/server/reports.ts";
import { HttpResponse } from "../../src/web/http_response.ts";
import { createMemoryRuntime, type MemoryPeer } from "../support/memory_runtime.ts";
import { createGate, get, okText, post, statuses, text } from "../support/memory_server.ts";

interface Seams {
  readonly observer?: Observer;
  readonly choice?: (http1: Speaker) => ProtocolChoice;
}

/** A server in memory whose seams a test uses. */
async function start(handler: Handler, seams: Seams, given: ServeOptions = {}) {
  const runtime = createMemoryRuntime();
  const { clock } = runtime;
  const reported: string[] = [];
  const options = resolveOptions({ onListen: () => {}, ...given }, { cores: 1, descriptorLimit: null }, [
    "event-driven",
  ]);
  const scheduler = new EventDrivenScheduler(new HandlerTurns(handler, clock));
  const reports = new Reports((error) => void reported.push(error.code), runtime.host);
  const warnings = new Warnings(clock, runtime.host, undefined);
  const { observer = null, choice } = seams;
  const observation = { ...NOTHING_OBSERVED, observer };
  const server = assembleServer({ options, runtime, scheduler, reports, warnings, prepare: null, observation, choice });
  await server.ready();
  const connect = (address = "10.0.0.2", protocol?: string): MemoryPeer =>
    runtime.connect({ transport: "tcp", hostname: address, port: 50_000 }, protocol);
  const send = async (peer: MemoryPeer, bytes: string): Promise<MemoryPeer> => {
    peer.send(bytes);
    await clock.settle();
    return peer;
  };
  return { server, clock, connect, send, reported };
}

const hello: Handler = () => text("hello");

/** Waits for the request line, as a choice by the first bytes does. */
function whenLineHasCome(http1: Speaker): ProtocolChoice {
  return (_transport, bytes) => bytes.includes(10) ? http1 : null;
}

describe("the choice of who speaks on a connection", () => {
  test("is made from the negotiated protocol where that tells, before any byte has come", async () => {
    const asked: [string | null, number][] = [];
    const choice = (http1: Speaker): ProtocolChoice => ({ negotiatedProtocol }, bytes) => {
      asked.push([negotiatedProtocol, bytes.byteLength]);
      return http1;
    };
    const { connect, send } = await start(hello, { choice });
    assert.equal((await send(connect("10.0.0.2", "http/1.1"), get())).received(), okText("hello"));
    await send(connect(), get());
    assert.deepEqual(asked, [["http/1.1", 0], [null, 0]]);
  });

  test("is made when a TLS handshake is done, before any byte has come behind it", async () => {
    const asked: [string | null, number][] = [];
    const choice = (http1: Speaker): ProtocolChoice => ({ negotiatedProtocol }, bytes) => {
      asked.push([negotiatedProtocol, bytes.byteLength]);
      return http1;
    };
    const { connect, send } = await start(hello, { choice }, { tls: { cert: "c", key: "k" } });
    await send(connect(), "http/1.1\n");
    assert.deepEqual(asked, [["http/1.1", 0]]);
  });

  test("waits for the bytes that it needs behind the header of a proxy, with what came along with that", async () => {
    const { connect, send } = await start(hello, { choice: whenLineHasCome }, {
      proxyProtocol: { from: ["10.0.0.2"] },
    });
    const peer = await send(connect(), `PROXY UNKNOWN\r\n${get().slice(0, 9)}`);
    await send(peer, get().slice(9));
    assert.equal(peer.received(), okText("hello"));
  });

  for (
    const [name, pieces] of [
      ["at once", [get()]],
      ["in two pieces", [get().slice(0, 9), get().slice(9)]],
      ["byte by byte", [...get()]],
      ["with the next request behind it", [get() + get()]],
    ] as const
  ) {
    test(`waits for the bytes that it needs, and none of them is lost: ${name}`, async () => {
      const { connect, send } = await start(hello, { choice: whenLineHasCome });
      const peer = connect();
      for (const piece of pieces) await send(peer, piece);
      assert.equal(statuses(peer.received()).length, pieces.join("").split("GET").length - 1);
    });
  }

  test("has the time of a head, and then the connection is closed without a word", async () => {
    const { connect, clock } = await start(hello, { choice: whenLineHasCome }, { headersTimeout: 1_000 });
    const peer = connect();
    peer.send("GET");
    await clock.advance(999);
    assert.equal(peer.serverSide, "open");
    await clock.advance(400);
    assert.deepEqual([peer.serverSide, peer.received()], ["closed", ""]);
    assert.equal(clock.pendingCount, 0);
  });

  test("is given up when more bytes have come than any protocol needs", async () => {
    const { connect, send } = await start(hello, { choice: whenLineHasCome });
    const peer = await send(connect(), "x".repeat(4_096));
    assert.equal(peer.serverSide, "open");
    await send(peer, "x");
    assert.equal(peer.serverSide, "closed");
  });

  test("ends with the client that leaves before it", async () => {
    const { server, connect, clock } = await start(hello, { choice: whenLineHasCome });
    const [ended, reset] = [connect(), connect()];
    ended.send("GET");
    await clock.settle();
    ended.end();
    reset.reset();
    await clock.settle();
    assert.equal(ended.serverSide, "closed");
    assert.equal(server.stats().connections.open, 0);
  });

  test("is waited for by a server that drains, unless it is to close what is idle", async () => {
    const { server, connect, send, clock } = await start(hello, { choice: whenLineHasCome });
    const [silent, begun, decided] = [connect(), await send(connect(), "GET"), await send(connect(), "GET")];
    const report = server.shutdown();
    await send(decided, get().slice(3));
    assert.equal(decided.received(), okText("hello", "Connection: close"));
    decided.end();
    await clock.settle();
    assert.deepEqual([silent, begun].map(({ serverSide }) => serverSide), ["open", "open"]);
    server.shutdown({ closeIdle: true });
    await clock.settle();
    assert.deepEqual([silent, begun].map(({ serverSide }) => serverSide), ["closed", "closed"]);
    assert.equal((await report).aborted, 0);
  });

  test("is cut off by a stop", async () => {
    const { server, connect, send } = await start(hello, { choice: whenLineHasCome });
    const [silent, begun] = [connect(), await send(connect(), "GET")];
    assert.equal((await server.stop()).aborted, 1, "of one a part has come");
    assert.deepEqual([silent, begun].map(({ serverSide }) => serverSide), ["closed", "closed"]);
  });

  test("counts in the total limit, makes room when that is reached, and counts by no address", async () => {
    const limits = { maxConnections: 3, maxConnectionsPerIp: 1 };
    const { server, connect, send, clock } = await start(hello, { choice: whenLineHasCome }, limits);
    const undecided = [connect(), connect()];
    await clock.settle();
    assert.equal(server.stats().connections.open, 2);
    const served = await send(connect(), get());
    assert.deepEqual(statuses(served.received()), [200], "the others of this address are undecided");
    const second = await send(undecided[1], get());
    assert.deepEqual(statuses(second.received()), [503], "its address has a connection already");
    const third = await send(connect("10.0.0.3"), get());
    const fourth = await send(connect("10.0.0.4"), get());
    assert.deepEqual([third, fourth].map((peer) => statuses(peer.received())), [[200], [200]]);
    assert.equal(undecided[0].serverSide, "closed", "it has had the most time to say something");
    const beyond = await send(connect("10.0.0.5"), get());
    assert.deepEqual(statuses(beyond.received()), [503], "the others have said something");
  });
});

/** Notes what it is told, in words. */
class Notebook implements Observer {
  readonly notes: string[] = [];

  connectionOpened(): void {
    this.notes.push("opened");
  }

  connectionClosed(): void {
    this.notes.push("closed");
  }

  requestBegun(exchange: Parameters<Observer["requestBegun"]>[0]): void {
    this.notes.push(`${exchange.method} ${exchange.head.pathAndQuery}`);
  }

  responseEnded(
    exchange: Parameters<Observer["responseEnded"]>[0],
    _isWhole: boolean,
    status: number,
    contentBytes: number,
    beganAtMs: number,
    nowMs: number,
  ): void {
    this.notes.push(`${status}, ${contentBytes} bytes, ${nowMs - beganAtMs} ms, ${exchange.progress}`);
  }

  requestRefused(_connection: unknown, error: TrivetError, contentBytes: number, nowMs: number): void {
    this.notes.push(`${error.code}, ${contentBytes} bytes, at ${nowMs} ms`);
  }
}

describe("an observer", () => {
  const cases: readonly (readonly [name: string, Handler, request: string, note: string])[] = [
    ["text", hello, get(), "200, 5 bytes, 0 ms, complete"],
    ["text that is not ASCII", () => new HttpResponse("grün"), get(), "200, 5 bytes, 0 ms, complete"],
    ["bytes", () => new HttpResponse(new Uint8Array(300)), get(), "200, 300 bytes, 0 ms, complete"],
    ["a head alone", () => new HttpResponse("hello"), get().replace("GET", "HEAD"), "200, 0 bytes, 0 ms, complete"],
    ["no content", () => new HttpResponse(null, { status: 204 }), get(), "204, 0 bytes, 0 ms, complete"],
    ["a stream", () => new Response(new Blob(["hello"]).stream()), get(), "200, 5 bytes, 0 ms, complete"],
    ["an error of the handler", () => Promise.reject(new Error("no")), get(), "500, 22 bytes, 0 ms, complete"],
  ];
  for (const [name, handler, request, note] of cases) {
    test(`is told of ${name}`, async () => {
      const observer = new Notebook();
      const { connect, send } = await start(handler, { observer });
      await send(connect(), request);
      assert.deepEqual(observer.notes, ["opened", `${request.split(" ")[0]} /`, note]);
    });
  }

  test("is told how long each took, on one connection after another", async () => {
    const observer = new Notebook();
    const gate = createGate();
    const { connect, send, clock } = await start(async () => {
      await gate.opened;
      return text("hello");
    }, { observer });
    const peer = await send(connect(), post("/a", 3, "abc"));
    await clock.advance(250);
    gate.open();
    await clock.settle();
    await send(peer, get("/b?c"));
    peer.end();
    await clock.settle();
    assert.deepEqual(observer.notes, [
      "opened",
      "POST /a",
      "200, 5 bytes, 250 ms, complete",
      "GET /b?c",
      "200, 5 bytes, 0 ms, complete",
      "closed",
    ]);
  });

  test("is told of an exchange that its client has left, before the connection is closed", async () => {
    const observer = new Notebook();
    const { connect, send, clock } = await start(() => new Promise(() => {}), { observer });
    const peer = await send(connect(), get());
    peer.reset();
    await clock.settle();
    assert.deepEqual(observer.notes, ["opened", "GET /", "0, 0 bytes, 0 ms, aborted", "closed"]);
  });

  test("is told of a stream that was cut off what was sent of it", async () => {
    const observer = new Notebook();
    const stream = new ReadableStream({
      start: (controller) => controller.enqueue(new TextEncoder().encode("hello")),
    });
    const { connect, send, clock } = await start(() => new Response(stream), { observer });
    const peer = await send(connect(), get());
    peer.reset();
    await clock.settle();
    assert.deepEqual(observer.notes, ["opened", "GET /", "200, 5 bytes, 0 ms, aborted", "closed"]);
  });

  const refusals: readonly (readonly [name: string, request: string, ServeOptions, note: string])[] = [
    ["what is no request", "nonsense\r\n\r\n", {}, "request-line-invalid, 64 bytes, at 0 ms"],
    ["a connection beyond a limit", get(), { maxConnections: 1 }, "connection-limit, 48 bytes, at 0 ms"],
  ];
  for (const [name, request, options, note] of refusals) {
    test(`is told of ${name} without an exchange`, async () => {
      const observer = new Notebook();
      const { connect, send, clock } = await start(hello, { observer }, options);
      if (options.maxConnections === 1) connect();
      await clock.settle();
      observer.notes.length = 0;
      await send(connect(), request);
      assert.deepEqual(observer.notes, ["opened", note]);
    });
  }
});
