/**
 * The content of a request, by its framing (RFC 9112 section 6.3).
 *
 * It decides which decoder takes the content. It must not know how the framing was found.
 *
 * @module
 */

import { EMPTY_FIELD_SECTION } from "../../http/field_section.ts";
import { ChunkedDecoder } from "./chunked_decoder.ts";
import type { ContentDecoder, ContentLimits } from "./content_decoder.ts";
import { CHUNKED, contentTooLarge, type RequestFraming } from "./framing.ts";

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
  pieceBytes = 0;

  constructor(lengthBytes: number) {
    this.remainingBytes = lengthBytes;
  }

  get isComplete(): boolean {
    return this.remainingBytes === 0;
  }

  decode(_bytes: Uint8Array, start: number, end: number): number {
    const takenBytes = this.pieceBytes = Math.min(end - start, this.remainingBytes);
    this.remainingBytes -= takenBytes;
    return start + takenBytes;
  }
}
