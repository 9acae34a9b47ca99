/**
 * The ceiling: what raw TCP allows on a runtime. A fixed response follows every empty line, and nothing is parsed.
 *
 * @module
 */

import { HELLO } from "../handlers.ts";

/** As long as what Trivet answers to "hello". */
const RESPONSE = new TextEncoder().encode(
  "HTTP/1.1 200 OK\r\ncontent-type: text/plain;charset=UTF-8\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\n" +
    `Content-Length: ${HELLO.length}\r\n\r\n${HELLO}`,
);

const CR = 0x0d;
const LF = 0x0a;

/** Finds the empty lines of one connection. */
export class EmptyLineFinder {
  /** How many bytes of CR LF CR LF were seen last. */
  #matched = 0;

  /** Where the next empty line ends that begins at or behind `start`; -1 if none does in these bytes. */
  find(bytes: Uint8Array, start: number): number {
    let matched = this.#matched;
    for (let i = start; i < bytes.length; i++) {
      const byte = bytes[i];
      if (byte === CR) matched = matched === 2 ? 3 : 1;
      else if (byte === LF && (matched === 1 || matched === 3)) matched++;
      else matched = 0;
      if (matched < 4) continue;
      this.#matched = 0;
      return i + 1;
    }
    this.#matched = matched;
    return -1;
  }

  /** The fixed responses to as many empty lines as there are in these bytes, in one piece; `null` for none. */
  answer(bytes: Uint8Array): Uint8Array | null {
    let count = 0;
    for (let at = this.find(bytes, 0); at >= 0; at = this.find(bytes, at)) count++;
    return count === 0 ? null : count === 1 ? RESPONSE : repeated(count);
  }
}

function repeated(count: number): Uint8Array {
  const all = new Uint8Array(count * RESPONSE.byteLength);
  for (let i = 0; i < count; i++) all.set(RESPONSE, i * RESPONSE.byteLength);
  return all;
}
