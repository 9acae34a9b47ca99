/**
 * `HttpResponse` in place of the global `Response`: what programs that know nothing of it find, and that it can be taken
 * back.
 */

import assert from "node:assert/strict";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { after, before as beforeAll, describe, test } from "node:test";
import { serve } from "../../mod.ts";
import { installFastResponse, isFastResponseInstalled, uninstallFastResponse } from "../../src/web/fast_response.ts";
import { HttpResponse } from "../../src/web/http_response.ts";
import { serveUnder, TESTED_MODELS } from "../fixtures/models/tested_models.ts";
import { connectRaw } from "../support/raw_client.ts";
import { fetch as answer } from "./fast_module.ts";

const FAST_HANDLER = { fetch: answer, module: new URL("./fast_module.ts", import.meta.url) };
const Native = globalThis.Response;
const { value: _value, get: _get, set: _set, ...before } = Object.getOwnPropertyDescriptor(globalThis, "Response")!;
const native = (): Response => new Native("native");

describe("with fast-response", () => {
  beforeAll(installFastResponse);
  after(uninstallFastResponse);

  test("the global Response is HttpResponse, and looks as before", () => {
    assert.equal(Response as unknown, HttpResponse);
    assert.equal(Response.name, "Response");
    assert.equal(String(new Response("x")), "[object Response]");
    assert.equal(new Response("x").constructor, Response);
    const property = Object.getOwnPropertyDescriptor(globalThis, "Response");
    assert.deepEqual(property, { ...before, value: HttpResponse, writable: true });
    assert.equal(isFastResponseInstalled(), true);
  });

  test("objects of both classes pass instanceof of both", () => {
    assert.ok(new Response("x") instanceof Response);
    assert.ok(new Response("x") instanceof Native);
    assert.ok(native() instanceof Response);
    assert.ok(!(({}) instanceof Response));
    assert.ok(!((null as unknown) instanceof Response));
  });

  test("a subclass holds its own objects, and no others", async () => {
    class Own extends Response {
      own = true;
    }
    const own = new Own("x", { status: 201 });
    assert.ok(own instanceof Own && own instanceof Response && own instanceof Native);
    assert.ok(!(native() instanceof Own));
    assert.ok(!(new Response() instanceof Own));
    assert.deepEqual([own.own, own.status, await own.text()], [true, 201, "x"]);
  });

  test("what is fetched is the runtime's own", async () => {
    const response = await fetch("data:text/plain,hello");
    assert.equal(response.constructor, Native);
    assert.ok(response instanceof Response);
    assert.equal(await response.text(), "hello");
  });

  test("a mocked fetch gives what its callers read", async () => {
    const { fetch } = globalThis;
    globalThis.fetch = () => Promise.resolve(Response.json({ a: 1 }));
    try {
      const response = await globalThis.fetch("http://a.test/");
      assert.deepEqual([response.ok, response.url, await response.json()], [true, "", { a: 1 }]);
    } finally {
      globalThis.fetch = fetch;
    }
  });

  test("a clone is read beside it", async () => {
    const response = new Response(new Blob(["x"]).stream());
    const clone = response.clone();
    assert.deepEqual([await response.text(), await clone.text()], ["x", "x"]);
    assert.ok(clone instanceof Response);
  });

  test("structuredClone fails, as it does with the runtime's own", () => {
    for (const response of [new Response("x"), native()]) {
      assert.throws(() => structuredClone(response), (error) => (error as Error).name === "DataCloneError");
    }
    assert.deepEqual(structuredClone({ a: [1] }), { a: [1] });
  });

  test("json, redirect and error are there", async () => {
    assert.deepEqual(await Response.json([1]).json(), [1]);
    assert.equal(Response.redirect("http://a.test/b").headers.get("location"), "http://a.test/b");
    assert.equal(Response.error().type, "error");
  });

  const hasCaches = "caches" in globalThis;
  test("a cache of the runtime takes it", { skip: !hasCaches && "this runtime has none" }, async () => {
    const name = `trivet-${crypto.randomUUID()}`;
    const cache = await caches.open(name);
    try {
      await cache.put("http://a.test/", new Response("kept", { headers: { "x-a": "1" } }));
      const kept = await cache.match("http://a.test/");
      assert.deepEqual([kept?.headers.get("x-a"), await kept?.text()], ["1", "kept"]);
    } finally {
      await caches.delete(name);
    }
  });

  test("a server sends both kinds, and its own errors", async () => {
    const bodies: Readonly<Record<string, () => Response>> = {
      "/fast": () => new Response("fast"),
      "/native": () => new Native("native", { headers: { "content-type": "text/plain;charset=UTF-8" } }),
      "/stream": () => new Response(new Blob(["stream"]).stream()),
    };
    const options = { port: 0, hostname: "127.0.0.1", onListen: () => {}, onError: () => {} };
    const server = await serve(options, (request) => bodies[new URL(request.url).pathname]()).ready();
    try {
      for (
        const [path, expected] of [["/fast", "fast"], ["/native", "native"], ["/stream", "stream"], ["/no", "500 "]]
      ) {
        const client = await connectRaw({ port: server.port });
        client.send(`GET ${path} HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n`);
        await client.receiveAll();
        assert.match(client.received(), new RegExp(expected));
        client.destroy();
      }
    } finally {
      await server.shutdown();
    }
  });

  test("what is fetched can be cloned and wrapped", async () => {
    const server = createServer((_incoming, outgoing) => void outgoing.setHeader("x-a", "1").end("x"));
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    try {
      const response = await fetch(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`);
      assert.equal(await response.clone().text(), "x");
      const wrapped = new Response(response.body, response);
      assert.equal(wrapped.headers.get("x-a"), "1");
      assert.equal(await wrapped.text(), "x");
    } finally {
      server.close();
    }
  });

  for (const model of TESTED_MODELS) {
    test(`threads install it before they load the module: ${model.name}`, async () => {
      const options = { port: 0, hostname: "127.0.0.1", onListen: () => {} };
      const server = await serveUnder(model, options, FAST_HANDLER).ready();
      const client = await connectRaw({ port: server.port });
      client.send("GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n");
      await client.receiveAll();
      const { wasFast, isFast } = JSON.parse(client.received().split("\r\n\r\n")[1]);
      client.destroy();
      await server.shutdown();
      assert.equal(isFast, true);
      // Here the module was loaded before.
      if (model.hasThreads) assert.equal(wasFast, true);
    });
  }

  test("installing again changes nothing", () => {
    installFastResponse();
    assert.equal(Response as unknown, HttpResponse);
  });
});

describe("after uninstallFastResponse()", () => {
  test("everything is as it was", () => {
    installFastResponse();
    uninstallFastResponse();
    uninstallFastResponse();
    assert.equal(Response, Native);
    assert.equal(HttpResponse.name, "HttpResponse");
    assert.ok(!(native() instanceof HttpResponse));
    assert.ok(new HttpResponse() instanceof Response);
  });

  test("what another package has put in its place since stays", () => {
    installFastResponse();
    class Other extends Native {}
    globalThis.Response = Other;
    uninstallFastResponse();
    assert.equal(Response, Other);
    globalThis.Response = Native;
  });
});
