/** Descriptors: connections leave some to the rest of the process, and the operator is warned before none is left. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { ServeOptions } from "../../src/api/options.ts";
import { createMemoryRuntime } from "../support/memory_runtime.ts";
import { createMemoryServer, statuses, text } from "../support/memory_server.ts";

/** A server in a process that may have 200 descriptors, of which connections should leave 64. */
async function start(options: ServeOptions = {}) {
  const started = createMemoryServer(createMemoryRuntime({ descriptorLimit: 200 }), options, () => text("hello"));
  await started.server.ready();
  const connect = async (count: number) => {
    const peers = Array.from({ length: count }, () => started.connect());
    await started.clock.settle();
    return peers;
  };
  return { ...started, connectMany: connect };
}

describe("a process that may have 200 descriptors", () => {
  test("has 136 connections, and refuses further ones", async () => {
    const { connectMany, clock, server } = await start();
    const peers = await connectMany(137);
    await clock.advance(1_500);
    assert.deepEqual(peers.filter((peer) => statuses(peer.received())[0] === 503).length, 1);
    assert.equal(server.stats().connections.refused, 1);
    await server.stop();
  });

  for (const options of [{}, { maxConnections: 0 }]) {
    test(`warns within a second of more than 136 connections, ${JSON.stringify(options)}`, async () => {
      const { connectMany, clock, server, warned } = await start(options);
      await connectMany(136);
      await clock.advance(1_000);
      assert.deepEqual(warned, []);
      await connectMany(1);
      await clock.advance(1_000);
      assert.deepEqual(warned, ["descriptors-low"]);
      await server.stop();
    });
  }

  test("waits for the first bytes of 16 refused clients at most: those before are answered without", async () => {
    const { connectMany, clock, server } = await start({ maxConnections: 1 });
    const peers = await connectMany(100);
    const answered = () => peers.filter((peer) => statuses(peer.received())[0] === 503).length;
    assert.equal(answered(), 99 - 16);
    assert.deepEqual(statuses(peers[1].received()), [503], "the first that was refused");
    assert.equal(server.stats().connections.open, 1 + 16 + 16);
    await clock.advance(1_500);
    assert.equal(answered(), 99);
    await server.stop();
  });

  test("waits for the end of 16 refused clients at most", async () => {
    const { connectMany, clock, server } = await start({ maxConnections: 1 });
    const peers = await connectMany(100);
    await clock.advance(1_500);
    assert.equal(peers.filter((peer) => statuses(peer.received())[0] === 503).length, 99);
    assert.equal(server.stats().connections.open, 1 + 16);
    await server.stop();
  });

  test("does not warn where its limit is not known", async () => {
    const runtime = createMemoryRuntime();
    const { server, connect, clock, warned } = createMemoryServer(runtime, {}, () => text("hello"));
    await server.ready();
    for (let i = 0; i < 300; i++) connect();
    await clock.advance(1_000);
    assert.deepEqual(warned, []);
    await server.stop();
  });
});
