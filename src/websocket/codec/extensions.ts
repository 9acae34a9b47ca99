/**
 * The extensions that a client offers (RFC 6455 section 9.1), and what is agreed on of permessage-deflate (RFC 7692
 * section 7.1).
 *
 * It decides which offer is accepted and how that is said. It must not know how content is compressed.
 *
 * @module
 */

import { isToken } from "../../http/grammar.ts";
import { trimOws } from "../../http/token_list.ts";

/** One offer: an extension with its parameters, in order. A parameter without a value has `null`. */
export interface ExtensionOffer {
  readonly name: string;
  readonly parameters: readonly (readonly [name: string, value: string | null])[];
}

/** What the server wants of permessage-deflate. */
export interface DeflateSettings {
  /** Whether each message may refer to those before it, in both directions. */
  readonly contextTakeover: boolean;
  /** The window of what the server sends: 2 to the power of it, in bytes; 9 to 15. */
  readonly serverMaxWindowBits: number;
  /** The window of what the client sends; 9 to 15. */
  readonly clientMaxWindowBits: number;
}

/** What was agreed on. */
export interface DeflateAgreement {
  /** Whether what the server sends refers to messages before it, and whether what the client sends does. */
  readonly serverTakesOver: boolean;
  readonly clientTakesOver: boolean;
  readonly serverWindowBits: number;
  readonly clientWindowBits: number;
  /** The element of Sec-WebSocket-Extensions that says so. */
  readonly answer: string;
}

const MIN_WINDOW_BITS = 8;
const MAX_WINDOW_BITS = 15;
/** RFC 7692 section 7.1.2: a decimal number from 8 to 15, without leading zeros. */
const WINDOW_BITS = /^(?:[89]|1[0-5])$/;

/**
 * The offers in the combined value of Sec-WebSocket-Extensions, the preferred first; `null` where it is not valid.
 *
 * `extension = token *( ";" token [ "=" ( token / quoted-string ) ] )`, in a list. What is quoted must be a token once
 * it is unquoted.
 */
export function parseExtensions(value: string): readonly ExtensionOffer[] | null {
  const offers: ExtensionOffer[] = [];
  for (const element of splitUnquoted(value, ",")) {
    if (element === "") continue;
    const [name, ...parameters] = splitUnquoted(element, ";");
    if (!isToken(name)) return null;
    const parsed: [string, string | null][] = [];
    for (const parameter of parameters) {
      const equals = parameter.indexOf("=");
      const parameterName = equals < 0 ? parameter : trimOws(parameter.slice(0, equals));
      const parameterValue = equals < 0 ? null : unquote(trimOws(parameter.slice(equals + 1)));
      if (!isToken(parameterName) || (parameterValue !== null && !isToken(parameterValue))) return null;
      parsed.push([parameterName.toLowerCase(), parameterValue]);
    }
    offers.push({ name: name.toLowerCase(), parameters: parsed });
  }
  return offers;
}

/** Agrees on the first offer of permessage-deflate that can be accepted; `null` where there is none. */
export function agreeOnDeflate(offers: readonly ExtensionOffer[], settings: DeflateSettings): DeflateAgreement | null {
  for (const offer of offers) {
    const agreement = offer.name === "permessage-deflate" ? agreeOnOffer(offer, settings) : null;
    if (agreement !== null) return agreement;
  }
  return null;
}

/** RFC 7692 section 7.1: an offer with a parameter that is unknown, repeated or has a wrong value is declined. */
function agreeOnOffer(offer: ExtensionOffer, settings: DeflateSettings): DeflateAgreement | null {
  const offered = new Map(offer.parameters);
  if (offered.size !== offer.parameters.length || !offer.parameters.every(isValidParameter)) return null;
  const serverBits = offered.get("server_max_window_bits");
  // zlib makes no raw DEFLATE for the smallest window.
  if (serverBits === String(MIN_WINDOW_BITS)) return null;
  const clientBits = offered.get("client_max_window_bits");
  // A client that does not offer to use a smaller window can't be told to.
  if (clientBits === undefined && settings.clientMaxWindowBits < MAX_WINDOW_BITS) return null;

  const serverTakesOver = settings.contextTakeover && !offered.has("server_no_context_takeover");
  const clientTakesOver = settings.contextTakeover && !offered.has("client_no_context_takeover");
  const serverWindowBits = Math.min(settings.serverMaxWindowBits, Number(serverBits ?? MAX_WINDOW_BITS));
  const clientWindowBits = Math.min(settings.clientMaxWindowBits, Number(clientBits ?? MAX_WINDOW_BITS));
  const answer = ["permessage-deflate"];
  if (!serverTakesOver) answer.push("server_no_context_takeover");
  if (!clientTakesOver) answer.push("client_no_context_takeover");
  if (serverWindowBits < MAX_WINDOW_BITS || serverBits !== undefined) {
    answer.push(`server_max_window_bits=${serverWindowBits}`);
  }
  if (clientWindowBits < MAX_WINDOW_BITS) answer.push(`client_max_window_bits=${clientWindowBits}`);
  return { serverTakesOver, clientTakesOver, serverWindowBits, clientWindowBits, answer: answer.join("; ") };
}

function isValidParameter([name, value]: readonly [string, string | null]): boolean {
  switch (name) {
    case "server_no_context_takeover":
    case "client_no_context_takeover":
      return value === null;
    case "server_max_window_bits":
      return value !== null && WINDOW_BITS.test(value);
    case "client_max_window_bits":
      return value === null || WINDOW_BITS.test(value);
    default:
      return false;
  }
}

/** Splits at a separator that does not stand within quotes, and removes the white space around each part. */
function splitUnquoted(text: string, separator: string): string[] {
  const parts: string[] = [];
  let start = 0;
  let isQuoted = false;
  for (let at = 0; at < text.length; at++) {
    const char = text[at];
    if (isQuoted && char === "\\") at++;
    else if (char === '"') isQuoted = !isQuoted;
    else if (char === separator && !isQuoted) {
      parts.push(trimOws(text.slice(start, at)));
      start = at + 1;
    }
  }
  parts.push(trimOws(text.slice(start)));
  return parts;
}

/** The text of a quoted-string (RFC 9110 section 5.6.4), or what was given where it is none. */
function unquote(text: string): string {
  if (text.length < 2 || !text.startsWith('"') || !text.endsWith('"')) return text;
  return text.slice(1, -1).replaceAll(/\\(.)/g, "$1");
}
