/**
 * What the connection serializes: a response in parts. Types only.
 *
 * @module
 */

/** Content the server can send: known whole, streamed, or none. */
export type ResponseContent = string | Uint8Array | ReadableStream<Uint8Array> | null;

/** A final response, taken out of a `Response` of either kind. */
export interface ResponseSource {
  /** The status code, 101 or 200 to 599. */
  readonly status: number;
  /** The reason phrase the handler gave; empty for the standard one. Valid (RFC 9112 section 4: reason-phrase). */
  readonly statusText: string;
  /** Name, value, name, value: the field lines in order. Names are tokens and values are checked already. */
  readonly fields: readonly string[];
  /** The content. A string is sent as UTF-8. */
  readonly content: ResponseContent;
  /** The bytes a stream will give, where that is known before it is read. */
  readonly streamBytes: number | null;
  /** Whether content in one piece is bytes to whose memory nothing else refers. */
  readonly ownsContent?: boolean;
  /** Whether the stream comes from another thread, where all that could be had of it at once did not end it. */
  readonly isUnderWay?: boolean;
}
