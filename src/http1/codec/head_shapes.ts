/**
 * Heads that come again: the bytes of a status and its field lines, up to the digits of Content-Length.
 *
 * It decides which heads are kept. A handler answers with few different ones, or with one that differs each time; the
 * first are worth keeping and the second must not push them out. So a head is kept when it is seen the second time, in
 * a set of two places, of which one is for what has proven itself. It must not know how the content is sent.
 *
 * @module
 */

import { isContentless, reasonPhrase } from "../../http/status.ts";

/** Sets of two places; a power of two. */
const SETS = 32;
/** Names and values of a head that is kept; longer ones are rare, and comparing them costs as much as making them. */
const MAX_STRINGS = 32;
/** Chars of a value that is kept. */
const MAX_VALUE_CHARS = 1024;

const NO_FIELDS: readonly string[] = [];
const encoder = new TextEncoder();

/** Fields that are not sent as the handler gave them, or in whose place the server says something. */
const NOT_AS_GIVEN: ReadonlySet<string> = new Set([
  "connection",
  "content-length",
  "date",
  "keep-alive",
  "proxy-connection",
  "transfer-encoding",
  "upgrade",
]);

/** When so many heads in a row were not seen before, those of this handler are taken to differ each time. */
const MAX_MISSES = 256;
/** Then only one head in so many is looked for, so that the others cost nothing. */
const LOOKED_FOR = 16;

/** The heads of one server. */
export class HeadShapes {
  readonly #proven: (HeadShape | null)[] = new Array(SETS).fill(null);
  /** Heads that were seen once, or have lost their place to another: the status, the fields, and the shape if any. */
  readonly #seenStatus = new Int32Array(SETS);
  readonly #seenFields: (readonly string[])[] = new Array(SETS).fill(NO_FIELDS);
  readonly #seen: (HeadShape | null)[] = new Array(SETS).fill(null);
  #misses = 0;

  /**
   * The head of a response with content, up to the digits of its Content-Length; behind them come two line ends. `null`
   * when it was not seen before, or the fields are not all sent as they are.
   *
   * @param fields As the handler gave them: names in lower case, names and values checked.
   * @param dateLine The line of the Date field.
   */
  startOf(status: number, fields: readonly string[], dateLine: string): Uint8Array | null {
    if (this.#misses >= MAX_MISSES && ++this.#misses % LOOKED_FOR !== 0) return null;
    const length = fields.length;
    let hash = status + length;
    // The lengths of values tell most heads apart, and cost no look at them.
    for (let i = 1; i < length; i += 2) hash = (hash * 31 + fields[i].length) | 0;
    const set = (hash ^ (hash >>> 7)) & (SETS - 1);
    const proven = this.#proven[set];
    if (proven !== null && proven.status === status && areSame(proven.fields, fields)) {
      this.#misses = 0;
      return proven.start(dateLine);
    }
    if (this.#seenStatus[set] === status && areSame(this.#seenFields[set], fields)) {
      this.#misses = 0;
      return this.#prove(set).start(dateLine);
    }
    this.#misses++;
    if (length > MAX_STRINGS) return null;
    this.#seenStatus[set] = status;
    this.#seenFields[set] = fields;
    this.#seen[set] = null;
    return null;
  }

  /** Lets what was seen last and what had proven itself change places. */
  #prove(set: number): HeadShape {
    const shape = this.#seen[set] ?? new HeadShape(this.#seenStatus[set], this.#seenFields[set]);
    const before = this.#proven[set];
    this.#proven[set] = shape;
    this.#seen[set] = before;
    this.#seenStatus[set] = before === null ? 0 : before.status;
    this.#seenFields[set] = before === null ? NO_FIELDS : before.fields;
    return shape;
  }
}

/** A status and fields, and their bytes once they were asked for. */
class HeadShape {
  readonly status: number;
  readonly fields: readonly string[];
  #dateLine = "";
  /** `null` for a head that is not the same each time. */
  #bytes: Uint8Array | null = null;

  constructor(status: number, fields: readonly string[]) {
    this.status = status;
    this.fields = fields;
  }

  start(dateLine: string): Uint8Array | null {
    if (this.#dateLine === dateLine) return this.#bytes;
    this.#dateLine = dateLine;
    return this.#bytes = this.#isKept() ? this.#encode(dateLine) : null;
  }

  #isKept(): boolean {
    const { status, fields } = this;
    if (status < 200 || isContentless(status)) return false;
    for (let i = 0; i < fields.length; i += 2) {
      if (NOT_AS_GIVEN.has(fields[i]) || fields[i + 1].length > MAX_VALUE_CHARS || !isAscii(fields[i + 1])) {
        return false;
      }
    }
    return true;
  }

  #encode(dateLine: string): Uint8Array {
    const { fields } = this;
    let lines = standardStatusLine(this.status);
    for (let i = 0; i < fields.length; i += 2) lines += `${fields[i]}: ${fields[i + 1]}\r\n`;
    return encoder.encode(`${lines}${dateLine}Content-Length: `);
  }
}

/** Made when they are first used, of at most 500 status codes. */
const STANDARD_STATUS_LINES: Record<number, string> = {};

/** `status-line = HTTP-version SP status-code SP [ reason-phrase ]` (RFC 9112 section 4), and its CRLF. */
export function statusLine(status: number, phrase: string): string {
  return `HTTP/1.1 ${status} ${phrase}\r\n`;
}

/**
 * With the standard reason phrase. One string each, since one put together anew would be flattened for each response.
 */
export function standardStatusLine(status: number): string {
  return STANDARD_STATUS_LINES[status] ??= statusLine(status, reasonPhrase(status));
}

function areSame(a: readonly string[], b: readonly string[]): boolean {
  if (a === b) return true;
  const { length } = a;
  if (length !== b.length) return false;
  for (let i = 0; i < length; i++) {
    if (a[i] !== b[i]) return false;
  }
  return true;
}

/** Whether text has only ASCII: field values may have obs-text (RFC 9110 section 5.5). */
function isAscii(text: string): boolean {
  for (let i = 0; i < text.length; i++) {
    if (text.charCodeAt(i) > 0x7f) return false;
  }
  return true;
}
