/**
 * Graceful stop, hard stop and counts, the same under every concurrency model.
 */

import assert from "node:assert/strict";
import { connect } from "node:net";
import { after, describe, test } from "node:test";
import type { ServeOptions } from "../../../src/api/options.ts";
import { Program } from "../../entry/program.ts";
import { get } from "../../fixtures/differential.ts";
import {
  APP_HANDLER,
  type AppServer,
  connectFarAway,
  PORTS_ARE_SHARED,
  runsElsewhere,
  startApp,
} from "../../fixtures/models/app_server.ts";
import type { Deed } from "../../fixtures/models/server_process.ts";
import { Peer, until, type Watch, WatchFolder } from "../../fixtures/models/peer.ts";
import { serveUnder, TESTED_MODELS, type TestedModel } from "../../fixtures/models/tested_models.ts";

/** A deadline that no stop of these tests is to wait for, and half of it, which no machine is too busy for. */
const FAR_MS = 60_000;
const SOON_MS = FAR_MS / 2;
const LOOK_INTERVAL_MS = 20;
const PROCESS = new URL("../../fixtures/models/server_process.ts", import.meta.url);

const folder = new WatchFolder();
after(() => folder.remove());

/** Runs a test on a server of its own, with a connection far away, and stops what is left. */
function onServer(
  model: TestedModel,
  options: ServeOptions,
  run: (app: AppServer, peer: Peer, watch: Watch) => Promise<void>,
) {
  return async (): Promise<void> => {
    const app = await startApp(model, options);
    const watch = await folder.watch();
    const peer = await connectFarAway(model, app);
    try {
      // Those that came to another loop than wanted are gone.
      await until(() => app.server.stats().connections.open === 1, () => JSON.stringify(app.server.stats()));
      await run(app, peer, watch);
    } finally {
      await watch.open();
      peer.destroy();
      await app.server.stop();
    }
    const { state, threads, loops, connections, activeExchanges } = app.server.stats();
    assert.deepEqual([state, threads.ready, loops, connections.open, activeExchanges], ["stopped", 0, 1, 0, 0]);
  };
}

/** Whether the system refuses a connection to this port. */
function isRefused(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ port, host: "127.0.0.1" });
    socket.once("connect", () => {
      socket.destroy();
      resolve(false);
    });
    socket.once("error", () => resolve(true));
  });
}

for (const model of TESTED_MODELS) {
  describe(`stopping, ${model.name}`, () => {
    test(
      "graceful: what is in flight, begun, idle or in line is answered once more, and nothing new is accepted",
      onServer(model, {}, async (app, peer, watch) => {
        const { server } = app;
        peer.get("/wait", ...watch.fieldLines);
        await watch.sees("called");
        const others = await Promise.all([1, 2, 3].map(() => Peer.connect(app.port)));
        const before = server.stats().bytesReceived;
        const head = get("/hello").slice(0, -2);
        for (const { client } of others.slice(1)) client.send(head);
        const sent = 2 * head.length;
        const isThere = (): boolean => server.stats().bytesReceived >= before + sent;
        await until(() => server.stats().connections.open === 4 && isThere(), () => JSON.stringify(server.stats()));

        const stopping = server.shutdown();
        const { draining, state } = server.stats();
        assert.deepEqual([draining, state], [true, "draining"]);
        // From then on every loop has heard of the stop.
        await untilRefused(app.port);
        others[0].client.send(head);
        for (const { client } of others) client.send("\r\n");
        assert.equal(server.stats().state, "draining");
        await watch.open();
        const response = await peer.response();
        assert.deepEqual([response.status, response.content], [200, "waited"]);
        assert.match(response.head, /^connection: close$/im);
        peer.destroy();
        for (const other of others) {
          assert.match(await other.rest(), /^HTTP\/1\.1 200 OK\r\n[^]*\r\nConnection: close\r\n[^]*hello$/);
          other.destroy();
        }
        const report = await stopping;
        // Some of those that tried whether it still accepts may have been taken.
        assert.ok(report.drained >= 4, `${report.drained}`);
        assert.equal(report.aborted, 0);
      }),
    );

    test(
      "at its deadline what is left is aborted, and the handler hears of it",
      onServer(model, {}, async ({ server }, peer, watch) => {
        peer.get("/until-aborted", ...watch.fieldLines);
        await watch.sees("called");
        const stopping = server.shutdown({ timeout: 100 });
        assert.deepEqual([server.stats().state, server.stats().draining], ["draining", true]);
        const report = await stopping;
        assert.deepEqual([report.drained, report.aborted], [0, 1]);
        assert.ok(report.durationMs >= 95, `It took ${report.durationMs} ms.`);
        await watch.sees("aborted: TrivetError shutdown-timeout");
        await peer.client.receiveAll().catch(() => {});
        assert.deepEqual([peer.client.state === "open", server.stats().draining], [false, false]);
      }),
    );

    test(
      "twice is once, and stop() during shutdown() cuts off at once",
      onServer(model, {}, async ({ server }, peer, watch) => {
        peer.get("/wait", ...watch.fieldLines);
        await watch.sees("called");
        const stopping = [server.shutdown({ timeout: FAR_MS }), server.shutdown()];
        const report = await server.stop();
        assert.deepEqual([report.drained, report.aborted], [0, 1]);
        assert.ok(report.durationMs < SOON_MS, `It took ${report.durationMs} ms.`);
        assert.deepEqual(await Promise.all(stopping), [report, report]);
        assert.deepEqual(await server.shutdown(), report);
        await server.finished;
      }),
    );

    test(
      "a stream that goes on ends itself when its handler hears of the stop, and nothing is cut off",
      onServer(model, {}, async ({ server }, peer, watch) => {
        peer.get("/until-draining", ...watch.fieldLines);
        await watch.sees("called");
        await peer.client.receiveUntil((received) => received.includes("first "));
        const stopping = server.shutdown({ timeout: FAR_MS });
        assert.equal((await peer.response()).content, "first last");
        await watch.sees("draining: TrivetError draining");
        peer.destroy();
        const report = await stopping;
        assert.equal(report.aborted, 0);
        assert.ok(report.durationMs < SOON_MS, `It took ${report.durationMs} ms.`);
      }),
    );

    test("before it listens, it never does", async () => {
      const server = serveUnder(model, { port: 0, hostname: "127.0.0.1", onListen: () => {} }, APP_HANDLER);
      const [report] = await Promise.all([server.shutdown(), server.ready()]);
      assert.deepEqual([report.drained, report.aborted], [0, 0]);
      assert.deepEqual([server.stats().state, server.stats().threads.ready], ["stopped", 0]);
    });

    test("the signal stops it", async () => {
      const controller = new AbortController();
      const { server, port } = await startApp(model, { signal: controller.signal });
      controller.abort();
      await server.finished;
      assert.deepEqual([server.stats().state, await isRefused(port)], ["stopped", true]);
    });

    test(
      "stats() tell what there is and what it does",
      onServer(model, {}, async (app, peer, watch) => {
        const { server } = app;
        peer.get("/wait", ...watch.fieldLines);
        await watch.sees("called");
        await until(() => server.stats().activeExchanges === 1, () => JSON.stringify(server.stats()));
        const { state, draining, model: name, workers, threads, loops, queue, connections } = server.stats();
        assert.deepEqual([state, draining, name], ["listening", false, model.options.model]);
        assert.deepEqual([workers, threads, loops], expectedCounts(model));
        assert.deepEqual([queue.waiting, queue.refused, connections.open], [0, 0, 1]);
        await watch.open();
        assert.equal((await peer.response()).content, "waited");
        peer.destroy();
        await until(() => server.stats().connections.open === 0, () => JSON.stringify(server.stats()));
        const { requests, responses, bytesReceived, bytesSent, errors } = server.stats();
        assert.equal(responses, requests);
        assert.ok(requests >= (runsElsewhere(model) ? 2 : 1));
        assert.ok(bytesReceived > 50 && bytesSent > 50);
        assert.deepEqual(errors, {});
      }),
    );
  });
}

describe("a process whose servers of every model have stopped ends by itself", () => {
  const deeds: readonly (readonly [Deed, readonly string[], isTried?: (model: TestedModel) => boolean])[] = [
    ["shutdown", ["hello", "stopped, 0 aborted"]],
    ["stop with a request in flight", ["stopped, 1 aborted"]],
    ["unref", ["hello"]],
    ["stop a thread that computes", ["stopped, 1 aborted"], ({ hasThreads }) => hasThreads],
  ];
  for (const [deed, lines, isTried = () => true] of deeds) {
    test(deed, async () => {
      const names = TESTED_MODELS.filter(isTried).map(({ name }) => name);
      const { fieldLines: [journal] } = await folder.watch();
      const program = new Program(PROCESS, [deed, journal.slice("X-Journal: ".length), ...names]);
      const { code, signal, output, errors } = await program.ended;
      const expected = names.flatMap((name) => lines.map((line) => `${name}: ${line}`));
      assert.deepEqual([code, signal, output, errors], [0, null, expected, []]);
    });
  }
});

describe("what waits in a queue when a graceful stop begins has its turn", () => {
  for (const model of TESTED_MODELS.filter(({ options }) => options.model !== "event-driven")) {
    const { model: name } = model.options;
    const one: ServeOptions = name === "worker-pool" ? { workers: 1 } : name === "hybrid" ? { threads: 1 } : {};
    test(model.name, async () => {
      const app = await startApp(model, one);
      const { server } = app;
      const watch = await folder.watch();
      const peer = await Peer.connect(app.port);
      try {
        // A handler that waits keeps its worker, and one that computes its thread.
        const isHybrid = name === "hybrid";
        peer.get(isHybrid ? "/compute?ms=400" : "/wait", ...watch.fieldLines);
        await watch.sees("called");
        const queued = await Promise.all([1, 2, 3, 4].map(() => Peer.connect(app.port)));
        for (const other of queued) other.get("/hello");
        await until(() => server.stats().connections.open === 5, () => JSON.stringify(server.stats()));
        // A thread is given a little more than it does, so that it never waits for its next call; that one counts too
        // once the thread is held up.
        await until(() => server.stats().queue.waiting >= 3, () => JSON.stringify(server.stats()));
        const stopping = server.shutdown();
        await watch.open();
        assert.equal((await peer.response()).content, isHybrid ? "computed" : "waited");
        for (const other of queued) {
          assert.match(await other.rest(), /^HTTP\/1\.1 200 OK\r\n[^]*\r\nConnection: close\r\n[^]*hello$/);
          other.destroy();
        }
        peer.destroy();
        const report = await stopping;
        assert.deepEqual([report.drained, report.aborted], [5, 0]);
      } finally {
        await watch.open();
        await server.stop();
      }
    });
  }
});

describe("a full queue", () => {
  for (const model of TESTED_MODELS.filter(({ options }) => options.model !== "event-driven")) {
    const { model: name } = model.options;
    const one: ServeOptions = name === "worker-pool" ? { workers: 1 } : name === "hybrid" ? { threads: 1 } : {};
    test(`${model.name}: 503 with Retry-After and a close, a warning, and nothing is lost`, async () => {
      const app = await startApp(model, { ...one, maxQueue: 1, retryAfter: 7 });
      const { server } = app;
      const watch = await folder.watch();
      const peer = await Peer.connect(app.port);
      try {
        const isHybrid = name === "hybrid";
        peer.get(isHybrid ? "/compute?ms=400" : "/wait", "Connection: close", ...watch.fieldLines);
        await watch.sees("called");
        const others = await Promise.all([1, 2, 3, 4].map(() => Peer.connect(app.port)));
        for (const other of others) other.get("/hello", "Connection: close");
        // One waits; in the model "hybrid" the thread may have been given one more before it was known to be held up.
        const minRefused = isHybrid ? 2 : 3;
        await until(() => server.stats().queue.refused >= minRefused, () => JSON.stringify(server.stats()));
        await watch.open();
        const answers = await Promise.all(others.map((other) => other.rest()));
        const refused = answers.filter((answer) => answer.startsWith("HTTP/1.1 503"));
        assert.ok(refused.length >= minRefused && refused.length <= 3, `${refused.length}`);
        for (const answer of refused) {
          assert.match(answer, /\r\nretry-after: 7\r\n/);
          assert.match(answer, /\r\nConnection: close\r\n/);
        }
        for (const answer of answers) if (!refused.includes(answer)) assert.match(answer, /hello$/);
        assert.match(await peer.rest(), /(?:computed|waited)$/);
        assert.equal(server.stats().queue.refused, refused.length);
        assert.equal(server.stats().errors["queue-full"], refused.length);
        assert.equal(app.warnings.filter(({ code }) => code === "queue-full").length, 1);
        for (const other of [peer, ...others]) other.destroy();
        assert.equal((await server.shutdown()).aborted, 0);
      } finally {
        await watch.open();
        await server.stop();
      }
    });
  }
});

async function untilRefused(port: number): Promise<void> {
  const giveUpAtMs = performance.now() + SOON_MS;
  while (!await isRefused(port)) {
    assert.ok(performance.now() < giveUpAtMs, "Connections are still accepted.");
    // The listener closes once its queue is empty, which one attempt behind another would prevent.
    await new Promise((resolve) => setTimeout(resolve, LOOK_INTERVAL_MS));
  }
}

function expectedCounts({ options: { model, workers, threads, loops } }: TestedModel): readonly unknown[] {
  const none = { ready: 0, started: 0, lost: 0, renewed: 0 };
  switch (model) {
    case "blocking":
      return [{ total: 1, busy: 1 }, none, 1];
    case "worker-pool":
      return [{ total: workers, busy: 1 }, workers === 2 ? { ...none, ready: 2, started: 2 } : none, 1];
    case "hybrid":
      return [{ total: threads, busy: 1 }, { ...none, ready: threads, started: threads }, 1];
    default:
      return [{ total: 0, busy: 0 }, none, PORTS_ARE_SHARED ? loops ?? 1 : 1];
  }
}
