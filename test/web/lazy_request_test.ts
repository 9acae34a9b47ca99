/** The lazy `Request`: the Fetch standard's semantics, without a native object where none is needed. */

import assert from "node:assert/strict";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { describe, test } from "node:test";
import { inspect } from "node:util";
import { TrivetError } from "../../src/api/errors.ts";
import { LazyRequest } from "../../src/web/lazy_request.ts";
import { nativeRequestTakes, toNativeRequest } from "../../src/web/native_request.ts";
import { linkRequestPrototype } from "../../src/web/remade_request.ts";
import { FAKE_URL, type FakeRequest, fakeSource } from "./fake_request_source.ts";

linkRequestPrototype();

/** A runtime whose `Request` keeps its state in properties takes a lazy request for its own. */
const KEEPS_STATE_IN_SYMBOLS = Object.getOwnPropertySymbols(new Request(FAKE_URL)).length > 0;
/** A runtime may take any object for a request and read its getters. */
const READS_GETTERS = takesAnyObject();

function takesAnyObject(): boolean {
  try {
    return new Request({ url: FAKE_URL } as Request).url === FAKE_URL;
  } catch {
    return false;
  }
}

const POST: FakeRequest = { method: "POST", content: "hello", fields: [["Content-Type", "text/Plain; charset=UTF-8"]] };

function post(content: FakeRequest["content"], contentType?: string): LazyRequest {
  return new LazyRequest(fakeSource({
    method: "POST",
    content,
    fields: contentType === undefined ? [] : [["Content-Type", contentType]],
  }));
}

describe("identity", () => {
  test("a lazy request passes instanceof Request and its headers instanceof Headers", () => {
    const request = new LazyRequest(fakeSource());
    assert.ok(request instanceof Request);
    assert.ok(request.headers instanceof Headers);
    assert.equal(Object.prototype.toString.call(request), "[object Request]");
  });

  test("the headers are one object, and so is the body", () => {
    const request = new LazyRequest(fakeSource(POST));
    assert.equal(request.headers, request.headers);
    assert.equal(request.body, request.body);
  });

  test("linking twice changes nothing", () => {
    linkRequestPrototype();
    assert.equal(Object.getPrototypeOf(LazyRequest.prototype), Request.prototype);
  });

  test("no property of the runtime's Request is inherited, which would refuse a lazy one", () => {
    for (const name of Object.getOwnPropertyNames(Request.prototype)) {
      const property = Object.getOwnPropertyDescriptor(Request.prototype, name);
      if (property?.get === undefined && typeof property?.value !== "function") continue;
      assert.ok(Object.hasOwn(LazyRequest.prototype, name), name);
    }
  });

  test("inspecting shows something and takes nothing", async () => {
    const request = new LazyRequest(fakeSource(POST));
    const shown = inspect(request);
    assert.match(shown, /method: ["']POST["']/);
    assert.match(shown, /url: ["']http:/);
    assert.equal(typeof inspect(request.headers), "string");
    assert.equal(request.bodyUsed, false);
    assert.equal(await request.text(), "hello");
    assert.match(inspect(request), /bodyUsed: true/);
  });
});

describe("parts", () => {
  const BROWSER_PROPERTIES: readonly (readonly [keyof LazyRequest, unknown])[] = [
    ["cache", "default"],
    ["credentials", "same-origin"],
    ["destination", ""],
    ["duplex", "half"],
    ["integrity", ""],
    ["isHistoryNavigation", false],
    ["isReloadNavigation", false],
    ["keepalive", false],
    ["mode", "cors"],
    ["redirect", "follow"],
    ["referrer", "about:client"],
    ["referrerPolicy", ""],
  ];
  for (const [name, value] of BROWSER_PROPERTIES) {
    test(`${name} is ${JSON.stringify(value)}`, () => {
      assert.equal(new LazyRequest(fakeSource())[name], value);
    });
  }

  test("method, url, headers and signal are those of the source", () => {
    const source = fakeSource({ method: "PATCH", fields: [["Accept", "text/html"]] });
    const request = new LazyRequest(source);
    assert.equal(request.method, "PATCH");
    assert.equal(request.url, FAKE_URL);
    assert.equal(request.headers.get("accept"), "text/html");
    assert.equal(request.signal, source.abort.signal);
  });

  test("nothing is asked of the source before somebody asks for it", async () => {
    const source = fakeSource(POST);
    const request = new LazyRequest(source);
    void [request.method, request.url, request.headers.get("content-type"), request.bodyUsed];
    assert.deepEqual(source.asked, { collect: 0, stream: 0, signal: 0 });
    await request.text();
    assert.deepEqual(source.asked, { collect: 1, stream: 0, signal: 0 });
  });
});

describe("taking the content", () => {
  const BOM = "\ufeff";
  const TAKES: readonly {
    readonly name: string;
    readonly request: LazyRequest;
    readonly take: (request: LazyRequest) => Promise<unknown>;
    readonly expected: unknown;
  }[] = [
    { name: "text() decodes UTF-8", request: post("grüße"), take: (r) => r.text(), expected: "grüße" },
    { name: "text() removes a byte order mark", request: post(BOM + "a"), take: (r) => r.text(), expected: "a" },
    { name: "text() keeps a second one", request: post(BOM + BOM), take: (r) => r.text(), expected: BOM },
    {
      name: "text() replaces what is not UTF-8",
      request: post(new Uint8Array([0x61, 0xff])),
      take: (r) => r.text(),
      expected: "a\ufffd",
    },
    { name: "json() parses", request: post('{"a":[1]}'), take: (r) => r.json(), expected: { a: [1] } },
    { name: "json() removes a byte order mark", request: post(BOM + "1"), take: (r) => r.json(), expected: 1 },
    { name: "bytes() gives bytes", request: post("ab"), take: (r) => r.bytes(), expected: new Uint8Array([97, 98]) },
    {
      name: "arrayBuffer() gives a buffer",
      request: post("ab"),
      take: (r) => r.arrayBuffer(),
      expected: new Uint8Array([97, 98]).buffer,
    },
    {
      name: "formData() parses application/x-www-form-urlencoded",
      request: post("a=1&b=%20", "application/x-www-form-urlencoded"),
      take: async (r) => [...(await r.formData())],
      expected: [["a", "1"], ["b", " "]],
    },
    {
      name: "formData() parses multipart/form-data",
      request: post(
        '--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n--x--\r\n',
        "multipart/form-data; boundary=x",
      ),
      take: async (r) => [...(await r.formData())],
      expected: [["a", "1"]],
    },
  ];
  for (const { name, request, take, expected } of TAKES) {
    test(name, async () => {
      assert.deepEqual(await take(request), expected);
      assert.equal(request.bodyUsed, true);
    });
  }

  test("arrayBuffer() has no more than the content, even if the bytes are a part of a larger buffer", async () => {
    const source = fakeSource(POST);
    const part = new Uint8Array([1, 2, 3, 4]).subarray(1, 3);
    const request = new LazyRequest({
      ...source,
      content: { ...source.content, collect: () => Promise.resolve(part) },
    });
    assert.deepEqual(await request.arrayBuffer(), new Uint8Array([2, 3]).buffer);
  });

  test("blob() has the content and the media type", async () => {
    const blob = await post("ab", "text/html").blob();
    // One runtime adds a charset.
    assert.match(blob.type, /^text\/html(;|$)/);
    assert.equal(await blob.text(), "ab");
  });

  test("blob() has no type when the request has none", async () => {
    assert.equal((await post("ab").blob()).type, "");
  });

  test("textStream() decodes chunks, also where a character is split", async () => {
    const [first, second] = [new Uint8Array([0xc3]), new Uint8Array([0xbc])];
    const source = fakeSource({ method: "POST", content: "x" });
    const request = new LazyRequest({
      ...source,
      content: { ...source.content, stream: () => ReadableStream.from([first, second]) },
    });
    let text = "";
    for await (const chunk of request.textStream()) text += chunk;
    assert.equal(text, "ü");
    assert.equal(request.bodyUsed, true);
  });

  test("json() rejects what is not JSON, and the content counts as read", async () => {
    const request = post("{");
    await assert.rejects(request.json(), SyntaxError);
    assert.equal(request.bodyUsed, true);
  });

  test("formData() rejects content of another type", async () => {
    await assert.rejects(post("a=1", "text/plain").formData(), TypeError);
    await assert.rejects(post("a=1").formData(), TypeError);
  });

  const ERROR = new TrivetError("content-too-large", "too large");
  for (const take of ["text", "json", "bytes", "arrayBuffer", "blob", "formData"] as const) {
    test(`${take}() rejects with the error of content that does not come whole, collected or streamed`, async () => {
      const collected = new LazyRequest(fakeSource({ ...POST, contentError: ERROR }));
      await assert.rejects(collected[take](), (error) => error === ERROR);
      const streamed = new LazyRequest(fakeSource({ ...POST, contentError: ERROR }));
      void streamed.body;
      await assert.rejects(streamed[take](), (error) => error === ERROR);
    });
  }
});

describe("a request without content", () => {
  const TAKES: readonly (readonly [string, (request: LazyRequest) => Promise<unknown>, unknown])[] = [
    ["text()", (r) => r.text(), ""],
    ["bytes()", (r) => r.bytes(), new Uint8Array(0)],
    ["arrayBuffer()", (r) => r.arrayBuffer(), new ArrayBuffer(0)],
    ["blob()", async (r) => (await r.blob()).size, 0],
    ["textStream()", async (r) => (await r.textStream().getReader().read()).done, true],
  ];
  for (const [name, take, expected] of TAKES) {
    test(`${name} gives nothing, as often as it is called`, async () => {
      const request = new LazyRequest(fakeSource());
      assert.equal(request.body, null);
      assert.deepEqual(await take(request), expected);
      assert.equal(request.bodyUsed, false);
      assert.deepEqual(await take(request), expected);
    });
  }

  test("json() rejects with a SyntaxError", async () => {
    await assert.rejects(new LazyRequest(fakeSource()).json(), SyntaxError);
  });
});

describe("content is taken once", () => {
  const TAKES = ["text", "json", "bytes", "arrayBuffer", "blob", "formData"] as const;
  const FIRST: readonly (readonly [string, (request: LazyRequest) => Promise<unknown>])[] = [
    ["text()", (r) => r.text()],
    ["text() of a body that was looked at", (r) => (void r.body, r.text())],
    ["reading the body to its end", async (r) => {
      for await (const _ of r.body ?? []);
    }],
    ["reading a part of the body and releasing it", async (r) => {
      const reader = r.body?.getReader();
      await reader?.read();
      reader?.releaseLock();
    }],
    ["cancelling the body", async (r) => await r.body?.cancel()],
  ];
  for (const [name, first] of FIRST) {
    for (const take of TAKES) {
      test(`after ${name}, ${take}() rejects with a TypeError`, async () => {
        const request = new LazyRequest(fakeSource({ ...POST, content: ["1", "2"] }));
        await first(request);
        assert.equal(request.bodyUsed, true);
        await assert.rejects(request[take](), TypeError);
      });
    }
    test(`after ${name}, clone() and textStream() throw a TypeError`, async () => {
      const request = new LazyRequest(fakeSource({ ...POST, content: ["1", "2"] }));
      await first(request);
      assert.throws(() => request.clone(), TypeError);
      assert.throws(() => request.textStream(), TypeError);
    });
  }

  for (const take of TAKES) {
    test(`${take}() rejects with a TypeError while the body is locked`, async () => {
      const request = new LazyRequest(fakeSource(POST));
      const reader = request.body?.getReader();
      await assert.rejects(request[take](), TypeError);
      assert.equal(request.bodyUsed, false);
      assert.throws(() => request.clone(), TypeError);
      reader?.releaseLock();
      assert.equal(await request.text(), "hello");
    });
  }

  test("the content counts as read as soon as it is asked for", async () => {
    const request = new LazyRequest(fakeSource(POST));
    const text = request.text();
    assert.equal(request.bodyUsed, true);
    assert.equal(await text, "hello");
  });

  test("looking at the body does not read it", async () => {
    const request = new LazyRequest(fakeSource(POST));
    assert.equal(request.body?.locked, false);
    assert.equal(request.bodyUsed, false);
    assert.equal(await request.text(), "hello");
  });

  test("the body of a request that was read is a stream that is read", async () => {
    const request = new LazyRequest(fakeSource(POST));
    await request.text();
    assert.ok(request.body instanceof ReadableStream);
    assert.equal(request.bodyUsed, true);
    await assert.rejects(request.text(), TypeError);
  });
});

describe("clone()", () => {
  test("gives a native request with the same parts", async () => {
    const source = fakeSource({ ...POST, fields: [["Content-Type", "text/plain"], ["X-A", "1"], ["X-A", "2"]] });
    const clone = new LazyRequest(source).clone();
    assert.ok(!(clone instanceof LazyRequest));
    assert.equal(clone.method, "POST");
    assert.equal(clone.url, FAKE_URL);
    assert.equal(clone.headers.get("x-a"), "1, 2");
    assert.equal(await clone.text(), "hello");
    assert.equal(clone.signal.aborted, false);
    source.abort.abort();
    assert.equal(clone.signal.aborted, true);
  });

  test("both give the content, in either order, and can be cloned again", async () => {
    const request = new LazyRequest(fakeSource({ ...POST, content: ["he", "llo"] }));
    const first = request.clone();
    const second = request.clone();
    assert.equal(await second.text(), "hello");
    assert.equal(request.bodyUsed, false);
    assert.equal(await request.text(), "hello");
    assert.equal(await first.text(), "hello");
  });

  test("takes changed headers along", () => {
    const request = new LazyRequest(fakeSource(POST));
    request.headers.set("x-a", "1");
    assert.equal(request.clone().headers.get("x-a"), "1");
  });

  test("works without content", () => {
    const clone = new LazyRequest(fakeSource()).clone();
    assert.equal(clone.method, "GET");
    assert.equal(clone.body, null);
  });

  for (const method of ["GET", "HEAD"]) {
    test(`leaves the content of ${method} out, which the request itself keeps`, async () => {
      const request = new LazyRequest(fakeSource({ ...POST, method }));
      const clone = request.clone();
      assert.equal(clone.method, method);
      assert.equal(await clone.text(), "");
      assert.equal(await request.text(), "hello");
    });
  }
});

describe("toNativeRequest()", () => {
  test("gives a native request with the content as a stream", async () => {
    const source = fakeSource({ ...POST, content: ["he", "llo"] });
    const request = toNativeRequest(source);
    assert.ok(!(request instanceof LazyRequest));
    assert.equal(request.method, "POST");
    assert.equal(request.url, FAKE_URL);
    assert.equal(request.headers.get("content-type"), "text/Plain; charset=UTF-8");
    assert.equal(await request.text(), "hello");
    assert.equal(source.asked.collect, 0);
    source.abort.abort();
    assert.equal(request.signal.aborted, true);
  });

  test("leaves the content of GET out", () => {
    const source = fakeSource({ ...POST, method: "GET" });
    assert.equal(toNativeRequest(source).body, null);
    assert.equal(source.asked.stream, 0);
  });

  test("says of content that was read what a lazy request says, as do its clones", async () => {
    // A runtime that has the method has words of its own.
    const words = "textStream" in Request.prototype ? /./ : /clone\(\) the request before/;
    const lazy = new LazyRequest(fakeSource(POST));
    const native = toNativeRequest(fakeSource(POST));
    const clone = native.clone();
    for (const request of [lazy, native, clone.clone(), clone]) {
      await request.text();
      assert.throws(() => request.textStream(), { name: "TypeError", message: words });
    }
  });
});

describe("methods", () => {
  const METHODS = [
    "GET",
    "POST",
    "get",
    "Get",
    "post",
    "patch",
    "PATCH",
    "FOO",
    "foo",
    "QUERY",
    "M-SEARCH",
    "BREW",
    "a!",
  ];

  for (const method of METHODS) {
    test(`a lazy ${method} keeps its method`, () => {
      assert.equal(new LazyRequest(fakeSource({ ...POST, method })).method, method);
    });

    test(`a clone of ${method} has its method, or there is none`, () => {
      const lazy = new LazyRequest(fakeSource({ method }));
      if (nativeRequestTakes(method)) assert.equal(lazy.clone().method, method);
      else assert.throws(() => lazy.clone(), TypeError);
    });

    test(`a native ${method} has its method, or there is none`, () => {
      const source = fakeSource({ ...POST, method });
      if (nativeRequestTakes(method)) assert.equal(toNativeRequest(source).method, method);
      else assert.throws(() => toNativeRequest(source), TypeError);
    });
  }
});

describe("where a runtime wants a request of its own", () => {
  const request = (): LazyRequest => new LazyRequest(fakeSource({ ...POST, fields: [["X-A", "1"]] }));

  test("new Request(url, request) takes all parts and the content on every runtime", async () => {
    const lazy = request();
    const native = new Request("http://example.com/other", lazy);
    assert.equal(native.url, "http://example.com/other");
    assert.equal(native.method, "POST");
    assert.equal(native.headers.get("x-a"), "1");
    assert.equal(await native.text(), "hello");
    assert.equal(lazy.bodyUsed, true);
  });

  test("new Request(request) takes all parts and the content, or throws; clone() works on every runtime", async () => {
    const lazy = request();
    if (!KEEPS_STATE_IN_SYMBOLS && !READS_GETTERS) {
      assert.throws(() => new Request(lazy), TypeError);
      assert.equal(lazy.bodyUsed, false);
    }
    const native = new Request(KEEPS_STATE_IN_SYMBOLS || READS_GETTERS ? lazy : lazy.clone());
    assert.equal(native.url, FAKE_URL);
    assert.equal(native.method, "POST");
    assert.equal(native.headers.get("x-a"), "1");
    assert.equal(await native.text(), "hello");
    if (KEEPS_STATE_IN_SYMBOLS || READS_GETTERS) {
      assert.equal(lazy.bodyUsed, true);
      await assert.rejects(lazy.text(), TypeError);
    }
  });

  test("new Request(request, init) replaces parts, or throws; clone() works on every runtime", async () => {
    const lazy = request();
    if (READS_GETTERS) assert.equal(new Request(request(), { method: "POST" }).method, "POST");
    else if (!KEEPS_STATE_IN_SYMBOLS) assert.throws(() => new Request(lazy, {}), TypeError);
    const native = new Request(KEEPS_STATE_IN_SYMBOLS ? lazy : lazy.clone(), { headers: { "x-b": "2" } });
    assert.equal(native.method, "POST");
    assert.equal(native.headers.get("x-a"), null);
    assert.equal(native.headers.get("x-b"), "2");
    assert.equal(await native.text(), "hello");
  });

  test("a request whose content was not wanted keeps it, and can be cloned and taken again", async () => {
    const lazy = request();
    if (KEEPS_STATE_IN_SYMBOLS || READS_GETTERS) {
      assert.equal(await new Request(lazy, { method: "POST", body: "other" }).text(), "other");
    }
    for (const symbol of Object.getOwnPropertySymbols(new Request(FAKE_URL))) {
      assert.equal(Reflect.get(lazy, symbol), Reflect.get(lazy, symbol), "one native request stands for it");
    }
    assert.equal(lazy.bodyUsed, false);
    assert.equal(await lazy.clone().text(), "hello");
    if (KEEPS_STATE_IN_SYMBOLS || READS_GETTERS) assert.equal(await new Request(lazy).text(), "hello");
    else assert.equal(await lazy.text(), "hello");
    assert.equal(lazy.bodyUsed, true);
  });

  test("changed headers are taken along, also after a first time", () => {
    const lazy = request();
    const capable = KEEPS_STATE_IN_SYMBOLS || READS_GETTERS;
    const first = capable ? new Request(lazy, { method: "POST", body: "other" }) : lazy.clone();
    lazy.headers.set("x-b", "2");
    assert.equal(first.headers.get("x-b"), null);
    assert.equal((capable ? new Request(lazy) : lazy.clone()).headers.get("x-b"), "2");
  });

  test("a request whose content was read is refused", async () => {
    const lazy = request();
    await lazy.text();
    assert.throws(() => new Request(lazy), TypeError);
  });

  test("a request whose body is locked is refused, and usable after the lock is released", async () => {
    const lazy = request();
    const reader = lazy.body?.getReader();
    assert.throws(() => new Request(lazy), TypeError);
    reader?.releaseLock();
    assert.equal(await lazy.text(), "hello");
  });

  test("the content of a GET request stays with it", async () => {
    const lazy = new LazyRequest(fakeSource({ ...POST, method: "GET" }));
    if (KEEPS_STATE_IN_SYMBOLS) assert.equal(await new Request(lazy).text(), "");
    assert.equal(await lazy.text(), "hello");
  });

  test("fetch(request) sends all parts and the content, or rejects; clone() works on every runtime", async () => {
    const server = createServer(async (incoming, outgoing) => {
      let content = "";
      for await (const chunk of incoming) content += chunk;
      outgoing.end(`${incoming.method} ${incoming.url} ${incoming.headers["x-a"]} ${content}`);
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    try {
      const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/path`;
      const lazy = new LazyRequest({ ...fakeSource({ ...POST, fields: [["X-A", "1"]] }), url: () => url });
      const capable = KEEPS_STATE_IN_SYMBOLS || READS_GETTERS;
      if (!capable) await assert.rejects(fetch(lazy), TypeError);
      const response = await fetch(capable ? lazy : lazy.clone());
      assert.equal(await response.text(), "POST /path 1 hello");
      if (capable) assert.equal(lazy.bodyUsed, true);
    } finally {
      server.close();
    }
  });
});
