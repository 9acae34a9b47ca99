/**
 * Whole content as the fields of a form.
 *
 * It decides what a form is, strictly and in place of the runtimes, none two of which read the same form: one makes
 * text of an upload whose file name stands without quotation marks, one takes a form that was cut off for an empty one.
 * What two readers could take for different forms is refused. It must not know requests and responses.
 *
 *     multipart-body    = [ preamble CRLF ] dash-boundary padding CRLF part *( CRLF dash-boundary padding CRLF part )
 *                         CRLF dash-boundary "--" padding [ CRLF epilogue ]
 *     dash-boundary     = "--" boundary
 *     part              = *( field-line CRLF ) CRLF *OCTET
 *
 * as in RFC 2046 section 5.1.1, but for field lines, which are those of HTTP and not folded.
 *
 * @module
 */

import { CR, HTAB, isToken, LF, SP } from "../http/grammar.ts";
import { trimOws } from "../http/token_list.ts";
import type { Bytes } from "./native_body.ts";

const HYPHEN = 0x2d;
/** `boundary = 0*69<bchars> bcharsnospace` (RFC 2046 section 5.1.1). */
const BOUNDARY = /^[0-9A-Za-z'()+_,\-./:=? ]{0,69}[0-9A-Za-z'()+_,\-./:=?]$/;
/** `OWS ";" OWS [ parameter-name "=" ( token / quoted-string ) ]` (RFC 9110 section 5.6.6), one after another. */
const PARAMETER = /[ \t]*;[ \t]*(?:([!#$%&'*+\-.^_`|~0-9A-Za-z]+)=(?:([!#$%&'*+\-.^_`|~0-9A-Za-z]+)|"([^"]*)"))?/y;
/** `charset "'" [ language ] "'" value-chars` (RFC 8187 section 3.2.1), of the one charset that it asks for. */
const EXTENDED_VALUE = /^utf-8'[0-9a-z-]*'((?:[!#$&+\-.^_`|~0-9a-z]|%[0-9a-f]{2})*)$/i;
/** What no field value has (RFC 9110 section 5.5). */
// deno-lint-ignore no-control-regex -- it is control characters that are looked for
const CONTROL_CHARACTER = /[\0-\x08\x0a-\x1f\x7f]/;
/** Codings in which content is what it is (RFC 2045 section 6.2). */
const IDENTITY_CODINGS: ReadonlySet<string> = new Set(["7bit", "8bit", "binary"]);

/** A byte order mark is content, as everywhere where the Fetch Standard decodes "without BOM". */
const UTF8_DECODER = new TextDecoder("utf-8", { ignoreBOM: true });
const UTF8_ENCODER = new TextEncoder();

/**
 * Parses a form.
 *
 * @param contentType The value of Content-Type, or `null` where there is none.
 * @throws {TypeError} When that names no form, or the content is none.
 */
export function parseFormData(content: Bytes, contentType: string | null): FormData {
  const semicolon = contentType?.indexOf(";") ?? -1;
  const mediaType = trimOws(semicolon < 0 ? contentType ?? "" : contentType!.slice(0, semicolon)).toLowerCase();
  if (mediaType === "application/x-www-form-urlencoded") return parseUrlEncoded(content);
  if (mediaType !== "multipart/form-data") {
    throw new TypeError(
      `The Content-Type is ${
        contentType === null ? "missing" : JSON.stringify(mediaType)
      }; a form is application/x-www-form-urlencoded` +
        " or multipart/form-data.",
    );
  }
  const parameters = semicolon < 0 ? NO_PARAMETERS : parseParameters(contentType!, semicolon);
  const boundary = parameters?.get("boundary");
  if (boundary === undefined || !BOUNDARY.test(boundary)) {
    throw new TypeError(
      "The Content-Type of the form names no boundary of 1 to 70 characters (RFC 2046 section 5.1.1).",
    );
  }
  return new MultipartForm(content, boundary).parse();
}

/** As the URL Standard parses it (section 5.1); a leading "?" is content, which `URLSearchParams` would leave out. */
function parseUrlEncoded(content: Bytes): FormData {
  const form = new FormData();
  for (const [name, value] of new URLSearchParams(`&${UTF8_DECODER.decode(content)}`)) form.append(name, value);
  return form;
}

const NO_PARAMETERS: ReadonlyMap<string, string> = new Map();

/**
 * The parameters in a text from a place on, by their names in lower case; `null` when it is not all parameters, or one
 * has two values. Half of all clients mean an escape by a backslash before a quotation mark, and half the end of the
 * value.
 */
function parseParameters(text: string, start: number): ReadonlyMap<string, string> | null {
  const parameters = new Map<string, string>();
  let end = start;
  PARAMETER.lastIndex = start;
  for (let match = PARAMETER.exec(text); match !== null; match = PARAMETER.exec(text)) {
    end = PARAMETER.lastIndex;
    const [, name, token, quoted] = match;
    if (name === undefined) continue;
    const lowerCaseName = name.toLowerCase();
    if (parameters.has(lowerCaseName) || quoted?.endsWith("\\")) return null;
    parameters.set(lowerCaseName, token ?? quoted);
  }
  return trimOws(text.slice(end)) === "" ? parameters : null;
}

/** One form, while it is parsed. */
class MultipartForm {
  readonly #content: Bytes;
  /** What stands before each part but the first: CRLF and the dash-boundary. */
  readonly #delimiter: Uint8Array;
  readonly #form = new FormData();

  constructor(content: Bytes, boundary: string) {
    this.#content = content;
    this.#delimiter = UTF8_ENCODER.encode(`\r\n--${boundary}`);
  }

  parse(): FormData {
    // Without a preamble the first delimiter has no line end before it.
    const isFirst = startsWith(this.#content, this.#delimiter, 2, 0);
    let delimiterEnd = isFirst ? this.#delimiter.byteLength - 2 : this.#endOfDelimiter(this.#find(0));
    for (;;) {
      const partStart = this.#leaveDelimiter(delimiterEnd);
      if (partStart === null) return this.#form;
      const partEnd = this.#find(partStart);
      delimiterEnd = this.#endOfDelimiter(partEnd);
      this.#takePart(partStart, partEnd);
    }
  }

  /**
   * Where the next delimiter begins. A carriage return stands nowhere in it but at its beginning: the search is linear.
   */
  #find(start: number): number {
    const content = this.#content;
    const last = content.byteLength - this.#delimiter.byteLength;
    for (let at = start; at <= last; at++) {
      if (content[at] === CR && startsWith(content, this.#delimiter, 1, at + 1)) return at;
    }
    throw invalid("it ends before its last boundary");
  }

  #endOfDelimiter(start: number): number {
    return start + this.#delimiter.byteLength;
  }

  /** The start of the part behind a delimiter; `null` behind the last. */
  #leaveDelimiter(delimiterEnd: number): number | null {
    const content = this.#content;
    const isLast = content[delimiterEnd] === HYPHEN && content[delimiterEnd + 1] === HYPHEN;
    let at = isLast ? delimiterEnd + 2 : delimiterEnd;
    while (content[at] === SP || content[at] === HTAB) at++;
    if (isLast && at === content.byteLength) return null;
    // RFC 2046 section 5.1.1: a line that begins with the boundary is a delimiter, and must not appear in a part.
    if (content[at] !== CR || content[at + 1] !== LF) throw invalid("a line begins with the boundary and goes on");
    return isLast ? null : at + 2;
  }

  #takePart(start: number, end: number): void {
    const headEnd = endOfHead(this.#content, start, end);
    const { disposition, contentType } = readHead(UTF8_DECODER.decode(this.#content.subarray(start, headEnd)));
    const { name, fileName } = readDisposition(disposition);
    const bytes = this.#content.subarray(headEnd + 4, end);
    if (fileName === null) this.#form.append(name, UTF8_DECODER.decode(bytes));
    // RFC 7578 section 4.4: text/plain is the default.
    else this.#form.append(name, new File([bytes], fileName, { type: contentType ?? "text/plain" }));
  }
}

/** Whether bytes stand in others, both from a place on. */
function startsWith(bytes: Uint8Array, expected: Uint8Array, from: number, at: number): boolean {
  for (let i = from; i < expected.byteLength; i++, at++) {
    if (bytes[at] !== expected[i]) return false;
  }
  return true;
}

/** Where the empty line stands behind the field lines of a part. */
function endOfHead(bytes: Uint8Array, start: number, end: number): number {
  for (let at = start; at + 4 <= end; at++) {
    if (bytes[at] === CR && bytes[at + 1] === LF && bytes[at + 2] === CR && bytes[at + 3] === LF) return at;
  }
  throw invalid("a part has no empty line behind its fields");
}

/** What the field lines of a part say. */
interface PartHead {
  readonly disposition: string;
  readonly contentType: string | null;
}

function readHead(head: string): PartHead {
  const fields = new Map<string, string>();
  for (const line of head.split("\r\n")) {
    const colon = line.indexOf(":");
    const name = line.slice(0, Math.max(0, colon)).toLowerCase();
    if (!isToken(name) || CONTROL_CHARACTER.test(line)) throw invalid("a part has a field line that is not valid");
    if (fields.has(name)) throw invalid("a part has a field twice");
    fields.set(name, trimOws(line.slice(colon + 1)));
  }
  const coding = fields.get("content-transfer-encoding");
  // RFC 7578 section 4.7: it is not to be used, and readers that decode get other content than those that don't.
  if (coding !== undefined && !IDENTITY_CODINGS.has(coding.toLowerCase())) {
    throw invalid("a part has a Content-Transfer-Encoding that would have to be decoded");
  }
  const disposition = fields.get("content-disposition");
  if (disposition === undefined) throw invalid("a part has no Content-Disposition");
  return { disposition, contentType: fields.get("content-type") ?? null };
}

/** `Content-Disposition = "form-data" parameters`, with the parameters `name` and, for a file, `filename`. */
function readDisposition(disposition: string): { name: string; fileName: string | null } {
  const type = /^form-data(?=[ \t;])/i.exec(disposition)?.[0];
  const parameters = type === undefined ? null : parseParameters(disposition, type.length);
  const name = parameters?.get("name");
  if (name === undefined) throw invalid("a part has a Content-Disposition that is not form-data with a name");
  const fileName = parameters!.get("filename");
  const extended = parameters!.get("filename*");
  if (extended !== undefined) return { name: unescaped(name), fileName: decodeExtended(extended) };
  return { name: unescaped(name), fileName: fileName === undefined ? null : unescaped(fileName) };
}

/** Line ends and quotation marks are escaped in this way (HTML section 4.10.21.8), and nothing else is. */
function unescaped(value: string): string {
  return value.replace(/%(?:0D|0A|22)/gi, (escape) => String.fromCharCode(Number.parseInt(escape.slice(1), 16)));
}

/**
 * RFC 7578 section 4.2 forbids `filename*`, and .NET sends it beside a `filename`, which is in a code of its own then
 * (RFC 2047): so it is what counts, as RFC 6266 section 4.3 has it.
 */
function decodeExtended(value: string): string {
  const encoded = EXTENDED_VALUE.exec(value)?.[1];
  try {
    if (encoded !== undefined) return decodeURIComponent(encoded);
  } catch {
    // It is not UTF-8.
  }
  throw invalid("a part has a filename* that is not valid");
}

function invalid(problem: string): TypeError {
  return new TypeError(`The content is not valid multipart/form-data: ${problem}.`);
}
