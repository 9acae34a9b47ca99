/** HTTP over TLS: the same exchanges, on connections that reach the core decrypted. */

import assert from "node:assert/strict";
import { type AddressInfo, connect, createServer } from "node:net";
import { describe, test } from "node:test";
import { type Handler, HttpResponse, serve } from "../../mod.ts";
import type { ServeOptions } from "../../src/api/options.ts";
import type { Server } from "../../src/api/server.ts";
import { get, okText, post } from "../fixtures/differential.ts";
import { handler } from "../fixtures/handlers.ts";
import { createGate } from "../support/memory_server.ts";
import { connectRaw } from "../support/raw_client.ts";
import { failureOf, PATIENT, SERVER, TLS_FAULTS, TLS_FEATURES, withFolder } from "../fixtures/tls_features.ts";
import { TEST_AUTHORITY } from "../support/test_certificates.ts";

const MIB = 1024 * 1024;
const IMF_FIXDATE = /^Date: .*GMT\r$/gm;
const CLIENT = { ca: TEST_AUTHORITY };

function start(handler: Handler, options: ServeOptions = {}): Promise<Server> {
  return serve({ port: 0, hostname: "127.0.0.1", onListen: () => {}, tls: SERVER, ...options }, handler).ready();
}

describe("a server with TLS", () => {
  test("has an https URL, and hands it to the handler", async () => {
    const server = await start(handler);
    assert.equal(server.url, `https://127.0.0.1:${server.port}/`);
    const client = await connectRaw({ port: server.port, tls: CLIENT });
    client.send(get("/target?a=b"));
    const received = await client.receiveUntil((received) => received.endsWith("a=b"));
    assert.equal(received.replace(IMF_FIXDATE, "Date: <date>\r"), okText("GET https://a.test/target?a=b"));
    client.destroy();
    await server.shutdown();
  });

  test("answers pipelined requests, streams and a last one with a close", async () => {
    const server = await start(handler);
    const client = await connectRaw({ port: server.port, tls: CLIENT });
    client.send(get("/text") + get("/chunks") + post("/echo", "Content-Length: 5", "Connection: close") + "hello");
    const received = await client.receiveAll();
    assert.deepEqual([...received.matchAll(/HTTP\/1\.1 (\d+)/g)].map((match) => match[1]), ["200", "200", "200"]);
    assert.ok(received.endsWith("\r\n\r\nhello"));
    client.end();
    assert.equal((await server.shutdown()).aborted, 0);
  });

  test("takes and sends more than a record holds", async () => {
    const server = await start(async (request) => new HttpResponse(await request.bytes()));
    const client = await connectRaw({ port: server.port, tls: CLIENT });
    const content = new Uint8Array(MIB).map((_, at) => at * 31 % 251);
    client.send(post("/", `Content-Length: ${MIB}`, "Connection: close"));
    client.send(content);
    await client.receiveAll();
    assert.deepEqual(client.bytes().slice(-MIB), content);
    client.end();
    await server.shutdown();
  });

  test("lets go at once of a client that leaves within its handshake", async () => {
    const server = await start(handler, PATIENT);
    const client = await connectRaw({ port: server.port });
    client.send(new Uint8Array([0x16, 0x03, 0x01]));
    client.end();
    await client.receiveAll().catch(() => assert.notEqual(client.cause, null));
    client.destroy();
    await server.shutdown();
  });

  test("closes what does not speak TLS, and goes on", async () => {
    const server = await start(handler, PATIENT);
    const plain = await connectRaw({ port: server.port });
    plain.send(get("/text"));
    await plain.receiveAll().catch(() => assert.notEqual(plain.cause, null));
    assert.doesNotMatch(plain.received(), /HTTP/);
    plain.destroy();
    const client = await connectRaw({ port: server.port, tls: CLIENT });
    client.send(get("/text", "Connection: close"));
    assert.match(await client.receiveAll(), /hello$/);
    client.end();
    await server.shutdown();
  });

  const RECORDS = { "of no type": [0x47, 3, 3, 0, 40], "that no key has encrypted": [23, 3, 3, 0, 40] };
  for (const [what, head] of Object.entries(RECORDS)) {
    test(`is done with a client from which a record comes ${what}`, async () => {
      const begun = createGate();
      const failed = createGate<unknown>();
      const server = await start(async (request) => {
        begun.open();
        await request.text().catch(({ code }) => failed.open(code));
        return new HttpResponse("too late");
      }, PATIENT);
      const relay = await startRelay(server.port);
      const client = await connectRaw({ port: relay.port, tls: CLIENT });
      client.send(post("/", "Content-Length: 5") + "hel");
      await begun.opened;
      relay.inject(Uint8Array.of(...head, ...Array(40).fill(7)));
      await relay.isCut;
      assert.equal(await failed.opened, "peer-disconnected");
      client.destroy();
      await server.shutdown({ closeIdle: true });
    });
  }
});

/** Stands between a client and a server, and may say something of its own to the server. */
async function startRelay(port: number) {
  const far = connect({ port, host: "127.0.0.1" });
  const isCut = new Promise<void>((resolve) => far.on("error", () => {}).on("close", () => resolve()));
  const relay = createServer((near) => {
    near.on("data", (bytes) => void far.write(bytes)).on("error", () => {});
    far.on("data", (bytes) => void near.write(bytes)).on("close", () => near.destroy());
    relay.close();
  });
  await new Promise<void>((resolve) => relay.listen(0, "127.0.0.1", resolve));
  return {
    port: (relay.address() as AddressInfo).port,
    inject: (bytes: Uint8Array): void => void far.write(bytes),
    /** The server has closed the connection. */
    isCut,
  };
}

describe("TLS can do on this runtime", () => {
  for (const [feature, prove] of Object.entries(TLS_FEATURES)) test(feature, prove);
});

describe("a server whose certificates can't be used", () => {
  for (const [name, [makeOptions, message]] of Object.entries(TLS_FAULTS)) {
    test(`says so in one line: ${name}`, () =>
      withFolder(async (folder) => {
        const { code, message: got } = await failureOf(makeOptions(folder));
        assert.equal(code, "tls-invalid");
        assert.match(got, message);
      }));
  }
});
