/**
 * Micro benchmarks: what the parts cost, apart from sockets and load, on the runtime that runs this file, in wall-clock
 * time and in processor time of all its threads; and what a request allocates, which takes a minute more and V8.
 *
 * Usage: `deno run -A bench/micro.ts [filter]`, `bun bench/micro.ts [filter]` or `node bench/micro.ts [filter]` (Node
 * 22.18 or newer, which strips the types by itself), where the filter `allocations` is that of the latter.
 */

import process from "node:process";
import { detectRuntime } from "../runtime/detect.ts";
import { ChunkedDecoder } from "../src/http1/codec/chunked_decoder.ts";
import { RequestHeadParser } from "../src/http1/codec/request_head.ts";
import { ResponseHeadBuilder } from "../src/http1/codec/response_head.ts";
import { HttpResponse, linkResponsePrototype } from "../src/web/http_response.ts";
import { LazyRequest } from "../src/web/lazy_request.ts";
import { linkRequestPrototype } from "../src/web/remade_request.ts";
import { readResponse } from "../src/web/read_response.ts";
import type { RequestSource } from "../src/web/request_source.ts";
import { Hop } from "./micro/hop.ts";

/** One thing that is timed, with the waiting where it returns a promise; what it returns is looked at. */
type Case = readonly [name: string, run: () => unknown];

const SAMPLES = 15;
const SAMPLE_MS = 25;
const LIMITS = {
  maxRequestTargetBytes: 8192,
  maxFieldSectionBytes: 16_384,
  maxFieldLines: 100,
  maxContentBytes: 2 ** 30,
};

const runtime = detectRuntime();
const encoder = new TextEncoder();
linkRequestPrototype();
linkResponsePrototype();

/** Heads as they come from a load generator, from a browser and from a browser with many cookies. */
const HEAD_LINES = [
  "Host: localhost:80",
  "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
  "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
  "Accept-Language: en-US,en;q=0.5",
  "Accept-Encoding: gzip, deflate, br, zstd",
  "Connection: keep-alive",
  "Upgrade-Insecure-Requests: 1",
];

/** A head of so many bytes: as many of the lines as fit, and a cookie for the rest. */
function headOf(byteLength: number): Uint8Array {
  let text = "GET /users/42 HTTP/1.1\r\n";
  for (const line of HEAD_LINES) {
    if (text.length + line.length + 4 <= byteLength) text += `${line}\r\n`;
  }
  const cookie = "Cookie: session=";
  const leftBytes = byteLength - text.length - 4;
  if (leftBytes > cookie.length) {
    text += `${cookie}${"0123456789abcdef".repeat(100).slice(0, leftBytes - cookie.length)}\r\n`;
  }
  return encoder.encode(`${text}\r\n`);
}

function parserCase(byteLength: number): Case {
  const bytes = headOf(byteLength);
  const parser = new RequestHeadParser(LIMITS, runtime.decodeLatin1);
  return [`request head of ${bytes.byteLength} bytes: parse`, () => parser.parse(bytes, 0, bytes.byteLength)];
}

function chunkedCase(chunks: number, chunkBytes: number): Case {
  const text = `${chunkBytes.toString(16)}\r\n${"a".repeat(chunkBytes)}\r\n`.repeat(chunks);
  const bytes = encoder.encode(`${text}0\r\n\r\n`);
  return [`chunked content, ${chunks} chunks of ${chunkBytes} bytes: decode`, () => {
    const decoder = new ChunkedDecoder(LIMITS, runtime.decodeLatin1);
    let at = 0;
    while (!decoder.isComplete) at = decoder.decode(bytes, at, bytes.byteLength);
    return at;
  }];
}

const REQUEST = { method: "GET", minorVersion: 1 };
const DATE_LINE = "Date: Thu, 01 Jan 1970 00:00:00 GMT\r\n";
const TEXT_FIELDS = ["content-type", "text/plain;charset=UTF-8"];
const MORE_FIELDS = ["cache-control", "no-store", "content-type", "application/json", "x-frame-options", "DENY"];

function build(builder: ResponseHeadBuilder, fields: readonly string[]) {
  builder.begin(200, "", fields);
  return builder.finish(builder.decideFraming(REQUEST, 13), DATE_LINE, "");
}

/** A head that was made before is found; of a thousand that differ, each is looked for in vain and then built. */
function headShapeCase(name: string, heads: readonly (readonly string[])[]): Case {
  const builder = new ResponseHeadBuilder();
  let next = 0;
  return [`response head, ${name}: find or build`, () => {
    const fields = heads[next];
    next = next === heads.length - 1 ? 0 : next + 1;
    return builder.shapes.startOf(200, fields, DATE_LINE) ?? build(builder, fields);
  }];
}

/** The same text in so many lists of its own, as a global Response gives them. */
function heads(count: number, etag: (index: number) => string): string[][] {
  return Array.from({ length: count }, (_, index) => [...MORE_FIELDS.slice(0, 4), "etag", etag(index)]);
}

/** The fields of the head of 400 bytes, for requests that are not parsed anew each time. */
const HEAD = headOf(400);
const { fields } = new RequestHeadParser(LIMITS, runtime.decodeLatin1).parse(HEAD, 0, HEAD.byteLength)!;
const JSON_BYTES = encoder.encode('{"name":"trivet","legs":3,"runtimes":["Deno","Bun","Node"]}');

function sourceOf(content: Uint8Array<ArrayBuffer> | null): RequestSource {
  return {
    method: "POST",
    fields,
    content: {
      present: content !== null,
      collect: () => Promise.resolve(content ?? new Uint8Array(0)),
      stream: () => new Blob(content === null ? [] : [content]).stream(),
    },
    url: () => "http://localhost:8000/users/42?page=2",
    signal: () => new AbortController().signal,
  };
}

const bare = sourceOf(null);
const withJson = sourceOf(JSON_BYTES);
const NATIVE_INIT = { headers: [...new LazyRequest(bare).headers] };

const hop = new Hop(fields);

/** Batches of calls that are under way at the same time: the times are those of all of them. */
function hopCase([batches, calls, contentBytes = 0]: readonly number[]): Case {
  const content = contentBytes === 0 ? "" : ` with ${contentBytes} bytes`;
  const name = `hop to a thread and back, ${batches} x ${calls} calls${content}`;
  return [name, () => hop.call(batches, calls, contentBytes)];
}

const CASES: readonly Case[] = [
  ...[50, 400, 1500].map(parserCase),
  ...[[1, 100], [16, 100], [16, 4096]].map(([chunks, bytes]) => chunkedCase(chunks, bytes)),
  ...[TEXT_FIELDS, MORE_FIELDS].map((fields): Case => {
    const builder = new ResponseHeadBuilder();
    return [`response head with ${fields.length / 2} fields of the handler: build`, () => build(builder, fields)];
  }),
  headShapeCase("the same", [TEXT_FIELDS]),
  headShapeCase("the same in other lists", heads(100, () => '"tag"')),
  headShapeCase("sixteen in turn", heads(16, (index) => `"${"x".repeat(index)}"`)),
  headShapeCase("a thousand in turn", heads(1000, (index) => `"${1000 + index}"`)),
  ["LazyRequest: make", () => new LazyRequest(bare)],
  ["LazyRequest: make, url", () => new LazyRequest(bare).url],
  ["LazyRequest: make, new URL(url)", () => new URL(new LazyRequest(bare).url)],
  ["LazyRequest: make, headers.get() once", () => new LazyRequest(bare).headers.get("user-agent")],
  ["LazyRequest: make, headers iterated", () => [...new LazyRequest(bare).headers]],
  ["LazyRequest: make, await json()", () => new LazyRequest(withJson).json()],
  [
    "global Request with the same fields: make, headers.get() once",
    () => new Request("http://localhost:8000/users/42?page=2", NATIVE_INIT).headers.get("user-agent"),
  ],
  ["HttpResponse(text): make", () => new HttpResponse("Hello, world!")],
  ["HttpResponse(text): make, readResponse", () => readResponse(new HttpResponse("Hello, world!"))],
  [
    "HttpResponse.json(value, 2 fields): make, readResponse",
    () => readResponse(HttpResponse.json({ path: "/users/42" }, { headers: { "a-field": "1", "b-field": "2" } })),
  ],
  ["global Response(text): make", () => new Response("Hello, world!")],
  ["global Response(text): make, readResponse", () => readResponse(new Response("Hello, world!"))],
  [
    "global Response.json(value, 2 fields): make, readResponse",
    () => readResponse(Response.json({ path: "/users/42" }, { headers: { "a-field": "1", "b-field": "2" } })),
  ],
  ...[[1, 1], [4, 4], [4, 16], [4, 64], [4, 16, 1024], [4, 4, 65_536]].map(hopCase),
];

/** Where results go: an optimizer must take it that they are read. */
let seen: unknown;

async function timeOf([, run]: Case, count: number): Promise<number> {
  const startMs = performance.now();
  if (run() instanceof Promise) {
    for (let i = 1; i < count; i++) seen = await run();
  } else {
    for (let i = 1; i < count; i++) seen = run();
  }
  return performance.now() - startMs;
}

/** Nanoseconds: of the middle one of some samples, of the least, and of time on processors. */
async function measure(one: Case): Promise<Record<"median ns" | "least ns" | "processor ns", number>> {
  let count = 1;
  while (await timeOf(one, count) < SAMPLE_MS) count *= 2;
  const nanoseconds: number[] = [];
  const before = process.cpuUsage();
  for (let sample = 0; sample < SAMPLES; sample++) nanoseconds.push(1e6 * await timeOf(one, count) / count);
  const { user, system } = process.cpuUsage(before);
  nanoseconds.sort((a, b) => a - b);
  const [median, least] = [nanoseconds[SAMPLES >> 1], nanoseconds[0]].map(Math.round);
  return {
    "median ns": median,
    "least ns": least,
    "processor ns": Math.round(1000 * (user + system) / (count * SAMPLES)),
  };
}

const filter = process.argv[2] ?? "";
const rows: Record<string, object> = {};
if (filter === "allocations") {
  const { measureAllocations } = await import("./micro/allocations.ts");
  Object.assign(rows, await measureAllocations());
} else {
  const chosen = CASES.filter(([name]) => name.includes(filter));
  if (chosen.some(([name]) => name.startsWith("hop"))) await hop.start();
  for (const one of chosen) rows[one[0]] = await measure(one);
  if (seen === undefined) console.log("Nothing was measured.");
}
console.log(`${runtime.name} ${runtime.version}`);
console.table(rows);
process.exit(0);
