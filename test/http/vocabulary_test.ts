/** The vocabulary of HTTP: dates, lists, status codes and combined fields. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { formatImfFixdate } from "../../src/http/dates.ts";
import { FieldSection } from "../../src/http/field_section.ts";
import { isContentless, reasonPhrase } from "../../src/http/status.ts";
import { forEachListElement } from "../../src/http/token_list.ts";

describe("IMF-fixdate (RFC 9110 section 5.6.7)", () => {
  const rows: [string, number, string][] = [
    ["the example of the RFC", Date.UTC(1994, 10, 6, 8, 49, 37), "Sun, 06 Nov 1994 08:49:37 GMT"],
    ["a leap day", Date.UTC(2024, 1, 29, 23, 59, 59), "Thu, 29 Feb 2024 23:59:59 GMT"],
    ["fractions of a second are cut off", Date.UTC(2026, 0, 1) + 999, "Thu, 01 Jan 2026 00:00:00 GMT"],
  ];
  for (const [name, timeMs, expected] of rows) {
    test(name, () => assert.equal(formatImfFixdate(timeMs), expected));
  }
});

describe("list of tokens (RFC 9110 section 5.6.1)", () => {
  const rows: [string, string[]][] = [
    ["close", ["close"]],
    ["Keep-Alive, CLOSE", ["keep-alive", "close"]],
    [" \ta ,\tb ", ["a", "b"]],
    ["a,,b, ,", ["a", "b"]],
    ["", []],
    [" , ", []],
    // A no-break space is not OWS, so it is part of the element.
    ["\xa0close", ["\xa0close"]],
  ];
  for (const [value, expected] of rows) {
    test(JSON.stringify(value), () => {
      const elements: string[] = [];
      forEachListElement(value, (element) => elements.push(element));
      assert.deepEqual(elements, expected);
    });
  }
});

describe("field section", () => {
  const lines: [string, string][] = [
    ["Accept", "a"],
    ["COOKIE", "x=1"],
    ["accept", "b, c"],
    ["Cookie", "y=2"],
    ["X-[", "bracket"],
  ];
  let text = "";
  const offsets: number[] = [];
  for (const [name, value] of lines) {
    const start = text.length;
    text += `${name}: ${value}\r\n`;
    offsets.push(start, start + name.length, start + name.length + 2, text.length - 2);
  }
  const section = new FieldSection(text, offsets);

  test("combines lines of a name in order, whatever their case", () => assert.equal(section.get("accept"), "a, b, c"));
  test("combines Cookie with a semicolon", () => assert.equal(section.get("cookie"), "x=1; y=2"));
  test("has nothing for a name that is absent", () => assert.equal(section.get("accept-encoding"), null));
  test("does not take a bracket for a brace, which differ by the bit that letters differ by", () => {
    assert.equal(section.has("x-{"), false);
    assert.equal(section.has("x-["), true);
  });
});

describe("status codes (RFC 9110 section 15)", () => {
  test("have their registered reason phrases", () => {
    assert.deepEqual([200, 413, 431, 503].map(reasonPhrase), [
      "OK",
      "Content Too Large",
      "Request Header Fields Too Large",
      "Service Unavailable",
    ]);
  });
  test("that are not registered have none", () => assert.equal(reasonPhrase(299), ""));
  test("without content are 1xx, 204, 205 and 304", () => {
    assert.deepEqual([101, 103, 200, 204, 205, 206, 304, 404].filter(isContentless), [101, 103, 204, 205, 304]);
  });
});
