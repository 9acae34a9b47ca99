/**
 * A connection that has left HTTP, as the handler on a thread has it.
 *
 * It decides when a connection that its handler has dropped is closed: the event loop holds the streams all the time,
 * so that only here it is known who else does. It must not know how bytes cross.
 *
 * @module
 */

import { TrivetError } from "../api/errors.ts";
import type { UpgradedConnection } from "../api/handler.ts";
import { type GoneClients, type HalfClosed, PeerEnd } from "../exchange/gone_clients.ts";
import { untakenUpgrade } from "../exchange/pending_upgrade.ts";
import type { Address } from "../transport.ts";
import type { ReceivedStream } from "./stream_link.ts";

/** What there is of the connection on its thread. */
export interface UpgradeParts {
  readonly remoteAddr: Address;
  readonly localAddr: Address;
  /** What the peer sends. */
  readonly input: ReceivedStream;
  /** What the peer gets. */
  readonly output: WritableStream<Uint8Array>;
  /** How long the handler may take to take the connection; 0 is without a bound. */
  readonly takeTimeoutMs: number;
  /** Whether everything was sent that ever will be. */
  isOver(): boolean;
}

/** One upgraded connection. */
export class HostedUpgrade implements UpgradedConnection, HalfClosed {
  readonly remoteAddr: Address;
  readonly localAddr: Address;
  readonly input: ReceivedStream;
  readonly #output: WritableStream<Uint8Array>;
  readonly #parts: UpgradeParts;
  readonly #clients: GoneClients;
  readonly #takeByMs: number;
  #isTaken = false;
  #peerEnd: PeerEnd | null = null;

  /**
   * @param parts What there is of it.
   * @param clients Watches it while nothing has taken it, and once its client may be gone.
   */
  constructor(parts: UpgradeParts, clients: GoneClients) {
    this.remoteAddr = parts.remoteAddr;
    this.localAddr = parts.localAddr;
    this.input = parts.input;
    this.#output = parts.output;
    this.#parts = parts;
    this.#clients = clients;
    this.#takeByMs = clients.nowMs() + (parts.takeTimeoutMs || Infinity);
    clients.watch(this);
  }

  get readable(): ReadableStream<Uint8Array> {
    this.#isTaken = true;
    return this.input.readable;
  }

  get writable(): WritableStream<Uint8Array> {
    this.#isTaken = true;
    return this.#output;
  }

  /** The client has sent FIN. */
  endInput(): void {
    this.input.end();
    this.#peerEnd = new PeerEnd(this.#clients);
    this.#peerEnd.expect(this);
  }

  watchGone(nowMs: number): boolean {
    if (this.#parts.isOver()) return false;
    if (!this.#isTaken && nowMs >= this.#takeByMs) return this.#abort(untakenUpgrade());
    const goneAtMs = this.#peerEnd?.goneAtMs ?? Infinity;
    // One that is taken is looked at again from its FIN on, and not even then where that means nothing.
    if (goneAtMs === Infinity) return !this.#isTaken;
    if (nowMs < goneAtMs || this.input.readable.locked || this.#output.locked) return true;
    return this.#abort(new TrivetError("peer-disconnected", "The peer has gone away."));
  }

  /** Returns that it need not be looked at again. */
  #abort(error: TrivetError): false {
    this.#output.abort(error).catch(() => {});
    return false;
  }
}
