/** A server that stops while messages are compressed, decompressed, read or not taken: what was sent comes before 1001. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import zlib from "node:zlib";
import type { ServerWebSocket, WebSocketOptions } from "../../src/api/websocket.ts";
import { createCountingRuntime } from "../support/counting_runtime.ts";
import type { MemoryPeer } from "../support/memory_runtime.ts";
import { createGate, createMemoryServer, type Gate } from "../support/memory_server.ts";
import { closePayload, frame } from "../support/websocket_frames.ts";
import { framesOf, inflateNext, webSocketRequest } from "../support/websocket_wire.ts";

/** More than compress at a time. */
const CLIENTS = 25;
const TAKES_OVER: WebSocketOptions = { compress: { contextTakeover: true, threshold: 0 } };
const STANDS_ALONE: WebSocketOptions = { compress: { threshold: 0 } };
const SYNC = { finishFlush: zlib.constants.Z_SYNC_FLUSH };
/** Beyond what is compressed at once. */
const LONG = "again and ".repeat(4_000);

interface Client {
  readonly peer: MemoryPeer;
  readonly socket: ServerWebSocket;
}

async function start(options: WebSocketOptions) {
  const gate: Gate = createGate();
  const { runtime, counts } = createCountingRuntime(gate);
  const got: string[] = [];
  let last!: ServerWebSocket;
  const memory = createMemoryServer(runtime, {}, (_request, info) => {
    const { response, socket } = info.upgradeWebSocket(options);
    socket.onmessage = ({ data }) => got.push(data);
    last = socket;
    return response;
  });
  await memory.server.ready();
  const clients: Client[] = [];
  for (let i = 0; i < CLIENTS; i++) {
    const peer = await memory.send(webSocketRequest("/", "Sec-WebSocket-Extensions: permessage-deflate"));
    clients.push({ peer, socket: last });
  }
  return { ...memory, gate, counts, clients, got };
}

/** What came until the Close, and that; messages of clients that take over refer to those before. */
async function shown(peer: MemoryPeer): Promise<string[]> {
  const inflater = zlib.createInflateRaw();
  const all: string[] = [];
  for (const { opcode, rsv, payload } of framesOf(peer.received())) {
    if (opcode === 8) all.push(`close ${payload[0] * 256 + payload[1]}`);
    else all.push(new TextDecoder().decode(rsv === 0 ? payload : await inflateNext(inflater, payload)));
  }
  inflater.close();
  return all;
}

/** Whether a Close came, which is the last frame. */
function hasClose(peer: MemoryPeer): boolean {
  return framesOf(peer.received()).at(-1)?.opcode === 8;
}

/** Streams of zlib work on threads of the runtime. */
async function until(settle: () => Promise<void>, check: () => boolean): Promise<void> {
  for (let turns = 0; turns < 2_000 && !check(); turns++) {
    await settle();
    if (turns > 20) await new Promise((resolve) => setTimeout(resolve, 1));
  }
}

interface Sending {
  readonly name: string;
  readonly options: WebSocketOptions;
  /** Sends, and says what has to come. */
  readonly send: (client: Client, gate: Gate) => readonly string[];
}

const SENDINGS: readonly Sending[] = [
  {
    name: "messages that refer to those before",
    options: TAKES_OVER,
    send: ({ socket }) => {
      const messages = ["one", LONG, "two", LONG.toUpperCase()];
      for (const message of messages) socket.send(message);
      return messages;
    },
  },
  {
    name: "messages that stand alone",
    options: STANDS_ALONE,
    send: ({ socket }) => {
      const messages = ["one", LONG, "two"];
      for (const message of messages) socket.send(message);
      return messages;
    },
  },
  {
    name: "a Blob that is being read, and what is behind it",
    options: {},
    send: ({ socket }, gate) => {
      const blob = new Blob(["a blob"]);
      const arrayBuffer = (): Promise<ArrayBuffer> => gate.opened.then(() => Blob.prototype.arrayBuffer.call(blob));
      socket.send(Object.assign(blob, { arrayBuffer }));
      socket.send("behind");
      return ["a blob", "behind"];
    },
  },
  {
    name: "what a client does not take yet",
    options: {},
    send: ({ socket, peer }, gate) => {
      peer.stopReading();
      gate.opened.then(() => peer.read());
      socket.send("x".repeat(100_000));
      socket.send("behind");
      return ["x".repeat(100_000), "behind"];
    },
  },
];

describe("a server that stops sends first", () => {
  for (const { name, options, send } of SENDINGS) {
    test(`${name}, then 1001, and waits`, async () => {
      const { server, clock, gate, counts, clients } = await start(options);
      const expected = clients.map((client) => [...send(client, gate), "close 1001"]);
      const stopped = server.shutdown({ timeout: 30_000 });
      await clock.settle();
      for (const { socket, peer } of clients) {
        assert.equal(socket.readyState, 2);
        assert.ok(!hasClose(peer));
        socket.send("too late");
      }
      gate.open();
      await until(() => clock.settle(), () => clients.every(({ peer }) => hasClose(peer)));
      assert.deepEqual(await Promise.all(clients.map(({ peer }) => shown(peer))), expected);
      for (const { peer } of clients) {
        peer.send(frame({ opcode: 8, payload: closePayload(1001) }));
        peer.end();
      }
      await clock.settle();
      const { drained, aborted } = await stopped;
      assert.deepEqual({ drained, aborted }, { drained: CLIENTS, aborted: 0 });
      assert.equal(counts.openStreams, 0);
    });

    test(`${name}, unless its deadline passes: those connections are cut off and counted`, async () => {
      const { server, clock, gate, counts, clients } = await start(options);
      const closes: string[] = [];
      for (const client of clients) {
        client.socket.onclose = ({ code, wasClean }) => closes.push(`${code} ${wasClean}`);
        send(client, gate);
      }
      const stopped = server.shutdown({ timeout: 3_000 });
      await clock.advance(2_900);
      assert.deepEqual(closes, []);
      await clock.advance(200);
      const { drained, aborted } = await stopped;
      assert.deepEqual({ drained, aborted }, { drained: 0, aborted: CLIENTS });
      assert.deepEqual(closes, Array(CLIENTS).fill("1006 false"));
      assert.deepEqual([server.stats().webSockets.open, server.stats().connections.open], [0, 0]);
      assert.equal(counts.openStreams, 0);
      gate.open();
      await clock.settle();
    });
  }
});

test("a server that stops hears the client's Close behind a message that is decompressed", async () => {
  const { server, clock, gate, counts, clients, got } = await start(TAKES_OVER);
  const payload = new Uint8Array(zlib.deflateRawSync("message", SYNC).subarray(0, -4));
  for (const { peer } of clients) peer.send(frame({ opcode: 1, rsv: 4, payload }));
  const stopped = server.shutdown({ timeout: 30_000 });
  await clock.settle();
  for (const { peer } of clients) {
    assert.deepEqual(await shown(peer), ["close 1001"], "nothing was to be sent before it");
    peer.send(frame({ opcode: 8, payload: closePayload(1001) }));
  }
  await clock.settle();
  assert.ok(clients.every(({ peer }) => peer.serverSide === "open"));
  gate.open();
  await until(() => clock.settle(), () => clients.every(({ peer }) => peer.serverSide === "ended"));
  for (const { peer } of clients) peer.end();
  await clock.settle();
  assert.deepEqual((await stopped).aborted, 0);
  assert.deepEqual(got, [], "a handler gets nothing behind its own Close (RFC 6455 section 1.4)");
  assert.equal(counts.openStreams, 0);
});
