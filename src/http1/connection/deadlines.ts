/**
 * The deadlines of one connection.
 *
 * It decides how long each phase may take. Setting a deadline is a number stored; the server's coarse clock looks at the
 * numbers of all connections at each tick. So the thousands of deadlines that are set and never pass cost nothing.
 *
 * @module
 */

import type { CoarseClock } from "../../exchange/coarse_clock.ts";
import type { ConnectionSettings } from "./service.ts";

/** What a deadline bounds. */
export type DeadlineName = "idle" | "head" | "content" | "handler" | "write" | "linger";

/**
 * How long is read after our FIN, so that the peer can read the response before a reset destroys it (RFC 9112 section
 * 9.6). nginx: lingering_timeout 5 s.
 */
const LINGER_MS = 5_000;
/** The same while the server shuts down, which should not wait for peers that do not close. */
const DRAINING_LINGER_MS = 1_000;

/** No deadline is set. */
const NEVER = Infinity;

/** The deadlines of one connection, in milliseconds of the coarse clock. */
export class Deadlines {
  readonly #clock: CoarseClock;
  readonly #settings: ConnectionSettings;
  #idleAtMs = NEVER;
  #headAtMs = NEVER;
  #contentAtMs = NEVER;
  #handlerAtMs = NEVER;
  #writeAtMs = NEVER;
  #lingerAtMs = NEVER;
  #idleSinceMs = 0;
  #requestBeganAtMs = 0;

  /**
   * @param clock The server's clock.
   * @param settings The server's timeouts.
   */
  constructor(clock: CoarseClock, settings: ConnectionSettings) {
    this.#clock = clock;
    this.#settings = settings;
  }

  /** The connection was accepted. Its first request has the time of a head: who connects means to ask. */
  expectFirstRequest(): void {
    this.#headAtMs = this.#clock.deadlineAfter(this.#settings.headersTimeoutMs);
  }

  /** The wait for the next request on a persistent connection begins. */
  expectRequest(): void {
    this.#idleSinceMs = this.#clock.nowMs;
    this.#idleAtMs = this.#clock.deadlineAfter(this.#settings.keepAliveTimeoutMs);
  }

  /** Whether the wait for the next request, which must be under way, has taken this long already. */
  hasBeenIdleFor(idleForMs: number): boolean {
    return this.#clock.nowMs - this.#idleSinceMs >= idleForMs;
  }

  /** The first byte of a request has come. */
  expectHead(): void {
    this.#requestBeganAtMs = this.#clock.nowMs;
    this.#idleAtMs = NEVER;
    if (this.#headAtMs === NEVER) this.#headAtMs = this.#clock.deadlineAfter(this.#settings.headersTimeoutMs);
  }

  /** The head has come whole, and the handler is called; or it is called once more. */
  expectResponse(): void {
    this.#headAtMs = NEVER;
    this.#handlerAtMs = this.#clock.deadlineAfter(this.#settings.handlerTimeoutMs);
  }

  /** The handler is given so much more time. */
  extendResponse(extraMs: number): void {
    this.#handlerAtMs = this.#clock.deadlineAfter(extraMs);
  }

  /** The handler has given its response. */
  responseGiven(): void {
    this.#handlerAtMs = NEVER;
  }

  /** Content is to come: it has what the head has left of the time of the request. */
  expectContent(): void {
    const { requestTimeoutMs } = this.#settings;
    if (requestTimeoutMs === 0) return;
    const leftMs = requestTimeoutMs - (this.#clock.nowMs - this.#requestBeganAtMs);
    this.#contentAtMs = this.#clock.deadlineAfter(Math.max(1, leftMs));
  }

  /** Time has passed in which the content could not come, through no fault of the peer. */
  suspendContent(elapsedMs: number): void {
    this.#contentAtMs += elapsedMs;
  }

  /** The content has come, or is not waited for any more. */
  contentSettled(): void {
    this.#contentAtMs = NEVER;
  }

  /** The peer has to take what the transport holds. With `again` the wait begins anew, because it has taken some. */
  expectDrain(again: boolean): void {
    if (again || this.#writeAtMs === NEVER) this.#writeAtMs = this.#clock.deadlineAfter(this.#settings.writeTimeoutMs);
  }

  /** The transport holds nothing any more. */
  drained(): void {
    this.#writeAtMs = NEVER;
  }

  /** We have sent FIN; the peer should. The wait is never made longer by asking again. */
  expectPeerEnd(isDraining: boolean): void {
    const atMs = this.#clock.deadlineAfter(isDraining ? DRAINING_LINGER_MS : LINGER_MS);
    this.#lingerAtMs = Math.min(this.#lingerAtMs, atMs);
  }

  /** No request is read any more: only what was written is waited for. */
  stopReading(): void {
    this.#idleAtMs = NEVER;
    this.#headAtMs = NEVER;
    this.#contentAtMs = NEVER;
    this.#handlerAtMs = NEVER;
  }

  /** The connection is gone. */
  clear(): void {
    this.stopReading();
    this.#writeAtMs = NEVER;
    this.#lingerAtMs = NEVER;
  }

  /** The deadline that has passed, that of the latest phase first; or `null`. */
  passed(): DeadlineName | null {
    const { nowMs } = this.#clock;
    if (nowMs >= this.#lingerAtMs) return "linger";
    if (nowMs >= this.#writeAtMs) return "write";
    if (nowMs >= this.#handlerAtMs) return "handler";
    if (nowMs >= this.#contentAtMs) return "content";
    if (nowMs >= this.#headAtMs) return "head";
    if (nowMs >= this.#idleAtMs) return "idle";
    return null;
  }
}
