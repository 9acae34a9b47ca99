/** The exact bounds of what a peer may send, and that nothing which many messages share grows with their number. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { ChunkedDecoder } from "../../../src/http1/codec/chunked_decoder.ts";
import { RequestHeadParser } from "../../../src/http1/codec/request_head.ts";
import { isAuthority, TargetUriComposer } from "../../../src/http1/codec/request_target.ts";
import { decodeLatin1, FIXTURE_LIMITS, latin1 } from "../../support/parse_requests.ts";

const MAX_EXTENSION_BYTES = 4096;
const EMPTY_LINE = "\r\n";
const HEAD = "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n";

/** Decodes chunks, one byte or many at a time, as far as they go. Returns the content, as char codes. */
function decodeChunks(text: string, pieceBytes = text.length): string {
  const decoder = new ChunkedDecoder({ ...FIXTURE_LIMITS, maxContentBytes: Infinity }, decodeLatin1);
  const bytes = latin1(text);
  let content = "";
  for (let at = 0; at < bytes.byteLength;) {
    const next = decoder.decode(bytes, at, Math.min(bytes.byteLength, at + pieceBytes));
    content += decodeLatin1(bytes, next - decoder.pieceBytes, next);
    if (next === at) break;
    at = next;
  }
  return content;
}

describe("the extensions of a chunked message (RFC 9112 section 7.1.1)", () => {
  /** A chunk whose extension takes so many bytes, the semicolon included. */
  const extended = (byteLength: number): string => `1;${"a".repeat(byteLength - 1)}\r\nx\r\n`;
  const half = MAX_EXTENSION_BYTES / 2;
  const rows: { name: string; within: string; beyond: string }[] = [
    { name: "of one chunk", within: extended(4096), beyond: extended(4097) },
    {
      name: "of all chunks, beyond the content between them,",
      within: extended(half) + extended(half + 1),
      beyond: extended(half) + extended(half + 2),
    },
    {
      name: "of the last chunk",
      within: `${extended(half)}0;${"a".repeat(half)}\r\n`,
      beyond: `${extended(half)}0;${"a".repeat(half + 1)}`,
    },
    {
      name: "and the zeros before its size, of which the first digit is none,",
      within: `${"0".repeat(4096)}1\r\nx\r\n`,
      beyond: `${"0".repeat(4097)}1\r\nx\r\n`,
    },
    {
      name: "and the zeros of the last chunk",
      within: `0${"0".repeat(4096)}\r\n`,
      beyond: `0${"0".repeat(4097)}`,
    },
    {
      name: "and the zeros of many chunks",
      within: "0001\r\nx\r\n".repeat(2046) + "001\r\nx\r\n",
      beyond: "0001\r\nx\r\n".repeat(2048),
    },
    {
      name: "behind much content, which is not saved up for them,",
      within: `2000\r\n${"x".repeat(8192)}\r\n${extended(4096)}`,
      beyond: `2000\r\n${"x".repeat(8192)}\r\n${extended(4097)}`,
    },
  ];
  for (const { name, within, beyond } of rows) {
    for (const pieceBytes of [1, Infinity]) {
      test(`those ${name} may have 4096 bytes and not one more, ${pieceBytes} bytes at a time`, () => {
        assert.equal(decodeChunks(within, pieceBytes), "x".repeat(within.split("x").length - 1));
        assert.throws(() => decodeChunks(beyond, pieceBytes), { code: "chunk-extensions-too-long" });
      });
    }
  }
});

test("an upload of 8 MB in chunks of 8 KiB may have an extension with each (RFC 9112 section 7.1.1)", () => {
  const chunk = `2000;n=1\r\n${"x".repeat(8192)}\r\n`;
  assert.equal(decodeChunks(`${chunk.repeat(1500)}0\r\n\r\n`).length, 1500 * 8192);
});

test("empty lines before a head do not count for the connection that gets the parser next (RFC 9112 section 2.2)", () => {
  const parser = new RequestHeadParser(FIXTURE_LIMITS, decodeLatin1);
  const bytes = latin1(EMPTY_LINE.repeat(4) + HEAD);
  for (let connection = 1; connection <= 3; connection++) {
    assert.equal(parser.parse(bytes, 0, bytes.byteLength)?.authority, "a.test");
    assert.equal(parser.consumedBytes, bytes.byteLength);
  }
  const tooMany = latin1(EMPTY_LINE.repeat(5) + HEAD);
  assert.throws(() => parser.parse(tooMany, 0, tooMany.byteLength), { code: "request-line-invalid" });
});

describe("a port (RFC 9110 section 7.2)", () => {
  for (
    const [authority, expected] of [
      ["a.test:65535", true],
      ["a.test:0", true],
      ["a.test:", true],
      ["[::1]:65535", true],
      ["a.test:000000065535", true],
      ["a.test:65536", false],
      ["[::1]:65536", false],
      ["a.test:99999999999999999999", false],
    ] as const
  ) {
    test(`${authority} is ${expected ? "one" : "none"}`, () => assert.equal(isAuthority(authority), expected));
  }
});

test("origins are kept for so many authorities as one server has, and not for those that an attacker makes up", () => {
  const composer = new TargetUriComposer("http");
  const compose = (authority: string): string =>
    composer.compose({ scheme: null, authority, pathAndQuery: "/", isPlainTarget: true }, {
      localAddress: { transport: "unix", path: "" },
    });
  const parsed = countUrls(() => {
    for (let i = 0; i < 64; i++) compose(`host-${i}.test`);
  });
  assert.equal(parsed, 64, "each is parsed once");
  assert.equal(countUrls(() => compose("host-1.test")), 0, "and is known then");
  for (let i = 64; i < 1000; i++) assert.equal(compose(`host-${i}.test`), `http://host-${i}.test/`);
  assert.equal(countUrls(() => compose("host-1.test")), 1, "until there are too many");
});

/** How many URLs are parsed meanwhile: what is not kept has to be parsed again. */
function countUrls(act: () => void): number {
  const { URL } = globalThis;
  let count = 0;
  globalThis.URL = class extends URL {
    constructor(url: string | URL, base?: string | URL) {
      super(url, base);
      count++;
    }
  };
  try {
    act();
  } finally {
    globalThis.URL = URL;
  }
  return count;
}
