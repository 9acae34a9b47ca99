/**
 * The request-target and the target URI it stands for (RFC 9112 section 3.2 and 3.3).
 *
 * It decides which of the four forms a target has and which authority the request is for. It must not know about
 * connections: what the connection contributes, the scheme and a default authority, is handed in.
 *
 * @module
 */

import { TrivetError } from "../../api/errors.ts";
import type { Address } from "../../transport.ts";
import type { RequestHead, Scheme } from "../../http/request_head.ts";
import { composeAuthority } from "../../http/ip_address.ts";
import { DIGIT, isAllOfClass, REG_NAME } from "../../http/grammar.ts";

/**
 * What a head says of the target: what it names, and whether the URL Standard leaves its path and query as they are.
 */
export type TargetParts = Pick<RequestHead, "scheme" | "authority" | "pathAndQuery" | "isPlainTarget">;

/** Where a request arrived. */
export interface ArrivalPlace {
  readonly localAddress: Address;
}

/** A request-target taken apart. */
export interface RequestTarget {
  /** The scheme of an absolute-form target, or `null` for the other forms. */
  readonly scheme: Scheme | null;
  /** Its authority. */
  readonly authority: string | null;
  /** The path and query, beginning with "/"; or "*". */
  readonly pathAndQuery: string;
}

const ABSOLUTE_FORM = /^(https?):\/\/([^/?]*)(.*)$/i;

/**
 * Takes a target apart that does not begin with "/", the origin-form, which is a target already.
 *
 *     request-target = origin-form / absolute-form / authority-form / asterisk-form
 *
 * The authority-form belongs to CONNECT alone, which this server does not implement and refuses before.
 *
 * @throws {TrivetError} `request-target-invalid`
 */
export function parseSpecialTarget(method: string, target: string): RequestTarget {
  if (target === "*") {
    if (method === "OPTIONS") return { scheme: null, authority: null, pathAndQuery: "*" };
    throw invalidTarget("The request-target '*' is for OPTIONS alone.");
  }
  const absolute = ABSOLUTE_FORM.exec(target);
  if (absolute === null) {
    throw invalidTarget("The request-target begins with neither '/' nor 'http://' nor 'https://'.");
  }
  const [, schemeAsWritten, authority, rest] = absolute;
  const scheme = schemeAsWritten.length === 4 ? "http" : "https";
  if (!isAuthority(authority)) {
    throw invalidTarget("The authority of the request-target is not a host with an optional port.");
  }
  // RFC 9112 section 3.2.4: an absolute-form without path and query on OPTIONS means '*' at the origin.
  if (rest === "" && method === "OPTIONS") return { scheme, authority, pathAndQuery: "*" };
  return { scheme, authority, pathAndQuery: rest.startsWith("/") ? rest : `/${rest}` };
}

/**
 * Whether the text is `uri-host [ ":" port ]` with a host that is not empty (RFC 9110 section 7.2). No userinfo: RFC
 * 9110 section 4.2.4 has a recipient treat it as an error.
 */
export function isAuthority(text: string): boolean {
  let hostEnd: number;
  if (text.charCodeAt(0) === 0x5b) {
    // IP-literal = "[" ( IPv6address / IPvFuture ) "]"; the URL parser, which knows no IPvFuture, has the last word on
    // the address itself.
    const close = text.indexOf("]");
    if (close < 0 || !/^[0-9a-f:.]+$/i.test(text.slice(1, close))) return false;
    hostEnd = close + 1;
  } else {
    const colon = text.indexOf(":");
    hostEnd = colon < 0 ? text.length : colon;
    if (hostEnd === 0 || !isAllOfClass(text, 0, hostEnd, REG_NAME)) return false;
  }
  if (hostEnd === text.length) return true;
  if (text.charCodeAt(hostEnd) !== 0x3a) return false;
  return isPort(text.slice(hostEnd + 1));
}

/** `port = *DIGIT`, and not above 65535. */
function isPort(text: string): boolean {
  return isAllOfClass(text, 0, text.length, DIGIT) && Number(text) <= 65535;
}

/** Authorities kept with their serialized form; one server sees few of them, and an attacker many. */
const MAX_KNOWN_AUTHORITIES = 64;

/**
 * Turns targets into target URIs as the URL Standard serializes them.
 *
 * The part of the authority is the same for most requests of a server and is parsed once. A path that the URL Standard
 * would not touch is appended as it is.
 */
export class TargetUriComposer {
  readonly #scheme: Scheme;
  readonly #origins = new Map<string, string>();
  #lastAuthority = "";
  #lastOrigin = "";

  /** @param scheme What the connections of this server speak. */
  constructor(scheme: Scheme) {
    this.#scheme = scheme;
  }

  /**
   * Composes `scheme "://" authority path [ "?" query ]`.
   *
   * @param arrival Where the request arrived. A request of HTTP/1.0 without Host is for that address, the default that
   * RFC 9112 section 3.3 allows.
   * @throws {TrivetError} `host-invalid` or `request-target-invalid` when the URL Standard refuses it; `misdirected`
   * when the target names another scheme than that of the connection.
   */
  compose({ scheme, authority: given, pathAndQuery, isPlainTarget }: TargetParts, arrival: ArrivalPlace): string {
    if (scheme !== null && scheme !== this.#scheme) throw misdirected(scheme, this.#scheme);
    const authority = given ?? defaultAuthority(arrival.localAddress);
    const origin = authority === this.#lastAuthority ? this.#lastOrigin : this.#originOf(authority);
    if (isPlainTarget) return origin + pathAndQuery;
    // RFC 9112 section 3.3: the combined path and query of '*' is empty.
    if (pathAndQuery === "*") return `${origin}/`;
    try {
      return new URL(origin + withoutCaret(pathAndQuery)).href;
    } catch {
      throw invalidTarget("The request-target is not a valid URL.");
    }
  }

  #originOf(authority: string): string {
    let origin = this.#origins.get(authority);
    if (origin === undefined) {
      try {
        origin = toOrigin(`${this.#scheme}://${authority}`);
      } catch {
        throw new TrivetError("host-invalid", "The host of the request is not a valid host of a URL.");
      }
      if (this.#origins.size >= MAX_KNOWN_AUTHORITIES) this.#origins.clear();
      this.#origins.set(authority, origin);
    }
    this.#lastAuthority = authority;
    this.#lastOrigin = origin;
    return origin;
  }
}

/**
 * The origin of a URL. Node 24 and newer look at a host of ASCII alone no further, though the URL Standard has Punycode
 * in it checked; beside a label that is not ASCII, they do.
 */
function toOrigin(url: string): string {
  const { origin, hostname } = new URL(url);
  if (hostname.includes("xn--")) new URL(`http://\xe4.${hostname}`);
  return origin;
}

/** With "^" encoded in the path, as the URL Standard has it, and not in the query; Deno and Node 20 leave both. */
function withoutCaret(pathAndQuery: string): string {
  const query = pathAndQuery.indexOf("?");
  if (query < 0) return pathAndQuery.replaceAll("^", "%5E");
  return pathAndQuery.slice(0, query).replaceAll("^", "%5E") + pathAndQuery.slice(query);
}

/**
 * RFC 9110 section 7.4: a request for an "https" resource over a connection that is not secured is rejected. The other
 * way round it is not for what this server serves there either.
 */
function misdirected(got: Scheme, expected: Scheme): TrivetError {
  return new TrivetError("misdirected", `The request-target is of ${got}; on this connection ${expected} is served.`);
}

function defaultAuthority(address: Address): string {
  return address.transport === "unix" ? "localhost" : composeAuthority(address.hostname, address.port);
}

function invalidTarget(message: string): TrivetError {
  return new TrivetError("request-target-invalid", message);
}
