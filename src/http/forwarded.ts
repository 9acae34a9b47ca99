/**
 * What proxies say of the request they pass on: `Forwarded` (RFC 7239) and the `X-Forwarded` fields.
 *
 * It decides what one proxy has said. Each adds behind what was there, so that only the end of a field was written by
 * the proxy that is nearest, and a client can put anything before that: both are read from the right, and nothing
 * further left changes what was read. It must not know which of the proxies are trusted.
 *
 * @module
 */

import type { FieldSection } from "./field_section.ts";
import { isToken } from "./grammar.ts";
import { formatIp, parseIp } from "./ip_address.ts";
import { trimOws } from "./token_list.ts";

/** What one proxy says of what has connected to it; `null` for what it does not say. */
export interface Hop {
  /** An address, perhaps with a port, or a name that stands for one: see {@linkcode parseNode}. */
  readonly node: string | null;
  readonly proto: string | null;
  readonly host: string | null;
}

/** Gives what proxies have said one after another, the nearest first, and then `null`. */
export type HopReader = () => Hop | null;

/** An end of a connection as proxies write it. */
export interface Node {
  readonly hostname: string;
  /** 0 where it is not told. */
  readonly port: number;
}

/** `host [ ":" port ]`, the host an IPv6 address in brackets or without a colon. */
const NODE = /^(?:\[([^\[\]]*)\]|([^:\[\]]*))(?::(\d{1,5}))?$/;

/**
 * Reads an address (RFC 7239 section 6): an IPv6 address with a port must be in brackets, and one without may be, as
 * X-Forwarded-For has it. `null` for "unknown", for obfuscated names, and for what is no address.
 */
export function parseNode(text: string): Node | null {
  const bare = parseIp(text);
  if (bare !== null) return { hostname: formatIp(bare), port: 0 };
  const match = NODE.exec(text);
  if (match === null) return null;
  const [, inBrackets, plain, port = "0"] = match;
  const host = inBrackets ?? plain;
  const address = parseIp(host);
  if (address === null || host.includes(":") !== (inBrackets !== undefined) || Number(port) > 65535) return null;
  return { hostname: formatIp(address), port: Number(port) };
}

/**
 * Reads `X-Forwarded-For`, `-Proto` and `-Host`. A proxy that adds to one need not add to another: where a list is
 * shorter than what is asked of it, its first element holds.
 */
export function readXForwarded(fields: FieldSection): HopReader {
  const nodes = splitList(fields.get("x-forwarded-for"));
  const protos = splitList(fields.get("x-forwarded-proto"));
  const hosts = splitList(fields.get("x-forwarded-host"));
  const count = Math.max(nodes.length, Math.min(1, protos.length + hosts.length));
  let at = 0;
  return () => {
    if (at >= count) return null;
    at++;
    return {
      node: nodes.at(-at) ?? null,
      proto: protos.at(-at) ?? protos[0] ?? null,
      host: hosts.at(-at) ?? hosts[0] ?? null,
    };
  };
}

function splitList(value: string | null): string[] {
  // Empty elements of a list are ignored (RFC 9110 section 5.6.1.2).
  return value === null ? [] : value.split(",").map(trimOws).filter((element) => element !== "");
}

/**
 * Reads `Forwarded = 1#forwarded-element` (RFC 7239 section 4).
 *
 * An element that is not of that form is one of which nothing is known, and the last.
 */
export function readForwarded(fields: FieldSection): HopReader {
  const value = fields.get("forwarded") ?? "";
  let end = value.length;
  return () => {
    while (end > 0) {
      const start = startOfElement(value, end);
      const element = trimOws(value.slice(start, end));
      end = start - 1;
      if (element === "") continue;
      const hop = parseElement(element);
      if (hop === null) end = 0;
      return hop ?? UNKNOWN_HOP;
    }
    return null;
  };
}

const UNKNOWN_HOP: Hop = { node: null, proto: null, host: null };

/** Where the last element before `end` begins: behind a comma that is in no quoted-string. */
function startOfElement(value: string, end: number): number {
  let isQuoted = false;
  for (let at = end - 1; at >= 0; at--) {
    const char = value[at];
    if (char === '"') {
      if (!isQuoted) isQuoted = true;
      else if (!isEscaped(value, at)) isQuoted = false;
    } else if (char === "," && !isQuoted) return at + 1;
  }
  return 0;
}

/** Whether a char is escaped: an odd number of backslashes stands before it. */
function isEscaped(value: string, at: number): boolean {
  let first = at;
  while (value[first - 1] === "\\") first--;
  return (at - first) % 2 === 1;
}

/** `forwarded-pair = token "=" ( token / quoted-string )`. */
const PAIR = /([^\s=;,"]+)=(?:([^\s=;,"]+)|"((?:[^"\\]|\\.)*)")/y;

/** `[ forwarded-pair ] *( ";" [ forwarded-pair ] )`; proxies write white space around the semicolons too. */
function parseElement(element: string): Hop | null {
  const values = new Map<string, string>();
  for (let at = skip(element, 0); at < element.length;) {
    PAIR.lastIndex = at;
    const match = PAIR.exec(element);
    if (match === null) return null;
    const [, name, token, quoted] = match;
    const lowerCaseName = name.toLowerCase();
    // A parameter must not come twice in an element.
    if (!isToken(name) || (token !== undefined && !isToken(token)) || values.has(lowerCaseName)) return null;
    const end = PAIR.lastIndex;
    const next = skip(element, end);
    if (next < element.length && !element.slice(end, next).includes(";")) return null;
    at = next;
    values.set(lowerCaseName, token ?? quoted.replace(/\\(.)/g, "$1"));
  }
  return {
    node: values.get("for") ?? null,
    proto: values.get("proto") ?? null,
    host: values.get("host") ?? null,
  };
}

/** The place behind semicolons and white space. */
function skip(text: string, start: number): number {
  let at = start;
  while (at < text.length && "; \t".includes(text[at])) at++;
  return at;
}
