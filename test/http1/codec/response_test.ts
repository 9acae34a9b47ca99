/** Heads of responses and the framing of their content, as the bytes they become. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { ContentEncoder } from "../../../src/http1/codec/content_encoder.ts";
import {
  RESPONSE_CHUNKED,
  RESPONSE_UNTIL_CLOSE,
  RESPONSE_WITHOUT_LENGTH,
  type ResponseFraming,
  ResponseHeadBuilder,
} from "../../../src/http1/codec/response_head.ts";
import { decodeLatin1 } from "../../support/parse_requests.ts";

const CHUNKED = RESPONSE_CHUNKED;
const UNTIL_CLOSE = RESPONSE_UNTIL_CLOSE;
const NONE = RESPONSE_WITHOUT_LENGTH;

interface FramingRow {
  readonly name: string;
  readonly rfc: string;
  readonly status: number;
  readonly request?: string;
  /** The length of the content; `null` for a stream. */
  readonly contentBytes: number | null;
  readonly contentLength?: string;
  readonly framing?: ResponseFraming;
  readonly error?: string;
}

describe("response framing", () => {
  const rows: FramingRow[] = [
    { name: "content of a known length", rfc: "9112 6.2", status: 200, contentBytes: 5, framing: 5 },
    { name: "no content", rfc: "9112 6.2", status: 200, contentBytes: 0, framing: 0 },
    { name: "a stream", rfc: "9112 6.1", status: 200, contentBytes: null, framing: CHUNKED },
    {
      name: "a stream of a promised length",
      rfc: "9112 6.2",
      status: 200,
      contentBytes: null,
      contentLength: "9",
      framing: 9,
    },
    {
      name: "a stream for HTTP/1.0",
      rfc: "9112 6.1",
      request: "GET 0",
      status: 200,
      contentBytes: null,
      framing: UNTIL_CLOSE,
    },
    {
      name: "a known length for HTTP/1.0",
      rfc: "9112 6.2",
      request: "GET 0",
      status: 200,
      contentBytes: 5,
      framing: 5,
    },
    {
      name: "the right length from the handler",
      rfc: "9110 8.6",
      status: 200,
      contentBytes: 5,
      contentLength: "5",
      framing: 5,
    },
    {
      name: "a wrong length from the handler",
      rfc: "9110 8.6",
      status: 200,
      contentBytes: 5,
      contentLength: "6",
      error: "response-content-length-mismatch",
    },
    {
      name: "no length at all from the handler",
      rfc: "9110 8.6",
      status: 200,
      contentBytes: 5,
      contentLength: "+5",
      error: "response-content-length-mismatch",
    },
    {
      name: "an empty length from the handler",
      rfc: "9110 8.6",
      status: 200,
      contentBytes: 0,
      contentLength: "",
      error: "response-content-length-mismatch",
    },
    {
      name: "the largest length from the handler that can be counted to",
      rfc: "9110 8.6",
      status: 200,
      contentBytes: null,
      contentLength: "9007199254740991",
      framing: Number.MAX_SAFE_INTEGER,
    },
    {
      name: "a length from the handler that can't be counted to",
      rfc: "9110 8.6",
      status: 200,
      contentBytes: null,
      contentLength: "9007199254740992",
      error: "response-content-length-mismatch",
    },
    {
      name: "HEAD has the length of GET",
      rfc: "9110 9.3.2",
      request: "HEAD 1",
      status: 200,
      contentBytes: 5,
      framing: 5,
    },
    {
      name: "HEAD with a length from the handler",
      rfc: "9110 9.3.2",
      request: "HEAD 1",
      status: 200,
      contentBytes: 0,
      contentLength: "9",
      framing: 9,
    },
    {
      name: "HEAD with a length from the handler that is not the one of GET",
      rfc: "9110 8.6",
      request: "HEAD 1",
      status: 200,
      contentBytes: 5,
      contentLength: "9",
      error: "response-content-length-mismatch",
    },
    { name: "HEAD of a stream", rfc: "9110 9.3.2", request: "HEAD 1", status: 200, contentBytes: null, framing: NONE },
    { name: "204", rfc: "9110 8.6", status: 204, contentBytes: 0, contentLength: "5", framing: NONE },
    { name: "205", rfc: "9110 15.3.6", status: 205, contentBytes: 0, framing: 0 },
    { name: "205 to HEAD", rfc: "9110 15.3.6", request: "HEAD 1", status: 205, contentBytes: null, framing: 0 },
    {
      name: "205 to HEAD with a length from the handler",
      rfc: "9110 15.3.6",
      request: "HEAD 1",
      status: 205,
      contentBytes: 0,
      contentLength: "9",
      framing: 0,
    },
    { name: "304", rfc: "9110 15.4.5", status: 304, contentBytes: 0, framing: NONE },
    {
      name: "304 with the length of the content it stands for",
      rfc: "9110 8.6",
      status: 304,
      contentBytes: 0,
      contentLength: "9",
      framing: 9,
    },
    { name: "101", rfc: "9110 8.6", status: 101, contentBytes: 0, framing: NONE },
  ];
  for (const row of rows) {
    test(`${row.name} (RFC ${row.rfc})`, () => {
      const [method, minorVersion] = (row.request ?? "GET 1").split(" ");
      const fields = row.contentLength === undefined ? [] : ["content-length", row.contentLength];
      const decide = () => {
        const builder = new ResponseHeadBuilder();
        builder.begin(row.status, "", fields);
        return builder.decideFraming({ method, minorVersion: Number(minorVersion) }, row.contentBytes);
      };
      if (row.error === undefined) assert.equal(decide(), row.framing);
      else assert.throws(decide, { code: row.error });
    });
  }
});

describe("response head", () => {
  const rows: {
    name: string;
    status?: number;
    statusText?: string;
    fields?: string[];
    framing?: number;
    option?: string;
    lines: string[];
  }[] = [
    {
      name: "status line with the standard reason",
      framing: 0,
      lines: ["HTTP/1.1 200 OK", "Date: now", "Content-Length: 0"],
    },
    {
      name: "status line with a reason of the handler",
      statusText: "Fine",
      framing: NONE,
      lines: ["HTTP/1.1 200 Fine", "Date: now"],
    },
    { name: "status line of an unregistered code", status: 299, framing: NONE, lines: ["HTTP/1.1 299 ", "Date: now"] },
    {
      name: "a Date of the handler is the only one",
      fields: ["date", "then"],
      framing: NONE,
      lines: ["HTTP/1.1 200 OK", "date: then"],
    },
    { name: "chunked", framing: CHUNKED, lines: ["HTTP/1.1 200 OK", "Date: now", "Transfer-Encoding: chunked"] },
    {
      name: "close",
      framing: 1,
      option: "close",
      lines: ["HTTP/1.1 200 OK", "Date: now", "Content-Length: 1", "Connection: close"],
    },
    {
      name: "fields of the connection are the server's own",
      fields: ["connection", "x", "keep-alive", "y", "transfer-encoding", "gzip", "proxy-connection", "z", "a", "b"],
      framing: 1,
      lines: ["HTTP/1.1 200 OK", "a: b", "Date: now", "Content-Length: 1"],
    },
    {
      name: "Upgrade comes with its connection option",
      status: 426,
      fields: ["upgrade", "x"],
      framing: 0,
      option: "close",
      lines: [
        "HTTP/1.1 426 Upgrade Required",
        "upgrade: x",
        "Date: now",
        "Content-Length: 0",
        "Connection: upgrade, close",
      ],
    },
  ];
  for (const row of rows) {
    test(row.name, () => {
      const builder = new ResponseHeadBuilder();
      builder.begin(row.status ?? 200, row.statusText ?? "", row.fields ?? []);
      const head = builder.finish(row.framing ?? 0, "Date: now\r\n", row.option ?? "");
      assert.equal(head, [...row.lines, "", ""].join("\r\n"));
    });
  }

  test("one builder serves many responses", () => {
    const builder = new ResponseHeadBuilder();
    builder.begin(200, "", ["connection", "close", "content-length", "5", "upgrade", "x", "date", "then"]);
    assert.equal(builder.wantsClose, true);
    builder.begin(200, "", []);
    assert.deepEqual([builder.wantsClose, builder.contentLength], [false, null]);
    assert.equal(builder.finish(0, "Date: now\r\n", ""), "HTTP/1.1 200 OK\r\nDate: now\r\nContent-Length: 0\r\n\r\n");
  });
});

describe("response content", () => {
  function encode(framing: ResponseFraming, pieces: string[], trailerLines = ""): string {
    let out = "";
    const sink = {
      appendLatin1: (text: string) => void (out += text),
      appendBytes: (bytes: Uint8Array) => void (out += decodeLatin1(bytes, 0, bytes.byteLength)),
    };
    const encoder = new ContentEncoder(framing);
    for (const piece of pieces) encoder.encode(new TextEncoder().encode(piece), sink);
    encoder.finish(trailerLines, sink);
    return out;
  }

  test("in chunks (RFC 9112 section 7.1)", () => {
    assert.equal(encode(CHUNKED, ["hello", "x".repeat(16)]), `5\r\nhello\r\n10\r\n${"x".repeat(16)}\r\n0\r\n\r\n`);
  });
  test("an empty piece is no chunk, which would end the message", () => {
    assert.equal(encode(CHUNKED, ["", "a", ""]), "1\r\na\r\n0\r\n\r\n");
  });
  test("with a trailer section (RFC 9112 section 7.1.2)", () => {
    assert.equal(encode(CHUNKED, [], "x: y\r\n"), "0\r\nx: y\r\n\r\n");
  });
  test("of a known length is sent as it is", () => assert.equal(encode(5, ["he", "llo"]), "hello"));
  test("until the close is sent as it is", () => assert.equal(encode(UNTIL_CLOSE, ["he", "llo"]), "hello"));
  for (const [name, pieces] of [["more", ["hello", "!"]], ["less", ["hell"]]] as const) {
    test(`with ${name} than was promised is an error`, () => {
      assert.throws(() => encode(5, [...pieces]), { code: "response-content-length-mismatch" });
    });
  }
});
