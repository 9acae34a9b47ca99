/** `return fetch(upstream)`: a fetched response is passed on as what it is by then, and a handler's own is left alone. */

import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { after, before, describe, test } from "node:test";
import { brotliCompressSync, gzipSync } from "node:zlib";
import { proxyTo } from "../../examples/reverse_proxy.ts";
import { serve, type Server } from "../../mod.ts";
import { connectRaw } from "../support/raw_client.ts";

const TEXT = "hello from behind ".repeat(1000);
const OPTIONS = { port: 0, hostname: "127.0.0.1", onListen: () => {}, onError: () => {} };

const ROUTES: Readonly<Record<string, (request: IncomingMessage, response: ServerResponse) => void>> = {
  "/gzip": (_request, response) => {
    const bytes = gzipSync(TEXT);
    response.writeHead(200, { "content-encoding": "gzip", "content-length": bytes.length, vary: "accept-encoding" });
    response.end(bytes);
  },
  "/gzip-chunked": (_request, response) => {
    response.writeHead(200, { "content-encoding": "GZIP" });
    response.end(gzipSync(TEXT));
  },
  "/brotli": (_request, response) => {
    response.writeHead(200, { "content-encoding": "br" });
    response.end(brotliCompressSync(Buffer.from(TEXT)));
  },
  "/unknown": (_request, response) => {
    response.writeHead(200, { "content-encoding": "rot13", "content-length": 5 });
    response.end("uryyb");
  },
  "/hops": (_request, response) => {
    response.writeHead(200, {
      connection: "close, x-hop",
      "x-hop": "1",
      "x-kept": "1",
      "keep-alive": "timeout=5",
      upgrade: "h2c",
      trailer: "x-a",
    });
    response.end("hops");
  },
  "/closes": (_request, response) => {
    response.writeHead(200, { connection: "close", "content-length": 5 });
    response.end("hello");
  },
  "/echo": (request, response) => void request.pipe(response),
  "/not-modified": (_request, response) => void response.writeHead(304, { etag: '"1"' }).end(),
  "/redirect": (_request, response) => void response.writeHead(302, { location: "/there" }).end(),
};

describe("a response that was fetched", () => {
  let proxy: Server;
  const upstream = createServer((request, response) => ROUTES[request.url!](request, response));
  before(async () => {
    await new Promise<void>((resolve) => upstream.listen(0, "127.0.0.1", resolve));
    const { port } = upstream.address() as AddressInfo;
    proxy = await serve(OPTIONS, proxyTo(`http://127.0.0.1:${port}`)).ready();
  });
  after(async () => {
    await proxy.shutdown({ timeout: 1_000 });
    upstream.closeAllConnections();
    upstream.close();
  });

  /** Two requests on one connection: the second shows that it persists. */
  async function ask(path: string, method = "GET", content = ""): Promise<{ head: string; content: string }> {
    const client = await connectRaw({ port: proxy.port });
    const head = (line: string, ...lines: string[]): string =>
      [`${line} HTTP/1.1`, "Host: a.test", ...lines, "", ""].join("\r\n");
    const length = content === "" ? [] : [`Content-Length: ${content.length}`];
    client.send(head(`${method} ${path}`, "Accept-Encoding: gzip, br", ...length) + content);
    client.send(head("GET /redirect", "Connection: close"));
    await client.receiveAll();
    const received = client.received();
    client.destroy();
    const second = received.lastIndexOf("HTTP/1.1 302 ");
    assert.ok(second > 0, `The connection did not persist: ${received.slice(0, 500)}`);
    const headEnd = received.indexOf("\r\n\r\n") + 4;
    return { head: received.slice(0, headEnd).toLowerCase(), content: received.slice(headEnd, second) };
  }

  const decoded = (content: string): string => content.replace(/(?:^|\r\n)[0-9a-f]+\r\n(?:\r\n$)?/g, "");

  for (const path of ["/gzip", "/gzip-chunked", "/brotli"]) {
    test(`${path} is decoded, and does not say otherwise`, async () => {
      const { head, content } = await ask(path);
      assert.doesNotMatch(head, /content-encoding/);
      if (head.includes("chunked")) assert.equal(decoded(content), TEXT);
      else assert.equal(content, TEXT);
    });
  }

  test("/gzip keeps its other fields, also for HEAD", async () => {
    assert.match((await ask("/gzip")).head, /\r\nvary: accept-encoding\r\n/);
    const { head, content } = await ask("/gzip", "HEAD");
    assert.doesNotMatch(head, /content-encoding|content-length/);
    assert.equal(content, "");
  });

  test("a coding that fetch does not know stays", async () => {
    const { head, content } = await ask("/unknown");
    assert.match(head, /content-encoding: rot13\r\n/);
    assert.match(head, /content-length: 5\r\n/);
    assert.equal(content, "uryyb");
  });

  test("what belonged to its connection is left out, and the client's connection persists", async () => {
    const { head } = await ask("/hops");
    assert.match(head, /x-kept: 1/);
    assert.doesNotMatch(head, /x-hop|keep-alive|upgrade|trailer:|connection:/);
  });

  test("HEAD persists too", async () => {
    const { head } = await ask("/closes", "HEAD");
    assert.match(head, /^http\/1\.1 200 [\s\S]*content-length: 5\r\n/);
  });

  test("304 and redirects are passed on", async () => {
    assert.match((await ask("/not-modified")).head, /^http\/1\.1 304 [\s\S]*etag: "1"/);
    assert.match((await ask("/redirect")).head, /location: \/there/);
  });

  test("content goes both ways", async () => {
    const { content } = await ask("/echo", "POST", "x".repeat(200_000));
    assert.equal(content.replaceAll(/[^x]/g, "").length >= 200_000, true);
  });
});

test("a handler's own Content-Encoding, Connection and Upgrade are what it says", async () => {
  const bytes = new Uint8Array(gzipSync("own"));
  const headers = { "content-encoding": "gzip", "content-type": "text/plain", connection: "close" };
  const server = await serve(OPTIONS, () => new Response(bytes, { headers })).ready();
  const client = await connectRaw({ port: server.port });
  client.send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
  await client.receiveAll();
  assert.match(client.received(), /content-encoding: gzip\r\n/);
  assert.match(client.received(), /Connection: close\r\n/);
  client.destroy();
  await server.shutdown();
});
