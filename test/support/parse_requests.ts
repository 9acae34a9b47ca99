/**
 * Feeds bytes in pieces to the protocol core as a connection does, and tells what came out.
 *
 * @module
 */

import { TrivetError } from "../../src/api/errors.ts";
import type { FieldSection } from "../../src/http/field_section.ts";
import type { ContentDecoder } from "../../src/http1/codec/content_decoder.ts";
import { createContentDecoder } from "../../src/http1/codec/request_content.ts";
import { RequestHeadParser } from "../../src/http1/codec/request_head.ts";
import { TargetUriComposer } from "../../src/http1/codec/request_target.ts";

/** What the core found, in the order in which it found it. */
export interface ParsedRequest {
  readonly method: string;
  readonly uri: string;
  readonly version: string;
  readonly fields: readonly string[];
  readonly content: string;
  readonly trailers: readonly string[];
  readonly persistent: boolean;
  readonly expectsContinue: boolean;
  readonly upgrade: string | null;
}

/** The requests that were complete, and how it ended: all bytes used, waiting for more, or with the code of an error. */
export interface ParseResult {
  readonly requests: readonly ParsedRequest[];
  readonly end: "complete" | "incomplete" | string;
}

/** The bounds that fixtures are written for. */
export const FIXTURE_LIMITS = {
  maxRequestTargetBytes: 64,
  maxFieldSectionBytes: 512,
  maxFieldLines: 8,
  maxContentBytes: 1024,
};

/** The string whose char codes are the bytes. */
export function decodeLatin1(bytes: Uint8Array, start: number, end: number): string {
  let text = "";
  // A call takes only so many arguments.
  for (let at = start; at < end; at += 8192) {
    text += String.fromCharCode(...bytes.subarray(at, Math.min(end, at + 8192)));
  }
  return text;
}

/** The bytes that are the char codes of a string. */
export function latin1(text: string): Uint8Array {
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  return bytes;
}

function listFields(section: FieldSection): string[] {
  return Array.from({ length: section.count }, (_, i) => `${section.nameAt(i)}: ${section.valueAt(i)}`);
}

/** Parses pieces of a byte stream, one after another, keeping between them only what the core did not take. */
export function parseRequests(pieces: readonly Uint8Array[]): ParseResult {
  const reading = new Reading();
  let kept = new Uint8Array(0);
  try {
    for (const piece of pieces) {
      // The kept bytes move to new storage with every piece, as they may in a connection.
      const bytes = new Uint8Array(kept.byteLength + piece.byteLength);
      bytes.set(kept);
      bytes.set(piece, kept.byteLength);
      kept = bytes.slice(reading.take(bytes));
    }
  } catch (error) {
    if (!(error instanceof TrivetError)) throw error;
    return { requests: reading.requests, end: error.code };
  }
  return { requests: reading.requests, end: reading.isBetweenRequests(kept) ? "complete" : "incomplete" };
}

class Reading {
  readonly requests: ParsedRequest[] = [];
  readonly #parser = new RequestHeadParser(FIXTURE_LIMITS, decodeLatin1);
  readonly #uris = new TargetUriComposer("http");
  #decoder: ContentDecoder | null = null;
  #request: Omit<ParsedRequest, "content" | "trailers"> | null = null;
  #content = "";

  isBetweenRequests(kept: Uint8Array): boolean {
    return this.#request === null && kept.byteLength === 0;
  }

  /** Returns how many bytes it took. */
  take(bytes: Uint8Array): number {
    let at = 0;
    while (at < bytes.byteLength) {
      const before = at;
      at = this.#decoder === null ? this.#takeHead(bytes, at) : this.#takeContent(bytes, at);
      if (at === before) break;
    }
    return at;
  }

  #takeHead(bytes: Uint8Array, at: number): number {
    const head = this.#parser.parse(bytes, at, bytes.byteLength);
    if (head === null) return at;
    this.#request = {
      method: head.method,
      uri: this.#uris.compose(head, { localAddress: { transport: "tcp", hostname: "default", port: 80 } }),
      version: `1.${head.minorVersion}`,
      fields: listFields(head.fields),
      persistent: head.persistent,
      expectsContinue: head.expectsContinue,
      upgrade: head.upgrade,
    };
    this.#content = "";
    this.#decoder = createContentDecoder(head.contentLength, FIXTURE_LIMITS, decodeLatin1);
    this.#finishIfComplete();
    return at + this.#parser.consumedBytes;
  }

  #takeContent(bytes: Uint8Array, at: number): number {
    const decoder = this.#decoder!;
    const next = decoder.decode(bytes, at, bytes.byteLength);
    this.#content += decodeLatin1(bytes, next - decoder.pieceBytes, next);
    this.#finishIfComplete();
    return next;
  }

  #finishIfComplete(): void {
    if (!this.#decoder!.isComplete) return;
    const trailers = listFields(this.#decoder!.trailers);
    this.requests.push({ ...this.#request!, content: this.#content, trailers });
    this.#decoder = null;
    this.#request = null;
  }
}
