/**
 * A WebSocket whose bytes are the connection's own, on the event loop, and one whose bytes come and go as streams, on a
 * thread: neither its client nor its handler can tell them apart.
 */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Handler } from "../../src/api/handler.ts";
import type { ServerWebSocket, WebSocketOptions } from "../../src/api/websocket.ts";
import type { MemoryPeer } from "../support/memory_runtime.ts";
import { type MemoryServer, startMemoryServer } from "../support/memory_server.ts";
import { startThreadServer } from "../support/thread_server.ts";
import { closePayload, frame } from "../support/websocket_frames.ts";
import { framesOf, webSocketRequest } from "../support/websocket_wire.ts";

const PLACES: Readonly<Record<string, (handler: Handler) => Promise<MemoryServer>>> = {
  "on the event loop": startMemoryServer,
  "on a thread": (handler) =>
    startThreadServer((request, _place, info) => handler(request, info), { model: "hybrid", threads: 1 }),
};

/** More than waits anywhere on the way to a client that does not read, and more than one write. */
const LONG = 2_000_000;
const text = (payload: string): Uint8Array => frame({ opcode: 1, payload });
const close = (code: number): Uint8Array => frame({ opcode: 8, payload: closePayload(code) });

/** A WebSocket, its client, and what its handler was told. */
interface Stage extends MemoryServer {
  readonly peer: MemoryPeer;
  readonly socket: ServerWebSocket;
  readonly told: string[];
  /** What the client has, each frame as its opcode and the length of its payload. */
  got(): (readonly [opcode: number, bytes: number])[];
}

for (const [place, start] of Object.entries(PLACES)) {
  const stage = async (options?: WebSocketOptions, use?: (socket: ServerWebSocket) => void): Promise<Stage> => {
    const told: string[] = [];
    let socket!: ServerWebSocket;
    const memory = await start((_request, info) => {
      const upgrade = info.upgradeWebSocket(options);
      socket = upgrade.socket;
      if (use === undefined) socket.onmessage = ({ data }) => told.push(data);
      else use(socket);
      socket.onerror = ({ error }) => told.push(error.code!);
      socket.onclose = ({ code, wasClean }) => told.push(`close ${code} ${wasClean}`);
      return upgrade.response;
    });
    const peer = await memory.send(webSocketRequest());
    for (let turn = 0; turn < 100 && socket?.readyState !== 1; turn++) await memory.clock.settle();
    const got = (): (readonly [number, number])[] =>
      framesOf(peer.received()).map(({ opcode, payload }) => [opcode, payload.byteLength] as const);
    return { ...memory, peer, socket, told, got };
  };
  /** Lets what goes from stream to stream go on. */
  const settle = async ({ clock }: MemoryServer): Promise<void> => {
    for (let turn = 0; turn < 20; turn++) await clock.settle();
  };

  describe(`a WebSocket ${place}`, () => {
    test("gets and sends long messages whole", async () => {
      const staged = await stage(undefined, (socket) => {
        socket.binaryType = "arraybuffer";
        socket.onmessage = ({ data }) => socket.send(data);
      });
      const payload = Uint8Array.from({ length: 300_000 }, (_, i) => i % 251);
      staged.peer.send(frame({ opcode: 2, payload }));
      await settle(staged);
      const [echoed] = framesOf(staged.peer.received());
      assert.deepEqual(echoed.payload, payload);
    });

    test("sends all of it to a client that has closed and sent FIN before it reads", async () => {
      const staged = await stage();
      const { peer, socket, told, got } = staged;
      peer.stopReading();
      socket.send(new Uint8Array(LONG));
      await settle(staged);
      peer.send(close(4001));
      peer.end();
      await settle(staged);
      assert.equal(peer.serverSide, "open");
      peer.read();
      await settle(staged);
      assert.deepEqual(got(), [[2, LONG], [8, 2]]);
      assert.deepEqual([peer.serverSide, told], ["closed", ["close 4001 true"]]);
    });

    test("ends its side behind the Close of its client, and waits for the client's end", async () => {
      const staged = await stage();
      const { peer, server, told, got } = staged;
      peer.send(text("last"));
      peer.send(close(4001));
      await settle(staged);
      assert.deepEqual([peer.serverSide, got()], ["ended", [[8, 2]]]);
      peer.end();
      await settle(staged);
      assert.deepEqual([peer.serverSide, told], ["closed", ["last", "close 4001 true"]]);
      assert.equal(server.stats().webSockets.open, 0);
    });

    test("is closed behind its Close, where its client does not end", async () => {
      const { peer, clock, server } = await stage();
      peer.send(close(1000));
      await clock.advance(10_000);
      assert.deepEqual([peer.serverSide, server.stats().connections.open], ["closed", 0]);
    });

    test("holds writes up while its client does not read, and sends them in order when it does", async () => {
      const staged = await stage();
      const { peer, socket, got } = staged;
      peer.stopReading();
      const writer = socket.writable.getWriter();
      let written = 0;
      for (let i = 0; i < 40; i++) writer.write(new Uint8Array(100_000 + i)).then(() => written++);
      await settle(staged);
      assert.ok(written < 20, `${written} are done`);
      peer.read();
      for (let turn = 0; turn < 20; turn++) await settle(staged);
      assert.deepEqual([written, got()], [40, Array.from({ length: 40 }, (_, i) => [2, 100_000 + i])]);
    });

    test("does not read a client whose messages are not read, until they are", async () => {
      let readable!: ReadableStream<string | Uint8Array>;
      const staged = await stage(undefined, (socket) => void (readable = socket.readable));
      const { peer } = staged;
      for (let i = 0; i < 40; i++) {
        peer.send(text("x".repeat(100_000 + i)));
        await settle(staged);
      }
      assert.ok(peer.isPausedByServer);
      const lengths: number[] = [];
      void readable.pipeTo(new WritableStream({ write: ({ length }) => void lengths.push(length) }));
      for (let turn = 0; turn < 20; turn++) await settle(staged);
      assert.deepEqual(lengths, Array.from({ length: 40 }, (_, i) => 100_000 + i));
      assert.ok(!peer.isPausedByServer);
    });

    test("loses a client for which more waits than may, with a write that waits", async () => {
      const staged = await stage({ maxBufferedAmount: 100_000 });
      const { peer, socket, told } = staged;
      peer.stopReading();
      const write = socket.writable.getWriter().write(new Uint8Array(LONG));
      write.catch(({ code }) => told.push(`write: ${code}`));
      await settle(staged);
      socket.send("one more");
      await settle(staged);
      assert.deepEqual(told, ["websocket-backlog", "close 1006 false", "write: websocket-backlog"]);
      assert.equal(peer.serverSide, "closed");
    });

    for (const [what, leave] of Object.entries({ reset: "reset", end: "end" } as const)) {
      test(`is told of a client that leaves without a Close: ${what}`, async () => {
        const staged = await stage();
        const { peer, server, told } = staged;
        peer.send(text("last"));
        await settle(staged);
        peer[leave]();
        await settle(staged);
        assert.deepEqual(told, ["last", "close 1006 false"]);
        assert.deepEqual([peer.serverSide, server.stats().connections.open], ["closed", 0]);
      });
    }

    test("tells a client that breaks the rules, and reads it no further", async () => {
      const staged = await stage();
      const { peer, told } = staged;
      peer.send(frame({ opcode: 1, payload: "not masked", key: null }));
      peer.send(text("behind it"));
      await settle(staged);
      assert.equal(framesOf(peer.received()).at(-1)?.opcode, 8);
      peer.end();
      await settle(staged);
      assert.deepEqual([peer.serverSide, told], ["closed", ["websocket-violation", "close 1006 false"]]);
    });
  });
}
