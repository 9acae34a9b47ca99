/** Which hooks of crossws are called, and when: in memory. `test:websocket` has the package itself. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Handler } from "../../src/api/handler.ts";
import { crossws, type CrosswsHooks } from "../../src/entry/crossws.ts";
import { createGate, startMemoryServer } from "../support/memory_server.ts";
import { webSocketRequest } from "../support/websocket_wire.ts";

/** Hooks that note when they are called. */
function notingHooks(): { hooks: CrosswsHooks; called: string[] } {
  const called: string[] = [];
  const note = (name: string) => () => void called.push(name);
  return { hooks: { open: note("open"), close: note("close"), error: note("error") }, called };
}

const REFUSAL = (): Response => new Response("not you", { status: 401 });

describe("a WebSocket that hooks of crossws are for", () => {
  test("is opened and closed", async () => {
    const { hooks, called } = notingHooks();
    const { send, clock } = await startMemoryServer(crossws({ hooks }).handler(REFUSAL));
    const peer = await send(webSocketRequest());
    peer.reset();
    await clock.settle();
    assert.deepEqual(called, ["open", "close"]);
  });

  test("is not there for them where another response is given in its place", async () => {
    const { hooks, called } = notingHooks();
    const adapter = crossws({ hooks });
    const { send } = await startMemoryServer(async (request, info) => {
      await adapter.handleUpgrade(request, info);
      return REFUSAL();
    });
    const peer = await send(webSocketRequest());
    assert.match(peer.received(), /^HTTP\/1.1 401 /);
    assert.deepEqual([called, adapter.peers.size], [[], 0]);
  });

  test("is not there for them where the client leaves before it is open", async () => {
    const { hooks, called } = notingHooks();
    const adapter = crossws({ hooks });
    const gate = createGate();
    const { send, clock } = await startMemoryServer(async (request, info) => {
      const response = await adapter.handleUpgrade(request, info);
      await gate.opened;
      return response;
    });
    const peer = await send(webSocketRequest());
    peer.reset();
    gate.open();
    await clock.settle();
    assert.deepEqual([called, adapter.peers.size], [[], 0]);
  });
});

describe("an application that leaves hooks of crossws", () => {
  /** Leaves hooks on the request, as frameworks do, and returns this. */
  function leaving(hooks: CrosswsHooks, given: () => unknown): Handler {
    return crossws().handler((request) => {
      (request as Request & Record<symbol, unknown>)[Symbol.for("crossws.hooks")] = hooks;
      return given() as Response;
    });
  }

  for (const status of [200, 426]) {
    test(`on the request has a WebSocket behind a ${status}`, async () => {
      const { hooks, called } = notingHooks();
      const { send } = await startMemoryServer(leaving(hooks, () => new Response(null, { status })));
      assert.match((await send(webSocketRequest())).received(), /^HTTP\/1.1 101 /);
      assert.deepEqual(called, ["open"]);
    });
  }

  test("on the request has a WebSocket where it returns nothing", async () => {
    const { hooks, called } = notingHooks();
    const { send } = await startMemoryServer(leaving(hooks, () => undefined));
    assert.match((await send(webSocketRequest())).received(), /^HTTP\/1.1 101 /);
    assert.deepEqual(called, ["open"]);
  });

  for (const status of [302, 401, 403, 404, 500]) {
    test(`on the request refuses by a ${status} all the same`, async () => {
      const { hooks, called } = notingHooks();
      const { send } = await startMemoryServer(leaving(hooks, () => new Response("no", { status })));
      assert.match((await send(webSocketRequest())).received(), new RegExp(`^HTTP/1.1 ${status} `));
      assert.deepEqual(called, []);
    });
  }

  test("on an object gives the upgrade headers by it, and by the hook", async () => {
    const hooks: CrosswsHooks = { upgrade: () => ({ headers: { "x-hook": "2", "x-both": "hook" } }) };
    const given = { crossws: hooks, headers: { "x-object": "1", "x-both": "object" } };
    const { send } = await startMemoryServer(crossws().handler(() => given as unknown as Response));
    const received = (await send(webSocketRequest())).received().toLowerCase();
    assert.match(received, /^http\/1.1 101 /);
    for (const line of ["x-object: 1", "x-hook: 2", "x-both: hook"]) assert.ok(received.includes(line), line);
  });

  test("on an object may refuse by a hook", async () => {
    const given = { crossws: { upgrade: REFUSAL }, headers: { "x-object": "1" } };
    const { send } = await startMemoryServer(crossws().handler(() => given as unknown as Response));
    assert.match((await send(webSocketRequest())).received(), /^HTTP\/1.1 401 /);
  });

  test("and returns nothing has failed", async () => {
    const { send, reported } = await startMemoryServer(crossws().handler((() => {}) as unknown as Handler));
    assert.match((await send(webSocketRequest())).received(), /^HTTP\/1.1 500 /);
    assert.deepEqual(reported.map(({ code }) => code), ["response-invalid"]);
  });
});
