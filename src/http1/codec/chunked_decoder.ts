/**
 * The chunked transfer coding, decoded (RFC 9112 section 7.1).
 *
 *     chunked-body   = *chunk last-chunk trailer-section CRLF
 *     chunk          = chunk-size [ chunk-ext ] CRLF chunk-data CRLF
 *     chunk-size     = 1*HEXDIG
 *     last-chunk     = 1*("0") [ chunk-ext ] CRLF
 *     chunk-ext      = *( BWS ";" BWS chunk-ext-name [ BWS "=" BWS chunk-ext-val ] )
 *     chunk-ext-val  = token / quoted-string
 *
 * Extensions are read to the letter of that grammar, and ignored. Every lenient reading of a chunk line has been a way
 * to smuggle a request: a bare line feed, white space behind the size, a sign, a size that overflows.
 *
 * It decides where the content ends and which of its framing is too long. It must not know what takes the content.
 *
 * @module
 */

import { TrivetError } from "../../api/errors.ts";
import { EMPTY_FIELD_SECTION, FieldSection } from "../../http/field_section.ts";
import type { ContentDecoder, ContentLimits } from "./content_decoder.ts";
import { FieldSectionParser } from "./field_section_parser.ts";
import { contentTooLarge } from "./framing.ts";
import {
  BACKSLASH,
  CLASSES,
  CR,
  DOUBLE_QUOTE,
  EQUALS,
  FIELD_VALUE,
  HEX_DIGIT,
  HTAB,
  LF,
  QUOTED_TEXT,
  SEMICOLON,
  SP,
  TOKEN,
} from "../../http/grammar.ts";

/** What the next byte belongs to. */
type Phase =
  | "size-start"
  | "size"
  | "space-before-semicolon"
  | "space-before-name"
  | "name"
  | "space-before-equals"
  | "space-before-value"
  | "token-value"
  | "quoted-value"
  | "quoted-pair"
  | "value-end"
  | "size-line-feed"
  | "chunk-data"
  | "data-carriage-return"
  | "data-line-feed"
  | "trailer-section"
  | "complete";

/**
 * Bytes of extensions (and of leading zeros) that may come beyond as many as there was content since. Unbounded they
 * are a way to keep a server busy for no content (CVE-2023-39326); in Go the content extends the bound too.
 */
const MAX_EXTENSION_BYTES = 4096;

/** Decodes one chunked message. */
export class ChunkedDecoder implements ContentDecoder {
  readonly remainingBytes = null;
  pieceBytes = 0;
  trailers: FieldSection = EMPTY_FIELD_SECTION;
  readonly #limits: ContentLimits;
  readonly #decodeLatin1: (bytes: Uint8Array, start: number, end: number) => string;
  #phase: Phase = "size-start";
  #chunkBytes = 0;
  #contentBytes = 0;
  /** Those that have come, less the content behind them. */
  #extensionBytes = 0;
  #trailerSection: FieldSectionParser | null = null;

  /**
   * @param limits Bounds of the content and of the trailer section.
   * @param decodeLatin1 The runtime's way from bytes to a string, for the trailer section.
   */
  constructor(limits: ContentLimits, decodeLatin1: (bytes: Uint8Array, start: number, end: number) => string) {
    this.#limits = limits;
    this.#decodeLatin1 = decodeLatin1;
  }

  get isComplete(): boolean {
    return this.#phase === "complete";
  }

  decode(bytes: Uint8Array, start: number, end: number): number {
    this.pieceBytes = 0;
    let at = start;
    while (at < end) {
      switch (this.#phase) {
        case "chunk-data":
          return this.#takeData(at, end);
        case "trailer-section":
          return this.#takeTrailers(bytes, at, end);
        case "complete":
          return at;
        default:
          this.#phase = this.#step(this.#phase, bytes[at]);
          at++;
      }
    }
    return at;
  }

  #takeData(start: number, end: number): number {
    const takenBytes = this.pieceBytes = Math.min(end - start, this.#chunkBytes);
    this.#chunkBytes -= takenBytes;
    if (this.#chunkBytes === 0) this.#phase = "data-carriage-return";
    return start + takenBytes;
  }

  /** `trailer-section = *( field-line CRLF )`: stays in the caller's hands until it is complete. */
  #takeTrailers(bytes: Uint8Array, start: number, end: number): number {
    const section = this.#trailerSection ??= new FieldSectionParser(this.#limits);
    if (!section.advance(bytes, start, end)) return start;
    const sectionEnd = start + section.position;
    if (section.offsets.length > 0) {
      this.trailers = new FieldSection(this.#decodeLatin1(bytes, start, sectionEnd), section.offsets);
    }
    this.#phase = "complete";
    return sectionEnd;
  }

  /** One byte of a chunk line, or of the line end behind chunk data. */
  #step(phase: Phase, byte: number): Phase {
    switch (phase) {
      case "size-start":
        if ((CLASSES[byte] & HEX_DIGIT) === 0) throw invalidChunk("a chunk size that is not hexadecimal");
        this.#chunkBytes = 0;
        this.#takeSizeDigit(byte);
        return "size";
      case "size":
        if ((CLASSES[byte] & HEX_DIGIT) === 0) return this.#leaveSize(byte);
        // All digits so far were zeros, which carry no size: they count as an extension, so that their number has a
        // bound.
        if (this.#chunkBytes === 0) this.#countExtensionByte();
        this.#takeSizeDigit(byte);
        return "size";
      case "size-line-feed":
        if (byte !== LF) throw invalidChunk("a carriage return without a line feed");
        return this.#chunkBytes === 0 ? "trailer-section" : this.#beginData();
      case "data-carriage-return":
        if (byte !== CR) throw invalidChunk("data of another length than its size");
        return "data-line-feed";
      case "data-line-feed":
        if (byte !== LF) throw invalidChunk("data of another length than its size");
        return "size-start";
      default:
        // The line end belongs to no extension.
        if (byte !== CR) this.#countExtensionByte();
        return stepExtension(phase, byte);
    }
  }

  #takeSizeDigit(byte: number): void {
    const digit = byte <= 0x39 ? byte - 0x30 : (byte | 0x20) - 0x57;
    this.#chunkBytes = this.#chunkBytes * 16 + digit;
    if (!Number.isSafeInteger(this.#chunkBytes)) {
      throw invalidChunk("a size beyond every integer this server can count with");
    }
  }

  #leaveSize(byte: number): Phase {
    if (byte === CR) return "size-line-feed";
    this.#countExtensionByte();
    return stepExtension("space-before-semicolon", byte);
  }

  #beginData(): Phase {
    this.#contentBytes += this.#chunkBytes;
    if (this.#contentBytes > this.#limits.maxContentBytes) throw contentTooLarge(this.#limits.maxContentBytes);
    this.#extensionBytes = Math.max(0, this.#extensionBytes - this.#chunkBytes);
    return "chunk-data";
  }

  #countExtensionByte(): void {
    if (++this.#extensionBytes <= MAX_EXTENSION_BYTES) return;
    throw new TrivetError(
      "chunk-extensions-too-long",
      `The chunk extensions of a request have ${MAX_EXTENSION_BYTES} bytes more than the content they came with.`,
    );
  }
}

/** One byte of `chunk-ext`. White space is bad there, so it is taken only where the grammar names it. */
function stepExtension(phase: Phase, byte: number): Phase {
  const isSpace = byte === SP || byte === HTAB;
  const isTokenByte = (CLASSES[byte] & TOKEN) !== 0;
  switch (phase) {
    case "space-before-semicolon":
      if (isSpace) return phase;
      if (byte === SEMICOLON) return "space-before-name";
      break;
    case "space-before-name":
      if (isSpace) return phase;
      if (isTokenByte) return "name";
      break;
    case "name":
      if (isTokenByte) return phase;
      if (isSpace) return "space-before-equals";
      if (byte === EQUALS) return "space-before-value";
      return endOfExtension(byte);
    case "space-before-equals":
      if (isSpace) return phase;
      if (byte === EQUALS) return "space-before-value";
      if (byte === SEMICOLON) return "space-before-name";
      break;
    case "space-before-value":
      if (isSpace) return phase;
      if (isTokenByte) return "token-value";
      if (byte === DOUBLE_QUOTE) return "quoted-value";
      break;
    case "token-value":
      if (isTokenByte) return phase;
      if (isSpace) return "space-before-semicolon";
      return endOfExtension(byte);
    case "quoted-value":
      if (byte === DOUBLE_QUOTE) return "value-end";
      if (byte === BACKSLASH) return "quoted-pair";
      if ((CLASSES[byte] & QUOTED_TEXT) !== 0) return phase;
      break;
    case "quoted-pair":
      if ((CLASSES[byte] & FIELD_VALUE) !== 0) return "quoted-value";
      break;
    case "value-end":
      if (isSpace) return "space-before-semicolon";
      return endOfExtension(byte);
  }
  throw invalidChunk("an extension that is not well-formed");
}

function endOfExtension(byte: number): Phase {
  if (byte === SEMICOLON) return "space-before-name";
  if (byte === CR) return "size-line-feed";
  throw invalidChunk("an extension that is not well-formed");
}

function invalidChunk(found: string): TrivetError {
  return new TrivetError("chunk-invalid", `The content has a chunk with ${found}.`);
}
