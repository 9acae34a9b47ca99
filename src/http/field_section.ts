/**
 * A field section that was parsed: one string and offsets into it.
 *
 * It decides how field lines of the same name are combined (RFC 9110 section 5.3) and must not know where the bytes
 * came from. Nothing is copied out of the string until it is asked for.
 *
 * @module
 */

/** Numbers kept for each field line: start and end of the name, start and end of the value. */
const OFFSETS_PER_LINE = 4;

/** The char code of "a" minus that of "A": the one bit in which ASCII letters of different case differ. */
const CASE_BIT = 0x20;

/** Field lines in the order in which they came. */
export class FieldSection {
  readonly #text: string;
  readonly #offsets: readonly number[];

  /**
   * @param text The string the offsets point into.
   * @param offsets Four numbers for each field line: name start, name end, value start, value end.
   */
  constructor(text: string, offsets: readonly number[]) {
    this.#text = text;
    this.#offsets = offsets;
  }

  /** The string the offsets point into; with them, all that is needed to make the same field section elsewhere. */
  get text(): string {
    return this.#text;
  }

  /** Four numbers for each field line: name start, name end, value start, value end. */
  get offsets(): readonly number[] {
    return this.#offsets;
  }

  /** How many field lines there are. */
  get count(): number {
    return this.#offsets.length / OFFSETS_PER_LINE;
  }

  /** The name of the line at `index`, as the peer wrote it. */
  nameAt(index: number): string {
    const at = index * OFFSETS_PER_LINE;
    return this.#text.substring(this.#offsets[at], this.#offsets[at + 1]);
  }

  /** The length of the name of the line at `index`. */
  nameLengthAt(index: number): number {
    const at = index * OFFSETS_PER_LINE;
    return this.#offsets[at + 1] - this.#offsets[at];
  }

  /** The value of the line at `index`, without the white space around it. */
  valueAt(index: number): string {
    const at = index * OFFSETS_PER_LINE;
    return this.#text.substring(this.#offsets[at + 2], this.#offsets[at + 3]);
  }

  /** Whether the line at `index` has this name, which must be in lower case. */
  isNamed(index: number, lowerCaseName: string): boolean {
    const at = index * OFFSETS_PER_LINE;
    const start = this.#offsets[at];
    const length = lowerCaseName.length;
    if (this.#offsets[at + 1] - start !== length) return false;
    const text = this.#text;
    for (let i = 0; i < length; i++) {
      const expected = lowerCaseName.charCodeAt(i);
      const got = text.charCodeAt(start + i);
      if (got === expected) continue;
      // Only letters have an upper-case form; for any other char the bit means another char.
      if (expected < 0x61 || expected > 0x7a || (got | CASE_BIT) !== expected) return false;
    }
    return true;
  }

  /**
   * The combined value of all lines of this name, which must be in lower case, or `null`.
   *
   * Lines are joined in order with a comma and a space (RFC 9110 section 5.3), Cookie lines with a semicolon and a
   * space (RFC 6265 section 5.4 has one line; intermediaries that come from HTTP/2 split it).
   */
  get(lowerCaseName: string): string | null {
    const count = this.count;
    let combined: string | null = null;
    for (let i = 0; i < count; i++) {
      if (!this.isNamed(i, lowerCaseName)) continue;
      const value = this.valueAt(i);
      if (combined === null) combined = value;
      else combined += (lowerCaseName === "cookie" ? "; " : ", ") + value;
    }
    return combined;
  }

  /** The same lines but for those of one name, in lower case, in whose place there is a single one of this value. */
  withOnly(lowerCaseName: string, value: string): FieldSection {
    const { length } = this.#text;
    const valueStart = length + lowerCaseName.length;
    const offsets = [length, valueStart, valueStart, valueStart + value.length];
    for (let i = 0; i < this.count; i++) {
      const at = i * OFFSETS_PER_LINE;
      if (!this.isNamed(i, lowerCaseName)) offsets.push(...this.#offsets.slice(at, at + OFFSETS_PER_LINE));
    }
    return new FieldSection(this.#text + lowerCaseName + value, offsets);
  }

  /** Whether a line has this name, which must be in lower case. */
  has(lowerCaseName: string): boolean {
    const count = this.count;
    for (let i = 0; i < count; i++) {
      if (this.isNamed(i, lowerCaseName)) return true;
    }
    return false;
  }
}

/** A field section without a line. */
export const EMPTY_FIELD_SECTION: FieldSection = new FieldSection("", []);
