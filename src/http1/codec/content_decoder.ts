/**
 * What takes the content of a request out of its framing: types only.
 *
 * A decoder decides which bytes are content and where the message ends. It keeps no content: it says which of the bytes
 * it was given are a piece of it. It must not know what reads the content or how fast.
 *
 * @module
 */

import type { FieldSection } from "../../http/field_section.ts";
import type { FieldSectionLimits } from "./field_section_parser.ts";

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
  /** How many of the bytes that were taken last are content: the last ones of them. */
  readonly pieceBytes: number;
  /** The trailer section, once complete. */
  readonly trailers: FieldSection;
  /**
   * Takes what it can from the bytes between `start` and `end`, up to the end of the first piece of content.
   *
   * @returns The first position not taken: the caller keeps the bytes from there on for the next call, or for the next
   * request when the message is complete.
   * @throws {TrivetError} With the blame "peer"; then nothing behind `start` can be trusted.
   */
  decode(bytes: Uint8Array, start: number, end: number): number;
}
