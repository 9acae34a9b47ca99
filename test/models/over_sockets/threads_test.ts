/**
 * Threads that are renewed, crash, end themselves or never return: what becomes of the exchanges on them, and of the
 * server. With real threads; what depends on time alone is tested on the virtual clock.
 */

import assert from "node:assert/strict";
import { after, describe, test } from "node:test";
import type { ServeOptions } from "../../../src/api/options.ts";
import { head, HOST } from "../../fixtures/differential.ts";
import { THREAD_ID } from "../../fixtures/models/app.ts";
import { type AppServer, connectFarAway, PORTS_ARE_SHARED, startApp } from "../../fixtures/models/app_server.ts";
import { Peer, until, type Watch, WatchFolder } from "../../fixtures/models/peer.ts";
import { TESTED_MODELS, type TestedModel } from "../../fixtures/models/tested_models.ts";

const THREADED = TESTED_MODELS.filter(({ hasThreads }) => hasThreads);
/** A handler may take so long; a thread that does not return is noticed a while later. */
const HANDLER_TIMEOUT_MS = 200;
/** The handler would take for ever. How soon after its time it gets a 503 is tested on the virtual clock. */
const IN_TIME_MS = 15_000;
/** A thread that is started again after others were lost soon comes back within the first steps of the back-off. */
const RECOVERY_MS = 30_000;

/** Said of the test that needs another loop, on a platform that can't have one. */
const WHY_ONE_LOOP = PORTS_ARE_SHARED ? false : "listeners of several threads can't share a port here";

const folder = new WatchFolder();
after(() => folder.remove());

interface There {
  readonly app: AppServer;
  readonly peer: Peer;
  readonly watch: Watch;
  readonly model: TestedModel;
}

/** Runs a test on a server of its own, which has to have all its threads again when it is over. */
function onThreads(model: TestedModel, options: ServeOptions, run: (there: There) => Promise<void>) {
  return async (): Promise<void> => {
    const app = await startApp(model, options);
    const watch = await folder.watch();
    const peer = await Peer.connect(app.port);
    try {
      await run({ app, peer, watch, model });
      const size = model.options.workers ?? model.options.threads;
      await until(
        () => app.server.stats().threads.ready === size && app.server.stats().activeExchanges === 0,
        () => JSON.stringify(app.server.stats()),
        RECOVERY_MS,
      );
      const next = await Peer.connect(app.port);
      assert.equal((await next.ask("/hello")).content, "hello");
      next.destroy();
    } finally {
      await watch.open();
      peer.destroy();
      await app.server.stop();
    }
    assert.equal(app.server.stats().threads.ready, 0);
  };
}

function post(target: string, watch: Watch): string {
  return head(`POST ${target} HTTP/1.1`, HOST, "Content-Length: 0", ...watch.fieldLines);
}

for (const model of THREADED) {
  describe(`threads, ${model.name}`, () => {
    test(
      "maxRequestsPerThread: threads are renewed, and no request is lost",
      onThreads(model, { maxRequestsPerThread: 5 }, async ({ app, peer }) => {
        const ids = new Set<string>();
        let asked = 0;
        while (app.server.stats().threads.renewed < 2 && asked < 100_000) {
          const { status, content } = await peer.ask("/thread");
          assert.equal(status, 200);
          ids.add(content);
          asked++;
        }
        assert.ok(ids.size >= 2, `${asked} requests were answered by ${ids.size} threads.`);
        const { threads, requests, responses } = app.server.stats();
        assert.ok(asked < 100_000, JSON.stringify(threads));
        assert.deepEqual([threads.lost, requests, responses], [0, asked, asked]);
        assert.deepEqual([app.errors, app.warnings.filter(({ code }) => code !== "workers-busy")], [[], []]);
      }),
    );

    test(
      "an exchange in flight ends on the old thread while others run on the new one",
      onThreads(model, { maxRequestsPerThread: 3 }, async ({ app, peer, watch }) => {
        peer.get("/wait", ...watch.fieldLines);
        await watch.sees("called");
        const other = await Peer.connect(app.port);
        const ids = new Set<string>();
        for (let asked = 0; ids.size < 3 && asked < 100_000; asked++) ids.add((await other.ask("/thread")).content);
        other.destroy();
        await watch.open();
        assert.equal((await peer.response()).content, "waited");
        assert.equal(app.server.stats().threads.lost, 0);
      }),
    );

    test(
      "a handler that never returns: 503 in time, the thread is replaced, and the connection goes on",
      onThreads(model, { handlerTimeout: HANDLER_TIMEOUT_MS }, async ({ app, peer, watch }) => {
        const beganAtMs = performance.now();
        peer.get("/compute-for-ever", ...watch.fieldLines);
        await watch.sees("called");
        const other = await Peer.connect(app.port);
        assert.equal((await other.ask("/hello")).content, "hello");
        other.destroy();
        const { status, content } = await peer.response();
        const tookMs = performance.now() - beganAtMs;
        assert.deepEqual([status, content], [503, "The server did not make a response in time.\n"]);
        assert.ok(tookMs >= HANDLER_TIMEOUT_MS && tookMs < IN_TIME_MS, `It took ${tookMs} ms.`);
        await until(() => app.server.stats().threads.lost === 1, () => JSON.stringify(app.server.stats()));
        await until(() => app.server.stats().threads.ready === 2, () => JSON.stringify(app.server.stats()));
        assert.equal((await peer.ask("/hello")).content, "hello");
        assert.equal(app.server.stats().threads.started, 3);
        assert.deepEqual(watch.lines(), ["called"]);
        assert.deepEqual(app.server.stats().errors, { "handler-timeout": 1 });
        assert.deepEqual(app.warnings.map(({ code }) => code).filter((code) => code !== "workers-busy"), [
          "thread-replaced",
        ]);
      }),
    );

    test(
      "a request that ends its thread gets a 503 and is not repeated, whatever its method, and the server lives",
      onThreads(model, {}, async ({ app, peer, watch }) => {
        peer.get("/crash", ...watch.fieldLines);
        assert.equal((await peer.response(RECOVERY_MS)).status, 503);
        peer.client.send(post("/crash", watch));
        assert.equal((await peer.response(RECOVERY_MS)).status, 503);
        assert.deepEqual(watch.lines(), ["called", "called"]);
        assert.deepEqual(app.errors.map(({ code }) => code), ["thread-crashed", "thread-crashed"]);
        for (const { cause } of app.errors) {
          assert.deepEqual([(cause as Error).name, (cause as Error).message], ["RangeError", "Nobody catches this."]);
        }
        assert.equal(app.server.stats().threads.lost, 2);
      }),
    );

    test(
      "process.exit() ends the thread alone: 503, and the server lives",
      onThreads(model, {}, async ({ app, peer, watch }) => {
        peer.get("/exit", ...watch.fieldLines);
        assert.equal((await peer.response()).status, 503);
        assert.deepEqual(watch.lines(), ["called"]);
        assert.deepEqual(app.errors.map(({ code }) => code), ["thread-crashed"]);
      }),
    );

    test(
      "a response whose thread is lost half-way is cut off",
      onThreads(model, {}, async ({ app, peer, watch }) => {
        peer.client.send(post("/crash-in-stream", watch));
        await peer.client.receiveUntil((received) => received.endsWith("\r\n2\r\nhi\r\n"));
        await watch.open();
        await peer.client.receiveAll().catch(() => {});
        assert.ok(peer.client.received().endsWith("\r\n2\r\nhi\r\n"));
        assert.equal(app.server.stats().threads.lost, 1);
      }),
    );
  });
}

describe("exchanges beside a crash on the same thread, hybrid", () => {
  const model = {
    ...TESTED_MODELS.find(({ options }) => options.model === "hybrid")!,
    options: { model: "hybrid", threads: 1 },
  } as const;

  test(
    "that had begun get a 503 and are not repeated",
    onThreads(model, {}, async ({ app, peer, watch }) => {
      const crashing = await Peer.connect(app.port);
      peer.get("/wait", ...watch.fieldLines);
      await watch.sees("called");
      const crash = await folder.watch();
      crashing.client.send(post("/crash", crash));
      assert.equal((await crashing.response()).status, 503);
      assert.equal((await peer.response()).status, 503);
      assert.deepEqual(watch.lines(), ["called"]);
      crashing.destroy();
    }),
  );
});

describe("a loop that crashes", () => {
  const model = TESTED_MODELS.find(({ hasLoops }) => hasLoops)!;

  test("loses its connections; the others go on, and it is started again", { skip: WHY_ONE_LOOP }, async () => {
    const app = await startApp(model);
    try {
      const here = await nearby(app);
      const far = await connectFarAway(model, app);
      const watch = await folder.watch();
      far.get("/crash", ...watch.fieldLines);
      await far.client.receiveAll().catch(() => {});
      assert.equal((await here.ask("/hello")).content, "hello");
      await until(() => app.errors.length > 0, () => "Nothing was reported.");
      assert.deepEqual(app.errors.map(({ code }) => code), ["thread-crashed"]);
      assert.equal((app.errors[0].cause as Error).message, "Nobody catches this.");
      assert.equal(app.server.stats().loops, 1);
      await until(() => app.server.stats().loops === 2, () => JSON.stringify(app.server.stats()), RECOVERY_MS);
      const again = await connectFarAway(model, app);
      assert.equal((await again.ask("/hello")).content, "hello");
      assert.deepEqual(watch.lines(), ["called"]);
      for (const peer of [here, again, far]) peer.destroy();
    } finally {
      await app.server.stop();
    }
  });
});

/** A connection to the loop of this thread. */
async function nearby(app: AppServer): Promise<Peer> {
  for (let i = 0; i < 64; i++) {
    const peer = await Peer.connect(app.port);
    if ((await peer.ask("/thread")).content === THREAD_ID) return peer;
    peer.destroy();
  }
  throw new Error("Every connection was taken by another loop.");
}
