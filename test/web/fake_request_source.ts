/**
 * A request in parts without a connection, for tests of the Web interfaces.
 *
 * @module
 */

import { FieldSection } from "../../src/http/field_section.ts";
import type { RequestSource } from "../../src/web/request_source.ts";

/** What a test says of its request; the rest is a GET without fields and content. */
export interface FakeRequest {
  readonly method?: string;
  readonly fields?: readonly (readonly [name: string, value: string])[];
  /** The content; given as several strings it is streamed in as many chunks. */
  readonly content?: string | readonly string[] | Uint8Array<ArrayBuffer>;
  /** The content does not come whole: taking it fails with this error. */
  readonly contentError?: Error;
}

/** A source that counts how it was asked. */
export interface FakeSource extends RequestSource {
  readonly abort: AbortController;
  readonly asked: { collect: number; stream: number; signal: number };
}

/** The target URI of every fake request. */
export const FAKE_URL = "http://example.com/path?query=1";

/** A field section with these lines, as a parser would make it. */
export function fieldSection(lines: readonly (readonly [name: string, value: string])[]): FieldSection {
  let text = "";
  const offsets: number[] = [];
  for (const [name, value] of lines) {
    const nameStart = text.length;
    const valueStart = nameStart + name.length + 2;
    text += `${name}: ${value}\r\n`;
    offsets.push(nameStart, nameStart + name.length, valueStart, valueStart + value.length);
  }
  return new FieldSection(text, offsets);
}

/** Makes the source of a request. */
export function fakeSource(request: FakeRequest = {}): FakeSource {
  const { content, contentError } = request;
  const chunks = chunksOf(content);
  const abort = new AbortController();
  const asked = { collect: 0, stream: 0, signal: 0 };
  return {
    abort,
    asked,
    method: request.method ?? "GET",
    fields: fieldSection(request.fields ?? []),
    content: {
      present: content !== undefined,
      collect() {
        asked.collect++;
        return contentError === undefined ? Promise.resolve(concatenate(chunks)) : Promise.reject(contentError);
      },
      stream() {
        asked.stream++;
        let next = 0;
        return new ReadableStream({
          type: "bytes",
          pull(controller) {
            if (contentError !== undefined) controller.error(contentError);
            else if (next < chunks.length) controller.enqueue(chunks[next++].slice());
            else {
              controller.close();
              controller.byobRequest?.respond(0);
            }
          },
        });
      },
    },
    url: () => FAKE_URL,
    signal() {
      asked.signal++;
      return abort.signal;
    },
  };
}

function chunksOf(content: FakeRequest["content"]): Uint8Array<ArrayBuffer>[] {
  if (content === undefined) return [];
  if (content instanceof Uint8Array) return [content];
  const encoder = new TextEncoder();
  return (typeof content === "string" ? [content] : content).map((chunk) => encoder.encode(chunk));
}

function concatenate(chunks: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const all = new Uint8Array(chunks.reduce((length, chunk) => length + chunk.byteLength, 0));
  let at = 0;
  for (const chunk of chunks) {
    all.set(chunk, at);
    at += chunk.byteLength;
  }
  return all;
}
