/**
 * For whom a proxy asks, where it is trusted to say so.
 *
 * It decides which of the addresses in a field is the client's: the first, from the right, that is
 * no trusted proxy's. What stands further left was written by the client, and anything can be
 * there. It must not know how fields are written.
 *
 * @module
 */

import type { ProxyTrustOptions } from "../api/options.ts";
import type { FieldSection } from "../http/field_section.ts";
import { type Hop, type HopReader, parseNode, readForwarded, readXForwarded } from "../http/forwarded.ts";
import type { Address } from "../transport.ts";
import { TrustedPeers } from "./trusted_peers.ts";

/** The client that asks. */
export interface Client {
  readonly address: Address;
  /** The scheme in which the client has asked; `null` where no proxy says. */
  readonly scheme: "http" | "https" | null;
  /** The host for which the client has asked, unchecked; `null` where no proxy says, or none is to be believed. */
  readonly host: string | null;
}

/** What proxies are trusted with. */
export class ProxyTrust {
  /** `null` where hops are counted and not looked at. */
  readonly #peers: TrustedPeers | null;
  readonly #maxHops: number;
  readonly #read: (fields: FieldSection) => HopReader;
  readonly #takesHost: boolean;

  /** @param options The user's, checked. */
  constructor({ from, header = "x-forwarded", host = false }: ProxyTrustOptions) {
    this.#peers = typeof from === "number" ? null : new TrustedPeers(from);
    this.#maxHops = typeof from === "number" ? from : Infinity;
    this.#read = header === "forwarded" ? readForwarded : readXForwarded;
    this.#takesHost = host;
  }

  /** The client that asks; `null` where that is the peer itself, or one that is not trusted. */
  clientOf(fields: FieldSection, peer: Address): Client | null {
    if (this.#peers !== null && !this.#peers.includes(peer)) return null;
    const next = this.#read(fields);
    let address = peer;
    let last: Hop | null = null;
    for (let hops = 0; hops < this.#maxHops; hops++) {
      const hop = next();
      if (hop === null) break;
      last = hop;
      const node = hop.node === null ? null : parseNode(hop.node);
      // The proxy does not say who it was, or not by an address: the nearest that is known stands for it.
      if (node === null) break;
      address = { transport: "tcp", ...node };
      if (this.#peers !== null && !this.#peers.includes(address)) break;
    }
    if (last === null) return null;
    return { address, scheme: toScheme(last.proto), host: this.#takesHost ? last.host : null };
  }
}

function toScheme(proto: string | null): "http" | "https" | null {
  const lowerCase = proto?.toLowerCase();
  return lowerCase === "http" || lowerCase === "https" ? lowerCase : null;
}
