/** Requests that a handler makes anew: which are the runtime's own for that, and what is said where it can't be done. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { detectRuntime } from "../../runtime/detect.ts";
import type { Handler } from "../../src/api/handler.ts";
import { LazyRequest } from "../../src/web/lazy_request.ts";
import { linkRequestPrototype, toRequest } from "../../src/web/remade_request.ts";
import { get, post, startMemoryServer, statuses, text } from "../support/memory_server.ts";
import { type FakeRequest, fakeSource } from "./fake_request_source.ts";

linkRequestPrototype();

const { name, version } = detectRuntime();
/** What becomes of the method of a lazy request, by the documentation (docs/differences.md). */
const TREATMENT = name === "bun" ? "lost" : name === "node" && Number.parseInt(version) >= 24 ? "refused" : "kept";
const POST: FakeRequest = { method: "POST", fields: [["Content-Length", "5"]], content: "hello" };
const CHUNKED: FakeRequest["fields"] = [["Transfer-Encoding", "chunked"]];

describe("a request", () => {
  const isNative = (request: FakeRequest): boolean => !(toRequest(fakeSource(request)) instanceof LazyRequest);
  const needsNative = TREATMENT !== "kept";
  const ROWS: readonly (readonly [string, FakeRequest, boolean])[] = [
    ["without content", { method: "POST" }, false],
    ["with content whose length is known", POST, false],
    ["with content whose length is not known", { ...POST, fields: CHUNKED }, needsNative],
    ["with content and another method", { ...POST, fields: [["X-HTTP-Method-Override", "PUT"]] }, needsNative],
    ["with content of GET, which a native one can't have", { ...POST, method: "GET", fields: CHUNKED }, false],
    ["with a method that a native one can't have", { ...POST, method: "get", fields: CHUNKED }, false],
  ];
  for (const [name, request, expected] of ROWS) {
    test(`${name} is ${expected ? "native" : "lazy"} here`, () => assert.equal(isNative(request), expected));
  }

  test("that is native from the start can be made anew, with its method and content", async () => {
    const remade = new Request(toRequest(fakeSource({ ...POST, fields: CHUNKED })), { headers: { "x-b": "2" } });
    assert.equal(remade.method, "POST");
    assert.equal(remade.headers.get("x-b"), "2");
    assert.equal(await remade.text(), "hello");
  });
});

describe("new Request(request, { headers })", () => {
  const remakes: Handler = async (request) => {
    const remade = new Request(request, { headers: { "x-b": "2" } });
    return text(`${remade.method} ${remade.headers.get("x-b")} ${await remade.text()}`);
  };

  for (
    const [method, send, expected] of [
      ["POST", post("/", 5, "hello"), "POST 2 hello"],
      ["DELETE", get("/").replace("GET", "DELETE"), "DELETE 2 "],
    ]
  ) {
    test(`of ${method} ${TREATMENT === "kept" ? "keeps the method" : "is an error that says what to do"}`, async () => {
      const server = await startMemoryServer(remakes);
      const peer = await server.send(send);
      await server.clock.settle();
      if (TREATMENT === "kept") {
        assert.ok(peer.received().endsWith(expected), peer.received());
        return;
      }
      assert.deepEqual(statuses(peer.received()), [500]);
      const [{ message, cause }] = server.reported;
      assert.match(`${message} ${cause}`, /nativeRequest to true/);
      assert.match(`${message} ${cause}`, /request\.clone\(\)/);
    });
  }

  if (TREATMENT === "lost") {
    test("of POST is an error also where init names the method, which Bun does not show", () => {
      const init = { method: "POST", headers: { "x-b": "2" } };
      assert.throws(() => new Request(toRequest(fakeSource(POST)), init), /give it request\.clone\(\)/);
    });
    test("of POST without headers can't be noticed, and is GET unless init names the method", () => {
      assert.equal(new Request(toRequest(fakeSource(POST)), { method: "POST" }).method, "POST");
      assert.equal(new Request(toRequest(fakeSource(POST)), { redirect: "manual" }).method, "GET");
    });
  }

  test(`of GET ${TREATMENT === "refused" ? "is an error that says what to do" : "is GET"}`, async () => {
    const server = await startMemoryServer(remakes);
    const peer = await server.send(get("/"));
    await server.clock.settle();
    if (TREATMENT !== "refused") assert.ok(peer.received().endsWith("GET 2 "), peer.received());
    else assert.match(server.reported[0].message, /nativeRequest to true/);
  });

  for (
    const [name, remake] of [
      ["with nativeRequest", (request: Request) => new Request(request, { headers: { "x-b": "2" } })],
      ["of a clone", (request: Request) => new Request(request.clone(), { headers: { "x-b": "2" } })],
      ["by the URL", (request: Request) => {
        const remade = new Request(request.url, request);
        remade.headers.set("x-b", "2");
        return remade;
      }],
    ] as const
  ) {
    test(`works everywhere ${name}`, async () => {
      const { send, clock } = await startMemoryServer(async (request) => {
        const remade = remake(request);
        return text(`${remade.method} ${remade.headers.get("x-b")} ${await remade.text()}`);
      }, { nativeRequest: name === "with nativeRequest" });
      const peer = await send(post("/", 5, "hello"));
      await clock.settle();
      assert.ok(peer.received().endsWith("POST 2 hello"), peer.received());
    });
  }

  test("is not what a handler does that asks for all members in another order, or for one of them", async () => {
    const { send } = await startMemoryServer((request) => {
      const { body, url, signal, method, redirect } = request;
      const again = [request.body, request.url, request.signal, request.headers, request.method, request.redirect];
      return text([body, url, signal.aborted, method, redirect, again.length, request.redirect].join());
    });
    const peer = await send(get("/").replace("GET", "DELETE"));
    assert.ok(peer.received().endsWith(",http://a.test/,false,DELETE,follow,6,follow"), peer.received());
  });
});
