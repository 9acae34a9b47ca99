/**
 * Conditional requests and ranges of a file (RFC 9110 sections 13 and 14).
 *
 * It decides whether a request is answered with 304 or 412, and with which range. It must not know files.
 *
 * @module
 */

import { parseHttpDate } from "../http/dates.ts";

/** A part of a file: from `start` up to `end`. */
export interface RangeAnswer {
  readonly start: number;
  readonly end: number;
}

/**
 * What the conditions of a request come to, in the order of RFC 9110 section 13.2.2: 304 or 412, or `null` for going
 * on.
 */
export function evaluatePreconditions(request: Request, entityTag: string, changedAtMs: number): 304 | 412 | null {
  const { headers } = request;
  const ifMatch = headers.get("if-match");
  const changedAtSeconds = Math.floor(changedAtMs / 1000);
  if (ifMatch !== null) {
    if (!matches(ifMatch, entityTag, false)) return 412;
  } else {
    const since = parseHttpDate(headers.get("if-unmodified-since"));
    if (since !== null && changedAtSeconds > since / 1000) return 412;
  }
  const ifNoneMatch = headers.get("if-none-match");
  if (ifNoneMatch !== null) return matches(ifNoneMatch, entityTag, true) ? 304 : null;
  const since = parseHttpDate(headers.get("if-modified-since"));
  return since !== null && changedAtSeconds <= since / 1000 ? 304 : null;
}

/**
 * The one range that a request asks for. `null` for the whole file: without the field, for another unit, several
 * ranges, a malformed one, or an If-Range that does not hold (RFC 9110 sections 13.1.5 and 14.2).
 */
export function readRange(
  request: Request,
  byteLength: number,
  entityTag: string,
  changedAtMs: number,
): RangeAnswer | "unsatisfiable" | null {
  const found = /^bytes=(\d*)-(\d*)$/i.exec(request.headers.get("range")?.trim() ?? "");
  if (request.method !== "GET" || found === null || found[0].endsWith("=-")) return null;
  const ifRange = request.headers.get("if-range");
  if (ifRange !== null && ifRange !== entityTag) {
    const since = parseHttpDate(ifRange);
    if (since === null || Math.floor(changedAtMs / 1000) !== since / 1000) return null;
  }
  const [first, last] = [found[1], found[2]].map((digits) => digits === "" ? null : Number(digits));
  // Only a number behind the hyphen: so many bytes from the end.
  if (first === null) {
    if (last === 0 || byteLength === 0) return "unsatisfiable";
    return { start: Math.max(0, byteLength - last!), end: byteLength };
  }
  if (last !== null && last < first) return null;
  if (first >= byteLength) return "unsatisfiable";
  return { start: first, end: Math.min(byteLength, (last ?? byteLength) + 1) };
}

/** Whether a list of entity tags has one; the strong comparison takes no weak ones (RFC 9110 section 8.8.3.2). */
function matches(list: string, entityTag: string, weakly: boolean): boolean {
  if (list.trim() === "*") return true;
  return list.split(",").some((each) => {
    const tag = each.trim();
    return tag === entityTag || (weakly && tag === `W/${entityTag}`);
  });
}
