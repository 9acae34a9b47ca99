/**
 * The content of one request while it comes, and how fast it comes (`minDataRate`).
 *
 * It decides whether its peer or its reader is waited for, and when the peer is too slow. It must not know what follows
 * from that.
 *
 * @module
 */

import { TrivetError } from "../../api/errors.ts";
import type { Exchange } from "../../exchange/exchange.ts";
import type { Lifecycle } from "./lifecycle.ts";
import type { ConnectionSettings } from "./service.ts";

/** Content on its way to an exchange. */
export class Arrival {
  readonly exchange: Exchange;
  #activeMs = 0;

  constructor(exchange: Exchange) {
    this.exchange = exchange;
  }

  /** Whether more is kept than the reader takes for now. */
  get isHeld(): boolean {
    return this.exchange.content.isHeld;
  }

  /**
   * Whether time passes that is not the peer's: the handler lets the content wait. A handler that has answered, or that
   * awaits the trailers of content it does not read, only waits for the peer.
   */
  get isExcused(): boolean {
    const { progress, waitsForTrailers } = this.exchange;
    return this.isHeld && (progress === "awaited" || progress === "begun") && !waitsForTrailers;
  }

  /** Passes a borrowed piece on. */
  append(bytes: Uint8Array, start: number, end: number): void {
    this.exchange.content.append(bytes, start, end);
  }

  /**
   * Counts time, for the peer or for the handler.
   *
   * @param elapsedMs How much.
   * @param receivedBytes What has come in all, with its framing.
   * @param life Whose deadline moves by time that is not the peer's.
   * @returns The error of a peer that is too slow, or `null`.
   */
  watch(elapsedMs: number, receivedBytes: number, settings: ConnectionSettings, life: Lifecycle): TrivetError | null {
    if (this.isExcused) {
      life.extendReading(elapsedMs);
      return null;
    }
    const { minContentBytesPerSecond, contentRateGraceMs } = settings;
    this.#activeMs += elapsedMs;
    if (minContentBytesPerSecond === 0 || this.#activeMs <= contentRateGraceMs) return null;
    if (receivedBytes * 1000 >= minContentBytesPerSecond * this.#activeMs) return null;
    return new TrivetError(
      "data-rate-too-low",
      `The content came slower than ${minContentBytesPerSecond} bytes a second.`,
    );
  }

  /** The error of content that did not come in time. */
  timeout(): TrivetError {
    const advice = this.exchange.waitsForTrailers ? ": read the body before you await its trailers." : ".";
    return new TrivetError("content-timeout", `The content did not come whole in time${advice}`);
  }
}
