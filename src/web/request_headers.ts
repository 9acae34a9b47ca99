/**
 * The header section of a request as `Headers`.
 *
 * It decides when a global `Headers` is made: at the first call that is not `get` or `has`. It must not know where the
 * field section came from.
 *
 * @module
 */

import type { FieldSection } from "../http/field_section.ts";
import { invalidName, normalizeFieldName } from "./field_lines.ts";
import { defineInspection, forwardMissing, forwardState, linkPrototype } from "./prototype_link.ts";

/**
 * The `Headers` of a request, read straight from the field section.
 *
 * Values of one name are combined in order with a comma and a space (RFC 9110 section 5.3), those of Cookie with a
 * semicolon and a space. It may be changed; the changes stay with this object.
 */
export class RequestHeaders implements Headers {
  readonly #fields: FieldSection;
  /** Made at first need; from then on every call goes to it, so that changes are seen by all of them. */
  #native: Headers | null = null;

  /** @param fields The field section, which must not hold a name or value that a `Headers` refuses. */
  constructor(fields: FieldSection) {
    this.#fields = fields;
  }

  /** The combined value of a field, or `null`. Throws a `TypeError` when the name is not a token. */
  get(name: string): string | null {
    if (this.#native !== null) return this.#native.get(name);
    return this.#fields.get(lowerCaseName(name));
  }

  /** Whether there is a field of this name. Throws a `TypeError` when the name is not a token. */
  has(name: string): boolean {
    if (this.#native !== null) return this.#native.has(name);
    return this.#fields.has(lowerCaseName(name));
  }

  /** Replaces a field. */
  set(name: string, value: string): void {
    this.#toNative().set(name, value);
  }

  /** Adds a value to a field. */
  append(name: string, value: string): void {
    this.#toNative().append(name, value);
  }

  /** Removes a field. */
  delete(name: string): void {
    this.#toNative().delete(name);
  }

  /** The values of Set-Cookie, which a request should not have. */
  getSetCookie(): string[] {
    return this.#toNative().getSetCookie();
  }

  /** Calls back with each value and name, in the order of the names. */
  forEach(callback: (value: string, name: string, headers: this) => void, thisArgument?: unknown): void {
    for (const [name, value] of this) callback.call(thisArgument, value, name, this);
  }

  /** Names and combined values, in the order of the names. */
  entries(): ReturnType<Headers["entries"]> {
    return this.#native === null ? combinedLines(this.#fields)[Symbol.iterator]() : this.#native.entries();
  }

  /** The names, in order. */
  keys(): ReturnType<Headers["keys"]> {
    if (this.#native !== null) return this.#native.keys();
    return combinedLines(this.#fields).map(([name]) => name)[Symbol.iterator]();
  }

  /** The combined values, in the order of the names. */
  values(): ReturnType<Headers["values"]> {
    if (this.#native !== null) return this.#native.values();
    return combinedLines(this.#fields).map(([, value]) => value)[Symbol.iterator]();
  }

  /** The same as {@linkcode RequestHeaders.entries}. */
  [Symbol.iterator](): ReturnType<Headers["entries"]> {
    return this.entries();
  }

  #toNative(): Headers {
    return this.#native ??= toNativeHeaders(this.#fields);
  }

  /** Reads and changes `native` from now on, which must hold the same fields. */
  static share(headers: RequestHeaders, native: Headers): void {
    headers.#native = native;
  }

  static #linked = false;

  /** Makes objects of this class pass `instanceof Headers`. Later calls do nothing. */
  static link(): void {
    if (RequestHeaders.#linked) return;
    RequestHeaders.#linked = true;
    const toNative = (headers: RequestHeaders) => headers.#toNative();
    linkPrototype(RequestHeaders, Headers);
    forwardMissing(RequestHeaders, Headers, toNative);
    defineInspection(RequestHeaders, toNative);
    forwardState(RequestHeaders, new Headers(), toNative);
  }
}

/** A global `Headers` with the lines of a field section. */
function toNativeHeaders(fields: FieldSection): Headers {
  const headers = new Headers();
  const count = fields.count;
  for (let i = 0; i < count; i++) {
    // Not every runtime joins Cookie lines with a semicolon, so they are joined before.
    if (!fields.isNamed(i, "cookie")) headers.append(fields.nameAt(i), fields.valueAt(i));
    else if (!headers.has("cookie")) headers.set("cookie", fields.get("cookie") ?? "");
  }
  return headers;
}

/**
 * The fields as `Headers` iterates them: names in lower case and in order, values combined. A `Headers` is not made for
 * that: on Deno each line that is added to one costs as much as there are lines in it.
 */
function combinedLines(fields: FieldSection): [string, string][] {
  const lines: [string, string][] = [];
  for (let i = 0; i < fields.count; i++) lines.push([fields.nameAt(i).toLowerCase(), fields.valueAt(i)]);
  // Lines of one name stay in the order in which they came.
  lines.sort((one, other) => one[0] < other[0] ? -1 : one[0] > other[0] ? 1 : 0);
  let last = 0;
  for (let i = 1; i < lines.length; i++) {
    const [name, value] = lines[i];
    // RFC 9110 section 5.3: these lines alone must not be combined.
    if (name !== lines[last][0] || name === "set-cookie") lines[++last] = lines[i];
    else lines[last][1] += (name === "cookie" ? "; " : ", ") + value;
  }
  if (lines.length > 0) lines.length = last + 1;
  return lines;
}

/** The name as the field section wants it. */
function lowerCaseName(name: string): string {
  const normalized = normalizeFieldName(typeof name === "string" ? name : String(name));
  if (normalized === undefined) throw invalidName(name);
  return normalized;
}
