/**
 * Deno: whether the runtime's own `Response` was made of something else than a stream.
 *
 * Deno keeps the state of a response in properties that are named by symbols. What is found there only answers that
 * question, and what kind of content it is; the content itself is read by the public methods, which have it two
 * microtasks later. The symbols are found by their descriptions, and tried out first: where one of them is gone or
 * means something else, only the stream of a response is used. This file knows nothing of HTTP.
 *
 * @module
 */

import type { ResponseContents, WholeContent } from "../src/runtime.ts";
import { blobBytes } from "./blob_bytes.ts";

/** Content of this size is read from its Blob at once; more is read in parts. */
const MAX_BLOB_COPY_BYTES = 64 * 1024;
const BYTE_ORDER_MARK = 0xfeff;

/** Takes nothing whole: what is left where Deno does not keep the state of a response as expected. */
export const STREAMS_ONLY: ResponseContents = {
  takeWhole: () => null,
  // A response and its clones share them.
  givesOwnBytes: false,
  namesTextType: true,
  streamTurns: 1,
  streamsFill: true,
  decodes,
};

/** A single coding that fetch knows; of several it leaves all. */
function decodes(codings: string): boolean {
  return codings === "gzip" || codings === "br";
}

/** Makes it, after a self-test. */
export function createDenoResponseContents(native: typeof Response): ResponseContents {
  try {
    const sourceOf = findSource(native);
    if (isTrusted(native, sourceOf)) {
      return { ...STREAMS_ONLY, takeWhole: (response) => takeWhole(response, sourceOf(response)) };
    }
  } catch {
    // It is kept in another way.
  }
  return STREAMS_ONLY;
}

function takeWhole(response: Response, source: unknown): WholeContent | Promise<WholeContent> | null {
  // A byte order mark is content, and text() leaves it out.
  if (typeof source === "string") {
    return source.charCodeAt(0) === BYTE_ORDER_MARK ? response.bytes() : response.text();
  }
  if (source instanceof Uint8Array) return response.bytes();
  if (!(source instanceof Blob)) return null;
  if (source.size <= MAX_BLOB_COPY_BYTES) return response.bytes();
  const stream = response.body;
  if (stream === null || stream.locked) return null;
  // It counts as read from here on.
  stream.cancel().catch(() => {});
  return blobBytes(source);
}

/** What a response was made of: a string, bytes or a Blob; anything else says that it is not known. */
type SourceOf = (response: Response) => unknown;

/** The properties of a response in which its content may stand, by the descriptions of their symbols. */
interface ResponseState {
  readonly [symbol: symbol]: unknown;
}

function findSource(native: typeof Response): SourceOf {
  const symbols = Object.getOwnPropertySymbols(new native(""));
  const find = (description: string): symbol =>
    symbols.find((symbol) => symbol.description === description) ?? Symbol(description);
  const fast = find("serve fast body");
  const lazy = find("lazy static body");
  const inner = find("response");
  return (response) => {
    const state = response as unknown as ResponseState;
    // The first of them that is not empty.
    return state[fast] ?? state[lazy] ?? (state[inner] as { body?: { source?: unknown } } | undefined)?.body?.source;
  };
}

function isTrusted(native: typeof Response, sourceOf: SourceOf): boolean {
  const of = (body: BodyInit | null, init?: ResponseInit): Response => new native(body, init);
  const looked = of("text");
  looked.headers.set("a", "b");
  const streamed = of(new ReadableStream(), { status: 201, headers: { "content-type": "text/plain" } });
  const blob = sourceOf(of(new Blob(["abc"])));
  const bytes = sourceOf(of(new Uint8Array(3)));
  return [of("text"), of("text", { status: 201, headers: { a: "b" } }), looked, of("text").clone()]
    .every((response) => sourceOf(response) === "text") &&
    blob instanceof Blob && blob.size === 3 && bytes instanceof Uint8Array && bytes.byteLength === 3 &&
    [streamed, streamed.clone(), of(null), of(new Blob(["abc"]).stream())]
      .every((response) => (sourceOf(response) ?? null) === null);
}
