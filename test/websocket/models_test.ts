/** WebSockets under every concurrency model, wherever the handler runs, over TCP. */

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import zlib from "node:zlib";
import type { TrivetError } from "../../src/api/errors.ts";
import type { Server } from "../../src/api/server.ts";
import type { Warning } from "../../src/api/warnings.ts";
import { serveUnder, TESTED_MODELS } from "../fixtures/models/tested_models.ts";
import { fetch } from "../fixtures/websocket_app.ts";
import { connectRaw, type RawClient } from "../support/raw_client.ts";
import { closePayload, concat, frame, type ServerFrame } from "../support/websocket_frames.ts";
import { framesOf, show, webSocketRequest } from "../support/websocket_wire.ts";

const HANDLER = { fetch, module: new URL("../fixtures/websocket_app.ts", import.meta.url) };
const BIG_BYTES = 1024 * 1024;
const GOODBYE = frame({ opcode: 8, payload: closePayload(1000, "bye") });
const TAIL = Uint8Array.of(0, 0, 0xff, 0xff);

/** Waits until what is told between threads has arrived. */
async function eventually(check: () => void): Promise<void> {
  for (let waits = 0;; waits++) {
    try {
      return check();
    } catch (error) {
      if (waits === 500) throw error;
    }
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

for (const model of TESTED_MODELS) {
  describe(`WebSockets under ${model.name}`, () => {
    const reported: TrivetError[] = [];
    const warned: string[] = [];
    let server: Server;

    before(async () => {
      const onError = (error: TrivetError): void => void reported.push(error);
      const onWarning = ({ message }: Warning): void => void warned.push(message);
      const options = { port: 0, hostname: "127.0.0.1", onListen: () => {}, onWarning, onError };
      server = await serveUnder(model, options, HANDLER).ready();
    });

    after(async () => {
      await server.shutdown({ timeout: 2_000 });
    });

    const open = async (path: string, ...fieldLines: string[]): Promise<RawClient> => {
      const client = await connectRaw({ port: server.port });
      client.send(webSocketRequest(path, ...fieldLines));
      await client.receiveUntil((received) => received.includes("\r\n\r\n"), 10_000);
      assert.match(client.received(), /^HTTP\/1\.1 101 /, [...reported, ...warned].join("\n"));
      return client;
    };

    const receive = async (client: RawClient, count: number): Promise<ServerFrame[]> => {
      await client.receiveUntil((received) => framesOf(received).length >= count, 10_000);
      return framesOf(client.received());
    };

    /** Closes in order, and waits until the connection is gone: some models serve one at a time. */
    const leave = async (client: RawClient): Promise<void> => {
      client.send(GOODBYE);
      await client.receiveAll();
      assert.deepEqual(show(framesOf(client.received()).slice(-1)), ["close 1000"]);
      client.end();
      await client.closed();
    };

    test("messages are echoed, those right behind the request included", async () => {
      const client = await connectRaw({ port: server.port });
      client.send(concat(
        new TextEncoder().encode(webSocketRequest("/echo", "Sec-WebSocket-Protocol: chat")),
        frame({ opcode: 1, payload: "early" }),
      ));
      await client.receiveUntil((received) => received.includes("early"), 10_000);
      assert.match(client.received(), /^HTTP\/1\.1 101 [^]*sec-websocket-protocol: chat\r\n/);
      client.send(frame({ opcode: 2, payload: Uint8Array.of(1, 2) }));
      client.send(frame({ opcode: 9, payload: "ping" }));
      const shown = show(await receive(client, 3));
      assert.deepEqual(shown.slice(0, 1), ["text early"]);
      assert.deepEqual(shown.slice(1).sort(), ["binary 0102", "pong ping"]);
      await leave(client);
    });

    for (const path of ["/echo", "/stream-echo"]) {
      test(`a message of a mebibyte, and many small ones, go through ${path}`, async () => {
        const client = await open(path);
        const big = Uint8Array.from({ length: BIG_BYTES }, (_, i) => i % 251);
        client.send(frame({ opcode: 2, payload: big }));
        for (let i = 0; i < 500; i++) client.send(frame({ opcode: 1, payload: `message ${i}` }));
        const frames = await receive(client, 501);
        assert.deepEqual(frames[0].payload, big);
        assert.deepEqual(show(frames.slice(1)), Array.from({ length: 500 }, (_, i) => `text message ${i}`));
        await leave(client);
      });
    }

    test("messages are compressed", async () => {
      const client = await open("/echo", "Sec-WebSocket-Extensions: permessage-deflate");
      const text = "again and ".repeat(10_000);
      const sync = { finishFlush: zlib.constants.Z_SYNC_FLUSH };
      const payload = new Uint8Array(zlib.deflateRawSync(text, sync).subarray(0, -4));
      client.send(frame({ opcode: 1, rsv: 4, payload }));
      const [answer] = await receive(client, 1);
      assert.equal(answer.rsv, 4);
      assert.equal(new TextDecoder().decode(zlib.inflateRawSync(concat(answer.payload, TAIL), sync)), text);
      await leave(client);
    });

    test("what is published gets to every subscriber, on whichever thread each is", async () => {
      const others = Math.min(4, model.connectionsAtOnce - 1);
      const members: RawClient[] = [];
      for (let i = 0; i <= others; i++) members.push(await open("/room"));
      // A socket opens behind the response that its client has seen, and on another thread that is told later.
      await eventually(() => assert.equal(server.stats().webSockets.open, members.length));
      server.publish("room", "from the server");
      for (const member of members) assert.deepEqual(show(await receive(member, 1)), ["text from the server"]);
      const publisher = members[0];
      publisher.send(frame({ opcode: 1, payload: "from a member" }));
      publisher.send(frame({ opcode: 2, payload: new Uint8Array(100_000) }));
      for (const member of members.slice(1)) {
        const [, text, binary] = await receive(member, 3);
        assert.deepEqual(show([text]), ["text from a member"]);
        assert.equal(binary.payload.byteLength, 100_000);
      }
      if (model.connectionsAtOnce > members.length) {
        const client = await connectRaw({ port: server.port });
        const path = `/publish?message=from+a+handler&bytes=3`;
        client.send(`GET ${path} HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n`);
        assert.match(await client.receiveAll(10_000), /published/);
        client.end();
        await client.closed();
        assert.deepEqual(show(await receive(publisher, 3)).slice(1), ["text from a handler", "binary 070707"]);
        for (const member of members.slice(1)) {
          assert.deepEqual(show((await receive(member, 5)).slice(3)), ["text from a handler", "binary 070707"]);
        }
      }
      for (const member of members) await leave(member);
      await eventually(() => assert.equal(server.stats().webSockets.open, 0));
    });

    test("a request that is none is told what to do, and its handler's failure is not reported", async () => {
      const client = await connectRaw({ port: server.port });
      client.send("GET /echo HTTP/1.1\r\nHost: a.test\r\n\r\n");
      assert.match(
        await client.receiveAll(10_000),
        /^HTTP\/1\.1 426 Upgrade Required\r\n[^]*sec-websocket-version: 13/i,
      );
      client.end();
      await client.closed();
      assert.deepEqual(reported, []);
    });

    test("what an event handler throws is reported to onError, and the connection goes on", async () => {
      const client = await open("/throws");
      client.send(frame({ opcode: 1, payload: "a" }));
      client.send(frame({ opcode: 1, payload: "b" }));
      assert.deepEqual(show(await receive(client, 2)), ["text throws a", "text throws b"]);
      await leave(client);
      for (let waits = 0; reported.length < 2 && waits < 200; waits++) {
        await new Promise((resolve) => setTimeout(resolve, 10));
      }
      assert.deepEqual(reported.splice(0).map(({ code, cause }) => `${code} ${String(cause)}`), [
        "handler-failed RangeError: about a",
        "handler-failed RangeError: about b",
      ]);
    });

    test("a handler closes with a code and a reason", async () => {
      const client = await open("/closes");
      const [close] = await receive(client, 1);
      assert.deepEqual(close.payload, closePayload(4321, "enough"));
      client.send(frame({ opcode: 8, payload: closePayload(4321, "enough") }));
      await client.receiveAll();
      client.end();
      await client.closed();
    });

    test("a client that does not answer a Ping is cut off, also where it is sent messages all the while", async () => {
      const client = await open("/impatient");
      await client.receiveAll(10_000).catch(() => {});
      assert.notEqual(client.state, "open");
      const shown = new Set(show(framesOf(client.received())));
      assert.deepEqual([...shown].sort(), ["ping ", "text tick"], [...reported, ...warned].join("\n"));
      client.end();
      await client.closed();
      await eventually(() => assert.equal(server.stats().webSockets.open, 0));
    });

    test("a client that breaks the protocol is told so", async () => {
      const client = await open("/echo");
      client.send(frame({ opcode: 1, payload: "not masked", key: null }));
      await client.receiveAll();
      assert.deepEqual(show(framesOf(client.received())), ["close 1002"]);
      client.end();
      await client.closed();
    });

    if (model.hasThreads) {
      test("a thread that dies loses its sockets, which are told so and not counted any more", async () => {
        const client = await open("/dies");
        await eventually(() => assert.equal(server.stats().webSockets.open, 1));
        client.send(frame({ opcode: 1, payload: "now" }));
        // Ended or reset, as the runtime has it; where it was only ended, the client has to end its side too.
        await client.receiveAll(10_000).catch(() => {});
        assert.notEqual(client.state, "open");
        client.end();
        await client.closed(10_000);
        assert.deepEqual(show(framesOf(client.received())), [], "no Close: a client knows that by 1006");
        await eventually(() => assert.equal(server.stats().webSockets.open, 0));
        const next = await open("/echo");
        next.send(frame({ opcode: 1, payload: "again" }));
        assert.deepEqual(show(await receive(next, 1)), ["text again"]);
        await leave(next);
        assert.notDeepEqual(reported.splice(0), []);
      });
    }

    test("clients that vanish leave nothing behind", async () => {
      for (let i = 0; i < 5; i++) {
        const client = await open("/echo");
        client.send(frame({ opcode: 1, payload: "x" }));
        await receive(client, 1);
        client.reset();
      }
      const client = await connectRaw({ port: server.port });
      client.send("GET /hello HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n");
      assert.match(await client.receiveAll(10_000), /hello/);
      client.end();
      await client.closed();
      for (let waits = 0; server.stats().connections.open > 0 && waits < 300; waits++) {
        await new Promise((resolve) => setTimeout(resolve, 10));
      }
      assert.equal(server.stats().connections.open, 0);
      assert.deepEqual(reported, []);
    });

    test("a graceful stop says 1001, and waits for the client's Close", async () => {
      // The last: `after` finds nothing more to stop.
      const client = await open("/echo");
      const stopped = server.shutdown({ timeout: 10_000 });
      assert.deepEqual(show(await receive(client, 1)), ["close 1001"]);
      client.send(frame({ opcode: 8, payload: closePayload(1001) }));
      await client.receiveAll();
      client.end();
      assert.deepEqual((await stopped).aborted, 0);
    });
  });
}
