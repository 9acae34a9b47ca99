/**
 * The content of a request, taken out of its framing.
 *
 * A decoder decides which bytes are content and where the message ends. It keeps no content: it hands each piece to a
 * sink as a view. It must not know who reads the content or how fast.
 *
 * @module
 */

import { EMPTY_FIELD_SECTION, type FieldSection } from "../../http/field_section.ts";
import { ChunkedDecoder } from "./chunked_decoder.ts";
import type { FieldSectionLimits } from "./field_section_parser.ts";
import { CHUNKED, contentTooLarge, type RequestFraming } from "./framing.ts";

/** Takes the pieces of the content, in order. */
export interface ContentSink {
  /** A piece, never empty; the view is valid until return. */
  onContent(bytes: Uint8Array, start: number, end: number): void;
}

/** Bounds of the content of one request. */
export interface ContentLimits extends FieldSectionLimits {
  /** Bytes of content, without framing. */
  readonly maxContentBytes: number;
}

/** Decodes the content of one request, fed in pieces of any size. */
export interface ContentDecoder {
  /** Whether the whole message was taken, trailer section and all. */
  readonly isComplete: boolean;
  /** Bytes of content still to come if that is known, else `null`. */
  readonly remainingBytes: number | null;
  /** The trailer section, once complete. */
  readonly trailers: FieldSection;
  /**
   * Takes what it can from the bytes between `start` and `end`.
   *
   * @returns The first position not taken: the caller keeps the bytes from there on for the next call, or for the next
   * request when the message is complete.
   * @throws {TrivetError} With the blame "peer"; then nothing behind `start` can be trusted.
   */
  decode(bytes: Uint8Array, start: number, end: number, sink: ContentSink): number;
}

/**
 * Makes the decoder of a request's content.
 *
 * @throws {TrivetError} `content-too-large` when the framing says so already.
 */
export function createContentDecoder(
  framing: RequestFraming,
  limits: ContentLimits,
  decodeLatin1: (bytes: Uint8Array, start: number, end: number) => string,
): ContentDecoder {
  if (framing === CHUNKED) return new ChunkedDecoder(limits, decodeLatin1);
  if (framing > limits.maxContentBytes) throw contentTooLarge(limits.maxContentBytes);
  return new LengthDecoder(framing);
}

/** Content of a length that Content-Length said (RFC 9112 section 6.3, item 6). */
class LengthDecoder implements ContentDecoder {
  readonly trailers = EMPTY_FIELD_SECTION;
  remainingBytes: number;

  constructor(lengthBytes: number) {
    this.remainingBytes = lengthBytes;
  }

  get isComplete(): boolean {
    return this.remainingBytes === 0;
  }

  decode(bytes: Uint8Array, start: number, end: number, sink: ContentSink): number {
    const takenBytes = Math.min(end - start, this.remainingBytes);
    this.remainingBytes -= takenBytes;
    if (takenBytes > 0) sink.onContent(bytes, start, start + takenBytes);
    return start + takenBytes;
  }
}
