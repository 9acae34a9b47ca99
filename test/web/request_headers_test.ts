/** The lazy `Headers` of a request: reading straight from the field section, and being a `Headers` to everybody. */

import assert from "node:assert/strict";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { describe, test } from "node:test";
import { linkRequestPrototype } from "../../src/web/remade_request.ts";
import { RequestHeaders } from "../../src/web/request_headers.ts";
import { fieldSection } from "./fake_request_source.ts";

linkRequestPrototype();

const LINES = [
  ["Host", "example.com"],
  ["X-List", "a"],
  ["Cookie", "a=1"],
  ["accept", "text/html"],
  ["x-list", "b, c"],
  ["COOKIE", "b=2"],
  ["X-Empty", ""],
  ["X-Latin", "caf\xe9"],
] as const;

/** Sorted and combined, as the Fetch standard iterates. */
const ENTRIES = [
  ["accept", "text/html"],
  ["cookie", "a=1; b=2"],
  ["host", "example.com"],
  ["x-empty", ""],
  ["x-latin", "caf\xe9"],
  ["x-list", "a, b, c"],
];

const requestHeaders = (): RequestHeaders => new RequestHeaders(fieldSection(LINES));

/** The same headers after something made the global `Headers` behind them. */
function materialized(): RequestHeaders {
  const headers = requestHeaders();
  headers.append("x-added", "1");
  return headers;
}

for (const [state, make] of [["read from the section", requestHeaders], ["after a change", materialized]] as const) {
  describe(`get() and has(), ${state}`, () => {
    const READS: readonly (readonly [name: string, value: string | null])[] = [
      ["host", "example.com"],
      ["Host", "example.com"],
      ["HOST", "example.com"],
      ["x-list", "a, b, c"],
      ["cookie", "a=1; b=2"],
      ["x-empty", ""],
      ["x-latin", "caf\xe9"],
      ["x-lis", null],
      ["x-list-", null],
      ["!#$%&'*+.^_`|~09", null],
    ];
    for (const [name, value] of READS) {
      test(`${name} is ${JSON.stringify(value)}`, () => {
        assert.equal(make().get(name), value);
        assert.equal(make().has(name), value !== null);
      });
    }

    for (const name of ["", " host", "host ", "a b", "host:", "h\u00f6st", "ho\nst", "\u0130", "\ud83d\ude00"]) {
      test(`the name ${JSON.stringify(name)} is not a token and throws a TypeError (RFC 9110 section 5.1)`, () => {
        assert.throws(() => make().get(name), TypeError);
        assert.throws(() => make().has(name), TypeError);
      });
    }
  });
}

describe("iteration", () => {
  const ITERATIONS: readonly (readonly [string, (headers: RequestHeaders) => unknown, unknown])[] = [
    ["entries()", (h) => [...h.entries()], ENTRIES],
    ["spread", (h) => [...h], ENTRIES],
    ["for of", (h) => {
      const entries = [];
      for (const entry of h) entries.push(entry);
      return entries;
    }, ENTRIES],
    ["keys()", (h) => [...h.keys()], ENTRIES.map(([name]) => name)],
    ["values()", (h) => [...h.values()], ENTRIES.map(([, value]) => value)],
    ["Object.fromEntries()", (h) => Object.fromEntries(h), Object.fromEntries(ENTRIES)],
    ["new Map()", (h) => [...new Map(h)], ENTRIES],
  ];
  for (const [name, iterate, expected] of ITERATIONS) {
    test(`${name} is sorted and combined`, () => assert.deepEqual(iterate(requestHeaders()), expected));
  }

  test("forEach() calls back with value, name and the headers, on the given this", () => {
    const headers = requestHeaders();
    const thisArgument = {};
    const seen: unknown[] = [];
    headers.forEach(function (this: unknown, value, name, owner) {
      assert.equal(this, thisArgument);
      assert.equal(owner, headers);
      seen.push([name, value]);
    }, thisArgument);
    assert.deepEqual(seen, ENTRIES);
  });
});

describe("changes", () => {
  const CHANGES: readonly (readonly [string, (headers: RequestHeaders) => void, string, string | null])[] = [
    ["set() replaces", (h) => h.set("X-List", "z"), "x-list", "z"],
    ["set() adds", (h) => h.set("x-new", "z"), "X-New", "z"],
    ["append() combines", (h) => h.append("x-list", "z"), "x-list", "a, b, c, z"],
    ["delete() removes", (h) => h.delete("Host"), "host", null],
  ];
  for (const [name, change, field, value] of CHANGES) {
    test(`${name}, and all reads see it`, () => {
      const headers = requestHeaders();
      change(headers);
      assert.equal(headers.get(field), value);
      assert.equal(headers.has(field), value !== null);
      assert.equal(new Map(headers).get(field.toLowerCase()) ?? null, value);
    });
  }

  test("getSetCookie() gives each value", () => {
    const headers = requestHeaders();
    assert.deepEqual(headers.getSetCookie(), []);
    headers.append("set-cookie", "a=1");
    headers.append("set-cookie", "b=2");
    assert.deepEqual(headers.getSetCookie(), ["a=1", "b=2"]);
  });
});

describe("being a Headers", () => {
  test("no property of the runtime's Headers is inherited, which would refuse a lazy one", () => {
    for (const name of Object.getOwnPropertyNames(Headers.prototype)) {
      assert.ok(Object.hasOwn(RequestHeaders.prototype, name), name);
    }
  });

  test("a property that only one runtime's Headers has is answered", () => {
    const native = new Headers(ENTRIES as [string, string][]);
    const lazy = requestHeaders();
    for (const name of ["count", "toJSON", "getAll"]) {
      if (!(name in native)) continue;
      const [expected, got] = [Reflect.get(native, name), Reflect.get(lazy, name)];
      if (typeof expected === "function") {
        assert.deepEqual(got.call(lazy, "set-cookie"), expected.call(native, "set-cookie"));
      } else assert.equal(got, expected);
    }
  });

  const TAKERS: readonly (readonly [string, (headers: Headers) => Headers])[] = [
    ["new Headers(headers)", (h) => new Headers(h)],
    ["new Headers([...headers])", (h) => new Headers([...h])],
    ["new Request(url, { headers })", (h) => new Request("http://example.com/", { headers: h }).headers],
    ["new Response(null, { headers })", (h) => new Response(null, { headers: h }).headers],
  ];
  for (const [name, take] of TAKERS) {
    test(`${name} takes all fields`, () => {
      assert.deepEqual([...take(requestHeaders())], ENTRIES);
    });
  }

  test("fetch(url, { headers }) sends them", async () => {
    const server = createServer((incoming, outgoing) => outgoing.end(`${incoming.headers["x-list"]}`));
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    try {
      const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
      const headers = new RequestHeaders(fieldSection([["X-List", "a"], ["X-List", "b"]]));
      assert.equal(await (await fetch(url, { headers })).text(), "a, b");
    } finally {
      server.close();
    }
  });
});

test("a hundred names are iterated without a global Headers, and Set-Cookie lines stay apart", () => {
  const names = Array.from({ length: 100 }, (_, at) => `X-Name-${(at * 37) % 100}`);
  const headers = new RequestHeaders(
    fieldSection([...names.map((name) => [name, name] as const), ["Set-Cookie", "a=1"], ["set-cookie", "b=2"]]),
  );
  const NativeHeaders = globalThis.Headers;
  globalThis.Headers = class extends NativeHeaders {
    constructor() {
      super();
      assert.fail("A global Headers was made.");
    }
  };
  try {
    const sorted = names.map((name) => name.toLowerCase()).sort();
    const all = ["set-cookie", "set-cookie", ...sorted];
    assert.deepEqual([...headers.keys()], all);
    assert.deepEqual([...headers].slice(0, 2), [["set-cookie", "a=1"], ["set-cookie", "b=2"]]);
    assert.equal([...headers.values()].length, all.length);
    const seen: string[] = [];
    headers.forEach((_value, name) => seen.push(name));
    assert.deepEqual(seen, all);
  } finally {
    globalThis.Headers = NativeHeaders;
  }
});
