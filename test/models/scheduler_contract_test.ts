/** What every model that lets connections wait owes them, seen through the interface of a connection alone. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Warnings } from "../../src/api/warnings.ts";
import type { Connection } from "../../src/exchange/connection.ts";
import { BlockingScheduler } from "../../src/models/blocking.ts";
import { HandlerTurns } from "../../src/models/handler_turns.ts";
import { LoopPlaces } from "../../src/models/loop_places.ts";
import type { Scheduler } from "../../src/models/scheduler.ts";
import { WorkerPoolScheduler } from "../../src/models/worker_pool.ts";
import { createMemoryRuntime, type MemoryRuntime } from "../support/memory_runtime.ts";
import { createExchange } from "../support/plain_exchange.ts";
import { text } from "../support/memory_server.ts";

/** A connection that notes what the model does with it. */
function createConnection(): Connection & { readonly log: string[] } {
  const log: string[] = [];
  return {
    log,
    placeAmongOpen: 0,
    placeInLine: 0,
    wasRefused: false,
    remoteAddress: { transport: "tcp", hostname: "10.0.0.1", port: 80 },
    serve: () => void log.push("served"),
    refuse: ({ code }) => void log.push(code),
    answerRefusal: () => {},
    giveUp: () => false,
    isBusy: false,
    drain: () => {},
    abort: () => {},
  };
}

/** Each model with room for one connection that is served and two that wait. */
const MODELS: Readonly<Record<string, (runtime: MemoryRuntime) => Scheduler>> = {
  "blocking": ({ clock, host }) => {
    const warnings = new Warnings(clock, host, () => {});
    return new BlockingScheduler({ handler: () => text("hello"), maxQueue: 2, persists: true, clock, warnings });
  },
  "worker-pool": ({ clock, host }) => {
    const warnings = new Warnings(clock, host, () => {});
    const places = new LoopPlaces(new HandlerTurns(() => text("hello"), clock));
    return new WorkerPoolScheduler({ places, workers: 1, maxQueue: 2, clock, warnings });
  },
};

for (const [name, create] of Object.entries(MODELS)) {
  describe(`a connection of the model ${name}`, () => {
    /** Four connections, admitted in turn. */
    async function admitFour() {
      const runtime = createMemoryRuntime();
      const settle = (): Promise<void> => runtime.clock.settle();
      const model = create(runtime);
      const connections = [1, 2, 3, 4].map(createConnection);
      for (const connection of connections) {
        model.admit(connection);
        await settle();
      }
      return { model, connections, settle, logs: () => connections.map(({ log }) => log) };
    }

    test("is served, waits, or is refused when the line is full", async () => {
      const { logs } = await admitFour();
      assert.deepEqual(logs(), [["served"], [], [], ["queue-full"]]);
    });

    test("leaves the line when it is released, and is not served any more", async () => {
      const { model, connections, settle, logs } = await admitFour();
      model.release(connections[1]);
      assert.equal(model.stats?.().queue?.waiting, 1);
      model.release(connections[0]);
      await settle();
      assert.deepEqual(logs(), [["served"], [], ["served"], ["queue-full"]]);
    });

    test("that is released twice takes the turn of no other", async () => {
      const { model, connections, settle, logs } = await admitFour();
      model.release(connections[0]);
      model.release(connections[0]);
      await settle();
      assert.deepEqual(logs(), [["served"], ["served"], [], ["queue-full"]]);
    });

    test("has its turn in a server that drains, also when it comes only then", async () => {
      const { model, connections, settle, logs } = await admitFour();
      model.announce?.({ delayMs: 0, closesIdle: false });
      model.drain?.();
      for (const connection of connections) {
        model.release(connection);
        await settle();
      }
      assert.deepEqual(logs(), [["served"], ["served"], ["served"], ["queue-full"]]);
      const late = createConnection();
      model.admit(late);
      await settle();
      assert.deepEqual(late.log, ["served"]);
    });

    test("that is not served runs nothing", async () => {
      const { model, connections, settle } = await admitFour();
      const { exchange, outcomes } = createExchange();
      if (name === "worker-pool") model.run(exchange, connections[1]);
      await settle();
      assert.deepEqual(outcomes, []);
    });
  });
}
