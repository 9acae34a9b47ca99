/**
 * TLS handshakes under way: how many there may be, and how long each may take.
 *
 * No limit of the core sees these connections yet, since it learns of a connection when its handshake is done.
 *
 * @module
 */

/** A handshake that takes longer is given up. */
export const HANDSHAKE_TIMEOUT_MS = 10_000;
/** A connection beyond so many handshakes at once is closed. */
export const MAX_HANDSHAKES = 4_096;

/** The handshakes under way at one listener. */
export class Handshakes {
  #count = 0;

  /**
   * Begins one.
   *
   * @param giveUp Called when it takes too long.
   * @returns What is to be called once when it has ended, or `null` when there are too many.
   */
  begin(giveUp: () => void): (() => void) | null {
    if (this.#count >= MAX_HANDSHAKES) return null;
    this.#count++;
    const timer = setTimeout(giveUp, HANDSHAKE_TIMEOUT_MS);
    return () => {
      clearTimeout(timer);
      this.#count--;
    };
  }
}
