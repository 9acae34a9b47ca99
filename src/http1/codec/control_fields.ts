/**
 * The fields of a request that direct the server itself: routing, framing, persistence, expectation, upgrade.
 *
 * It decides how several lines of such a field are understood together. It must not know what follows from them.
 *
 * @module
 */

import type { FieldSection } from "../../http/field_section.ts";
import { forEachListElement } from "../../http/token_list.ts";
import type { FramingFields } from "./framing.ts";

/** The control fields of one request. */
export class ControlFields implements FramingFields {
  /** The value of the last Host line. */
  host: string | null = null;
  /** How many Host lines there are. */
  hostLines = 0;
  /** The value of the last Content-Length line. */
  contentLength: string | null = null;
  /** How many Content-Length lines there are. */
  contentLengthLines = 0;
  /** The Transfer-Encoding lines, joined. */
  transferEncoding: string | null = null;
  /** Expect has "100-continue". */
  expectsContinue = false;
  /** Expect has something else. */
  expectsMore = false;
  /** The Upgrade lines, joined. */
  upgrade: string | null = null;
  /** Connection has "close". */
  close = false;
  /** Connection has "keep-alive". */
  keepAlive = false;
  /** Connection has "upgrade". */
  upgradeOption = false;
  /** TE has "trailers". */
  acceptsTrailers = false;

  /** @param fields The header section of the request. */
  constructor(fields: FieldSection) {
    for (let i = 0, count = fields.count; i < count; i++) this.#read(fields, i);
  }

  /** Reads one field line. The length of the name is looked at first: most names have that of no control field. */
  #read(fields: FieldSection, index: number): void {
    switch (fields.nameLengthAt(index)) {
      case 2:
        if (fields.isNamed(index, "te")) this.#readTe(fields.valueAt(index));
        return;
      case 4:
        if (!fields.isNamed(index, "host")) return;
        this.host = fields.valueAt(index);
        this.hostLines++;
        return;
      case 6:
        if (fields.isNamed(index, "expect")) this.#readExpect(fields.valueAt(index));
        return;
      case 7:
        if (fields.isNamed(index, "upgrade")) this.upgrade = joined(this.upgrade, fields.valueAt(index));
        return;
      case 10:
        if (fields.isNamed(index, "connection")) this.#readConnection(fields.valueAt(index));
        return;
      case 14:
        if (!fields.isNamed(index, "content-length")) return;
        this.contentLength = fields.valueAt(index);
        this.contentLengthLines++;
        return;
      case 17:
        if (!fields.isNamed(index, "transfer-encoding")) return;
        this.transferEncoding = joined(this.transferEncoding, fields.valueAt(index));
    }
  }

  /** `Connection = #connection-option`, case-insensitive (RFC 9110 section 7.6.1). */
  #readConnection(value: string): void {
    forEachListElement(value, (option) => {
      if (option === "close") this.close = true;
      else if (option === "keep-alive") this.keepAlive = true;
      else if (option === "upgrade") this.upgradeOption = true;
    });
  }

  /** `Expect = #expectation`, case-insensitive (RFC 9110 section 10.1.1). */
  #readExpect(value: string): void {
    forEachListElement(value, (expectation) => {
      if (expectation === "100-continue") this.expectsContinue = true;
      else this.expectsMore = true;
    });
  }

  /** `TE = #t-codings`; of it only "trailers" concerns a server that knows one coding (RFC 9110 section 10.1.4). */
  #readTe(value: string): void {
    forEachListElement(value, (element) => {
      if (element === "trailers") this.acceptsTrailers = true;
    });
  }
}

function joined(before: string | null, value: string): string {
  return before === null ? value : `${before}, ${value}`;
}
