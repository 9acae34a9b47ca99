/**
 * A fifth model is one file and one entry in the table of models, which is all that it needs of the house. This one
 * serves one connection at a time and takes the one that has come last: last in, first out.
 */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Handler } from "../../src/api/handler.ts";
import type { Model, ServeOptions } from "../../src/api/options.ts";
import type { Connection } from "../../src/exchange/connection.ts";
import type { Exchange } from "../../src/exchange/exchange.ts";
import { callHandler } from "../../src/exchange/handler_call.ts";
import { MODELS } from "../../src/models/models.ts";
import type { ModelEntry, ModelTable, Scheduler, SchedulerStats } from "../../src/models/scheduler.ts";
import { THREAD_ENTRY } from "../../src/entry/thread_entry.ts";
import { createServer } from "../../src/server/create_server.ts";
import { HANDLER_MODULE_URL, setHandler } from "../support/handler_module.ts";
import { createGate, get, statuses, text } from "../support/memory_server.ts";
import { createMemoryRuntime, type MemoryPeer } from "../support/memory_runtime.ts";

// The file of the model.

/** Serves one connection after another, the newest first. */
class LifoScheduler implements Scheduler {
  readonly #handler: Handler;
  readonly #waiting: Connection[] = [];
  #served: Connection | null = null;

  constructor(handler: Handler) {
    this.#handler = handler;
  }

  admit(connection: Connection): void {
    if (this.#served === null) this.#serve(connection);
    else this.#waiting.push(connection);
  }

  run(exchange: Exchange, connection: Connection): void {
    assert.equal(connection, this.#served);
    callHandler(this.#handler, exchange);
  }

  mayPersist(): boolean {
    return false;
  }

  release(connection: Connection): void {
    const place = this.#waiting.indexOf(connection);
    if (place >= 0) this.#waiting.splice(place, 1);
    if (this.#served !== connection) return;
    this.#served = null;
    const next = this.#waiting.pop();
    if (next !== undefined) this.#serve(next);
  }

  stats(): Partial<SchedulerStats> {
    return { queue: { waiting: this.#waiting.length, longestWaitMs: 0, refused: 0 } };
  }

  #serve(connection: Connection): void {
    this.#served = connection;
    connection.serve();
  }
}

// Its entry in the table.

const LIFO: ModelEntry = { callsHandlerHere: true, create: ({ handler }) => new LifoScheduler(handler) };
const FIVE_MODELS: ModelTable & { readonly lifo: ModelEntry } = { ...MODELS, lifo: LIFO };

function start(handler: Handler, takesModule: boolean, options: ServeOptions = {}) {
  const memory = createMemoryRuntime();
  setHandler(handler);
  const init = { onListen: () => {}, model: "lifo" as Model, ...options };
  const server = takesModule
    ? createServer(memory, THREAD_ENTRY, { ...init, module: HANDLER_MODULE_URL }, undefined, FIVE_MODELS)
    : createServer(memory, THREAD_ENTRY, init, handler, FIVE_MODELS);
  return { server, clock: memory.clock, connect: () => memory.connect() };
}

for (const takesModule of [false, true]) {
  describe(`a fifth model, with a handler given as ${takesModule ? "a module" : "a function"}`, () => {
    test("serves in its own order", async () => {
      const gate = createGate();
      const order: string[] = [];
      const { server, clock, connect } = start(async (request) => {
        order.push(new URL(request.url).pathname);
        await gate.opened;
        return text("hello");
      }, takesModule);
      await server.ready();
      const peers: MemoryPeer[] = [];
      for (const path of ["/1", "/2", "/3", "/4"]) {
        const peer = connect();
        peers.push(peer);
        peer.send(get(path));
        await clock.settle();
      }
      assert.equal(server.stats().queue.waiting, 3);
      gate.open();
      await clock.settle();
      for (const peer of peers) peer.end();
      await clock.settle();
      assert.deepEqual(order, ["/1", "/4", "/3", "/2"]);
      assert.deepEqual(peers.map((peer) => statuses(peer.received())), [[200], [200], [200], [200]]);
      await server.stop();
    });

    test("is told when a client leaves its line, and drains like any other", async () => {
      const { server, clock, connect } = start(() => new Promise(() => {}), takesModule);
      await server.ready();
      const [served, gone, waiting] = [connect(), connect(), connect()];
      await clock.settle();
      gone.reset();
      await clock.settle();
      assert.equal(server.stats().queue.waiting, 1);
      served.reset();
      const report = server.shutdown();
      waiting.send(get());
      await clock.settle();
      assert.equal(server.stats().activeExchanges, 1);
      await clock.advance(11_000);
      assert.equal((await report).aborted, 1);
    });
  });
}

test("the name of a model that is not in the table is refused, and those that are are named", () => {
  const { runtime } = { runtime: createMemoryRuntime() };
  const options = { model: "filo" as Model };
  assert.throws(
    () => createServer(runtime, THREAD_ENTRY, options, () => text(""), FIVE_MODELS),
    /model is "filo", allowed is one of "blocking", "worker-pool", "event-driven", "hybrid", "lifo"/,
  );
});
