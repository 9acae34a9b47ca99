/** What happens meanwhile, and what when it fails, while what makes WebSockets is loaded for the first that asks. */

import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, test } from "node:test";
import type { Handler } from "../../src/api/handler.ts";
import type { ServeOptions } from "../../src/api/options.ts";
import { WebSockets } from "../../src/websocket/web_sockets.ts";
import {
  createGate,
  type Gate,
  get,
  type MemoryServer,
  startMemoryServer,
  statuses,
} from "../support/memory_server.ts";
import { startThreadServer } from "../support/thread_server.ts";
import { closePayload, frame } from "../support/websocket_frames.ts";
import { framesOf, show, webSocketRequest } from "../support/websocket_wire.ts";

const { importUpgrades } = WebSockets;
/** Lets the load end, or fail. */
let gate: Gate;
let loads = 0;

beforeEach(() => {
  gate = createGate();
  loads = 0;
  WebSockets.importUpgrades = async () => {
    loads++;
    await gate.opened;
    return await importUpgrades();
  };
});

afterEach(() => void (WebSockets.importUpgrades = importUpgrades));

interface Place {
  readonly name: string;
  start(handler: Handler, options?: ServeOptions): Promise<MemoryServer>;
}

const PLACES: readonly Place[] = [
  { name: "on the event loop", start: startMemoryServer },
  {
    name: "on a thread",
    start: (handler, options) =>
      startThreadServer((request, _place, info) => handler(request, info), { model: "hybrid", threads: 1, ...options }),
  },
];

for (const { name, start } of PLACES) {
  /** A server whose handler counts its calls, and a client that has asked for a WebSocket. */
  const startAsked = async (options?: ServeOptions) => {
    const called: string[] = [];
    const started = await start((request, info) => {
      called.push(new URL(request.url).pathname);
      return request.headers.has("upgrade") ? info.upgradeWebSocket().response : new Response("plain");
    }, options);
    const client = await started.send(webSocketRequest("/socket"));
    return { ...started, client, called };
  };

  describe(`while what makes WebSockets is loaded ${name}`, () => {
    test("others are answered, and the handler is called when it is loaded, once", async () => {
      const { server, clock, client, called, send } = await startAsked();
      const other = await send(get("/other"));
      assert.deepEqual([statuses(other.received()), client.received(), called], [[200], "", ["/other"]]);
      gate.open();
      await clock.settle();
      assert.deepEqual([statuses(client.received()), called], [[101], ["/other", "/socket"]]);
      void server.stop();
      await clock.advance(1_000);
    });

    test("all that ask get their WebSocket, and those that ask later wait for nothing", async () => {
      const { server, clock, client, send } = await startAsked();
      const second = await send(webSocketRequest());
      gate.open();
      await clock.settle();
      const third = await send(webSocketRequest());
      await clock.settle();
      for (const peer of [client, second, third]) assert.deepEqual(statuses(peer.received()), [101]);
      assert.deepEqual([loads, server.stats().webSockets.open], [2, 3]);
      void server.stop();
      await clock.advance(1_000);
    });

    test("a client that leaves is released, and its handler is not called", async () => {
      const { server, clock, client, called, reported } = await startAsked();
      client.reset();
      await clock.settle();
      assert.equal(server.stats().activeExchanges, 0);
      gate.open();
      await clock.settle();
      assert.deepEqual([called, reported.map(({ code }) => code)], [[], []]);
      void server.stop();
      await clock.advance(1_000);
    });

    test("a drain waits for it: the WebSocket opens, and is told to go", async () => {
      const { server, clock, client, called } = await startAsked();
      const stopping = server.shutdown();
      await clock.settle();
      assert.equal(server.stats().state, "draining");
      gate.open();
      // To a thread and back takes turns of the real event loop, a number that only the runtime knows.
      for (let turn = 0; turn < 400 && !client.received().includes("\r\n\r\n\x88"); turn++) await clock.settle();
      assert.deepEqual([statuses(client.received()), called], [[101], ["/socket"]]);
      assert.deepEqual(show(framesOf(client.received())), ["close 1001"]);
      client.send(frame({ opcode: 8, payload: closePayload(1001) }));
      client.end();
      await clock.advance(1_000);
      assert.equal((await stopping).aborted, 0);
    });

    test("a stop cuts it off, and the handler is not called", async () => {
      const { server, clock, client, called } = await startAsked();
      const stopping = server.stop();
      await clock.advance(1_000);
      assert.equal((await stopping).aborted, 1);
      gate.open();
      await clock.settle();
      assert.deepEqual([client.received(), called], ["", []]);
    });

    test("handlerTimeout counts: it is answered 503, and the handler is not called", async () => {
      const { server, clock, client, called } = await startAsked({ handlerTimeout: 1_000 });
      await clock.advance(2_000);
      assert.deepEqual(statuses(client.received()), [503]);
      gate.open();
      await clock.settle();
      assert.deepEqual(called, []);
      void server.stop();
      await clock.advance(1_000);
    });
  });

  describe(`when what makes WebSockets can't be loaded ${name}`, () => {
    test("the request is answered 500, onError hears why, and the next request tries again", async () => {
      const { server, clock, client, called, reported, send } = await startAsked();
      gate.fail(new Error("EMFILE"));
      await clock.settle();
      assert.deepEqual([statuses(client.received()), called], [[500], []]);
      assert.deepEqual(reported.map(({ code, message }) => [code, message]), [
        ["internal-error", "What makes WebSockets could not be loaded."],
      ]);
      assert.match(String((reported[0].cause as Error).message), /EMFILE/);
      assert.deepEqual(statuses((await send(get("/other"))).received()), [200]);
      gate = createGate();
      gate.open();
      assert.deepEqual(statuses((await send(webSocketRequest())).received()), [101]);
      void server.stop();
      await clock.advance(1_000);
    });
  });
}
