/**
 * For whom and under which URI a request asks, where a proxy may say so.
 *
 * It puts together what is trusted of proxies and what the target says. It must not know which proxies are trusted.
 *
 * @module
 */

import type { Client, ProxyTrust } from "../../exchange/proxy_trust.ts";
import type { RequestHead, Scheme } from "../../http/request_head.ts";
import type { Address } from "../../transport.ts";
import { type ArrivalPlace, isAuthority, TargetUriComposer } from "../codec/request_target.ts";

/** Which client asks, and for what. */
export interface RequestOrigin {
  /** The target URI as the client has asked for it. */
  readonly uri: string;
  /** The client's address; `null` where it is the peer's. */
  readonly client: Address | null;
}

type TargetHead = Pick<RequestHead, "scheme" | "authority" | "pathAndQuery" | "isPlainTarget" | "fields">;

/** Where a request arrived, and from whom. */
export interface ArrivalEnds extends ArrivalPlace {
  readonly remoteAddress: Address;
}

/** Finds the client that asks. */
export class RequestOrigins {
  readonly #trust: ProxyTrust;
  readonly #scheme: Scheme;
  readonly #composers: Readonly<Record<Scheme, TargetUriComposer>> = {
    http: new TargetUriComposer("http"),
    https: new TargetUriComposer("https"),
  };

  /**
   * @param trust What is trusted of which proxies.
   * @param scheme What the connections themselves speak.
   */
  constructor(trust: ProxyTrust, scheme: Scheme) {
    this.#trust = trust;
    this.#scheme = scheme;
  }

  /** @throws {TrivetError} As {@linkcode TargetUriComposer.compose} does. */
  find(head: TargetHead, arrival: ArrivalEnds): RequestOrigin {
    const client = this.#trust.clientOf(head.fields, arrival.remoteAddress);
    if (client === null) return { uri: this.#composers[this.#scheme].compose(head, arrival), client };
    return { uri: this.#compose(head, client, arrival), client: client.address };
  }

  #compose(head: TargetHead, { scheme: asked, host }: Client, arrival: ArrivalEnds): string {
    const composer = this.#composers[asked ?? this.#scheme];
    const uri = composer.compose(head, arrival);
    if (host === null || !isAuthority(host)) return uri;
    try {
      const { scheme, pathAndQuery, isPlainTarget } = head;
      return composer.compose({ scheme, authority: host, pathAndQuery, isPlainTarget }, arrival);
    } catch {
      // A host that no URL can have is ignored, as if the proxy had not said one.
      return uri;
    }
  }
}
