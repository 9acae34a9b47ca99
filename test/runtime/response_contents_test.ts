/**
 * What the adapters tell of the runtime's own responses: content that is there, never that of a stream, and nothing where
 * the runtime does not answer as expected. What becomes of it on the wire is the matter of
 * `test/web/response_heads_test.ts`.
 */

import assert from "node:assert/strict";
import { isAscii, isUtf8 } from "node:buffer";
import { appendFileSync, mkdtempSync, openSync, renameSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, beforeEach, describe, test } from "node:test";
import { createBunResponseContents, STREAMS_ONLY as BUN_STREAMS_ONLY } from "../../runtime/bun_responses.ts";
import { createDenoResponseContents, STREAMS_ONLY as DENO_STREAMS_ONLY } from "../../runtime/deno_responses.ts";
import { detectRuntime } from "../../runtime/detect.ts";
import type { StoredBytes, WholeContent } from "../../src/runtime.ts";

const runtime = detectRuntime();
const contents = runtime.responseContents(Response);
/** Node tells nothing. */
const tells = runtime.name !== "node";

/** What the adapter of Bun uses of it. */
interface BunTools {
  peek(promise: Promise<unknown>): unknown;
  inspect(value: unknown): string;
  estimateShallowMemoryUsageOf(value: object): number;
  file(path: string | number): Blob;
}

/** A stream that never ends: reading it whole would wait for ever. */
function endless(): ReadableStream<Uint8Array<ArrayBuffer>> {
  return new ReadableStream({ pull: (controller) => controller.enqueue(new Uint8Array([1])) }, { highWaterMark: 0 });
}

const STREAMED: readonly (readonly [string, () => Response])[] = [
  ["a stream", () => new Response(endless())],
  [
    "a stream with everything",
    () =>
      new Response(endless(), {
        status: 404,
        statusText: "Not 'bodyUsed: false'",
        headers: { "x-a": "Blob (5 bytes)" },
      }),
  ],
  ["a stream with properties", () => Object.assign(new Response(endless()), { a: 1, b: 2, bodyUsed2: false })],
  ["a stream in a subclass", () =>
    new class extends Response {
      readonly #own = 1;
      own(): number {
        return this.#own;
      }
    }(endless())],
  ["a clone of a stream", () => new Response(endless()).clone()],
  ["a stream that was looked at", () => {
    const response = new Response(endless());
    response.body;
    return response;
  }],
  ["a stream in a response again", () => new Response(new Response(endless()).body)],
  ["an asynchronous iterable", () => new Response(iterable() as unknown as BodyInit)],
  ["events", () => new Response(endless(), { headers: { "content-type": "text/event-stream" } })],
  ["nothing", () => new Response(null)],
  ["nothing, with a status", () => new Response(null, { status: 302, headers: { location: "/" } })],
];

async function* iterable(): AsyncGenerator<Uint8Array> {
  yield new Uint8Array([1]);
  await new Promise(() => {});
}

describe("what is told of responses", () => {
  for (const [name, make] of STREAMED) {
    test(`${name}: nothing, and it was not read`, () => {
      const response = make();
      assert.equal(contents.takeWhole(response), null);
      assert.equal(response.bodyUsed, false);
      assert.notEqual(response.body?.locked, true);
    });
  }

  test("a fetched response is left to its stream", async () => {
    const response = await fetch("data:text/plain,hello");
    assert.equal(contents.takeWhole(response), null);
    assert.equal(await response.text(), "hello");
  });

  test("text is taken, and counts as read", { skip: !tells }, async () => {
    const response = new Response("hello");
    assert.equal(await contents.takeWhole(response), "hello");
    assert.equal(response.bodyUsed, true);
  });

  test("content that is locked is refused", { skip: !tells }, async () => {
    const response = new Response("hello");
    response.body?.getReader();
    await assert.rejects(async () => await contents.takeWhole(response), TypeError);
  });
});

/** What responses are made of, with the bytes of it. */
const BODIES: Readonly<Record<string, (bytes: Uint8Array<ArrayBuffer>) => BodyInit>> = {
  "bytes": (bytes) => bytes,
  "a buffer": (bytes) => bytes.buffer,
  "a Blob": (bytes) => new Blob([bytes]),
  "text": (bytes) => new TextDecoder().decode(bytes),
};

describe("what is taken of a response, and said to be its taker's alone", () => {
  for (const [name, make] of Object.entries(BODIES)) {
    for (const byteLength of [3 * 1024, 64 * 1024, 200 * 1024]) {
      test(`is shared with no other response: ${byteLength} bytes of ${name}`, { skip: !tells }, async () => {
        const bytes = new Uint8Array(byteLength).fill(0x61);
        const body = make(bytes);
        const init = { headers: { "content-type": "a/b" } };
        const responses = [new Response(body, init), new Response(body, init)];
        responses.push(responses[0].clone());
        for (const response of responses) {
          for (const piece of await piecesOf(await contents.takeWhole(response))) {
            assert.ok(piece.every((byte) => byte === 0x61));
            if (contents.givesOwnBytes) piece.fill(0);
          }
        }
        assert.ok(bytes.every((byte) => byte === 0x61), "that is what they were made of");
      });
    }
  }

  /** All pieces of a content, at once. */
  async function piecesOf(content: WholeContent | null): Promise<Uint8Array[]> {
    assert.notEqual(content, null);
    if (typeof content === "string") return [new TextEncoder().encode(content)];
    if (content instanceof Uint8Array) return [content];
    if ("utf8" in content!) return [content.utf8];
    return [await readAll(content!)];
  }
});

/** Reads stored bytes, in parts that do not divide their length. */
async function readAll(bytes: StoredBytes): Promise<Uint8Array> {
  const whole = new Uint8Array(bytes.byteLength);
  for (let at = 0, readBytes; at < whole.byteLength; at += readBytes) {
    readBytes = await bytes.read(whole.subarray(at, at + 30_001), at);
    assert.ok(readBytes > 0);
  }
  await bytes.close();
  return whole;
}

describe("a file of Bun", { skip: runtime.name !== "bun" }, () => {
  const { file } = (globalThis as unknown as { Bun: BunTools }).Bun ?? {};
  let folder = "";
  let path = "";
  before(() => {
    folder = mkdtempSync(join(tmpdir(), "trivet-"));
    path = join(folder, "file.bin");
  });
  after(() => rmSync(folder, { recursive: true }));
  beforeEach(() => writeFileSync(path, new Uint8Array(100_000).map((_, at) => at)));

  test("has the size that it has when it is asked for", async () => {
    const response = new Response(file(path));
    const content = contents.takeWhole(response) as StoredBytes;
    appendFileSync(path, new Uint8Array(50_000));
    assert.deepEqual([content.byteLength, response.bodyUsed], [100_000, true]);
    assert.ok((await readAll(content)).every((byte, at) => byte === at % 256));
  });

  /** Bun tells the size of a slice where it was asked for that of the file. */
  function sized(path: string): Blob {
    const whole = file(path);
    assert.equal(whole.size, 100_000);
    return whole;
  }
  const NAMES: readonly (readonly [name: string, make: (path: string) => Blob, start: number])[] = [
    ["that bears another name", (path) => Object.assign(file(path), { name: "other" }), 0],
    ["that was made a File", (path) => new File([file(path)], "other.txt"), 0],
    ["of which it is a slice", (path) => sized(path).slice(5, 90_000, "a/b").slice(10, 80_000, "a/b"), 15],
    ["whose type reads like a path", (path) => sized(path).slice(7, 70_000, 'a/b ") {'), 7],
    ["that is open", (path) => file(openSync(path, "r")), 0],
  ];
  for (const [name, make, start] of NAMES) {
    test(`is the file ${name}`, async () => {
      const content = contents.takeWhole(new Response(make(path))) as StoredBytes;
      assert.ok(content.byteLength > 60_000);
      assert.ok((await readAll(content)).every((byte, at) => byte === (start + at) % 256));
    });
  }

  test("is one file from its first byte to its last, though another comes to stand at its path", async () => {
    const content = contents.takeWhole(new Response(file(path))) as StoredBytes;
    const bytes = new Uint8Array(100_000);
    assert.equal(await content.read(bytes.subarray(0, 10), 0), 10);
    writeFileSync(`${path}.new`, new Uint8Array(100_000));
    renameSync(`${path}.new`, path);
    assert.equal(await content.read(bytes.subarray(10), 10), 99_990);
    assert.ok(bytes.every((byte, at) => byte === at % 256));
    await content.close();
    await assert.rejects(content.read(bytes, 0));
  });

  test("fails when it is gone before it is read, and has nothing to close then", async () => {
    const content = contents.takeWhole(new Response(file(path))) as StoredBytes;
    await (contents.takeWhole(new Response(file(path))) as StoredBytes).close();
    rmSync(path);
    await assert.rejects(content.read(new Uint8Array(1), 0), { code: "ENOENT" });
    await content.close();
  });

  test("that is small has the bytes that are there, though the system told of more, as it does of its own", async () => {
    const response = new Response(sized(path).slice(10, 1_000, "a/b"));
    truncateSync(path, 60);
    assert.deepEqual(await contents.takeWhole(response), new Uint8Array(50).map((_, at) => 10 + at));
  });

  test("that is small fails when it is read where it is gone", async () => {
    const response = new Response(sized(path).slice(10, 1_000, "a/b"));
    rmSync(path);
    const content = await contents.takeWhole(response) as StoredBytes;
    await assert.rejects(content.read(new Uint8Array(1), 0), { code: "ENOENT" });
    await content.close();
  });

  test("is left to its stream where Bun tells no size or there is no media type", () => {
    const untyped = new Response(file(path));
    untyped.headers.delete("content-type");
    const unsized = [file(path).slice(10, 13), file(`${path}.none`), file("/dev/zero")];
    for (const response of [...unsized.map((each) => new Response(each)), untyped]) {
      assert.equal(contents.takeWhole(response), null);
      assert.equal(response.bodyUsed, false);
    }
  });
});

describe("where a runtime has changed, only streams are used", () => {
  const peek = (promise: Promise<unknown>): unknown => promise;
  const inspect = (): string => "Response {}";

  test("Bun, when all objects have one size", () => {
    assert.equal(createBunResponseContents({ peek, inspect, isAscii, isUtf8 }, () => 100, Response), BUN_STREAMS_ONLY);
  });

  test("Bun, when a tool throws", () => {
    const fail = (): never => {
      throw new Error("It is gone.");
    };
    assert.equal(createBunResponseContents({ peek, inspect, isAscii, isUtf8 }, fail, Response), BUN_STREAMS_ONLY);
  });

  test("Bun, when bytes are shared", { skip: runtime.name !== "bun" }, (t) => {
    const { peek, inspect } = (globalThis as unknown as { Bun: BunTools }).Bun;
    const { estimateShallowMemoryUsageOf: sizeOf } = process.getBuiltinModule("bun:jsc") as unknown as BunTools;
    const shared = new Uint8Array(64 * 1024);
    const given = new Map<Promise<unknown>, Uint8Array>();
    const tools = {
      peek: (promise: Promise<unknown>) => given.get(promise) ?? peek(promise),
      inspect,
      isAscii,
      isUtf8,
    };
    const { bytes } = Response.prototype;
    t.mock.method(Response.prototype, "bytes", function (this: Response) {
      const promise = bytes.call(this);
      if (sharesBytes && (peek(promise) as Uint8Array).byteLength === shared.byteLength) given.set(promise, shared);
      return promise;
    });
    let sharesBytes = false;
    assert.notEqual(createBunResponseContents(tools, sizeOf, Response), BUN_STREAMS_ONLY);
    sharesBytes = true;
    assert.equal(createBunResponseContents(tools, sizeOf, Response), BUN_STREAMS_ONLY);
  });

  test("Deno, when a response has no symbols", () => {
    const Other = class {} as unknown as typeof Response;
    assert.equal(createDenoResponseContents(Other), DENO_STREAMS_ONLY);
  });

  const RESPONSE = Symbol("response");

  test("Deno, when a stream looks like content that is there", () => {
    const Other = class {
      readonly [RESPONSE]: unknown;
      constructor() {
        for (const symbol of Object.getOwnPropertySymbols(this)) {
          Object.defineProperty(this, symbol, { value: { body: { source: "text" } } });
        }
      }
    } as unknown as typeof Response;
    assert.equal(createDenoResponseContents(Other), DENO_STREAMS_ONLY);
  });
});
