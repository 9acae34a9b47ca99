/**
 * The one recogniser of field lines: for the header section of a request and for the trailer section of its content.
 *
 * It decides where names and values begin and end. It must not know what any field means.
 *
 *     field-line  = field-name ":" OWS field-value OWS          (RFC 9112 section 5)
 *     field-name  = token                                        (RFC 9110 section 5.1)
 *     field-value = *field-content, without CTL but HTAB         (RFC 9110 section 5.5)
 *
 * @module
 */

import { TrivetError } from "../../api/errors.ts";
import { CLASSES, COLON, CR, FIELD_VALUE, HTAB, LF, SP, TOKEN } from "../../http/grammar.ts";

/** Bounds of one field section. */
export interface FieldSectionLimits {
  /** Bytes from the first field line up to and with the empty line. */
  readonly maxFieldSectionBytes: number;
  /** Field lines. */
  readonly maxFieldLines: number;
}

/** Numbers pushed for each field line. */
const OFFSETS_PER_LINE = 4;

/** A place in the current line that has not been reached. */
const NOT_REACHED = -1;

/**
 * Parses one field section after another, each in any number of pieces.
 *
 * All positions it keeps are relative to an origin the caller chooses, so that the caller may move the bytes between
 * two calls. Each byte is looked at once: a line that is not complete goes on where its bytes ended.
 */
export class FieldSectionParser {
  /**
   * Name start, name end, value start, value end of each line, relative to the origin. A new array for each section.
   */
  offsets: number[] = [];
  /** Where the next line begins, relative to the origin; after the section is complete, the first byte behind it. */
  position = 0;
  #sectionStart = 0;
  #scannedTo = 0;
  #nameEnd = NOT_REACHED;
  #valueStart = NOT_REACHED;
  readonly #limits: FieldSectionLimits;

  /** @param limits The bounds of every section. */
  constructor(limits: FieldSectionLimits) {
    this.#limits = limits;
  }

  /** Starts a section at a position relative to the origin. */
  begin(position: number): void {
    this.offsets = [];
    this.position = position;
    this.#sectionStart = position;
    this.#scannedTo = position;
    this.#nameEnd = NOT_REACHED;
    this.#valueStart = NOT_REACHED;
  }

  /**
   * Takes lines from the bytes between `origin` and `end`, of which those before {@linkcode position} are done already.
   *
   * @returns Whether the section is complete.
   * @throws {TrivetError} `field-line-invalid`, `field-section-too-large` or `too-many-field-lines`.
   */
  advance(bytes: Uint8Array, origin: number, end: number): boolean {
    const limit = Math.min(end, origin + this.#sectionStart + this.#limits.maxFieldSectionBytes);
    const maxOffsets = this.#limits.maxFieldLines * OFFSETS_PER_LINE;
    const offsets = this.offsets;
    let lineStart = origin + this.position;
    let nameEnd = this.#nameEnd;
    let valueStart = this.#valueStart;
    let at = origin + this.#scannedTo;

    while (at < limit) {
      if (nameEnd === NOT_REACHED) {
        while (at < limit && (CLASSES[bytes[at]] & TOKEN) !== 0) at++;
        if (at === limit) break;
        if (bytes[at] !== COLON || at === lineStart) {
          if (bytes[at] !== CR || at !== lineStart) throw invalidName(bytes, lineStart, at);
          if (at + 1 === limit) break;
          if (bytes[at + 1] !== LF) throw invalidLine("a carriage return without a line feed");
          this.position = at + 2 - origin;
          return true;
        }
        if (offsets.length === maxOffsets) throw this.#tooManyLines();
        nameEnd = at - origin;
        at++;
      }
      if (valueStart === NOT_REACHED) {
        while (at < limit && (bytes[at] === SP || bytes[at] === HTAB)) at++;
        if (at === limit) break;
        valueStart = at - origin;
      }
      while (at < limit && (CLASSES[bytes[at]] & FIELD_VALUE) !== 0) at++;
      if (at === limit) break;
      if (bytes[at] !== CR) throw invalidLine("a control character in a field value");
      if (at + 1 === limit) break;
      if (bytes[at + 1] !== LF) throw invalidLine("a carriage return without a line feed");
      let valueEnd = at - origin;
      let last = bytes[origin + valueEnd - 1];
      while (valueEnd > valueStart && (last === SP || last === HTAB)) last = bytes[origin + --valueEnd - 1];
      offsets.push(lineStart - origin, nameEnd, valueStart, valueEnd);
      at += 2;
      lineStart = at;
      nameEnd = NOT_REACHED;
      valueStart = NOT_REACHED;
    }

    this.#requireRoom(origin, limit);
    this.position = lineStart - origin;
    this.#scannedTo = at - origin;
    this.#nameEnd = nameEnd;
    this.#valueStart = valueStart;
    return false;
  }

  #requireRoom(origin: number, limit: number): void {
    const sectionBytes = limit - origin - this.#sectionStart;
    if (sectionBytes < this.#limits.maxFieldSectionBytes) return;
    throw new TrivetError(
      "field-section-too-large",
      `The field section has more than ${this.#limits.maxFieldSectionBytes} bytes.`,
    );
  }

  #tooManyLines(): TrivetError {
    return new TrivetError(
      "too-many-field-lines",
      `The field section has more than ${this.#limits.maxFieldLines} field lines.`,
    );
  }
}

function invalidLine(found: string): TrivetError {
  return new TrivetError("field-line-invalid", `A field line has ${found}.`);
}

/** Says what is wrong where a field name should have ended in a colon. */
function invalidName(bytes: Uint8Array, nameStart: number, at: number): TrivetError {
  const byte = bytes[at];
  if (byte === COLON) return invalidLine("no name before its colon");
  if (byte === SP || byte === HTAB) {
    // RFC 9112 section 5.2: obs-fold; section 2.2: white space before the first field line.
    if (at === nameStart) return invalidLine("white space at its start");
    // RFC 9112 section 5.1: a source of request smuggling, to be answered with 400.
    return invalidLine("white space between its name and the colon");
  }
  if (byte === CR || byte === LF) return invalidLine("no colon");
  return invalidLine("a character in its name that is not allowed there");
}
