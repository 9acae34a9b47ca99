/** From where to where a connection goes: whatever it was doing, it can begin the next request, and it can end. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Handler } from "../../../src/api/handler.ts";
import { HttpResponse } from "../../../src/web/http_response.ts";
import { get, post, startMemoryServer, statuses } from "../../support/memory_server.ts";
import type { MemoryPeer } from "../../support/memory_runtime.ts";

/** More than a peer takes that does not read. */
const BIG = new Uint8Array(300_000).fill(0x2e);

const handler: Handler = async (request, info) => {
  switch (new URL(request.url).pathname) {
    case "/big":
      return new HttpResponse(BIG);
    case "/silent":
      return new Response(new ReadableStream());
    case "/never":
      return await new Promise<Response>(() => {});
    case "/raw":
      return info.upgrade("raw").response;
    case "/unread":
      return new HttpResponse("unread");
    case "/read-behind":
      request.text().catch(() => {});
      return new HttpResponse("read behind");
  }
  return new HttpResponse(await request.text());
};

/** What is done, so that the next request is begun from a certain state. */
interface Beginning {
  readonly name: string;
  /** Responses that come before that of the request. */
  readonly before: readonly number[];
  begin(peer: MemoryPeer, request: string): Promise<void>;
}

/** A turn of the event loop, in which nothing happens that waits for the end of the server's turn. */
const nextTurn = () => new Promise<void>((resolve) => setImmediate(resolve));

const BEGINNINGS: readonly Beginning[] = [
  {
    name: "the first",
    before: [],
    begin: (peer, request) => Promise.resolve(peer.send(request)),
  },
  {
    name: "one whose head comes in two pieces",
    before: [],
    async begin(peer, request) {
      peer.send(request.slice(0, 9));
      await nextTurn();
      peer.send(request.slice(9));
    },
  },
  {
    name: "one on an idle connection",
    before: [200],
    async begin(peer, request) {
      peer.send(get("/unread"));
      await nextTurn();
      await nextTurn();
      peer.send(request);
    },
  },
  {
    name: "one behind a response that the peer takes late",
    before: [200],
    async begin(peer, request) {
      peer.stopReading();
      peer.send(get("/big") + request);
      await nextTurn();
      await nextTurn();
      peer.read();
    },
  },
];

/** A request, the rest of it, and what comes back. */
const REQUESTS: readonly { name: string; head: string; rest: string; statuses: number[]; ends: string }[] = [
  { name: "without content", head: get("/echo"), rest: "", statuses: [200], ends: "\r\n\r\n" },
  {
    name: "whose content comes later",
    head: post("/echo", 4, "ab"),
    rest: "cd",
    statuses: [200],
    ends: "\r\n\r\nabcd",
  },
  {
    name: "that expects 100 (Continue)",
    head: post("/echo", 4, "", "Expect: 100-continue"),
    rest: "abcd",
    statuses: [100, 200],
    ends: "\r\n\r\nabcd",
  },
  {
    name: "whose head is cut in two",
    head: get("/echo").slice(0, -4),
    rest: "\r\n\r\n",
    statuses: [200],
    ends: "\r\n\r\n",
  },
  { name: "that is malformed", head: "GET / HTTP/x\r\n\r\n", rest: "", statuses: [400], ends: "" },
];

describe("a request is served whatever the connection did before", () => {
  for (const { name: beginning, before, begin } of BEGINNINGS) {
    for (const { name, head, rest, statuses: expected, ends } of REQUESTS) {
      test(`${beginning}, ${name}`, async () => {
        const { connect, clock, server } = await startMemoryServer(handler);
        const peer = connect();
        await begin(peer, head);
        await clock.settle();
        peer.send(rest);
        await clock.settle();
        assert.deepEqual(statuses(peer.received()), [...before, ...expected]);
        assert.ok(peer.received().endsWith(ends), peer.received().slice(-200));
        peer.end();
        await clock.settle();
        assert.equal(server.stats().connections.open, 0);
      });
    }
  }
});

/** What a connection is in the middle of. */
const PHASES: readonly { name: string; send: string; stopsReading?: boolean; staysInTurn?: boolean }[] = [
  { name: "it has not sent anything", send: "" },
  { name: "it has sent half a head", send: get().slice(0, 9) },
  { name: "its handler waits", send: get("/never") },
  { name: "it is to send content behind 100 (Continue)", send: post("/never", 4, "", "Expect: 100-continue") },
  { name: "it has sent half of the content that is read", send: post("/echo", 4, "ab") },
  { name: "it has sent half of the content that is not read", send: post("/never", 4, "ab") },
  { name: "the rest of its content is skipped", send: post("/unread", 4, "ab") },
  { name: "its content is read behind the response", send: post("/read-behind", 4, "ab") },
  { name: "its stream was just begun", send: get("/silent"), staysInTurn: true },
  { name: "its stream is silent", send: get("/silent") },
  { name: "it does not take a response", send: get("/big"), stopsReading: true },
  { name: "it does not take a response, and has sent another request", send: get("/big") + get(), stopsReading: true },
  { name: "it is idle", send: get("/unread") },
  { name: "it has left HTTP", send: get("/raw", "Connection: upgrade", "Upgrade: raw") },
  { name: "it is to read the error of a bad request", send: "GET / HTTP/x\r\n\r\n" },
  { name: "it does not take the last response", send: get("/big", "Connection: close"), stopsReading: true },
];

describe("a connection is released at once, and nothing is left", () => {
  for (const { name, send, stopsReading, staysInTurn } of PHASES) {
    for (const ending of ["its peer resets it", "the server is stopped"] as const) {
      test(`when ${ending} and ${name}`, async () => {
        const { connect, clock, server } = await startMemoryServer(handler);
        const peer = connect();
        if (stopsReading) peer.stopReading();
        peer.send(send);
        await (staysInTurn ? nextTurn() : clock.settle());
        assert.equal(server.stats().connections.open, 1);
        if (ending === "its peer resets it") peer.reset();
        else server.stop();
        await clock.settle();
        const { connections, activeExchanges } = server.stats();
        assert.deepEqual([peer.serverSide, connections.open, activeExchanges], ["closed", 0, 0]);
        await server.stop();
        assert.equal(clock.pendingCount, 0);
      });
    }
  }
});

test("a connection that leaves before it could be told that it is refused is released", async () => {
  const { connect, clock, server } = await startMemoryServer(handler, { maxConnections: 1 });
  const first = connect();
  first.send(get("/never"));
  await clock.settle();
  const second = connect();
  await clock.settle();
  assert.equal(second.received(), "");
  second.reset();
  await clock.settle();
  assert.deepEqual(server.stats().connections, { open: 1, accepted: 2, refused: 1 });
});
