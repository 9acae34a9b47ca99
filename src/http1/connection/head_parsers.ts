/**
 * The parsers of request heads that the connections of one server share.
 *
 * It decides which connection has which. A head nearly always comes whole, and then its parser is free again within the
 * same call; so one parser serves nearly all connections, and only one whose head comes in pieces keeps a parser until
 * it is complete.
 *
 * @module
 */

import { type RequestHeadLimits, RequestHeadParser } from "../codec/request_head.ts";

/** Has a parser for every head that comes whole, and makes one for each of the others. */
export class HeadParsers {
  readonly #limits: RequestHeadLimits;
  readonly #decodeLatin1: (bytes: Uint8Array, start: number, end: number) => string;
  /** The parser at the beginning of a head, for a head that comes whole. */
  shared: RequestHeadParser;

  /**
   * @param limits The bounds of a head.
   * @param decodeLatin1 The runtime's fastest way from bytes to a string.
   */
  constructor(limits: RequestHeadLimits, decodeLatin1: (bytes: Uint8Array, start: number, end: number) => string) {
    this.#limits = limits;
    this.#decodeLatin1 = decodeLatin1;
    this.shared = new RequestHeadParser(limits, decodeLatin1);
  }

  /**
   * Gives the shared parser to a connection whose head has not come whole, or is bad, and puts a new one in its place.
   */
  giveAway(): RequestHeadParser {
    const parser = this.shared;
    this.shared = new RequestHeadParser(this.#limits, this.#decodeLatin1);
    return parser;
  }
}
