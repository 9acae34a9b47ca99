/**
 * The ways between bytes and strings that Deno, Bun and Node share: methods of `Buffer` that work on any bytes.
 *
 * They are what `Buffer.prototype.toString` and `write` call. `TextDecoder` knows no ISO 8859-1, and `TextEncoder` writes
 * only to the start of a view, which has to be made first: on Bun that costs more. On Deno it is what `utf8Write` does.
 *
 * @module
 */

import type { Runtime } from "../src/runtime.ts";

/** What is used of `Buffer.prototype`; its documentation leaves these methods out. */
interface BufferMethods {
  latin1Slice(start: number, end: number): string;
  utf8Write(text: string, start: number, maxBytes: number): number;
}

/** Makes them. The global is looked up only here, since on Deno its first use loads it. */
export function bufferCodecs(): Pick<Runtime, "decodeLatin1" | "encodeUtf8"> {
  const { latin1Slice, utf8Write } = Buffer.prototype as unknown as BufferMethods;
  return {
    decodeLatin1: (bytes, start, end) => latin1Slice.call(bytes, start, end),
    encodeUtf8: (text, bytes, start) => utf8Write.call(bytes, text, start, bytes.byteLength - start),
  };
}
