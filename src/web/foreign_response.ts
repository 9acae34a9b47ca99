/**
 * Parts of a response that the runtime did not make: one of another library or realm, or an object that merely has the
 * members of one.
 *
 * It decides which headers and which bodies are understood: what `new Headers()` takes, streams of
 * any realm, and what can be iterated asynchronously, as the streams of Node can. It must not know
 * what becomes of them.
 *
 * @module
 */

import { type FieldLines, type FieldSource, readFieldLines } from "./field_lines.ts";
import { toPiece } from "./pieces.ts";

/** Headers as libraries have them. */
interface ForeignHeaders {
  forEach?(callback: (value: string, name: string) => void): void;
  getSetCookie?(): string[];
  /** Of node-fetch: the values of each name. */
  raw?(): Readonly<Record<string, string[]>>;
}

/** The lines of headers of another library. Throws `response-field-invalid` when a line cannot be sent. */
export function readForeignHeaders(headers: object): FieldLines {
  const { forEach, getSetCookie, raw } = headers as ForeignHeaders;
  if (Array.isArray(headers) || typeof forEach !== "function") return readFieldLines({ forEach: eachPair(headers) });
  const cookies = getSetCookie?.call(headers) ?? raw?.call(headers)["set-cookie"] ?? null;
  return readFieldLines({
    forEach(callback) {
      forEach.call(headers, (value, name) => {
        // Some join the values of Set-Cookie, which can't be told apart again (RFC 6265 section 3).
        if (cookies === null || String(name).toLowerCase() !== "set-cookie") callback(String(value), String(name));
      });
      for (const value of cookies ?? []) callback(value, "set-cookie");
    },
  });
}

/** The pairs of an iterable, or the properties of an object; each of several values of a name is one. */
function eachPair(headers: object): FieldSource["forEach"] {
  return (callback) => {
    const pairs = Symbol.iterator in headers ? headers as Iterable<[string, unknown]> : Object.entries(headers);
    for (const [name, value] of pairs) {
      for (const single of Array.isArray(value) ? value : [value]) callback(String(single), String(name));
    }
  };
}

/** The body of another library's response as a stream of this realm's bytes; `null` when it is nothing known. */
export function toByteStream(body: object): ReadableStream<Uint8Array> | null {
  if (body instanceof ReadableStream) return body;
  if (isStream(body)) return streamFrom(readerIterator(body.getReader()));
  if (isNodeStream(body)) return streamFromNode(body);
  if (isAsyncIterable(body)) return streamFrom(body[Symbol.asyncIterator]());
  return null;
}

/** A stream of Node, as far as its iterator is not enough. */
interface NodeStream extends AsyncIterable<unknown> {
  on(event: "error", listener: () => void): void;
  destroy(): void;
}

function isNodeStream(body: object): body is NodeStream {
  const { on, destroy } = body as Partial<NodeStream>;
  return typeof on === "function" && typeof destroy === "function" && isAsyncIterable(body);
}

/**
 * The iterator of a stream of Node does not end the stream before the first read, nor while a read
 * waits: it would stay open behind a client that has left. Until the iterator begins, an error that
 * nothing listens for would end the process; the iterator tells of it afterwards.
 */
function streamFromNode(body: NodeStream): ReadableStream<Uint8Array> {
  body.on("error", () => {});
  const iterator = body[Symbol.asyncIterator]();
  return streamFrom({
    next: () => iterator.next(),
    return: () => {
      body.destroy();
      return Promise.resolve({ done: true, value: undefined });
    },
  });
}

/** Whether a body has the interface of a ReadableStream. */
function isStream(body: object): body is ReadableStream {
  return "getReader" in body && typeof body.getReader === "function";
}

function isAsyncIterable(body: object): body is AsyncIterable<unknown> {
  return Symbol.asyncIterator in body && typeof body[Symbol.asyncIterator] === "function";
}

function readerIterator(reader: ReadableStreamDefaultReader<unknown>): AsyncIterator<unknown> {
  return {
    next: async () => await reader.read() as IteratorResult<unknown>,
    async return(reason) {
      await reader.cancel(reason);
      return { done: true, value: undefined };
    },
  };
}

/** A chunk that is neither bytes nor text is refused by the reader of the stream. */
function streamFrom(iterator: AsyncIterator<unknown>): ReadableStream<Uint8Array> {
  return new ReadableStream({
    async pull(controller) {
      const { done, value } = await iterator.next();
      if (done) controller.close();
      else controller.enqueue(toPiece(value) ?? value as Uint8Array);
    },
    async cancel(reason) {
      await iterator.return?.(reason);
    },
  }, { highWaterMark: 0 });
}
