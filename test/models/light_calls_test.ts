/** The model "hybrid": light calls beside handlers that compute for long, DESIGN section 4. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { get, statuses, text } from "../support/memory_server.ts";
import { type HandlerPlace, startThreadServer, type ThreadServer } from "../support/thread_server.ts";

const COMPUTE_MS = 100;
const COMPUTE_LONG_MS = 60_000;

function compute(request: Request, place: HandlerPlace): Response {
  if (request.url.endsWith("/compute")) place.compute(COMPUTE_MS);
  if (request.url.endsWith("/compute-long")) place.compute(COMPUTE_LONG_MS);
  return text("done");
}

/** Makes so many calls at a time, so often: threads are known to begin them fast. */
async function callOften({ connect, until }: ThreadServer, atATime: number, often: number): Promise<void> {
  for (let i = 0; i < often; i++) {
    const peers = Array.from({ length: atATime }, () => connect());
    for (const peer of peers) peer.send(get());
    await until(() => peers.every((peer) => statuses(peer.received())[0] === 200));
    for (const peer of peers) peer.reset();
  }
}

/** How many answers each thread has sent at most in one batch, of twenty calls that came in one turn. */
async function mostAnswersAtOnce(server: ThreadServer): Promise<number[]> {
  server.batches.length = 0;
  await callOften(server, 20, 1);
  return server.threads.map((_, index) =>
    Math.max(
      ...server.batches
        .filter(({ thread, way }) => thread === index + 1 && way === "from")
        .map(({ kinds }) => kinds.filter((kind) => kind === "answer").length),
    )
  );
}

describe("a light call", () => {
  test("is answered before the next is begun, on each thread, while handlers are likely to compute", async () => {
    const server = await startThreadServer(compute, { model: "hybrid", threads: 2 });
    await callOften(server, 20, 100);
    assert.deepEqual(await mostAnswersAtOnce(server), [10, 10], "until then they travel together");
    await server.send(get("/compute"));
    assert.deepEqual(await mostAnswersAtOnce(server), [1, 1]);
    await server.clock.advance(5 * COMPUTE_MS);
    await callOften(server, 20, 100);
    assert.deepEqual(await mostAnswersAtOnce(server), [10, 10], "none has computed for a while");
  });

  test("travels with others again a second after a handler has computed, however long that took", async () => {
    const server = await startThreadServer(compute, { model: "hybrid", threads: 2 });
    await callOften(server, 20, 100);
    await server.send(get("/compute-long"));
    await server.clock.advance(900);
    assert.deepEqual(await mostAnswersAtOnce(server), [1, 1], "another one is likely to compute");
    await server.clock.advance(100);
    await callOften(server, 20, 100);
    assert.deepEqual(await mostAnswersAtOnce(server), [10, 10]);
  });

  test("goes to a thread that waits for one, and not to one that may compute because it has fewer", async () => {
    const held: number[] = [];
    const server = await startThreadServer(({ url }, { number }) => {
      if (!url.endsWith("/hold")) return text("done");
      held.push(number);
      return new Promise(() => {});
    }, { model: "hybrid", threads: 2 });
    await callOften(server, 20, 100);
    await server.send(get("/hold"));
    await server.send(get("/hold"));
    assert.deepEqual(held, [1, 2]);
    server.threads[0].freeze();
    // One is given to the first thread in good faith.
    for (let i = 0; i < 6; i++) await server.send(get("/hold"));
    assert.deepEqual(held, [1, 2, 2, 2, 2, 2, 2]);
  });

  test("that was computed until the server has stopped leaves nothing that watches threads", async () => {
    const { server, clock, threads, send } = await startThreadServer((request, place) => {
      place.thread.freeze();
      return compute(request, place);
    }, { model: "hybrid", threads: 1 });
    await send(get("/compute"));
    const stopped = server.stop();
    threads[0].thaw();
    await clock.settle();
    await stopped;
    assert.equal(clock.pendingCount, 0);
  });

  test("is no longer watched for when every thread is idle", async () => {
    const server = await startThreadServer(compute, { model: "hybrid", threads: 2 });
    const { pendingCount } = server.clock;
    await callOften(server, 20, 1);
    assert.equal(server.clock.pendingCount, pendingCount + 1);
    await server.clock.advance(10);
    assert.equal(server.clock.pendingCount, pendingCount);
  });

  test("that has waited longest behind computing threads is the first that is begun elsewhere", async () => {
    const begun: string[] = [];
    const server = await startThreadServer(({ url }, { thread }) => {
      const { pathname } = new URL(url);
      begun.push(pathname);
      if (pathname === "/hold") thread.freeze();
      return text("done");
    }, { model: "hybrid", threads: 3 });
    for (let i = 0; i < 3; i++) await server.send(get("/hold"));
    await server.clock.advance(10);
    for (const path of ["/first", "/second", "/third"]) {
      await server.send(get(path));
      await server.clock.advance(10);
    }
    begun.length = 0;
    server.threads[2].thaw();
    await server.clock.advance(10);
    assert.deepEqual(begun, ["/third", "/first", "/second"], "its own, and then the others in their order");
  });

  test("that waits while every thread computes is warned of", async () => {
    const server = await startThreadServer(compute, { model: "hybrid", threads: 2 });
    for (const thread of server.threads) thread.freeze();
    for (let i = 0; i < 5; i++) await server.send(get());
    await server.clock.advance(600);
    assert.deepEqual(server.warned, ["workers-busy"]);
  });
});
