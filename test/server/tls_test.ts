/** HTTP over TLS: the same exchanges, on connections that reach the core decrypted. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { type Handler, HttpResponse, serve, type ServeOptions, type TrivetError } from "../../mod.ts";
import { detectRuntime } from "../../runtime/detect.ts";
import type { Server } from "../../src/api/server.ts";
import { get, okText, post } from "../fixtures/differential.ts";
import { handler } from "../fixtures/handlers.ts";
import { connectRaw } from "../support/raw_client.ts";
import {
  TEST_AUTHORITY,
  TEST_CLIENT_CERT,
  TEST_CLIENT_KEY,
  TEST_SERVER_CERT,
  TEST_SERVER_KEY,
} from "../support/test_certificates.ts";

const MIB = 1024 * 1024;
const IMF_FIXDATE = /^Date: .*GMT\r$/gm;
const SERVER = { cert: TEST_SERVER_CERT, key: TEST_SERVER_KEY };
const CLIENT = { ca: TEST_AUTHORITY };
const KNOWN_CLIENT = { ca: TEST_AUTHORITY, cert: TEST_CLIENT_CERT, key: TEST_CLIENT_KEY };
const canAskForCertificates = detectRuntime().name !== "deno";

function start(handler: Handler, tls: ServeOptions["tls"] = SERVER): Promise<Server> {
  return serve({ port: 0, hostname: "127.0.0.1", onListen: () => {}, tls }, handler).ready();
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

  test("closes what does not speak TLS, and goes on", async () => {
    const server = await start(handler);
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

  test("rejects ready() for a certificate that is none", async () => {
    const server = serve({ port: 0, hostname: "127.0.0.1", onListen: () => {}, tls: { cert: "-", key: "-" } }, handler);
    await assert.rejects(server.ready(), (error) => (error as TrivetError).code === "listen-failed");
  });
});

describe("a server that asks for the client's certificate", () => {
  const tls = { ...SERVER, ca: TEST_AUTHORITY };

  test(canAskForCertificates ? "serves the one that has it" : "can't listen on this runtime, and says so", async () => {
    if (!canAskForCertificates) {
      await assert.rejects(start(handler, tls), (error) => {
        assert.equal((error as TrivetError).code, "listen-failed");
        assert.match((error as TrivetError).message, /tls\.ca/);
        return true;
      });
      return;
    }
    const server = await start(handler, tls);
    const client = await connectRaw({ port: server.port, tls: KNOWN_CLIENT });
    client.send(get("/text", "Connection: close"));
    assert.match(await client.receiveAll(), /hello$/);
    client.end();
    await server.shutdown();
  });

  if (canAskForCertificates) {
    test("serves nobody else", async () => {
      let calls = 0;
      const server = await start(() => {
        calls++;
        return new HttpResponse("hello");
      }, tls);
      // With TLS 1.3 the client learns of the refusal only when it reads.
      const client = await connectRaw({ port: server.port, tls: CLIENT }).catch(() => null);
      client?.send(get("/"));
      await client?.receiveAll().catch(() => {});
      assert.equal(client?.received() ?? "", "");
      assert.equal(calls, 0);
      client?.destroy();
      await server.shutdown();
    });
  }
});
