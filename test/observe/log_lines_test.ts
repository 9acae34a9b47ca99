/** How a request looks in each format of the access log, and what becomes of bytes that would forge lines. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { AccessLogEntry, AccessLogFormat } from "../../src/api/access_log.ts";
import { lineMaker } from "../../src/observe/log_lines.ts";

const ENTRY: AccessLogEntry = {
  time: Date.UTC(2026, 9, 10, 13, 55, 36, 250),
  remoteAddress: "192.0.2.7",
  method: "GET",
  target: "/items?name=abc",
  protocol: "HTTP/1.1",
  status: 200,
  bytes: 2326,
  durationMs: 1.25,
  referer: "http://a.test/start",
  userAgent: "Mozilla/5.0 (X11)",
  aborted: false,
  error: null,
};

const UNREADABLE = { method: null, target: null, protocol: null, referer: null, userAgent: null };

function lineOf(format: AccessLogFormat, change: Partial<AccessLogEntry> = {}, takesColour = false): string {
  return lineMaker(format, takesColour)({ ...ENTRY, ...change });
}

/** The time of day is that of the machine. */
function withoutTime(line: string): string {
  return line.replace(/^\d\d:\d\d:\d\d /, "");
}

describe("the line of a request", () => {
  const rows: readonly (readonly [string, AccessLogFormat, Partial<AccessLogEntry>, string])[] = [
    [
      "in the common format",
      "common",
      {},
      '192.0.2.7 - - [10/Oct/2026:13:55:36 +0000] "GET /items?name=abc HTTP/1.1" 200 2326',
    ],
    [
      "in the combined format",
      "combined",
      {},
      '192.0.2.7 - - [10/Oct/2026:13:55:36 +0000] "GET /items?name=abc HTTP/1.1" 200 2326 "http://a.test/start" ' +
      '"Mozilla/5.0 (X11)"',
    ],
    [
      "without the fields that did not come",
      "combined",
      { referer: null, userAgent: null },
      '192.0.2.7 - - [10/Oct/2026:13:55:36 +0000] "GET /items?name=abc HTTP/1.1" 200 2326 "-" "-"',
    ],
    [
      "that could not be read",
      "combined",
      { ...UNREADABLE, status: 400, bytes: 0, error: "request-line-invalid" },
      '192.0.2.7 - - [10/Oct/2026:13:55:36 +0000] "-" 400 0 "-" "-"',
    ],
    [
      "whose client has left before a response, as nginx has it",
      "common",
      { status: 0, bytes: 0, aborted: true },
      '192.0.2.7 - - [10/Oct/2026:13:55:36 +0000] "GET /items?name=abc HTTP/1.1" 499 0',
    ],
    [
      "from IPv6",
      "common",
      { remoteAddress: "2001:db8::7" },
      '2001:db8::7 - - [10/Oct/2026:13:55:36 +0000] "GET /items?name=abc HTTP/1.1" 200 2326',
    ],
    [
      "as JSON",
      "json",
      { referer: null },
      '{"time":"2026-10-10T13:55:36.250Z","remoteAddress":"192.0.2.7","method":"GET","target":"/items?name=abc",' +
      '"protocol":"HTTP/1.1","status":200,"bytes":2326,"durationMs":1.25,"referer":null,' +
      '"userAgent":"Mozilla/5.0 (X11)","aborted":false,"error":null}',
    ],
    ["for who looks on", "short", {}, "200 GET /items?name=abc 1.3 ms 2326 B"],
    [
      "for who looks on, of a response that was cut off",
      "short",
      { aborted: true },
      "200 GET /items?name=abc 1.3 ms 2326 B (not sent whole)",
    ],
    [
      "for who looks on, of a client that has left before a response",
      "short",
      { status: 0, bytes: 0, aborted: true },
      "--- GET /items?name=abc 1.3 ms 0 B (not sent whole)",
    ],
    [
      "for who looks on, of what could not be read",
      "short",
      { ...UNREADABLE, status: 408, bytes: 0, durationMs: 0, error: "head-timeout" },
      "408 (head-timeout) 0.0 ms 0 B",
    ],
  ];
  for (const [name, format, change, line] of rows) {
    test(name, () => assert.equal(withoutTime(lineOf(format, change)), line));
  }

  const colours: readonly (readonly [status: number, aborted: boolean, colour: number])[] = [
    [101, false, 36],
    [200, false, 32],
    [300, false, 36],
    [400, false, 33],
    [500, false, 31],
    [200, true, 31],
  ];
  for (const [status, aborted, colour] of colours) {
    test(`shows ${status}${aborted ? ", not sent whole," : ""} in colour ${colour} on a terminal that takes it`, () => {
      assert.ok(lineOf("short", { status, aborted }, true).includes(`\x1b[${colour}m${status}\x1b[0m`));
    });
  }
});

/** CWE-117 and CWE-150: what a client sends, and how it stands in a log. */
describe("what a client sends forges nothing", () => {
  const rows: readonly (readonly [name: string, sent: string, text: string, json: string])[] = [
    ["the end of the quotes", 'a" 200 "b', 'a\\" 200 \\"b', 'a\\" 200 \\"b'],
    ["a backslash before them", 'a\\" b', 'a\\\\\\" b', 'a\\\\\\" b'],
    ["a line feed", "a\nb", "a\\x0ab", "a\\nb"],
    ["a carriage return", "a\rb", "a\\x0db", "a\\rb"],
    ["a tab", "a\tb", "a\\x09b", "a\\tb"],
    ["NUL", "a\0b", "a\\x00b", "a\\u0000b"],
    ["an escape sequence of terminals", "\x1b]0;title\x07", "\\x1b]0;title\\x07", "\\u001b]0;title\\u0007"],
    ["the same in one byte (C1)", "\x9b31m", "\\x9b31m", "\\u009b31m"],
    ["the next line of C1", "a\x85b", "a\\x85b", "a\\u0085b"],
    ["delete", "a\x7fb", "a\\x7fb", "a\\u007fb"],
    ["the last of Latin-1", "a\xffb", "a\\xffb", "a\\u00ffb"],
    ["bytes of UTF-8, as char codes", "\xc3\xa9", "\\xc3\\xa9", "\\u00c3\\u00a9"],
    ["what no byte has", "\u2028\u202e", "\\u2028\\u202e", "\\u2028\\u202e"],
    ["half of a pair", "\ud800", "\\ud800", "\\ud800"],
    [
      "printable ASCII, which is left",
      " !#$%&'()*+,-./09:;<=>?@AZ[]^_`az{|}~",
      " !#$%&'()*+,-./09:;<=>?@AZ[]^_`az{|}~",
      "",
    ],
  ];
  for (const [name, sent, text, json] of rows) {
    test(`${name}: in the formats of text`, () => {
      assert.ok(lineOf("combined", { userAgent: sent }).endsWith(` "${text}"`));
      assert.ok(lineOf("combined", { referer: sent, userAgent: null }).endsWith(` "${text}" "-"`));
      assert.ok(lineOf("common", { target: sent }).includes(`"GET ${text} HTTP/1.1"`));
      assert.ok(lineOf("common", { method: sent }).includes(`"${text} /items?name=abc HTTP/1.1"`));
      assert.ok(withoutTime(lineOf("short", { target: sent })).startsWith(`200 GET ${text} 1.3`));
    });
    test(`${name}: as JSON, which stays what it was`, () => {
      const line = lineOf("json", { userAgent: sent });
      assert.match(line, /^[ -~]*$/);
      assert.ok(line.includes(`"userAgent":"${json === "" ? text : json}"`), line);
      assert.equal(JSON.parse(line).userAgent, sent);
    });
  }

  test("every byte that a field value may have gives one line of printable ASCII", () => {
    const bytes = Array.from({ length: 256 }, (_, code) => String.fromCharCode(code)).join("");
    for (const format of ["common", "combined", "json", "short"] as const) {
      assert.match(lineOf(format, { target: bytes, userAgent: bytes, referer: bytes }), /^[ -~]*$/);
    }
  });
});
