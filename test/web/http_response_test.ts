/** `HttpResponse`: the interface of `Response`, with the checks of a server. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { inspect } from "node:util";
import { HttpResponse, linkResponsePrototype } from "../../src/web/http_response.ts";
import { RequestHeaders } from "../../src/web/request_headers.ts";
import { fieldSection } from "./fake_request_source.ts";

describe("identity", () => {
  test("a response passes instanceof Response though no server was started", () => {
    assert.ok(new HttpResponse() instanceof Response);
    assert.ok(HttpResponse.json(1) instanceof Response);
    assert.equal(Object.prototype.toString.call(new HttpResponse()), "[object Response]");
  });

  test("linking twice changes nothing", () => {
    linkResponsePrototype();
    linkResponsePrototype();
    assert.equal(Object.getPrototypeOf(HttpResponse.prototype), Response.prototype);
  });

  test("no property of the runtime's Response is inherited, which would refuse one that is not its own", () => {
    for (const name of Object.getOwnPropertyNames(Response.prototype)) {
      assert.ok(Object.hasOwn(HttpResponse.prototype, name), name);
    }
    for (const name of ["json", "redirect", "error"]) assert.ok(Object.hasOwn(HttpResponse, name), name);
  });

  test("inspecting shows something and takes nothing", async () => {
    const response = new HttpResponse("x", { status: 404 });
    assert.match(inspect(response), /404/);
    assert.equal(response.bodyUsed, false);
    assert.equal(await response.text(), "x");
  });

  test("a subclass works", async () => {
    class Page extends HttpResponse {}
    assert.equal(await new Page("x").text(), "x");
  });
});

describe("status and reason phrase", () => {
  test("are 200 and empty by default, for any absent init", () => {
    for (const init of [undefined, {}, { status: undefined, statusText: undefined, headers: undefined }]) {
      const response = new HttpResponse(null, init);
      assert.equal(response.status, 200);
      assert.equal(response.statusText, "");
      assert.equal(response.ok, true);
    }
  });

  for (
    const [status, ok] of [[101, false], [200, true], [299, true], [300, false], [404, false], [599, false]] as const
  ) {
    test(`${status} is allowed and ${ok ? "ok" : "not ok"}`, () => {
      const response = new HttpResponse(null, { status });
      assert.equal(response.status, status);
      assert.equal(response.ok, ok);
    });
  }

  for (const status of [0, 1, 99, 100, 102, 103, 199, 600, 999, -200, 200.5, NaN, Infinity, "200", null]) {
    test(`${inspect(status)} throws a RangeError`, () => {
      assert.throws(() => new HttpResponse(null, { status: status as number }), RangeError);
    });
  }

  for (const statusText of ["", "Fine", "a b\tc", "\xe9"]) {
    test(`the reason phrase ${JSON.stringify(statusText)} is kept (RFC 9112 section 4)`, () => {
      assert.equal(new HttpResponse(null, { statusText }).statusText, statusText);
    });
  }

  for (const statusText of ["\r\n", "a\nb", "\0", "\x7f", "\u0100", "\ud83d\ude00"]) {
    test(`the reason phrase ${JSON.stringify(statusText)} throws a TypeError`, () => {
      assert.throws(() => new HttpResponse(null, { statusText }), TypeError);
    });
  }

  test("type, url and redirected are those of a response that was not fetched", () => {
    const response = new HttpResponse();
    assert.deepEqual([response.type, response.url, response.redirected], ["default", "", false]);
  });
});

describe("fields", () => {
  const INITS: readonly (readonly [string, HeadersInit, [string, string][]])[] = [
    ["an object", { "X-B": "2", "x-a": "1" }, [["x-a", "1"], ["x-b", "2"]]],
    ["an object with names of different case", { "X-A": "1", "x-a": "2" }, [["x-a", "1, 2"]]],
    ["an object without prototype", Object.assign(Object.create(null), { a: "1" }), [["a", "1"]]],
    ["an object that inherits", Object.assign(Object.create({ inherited: "1" }), { a: "1" }), [["a", "1"]]],
    ["pairs", [["b", "2"], ["A", "1"], ["b", "3"]], [["a", "1"], ["b", "2, 3"]]],
    ["a Headers", new Headers({ a: "1", b: "2" }), [["a", "1"], ["b", "2"]]],
    ["a Map", new Map([["b", "2"], ["a", "1"]]) as unknown as HeadersInit, [["a", "1"], ["b", "2"]]],
    ["the headers of a request", new RequestHeaders(fieldSection([["A", "1"]])), [["a", "1"]]],
    ["nothing", {}, []],
    ["values that are not strings", { a: 1, b: true } as unknown as HeadersInit, [["a", "1"], ["b", "true"]]],
    ["white space around values", { a: " \t1\r\n", b: "  " }, [["a", "1"], ["b", ""]]],
    ["white space in values", { a: "1 \t 2" }, [["a", "1 \t 2"]]],
    ["obs-text", { a: "\x80\xff" }, [["a", "\x80\xff"]]],
    ["all token chars", { "!#$%&'*+-.^_`|~09": "1" }, [["!#$%&'*+-.^_`|~09", "1"]]],
  ];
  for (const [name, headers, expected] of INITS) {
    test(`may be given as ${name}`, () => {
      const response = new HttpResponse(null, { headers });
      assert.deepEqual([...response.headers], expected);
      assert.deepEqual([...new Response(null, { headers }).headers], expected, "as the global class does");
    });
  }

  test("Set-Cookie keeps a line for each value", () => {
    const response = new HttpResponse(null, { headers: [["set-cookie", "a=1"], ["x", "1"], ["Set-Cookie", "b=2"]] });
    assert.deepEqual(response.headers.getSetCookie(), ["a=1", "b=2"]);
    assert.deepEqual(new HttpResponse(null, response).headers.getSetCookie(), ["a=1", "b=2"]);
  });

  for (const name of ["", " ", "a b", "a:", "a\r\n", "\x7f", "\xe9", "\u0130", "{"]) {
    test(`the name ${JSON.stringify(name)} throws a TypeError (RFC 9110 section 5.1)`, () => {
      assert.throws(() => new HttpResponse(null, { headers: { [name]: "1" } }), TypeError);
      assert.throws(() => new HttpResponse(null, { headers: [[name, "1"]] }), TypeError);
    });
  }

  for (const value of ["a\r\nb: c", "a\rb", "a\nb", "a\0b", "\x01", "a\x1fb", "\x7f", "\u0100", "\ud83d\ude00"]) {
    test(`the value ${JSON.stringify(value)} throws a TypeError (RFC 9110 section 5.5)`, () => {
      assert.throws(() => new HttpResponse(null, { headers: { a: value } }), TypeError);
      assert.throws(() => new HttpResponse(null, { headers: [["a", value]] }), TypeError);
    });
  }

  for (const headers of [null, "a: b", 1, [["a"]], [["a", "b", "c"]], [null]]) {
    test(`${inspect(headers)} throws a TypeError`, () => {
      assert.throws(() => new HttpResponse(null, { headers: headers as unknown as HeadersInit }), TypeError);
    });
  }

  test("can be changed through headers, which is one object", () => {
    const response = new HttpResponse("x", { headers: { a: "1" } });
    response.headers.set("b", "2");
    response.headers.delete("content-type");
    assert.equal(response.headers, response.headers);
    assert.deepEqual([...response.headers], [["a", "1"], ["b", "2"]]);
  });
});

describe("the default Content-Type", () => {
  const TYPES: readonly (readonly [string, () => BodyInit | null, string | null])[] = [
    ["a string", () => "x", "text/plain;charset=UTF-8"],
    ["an empty string", () => "", "text/plain;charset=UTF-8"],
    ["URLSearchParams", () => new URLSearchParams("a=b"), "application/x-www-form-urlencoded;charset=UTF-8"],
    ["a Blob with a type", () => new Blob(["x"], { type: "image/png" }), "image/png"],
    ["a Blob without a type", () => new Blob(["x"]), null],
    ["bytes", () => new Uint8Array(1), null],
    ["a buffer", () => new ArrayBuffer(1), null],
    ["a stream", () => new ReadableStream(), null],
    ["no content", () => null, null],
  ];
  for (const [name, makeBody, type] of TYPES) {
    test(`of ${name} is ${type}`, () => {
      assert.equal(new HttpResponse(makeBody()).headers.get("content-type"), type);
      const init = { headers: { "x-a": "1", "a-x": "1" } };
      assert.equal(new HttpResponse(makeBody(), init).headers.get("content-type"), type);
    });
    test(`of ${name} is not used when one is given`, () => {
      const headers = { "Content-Type": "text/html" };
      assert.equal(new HttpResponse(makeBody(), { headers }).headers.get("content-type"), "text/html");
    });
  }

  test("of FormData has the boundary", async () => {
    const form = new FormData();
    form.append("a", "1");
    const response = new HttpResponse(form);
    const boundary = /^multipart\/form-data; ?boundary="?([^"]+)"?$/.exec(response.headers.get("content-type") ?? "")
      ?.[1];
    assert.ok(boundary);
    assert.ok((await response.clone().text()).includes(boundary));
    assert.deepEqual([...await response.formData()], [["a", "1"]]);
  });
});

describe("content", () => {
  const BODIES: readonly (readonly [string, () => unknown, string])[] = [
    ["a string", () => "grüße", "grüße"],
    ["a string with a lone surrogate", () => "\ud800", "\ufffd"],
    ["bytes", () => new Uint8Array([0x61, 0x62]), "ab"],
    ["a part of a buffer", () => new Uint8Array([0x61, 0x62, 0x63]).subarray(1, 2), "b"],
    ["a buffer", () => new Uint8Array([0x61, 0x62]).buffer, "ab"],
    ["another view", () => new DataView(new Uint8Array([0x61, 0x62]).buffer, 1), "b"],
    ["URLSearchParams", () => new URLSearchParams({ a: "b c" }), "a=b+c"],
    ["a Blob", () => new Blob(["a", "b"]), "ab"],
    ["a stream", () => new Blob(["ab"]).stream(), "ab"],
    ["a number", () => 1, "1"],
    ["no content", () => null, ""],
  ];
  for (const [name, makeBody, text] of BODIES) {
    const make = (): HttpResponse => new HttpResponse(makeBody() as BodyInit);
    const bytes = new TextEncoder().encode(text);

    test(`${name} can be read by every method`, async () => {
      assert.equal(await make().text(), text);
      assert.deepEqual(new Uint8Array(await make().arrayBuffer()), bytes);
      assert.deepEqual(new Uint8Array(await make().bytes()), bytes);
      assert.equal(await (await make().blob()).text(), text);
      let streamed = "";
      for await (const chunk of make().textStream()) streamed += chunk;
      assert.equal(streamed, text);
      assert.equal(await new Response(make().body).text(), text);
    });

    test(`${name} goes through new Response(response.body, response)`, async () => {
      const given = new HttpResponse(makeBody() as BodyInit, { status: 201, statusText: "Made", headers: { a: "1" } });
      const response = new Response(given.body, given);
      assert.equal(response.status, 201);
      assert.equal(response.statusText, "Made");
      assert.equal(response.headers.get("a"), "1");
      assert.equal(await response.text(), text);
    });

    test(`${name} can be cloned and is then in both`, async () => {
      const response = make();
      response.headers.set("a", "1");
      const clone = response.clone();
      assert.ok(clone instanceof HttpResponse);
      clone.headers.set("a", "2");
      assert.equal(response.headers.get("a"), "1");
      assert.equal(clone.headers.get("content-type"), response.headers.get("content-type"));
      assert.equal(await clone.text(), text);
      assert.equal(await response.text(), text);
    });

    if (text === "") continue;
    test(`${name} can be read once`, async () => {
      const response = make();
      assert.equal(response.bodyUsed, false);
      assert.ok(response.body instanceof ReadableStream);
      assert.equal(response.bodyUsed, false);
      const read = response.text();
      assert.equal(response.bodyUsed, true);
      await read;
      for (const take of ["text", "json", "bytes", "arrayBuffer", "blob", "formData"] as const) {
        await assert.rejects(response[take](), TypeError, take);
      }
      assert.throws(() => response.clone(), TypeError);
      assert.throws(() => response.textStream(), TypeError);
    });

    test(`${name} cannot be read or cloned while its stream is locked`, async () => {
      const response = make();
      const reader = response.body?.getReader();
      await assert.rejects(response.text(), TypeError);
      assert.throws(() => response.clone(), TypeError);
      reader?.releaseLock();
    });
  }

  test("no content is null and can be read again and again", async () => {
    const response = new HttpResponse();
    assert.equal(response.body, null);
    assert.equal(await response.text(), "");
    assert.equal(await response.text(), "");
    assert.equal(response.bodyUsed, false);
    await assert.rejects(response.json(), SyntaxError);
  });

  test("blob() has the type of the Content-Type field as it is then", async () => {
    const response = new HttpResponse(new Uint8Array(1));
    response.headers.set("content-type", "image/png");
    assert.equal((await response.blob()).type, "image/png");
  });

  for (const status of [101, 204, 205, 304]) {
    test(`status ${status} allows none`, () => {
      assert.equal(new HttpResponse(null, { status }).body, null);
      for (const body of ["", "x", new Uint8Array(0), new ReadableStream()]) {
        assert.throws(() => new HttpResponse(body, { status }), TypeError);
      }
      assert.throws(() => HttpResponse.json(1, { status }), TypeError);
    });
  }

  test("a stream that is locked or was read throws a TypeError", async () => {
    const locked = new Blob(["x"]).stream();
    locked.getReader();
    assert.throws(() => new HttpResponse(locked), TypeError);
    const read = new Blob(["x"]).stream();
    const reader = read.getReader();
    await reader.read();
    reader.releaseLock();
    assert.throws(() => new HttpResponse(read), TypeError);
  });
});

describe("HttpResponse.json()", () => {
  test("has the JSON text and its type", async () => {
    const response = HttpResponse.json({ a: [1, "ü"] }, { status: 201, headers: { b: "1" } });
    assert.equal(response.status, 201);
    assert.deepEqual([...response.headers], [["b", "1"], ["content-type", "application/json"]]);
    assert.deepEqual(await response.json(), { a: [1, "ü"] });
  });

  test("keeps a Content-Type that was given", () => {
    const headers = { "content-type": "application/problem+json" };
    assert.deepEqual([...HttpResponse.json(null, { headers }).headers], [["content-type", "application/problem+json"]]);
  });

  for (const value of [undefined, () => 1, Symbol()]) {
    test(`${inspect(value)} has no JSON text and throws a TypeError`, () => {
      assert.throws(() => HttpResponse.json(value), TypeError);
    });
  }
});

describe("HttpResponse.redirect()", () => {
  test("has the URL in the Location field and status 302", () => {
    const response = HttpResponse.redirect("http://example.com/a b");
    assert.equal(response.status, 302);
    assert.equal(response.body, null);
    assert.deepEqual([...response.headers], [["location", "http://example.com/a%20b"]]);
    assert.equal(HttpResponse.redirect(new URL("http://example.com"), 308).status, 308);
  });

  for (const status of [200, 300, 304, 305, 306, 309, NaN]) {
    test(`status ${status} throws a RangeError`, () => {
      assert.throws(() => HttpResponse.redirect("http://example.com/", status), RangeError);
    });
  }

  for (const url of ["", "/relative", "//example.com/", "http://"]) {
    test(`${JSON.stringify(url)} is not an absolute URL and throws a TypeError`, () => {
      assert.throws(() => HttpResponse.redirect(url), TypeError);
    });
  }
});

test("HttpResponse.error() is a network error", () => {
  const response = HttpResponse.error();
  assert.deepEqual([response.type, response.status, response.ok, response.body], ["error", 0, false, null]);
});
