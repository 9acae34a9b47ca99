/**
 * An exchange without a connection, for tests of what runs handlers: its owner keeps what it is told.
 *
 * @module
 */

import type { TrivetError } from "../../src/api/errors.ts";
import { Exchange, type ExchangeOwner, type ExchangeResponder } from "../../src/exchange/exchange.ts";
import { EMPTY_FIELD_SECTION } from "../../src/http/field_section.ts";
import { DrainSignal } from "../../src/exchange/drain_signal.ts";
import { RequestHead } from "../../src/http/request_head.ts";
import type { Address } from "../../src/transport.ts";
import { toLazyRequest } from "../../src/web/lazy_request.ts";
import { TurnShare } from "../../src/web/turn_share.ts";

/** An exchange and what became of it. */
export interface PlainExchange {
  readonly exchange: Exchange;
  /** In order: a status that was answered, or the code of an error that was. */
  readonly outcomes: (number | string)[];
  /** Whether its handler was not waited for any longer. */
  isTimedOut: boolean;
}

const ADDRESS: Address = { transport: "tcp", hostname: "10.0.0.1", port: 80 };

/** Makes an exchange for a request without content. */
export function createExchange(method = "GET"): PlainExchange {
  const outcomes: (number | string)[] = [];
  const tell = (exchange: Exchange, outcome: number | string): void => {
    if (exchange.progress !== "awaited") return;
    outcomes.push(outcome);
    exchange.complete();
  };
  const responder: ExchangeResponder = {
    answer: (exchange, { status }) => tell(exchange, status),
    fail: (exchange, error: TrivetError) => tell(exchange, error.code),
    refuse: (exchange, error: TrivetError) => tell(exchange, error.code),
    reportLateError: () => {},
    mayInform: () => false,
    inform: () => {},
    endHandlerTime: () => void (plain.isTimedOut = true),
  };
  const owner: ExchangeOwner = {
    remoteAddress: ADDRESS,
    localAddress: ADDRESS,
    peerAddress: ADDRESS,
    tls: null,
    responder,
    services: {
      toRequest: toLazyRequest,
      drainSignal: new DrainSignal(),
      streamShare: new TurnShare({ nowMs: () => 0, defer: () => {} }),
      webSockets: {
        load: () => null,
        upgrade: () => {
          throw new Error("No WebSocket is asked for.");
        },
        publish: () => {},
      },
    },
    demandContent: () => {},
    contentKeptChanged: () => {},
  };
  const head = new RequestHead(method, "/", true, EMPTY_FIELD_SECTION);
  const plain: PlainExchange = {
    exchange: new Exchange(head, "http://a.test/", owner, null),
    outcomes,
    isTimedOut: false,
  };
  return plain;
}
