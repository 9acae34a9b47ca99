/**
 * Forms: what is one, what it holds, and what is refused, on every runtime alike. The runtimes' own readers give five
 * different answers to these rows.
 */

import assert from "node:assert/strict";
import process from "node:process";
import { describe, test } from "node:test";
import { detectRuntime } from "../../runtime/detect.ts";
import { HttpResponse } from "../../src/web/http_response.ts";
import { LazyRequest } from "../../src/web/lazy_request.ts";
import { toNativeRequest } from "../../src/web/native_request.ts";
import { linkRequestPrototype } from "../../src/web/remade_request.ts";
import { fakeSource } from "./fake_request_source.ts";

linkRequestPrototype();

/** A file, as its name, its type and its content. */
type SeenFile = readonly [fileName: string, type: string, content: string];
type SeenField = readonly [name: string, value: string | SeenFile];

interface FormRow {
  readonly name: string;
  readonly source: string;
  /** The content, char codes as bytes. */
  readonly content: string;
  /** `multipart/form-data; boundary=b` unless it says otherwise. */
  readonly contentType?: string;
  /** The fields; or what is wrong. */
  readonly form: readonly SeenField[] | RegExp;
}

const END = "--b--\r\n";

/** A part with these field lines, and with "x" as its content. */
function part(lines: string, content = "x"): string {
  return `--b\r\n${lines}\r\n\r\n${content}\r\n`;
}

/** A part with these parameters of its Content-Disposition. */
function named(parameters: string, content = "x"): string {
  return part(`Content-Disposition: form-data; ${parameters}`, content);
}

function utf8(text: string): string {
  return String.fromCharCode(...new TextEncoder().encode(text));
}

const X: SeenField = ["a", "x"];
const HEAD = 'Content-Disposition: form-data; name="a"';
const NO_NAME = /not form-data with a name/;
const CUT = /ends before its last boundary/;
const GOES_ON = /begins with the boundary and goes on/;
const BAD_LINE = /field line that is not valid/;

const NAMES: readonly FormRow[] = [
  { name: "a name in quotation marks", source: "7578 4.2", content: named('name="a"') + END, form: [X] },
  { name: "a name without them", source: "9110 5.6.6", content: named("name=a") + END, form: [X] },
  {
    name: "a file of .NET, without quotation marks",
    source: "9110 5.6.6",
    content: part(
      "Content-Disposition: form-data; name=image; filename=test.jpg; filename*=utf-8''test.jpg\r\nContent-Type: image/jpeg",
    ) + END,
    form: [["image", ["test.jpg", "image/jpeg", "x"]]],
  },
  {
    name: "a file whose name alone is without them",
    source: "9110 5.6.6",
    content: named('name="a"; filename=f.txt') + END,
    form: [["a", ["f.txt", "text/plain", "x"]]],
  },
  {
    name: "filename* beside a filename, whose code is another",
    source: "6266 4.3",
    content: named(`name="a"; filename="=?utf-8?B?4oKs?="; filename*=utf-8''%e2%82%ac%20.txt`) + END,
    form: [["a", ["\u20ac .txt", "text/plain", "x"]]],
  },
  {
    name: "filename* alone",
    source: "8187 3.2",
    content: named(`name="a"; filename*=UTF-8'en'f.txt`) + END,
    form: [["a", ["f.txt", "text/plain", "x"]]],
  },
  ...["f.txt", "iso-8859-1''%e4", "UTF-8''%e4", "UTF-8''%4", "UTF-8'f"].map((value) => ({
    name: `filename* that is ${value}`,
    source: "8187 3.2",
    content: named(`name="a"; filename*=${value}`) + END,
    form: /filename\* that is not valid/,
  })),
  {
    name: "line ends and quotation marks as browsers escape them",
    source: "HTML 4.10.21.8",
    content: named('name="a%0D%0Ab%22c"; filename="f%0d%0a%22.txt"') + END,
    form: [['a\r\nb"c', ['f\r\n".txt', "text/plain", "x"]]],
  },
  {
    name: "other percents",
    source: "HTML 4.10.21.8",
    content: named('name="%41%25%0"') + END,
    form: [["%41%25%0", "x"]],
  },
  {
    name: "backslashes, as they are",
    source: "HTML 4.10.21.8",
    content: named('name="a"; filename="C:\\dir\\\\f.txt"') + END,
    form: [["a", ["C:\\dir\\\\f.txt", "text/plain", "x"]]],
  },
  ...['name="a\\"b"', 'name="a\\"', 'name="a"; filename="b\\""', 'name="a"; filename="C:\\"'].map((parameters) => ({
    name: `${parameters}, which half of the clients mean otherwise`,
    source: "9110 5.6.4",
    content: named(parameters) + END,
    form: NO_NAME,
  })),
  {
    name: "names in UTF-8",
    source: "7578 5.1",
    content: named(utf8('name="\xe4\u20ac"; filename="\xe4.txt"')) + END,
    form: [["\xe4\u20ac", ["\xe4.txt", "text/plain", "x"]]],
  },
  { name: "names that are not", source: "Encoding 6", content: named('name="\xe4"') + END, form: [["\ufffd", "x"]] },
  {
    name: "semicolons, equals signs and commas in quotation marks",
    source: "9110 5.6.6",
    content: named('name="a;b"; filename="c; d=\'e,.txt"') + END,
    form: [["a;b", ["c; d='e,.txt", "text/plain", "x"]]],
  },
  { name: "an empty name", source: "HTML 4.10.21.8", content: named('name=""') + END, form: [["", "x"]] },
  {
    name: "names in capitals",
    source: "9110 5.1",
    content: part('CONTENT-DISPOSITION: FORM-DATA; NAME="a"; FileName="f"\r\ncontent-TYPE:a/b') + END,
    form: [["a", ["f", "a/b", "x"]]],
  },
  {
    name: "no white space",
    source: "9110 5.6.6",
    content: part("Content-Disposition:form-data;name=a") + END,
    form: [X],
  },
  { name: "empty parameters", source: "9110 5.6.6", content: named('; ;name="a" ; ') + END, form: [X] },
  {
    name: "parameters that are not known",
    source: "9110 5.6.6",
    content: named('x=y; name="a"; z="1"') + END,
    form: [X],
  },
];

const BAD_PARTS: readonly FormRow[] = [
  ...['name = "a"', "name=", "name", 'name="a" b', 'name="a', "name=a b", 'name="a"; name="b"', 'name="a"; NAME="a"']
    .map((parameters) => ({
      name: `the parameters ${parameters}`,
      source: "9110 5.6.6",
      content: named(parameters) + END,
      form: NO_NAME,
    })),
  ...["form-data", "form-data; filename=f", "attachment; name=a", "form-datax; name=a", ""].map((disposition) => ({
    name: `the disposition ${JSON.stringify(disposition)}`,
    source: "7578 4.2",
    content: part(`Content-Disposition: ${disposition}`) + END,
    form: NO_NAME,
  })),
  {
    name: "no disposition",
    source: "7578 4.2",
    content: part("Content-Type: text/plain") + END,
    form: /no Content-Disp/,
  },
  { name: "no field lines", source: "7578 4.2", content: "--b\r\n\r\nx\r\n" + END, form: /no empty line behind/ },
  { name: "no empty line", source: "2046 5.1.1", content: `--b\r\n${HEAD}\r\n${END}`, form: /no empty line behind/ },
  {
    name: "the same field twice",
    source: "7578 4.2",
    content: part(`${HEAD}\r\n${HEAD}`) + END,
    form: /a field twice/,
  },
  ...[
    `${HEAD}\r\nfoo`,
    `${HEAD}\r\n: b`,
    `${HEAD}\r\nX-A : b`,
    'Content-Disposition: form-data;\r\n name="a"',
    `${HEAD}\0`,
  ]
    .map((lines) => ({
      name: `the field lines ${JSON.stringify(lines)}`,
      source: "9112 5",
      content: part(lines) + END,
      form: BAD_LINE,
    })),
  ...["base64", "quoted-printable", "x"].map((coding) => ({
    name: `the coding ${coding}`,
    source: "7578 4.7",
    content: part(`${HEAD}\r\nContent-Transfer-Encoding: ${coding}`) + END,
    form: /Content-Transfer-Encoding/,
  })),
];

const CONTENTS: readonly FormRow[] = [
  {
    name: "content that is of no coding",
    source: "7578 4.7",
    content: part(`${HEAD}\r\nContent-Transfer-Encoding: Binary`) + END,
    form: [X],
  },
  {
    name: "an empty file, as a browser sends it where none was chosen",
    source: "HTML 4.10.21.8",
    content: part(`${HEAD}; filename=""\r\nContent-Type: application/octet-stream`, "") + END,
    form: [["a", ["", "application/octet-stream", ""]]],
  },
  { name: "empty text", source: "7578 4", content: named("name=a", "") + END, form: [["a", ""]] },
  {
    name: "a file with a type",
    source: "7578 4.4",
    content: part(`${HEAD}; filename=f\r\nContent-Type: Text/X; Charset=UTF-8`) + END,
    form: [["a", ["f", "text/x; charset=utf-8", "x"]]],
  },
  {
    name: "text that names a charset, which is not UTF-8",
    source: "Fetch 2.2.2",
    content: part(`${HEAD}\r\nContent-Type: text/plain; charset=iso-8859-1`, "\xe4") + END,
    form: [["a", "\ufffd"]],
  },
  {
    name: "text with a mark",
    source: "Encoding 6",
    content: named("name=a", "\xef\xbb\xbfx") + END,
    form: [["a", "\ufeffx"]],
  },
  {
    name: "line ends in text",
    source: "7578 4",
    content: named("name=a", "1\n2\r3\r\n4\r\n") + END,
    form: [["a", "1\n2\r3\r\n4\r\n"]],
  },
  {
    name: "bytes in a file",
    source: "7578 4",
    content: named("name=a; filename=f", "\r\n\r\r\n\0\xff--b\r--b\n--b") + END,
    form: [["a", ["f", "text/plain", "\r\n\r\r\n\0\xff--b\r--b\n--b"]]],
  },
  {
    name: "what looks like a boundary",
    source: "2046 5.1.1",
    content: named("name=a", "-b\r\n -b\r\n--\r\n-\r\n--a\r\n --b--") + END,
    form: [["a", "-b\r\n -b\r\n--\r\n-\r\n--a\r\n --b--"]],
  },
  ...["x\r\n--bx\r\ny", "\r\n--b-\r\n", "\r\n--b--x\r\n", "\r\n--b x\r\n", "\r\n--b\n", "\r\n--b\r"].map((content) => ({
    name: `${JSON.stringify(content)}, a line that is a boundary and goes on`,
    source: "2046 5.1.1",
    content: named("name=a", content) + END,
    form: GOES_ON,
  })),
  {
    name: "several fields, also of one name, in order",
    source: "7578 5.2",
    content: named("name=a", "1") + named("name=b", "2") + named("name=a; filename=f", "3") + END,
    form: [["a", "1"], ["b", "2"], ["a", ["f", "text/plain", "3"]]],
  },
];

const BOUNDARIES: readonly FormRow[] = [
  { name: "no parts", source: "Fetch 5.6", content: END, form: [] },
  { name: "no line end behind the last boundary", source: "2046 5.1.1", content: named("name=a") + "--b--", form: [X] },
  { name: "a preamble", source: "2046 5.1.1", content: `hello\r\n${named("name=a")}${END}`, form: [X] },
  { name: "an empty preamble", source: "2046 5.1.1", content: `\r\n${named("name=a")}${END}`, form: [X] },
  {
    name: "an epilogue",
    source: "2046 5.1.1",
    content: `${named("name=a")}${END}bye --b\r\n${named("name=c")}`,
    form: [X],
  },
  {
    name: "padding behind boundaries",
    source: "2046 5.1.1",
    content: `--b \t\r\n${HEAD}\r\n\r\nx\r\n--b-- \r\n`,
    form: [X],
  },
  { name: "no last boundary", source: "2046 5.1.1", content: named("name=a"), form: CUT },
  { name: "an end in the content", source: "2046 5.1.1", content: `--b\r\n${HEAD}\r\n\r\nx`, form: CUT },
  { name: "an end in a field line", source: "2046 5.1.1", content: "--b\r\nContent-", form: CUT },
  { name: "an end within the last boundary", source: "2046 5.1.1", content: named("name=a") + "--b-", form: GOES_ON },
  { name: "an end behind a boundary", source: "2046 5.1.1", content: named("name=a") + "--b", form: GOES_ON },
  { name: "nothing", source: "2046 5.1.1", content: "", form: CUT },
  { name: "another boundary", source: "2046 5.1.1", content: named("name=a").replaceAll("--b", "--c"), form: CUT },
  {
    name: "bare line feeds",
    source: "2046 5.1.1",
    content: (named("name=a") + END).replaceAll("\r", ""),
    form: GOES_ON,
  },
];

const ONE = named("name=a") + END;
const NO_BOUNDARY = /names no boundary/;
const LONG = "x".repeat(70);
const TYPES: readonly FormRow[] = [
  ...[
    'multipart/form-data; boundary="b"',
    "Multipart/Form-Data; Boundary=b",
    "multipart/form-data; charset=utf-8; boundary=b",
    "multipart/form-data;;boundary=b;",
    " multipart/form-data ;boundary=b",
  ].map((contentType) => ({ name: contentType, source: "9110 8.3.1", contentType, content: ONE, form: [X] })),
  {
    name: "a boundary with a space",
    source: "2046 5.1.1",
    contentType: 'multipart/form-data; boundary="b (c)"',
    content: ONE.replaceAll("--b", "--b (c)"),
    form: [X],
  },
  {
    name: "a boundary of 70 characters",
    source: "2046 5.1.1",
    contentType: `multipart/form-data; boundary=${LONG}`,
    content: ONE.replaceAll("--b", `--${LONG}`),
    form: [X],
  },
  ...[
    "multipart/form-data",
    "multipart/form-data; boundary=",
    'multipart/form-data; boundary=""',
    'multipart/form-data; boundary="b "',
    'multipart/form-data; boundary="b\\"',
    `multipart/form-data; boundary=${LONG}x`,
    "multipart/form-data; boundary=b; boundary=c",
    "multipart/form-data; boundary=b, multipart/form-data; boundary=b",
    "multipart/form-data; boundary = b",
    'multipart/form-data; boundary="b{"',
  ].map((contentType) => ({ name: contentType, source: "2046 5.1.1", contentType, content: ONE, form: NO_BOUNDARY })),
  ...["text/plain", "multipart/mixed; boundary=b", "multipart/form-datax; boundary=b", "", ";"].map((contentType) => ({
    name: `the type ${JSON.stringify(contentType)}`,
    source: "Fetch 5.6",
    contentType,
    content: ONE,
    form: /a form is application\/x-www-form-urlencoded or multipart\/form-data/,
  })),
];

const URL_ENCODED: readonly FormRow[] = ([
  ["a=1&b=%20+&a=%26", [["a", "1"], ["b", "  "], ["a", "&"]]],
  ["", []],
  ["&&", []],
  ["a&=b&=", [["a", ""], ["", "b"], ["", ""]]],
  ["?a=1", [["?a", "1"]]],
  [utf8("\ufeffa=1"), [["\ufeffa", "1"]]],
  [utf8("\xe4=\u20ac"), [["\xe4", "\u20ac"]]],
  ["a=%ff%zz", [["a", "\ufffd%zz"]]],
  ["a=\xff", [["a", "\ufffd"]]],
] as const).map(([content, form]) => ({
  name: `the content ${JSON.stringify(content)}`,
  source: "URL 5.1",
  contentType: "application/x-www-form-urlencoded; charset=iso-8859-1",
  content,
  form,
}));

const KINDS: readonly (readonly [string, readonly FormRow[]])[] = [
  ["names", NAMES],
  ["parts that are refused", BAD_PARTS],
  ["contents", CONTENTS],
  ["boundaries", BOUNDARIES],
  ["types of content", TYPES],
  ["application/x-www-form-urlencoded", URL_ENCODED],
];

function latin1(text: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(text, (char) => char.charCodeAt(0));
}

/** Bun's Blob adds a charset to some types of text. */
function typeOf(file: File): string {
  return detectRuntime().name === "bun" ? file.type.replace(/;charset=utf-8$/, "") : file.type;
}

async function seen(form: FormData): Promise<SeenField[]> {
  const fields: SeenField[] = [];
  for (const [name, value] of form) {
    if (typeof value === "string") {
      fields.push([name, value]);
      continue;
    }
    const content = String.fromCharCode(...new Uint8Array(await value.arrayBuffer()));
    fields.push([name, [value.name, typeOf(value), content]]);
  }
  return fields;
}

for (const [kind, rows] of KINDS) {
  describe(`forms: ${kind}`, () => {
    for (const { name, source, content, contentType = "multipart/form-data; boundary=b", form } of rows) {
      test(`${name} (${source})`, async () => {
        const fields = contentType === "" ? [] : [["Content-Type", contentType] as const];
        const request = new LazyRequest(fakeSource({ method: "POST", fields, content: latin1(content) }));
        if (!(form instanceof RegExp)) return assert.deepEqual(await seen(await request.formData()), form);
        await assert.rejects(request.formData(), (error) => error instanceof TypeError && form.test(error.message));
      });
    }
  });
}

describe("a form", () => {
  const content = "Content-Disposition: form-data; name=image; filename=test.jpg";
  const fields = [["Content-Type", "multipart/form-data; boundary=b"]] as const;
  const source = () => fakeSource({ method: "POST", fields, content: part(content) + END });
  const expected: readonly SeenField[] = [["image", ["test.jpg", "text/plain", "x"]]];

  test("is read alike where its stream was looked at before", async () => {
    const request = new LazyRequest(source());
    void request.body;
    assert.deepEqual(await seen(await request.formData()), expected);
  });
  test("is read alike in a request of the runtime, and in a clone", async () => {
    assert.deepEqual(await seen(await toNativeRequest(source()).formData()), expected);
    assert.deepEqual(await seen(await new LazyRequest(source()).clone().formData()), expected);
  });
  test("is read alike in an HttpResponse", async () => {
    const response = new HttpResponse(part(content) + END, { headers: { "content-type": fields[0][1] } });
    assert.deepEqual(await seen(await response.formData()), expected);
  });
  test("that the runtime has written is read", async () => {
    const form = new FormData();
    form.append('n\xe4 "m\r\ne', "1\r\n2");
    form.append("file", new File(["\0\xff"], '\u20ac "f.bin', { type: "a/b" }));
    const response = new Response(form);
    const type = response.headers.get("content-type")!;
    const bytes = new Uint8Array(await response.arrayBuffer());
    const request = new LazyRequest(fakeSource({ method: "POST", fields: [["Content-Type", type]], content: bytes }));
    assert.deepEqual(await seen(await request.formData()), [
      ['n\xe4 "m\r\ne', "1\r\n2"],
      ["file", ['\u20ac "f.bin', "a/b", utf8("\0\xff")]],
    ]);
  });
  test("of many bytes that begin a boundary is read in time that grows with it", async () => {
    const size = 4 << 20;
    for (const filling of ["\r", "\r\n", "\r\n--", `\r\n--${"b".repeat(68)}`]) {
      const boundary = "b".repeat(69);
      const bytes = latin1(`--${boundary}\r\nContent-Disposition: form-data; name=a; filename=f\r\n\r\n`);
      const tail = latin1(`\r\n--${boundary}--`);
      const whole = new Uint8Array(bytes.byteLength + size + tail.byteLength);
      whole.set(bytes);
      const pattern = latin1(filling);
      for (let at = bytes.byteLength; at < bytes.byteLength + size; at += pattern.byteLength) whole.set(pattern, at);
      whole.set(tail, bytes.byteLength + size);
      const type = `multipart/form-data; boundary=${boundary}`;
      const response = new HttpResponse(whole, { headers: { "content-type": type } });
      const before = process.cpuUsage();
      assert.equal(((await response.formData()).get("a") as File).size, size);
      // It takes some 20 ms; a search that began anew for each byte of a boundary would take seconds.
      const { user, system } = process.cpuUsage(before);
      assert.ok(user + system < 2_000_000, `${user + system} µs`);
    }
  });
});
