/** Field lines: which names and values can be sent, and the order in which lines stand. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import {
  hasFieldLine,
  insertFieldLine,
  normalizeFieldName,
  normalizeFieldValue,
  readFieldLines,
} from "../../src/web/field_lines.ts";

/** RFC 9110 section 5.6.2: `tchar`. */
const TCHAR = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]$/;

describe("every char up to U+0180", () => {
  test("is in a name if and only if it is a tchar, at any place (RFC 9110 section 5.6.2)", () => {
    for (let charCode = 0; charCode <= 0x180; charCode++) {
      const char = String.fromCharCode(charCode);
      for (const [before, after] of [["", ""], ["a", ""], ["", "a"], ["A-", "-A"]]) {
        const name = before + char + after;
        const expected = TCHAR.test(char) ? name.toLowerCase() : undefined;
        assert.equal(normalizeFieldName(name), expected, `U+${charCode.toString(16)}`);
      }
    }
  });

  test("is in a value if and only if it is HTAB, SP, VCHAR or obs-text (RFC 9110 section 5.5)", () => {
    for (let charCode = 0; charCode <= 0x180; charCode++) {
      const value = `a${String.fromCharCode(charCode)}b`;
      const allowed = charCode === 0x09 || (charCode >= 0x20 && charCode !== 0x7f && charCode <= 0xff);
      assert.equal(normalizeFieldValue(value), allowed ? value : undefined, `U+${charCode.toString(16)}`);
    }
  });

  test("is removed at the ends of a value if and only if it is white space", () => {
    for (let charCode = 0; charCode <= 0x180; charCode++) {
      const char = String.fromCharCode(charCode);
      const value = normalizeFieldValue(`${char}${char}a${char}`);
      if (" \t\r\n".includes(char)) assert.equal(value, "a", `U+${charCode.toString(16)}`);
      else assert.notEqual(value, "a", `U+${charCode.toString(16)}`);
    }
  });
});

describe("insertFieldLine()", () => {
  /** Names in the order in which they are inserted, and the lines: each value is the place of its name. */
  const INSERTIONS: readonly (readonly [names: string, lines: string])[] = [
    ["a", "a:0"],
    ["a b c", "a:0 b:1 c:2"],
    ["c b a", "a:2 b:1 c:0"],
    ["b c a", "a:2 b:0 c:1"],
    ["b a b", "a:1 b:0, 2"],
    ["a b a", "a:0, 2 b:1"],
    ["a a a", "a:0, 1, 2"],
    ["set-cookie z set-cookie a set-cookie", "a:3 set-cookie:0 set-cookie:2 set-cookie:4 z:1"],
    ["ab a a-b", "a:1 a-b:2 ab:0"],
  ];
  for (const [names, expected] of INSERTIONS) {
    test(`${names} gives ${expected}`, () => {
      const lines: string[] = [];
      names.split(" ").forEach((name, place) => insertFieldLine(lines, name, String(place)));
      const shown = [];
      for (let i = 0; i < lines.length; i += 2) shown.push(`${lines[i]}:${lines[i + 1]}`);
      assert.equal(shown.join(" "), expected);
    });
  }
});

test("hasFieldLine() looks at names only", () => {
  assert.equal(hasFieldLine(["a", "b"], "a"), true);
  assert.equal(hasFieldLine(["a", "b"], "b"), false);
  assert.equal(hasFieldLine([], "a"), false);
});

test("readFieldLines() gives one order on every runtime", () => {
  const headers = new Headers([["Set-Cookie", "1"], ["x", "2"], ["accept", "3"], ["set-cookie", "4"]]);
  assert.deepEqual(readFieldLines(headers), ["accept", "3", "set-cookie", "1", "set-cookie", "4", "x", "2"]);
});
