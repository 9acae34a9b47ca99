/**
 * The parsers of request heads that the connections of one server share.
 *
 * It decides who has which. A head nearly always comes whole, and then its parser is free again within the same call; so
 * one parser serves nearly all connections, and only one whose head comes in pieces keeps a parser until it is complete.
 *
 * @module
 */

import { type RequestHeadLimits, RequestHeadParser } from "../codec/request_head.ts";

/** Lends parsers, each of which is at the beginning of a head. */
export class HeadParsers {
  readonly #limits: RequestHeadLimits;
  readonly #decodeLatin1: (bytes: Uint8Array, start: number, end: number) => string;
  #spare: RequestHeadParser | null = null;

  /**
   * @param limits The bounds of a head.
   * @param decodeLatin1 The runtime's fastest way from bytes to a string.
   */
  constructor(limits: RequestHeadLimits, decodeLatin1: (bytes: Uint8Array, start: number, end: number) => string) {
    this.#limits = limits;
    this.#decodeLatin1 = decodeLatin1;
  }

  /** Lends a parser. Who does not bring it back keeps it. */
  lend(): RequestHeadParser {
    const parser = this.#spare ?? new RequestHeadParser(this.#limits, this.#decodeLatin1);
    this.#spare = null;
    return parser;
  }

  /** Takes back a parser that has parsed a whole head. */
  takeBack(parser: RequestHeadParser): void {
    this.#spare = parser;
  }
}
