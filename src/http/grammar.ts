/**
 * The character classes of RFC 9110 and RFC 9112 as one table of bits.
 *
 * It decides which bytes belong to which class. It knows nothing of messages.
 *
 * @module
 */

/** `tchar` (RFC 9110 section 5.6.2). */
export const TOKEN = 1;
/**
 * What Trivet takes in a request-target: visible ASCII but "#", since a fragment is never sent (RFC 9110 section 7.1).
 */
export const TARGET = 2;
/** `field-vchar / SP / HTAB` (RFC 9110 section 5.5): no CTL but HTAB; obs-text is kept. */
export const FIELD_VALUE = 4;
/** `DIGIT`. */
export const DIGIT = 8;
/** `HEXDIG`, in either case (RFC 9112 section 7.1). */
export const HEX_DIGIT = 16;
/** `qdtext` (RFC 9110 section 5.6.4): what stands in a quoted-string without a backslash. */
export const QUOTED_TEXT = 32;
/** `unreserved / sub-delims / "%"` (RFC 3986 section 3.2.2), less the comma, which would make a list of hosts. */
export const REG_NAME = 64;
/**
 * Characters of a path and query which the URL Standard neither encodes nor otherwise touches; "." is looked at apart.
 */
export const PLAIN_TARGET = 128;

export const HTAB = 0x09;
export const LF = 0x0a;
export const CR = 0x0d;
export const SP = 0x20;
export const DOUBLE_QUOTE = 0x22;
export const COLON = 0x3a;
export const SEMICOLON = 0x3b;
export const EQUALS = 0x3d;
export const BACKSLASH = 0x5c;

const ALPHA_CHARS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const DIGIT_CHARS = "0123456789";

/** For each byte, the classes it is in. */
export const CLASSES: Uint8Array = makeClasses();

function makeClasses(): Uint8Array {
  const classes = new Uint8Array(256);
  const add = (chars: string, bits: number) => {
    for (let i = 0; i < chars.length; i++) classes[chars.charCodeAt(i)] |= bits;
  };
  add(ALPHA_CHARS + DIGIT_CHARS, TOKEN | REG_NAME | PLAIN_TARGET);
  add("!#$%&'*+-.^_`|~", TOKEN);
  add("-._~!$&'()*+;=%", REG_NAME);
  // The apostrophe is absent: the URL Standard encodes it in the query of an http URL.
  add("-._~!$&()*+,;=:@/?", PLAIN_TARGET);
  add(DIGIT_CHARS, DIGIT);
  add(DIGIT_CHARS + "ABCDEFabcdef", HEX_DIGIT);
  for (let byte = 0x21; byte <= 0x7e; byte++) {
    classes[byte] |= FIELD_VALUE | QUOTED_TEXT;
    if (byte !== 0x23) classes[byte] |= TARGET;
  }
  for (let byte = 0x80; byte <= 0xff; byte++) classes[byte] |= FIELD_VALUE | QUOTED_TEXT;
  for (const byte of [HTAB, SP]) classes[byte] |= FIELD_VALUE | QUOTED_TEXT;
  for (const byte of [DOUBLE_QUOTE, BACKSLASH]) classes[byte] &= ~QUOTED_TEXT;
  return classes;
}

/** Whether every char of the string from `start` up to `end` is in the class. */
export function isAllOfClass(text: string, start: number, end: number, classBit: number): boolean {
  for (let i = start; i < end; i++) {
    const charCode = text.charCodeAt(i);
    if (charCode > 0xff || (CLASSES[charCode] & classBit) === 0) return false;
  }
  return true;
}

/** Whether the string is a `token = 1*tchar`. */
export function isToken(text: string): boolean {
  return text.length > 0 && isAllOfClass(text, 0, text.length, TOKEN);
}
