/** How handlers learn that their server stops: `info.draining`. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { HandlerInfo } from "../../src/api/handler.ts";
import type { Server } from "../../src/api/server.ts";
import { createGate, get, startMemoryServer, statuses, text } from "../support/memory_server.ts";
import { startThreadServer } from "../support/thread_server.ts";

/** A server whose handler gives each `info` away. */
async function start() {
  const infos: HandlerInfo[] = [];
  const gate = createGate();
  const started = await startMemoryServer(async (_request, info) => {
    infos.push(info);
    await gate.opened;
    return text("hello");
  });
  return { ...started, infos, open: () => gate.open() };
}

describe("the signal of a server that stops", () => {
  test("is one for all requests, and aborts once", async () => {
    const { send, server, infos, open, clock } = await start();
    const peers = [await send(get()), await send(get())];
    const [{ draining }, other] = infos;
    assert.equal(draining, other.draining);
    assert.equal(draining.aborted, false);
    let heard = 0;
    draining.addEventListener("abort", () => heard++);
    const report = server.shutdown();
    assert.deepEqual([draining.aborted, draining.reason.code, heard], [true, "draining", 1]);
    open();
    for (const peer of peers) peer.end();
    await clock.settle();
    await report;
    assert.deepEqual([heard, peers.map((peer) => statuses(peer.received()))], [1, [[200], [200]]]);
  });

  test("has aborted already for a handler that asks late, with the same reason", async () => {
    const { send, server, infos } = await start();
    await send(get());
    const report = server.shutdown();
    const { draining } = infos[0];
    assert.deepEqual([draining.aborted, draining.reason.code], [true, "draining"]);
    await server.stop();
    await report;
  });

  test("does not abort because one client leaves", async () => {
    const { send, clock, server, infos } = await start();
    const peer = await send(get());
    const { draining } = infos[0];
    peer.reset();
    await clock.settle();
    assert.equal(draining.aborted, false);
    await server.stop();
    assert.equal(draining.aborted, true, "stop() is a stop too");
  });

  test("may be what stops the server at once", async () => {
    let server: Server | null = null;
    const started = await startMemoryServer((_request, { draining }) => {
      draining.addEventListener("abort", () => void server!.stop());
      return new Promise(() => {});
    });
    server = started.server;
    await started.send(get());
    assert.deepEqual(await server.shutdown(), { drained: 0, aborted: 1, durationMs: 0 });
    assert.equal(started.clock.pendingCount, 0);
  });

  test("costs nothing for handlers that do not ask: no AbortController is made", async () => {
    const { AbortController: Original } = globalThis;
    let made = 0;
    globalThis.AbortController = class extends Original {
      constructor() {
        super();
        made++;
      }
    };
    try {
      const { send, server } = await startMemoryServer(() => text("hello"));
      await send(get());
      await server.stop();
      assert.equal(made, 0);
    } finally {
      globalThis.AbortController = Original;
    }
  });
});

describe("the signal on threads", () => {
  for (const model of ["hybrid", "worker-pool"] as const) {
    test(`aborts on every thread of the model ${model}`, async () => {
      const signals = new Map<number, AbortSignal>();
      const started = await startThreadServer((_request, { number }, { draining }) => {
        signals.set(number, draining);
        return new Promise(() => {});
      }, { model, ...(model === "hybrid" ? { threads: 2 } : { workers: 2 }) });
      const { send, server, until, clock } = started;
      await send(get());
      await send(get());
      await until(() => signals.size === 2);
      const report = server.shutdown();
      await until(() => [...signals.values()].every((signal) => signal.aborted));
      assert.deepEqual([...signals.values()].map(({ reason }) => reason.code), ["draining", "draining"]);
      server.stop();
      await clock.advance(1_000);
      await report;
    });
  }

  test("has aborted on a thread that takes the place of another one during the stop", async () => {
    const seen: [number, boolean][] = [];
    const started = await startThreadServer((_request, { number }, { draining }) => {
      seen.push([number, draining.aborted]);
      return new Promise(() => {});
    }, { model: "hybrid", threads: 1, handlerTimeout: 1_000 });
    const { send, server, threads, until, clock } = started;
    // The call begun last is blamed for a thread that does not answer; the one before it is made again.
    await send(get("/innocent"));
    await until(() => seen.length === 1);
    await send(get("/suspect"));
    await until(() => seen.length === 2);
    const report = server.shutdown();
    await clock.settle();
    threads[0].freeze();
    await clock.advance(2_000);
    await until(() => seen.length === 3);
    assert.deepEqual(seen, [[1, false], [1, false], [2, true]]);
    server.stop();
    await clock.advance(1_000);
    await report;
  });
});
