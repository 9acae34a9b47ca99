/** Handlers that compute, of requests that are readable at once: finished responses leave before more are begun. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { detectRuntime } from "../../runtime/detect.ts";
import type { ServeOptions } from "../../src/api/options.ts";
import { createMemoryRuntime } from "../support/memory_runtime.ts";
import { createMemoryServer, get, statuses } from "../support/memory_server.ts";

/** A server on whose loop handlers compute for as long as their path says, in milliseconds. */
async function start(options: ServeOptions = {}, isLastToLeave = false) {
  const memory = createMemoryRuntime();
  let spentMs = 0;
  const { clock } = memory;
  const nowMs = clock.nowMs.bind(clock);
  clock.nowMs = () => nowMs() + spentMs;
  const begun: { path: string; answered: number }[] = [];
  const server = createMemoryServer(memory, { keepAliveTimeout: 60_000, ...options }, (request) => {
    const path = new URL(request.url).pathname;
    if (path === "/202" && isLastToLeave) peers.at(-1)!.reset();
    begun.push({ path, answered: peers.filter((peer) => peer.received() !== "").length });
    spentMs += Number(path.slice(1));
    // A stream, whose response leaves at the end of the turn on every runtime.
    return new Response(new Blob(["done"]).stream(), { headers: { "content-type": "text/plain" } });
  });
  await server.server.ready();
  const peers: ReturnType<typeof memory.connect>[] = [];
  /** Requests on a connection each, all readable in one turn. */
  const sendAtOnce = async (...paths: string[]): Promise<void> => {
    peers.push(...paths.map(() => memory.connect()));
    await clock.settle();
    for (const [index, path] of paths.entries()) peers[index].send(get(path));
    await clock.settle();
    await clock.settle();
  };
  return { begun, peers, sendAtOnce, clock };
}

const MODELS: readonly ServeOptions[] = [{ model: "event-driven" }, { model: "worker-pool", workers: 200 }];

for (const options of MODELS) {
  describe(`handlers of requests that are readable at once, ${options.model}`, () => {
    test("that compute are called one a turn, and what was finished has left before the next is called", async () => {
      const { begun, peers, sendAtOnce } = await start(options);
      await sendAtOnce("/0", "/200", "/200", "/200");
      // Bun has a turn for each of these reads, so that the second may leave earlier still.
      const [, second, third, fourth] = begun.map(({ answered }) => answered);
      assert.ok(second <= 1 && third === 2 && fourth === 3, `${second}, ${third}, ${fourth} were answered before`);
      assert.deepEqual(peers.map((peer) => statuses(peer.received())), [[200], [200], [200], [200]]);
    });

    test("that take little are called in the same turn, until it has lasted 4 ms", async () => {
      const { begun, sendAtOnce } = await start(options);
      await sendAtOnce("/1", "/1", "/1", "/1", "/1", "/1");
      const answered = begun.map((each) => each.answered);
      assert.ok(answered.slice(4).every((count) => count >= 4), `${answered} were answered before`);
      if (detectRuntime().name !== "bun") assert.deepEqual(answered, [0, 0, 0, 0, 4, 4]);
    });

    test("that compute nothing are all called in the same turn, however many they are", async () => {
      const { begun, sendAtOnce } = await start(options);
      await sendAtOnce(...Array.from({ length: 200 }, () => "/0.04"));
      assert.equal(begun.length, 200);
      if (detectRuntime().name !== "bun") assert.ok(begun.every(({ answered }) => answered === 0));
    });

    test("are called in the order in which they came", async () => {
      const { begun, sendAtOnce } = await start(options);
      await sendAtOnce("/201", "/202", "/203", "/204");
      assert.deepEqual(begun.map(({ path }) => path), ["/201", "/202", "/203", "/204"]);
    });

    test("are not called for a client that has left before their turn", async () => {
      const { begun, sendAtOnce } = await start(options, true);
      await sendAtOnce("/201", "/202", "/203");
      assert.deepEqual(begun.map(({ path }) => path), ["/201", "/202"]);
    });
  });
}
