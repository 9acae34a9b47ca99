/**
 * The header of the PROXY protocol, versions 1 and 2, by which a proxy says for whom it has opened a connection.
 *
 * It decides where the header ends and whose address it tells, from all bytes that have come: bytes
 * in, values out. It must not know which peers may send one. Source: The PROXY protocol, versions 1
 * and 2, revision 2020/03/05, by Willy Tarreau.
 *
 * @module
 */

import { TrivetError } from "../api/errors.ts";
import { formatIp, parseIp } from "../http/ip_address.ts";
import type { Address } from "../transport.ts";

/** A header that has come whole. */
export interface ProxyHeader {
  /** How long it is. What comes behind it is the connection itself. */
  readonly byteLength: number;
  /** For whom the connection was opened; `null` where the header leaves that at the socket's address. */
  readonly source: Address | null;
}

/** The longest header of version 2. Of it, 232 bytes are the most that addresses take; the rest is what proxies add. */
const MAX_V2_BYTES = 4096;

/** Section 2.1: the longest line of version 1, with its CRLF. */
const MAX_V1_BYTES = 107;
const V1_PREFIX = toBytes("PROXY ");
const V1_UNKNOWN = /^PROXY UNKNOWN(?: [\x20-\x7e]*)?$/;
const V1_TCP = /^PROXY (TCP4|TCP6) ([0-9A-Fa-f:.]+) ([0-9A-Fa-f:.]+) (0|[1-9]\d{0,4}) (0|[1-9]\d{0,4})$/;
const CR = 0x0d;
const LF = 0x0a;

/** Section 2.2. */
const V2_SIGNATURE = toBytes("\r\n\r\n\0\r\nQUIT\n");
const V2_START_BYTES = 16;
const LOCAL = 0x20;
const PROXY = 0x21;
/** Families with a stream above them, and how many bytes their addresses and ports take. A stream is what this is. */
const UNSPECIFIED = 0x00;
const TCP_OVER_IPV4 = 0x11;
const TCP_OVER_IPV6 = 0x21;
const UNIX_STREAM = 0x31;
const V2_ADDRESS_BYTES: ReadonlyMap<number, number> = new Map([
  [UNSPECIFIED, 0],
  [TCP_OVER_IPV4, 12],
  [TCP_OVER_IPV6, 36],
  [UNIX_STREAM, 216],
]);

/**
 * Reads the header that a connection begins with.
 *
 * @param bytes All bytes of the connection that have come.
 * @returns `null` while it has not come whole.
 * @throws {TrivetError} `proxy-header-invalid` as soon as it can't become one.
 */
export function readProxyHeader(bytes: Uint8Array): ProxyHeader | null {
  return bytes[0] === V2_SIGNATURE[0] ? readV2(bytes) : readV1(bytes);
}

function readV1(bytes: Uint8Array): ProxyHeader | null {
  if (!startsLike(bytes, V1_PREFIX)) throw invalid("The connection does not begin with a PROXY header");
  const crAt = bytes.subarray(0, MAX_V1_BYTES - 1).indexOf(CR);
  if (crAt < 0 && bytes.byteLength >= MAX_V1_BYTES) {
    throw invalid(`The PROXY line is longer than ${MAX_V1_BYTES} bytes`);
  }
  if (crAt < 0 || crAt + 1 === bytes.byteLength) return null;
  if (bytes[crAt + 1] !== LF) throw invalid("The PROXY line does not end with CR and LF");
  const line = String.fromCharCode(...bytes.subarray(0, crAt));
  const byteLength = crAt + 2;
  if (V1_UNKNOWN.test(line)) return { byteLength, source: null };
  const match = V1_TCP.exec(line);
  if (match === null) throw invalid("The PROXY line is not of the form `PROXY TCP4 source destination port port`");
  const [, family, source, destination, port] = match;
  const isOfFamily = (text: string): boolean => text.includes(":") === (family === "TCP6") && parseIp(text) !== null;
  if (!isOfFamily(source) || !isOfFamily(destination)) throw invalid("The PROXY line has an address of another family");
  if (Math.max(Number(port), Number(match[5])) > 65535) throw invalid("The PROXY line has a port above 65535");
  return { byteLength, source: { transport: "tcp", hostname: formatIp(parseIp(source)!), port: Number(port) } };
}

function readV2(bytes: Uint8Array): ProxyHeader | null {
  if (!startsLike(bytes, V2_SIGNATURE)) throw invalid("The connection does not begin with a PROXY header");
  if (bytes.byteLength < V2_START_BYTES) return null;
  const [versionAndCommand, family] = bytes.subarray(V2_SIGNATURE.byteLength);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const byteLength = V2_START_BYTES + view.getUint16(14);
  if (versionAndCommand !== LOCAL && versionAndCommand !== PROXY) {
    throw invalid("The PROXY header has a version that is not 2, or an unknown command");
  }
  const addressBytes = V2_ADDRESS_BYTES.get(family);
  // Section 2.2: what a proxy says of its own connection is skipped, whatever it is.
  if (versionAndCommand === PROXY && addressBytes === undefined) {
    throw invalid("The PROXY header is for a protocol that is neither TCP nor a Unix domain socket");
  }
  if (byteLength > MAX_V2_BYTES) throw invalid(`The PROXY header is longer than ${MAX_V2_BYTES} bytes`);
  if (versionAndCommand === PROXY && byteLength < V2_START_BYTES + addressBytes!) {
    throw invalid("The PROXY header is shorter than its addresses");
  }
  if (bytes.byteLength < byteLength) return null;
  return { byteLength, source: versionAndCommand === PROXY ? readV2Source(view, family) : null };
}

/** What proxies add behind the addresses is for nothing here, and is not looked at. */
function readV2Source(view: DataView, family: number): Address | null {
  const groupsAt = (at: number, count: number): number[] =>
    Array.from({ length: count }, (_, i) => view.getUint16(at + 2 * i));
  switch (family) {
    case TCP_OVER_IPV4:
      return tcp([0, 0, 0, 0, 0, 0xffff, ...groupsAt(V2_START_BYTES, 2)], view.getUint16(V2_START_BYTES + 8));
    case TCP_OVER_IPV6:
      return tcp(groupsAt(V2_START_BYTES, 8), view.getUint16(V2_START_BYTES + 32));
    case UNIX_STREAM:
      return { transport: "unix", path: "" };
    default:
      return null;
  }
}

function tcp(address: readonly number[], port: number): Address {
  return { transport: "tcp", hostname: formatIp(address), port };
}

/** Whether one of both begins with the other. */
function startsLike(bytes: Uint8Array, prefix: Uint8Array): boolean {
  for (let at = 0; at < prefix.byteLength && at < bytes.byteLength; at++) {
    if (bytes[at] !== prefix[at]) return false;
  }
  return true;
}

function toBytes(text: string): Uint8Array {
  return Uint8Array.from(text, (char) => char.charCodeAt(0));
}

function invalid(message: string): TrivetError {
  return new TrivetError("proxy-header-invalid", `${message}.`);
}
