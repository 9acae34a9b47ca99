/**
 * The head of a request: request-line and header section (RFC 9112 sections 3 and 5).
 *
 * It decides whether the bytes are a request this server understands and what its control data say: target, version,
 * message framing, persistence, expectation, upgrade. It is fed in pieces of any size and gives the same result for
 * every split. It does no I/O and keeps no bytes.
 *
 * @module
 */

import { TrivetError } from "../../api/errors.ts";
import { FieldSection } from "../../http/field_section.ts";
import { RequestHead } from "../../http/request_head.ts";
import { ControlFields } from "./control_fields.ts";
import { FieldSectionParser } from "./field_section_parser.ts";
import { decideRequestFraming } from "./framing.ts";
import { CLASSES, CR, DIGIT, LF, PLAIN_TARGET, SP, TARGET, TOKEN } from "../../http/grammar.ts";
import { isAuthority, parseSpecialTarget } from "./request_target.ts";

/** Bounds of a request head. */
export interface RequestHeadLimits {
  /** Bytes of the request-target. */
  readonly maxRequestTargetBytes: number;
  /** Bytes of the header section. */
  readonly maxFieldSectionBytes: number;
  /** Field lines of the header section. */
  readonly maxFieldLines: number;
}

/** Longer methods are not handed to the handler; the longest registered one, UPDATEREDIRECTREF, has 17 characters. */
const MAX_METHOD_BYTES = 32;
/** A longer first word is no method that was meant seriously. */
const MAX_METHOD_SCAN_BYTES = 1024;
/** RFC 9112 section 2.2: at least one empty line before a request-line is ignored. */
const MAX_LEADING_EMPTY_LINES = 4;
/** `HTTP-version = HTTP-name "/" DIGIT "." DIGIT` and CRLF, with the digits of HTTP/1.1; the name is case-sensitive. */
const VERSION_LINE_END = [0x48, 0x54, 0x54, 0x50, 0x2f, 0x31, 0x2e, 0x31, CR, LF];
const HEAD_METHOD = [0x48, 0x45, 0x41, 0x44];
const MAJOR_AT = 5;
const MINOR_AT = 7;
const DIGIT_ZERO = 0x30;
const SLASH = 0x2f;

/** The head of an HTTP/1.1 or HTTP/1.0 request: beside what every version has, what its connection wants to know. */
export class Http1RequestHead extends RequestHead {
  /** The minor version: 0 for HTTP/1.0, 1 for HTTP/1.1 and for the later ones that do not exist. */
  minorVersion: 0 | 1 = 1;
  /** Whether the peer wants the connection to persist (RFC 9112 section 9.3). */
  persistent = false;

  override get protocol(): string {
    return this.minorVersion === 0 ? "HTTP/1.0" : "HTTP/1.1";
  }
}

/** Parses the heads of one connection, one after another. */
export class RequestHeadParser {
  readonly #limits: RequestHeadLimits;
  readonly #decodeLatin1: (bytes: Uint8Array, start: number, end: number) => string;
  readonly #section: FieldSectionParser;
  #phase: "empty-lines" | "method" | "target" | "version" | "header-section" = "empty-lines";
  #emptyLines = 0;
  #lineStart = 0;
  /** Where scanning goes on, relative to the origin: each byte is looked at once. */
  #scannedTo = 0;
  #methodEnd = 0;
  #targetEnd = 0;
  #targetClasses = 0;
  #minorVersion: 0 | 1 = 1;
  #validHost: string | null = null;
  /** Bytes of the last complete head, from its origin on. */
  consumedBytes = 0;

  /**
   * @param limits The bounds of a head.
   * @param decodeLatin1 The runtime's fastest way from bytes to a string.
   */
  constructor(limits: RequestHeadLimits, decodeLatin1: (bytes: Uint8Array, start: number, end: number) => string) {
    this.#limits = limits;
    this.#decodeLatin1 = decodeLatin1;
    this.#section = new FieldSectionParser(limits);
  }

  /**
   * Whether more than empty lines of the next request has come: a peer that goes away now leaves a request half sent.
   */
  get hasBegun(): boolean {
    return this.#phase !== "empty-lines";
  }

  /** Whether the request-line that begins at `origin`, of a head that was refused, has the method HEAD. */
  isOfHeadMethod(bytes: Uint8Array, origin: number): boolean {
    const start = origin + this.#lineStart;
    if (this.#phase === "empty-lines" || this.#phase === "method" || this.#methodEnd - this.#lineStart !== 4) {
      return false;
    }
    return HEAD_METHOD.every((byte, place) => bytes[start + place] === byte);
  }

  /**
   * Parses the head that begins at `origin`. While it is not complete the caller keeps all bytes from the origin on and
   * calls again when more have come; it may move them.
   *
   * @returns The head, of {@linkcode consumedBytes} bytes; or `null` while it is not complete.
   * @throws {TrivetError} With the blame "peer".
   */
  parse(bytes: Uint8Array, origin: number, end: number): Http1RequestHead | null {
    if (this.#phase !== "header-section") {
      if (!this.#parseRequestLine(bytes, origin, end)) return null;
      this.#section.begin(this.#scannedTo);
    }
    if (!this.#section.advance(bytes, origin, end)) return null;
    const head = this.#makeHead(bytes, origin);
    this.consumedBytes = this.#section.position;
    this.#phase = "empty-lines";
    this.#emptyLines = 0;
    this.#scannedTo = 0;
    return head;
  }

  /**
   * `request-line = method SP request-target SP HTTP-version` (RFC 9112 section 3), and its CRLF. Each step returns
   * whether its part is complete.
   */
  #parseRequestLine(bytes: Uint8Array, origin: number, end: number): boolean {
    if (this.#phase === "empty-lines" && !this.#skipEmptyLines(bytes, origin, end)) return false;
    if (this.#phase === "method" && !this.#scanMethod(bytes, origin, end)) return false;
    if (this.#phase === "target" && !this.#scanTarget(bytes, origin, end)) return false;
    return this.#scanVersion(bytes, origin, end);
  }

  #skipEmptyLines(bytes: Uint8Array, origin: number, end: number): boolean {
    let at = origin + this.#scannedTo;
    while (at < end && bytes[at] === CR) {
      if (at + 1 === end) break;
      if (bytes[at + 1] !== LF) throw invalidLine("It begins with a carriage return without a line feed.");
      if (++this.#emptyLines > MAX_LEADING_EMPTY_LINES) throw invalidLine("Too many empty lines stand before it.");
      at += 2;
    }
    this.#scannedTo = at - origin;
    if (at === end || bytes[at] === CR) return false;
    this.#lineStart = this.#scannedTo;
    this.#phase = "method";
    return true;
  }

  #scanMethod(bytes: Uint8Array, origin: number, end: number): boolean {
    let at = origin + this.#scannedTo;
    while (at < end && (CLASSES[bytes[at]] & TOKEN) !== 0) at++;
    this.#scannedTo = at - origin;
    const methodBytes = this.#scannedTo - this.#lineStart;
    if (methodBytes > MAX_METHOD_SCAN_BYTES) throw invalidLine("Its method is too long.");
    if (at === end) return false;
    if (bytes[at] !== SP || methodBytes === 0) throw invalidLine("Expected a method and one space.");
    if (methodBytes > MAX_METHOD_BYTES) {
      throw new TrivetError("method-unsupported", `The method has more than ${MAX_METHOD_BYTES} characters.`);
    }
    this.#methodEnd = this.#scannedTo++;
    this.#targetClasses = PLAIN_TARGET;
    this.#phase = "target";
    return true;
  }

  #scanTarget(bytes: Uint8Array, origin: number, end: number): boolean {
    const start = origin + this.#methodEnd + 1;
    let at = origin + this.#scannedTo;
    let common = this.#targetClasses;
    while (at < end) {
      const classes = CLASSES[bytes[at]];
      if ((classes & TARGET) === 0) break;
      common &= classes;
      at++;
    }
    this.#scannedTo = at - origin;
    this.#targetClasses = common;
    if (at - start > this.#limits.maxRequestTargetBytes) {
      throw new TrivetError(
        "request-target-too-long",
        `The request-target has more than ${this.#limits.maxRequestTargetBytes} bytes.`,
      );
    }
    if (at === end) return false;
    if (bytes[at] !== SP) throw invalidLine("Its target is not followed by one space and a version.");
    if (at === start) throw invalidLine("It has no request-target.");
    this.#targetEnd = this.#scannedTo++;
    this.#phase = "version";
    return true;
  }

  /** `HTTP-version = HTTP-name "/" DIGIT "." DIGIT` and CRLF. */
  #scanVersion(bytes: Uint8Array, origin: number, end: number): boolean {
    const start = origin + this.#targetEnd + 1;
    const lineEnd = start + VERSION_LINE_END.length;
    const stop = Math.min(end, lineEnd);
    for (let at = origin + this.#scannedTo; at < stop; at++) {
      const place = at - start;
      if (bytes[at] === VERSION_LINE_END[place]) continue;
      if ((place === MAJOR_AT || place === MINOR_AT) && (CLASSES[bytes[at]] & DIGIT) !== 0) continue;
      throw new TrivetError("version-invalid", "The version is not 'HTTP/' and two digits.");
    }
    this.#scannedTo = stop - origin;
    if (stop < lineEnd) return false;
    const major = bytes[start + MAJOR_AT] - DIGIT_ZERO;
    if (major !== 1) {
      throw new TrivetError("version-unsupported", `The major version of HTTP is ${major}; this server speaks 1.`);
    }
    // RFC 9110 section 2.5: a higher minor version is processed as the highest one the recipient conforms to.
    this.#minorVersion = bytes[start + MINOR_AT] === DIGIT_ZERO ? 0 : 1;
    this.#phase = "header-section";
    return true;
  }

  #makeHead(bytes: Uint8Array, origin: number): Http1RequestHead {
    const text = this.#decodeLatin1(bytes, origin, origin + this.#section.position);
    const method = text.substring(this.#lineStart, this.#methodEnd);
    const target = text.substring(this.#methodEnd + 1, this.#targetEnd);
    const fields = new FieldSection(text, this.#section.offsets);
    // "/." may begin a dot segment, which the URL Standard removes.
    const isPlain = this.#targetClasses !== 0 && target.charCodeAt(0) === SLASH && target.indexOf("/.") < 0;
    const head = new Http1RequestHead(method, target, isPlain, fields);
    head.minorVersion = this.#minorVersion;
    const control = new ControlFields(fields);
    interpretMessage(head, control);
    head.authority = this.#checkHost(head.minorVersion, control);
    if (head.pathAndQuery.charCodeAt(0) !== SLASH) interpretSpecialTarget(head);
    return head;
  }

  /** The value of Host, if there has to be one exactly once (RFC 9112 section 3.2). */
  #checkHost(minorVersion: number, { host, hostLines }: ControlFields): string | null {
    if (hostLines > 1) throw new TrivetError("host-repeated", "The request has more than one Host field line.");
    if (host === null) {
      if (minorVersion === 1) throw new TrivetError("host-missing", "An HTTP/1.1 request has no Host.");
      return null;
    }
    // The requests of a connection are nearly always for the same host, which was found valid before. It is given as
    // the same string, which a comparison finds equal at a glance.
    if (host === this.#validHost) return this.#validHost;
    if (!isAuthority(host)) throw new TrivetError("host-invalid", "Host is not a host with an optional port.");
    return this.#validHost = host;
  }
}

/** Decides what the connection wants to know of a request beside its target. */
function interpretMessage(head: Http1RequestHead, control: ControlFields): void {
  if (isForbidden(head.method)) {
    throw new TrivetError("method-unsupported", "This server implements none of CONNECT, TRACE and TRACK.");
  }
  head.contentLength = decideRequestFraming(head.minorVersion, control);
  head.persistent = !control.close && (head.minorVersion === 1 || control.keepAlive);
  // RFC 9110 sections 7.8 and 10.1.1: both are ignored in HTTP/1.0, which has no trailer sections either.
  if (head.minorVersion === 0) return;
  head.acceptsTrailers = control.acceptsTrailers;
  if (control.upgradeOption) head.upgrade = control.upgrade;
  if (control.expectsMore) {
    throw new TrivetError("expectation-unknown", "The only expectation this server meets is '100-continue'.");
  }
  head.expectsContinue = control.expectsContinue;
}

/**
 * RFC 9110 sections 9.3.6 and 9.3.8: neither a tunnel nor a loop-back of fields is offered. The Fetch Standard forbids
 * these methods, and TRACK, in any case, and no Request could be made for them.
 */
function isForbidden(method: string): boolean {
  const { length } = method;
  return (length === 5 || length === 7) && /^(?:connect|trace|track)$/i.test(method);
}

/** Decides what an absolute-form or asterisk-form means (RFC 9112 section 3.2). */
function interpretSpecialTarget(head: Http1RequestHead): void {
  const target = parseSpecialTarget(head.method, head.pathAndQuery);
  head.pathAndQuery = target.pathAndQuery;
  head.isPlainTarget = false;
  // RFC 9112 section 3.2.2: the authority of an absolute-form takes the place of Host, for handlers too.
  if (target.authority === null) return;
  head.scheme = target.scheme;
  head.authority = target.authority;
  if (head.fields.get("host") !== target.authority) head.fields = head.fields.withOnly("host", target.authority);
}

function invalidLine(message: string): TrivetError {
  return new TrivetError("request-line-invalid", `The request-line is not valid. ${message}`);
}
