/**
 * The fields of a response that the handler has fetched and passes on, as a reverse proxy does.
 *
 * It decides which of them still hold: what belongs to the connection it came on does not, and neither does what
 * describes content as it was before `fetch` took it out of its coding. A handler's own response is never touched.
 *
 * @module
 */

import { forEachListElement } from "../http/token_list.ts";
import type { FieldLines } from "./field_lines.ts";

/** Fields of the connection, whether the field Connection names them or not (RFC 9110 section 7.6.1). */
const HOP_BY_HOP: ReadonlySet<string> = new Set([
  "connection",
  "keep-alive",
  "proxy-connection",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
]);

/**
 * The field lines that are passed on.
 *
 * @param lines Those of the fetched response.
 * @param decodes Whether `fetch` has taken content out of the codings that a Content-Encoding names.
 */
export function passedOnLines(lines: FieldLines, decodes: (codings: string) => boolean): FieldLines {
  const named = new Set<string>();
  let isDecoded = false;
  for (let i = 0; i < lines.length; i += 2) {
    if (lines[i] === "connection") forEachListElement(lines[i + 1], (option) => void named.add(option));
    else if (lines[i] === "content-encoding") isDecoded = decodes(lines[i + 1].toLowerCase());
  }
  const passedOn: string[] = [];
  for (let i = 0; i < lines.length; i += 2) {
    const name = lines[i];
    if (HOP_BY_HOP.has(name) || named.has(name)) continue;
    if (isDecoded && (name === "content-encoding" || name === "content-length")) continue;
    passedOn.push(name, lines[i + 1]);
  }
  return passedOn;
}
