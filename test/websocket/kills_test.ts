/**
 * WebSockets over TCP that are killed in every phase of their life, by a reset of their client or with the thread of
 * their handler: nothing of them is left, descriptors included.
 */

import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { after, before, describe, test } from "node:test";
import zlib from "node:zlib";
import type { TrivetError } from "../../src/api/errors.ts";
import type { Server } from "../../src/api/server.ts";
import { serveUnder, TESTED_MODELS, type TestedModel } from "../fixtures/models/tested_models.ts";
import { fetch } from "../fixtures/websocket_phases.ts";
import { connectRaw, type RawClient } from "../support/raw_client.ts";
import { closePayload, concat, frame } from "../support/websocket_frames.ts";
import { webSocketRequest } from "../support/websocket_wire.ts";

const HANDLER = { fetch, module: new URL("../fixtures/websocket_phases.ts", import.meta.url) };
const CLIENTS = 4;
const DEFLATE = "Sec-WebSocket-Extensions: permessage-deflate";

interface Phase {
  readonly name: string;
  readonly path: string;
  /** What the client sends behind the handshake. */
  readonly sends?: Uint8Array;
  /** The handshake is not over. */
  readonly isNotOpen?: true;
  /** The client takes nothing. */
  readonly takesNothing?: true;
  /** The code of the close event, where the client has closed before. */
  readonly code?: number;
}

const big = frame({ opcode: 2, payload: new Uint8Array(200_000) });
const compressible = (): Uint8Array => {
  const bytes = zlib.deflateRawSync(new Uint8Array(4_000_000), { finishFlush: zlib.constants.Z_SYNC_FLUSH });
  return frame({ opcode: 2, rsv: 4, payload: new Uint8Array(bytes.subarray(0, -4)) });
};

const PHASES: readonly Phase[] = [
  { name: "its handler waits before it answers", path: "/waits", isNotOpen: true },
  { name: "no message has come", path: "/silent" },
  { name: "a frame has come in part", path: "/silent", sends: big.subarray(0, 100_000) },
  { name: "a message has come in part", path: "/silent", sends: frame({ opcode: 1, payload: "a", fin: false }) },
  { name: "messages are decompressed", path: "/silent", sends: concat(compressible(), compressible()) },
  { name: "messages are compressed", path: "/compresses" },
  { name: "sends are queued", path: "/sends", takesNothing: true },
  { name: "a Blob is read", path: "/reads-a-blob" },
  { name: "the client's Close is awaited", path: "/closes" },
  {
    name: "the client has closed",
    path: "/silent",
    sends: frame({ opcode: 8, payload: closePayload(4001) }),
    code: 4001,
  },
  { name: "a loop waits for a message", path: "/loops" },
];

/** Waits until it is so. */
async function eventually(check: () => void | Promise<void>): Promise<void> {
  for (let waits = 0;; waits++) {
    try {
      return await check();
    } catch (error) {
      if (waits === 600) throw error;
    }
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** What the process has open; 0 where the system does not tell. */
function countDescriptors(): number {
  try {
    return readdirSync("/proc/self/fd").length;
  } catch {
    return 0;
  }
}

const KILLED_MODELS = TESTED_MODELS.filter(({ options }) =>
  options.model === "event-driven" || options.model === "hybrid"
);

for (const model of KILLED_MODELS) {
  describe(`under ${model.name}, a WebSocket`, () => {
    let server: Server;
    let errors: TrivetError[] = [];

    before(async () => {
      const onError = (error: TrivetError): void => void errors.push(error);
      const options = { port: 0, hostname: "127.0.0.1", onListen: () => {}, onWarning: () => {}, onError };
      server = await serveUnder(oneThread(model), options, HANDLER).ready();
      await ask("/seen");
    });

    after(async () => {
      await server.shutdown({ timeout: 1_000 });
    });

    async function ask(path: string): Promise<string> {
      const client = await connectRaw({ port: server.port });
      client.send(`GET ${path} HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n`);
      const answer = await client.receiveAll(15_000);
      client.destroy();
      return answer.slice(answer.indexOf("\r\n\r\n") + 4);
    }

    async function enter(phase: Phase, count: number, staying = 0): Promise<RawClient[]> {
      const { path, sends, isNotOpen, takesNothing, code } = phase;
      const clients: RawClient[] = [];
      for (let i = 0; i < count; i++) {
        const client = await connectRaw({ port: server.port });
        client.send(webSocketRequest(path, DEFLATE));
        if (!isNotOpen) await client.receiveUntil((received) => received.includes("\r\n\r\n"), 15_000);
        if (takesNothing) client.pause();
        if (sends !== undefined) client.send(sends);
        clients.push(client);
      }
      const leastOpen = staying + (code === undefined ? count : 0);
      await eventually(async () => {
        const { activeExchanges, webSockets } = server.stats();
        if (!isNotOpen) assert.ok(webSockets.open >= leastOpen);
        else if (model.hasThreads) assert.equal(JSON.parse(await ask("/seen")).waiting, count);
        else assert.ok(activeExchanges >= count);
      });
      return clients;
    }

    async function nothingIsLeft(): Promise<void> {
      await eventually(() => {
        const { webSockets, connections, activeExchanges } = server.stats();
        assert.deepEqual([webSockets.open, connections.open, activeExchanges], [0, 0, 0]);
      });
      server.publish("topic", "who is there?");
    }

    for (const phase of PHASES) {
      test(`whose client resets it while ${phase.name}: 1006 once, and nothing is left`, async () => {
        await nothingIsLeft();
        const descriptors = countDescriptors();
        for (const client of await enter(phase, CLIENTS)) client.reset();
        await nothingIsLeft();
        const closes: string[] = [];
        await eventually(async () => {
          // Each loop has seen its own.
          const seen = JSON.parse(await ask("/seen"));
          // Where handlers may be left uncalled, another loop may tell of them in a later test.
          closes.push(...seen.closes.filter((close: string) => close.startsWith(`${phase.path} `)));
          assert.equal(seen.waiting + seen.loops, 0);
          // A handler whose client has left before it was called is not called.
          if (!phase.isNotOpen) assert.equal(closes.length, CLIENTS, closes.join());
        });
        for (const close of closes) assert.match(close, new RegExp(` (1006|${phase.code ?? 1006})$`));
        await nothingIsLeft();
        await eventually(() => assert.ok(countDescriptors() <= descriptors, `${countDescriptors()}, ${descriptors}`));
        assert.deepEqual(errors, []);
      });
    }

    if (!model.hasThreads && !model.hasLoops) return;

    test("whose thread dies, in whatever phase: its client is told by the end of its connection", async (t) => {
      if (!model.hasThreads && server.stats().loops < 2) return t.skip("one loop, since the port can't be shared");
      await nothingIsLeft();
      const { lost } = server.stats().threads;
      const clients: RawClient[] = [];
      let staying = 0;
      for (const phase of PHASES) {
        clients.push(...await enter(phase, 2, staying));
        if (!phase.isNotOpen && phase.code === undefined) staying += 2;
      }
      // With several loops one of them is the main thread's, which does not die.
      await eventually(async () => assert.notEqual(await ask("/ends-thread").catch(() => ""), "main"));
      if (model.hasThreads) {
        await eventually(() => assert.ok(server.stats().threads.lost > lost));
        for (const client of clients) {
          client.resume();
          await eventually(() => assert.ok(client.state !== "open" || client.received().startsWith("HTTP/1.1 503")));
        }
      }
      for (const client of clients) client.destroy();
      await nothingIsLeft();
      await eventually(async () => assert.equal(JSON.parse(await ask("/seen")).loops, 0));
      errors = [];
    });
  });
}

/** All sockets of a server with threads are on the one that dies. */
function oneThread(model: TestedModel): TestedModel {
  return model.hasThreads ? { ...model, options: { ...model.options, threads: 1 } } : model;
}
