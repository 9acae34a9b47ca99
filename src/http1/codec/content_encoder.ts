/**
 * The content of a response, put into its framing.
 *
 * It decides what stands around each piece of content and checks the pieces against the length that was promised. It
 * must not know where the pieces come from or go to.
 *
 * @module
 */

import { contentLengthMismatch, RESPONSE_CHUNKED, type ResponseFraming } from "./response_head.ts";

/** Where the encoder writes. */
export interface EncodedContentSink {
  /** Text whose char codes are its bytes: framing. */
  appendLatin1(text: string): void;
  /** A piece of content. With `onLeft` it is lent, until that is called. */
  appendBytes(bytes: Uint8Array, onLeft?: (() => void) | null): void;
}

/** Encodes the content of one response. */
export class ContentEncoder {
  readonly #framing: ResponseFraming;
  #contentBytes = 0;

  /** @param framing How the content is delimited. */
  constructor(framing: ResponseFraming) {
    this.#framing = framing;
  }

  /**
   * Writes a piece. An empty one is left out: as a chunk it would end the message.
   *
   * @param onLeft Given where the piece is lent: told once it is not looked at any more. Not called where this throws.
   * @throws {TrivetError} `response-content-length-mismatch` when the piece goes beyond the length that was promised;
   * nothing of it is written then.
   */
  encode(bytes: Uint8Array, sink: EncodedContentSink, onLeft: (() => void) | null = null): void {
    if (bytes.byteLength === 0) return;
    this.#contentBytes += bytes.byteLength;
    if (this.#framing === RESPONSE_CHUNKED) {
      // chunk = chunk-size CRLF chunk-data CRLF
      sink.appendLatin1(`${bytes.byteLength.toString(16)}\r\n`);
      sink.appendBytes(bytes, onLeft);
      sink.appendLatin1("\r\n");
      return;
    }
    if (this.#framing >= 0 && this.#contentBytes > this.#framing) {
      throw contentLengthMismatch(this.#framing, `at least ${this.#contentBytes} bytes`);
    }
    sink.appendBytes(bytes, onLeft);
  }

  /**
   * Writes what ends the content.
   *
   * @param trailerLines The trailer section of a chunked message: complete field lines, or empty.
   * @throws {TrivetError} `response-content-length-mismatch` when less was written than promised.
   */
  finish(trailerLines: string, sink: EncodedContentSink): void {
    if (this.#framing === RESPONSE_CHUNKED) {
      sink.appendLatin1(`0\r\n${trailerLines}\r\n`);
    } else if (this.#framing >= 0 && this.#contentBytes !== this.#framing) {
      throw contentLengthMismatch(this.#framing, `${this.#contentBytes} bytes`);
    }
  }
}
