/**
 * The end of a WebSocket in every phase of its life: whatever it was doing when its client left or the server stopped,
 * its handler is told once, what it waited for settles, and nothing of it is left.
 */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import zlib from "node:zlib";
import type { ServerWebSocket, WebSocketOptions } from "../../src/api/websocket.ts";
import { createCountingRuntime } from "../support/counting_runtime.ts";
import type { Deflate } from "../../src/runtime.ts";
import { createMemoryRuntime, type MemoryPeer } from "../support/memory_runtime.ts";
import { createGate, createMemoryServer, type Gate, type MemoryServer } from "../support/memory_server.ts";
import { closePayload, frame } from "../support/websocket_frames.ts";
import { webSocketRequest } from "../support/websocket_wire.ts";

/** What a phase is made of. */
interface Stage {
  readonly peer: MemoryPeer;
  readonly memory: MemoryServer;
  /** The socket, once the handler has made it. */
  readonly socket: ServerWebSocket;
  /** Streams of zlib end when it is opened, and Blobs are read. */
  readonly gate: Gate;
  /** Promises that have to settle, by what they are. */
  readonly pending: Map<string, Promise<unknown>>;
}

interface Phase {
  readonly name: string;
  readonly options?: WebSocketOptions;
  /** What the handler does before it gives its response. */
  readonly prepare?: (stage: Stage) => void | Promise<void>;
  /** What leads into the phase, once the handshake was sent. */
  readonly enter: (stage: Stage) => void | Promise<void>;
  /** The end of a client that sends FIN is not seen, since it is not read. */
  readonly isNotRead?: true;
  /** How the socket is closed, where the client has closed it before. */
  readonly closedAs?: string;
  /** Everything was said: a server that stops waits for nothing of it. */
  readonly isOver?: true;
}

const LOST = "close 1006 false";
const COMPRESSED: WebSocketOptions = { compress: { contextTakeover: true, threshold: 0 } };
const text = (payload: string): Uint8Array => frame({ opcode: 1, payload });
const deflated = (payload: string): Uint8Array => {
  const bytes = zlib.deflateRawSync(payload, { finishFlush: zlib.constants.Z_SYNC_FLUSH });
  return frame({ opcode: 1, rsv: 4, payload: new Uint8Array(bytes.subarray(0, -4)) });
};

function gatedBlob(gate: Gate): Blob {
  const blob = new Blob(["blob"]);
  blob.arrayBuffer = () => gate.opened.then(() => new ArrayBuffer(4));
  return blob;
}

const PHASES: readonly Phase[] = [
  {
    name: "its handler waits before it answers",
    prepare: ({ gate }) => gate.opened,
    enter: () => {},
  },
  { name: "its 101 was just sent", enter: () => {} },
  { name: "it is open, before the first message", enter: ({ memory }) => memory.clock.settle() },
  {
    name: "the head of a frame has come in part",
    enter: ({ peer }) => peer.send(frame({ opcode: 2, payload: new Uint8Array(70_000) }).subarray(0, 7)),
  },
  {
    name: "the payload of a frame has come in part",
    enter: ({ peer }) => peer.send(frame({ opcode: 2, payload: new Uint8Array(70_000) }).subarray(0, 50_000)),
  },
  {
    name: "a message has come in part, with half a Ping in between",
    enter: ({ peer }) => {
      peer.send(frame({ opcode: 1, payload: "first", fin: false }));
      peer.send(frame({ opcode: 9, payload: "ping" }).subarray(0, 8));
    },
  },
  {
    name: "a message is decompressed, and more wait behind it",
    options: COMPRESSED,
    enter: ({ peer }) => {
      peer.send(deflated("one"));
      peer.send(deflated("two"));
    },
  },
  {
    name: "a message is compressed, and more wait behind it",
    options: COMPRESSED,
    enter: async ({ memory, socket, pending }) => {
      await memory.clock.settle();
      pending.set("a write", socket.writable.getWriter().write("zero"));
      for (const message of ["one", "two"]) socket.send(message);
      socket.send(new Blob(["three"]));
    },
  },
  {
    name: "a message is compressed, and its Close waits behind it",
    options: COMPRESSED,
    enter: async ({ memory, socket }) => {
      await memory.clock.settle();
      socket.send("one");
      socket.close(4000);
    },
  },
  {
    name: "a message is compressed, and the client's Close is to be answered behind it",
    options: COMPRESSED,
    enter: async ({ memory, socket, peer }) => {
      await memory.clock.settle();
      socket.send("one");
      peer.send(frame({ opcode: 8, payload: closePayload(4001) }));
    },
    closedAs: "close 4001 true",
  },
  {
    name: "a Blob is read, and more waits behind it",
    enter: async ({ memory, socket, gate }) => {
      await memory.clock.settle();
      socket.send(gatedBlob(gate));
      socket.send("behind");
    },
  },
  {
    name: "sends are queued for a client that does not read",
    enter: async ({ memory, peer, socket, pending }) => {
      await memory.clock.settle();
      peer.stopReading();
      pending.set("a write", socket.writable.getWriter().write(new Uint8Array(300_000)));
      for (let i = 0; i < 100; i++) socket.send("x".repeat(1_000));
    },
  },
  {
    name: "more waits for a client that does not read than is taken of it",
    enter: async ({ memory, peer, socket }) => {
      await memory.clock.settle();
      peer.stopReading();
      socket.send(new Uint8Array(2_000_000));
      peer.send(text("not read"));
    },
    isNotRead: true,
  },
  {
    name: "the client's answer to its Close is awaited",
    enter: async ({ memory, socket }) => {
      await memory.clock.settle();
      socket.close(4000);
    },
  },
  {
    name: "its Close waits for a client that does not read",
    enter: async ({ memory, socket, peer }) => {
      await memory.clock.settle();
      peer.stopReading();
      socket.send(new Uint8Array(300_000));
      socket.close(4000);
    },
  },
  {
    name: "both have closed, and the client's FIN is awaited",
    enter: ({ peer }) => peer.send(frame({ opcode: 8, payload: closePayload(4001) })),
    closedAs: "close 4001 true",
    isOver: true,
  },
  {
    name: "a loop waits for a message",
    prepare: ({ socket, pending }) => {
      pending.set(
        "a loop",
        (async () => {
          for await (const _message of socket);
        })(),
      );
    },
    enter: ({ peer }) => peer.send(text("one")),
  },
  {
    name: "a loop is in the middle of a message, and the client is not read",
    prepare: ({ socket, gate, pending }) => {
      pending.set(
        "a loop",
        (async () => {
          for await (const _message of socket) await gate.opened;
        })(),
      );
    },
    enter: async ({ memory, peer }) => {
      for (let i = 0; i < 40; i++) peer.send(text(`${i} ${"x".repeat(10_000)}`));
      await memory.clock.settle();
      assert.ok(peer.isPausedByServer);
    },
    isNotRead: true,
  },
  {
    name: "a read of its stream waits, and a write before it has opened",
    prepare: ({ socket, pending }) => {
      pending.set("a read", socket.readable.getReader().read());
      pending.set("a write", socket.writable.getWriter().write("early"));
    },
    enter: () => {},
  },
  {
    name: "nothing is written to its stream",
    prepare: ({ socket, pending }) => void pending.set("the stream's end", socket.writable.getWriter().closed),
    enter: () => {},
  },
];

interface End {
  readonly name: string;
  readonly sendsFin?: true;
  readonly bring: (stage: Stage, phase: Phase) => void | Promise<void>;
}

const ENDS: readonly End[] = [
  { name: "its client resets the connection", bring: ({ peer }) => peer.reset() },
  { name: "its client ends the connection without a Close", sendsFin: true, bring: ({ peer }) => peer.end() },
  {
    name: "the server stops, and its deadline passes",
    bring: async ({ memory }, { isOver = false }) => {
      const stopped = memory.server.shutdown({ timeout: 1_000 });
      await memory.clock.advance(2_000);
      const { drained, aborted } = await stopped;
      assert.deepEqual({ drained, aborted }, isOver ? { drained: 1, aborted: 0 } : { drained: 0, aborted: 1 });
    },
  },
];

async function play(phase: Phase, end: End): Promise<void> {
  const gate = createGate();
  const { runtime, counts } = createCountingRuntime(gate);
  const pending = new Map<string, Promise<unknown>>();
  const log: string[] = [];
  const rejections: unknown[] = [];
  let socket!: ServerWebSocket;
  const memory = createMemoryServer(runtime, {}, async (_request, info) => {
    const upgrade = info.upgradeWebSocket(phase.options);
    socket = upgrade.socket;
    socket.subscribe("topic");
    socket.onerror = ({ error }) => log.push(`error ${error.code}`);
    socket.onclose = ({ code, wasClean }) => {
      log.push(`close ${code} ${wasClean}`);
      assert.equal(socket.readyState, 3);
    };
    pending.set("closed", socket.closed);
    await phase.prepare?.({ peer, memory, socket, gate, pending });
    return upgrade.response;
  });
  await memory.server.ready();
  const peer = memory.connect();
  peer.send(webSocketRequest("/", "Sec-WebSocket-Extensions: permessage-deflate"));
  for (let turns = 0; socket === undefined; turns++) {
    assert.ok(turns < 1_000, "the handler was called");
    await Promise.resolve();
  }
  const stage: Stage = { peer, memory, socket, gate, pending };
  await phase.enter(stage);
  // Bytes come an event after the other, and none of these needs a turn of the event loop.
  for (let turns = 0; turns < 50; turns++) await Promise.resolve();
  for (const promise of pending.values()) promise.catch((error) => rejections.push(error));
  await end.bring(stage, phase);
  if (end.sendsFin && phase.isNotRead) {
    await memory.clock.settle();
    assert.deepEqual(log, [], "its end stands behind what is not read");
    peer.read();
    gate.open();
  }
  await memory.clock.settle();
  // What was at work goes on, and finds nothing more to do.
  gate.open();
  // Streams of zlib work on threads of the runtime: time does not have to pass, but turns of the event loop do.
  for (let turns = 0; turns < 5 || log.length === 0 && turns < 2_000; turns++) {
    await memory.clock.settle();
    if (turns > 20) await new Promise((resolve) => setTimeout(resolve, 1));
  }
  assert.deepEqual(log, [phase.closedAs ?? LOST]);
  const stats = memory.server.stats();
  assert.deepEqual(
    [stats.webSockets.open, stats.connections.open, stats.activeExchanges, socket.bufferedAmount],
    [0, 0, 0, 0],
  );
  assert.equal(counts.openStreams, 0, "every stream of zlib is closed");
  const encoded = counts.encoded;
  memory.server.publish("topic", "who is there?");
  assert.equal(counts.encoded, encoded, "its topic has no subscriber");
  for (const [name, promise] of pending) {
    const settled = await Promise.race([promise.then(() => true, () => true), memory.clock.settle().then(() => false)]);
    assert.ok(settled, `${name} is settled`);
  }
  for (const error of rejections) assert.equal((error as { code?: unknown }).code, "peer-disconnected");
  assert.deepEqual(memory.reported, []);
  await memory.server.shutdown();
  await memory.clock.advance(1_000);
  assert.equal(memory.clock.pendingCount, 0, "no timer is left");
}

for (const end of ENDS) {
  describe(`${end.name} while`, () => {
    for (const phase of PHASES) {
      test(phase.name, () => play(phase, end));
    }
  });
}

test("a message that can't be compressed closes the WebSocket with 1011, and nothing behind it is sent", async () => {
  const runtime = createMemoryRuntime();
  const { deflate } = runtime;
  const failing: Deflate = {
    ...deflate,
    createCompressor: () => ({
      run: (_bytes, _onPiece, onDone) => queueMicrotask(() => onDone(new Error("It has no memory."))),
      close: () => {},
    }),
  };
  const log: string[] = [];
  const memory = createMemoryServer({ ...runtime, deflate: failing }, {}, (_request, info) => {
    const { socket, response } = info.upgradeWebSocket({ compress: { contextTakeover: true } });
    socket.onopen = () => {
      socket.send("long enough to be compressed ".repeat(100));
      socket.send("behind it");
    };
    socket.onerror = ({ error }) => log.push(`error ${error.code}`);
    socket.onclose = ({ code, wasClean }) => log.push(`close ${code} ${wasClean}`);
    return response;
  });
  await memory.server.ready();
  const peer = memory.connect();
  peer.send(webSocketRequest("/", "Sec-WebSocket-Extensions: permessage-deflate"));
  await memory.clock.settle();
  const received = peer.received();
  assert.equal(received.slice(received.indexOf("\r\n\r\n") + 4), "\x88\x02\x03\xf3");
  peer.send(frame({ opcode: 8, payload: closePayload(1011) }));
  peer.end();
  await memory.clock.settle();
  assert.deepEqual(log, ["error handler-failed", "close 1011 true"]);
  assert.deepEqual(memory.server.stats().webSockets.open, 0);
});
