/**
 * The opening handshake (RFC 6455 section 4.2) of a request that asks for a WebSocket, and what is answered.
 *
 * It decides which requests are refused and why, and which protocol is spoken. It must not know how the connection is
 * taken over.
 *
 * @module
 */

import { TrivetError } from "../api/errors.ts";
import type { WebSocketOptions } from "../api/websocket.ts";
import { isToken } from "../http/grammar.ts";
import type { RequestHead } from "../http/request_head.ts";
import { trimOws } from "../http/token_list.ts";
import { type ExtensionOffer, parseExtensions } from "./codec/extensions.ts";

/** RFC 6455 section 1.3. */
const KEY_SUFFIX = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
/** 16 bytes in base64: the last char before the padding has four bits that stand for nothing and are clear. */
const KEY = /^[A-Za-z0-9+/]{21}[AQgw]==$/;
const VERSION = "13";

/** What a request asks for. */
export interface Handshake {
  /** What proves that the key was read: the value of Sec-WebSocket-Accept. */
  readonly accept: string;
  /** The protocol that was chosen; empty where none was. */
  readonly protocol: string;
  /** What the client offers. */
  readonly extensions: readonly ExtensionOffer[];
}

/**
 * Reads the handshake of a request: GET, with `websocket` in Upgrade.
 *
 * @param head The head of the request.
 * @param uri Its target URI.
 * @param options What the handler wants.
 * @param sha1 The runtime's digest.
 * @throws {TrivetError} For a request that is none or is not wanted; its status is what the client gets.
 */
export function readHandshake(
  head: RequestHead,
  uri: string,
  options: WebSocketOptions,
  sha1: (bytes: Uint8Array) => Uint8Array,
): Handshake {
  const { fields } = head;
  if (head.contentLength !== 0) throw invalid("A request for a WebSocket has no content.");
  if (fields.get("sec-websocket-version") !== VERSION) throw upgradeRequired("Sec-WebSocket-Version must be 13.");
  const key = fields.get("sec-websocket-key");
  if (key === null || !KEY.test(key)) throw invalid("Sec-WebSocket-Key must be 16 bytes in base64.");
  const protocols = parseProtocols(fields.get("sec-websocket-protocol"));
  const extensions = parseExtensions(fields.get("sec-websocket-extensions") ?? "");
  if (extensions === null) throw invalid("Sec-WebSocket-Extensions is not valid.");
  if (!isOriginAllowed(fields.get("origin"), uri, options.origin)) {
    throw new TrivetError("websocket-origin-refused", "WebSockets are not for pages of this origin.");
  }
  const accept = toBase64(sha1(new TextEncoder().encode(key + KEY_SUFFIX)));
  return { accept, protocol: chooseProtocol(protocols, options.protocol), extensions };
}

/** RFC 6455 section 4.1, item 10: tokens, each of them once. */
function parseProtocols(value: string | null): readonly string[] {
  if (value === null) return [];
  // RFC 9110 section 5.6.1.2: empty elements are ignored.
  const protocols = value.split(",").map(trimOws).filter((protocol) => protocol !== "");
  if (protocols.length === 0 || !protocols.every(isToken) || new Set(protocols).size !== protocols.length) {
    throw invalid("Sec-WebSocket-Protocol must have tokens, each once.");
  }
  return protocols;
}

/** The server's preference decides. Protocols are compared as they are, with regard to case. */
function chooseProtocol(offered: readonly string[], wanted: WebSocketOptions["protocol"]): string {
  if (wanted === undefined) return "";
  if (typeof wanted !== "function") {
    const preferred = typeof wanted === "string" ? [wanted] : wanted;
    return preferred.find((protocol) => offered.includes(protocol)) ?? "";
  }
  const chosen = wanted(offered) ?? "";
  if (chosen === "" || offered.includes(chosen)) return chosen;
  throw new TypeError(
    `The function protocol gave ${JSON.stringify(chosen)}, expected one of the protocols it was given or undefined.`,
  );
}

function isOriginAllowed(origin: string | null, uri: string, allowed: WebSocketOptions["origin"]): boolean {
  if (allowed === undefined) return true;
  if (typeof allowed === "function") {
    const given: unknown = allowed(origin);
    if (typeof given === "boolean") return given;
    // A promise, which is true whatever comes of it, must let no page in.
    throw new TypeError(`The function \`origin\` must give true or false at once, got ${typeof given}.`);
  }
  if (origin === null) return false;
  if (allowed !== "same") return allowed.includes(origin);
  // A proxy that ends TLS leaves the host as it was and not the scheme, so that only the host tells.
  return URL.canParse(origin) && new URL(origin).host === new URL(uri).host;
}

function toBase64(bytes: Uint8Array): string {
  return btoa(String.fromCharCode(...bytes));
}

function invalid(message: string): TrivetError {
  return new TrivetError("websocket-request-invalid", message);
}

function upgradeRequired(message: string): TrivetError {
  return new TrivetError("websocket-upgrade-required", message);
}
