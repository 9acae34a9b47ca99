/** Taking responses of either kind apart: the same parts in the same order, or a refusal. */

import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { Readable } from "node:stream";
import { after, before, describe, test } from "node:test";
import { inspect } from "node:util";
import { detectRuntime } from "../../runtime/detect.ts";
import { type ErrorCode, TrivetError } from "../../src/api/errors.ts";
import { HttpResponse } from "../../src/web/http_response.ts";
import { LazyRequest } from "../../src/web/lazy_request.ts";
import { linkRequestPrototype } from "../../src/web/remade_request.ts";
import { readContentsWith, readResponse } from "../../src/web/read_response.ts";
import type { ResponseContent, ResponseSource } from "../../src/web/response_source.ts";
import { fakeSource } from "./fake_request_source.ts";

linkRequestPrototype();

async function read(response: unknown): Promise<ResponseSource> {
  return await readResponse(response);
}

async function refuses(response: unknown, code: ErrorCode): Promise<void> {
  await assert.rejects(read(response), (error) => error instanceof TrivetError && error.code === code);
}

const encoder = new TextEncoder();
const OWN_ERROR = new Error("The stream's own words.");

async function* iterate(...chunks: unknown[]): AsyncGenerator<unknown> {
  yield* chunks;
}

/** What has the interface of a ReadableStream and is none of this realm's. */
function otherStream(...chunks: Uint8Array[]): unknown {
  const reader = new ReadableStream<Uint8Array>({
    start(controller) {
      for (const chunk of chunks) controller.enqueue(chunk);
      controller.close();
    },
  }).getReader();
  return { locked: false, getReader: () => reader };
}

async function textOf(content: ResponseContent): Promise<string | null> {
  return content === null ? null : await new Response(content as BodyInit).text();
}

// What the runtime tells of its responses is the matter of response_heads_test.ts.
before(() =>
  readContentsWith({
    takeWhole: () => null,
    givesOwnBytes: false,
    namesTextType: true,
    streamTurns: 1,
    streamsFill: false,
    decodes: () => false,
  })
);
after(() => readContentsWith(detectRuntime().responseContents(Response)));

describe("both kinds of response give the same parts", () => {
  const RESPONSES: readonly {
    readonly name: string;
    readonly body: () => BodyInit | null;
    readonly init?: ResponseInit;
    /** After it was made, a handler changes the headers. */
    readonly change?: (headers: Headers) => void;
    readonly expected: Omit<ResponseSource, "content" | "streamBytes"> & { readonly text: string | null };
  }[] = [
    {
      name: "nothing",
      body: () => null,
      expected: { status: 200, statusText: "", fields: [], text: null },
    },
    {
      name: "fields in another order and case",
      body: () => new Uint8Array([0x61]),
      init: { status: 404, statusText: "Nope", headers: { "X-B": "2", "Content-Type": "text/html", "X-A": "1" } },
      expected: {
        status: 404,
        statusText: "Nope",
        fields: ["content-type", "text/html", "x-a", "1", "x-b", "2"],
        text: "a",
      },
    },
    {
      name: "fields that repeat",
      body: () => null,
      init: { headers: [["vary", "a"], ["Set-Cookie", "b=2"], ["Vary", "b"], ["set-cookie", "a=1"], ["age", "1"]] },
      expected: {
        status: 200,
        statusText: "",
        fields: ["age", "1", "set-cookie", "b=2", "set-cookie", "a=1", "vary", "a, b"],
        text: null,
      },
    },
    {
      name: "a string with a Content-Type of its own",
      body: () => "grüße",
      init: { headers: { "content-type": "text/html" } },
      expected: { status: 200, statusText: "", fields: ["content-type", "text/html"], text: "grüße" },
    },
    {
      name: "a stream",
      body: () => new Blob(["ab"]).stream(),
      expected: { status: 200, statusText: "", fields: [], text: "ab" },
    },
    {
      name: "changed headers",
      body: () => new Uint8Array([0x61]),
      init: { headers: { b: "1", c: "1" } },
      change: (headers) => {
        headers.set("A", "2");
        headers.delete("b");
        headers.append("z", "2");
        headers.append("set-cookie", "1");
        headers.append("set-cookie", "2");
      },
      expected: {
        status: 200,
        statusText: "",
        fields: ["a", "2", "c", "1", "set-cookie", "1", "set-cookie", "2", "z", "2"],
        text: "a",
      },
    },
  ];
  for (const { name, body, init, change, expected } of RESPONSES) {
    for (const Kind of [HttpResponse, Response]) {
      test(`${name}, as ${Kind.name}`, async () => {
        const response = new Kind(body(), init);
        change?.(response.headers);
        const { status, statusText, fields, content } = await read(response);
        assert.deepEqual({ status, statusText, fields, text: await textOf(content) }, expected);
      });
    }
  }
});

describe("an HttpResponse", () => {
  const CONTENTS: readonly (readonly [string, HttpResponse, ResponseContent])[] = [
    ["a string", new HttpResponse("x"), "x"],
    ["an empty string", new HttpResponse(""), ""],
    ["JSON", HttpResponse.json([1]), "[1]"],
    ["bytes", new HttpResponse(new Uint8Array([1])), new Uint8Array([1])],
    ["a buffer", new HttpResponse(new Uint8Array([1]).buffer), new Uint8Array([1])],
    ["URLSearchParams", new HttpResponse(new URLSearchParams("a=b")), "a=b"],
  ];
  for (const [name, response, content] of CONTENTS) {
    test(`${name} stays whole, so that its length is known`, async () => {
      assert.deepEqual((await read(response)).content, content);
    });
  }

  test("the default Content-Type of a string is sent", async () => {
    assert.deepEqual((await read(new HttpResponse("x"))).fields, ["content-type", "text/plain;charset=UTF-8"]);
  });

  test("status 101 is let through", async () => {
    const init = { status: 101, headers: { upgrade: "x" } };
    assert.deepEqual(await read(new HttpResponse(null, init)), {
      status: 101,
      statusText: "",
      fields: ["upgrade", "x"],
      content: null,
      streamBytes: null,
      ownsContent: false,
    });
  });

  test("the length of a Blob is known, although its content is a stream", async () => {
    assert.equal((await read(new HttpResponse(new Blob(["abc"])))).streamBytes, 3);
    assert.equal((await read(new HttpResponse(new Blob(["abc"])).clone())).streamBytes, 3);
    assert.equal((await read(new HttpResponse(new ReadableStream()))).streamBytes, null);
  });

  test("content that was sent counts as read, and is not sent twice", async () => {
    const response = new HttpResponse("x");
    await read(response);
    assert.equal(response.bodyUsed, true);
    await assert.rejects(response.text(), TypeError);
    assert.throws(() => response.clone(), TypeError);
    await refuses(response, "response-invalid");
  });

  test("without content it can be sent again", async () => {
    const response = new HttpResponse(null, { status: 204 });
    assert.deepEqual(await read(response), await read(response));
  });

  test("a clone is sent on its own", async () => {
    const response = new HttpResponse("x");
    const clone = response.clone();
    assert.deepEqual(await read(response), await read(clone));
  });

  test("a body that was looked at is sent as a stream", async () => {
    const response = new HttpResponse("x");
    assert.equal(response.body?.locked, false);
    assert.equal(await textOf((await read(response)).content), "x");
  });
});

for (const Kind of [HttpResponse, Response]) {
  describe(`a ${Kind.name} that cannot be sent`, () => {
    test("its content was read: response-invalid", async () => {
      const response = new Kind("x");
      await response.text();
      await refuses(response, "response-invalid");
    });

    test("its content was read in part: response-invalid", async () => {
      const response = new Kind(new Blob(["x"]).stream());
      const reader = response.body?.getReader();
      await reader?.read();
      reader?.releaseLock();
      await refuses(response, "response-invalid");
    });

    test("its stream is locked: response-invalid", async () => {
      const response = new Kind("x");
      response.body?.getReader();
      await refuses(response, "response-invalid");
    });

    test("it is a network error: response-invalid", () => refuses(Kind.error(), "response-invalid"));

    for (const value of ["a\x01b", "\x7f", "a\x1f"]) {
      test(`a field was set to ${JSON.stringify(value)}, which Headers allows: response-field-invalid`, async () => {
        const response = new Kind(null);
        response.headers.set("a", value);
        await refuses(response, "response-field-invalid");
      });
    }
  });
}

describe("what is not a response", () => {
  const HEADERS = new Headers();
  const VALUES: readonly unknown[] = [
    undefined,
    null,
    "x",
    200,
    {},
    { status: 200 },
    { status: 200, headers: {} },
    { status: "200", statusText: "", headers: HEADERS, body: null },
    { status: 200, statusText: "", headers: HEADERS, body: "x" },
    { status: 200, statusText: "", headers: HEADERS, body: null, bodyUsed: true },
    { status: 200, statusText: "a\r\nb", headers: HEADERS, body: null },
    { status: 100, statusText: "", headers: HEADERS, body: null },
    { status: 600, statusText: "", headers: HEADERS, body: null },
    { status: 200.5, statusText: "", headers: HEADERS, body: null },
    { status: 204, statusText: "", headers: HEADERS, body: new Blob(["x"]).stream() },
    { status: 200, statusText: "", headers: null, body: null },
    { status: 200, statusText: "", headers: HEADERS, body: ["x"] },
    { status: 200, statusText: "", headers: HEADERS, body: { getReader: 1 } },
    { status: 200, statusText: "", headers: HEADERS, body: { locked: true, getReader: () => {} } },
    Promise.resolve(new Response()),
    () => new Response(),
    new LazyRequest(fakeSource()),
    new Request("http://example.com/"),
  ];
  for (const value of VALUES) {
    test(`${inspect(value).replaceAll(/\s+/g, " ").slice(0, 70)}: response-invalid`, async () => {
      await refuses(value, "response-invalid");
    });
  }
});

describe("the stream of a response that is refused is cancelled", () => {
  const HEADERS = new Headers();
  const withField = (response: Response): Response => {
    response.headers.set("a", "\x01");
    return response;
  };
  const REFUSED: readonly [name: string, make: (body: ReadableStream) => unknown][] = [
    ["with a field of Response that can't be sent", (body) => withField(new Response(body))],
    ["with a field of HttpResponse that can't be sent", (body) => withField(new HttpResponse(body))],
    ["with a field of an object that can't be sent", (body) => ({ status: 200, headers: { a: "\x01" }, body })],
    ["with a status that can't be sent", (body) => ({ status: 99, headers: HEADERS, body })],
    ["with a reason phrase that can't be sent", (body) => ({ status: 200, statusText: "\n", headers: HEADERS, body })],
    ["with a status that has no content", (body) => ({ status: 204, headers: HEADERS, body })],
    ["with no headers", (body) => ({ status: 200, body })],
    ["of another realm", (body) => ({ status: 204, headers: HEADERS, body: { getReader: () => body.getReader() } })],
  ];
  for (const [name, make] of REFUSED) {
    test(name, async () => {
      let cancels = 0;
      const response = make(new ReadableStream({ cancel: () => void cancels++ }));
      await assert.rejects(read(response), TrivetError);
      assert.equal(cancels, 1);
    });
  }

  test("but not one that is being read by what it was given to before", async () => {
    let cancels = 0;
    const response = new Response(new ReadableStream({ cancel: () => void cancels++ }));
    const reader = response.body!.getReader();
    await refuses(response, "response-invalid");
    reader.releaseLock();
    assert.equal(cancels, 0);
  });
});

describe("a response of another realm or library", () => {
  const foreign = (entries: [string, string][]) => ({
    status: 200,
    statusText: "",
    headers: {
      forEach: (callback: (value: string, name: string) => void) =>
        entries.forEach(([name, value]) => callback(value, name)),
      getSetCookie: () => [],
    },
    body: null,
  });

  const HEADERS: readonly (readonly [string, unknown, readonly string[]])[] = [
    ["the interface of Headers", foreign([["B", " 2"], ["a", "1"]]).headers, ["a", "1", "b", "2"]],
    ["pairs", [["B", " 2"], ["a", "1"]], ["a", "1", "b", "2"]],
    ["a Map", new Map([["B", " 2"], ["a", "1"]]), ["a", "1", "b", "2"]],
    ["an object", { B: 2, a: "1" }, ["a", "1", "b", "2"]],
    ["an object with lists", { "set-cookie": ["a=1", "b=2"] }, ["set-cookie", "a=1", "set-cookie", "b=2"]],
    [
      "cookies that forEach joins",
      {
        forEach: (callback: (value: string, name: string) => void) => callback("a=1, b=2", "Set-Cookie"),
        getSetCookie: () => ["a=1", "b=2"],
      },
      ["set-cookie", "a=1", "set-cookie", "b=2"],
    ],
    [
      "cookies as node-fetch has them",
      {
        forEach: (callback: (value: string, name: string) => void) => callback("a=1, b=2", "set-cookie"),
        raw: () => ({ "set-cookie": ["a=1", "b=2"] }),
      },
      ["set-cookie", "a=1", "set-cookie", "b=2"],
    ],
  ];
  for (const [name, headers, fields] of HEADERS) {
    test(`is taken with ${name} as its headers`, async () => {
      assert.deepEqual((await read({ status: 200, headers, body: null })).fields, fields);
    });
  }

  const NONE = new Uint8Array(0);
  const BODIES: readonly (readonly [string, () => unknown])[] = [
    ["a stream", () => new Blob(["three legs"]).stream()],
    ["an iterable of bytes", () => iterate(encoder.encode("three "), encoder.encode("legs"))],
    ["an iterable of text", () => iterate("three ", "legs")],
    ["an iterable of bytes and of none", () => iterate(encoder.encode("three "), NONE, encoder.encode("legs"))],
    ["an iterable of buffers", () => iterate(encoder.encode("three ").buffer, encoder.encode("legs").buffer)],
    ["an iterable of views", () => iterate(new DataView(encoder.encode("three legs").buffer))],
    ["a stream of Node", () => Readable.from([Buffer.from("three "), Buffer.from("legs")])],
    ["a stream of Node that gives text", () => Readable.from(["three ", "legs"]).setEncoding("utf8")],
    ["a stream of another realm", () => otherStream(encoder.encode("three "), encoder.encode("legs"))],
  ];
  for (const [name, body] of BODIES) {
    test(`${name} is its body`, async () => {
      const source = await read({ ...foreign([]), body: body() });
      assert.equal(await textOf(source.content), "three legs");
    });

    test(`${name} is a body of HttpResponse too`, async () => {
      assert.equal(await new HttpResponse(body() as BodyInit).text(), "three legs");
    });
  }

  test("a stream of Node that is not read to its end is destroyed", async () => {
    const readable = Readable.from((async function* () {
      for (;;) yield Buffer.from("more");
    })());
    const { content } = await read({ ...foreign([]), body: readable });
    const reader = (content as ReadableStream<Uint8Array>).getReader();
    await reader.read();
    await reader.cancel();
    assert.equal(readable.destroyed, true);
  });

  test("a stream of Node is destroyed before it was read, and while it gives nothing", async () => {
    for (const isRead of [false, true]) {
      const readable = new Readable({ read: () => {} });
      const { content } = await read({ ...foreign([]), body: readable });
      const reader = (content as ReadableStream<Uint8Array>).getReader();
      if (isRead) reader.read();
      await reader.cancel();
      assert.equal(readable.destroyed, true, isRead ? "while it is read" : "before");
    }
  });

  test("the error of a stream of Node that was not read yet is that of the content", async () => {
    const response = new HttpResponse(new Readable({ read: () => {} }).destroy(OWN_ERROR) as unknown as BodyInit);
    await new Promise((resolve) => setTimeout(resolve));
    const { content } = await read(response);
    await assert.rejects((content as ReadableStream).getReader().read(), OWN_ERROR);
  });

  test("an iterable that fails fails the stream", async () => {
    const { content } = await read({
      ...foreign([]),
      body: (async function* () {
        yield await Promise.reject(new RangeError("its own"));
      })(),
    });
    await assert.rejects((content as ReadableStream<Uint8Array>).getReader().read(), RangeError);
  });

  for (const line of [["a b", "1"], ["", "1"], ["a", "1\r\nb: 2"], ["a", "\u0100"]] as [string, string][]) {
    test(`with the field line ${JSON.stringify(line)} it is refused: response-field-invalid`, async () => {
      await refuses(foreign([line]), "response-field-invalid");
    });
  }
});
