/**
 * An upgrade between the handler's wish and the connection it gets. It must not know what is spoken then.
 *
 * @module
 */

import { TrivetError } from "../api/errors.ts";
import type { UpgradedConnection } from "../api/handler.ts";

/** An upgrade the handler has asked for, until the 101 is sent. */
export class PendingUpgrade {
  /** Gives the connection once it has left HTTP. */
  readonly connection: Promise<UpgradedConnection>;
  #resolve!: (connection: UpgradedConnection) => void;
  #reject!: (error: unknown) => void;

  constructor() {
    this.connection = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    // A handler may drop the promise: that the upgrade failed is then no unhandled rejection.
    this.connection.catch(() => {});
  }

  /** The 101 was sent. */
  resolve(connection: UpgradedConnection): void {
    this.#resolve(connection);
  }

  /** The 101 will never be sent. */
  reject(error: unknown): void {
    this.#reject(error);
  }
}

/** The error of an upgraded connection that its handler has dropped. */
export function untakenUpgrade(): TrivetError {
  return new TrivetError("handler-timeout", "Neither stream of the upgraded connection was taken in time.");
}
