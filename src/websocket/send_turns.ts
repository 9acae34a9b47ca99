/**
 * The sending of all WebSockets of a thread: once a turn, and not more than the thread can keep.
 *
 * It decides when what sockets have gathered leaves, and which of them is lost when their clients together do not keep
 * up. It must not know what is sent.
 *
 * @module
 */

import type { Clock } from "../runtime.ts";
import type { OpenSockets } from "./open_sockets.ts";

/** What may wait for all clients of a thread together. */
export const MAX_KEPT_BYTES = 256 * 1024 * 1024;

/** A socket that has gathered something. */
export interface GatheringSocket {
  /** The turn is over. */
  endTurn(): void;
}

/** The turns of one thread. */
export class SendTurns {
  readonly #defer: Clock["defer"];
  readonly #open: OpenSockets;
  #gathering: GatheringSocket[] = [];
  #keptBytes = 0;
  #isReliefDue = false;

  /**
   * @param defer Calls back when the turn is over.
   * @param open The sockets of the thread.
   */
  constructor(defer: Clock["defer"], open: OpenSockets) {
    this.#defer = defer;
    this.#open = open;
  }

  /** A socket has gathered something that is to leave when the turn is over. */
  gather(socket: GatheringSocket): void {
    if (this.#gathering.push(socket) === 1) this.#defer(() => this.#end());
  }

  /**
   * So many bytes more, or less, wait for a client. Too many are seen to when the turn is over,
   * whatever has sent them.
   */
  keptBytesChanged(bytes: number): void {
    this.#keptBytes += bytes;
    if (this.#keptBytes <= MAX_KEPT_BYTES || this.#isReliefDue) return;
    this.#isReliefDue = true;
    this.#defer(() => {
      this.#isReliefDue = false;
      this.relieve();
    });
  }

  /** Where too much waits for all clients together, those for which the most waits are lost, one after another. */
  relieve(): void {
    while (this.#keptBytes > MAX_KEPT_BYTES) {
      const largest = this.#open.largest();
      if (largest === null || largest.keptBytes === 0) return;
      largest.loseForAll();
    }
  }

  #end(): void {
    const gathering = this.#gathering;
    this.#gathering = [];
    for (const socket of gathering) socket.endTurn();
  }
}
