/**
 * Responses of every kind of content, and the head that each is sent with: on every runtime, under every model, as
 * `Response` and as `HttpResponse`, unless it says otherwise here. What is listed as a difference is what a runtime
 * itself does not tell; docs/handlers.md has the same list.
 *
 * By default it exports the handler that makes them.
 *
 * @module
 */

import type { ServeInit } from "../../src/api/options.ts";
import { HttpResponse } from "../../src/web/http_response.ts";

/** Both classes, as far as they are used here. */
type ResponseClass = typeof Response | typeof HttpResponse;

/** What stands in the head of a response beside status line, Date and Connection. */
export interface ExpectedHead {
  /** The field lines of the handler. */
  readonly lines: readonly string[];
  /** Whether GET is chunked, and HEAD says nothing of a length. */
  readonly isChunked?: boolean;
  /** Whether HEAD names no length, since content may have been left out for it. */
  readonly isEmptyForHead?: boolean;
}

/** One kind of content. */
export interface ResponseKind extends ExpectedHead {
  readonly name: string;
  make(Kind: ResponseClass): Response;
  /** The content, char codes as bytes; `<boundary>` stands for that of a form. */
  readonly content: string;
  /** Where the head of a `Response` of the runtime is another one. */
  readonly differs?: { readonly [runtime: string]: ExpectedHead };
}

const TEXT = "content-type: text/plain;charset=UTF-8";
const NO_SNIFFING = "x-content-type-options: nosniff";
const LARGE_CHARS = 200_000;
const encoder = new TextEncoder();
const large = "x".repeat(LARGE_CHARS);

/** Bun does not tell whether this was text, for which it names no media type. */
const UNTOLD_ON_BUN = { bun: { lines: [NO_SNIFFING] } };

/** Every kind. */
export const RESPONSE_KINDS: readonly ResponseKind[] = [
  { name: "text", make: (Kind) => new Kind("hello"), lines: [TEXT], content: "hello" },
  { name: "text that is markup", make: (Kind) => new Kind("<b>"), lines: [TEXT], content: "<b>" },
  { name: "text in Latin-1", make: (Kind) => new Kind("<b>\xe9"), lines: [TEXT], content: "<b>\xc3\xa9" },
  { name: "text beyond it", make: (Kind) => new Kind("<\u2200"), lines: [TEXT], content: "<\xe2\x88\x80" },
  { name: "text of two bytes a char", make: (Kind) => new Kind("\u043e"), lines: [TEXT], content: "\xd0\xbe" },
  { name: "text with a mark", make: (Kind) => new Kind("\ufeffa"), lines: [TEXT], content: "\xef\xbb\xbfa" },
  { name: "200 kB of text", make: (Kind) => new Kind(large), lines: [TEXT], content: large },
  {
    name: "text of another type",
    make: (Kind) => new Kind("<b>", { headers: { "content-type": "text/html" } }),
    lines: ["content-type: text/html"],
    content: "<b>",
  },
  {
    name: "text with a status and fields",
    make: (Kind) =>
      new Kind("hello", { status: 200, statusText: "OK", headers: { "x-a": "1", "cache-control": "no-store" } }),
    lines: ["cache-control: no-store", TEXT, "x-a: 1"],
    content: "hello",
  },
  { name: "a clone of text", make: (Kind) => new Kind("<b>").clone(), lines: [TEXT], content: "<b>" },
  {
    name: "text with a property",
    make: (Kind) => Object.assign(new Kind("<b>"), { a: 1 }),
    lines: [TEXT],
    content: "<b>",
  },
  {
    name: "text whose stream was looked at",
    make(Kind) {
      const response = new Kind("<b>");
      response.body;
      return response;
    },
    lines: [TEXT],
    content: "<b>",
    differs: UNTOLD_ON_BUN,
  },
  {
    name: "text that was wrapped again",
    make(Kind) {
      const response = new Kind("<b>");
      return new Kind(response.body, response);
    },
    lines: [TEXT],
    content: "<b>",
    differs: UNTOLD_ON_BUN,
  },
  {
    name: "empty text",
    make: (Kind) => new Kind(""),
    lines: [TEXT],
    isEmptyForHead: true,
    content: "",
  },
  { name: "nothing", make: (Kind) => new Kind(null), lines: [], isEmptyForHead: true, content: "" },
  {
    name: "JSON",
    make: (Kind) => Kind.json({ legs: 3 }),
    lines: ["content-type: application/json"],
    content: '{"legs":3}',
    differs: { bun: { lines: ["content-type: application/json;charset=utf-8"] } },
  },
  {
    name: "200 kB of JSON",
    make: (Kind) => Kind.json(large, { headers: { "x-a": "1" } }),
    lines: ["content-type: application/json", "x-a: 1"],
    content: `"${large}"`,
    differs: { bun: { lines: ["content-type: application/json;charset=utf-8", "x-a: 1"] } },
  },
  { name: "bytes", make: (Kind) => new Kind(encoder.encode("hello")), lines: [], content: "hello" },
  { name: "an ArrayBuffer", make: (Kind) => new Kind(encoder.encode("hello").buffer), lines: [], content: "hello" },
  {
    name: "a DataView",
    make: (Kind) => new Kind(new DataView(encoder.encode("hello").buffer, 1)),
    lines: [],
    content: "ello",
  },
  { name: "200 kB of bytes", make: (Kind) => new Kind(encoder.encode(large)), lines: [], content: large },
  { name: "bytes that are no text", make: (Kind) => new Kind(new Uint8Array([60, 255])), lines: [], content: "<\xff" },
  {
    name: "bytes that are markup",
    make: (Kind) => new Kind(encoder.encode("<b>")),
    lines: [],
    content: "<b>",
    differs: UNTOLD_ON_BUN,
  },
  {
    name: "no bytes",
    make: (Kind) => new Kind(new Uint8Array(0)),
    lines: [],
    isEmptyForHead: true,
    content: "",
    differs: { bun: { lines: [TEXT], isEmptyForHead: true } },
  },
  {
    name: "a Blob",
    make: (Kind) => new Kind(new Blob(["hello"], { type: "a/b" })),
    lines: ["content-type: a/b"],
    content: "hello",
  },
  {
    name: "a Blob without a type",
    make: (Kind) => new Kind(new Blob(["hello"])),
    lines: [],
    content: "hello",
  },
  {
    name: "a Blob that is markup",
    make: (Kind) => new Kind(new Blob(["<b>"])),
    lines: [],
    content: "<b>",
    differs: UNTOLD_ON_BUN,
  },
  {
    name: "a Blob of 200 kB",
    make: (Kind) => new Kind(new Blob([large], { type: "a/b" })),
    lines: ["content-type: a/b"],
    content: large,
  },
  {
    name: "a Blob of several large parts",
    make: (Kind) => new Kind(new Blob([large, large, large], { type: "a/b" })),
    lines: ["content-type: a/b"],
    content: large + large + large,
    differs: { node: { lines: ["content-type: a/b"], isChunked: true } },
  },
  {
    name: "an empty Blob",
    make: (Kind) => new Kind(new Blob([], { type: "a/b" })),
    lines: ["content-type: a/b"],
    isEmptyForHead: true,
    content: "",
  },
  {
    name: "the stream of a Blob",
    make: (Kind) => new Kind(new Blob(["hello"]).stream(), { headers: { "content-type": "a/b" } }),
    lines: ["content-type: a/b"],
    content: "hello",
  },
  {
    name: "a form with a file",
    make(Kind) {
      const form = new FormData();
      form.append("legs", new Blob(["3"], { type: "a/b" }), "legs.txt");
      return new Kind(form);
    },
    lines: ["content-type: multipart/form-data; boundary=<boundary>"],
    content:
      '--<boundary>\r\nContent-Disposition: form-data; name="legs"; filename="legs.txt"\r\nContent-Type: a/b\r\n' +
      "\r\n3\r\n--<boundary>--\r\n",
  },
  {
    name: "URLSearchParams",
    make: (Kind) => new Kind(new URLSearchParams({ legs: "3" })),
    lines: ["content-type: application/x-www-form-urlencoded;charset=UTF-8"],
    content: "legs=3",
  },
  {
    name: "a form",
    make(Kind) {
      const form = new FormData();
      form.append("legs", "3");
      return new Kind(form);
    },
    lines: ["content-type: multipart/form-data; boundary=<boundary>"],
    content: '--<boundary>\r\nContent-Disposition: form-data; name="legs"\r\n\r\n3\r\n--<boundary>--\r\n',
  },
  {
    name: "a stream that is there",
    make: (Kind) => new Kind(streamOf("hel", "lo")),
    lines: [],
    content: "hello",
    differs: UNTOLD_ON_BUN,
  },
  {
    name: "a stream with a type",
    make: (Kind) => new Kind(streamOf("hel", "lo"), { headers: { "content-type": "a/b" } }),
    lines: ["content-type: a/b"],
    content: "hello",
  },
  {
    name: "a stream that comes later",
    make: (Kind) => new Kind(laterStreamOf("hello"), { headers: { "content-type": "a/b" } }),
    lines: ["content-type: a/b"],
    isChunked: true,
    content: "hello",
  },
];

function streamOf(...pieces: string[]): ReadableStream<Uint8Array<ArrayBuffer>> {
  return new ReadableStream({
    start(controller) {
      for (const piece of pieces) controller.enqueue(encoder.encode(piece));
      controller.close();
    },
  });
}

function laterStreamOf(content: string): ReadableStream<Uint8Array<ArrayBuffer>> {
  let isOver = false;
  return new ReadableStream({
    async pull(controller) {
      for (let turn = 0; turn < 3; turn++) await new Promise((resolve) => setImmediate(resolve));
      if (isOver) return controller.close();
      isOver = true;
      controller.enqueue(encoder.encode(content));
    },
  }, { highWaterMark: 0 });
}

/** Answers `/<class>/<place in the list>`. */
export function fetch(request: Request): Response {
  const [, className, place] = new URL(request.url).pathname.split("/");
  return RESPONSE_KINDS[Number(place)].make(className === "Response" ? Response : HttpResponse);
}

const init: ServeInit = { fetch };

export default init;
