/**
 * The deadlines of one WebSocket: of a client that is not heard, of a connection without messages, and of its end.
 *
 * It decides what is due. It must not know how that is done.
 *
 * @module
 */

import type { OpenSockets } from "./open_sockets.ts";
import type { WebSocketSettings } from "./settings.ts";

/** What is due at a tick: nothing, a Ping, the close of what is idle, or the end of what did not answer or close. */
export type Due = "nothing" | "ping" | "idle" | "no-pong" | "no-close";

/** When something has to have happened, on the clock of the thread's sockets. */
export class SocketDeadlines {
  readonly #open: OpenSockets;
  readonly #settings: WebSocketSettings;
  #pingAtMs = Infinity;
  #pongAtMs = Infinity;
  #idleAtMs = Infinity;
  #closeAtMs = Infinity;

  constructor(open: OpenSockets, settings: WebSocketSettings) {
    this.#open = open;
    this.#settings = settings;
  }

  /** The shortest of the timeouts. */
  get shortestMs(): number {
    const { pingIntervalMs, pongTimeoutMs, idleTimeoutMs, closeTimeoutMs } = this.#settings;
    return Math.min(pingIntervalMs, pongTimeoutMs, idleTimeoutMs, closeTimeoutMs);
  }

  /** The client was heard, or has taken something; or it could not be heard because it was not read. */
  heard(): void {
    this.#pongAtMs = Infinity;
    this.#pingAtMs = this.#open.deadlineAfter(this.#settings.pingIntervalMs);
  }

  /** A Ping is sent: the client has to be heard. */
  pinged(): void {
    this.#pingAtMs = Infinity;
    this.#pongAtMs = this.#open.deadlineAfter(this.#settings.pongTimeoutMs);
  }

  /** A message has come or gone. */
  used(): void {
    this.#idleAtMs = this.#open.deadlineAfter(this.#settings.idleTimeoutMs);
  }

  /** The connection has to end; calling it again changes nothing. */
  closing(): void {
    if (this.#closeAtMs === Infinity) this.#closeAtMs = this.#open.deadlineAfter(this.#settings.closeTimeoutMs);
  }

  /**
   * What is due.
   *
   * @param isRead Whether the client is read, so that it can be heard.
   */
  dueAt(nowMs: number, isRead: boolean): Due {
    if (nowMs >= this.#closeAtMs) return "no-close";
    if (this.#closeAtMs !== Infinity) return "nothing";
    if (isRead && nowMs >= this.#pongAtMs) return "no-pong";
    if (nowMs >= this.#idleAtMs) return "idle";
    return isRead && nowMs >= this.#pingAtMs ? "ping" : "nothing";
  }
}
