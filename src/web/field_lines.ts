/**
 * Field lines as a handler writes them: checked, normalised, and kept in one flat list.
 *
 * It decides which names and values can be sent and in which order lines stand: sorted by name, in lower case, lines of
 * one name combined, as the Fetch standard's "sort and combine" does. So a response made by either class gives the same
 * bytes. It must not know how lines are sent.
 *
 * @module
 */

import { TrivetError } from "../api/errors.ts";
import { CLASSES, FIELD_VALUE, TOKEN } from "../http/grammar.ts";

/** Name, value, name, value. A list that was handed out is never changed again, so lists can be shared. */
export type FieldLines = readonly string[];

/** The list without a line, shared. */
export const NO_FIELD_LINES: FieldLines = [];

/**
 * The name in lower case, or `undefined` when it is not a token.
 *
 * `field-name = token = 1*tchar` (RFC 9110 sections 5.1 and 5.6.2)
 */
export function normalizeFieldName(name: string): string | undefined {
  const length = name.length;
  if (length === 0) return undefined;
  let i = 0;
  // Nearly all names are written in lower-case letters and hyphens: compares are faster than the table.
  for (; i < length; i++) {
    const charCode = name.charCodeAt(i);
    if ((charCode < 0x61 || charCode > 0x7a) && charCode !== 0x2d) break;
  }
  let hasUpperCase = false;
  for (; i < length; i++) {
    const charCode = name.charCodeAt(i);
    if (charCode > 0xff || (CLASSES[charCode] & TOKEN) === 0) return undefined;
    if (charCode >= 0x41 && charCode <= 0x5a) hasUpperCase = true;
  }
  return hasUpperCase ? name.toLowerCase() : name;
}

/**
 * The value without the white space around it, or `undefined` when it holds a char that cannot be sent.
 *
 * `field-value = *( field-vchar / SP / HTAB )` (RFC 9110 section 5.5). The global `Headers` refuses
 * NUL, CR and LF only; any other control char is refused here as well, in requests and responses
 * alike. CR and LF count as white space at the ends, where the Fetch standard removes them.
 */
export function normalizeFieldValue(value: string): string | undefined {
  let end = value.length;
  if (end === 0) return value;
  let start = 0;
  if (value.charCodeAt(0) <= 0x20 || value.charCodeAt(end - 1) <= 0x20) {
    while (start < end && isHttpWhiteSpace(value.charCodeAt(start))) start++;
    while (end > start && isHttpWhiteSpace(value.charCodeAt(end - 1))) end--;
    value = value.slice(start, end);
    end = value.length;
  }
  for (let i = 0; i < end; i++) {
    const charCode = value.charCodeAt(i);
    // Printable ASCII; compares are faster than the table.
    if (charCode >= 0x20 && charCode <= 0x7e) continue;
    if (charCode > 0xff || (CLASSES[charCode] & FIELD_VALUE) === 0) return undefined;
  }
  return value;
}

/**
 * Inserts a line into a sorted list. A line of a name that is there already is combined with it, in order and with a
 * comma (RFC 9110 section 5.3); only Set-Cookie keeps a line of its own (RFC 6265 section 3).
 */
export function insertFieldLine(lines: string[], name: string, value: string): void {
  let at = lines.length;
  while (at > 0 && lines[at - 2] > name) at -= 2;
  if (at === lines.length) {
    if (at === 0 || lines[at - 2] !== name || name === "set-cookie") lines.push(name, value);
    else lines[at - 1] += ", " + value;
  } else if (at > 0 && lines[at - 2] === name && name !== "set-cookie") {
    lines[at - 1] += ", " + value;
  } else {
    lines.splice(at, 0, name, value);
  }
}

/** Whether a list has a line of this name, which must be in lower case. */
export function hasFieldLine(lines: FieldLines, name: string): boolean {
  for (let i = 0; i < lines.length; i += 2) {
    if (lines[i] === name) return true;
  }
  return false;
}

/** How a `Headers` is walked, captured at the first one: Node loads all of its fetch when the name is read. */
let walkOfHeaders: Pick<Headers, "forEach" | typeof Symbol.iterator> | undefined;

/** Whether `forEach` walks it as its iterator does, which costs Deno five times as much. */
function isPlainHeaders(headers: Iterable<unknown>): headers is Headers {
  if (Array.isArray(headers)) return false;
  if (walkOfHeaders === undefined) {
    const { forEach, [Symbol.iterator]: iterate } = Headers.prototype;
    walkOfHeaders = { forEach, [Symbol.iterator]: iterate };
  }
  return headers[Symbol.iterator] === walkOfHeaders[Symbol.iterator];
}

/** The lines of what `new Headers()` takes. Throws a `TypeError` when one cannot be sent. */
export function toFieldLines(headers: HeadersInit): FieldLines {
  if (typeof headers !== "object" || headers === null) {
    const got = headers === null ? "null" : typeof headers;
    throw new TypeError(`The headers are ${got}, expected an object, an array of pairs or a Headers.`);
  }
  const lines: string[] = [];
  if (!(Symbol.iterator in headers)) {
    for (const name in headers) {
      if (Object.hasOwn(headers, name)) addFieldLine(lines, name, headers[name]);
    }
  } else if (isPlainHeaders(headers)) {
    walkOfHeaders!.forEach.call(headers, (value, name) => addFieldLine(lines, name, value));
  } else {
    for (const pair of headers) {
      if (pair.length !== 2) {
        throw new TypeError(`An element of the headers has ${pair.length} parts, expected a name and a value.`);
      }
      addFieldLine(lines, pair[0], pair[1]);
    }
  }
  return lines;
}

function addFieldLine(lines: string[], givenName: string, givenValue: string): void {
  const name = normalizeFieldName(typeof givenName === "string" ? givenName : String(givenName));
  if (name === undefined) throw invalidName(givenName);
  const value = normalizeFieldValue(typeof givenValue === "string" ? givenValue : String(givenValue));
  if (value === undefined) throw new TypeError(`The value of the header "${name}" has a char that can't be sent.`);
  insertFieldLine(lines, name, value);
}

/** The error of a name that is none. */
export function invalidName(name: unknown): TypeError {
  return new TypeError(
    `The header name ${JSON.stringify(String(name).slice(0, 100))} is no token (RFC 9110 section 5.1).`,
  );
}

/** What gives a value and a name at a time, as a `Headers` does. */
export interface FieldSource {
  forEach(callback: (value: string, name: string) => void): void;
}

/**
 * The lines of a `Headers` or of what has its interface. Throws `response-field-invalid` when a line cannot be sent.
 *
 * They are sorted again: one runtime's `Headers` gives Set-Cookie last. `forEach` for the reason
 * that `isPlainHeaders` has.
 */
export function readFieldLines(headers: FieldSource): FieldLines {
  const lines: string[] = [];
  headers.forEach((givenValue, givenName) => {
    const name = normalizeFieldName(givenName);
    if (name === undefined) {
      throw new TrivetError("response-field-invalid", invalidName(givenName).message);
    }
    const value = normalizeFieldValue(givenValue);
    if (value === undefined) {
      throw new TrivetError(
        "response-field-invalid",
        `The value of the response's header "${name}" has a char that can't be sent.`,
      );
    }
    insertFieldLine(lines, name, value);
  });
  return lines;
}

/** "HTTP whitespace byte" of the Fetch standard. */
function isHttpWhiteSpace(charCode: number): boolean {
  return charCode === 0x20 || charCode === 0x09 || charCode === 0x0a || charCode === 0x0d;
}
