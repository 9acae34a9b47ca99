/** A port that several loops share is not shared with another server, unless that was asked for. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { serve, type ServeOptions } from "../../mod.ts";
import { detectRuntime } from "../../runtime/detect.ts";

const module = new URL("../fixtures/handlers_module.ts", import.meta.url);
const WHERE = { hostname: "127.0.0.1", onListen: () => {}, onWarning: () => {}, module } as const;
const runtime = detectRuntime();
const whyNotShared = runtime.whyNotShared({
  hostname: "127.0.0.1",
  port: 0,
  unixPath: undefined,
  tcpBacklog: undefined,
  reusePort: true,
  tls: undefined,
});

function start(port: number, options: ServeOptions) {
  return serve({ ...WHERE, port, ...options }).ready();
}

describe("a port that a server with two loops listens at", () => {
  for (const [name, options] of [["two loops", { loops: 2 }], ["one loop", {}]] as const) {
    test(`is taken for a server with ${name}`, async () => {
      const first = await start(0, { loops: 2 });
      try {
        await assert.rejects(start(first.port, options), (error: Error & { code?: string }) => {
          assert.equal(error.code, "listen-failed");
          assert.equal((error.cause as { code?: string }).code, "EADDRINUSE");
          return true;
        });
        assert.equal((await fetch(`${first.url}text`, { headers: { connection: "close" } })).status, 200);
      } finally {
        await first.stop();
      }
    });
  }

  test("is free when that has stopped, and a client finds the next server there", async () => {
    const first = await start(0, { loops: 2 });
    const { port } = first;
    await first.stop();
    const second = await start(port, { loops: 2 });
    assert.equal(second.port, port);
    assert.equal((await fetch(`${second.url}text`, { headers: { connection: "close" } })).status, 200);
    await second.stop();
  });

  test("is shared with a server that asks for it", { skip: whyNotShared ?? false }, async () => {
    const first = await start(0, { loops: 2, reusePort: true });
    const second = await start(first.port, { loops: 2, reusePort: true });
    assert.equal(second.port, first.port);
    await Promise.all([first.stop(), second.stop()]);
  });

  test("is not shared by one loop with a server of one loop", async () => {
    const first = await start(0, {});
    await assert.rejects(start(first.port, { loops: 2 }), { code: "listen-failed" });
    await first.stop();
  });
});
