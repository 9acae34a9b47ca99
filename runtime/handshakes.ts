/**
 * TLS handshakes under way: how many there may be, and how long each may take.
 *
 * No limit of the core sees these connections yet, since it learns of a connection when its handshake is done.
 *
 * @module
 */

/** The bounds of handshakes. An object, so that a test can lower them before it listens. */
export const HANDSHAKE_LIMITS = {
  /** A connection beyond so many handshakes at once is closed. */
  maxAtOnce: 4_096,
  /** A handshake that takes longer is given up. */
  timeoutMs: 10_000,
};

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
    if (this.#count >= HANDSHAKE_LIMITS.maxAtOnce) return null;
    this.#count++;
    const timer = setTimeout(giveUp, HANDSHAKE_LIMITS.timeoutMs);
    return () => {
      clearTimeout(timer);
      this.#count--;
    };
  }
}
