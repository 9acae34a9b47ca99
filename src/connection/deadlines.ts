/**
 * The deadlines of one connection.
 *
 * Setting a deadline is a number stored; the server's coarse clock looks at the numbers of all connections at each tick.
 * So the thousands of deadlines that are set and never pass cost nothing.
 *
 * @module
 */

/** What a deadline bounds. */
export type DeadlineName = "idle" | "head" | "content" | "handler" | "write" | "linger";

/** No deadline is set. */
const NEVER = Infinity;

/** The deadlines of one connection, in milliseconds of the coarse clock. */
export class Deadlines {
  /** The wait for the next request on a persistent connection. */
  idleAtMs = NEVER;
  /** The wait for the rest of a head. */
  headAtMs = NEVER;
  /** The wait for the rest of the content. */
  contentAtMs = NEVER;
  /** The wait for the handler's response. */
  handlerAtMs = NEVER;
  /** The wait for the peer to take what was written. */
  writeAtMs = NEVER;
  /** The wait for the peer to close after we did. */
  lingerAtMs = NEVER;

  /** The deadline that has passed, the one set for the latest phase first; or `null`. */
  passed(nowMs: number): DeadlineName | null {
    if (nowMs >= this.lingerAtMs) return "linger";
    if (nowMs >= this.writeAtMs) return "write";
    if (nowMs >= this.handlerAtMs) return "handler";
    if (nowMs >= this.contentAtMs) return "content";
    if (nowMs >= this.headAtMs) return "head";
    if (nowMs >= this.idleAtMs) return "idle";
    return null;
  }

  /** Takes all of them back. */
  clear(): void {
    this.idleAtMs = NEVER;
    this.headAtMs = NEVER;
    this.contentAtMs = NEVER;
    this.handlerAtMs = NEVER;
    this.writeAtMs = NEVER;
    this.lingerAtMs = NEVER;
  }
}
