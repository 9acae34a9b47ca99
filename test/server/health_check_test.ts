/** `healthPath`: a load balancer is answered by the event loop, whatever the model, also when its connection waits in line. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { ServeOptions } from "../../src/api/options.ts";
import { get, post, startMemoryServer, statuses, text } from "../support/memory_server.ts";

const MODELS: readonly ServeOptions[] = [{ model: "blocking" }, { model: "worker-pool", workers: 1 }];

/** A server whose one worker is taken, so that every further connection waits. */
async function startBusy(options: ServeOptions) {
  const started = await startMemoryServer(() => new Promise(() => {}), { healthPath: "/health", ...options });
  await started.send(get("/served"));
  return started;
}

for (const options of MODELS) {
  describe(`a connection that waits in the line of the model ${options.model}`, () => {
    const checks: readonly (readonly [name: string, pieces: readonly string[], content: string])[] = [
      ["GET", [get("/health")], "ok\n"],
      ["HEAD", [get("/health").replace("GET", "HEAD")], ""],
      ["GET with a query", [get("/health?deep")], "ok\n"],
      ["GET in pieces", [get("/health").slice(0, 7), get("/health").slice(7)], "ok\n"],
      ["GET byte by byte", [...get("/health")], "ok\n"],
      ["GET of HTTP/1.0", ["GET /health HTTP/1.0\r\n\r\n"], "ok\n"],
    ];
    for (const [name, pieces, content] of checks) {
      test(`is answered at once when it is a health check, and closed: ${name}`, async () => {
        const { send, clock, server } = await startBusy(options);
        const peer = await send(...pieces);
        assert.deepEqual(statuses(peer.received()), [200]);
        assert.match(peer.received(), /\r\nConnection: close\r\n/);
        assert.ok(peer.received().endsWith(`\r\n\r\n${content}`));
        assert.equal(peer.serverSide, "ended");
        peer.end();
        await clock.settle();
        const { queue, connections } = server.stats();
        assert.deepEqual([queue.waiting, connections.open, connections.refused], [0, 1, 0]);
      });
    }

    const others: readonly (readonly [name: string, pieces: readonly string[]])[] = [
      ["another path", [get("/healthy")]],
      ["another method", [post("/health", 0)]],
      ["a head that is not whole", [get("/health").slice(0, -1)]],
      ["a head that can't be understood", ["GET /health HTTP/1.1\r\n\r\n"]],
      ["a health check behind another request", [get("/a") + get("/health")]],
      ["a health check with another request behind it", [get("/health") + get("/a")]],
      ["a long head", [get("/health", `X: ${"x".repeat(4_096)}`)]],
    ];
    for (const [name, pieces] of others) {
      test(`waits on with anything else: ${name}`, async () => {
        const { send, server } = await startBusy(options);
        const peer = await send(...pieces);
        assert.deepEqual([peer.received(), peer.serverSide], ["", "open"]);
        assert.equal(server.stats().queue.waiting, 1);
        await server.stop();
      });
    }

    test("leaves the others in line in their order", async () => {
      const called: string[] = [];
      const { send, clock, server } = await startMemoryServer((request) => {
        called.push(new URL(request.url).pathname);
        return called.length === 1 ? new Promise(() => {}) : text("hello");
      }, { healthPath: "/health", ...options });
      const served = await send(get("/0"));
      const [first, check, second] = [await send(get("/1")), await send(get("/health")), await send(get("/2"))];
      assert.deepEqual([first, check, second].map((peer) => statuses(peer.received())), [[], [200], []]);
      served.reset();
      await clock.settle();
      first.end();
      await clock.settle();
      assert.deepEqual(called, ["/0", "/1", "/2"]);
      assert.deepEqual([first, second].map((peer) => statuses(peer.received())), [[200], [200]]);
      await server.stop();
    });
  });
}

test("a health check on a server that drains is answered with 503, also before its turn", async () => {
  const { send, server, clock } = await startBusy({ model: "blocking" });
  const waiting = await send("GET");
  const report = server.shutdown();
  waiting.send(get("/health").slice(3));
  await clock.settle();
  assert.deepEqual(statuses(waiting.received()), [503]);
  await server.stop();
  await report;
});
