/** A server whose model is loaded when it starts: what happens meanwhile, and when that fails. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { TrivetError } from "../../src/api/errors.ts";
import type { Connection } from "../../src/exchange/connection.ts";
import { callHandler } from "../../src/exchange/handler_call.ts";
import { THREAD_ENTRY } from "../../src/entry/thread_entry.ts";
import { DeferredModel } from "../../src/models/deferred_model.ts";
import { MODELS } from "../../src/models/models.ts";
import type { ModelTable, Scheduler } from "../../src/models/scheduler.ts";
import { createServer } from "../../src/server/create_server.ts";
import { createMemoryRuntime } from "../support/memory_runtime.ts";
import { createGate, get, statuses } from "../support/memory_server.ts";

/** Begins to start a server whose model is loaded when the gate opens, and tells what the model was told. */
function start() {
  const gate = createGate();
  const told: string[] = [];
  const models: ModelTable = {
    ...MODELS,
    "event-driven": {
      callsHandlerHere: true,
      create: ({ handler }) => {
        const model: Scheduler = {
          start: () => Promise.resolve(void told.push("start")),
          admit: (connection: Connection) => connection.serve(),
          run: (exchange) => callHandler(handler, exchange),
          mayPersist: () => true,
          release: () => {},
          stop: () => Promise.resolve(void told.push("stop")),
        };
        return new DeferredModel(() => gate.opened.then(() => model));
      },
    },
  };
  const runtime = createMemoryRuntime();
  const handler = (): Response => new Response("hello");
  const server = createServer(runtime, THREAD_ENTRY, { onListen: () => {} }, handler, models);
  return { server, runtime, gate, told };
}

describe("a model that is loaded when its server starts", () => {
  test("is started when it is loaded, and the server listens then", async () => {
    const { server, runtime, gate, told } = start();
    await runtime.clock.settle();
    assert.deepEqual([server.stats().state, told], ["starting", []]);
    gate.open();
    await server.ready();
    const peer = runtime.connect();
    peer.send(get());
    await runtime.clock.settle();
    assert.deepEqual([statuses(peer.received()), told], [[200], ["start"]]);
    await server.stop();
    assert.deepEqual(told, ["start", "stop"]);
  });

  for (const way of ["shutdown", "stop"] as const) {
    test(`is not started when ${way}() came before, which does not wait for it`, async () => {
      const { server, runtime, gate, told } = start();
      const { drained, aborted } = await server[way]();
      assert.deepEqual([drained, aborted, server.stats().state], [0, 0, "stopped"]);
      gate.open();
      await runtime.clock.settle();
      assert.deepEqual(told, []);
    });
  }

  test("that can't be loaded is an internal-error of the start, with its cause", async () => {
    const { server, gate } = start();
    const finished = server.finished.catch((error) => error);
    gate.fail(new Error("EMFILE"));
    await assert.rejects(server.ready(), (error: TrivetError) => {
      assert.deepEqual([error.code, (error.cause as Error).message], ["internal-error", "EMFILE"]);
      return true;
    });
    assert.equal((await finished).code, "internal-error");
    assert.equal(server.stats().state, "stopped");
  });
});
