/**
 * What the lazy `Request` is made from: types only.
 *
 * The exchange implements it, on the event loop as on a thread. The Web interfaces know nothing beyond it.
 *
 * @module
 */

import type { FieldSection } from "../http/field_section.ts";

/** The content of a request, which can be taken once: collected or streamed. */
export interface RequestContent {
  /** False when the request has no content (no framing fields, or a length of 0): then `body` is `null`. */
  readonly present: boolean;
  /**
   * Waits for the whole content. The bytes belong to the caller. Rejects with a `TrivetError` when the content does
   * not come whole: too large, too slow, malformed, or the peer is gone. Taken once; a second take is the caller's bug.
   */
  collect(): Promise<Uint8Array<ArrayBuffer>>;
  /** The content as a byte stream, which errors with the same errors. Cancelling discards the rest. Taken once. */
  stream(): ReadableStream<Uint8Array<ArrayBuffer>>;
}

/** One request, before it is a `Request`. */
export interface RequestSource {
  /** The method, case-sensitive. */
  readonly method: string;
  /** The field lines of the header section. */
  readonly fields: FieldSection;
  /** The content. */
  readonly content: RequestContent;
  /** The target URI, in the form in which the URL Standard serializes it (RFC 9110 section 7.1). */
  url(): string;
  /** Aborts if and only if the response could not be delivered. Made at the first call. */
  signal(): AbortSignal;
}
