/** What proxies say of the request they pass on: `Forwarded` (RFC 7239) and the `X-Forwarded` fields, read from the right. */

import assert from "node:assert/strict";
import process from "node:process";
import { describe, test } from "node:test";
import { FieldSection } from "../../src/http/field_section.ts";
import { type Hop, type HopReader, parseNode, readForwarded, readXForwarded } from "../../src/http/forwarded.ts";

/** Field lines as a section. */
function section(...lines: (readonly [name: string, value: string])[]): FieldSection {
  let text = "";
  const offsets: number[] = [];
  for (const [name, value] of lines) {
    offsets.push(text.length, text.length + name.length);
    text += name;
    offsets.push(text.length, text.length + value.length);
    text += value;
  }
  return new FieldSection(text, offsets);
}

/** The hops in words, the nearest first: node, proto and host; "?" for one of which nothing is known. */
function describeHops(next: HopReader): string[] {
  const hops: string[] = [];
  for (let hop: Hop | null = next(); hop !== null; hop = next()) {
    const { node, proto, host } = hop;
    hops.push([node, proto, host].map((part) => part ?? "-").join(" ").replace("- - -", "?"));
  }
  return hops;
}

const FORWARDED: Readonly<Record<string, readonly [value: string, hops: readonly string[]]>> = {
  "section 4, an address": ["for=192.0.2.43", ["192.0.2.43 - -"]],
  "section 4, several in one field": ["for=192.0.2.43, for=198.51.100.17", ["198.51.100.17 - -", "192.0.2.43 - -"]],
  "section 4, all parameters": ["for=192.0.2.60;proto=http;by=203.0.113.43;host=a.test", ["192.0.2.60 http a.test"]],
  "section 4, names in any case": ["For=192.0.2.60;PROTO=https", ["192.0.2.60 https -"]],
  "section 6, IPv6 in quotes": ['for="[2001:db8:cafe::17]:4711"', ["[2001:db8:cafe::17]:4711 - -"]],
  "section 6.3, an obfuscated name": ["for=_gazonk", ["_gazonk - -"]],
  "section 6.2, unknown": ["for=unknown", ["unknown - -"]],
  "escaped characters in quotes": ['for="19\\2.0.2.1"', ["192.0.2.1 - -"]],
  "a comma in quotes": ['for=192.0.2.1;host="a,b", for=192.0.2.2', ["192.0.2.2 - -", "192.0.2.1 - a,b"]],
  "a quote that is escaped": ['for=192.0.2.1;host="a\\"", for=192.0.2.2', ["192.0.2.2 - -", '192.0.2.1 - a"']],
  "a quote that is escaped, with a comma before it": ['for=192.0.2.1;host="a,\\"b", for=192.0.2.2', [
    "192.0.2.2 - -",
    '192.0.2.1 - a,"b',
  ]],
  "a backslash that is escaped": ['for=192.0.2.1;host="a\\\\", for=192.0.2.2', ["192.0.2.2 - -", "192.0.2.1 - a\\"]],
  "white space around the semicolons": ["for=192.0.2.1 ; proto=http", ["192.0.2.1 http -"]],
  "empty pairs and elements": [", for=192.0.2.1;;proto=http; ,", ["192.0.2.1 http -"]],
  "nothing": ["", []],
  "an extension": ["for=192.0.2.1;secret=_x", ["192.0.2.1 - -"]],
  // A client may send what comes first, and the proxy has added the rest.
  "a quote that the client has opened": ['for="1.1.1.1, for=192.0.2.1', ["192.0.2.1 - -", "?"]],
  "a quote that the client has opened behind another": ['for="1.1.1.1", host="a, for=192.0.2.1', [
    "192.0.2.1 - -",
    "?",
  ]],
  "words without a value": ["for, for=192.0.2.1", ["192.0.2.1 - -", "?"]],
  "a parameter that comes twice": ["for=1.1.1.1;for=2.2.2.2, for=192.0.2.1", ["192.0.2.1 - -", "?"]],
  "an element that is none hides what is further left": ["for=1.1.1.1, for=;, for=192.0.2.1", ["192.0.2.1 - -", "?"]],
  "IPv6 without quotes is no token": ["for=[::1], for=192.0.2.1", ["192.0.2.1 - -", "?"]],
  "pairs without a semicolon between": ["for=1.1.1.1 proto=http", ["?"]],
  "Forwarded of 30,000 chars, CVE-2022-22707 (lighttpd: what it holds is bounded, and was not)": [
    `${"for=1;".repeat(5_000)}, for=192.0.2.1`,
    ["192.0.2.1 - -", "?"],
  ],
};

describe("Forwarded", () => {
  for (const [name, [value, hops]] of Object.entries(FORWARDED)) {
    test(name, () => assert.deepEqual(describeHops(readForwarded(section(["Forwarded", value]))), hops));
  }

  test("is one list, on however many lines", () => {
    const fields = section(["forwarded", "for=1.1.1.1"], ["Forwarded", "for=2.2.2.2"]);
    assert.deepEqual(describeHops(readForwarded(fields)), ["2.2.2.2 - -", "1.1.1.1 - -"]);
  });

  test("takes time in proportion to its length, whatever it is", () => {
    for (
      const value of ['"'.repeat(16_000), "\\".repeat(16_000), `for="${"\\\\".repeat(8_000)}`, "for=1 ".repeat(3_000)]
    ) {
      const before = process.cpuUsage();
      describeHops(readForwarded(section(["forwarded", value])));
      const { user, system } = process.cpuUsage(before);
      assert.ok(user + system < 1_000_000, `${value.slice(0, 8)} took ${user + system} µs`);
    }
  });
});

const X_FORWARDED: Readonly<Record<string, readonly [lines: Record<string, string>, hops: readonly string[]]>> = {
  "an address": [{ "X-Forwarded-For": "192.0.2.1" }, ["192.0.2.1 - -"]],
  "several addresses": [{ "X-Forwarded-For": "1.1.1.1,\t2.2.2.2 , 3.3.3.3" }, [
    "3.3.3.3 - -",
    "2.2.2.2 - -",
    "1.1.1.1 - -",
  ]],
  "lists of the same length": [
    { "X-Forwarded-For": "1.1.1.1, 2.2.2.2", "X-Forwarded-Proto": "https, http", "X-Forwarded-Host": "a, b" },
    ["2.2.2.2 http b", "1.1.1.1 https a"],
  ],
  "one proto for several addresses": [
    { "X-Forwarded-For": "1.1.1.1, 2.2.2.2", "X-Forwarded-Proto": "https" },
    ["2.2.2.2 https -", "1.1.1.1 https -"],
  ],
  "more protos than addresses: those further left are the client's": [
    { "X-Forwarded-For": "1.1.1.1", "X-Forwarded-Proto": "https, http" },
    ["1.1.1.1 http -"],
  ],
  "a proto alone": [{ "X-Forwarded-Proto": "https" }, ["- https -"]],
  "a host alone": [{ "X-Forwarded-Host": "a" }, ["- - a"]],
  "a proto and a host": [{ "X-Forwarded-Proto": "https", "X-Forwarded-Host": "a" }, ["- https a"]],
  "empty elements": [{ "X-Forwarded-For": ",1.1.1.1,,2.2.2.2," }, ["2.2.2.2 - -", "1.1.1.1 - -"]],
  "nothing": [{}, []],
  "Forwarded in its place": [{ "Forwarded": "for=1.1.1.1" }, []],
};

describe("X-Forwarded-For, -Proto and -Host", () => {
  for (const [name, [lines, hops]] of Object.entries(X_FORWARDED)) {
    test(name, () => assert.deepEqual(describeHops(readXForwarded(section(...Object.entries(lines)))), hops));
  }
});

/** What is written, and the address and port that it means; `null` where it means none. */
const NODES: readonly (readonly [text: string, node: string | null])[] = [
  ["192.0.2.1", "192.0.2.1 0"],
  ["192.0.2.1:8080", "192.0.2.1 8080"],
  ["192.0.2.1:65535", "192.0.2.1 65535"],
  ["192.0.2.1:65536", null],
  ["192.0.2.1:_port", null],
  ["192.0.2.1:", null],
  ["[2001:db8::1]", "2001:db8::1 0"],
  ["[2001:db8::1]:443", "2001:db8::1 443"],
  ["2001:db8::1", "2001:db8::1 0"],
  ["[192.0.2.1]", null],
  ["::ffff:192.0.2.1", "192.0.2.1 0"],
  ["unknown", null],
  ["_hidden", null],
  ["localhost", null],
  ["", null],
  ["192.0.2.1 ", null],
];

describe("an address that a proxy tells", () => {
  for (const [text, expected] of NODES) {
    test(`${JSON.stringify(text)} ${expected === null ? "is none" : `is ${expected}`}`, () => {
      const node = parseNode(text);
      assert.equal(node === null ? null : `${node.hostname} ${node.port}`, expected);
    });
  }
});
