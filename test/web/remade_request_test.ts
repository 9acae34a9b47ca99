/** Requests that a handler makes anew: every form keeps what it does not replace, or is an error that says what to do. */

import assert from "node:assert/strict";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { after, before, describe, test } from "node:test";
import { detectRuntime } from "../../runtime/detect.ts";
import type { Handler } from "../../src/api/handler.ts";
import { LazyRequest } from "../../src/web/lazy_request.ts";
import { linkRequestPrototype, requestMaker, toRequest } from "../../src/web/remade_request.ts";
import { get, post, startMemoryServer, statuses, text } from "../support/memory_server.ts";
import { type FakeRequest, fakeSource } from "./fake_request_source.ts";

linkRequestPrototype();

const { name, version } = detectRuntime();
/** Whether a lazy request can be made anew, by the documentation (docs/differences.md). */
const IS_REFUSED = name === "node" && Number.parseInt(version) >= 24;
const POST: FakeRequest = { method: "POST", fields: [["Content-Length", "5"], ["X-A", "1"]], content: "hello" };
const CHUNKED: FakeRequest["fields"] = [["Transfer-Encoding", "chunked"]];

interface Init extends RequestInit {
  duplex?: "half";
}

/** What may stand behind the request, and the method, X-A, X-B and content of what is made of a POST. */
const FORMS: readonly (readonly [name: string, init: () => Init | undefined, expected: string])[] = [
  ["nothing", () => undefined, "POST 1 null hello"],
  ["{}", () => ({}), "POST 1 null hello"],
  ["{ signal }", () => ({ signal: new AbortController().signal }), "POST 1 null hello"],
  ["{ redirect }", () => ({ redirect: "manual" }), "POST 1 null hello"],
  ["{ headers }", () => ({ headers: { "x-b": "2" } }), "POST null 2 hello"],
  ["{ body }", () => ({ body: "other" }), "POST 1 null other"],
  ["{ body } of a stream", () => ({ body: new Response("other").body, duplex: "half" }), "POST 1 null other"],
  ["{ method }", () => ({ method: "PUT" }), "PUT 1 null hello"],
  ["{ method, headers }", () => ({ method: "PUT", headers: { "x-b": "2" } }), "PUT null 2 hello"],
  ["{ method, headers, body }", () => ({ method: "PUT", headers: { "x-b": "2" }, body: "other" }), "PUT null 2 other"],
  ["undefined members", () => ({ method: undefined, headers: undefined, body: undefined }), "POST 1 null hello"],
  ["an object of a class", () =>
    new (class {
      redirect = "manual" as const;
    })(), "POST 1 null hello"],
];

async function show(request: Request): Promise<string> {
  const { method, headers } = request;
  return `${method} ${headers.get("x-a")} ${headers.get("x-b")} ${await request.text()}`;
}

describe("new Request(request, init)", () => {
  for (const [form, init, expected] of FORMS) {
    test(`with ${form} ${IS_REFUSED ? "is refused" : "keeps what it does not replace"}`, async () => {
      const request = toRequest(fakeSource(POST));
      if (IS_REFUSED) assert.throws(() => new Request(request, init()), TypeError);
      else assert.equal(await show(new Request(request, init())), expected);
    });

    for (
      const [way, of] of [
        ["of a clone", () => toRequest(fakeSource(POST)).clone()],
        ["of a native request", () => requestMaker(true)(fakeSource(POST))],
      ] as const
    ) {
      test(`with ${form} keeps what it does not replace, ${way}`, async () => {
        assert.equal(await show(new Request(of(), init())), expected);
      });
    }
  }

  test("reads the content of the request, which is used then", async () => {
    if (IS_REFUSED) return;
    const request = toRequest(fakeSource(POST));
    await new Request(request, { redirect: "manual" }).text();
    assert.equal(request.bodyUsed, true);
    assert.throws(() => request.clone(), TypeError);
  });

  for (const init of [undefined, {}, { headers: {} }, { body: "other" }, { redirect: "manual" }] as const) {
    test(`of a method that a Request can't have is refused: FOO, a!, patch, with ${JSON.stringify(init)}`, () => {
      for (const method of ["FOO", "a!", "patch"]) {
        const request = toRequest(fakeSource({ method }));
        try {
          assert.equal(new Request(request, init).method, method);
        } catch (error) {
          assert.ok(error instanceof TypeError, String(error));
        }
        assert.equal(request.method, method);
      }
    });
  }

  test("of an error in a handler says what to do", async () => {
    const remakes: Handler = async (request) => text(await show(new Request(request, { headers: { "x-b": "2" } })));
    const server = await startMemoryServer(remakes);
    const peer = await server.send(post("/", 5, "hello"));
    await server.clock.settle();
    if (!IS_REFUSED) {
      assert.ok(peer.received().endsWith("POST null 2 hello"), peer.received());
      return;
    }
    assert.deepEqual(statuses(peer.received()), [500]);
    const [{ message, cause }] = server.reported;
    assert.match(`${message} ${cause}`, /nativeRequest to true/);
    assert.match(`${message} ${cause}`, /request\.clone\(\)/);
  });
});

describe("fetch(request, init)", () => {
  const server = createServer(async (incoming, outgoing) => {
    let content = "";
    for await (const chunk of incoming) content += chunk;
    const { method, headers } = incoming;
    outgoing.end(`${method} ${headers["x-a"] ?? null} ${headers["x-b"] ?? null} ${content}`);
  });
  let url = "";
  before(async () => {
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
  });
  after(() => void server.close());

  const request = (): Request => toRequest({ ...fakeSource({ ...POST, fields: [["X-A", "1"]] }), url: () => url });

  for (const [form, init, expected] of FORMS) {
    test(`with ${form} ${IS_REFUSED ? "is refused" : "sends what it does not replace"}`, async () => {
      if (IS_REFUSED) await assert.rejects(fetch(request(), init()), TypeError);
      else assert.equal(await (await fetch(request(), init())).text(), expected);
    });
  }

  test("by the URL and the parts passes a stream on, everywhere", async () => {
    const { method, headers, body, signal } = request();
    const init: Init = { method, headers, body, signal, duplex: "half" };
    assert.equal(await (await fetch(url, init)).text(), "POST 1 null hello");
  });
});

describe("a request", () => {
  const isNative = (request: FakeRequest): boolean => !(toRequest(fakeSource(request)) instanceof LazyRequest);
  const ROWS: readonly (readonly [string, FakeRequest, boolean])[] = [
    ["without content", { method: "POST" }, false],
    ["with content whose length is known", POST, false],
    ["with content whose length is not known", { ...POST, fields: CHUNKED }, IS_REFUSED],
    ["with content and another method", { ...POST, fields: [["X-HTTP-Method-Override", "PUT"]] }, IS_REFUSED],
    ["with content of GET, which a native one can't have", { ...POST, method: "GET", fields: CHUNKED }, false],
    ["with a method that a native one can't have", { ...POST, method: "get", fields: CHUNKED }, false],
  ];
  for (const [name, request, expected] of ROWS) {
    test(`${name} is ${expected ? "native" : "lazy"} here`, () => assert.equal(isNative(request), expected));
  }

  test("that is native from the start can be made anew, with its method and content", async () => {
    const remade = new Request(toRequest(fakeSource({ ...POST, fields: CHUNKED })), { headers: { "x-b": "2" } });
    assert.equal(await show(remade), "POST null 2 hello");
  });

  test("is native where a runtime would lose its method in silence", () => {
    const make = requestMaker(false, "lost");
    assert.equal(make(fakeSource(POST)) instanceof LazyRequest, false);
    assert.equal(make(fakeSource({ method: "a!" })).method, "a!");
  });

  test("is taken for nothing but a request, whatever it is made as", async () => {
    const request = toRequest(fakeSource(POST));
    assert.equal(Object.prototype.toString.call(request), "[object Request]");
    assert.equal(request instanceof Request, true);
    assert.equal("decode" in request || "encoding" in request || "statusText" in request, false);
    assert.equal(request.constructor, LazyRequest);
    assert.equal(await new Response(String(request)).text(), "[object Request]");
  });
});

describe("of a GET", () => {
  test(`a new Request is ${IS_REFUSED ? "an error that says what to do" : "GET"}`, async () => {
    const server = await startMemoryServer((request) => text(new Request(request, { headers: { "x-b": "2" } }).method));
    const peer = await server.send(get("/"));
    await server.clock.settle();
    if (!IS_REFUSED) assert.ok(peer.received().endsWith("\r\n\r\nGET"), peer.received());
    else assert.match(server.reported[0].message, /nativeRequest to true/);
  });
});
