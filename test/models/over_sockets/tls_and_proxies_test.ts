/**
 * TLS and proxies under the models whose handlers, or whose loops, are on other threads: what a handler is told crosses to
 * them, and new certificates reach every loop.
 */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { serve, type ServeModule, type Server } from "../../../mod.ts";
import { detectRuntime } from "../../../runtime/detect.ts";
import { ask, OTHER_PAIR, pathsIn, SERVER, withFolder, writePair } from "../../fixtures/tls_features.ts";
import { TEST_AUTHORITY, TEST_CLIENT_CERT, TEST_CLIENT_KEY } from "../../support/test_certificates.ts";

const MODULE = new URL("../../fixtures/models/tells_tls.ts", import.meta.url).href.replace(
  /\.ts$/,
  import.meta.url.slice(-3),
);
const HEADER = "PROXY TCP4 192.0.2.1 198.51.100.1 12345 443\r\n";
const CLIENT = { cert: TEST_CLIENT_CERT, key: TEST_CLIENT_KEY };

const MODELS: Readonly<Record<string, Partial<ServeModule>>> = {
  "event-driven": {},
  "event-driven with two loops": { loops: 2 },
  "hybrid": { model: "hybrid", threads: 2 },
  "worker-pool": { model: "worker-pool", workers: 2 },
};

async function start(options: Partial<ServeModule>): Promise<Server> {
  return await serve({
    port: 0,
    hostname: "127.0.0.1",
    onListen: () => {},
    onWarning: () => {},
    module: MODULE,
    tls: SERVER,
    ...options,
  }).ready();
}

describe(`TLS and proxies on ${detectRuntime().name}`, () => {
  for (const [name, model] of Object.entries(MODELS)) {
    test(`tell the handler of the client, its certificate and its proxy: ${name}`, async () => {
      const server = await start({
        ...model,
        tls: { ...SERVER, ca: TEST_AUTHORITY },
        proxyProtocol: { from: "loopback" },
        trustProxy: { from: ["192.0.2.0/24"] },
      });
      try {
        const told = await ask(server.port, CLIENT, HEADER);
        assert.deepEqual(JSON.parse(told.body), {
          remote: "192.0.2.1",
          peer: "127.0.0.1",
          url: "https://a.test/",
          protocol: "TLSv1.3",
          subject: "CN=Trivet test client",
          rawBytes: 403,
        });
      } finally {
        await server.stop();
      }
    });

    test(`take new certificates on every loop: ${name}`, () =>
      withFolder(async (folder) => {
        const server = await start({ ...model, tls: pathsIn(folder) });
        try {
          writePair(folder, OTHER_PAIR);
          assert.equal(await server.reloadTls(), true);
          for (let i = 0; i < 16; i++) assert.equal((await ask(server.port)).server, "other.test");
          writePair(folder, { cert: OTHER_PAIR.cert, key: SERVER.key });
          await assert.rejects(server.reloadTls(), { code: "tls-invalid", message: /tls\.key does not match/ });
          assert.equal((await ask(server.port)).server, "other.test");
        } finally {
          await server.stop();
        }
        await assert.rejects(server.reloadTls(), { code: "not-listening" });
      }));
  }

  test("a server without TLS has nothing to read anew", async () => {
    const server = await start({ tls: undefined });
    await assert.rejects(server.reloadTls(), TypeError);
    await server.stop();
  });
});
