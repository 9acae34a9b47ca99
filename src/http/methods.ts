/**
 * The methods that have names of their own where requests are counted: those of RFC 9110 section 9 and PATCH (RFC
 * 5789).
 *
 * A client may send any token as a method, and what has a name is kept; so all others share one.
 *
 * @module
 */

/** The name of all other methods, as OpenTelemetry's conventions have it. */
export const OTHER_METHOD = "_OTHER";

/** Every name under which requests are counted. */
export const METHOD_NAMES: readonly string[] = [
  "GET",
  "HEAD",
  "POST",
  "PUT",
  "DELETE",
  "CONNECT",
  "OPTIONS",
  "TRACE",
  "PATCH",
  OTHER_METHOD,
];

/** The place of a method in {@linkcode METHOD_NAMES}. */
export function placeOfMethod(method: string): number {
  const place = METHOD_NAMES.indexOf(method);
  return place < 0 ? METHOD_NAMES.length - 1 : place;
}
