/**
 * What every connection has, whatever is spoken on it: its two ends, and its places in the lists that hold it.
 *
 * @module
 */

import type { Address, TlsInfo, TransportConnection } from "../transport.ts";

/** A connection that was accepted. */
export abstract class AcceptedConnection {
  placeAmongOpen = 0;
  placeInLine = 0;
  wasRefused = false;
  protected readonly transport: TransportConnection;
  /** For whom a proxy has opened it, by the PROXY protocol; `null` where that is its peer. */
  protected source: Address | null;

  constructor(transport: TransportConnection, source: Address | null) {
    this.transport = transport;
    this.source = source;
  }

  get remoteAddress(): Address {
    return this.source ?? this.transport.remoteAddress;
  }

  get peerAddress(): Address {
    return this.transport.remoteAddress;
  }

  get localAddress(): Address {
    return this.transport.localAddress;
  }

  get tls(): TlsInfo | null {
    return this.transport.tls;
  }
}
