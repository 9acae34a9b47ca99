/** Heads that come again: kept at the second sighting, never wrong, and not pushed out by heads that come once. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { HeadShapes } from "../../../src/http1/codec/head_shapes.ts";

const DATE = "Date: Thu, 01 Jan 1970 00:00:00 GMT\r\n";
const LATER = "Date: Thu, 01 Jan 1970 00:00:01 GMT\r\n";
const TEXT = ["content-type", "text/plain"];

function find(shapes: HeadShapes, fields: readonly string[], { status = 200, date = DATE } = {}): string | null {
  const bytes = shapes.startOf(status, fields, date);
  return bytes === null ? null : new TextDecoder().decode(bytes);
}

function head(lines: string, date = DATE): string {
  return `HTTP/1.1 200 OK\r\n${lines}${date}Content-Length: `;
}

describe("a head", () => {
  test("is kept when it is seen the second time, whichever list it comes in", () => {
    const shapes = new HeadShapes();
    assert.equal(find(shapes, TEXT), null);
    assert.equal(find(shapes, [...TEXT]), head("content-type: text/plain\r\n"));
    assert.equal(find(shapes, [...TEXT]), head("content-type: text/plain\r\n"));
  });

  test("is made anew when the date changes", () => {
    const shapes = new HeadShapes();
    find(shapes, TEXT);
    find(shapes, TEXT);
    assert.equal(find(shapes, TEXT, { date: LATER }), head("content-type: text/plain\r\n", LATER));
  });

  test("without fields is one too", () => {
    const shapes = new HeadShapes();
    find(shapes, []);
    assert.equal(find(shapes, []), head(""));
  });

  test("of another status, name or value of the same length is another one", () => {
    const shapes = new HeadShapes();
    const others: [string[], number][] = [
      [["content-type", "text/plain"], 201],
      [["content-type", "text/plaim"], 200],
      [["content-typf", "text/plain"], 200],
    ];
    find(shapes, TEXT);
    find(shapes, TEXT);
    for (const [fields, status] of others) assert.equal(find(shapes, fields, { status }), null);
    assert.equal(find(shapes, TEXT), head("content-type: text/plain\r\n"));
  });

  for (
    const fields of [
      ["connection", "close"],
      ["content-length", "5"],
      ["date", "Thu, 01 Jan 1970 00:00:00 GMT"],
      ["keep-alive", "timeout=5"],
      ["proxy-connection", "close"],
      ["transfer-encoding", "chunked"],
      ["upgrade", "h2c"],
      ["x-name", "caf\xe9"],
      ["x-long", "a".repeat(2000)],
      Array.from({ length: 34 }, (_, i) => i % 2 === 0 ? `x-${i}` : "1"),
    ]
  ) {
    test(`with ${fields.slice(0, 2).join(": ").slice(0, 40)} is not kept`, () => {
      const shapes = new HeadShapes();
      for (let i = 0; i < 3; i++) assert.equal(find(shapes, fields), null);
    });
  }

  for (const status of [101, 103, 204, 205, 304]) {
    test(`of ${status}, which has no content, is not kept`, () => {
      const shapes = new HeadShapes();
      for (let i = 0; i < 3; i++) assert.equal(find(shapes, [], { status }), null);
    });
  }

  test("that has proven itself stays while thousands come once", () => {
    const shapes = new HeadShapes();
    find(shapes, TEXT);
    find(shapes, TEXT);
    for (let i = 0; i < 5000; i++) {
      assert.equal(find(shapes, ["content-type", "text/plain", "etag", `"${i}"`]), null);
      // Some of them fall into the same set.
      assert.equal(find(shapes, ["content-type", `text/${10000 + i}`]), null);
      if (i % 50 === 0) assert.equal(find(shapes, TEXT), head("content-type: text/plain\r\n"));
    }
  });

  test("is found again within a few sightings after thousands that came once", () => {
    const shapes = new HeadShapes();
    for (let i = 0; i < 5000; i++) find(shapes, ["etag", `"${i}"`]);
    const found = Array.from({ length: 64 }, () => find(shapes, TEXT));
    assert.equal(found.at(-1), head("content-type: text/plain\r\n"));
  });

  test("takes turns with another of the same set", () => {
    const shapes = new HeadShapes();
    const other = ["content-type", "text/plaim"];
    for (let i = 0; i < 2; i++) {
      find(shapes, TEXT);
      find(shapes, TEXT);
      find(shapes, other);
      find(shapes, other);
    }
    for (let i = 0; i < 4; i++) {
      assert.equal(find(shapes, TEXT), head("content-type: text/plain\r\n"));
      assert.equal(find(shapes, other), head("content-type: text/plaim\r\n"));
    }
  });
});
