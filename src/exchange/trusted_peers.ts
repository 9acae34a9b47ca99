/**
 * Which peers are trusted to say for whom they speak.
 *
 * It must not know what they say, nor how.
 *
 * @module
 */

import { IpRanges, parseIp } from "../http/ip_address.ts";
import type { Address } from "../transport.ts";

/** This machine (RFC 6890 sections 2.2.2 and 2.2.3). */
const LOOPBACK = ["127.0.0.0/8", "::1/128"];
const LOOPBACK_ADDRESS = "127.0.0.1";

/** The peers that are trusted. */
export class TrustedPeers {
  readonly #ranges: IpRanges;
  /** A proxy opens many connections: the last answer is nearly always the next one. */
  #lastHostname = "";
  #lastAnswer = false;

  /** @param from "loopback", or the ranges of their addresses. */
  constructor(from: "loopback" | readonly string[]) {
    this.#ranges = new IpRanges(from === "loopback" ? LOOPBACK : from);
  }

  /** Whether a peer is among them. The peers of a Unix domain socket are on this machine. */
  includes(peer: Address): boolean {
    const hostname = peer.transport === "unix" ? LOOPBACK_ADDRESS : peer.hostname;
    if (hostname === this.#lastHostname) return this.#lastAnswer;
    // The system names the interface of a link-local address behind it: "fe80::1%eth0".
    const zoneAt = hostname.indexOf("%");
    const address = parseIp(zoneAt < 0 ? hostname : hostname.slice(0, zoneAt));
    this.#lastHostname = hostname;
    return this.#lastAnswer = address !== null && this.#ranges.includes(address);
  }
}
