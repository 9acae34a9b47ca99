/**
 * The answering side of a connection: from the answer of a handler to the last byte that was gathered for sending.
 *
 * It decides which response an exchange gets, that of the handler, that of `onError` or the standard one, and whether
 * the connection persists behind it. It moves the state of writing from `awaiting` to `done`, wakes the driver of the
 * connection and otherwise knows nothing of it.
 *
 * @module
 */

import { toTrivetError, TrivetError } from "../../api/errors.ts";
import { createErrorResponse } from "../../exchange/error_response.ts";
import type { Exchange, ExchangeResponder } from "../../exchange/exchange.ts";
import { isHealthCheck } from "../../exchange/health_check.ts";
import { discardSource } from "../../web/read_response.ts";
import type { ResponseSource } from "../../web/response_source.ts";
import type { Http1RequestHead } from "../codec/request_head.ts";
import * as State from "./lifecycle.ts";
import type { Lifecycle } from "./lifecycle.ts";
import type { Outbound } from "./outbound.ts";
import { askForRescue, countRefusal, reportFailure } from "./rescue.ts";
import type { RequestDecoder } from "./request_decoder.ts";
import * as Progress from "./response_writer.ts";
import { ResponseWriter } from "./response_writer.ts";
import type { ConnectionService } from "./service.ts";
import { Undelivered } from "./undelivered.ts";

/** A known rest of content that may be skipped to keep a connection; beyond it a new one is cheaper for both sides. */
const MAX_SKIPPED_BYTES = 256 * 1024;

const CONTINUE = "HTTP/1.1 100 Continue\r\n\r\n";

/** What the responder is told by what reads the connection. */
export interface ReadingSide {
  /** Bytes of the present content still to come; `null` when that is not known. */
  readonly remainingBytes: number | null;
  /** Bytes that have come and were not looked at. */
  readonly pendingBytes: number;
}

/** Answers the exchanges of one connection, one after another. */
export class Responder implements ExchangeResponder {
  /** The exchange whose response is not complete. */
  exchange: Exchange | null = null;
  /** Whether no request is taken behind the present one. */
  isLast = false;
  readonly writer: ResponseWriter;
  readonly #service: ConnectionService;
  readonly #life: Lifecycle;
  readonly #outbound: Outbound;
  readonly #reading: ReadingSide;
  readonly #wake: () => void;
  /** What `onError` was asked to give a response for. */
  #rescued: TrivetError | null = null;
  #requests = 0;
  /** When the present request has begun, where that is observed. */
  #beganAtMs = 0;
  /** Responses that the transport has not taken. */
  #undelivered: Undelivered | null = null;

  /** @param wake Turns the loop of the driver. */
  constructor(
    service: ConnectionService,
    life: Lifecycle,
    outbound: Outbound,
    reading: ReadingSide,
    wake: () => void,
  ) {
    this.#service = service;
    this.#life = life;
    this.#outbound = outbound;
    this.#reading = reading;
    this.#wake = wake;
    this.writer = new ResponseWriter(service, outbound, wake);
  }

  /** Whether anything waits to hear that a response was delivered. */
  get isAwaited(): boolean {
    return this.exchange !== null || this.#undelivered?.isEmpty === false;
  }

  /**
   * Whether a connection that waits for its turn is answered before it: a load balancer is, and its connection closes.
   */
  answersBeforeTurn(decoder: RequestDecoder): boolean {
    const { healthPath } = this.#service;
    if (healthPath === undefined || decoder.pendingBytes === 0) return false;
    const head = decoder.peekHead();
    if (head === null || !isHealthCheck(head, healthPath)) return false;
    this.isLast = true;
    this.#life.enter(State.FIRST, State.NONE);
    return true;
  }

  /** Awaits the response to a request. */
  expect(exchange: Exchange, head: Http1RequestHead): void {
    const { counters, observer } = this.#service;
    counters.activeExchanges++;
    this.exchange = exchange;
    if (observer !== null) observer.requestBegun(exchange, this.#beganAtMs = this.#service.turnClock.nowMs());
    this.#rescued = null;
    this.#requests++;
    if (!head.persistent) this.isLast = true;
    this.writer.method = head.method;
    this.writer.minorVersion = head.minorVersion;
    this.writer.status = 0;
    this.writer.contentBytes = 0;
  }

  // What the exchange asks for.

  answer(exchange: Exchange, source: ResponseSource): void {
    if (exchange !== this.exchange || this.#life.writing !== State.AWAITING) {
      discardSource(source);
      return;
    }
    const isUpgrade = source.status === 101 || exchange.pendingUpgrade !== null;
    const error = isUpgrade ? exchange.settleUpgrade(source.status) : null;
    if (error === null) this.#send(exchange, source);
    else this.fail(exchange, error);
  }

  fail(exchange: Exchange, error: TrivetError): void {
    if (!this.#isAwaiting(exchange)) return;
    const rescue = askForRescue(this.#service, exchange, error);
    if (rescue === null) {
      this.sendError(error);
      return;
    }
    this.#rescued = error;
    this.#life.boundRescue();
    rescue.then((source) => {
      if (!this.#isAwaiting(exchange)) {
        if (source !== null) discardSource(source);
      } else if (source === null) this.sendError(error);
      else this.#send(exchange, source);
    });
  }

  refuse(exchange: Exchange, error: TrivetError): void {
    if (!this.#isAwaiting(exchange)) return;
    this.sendError(error);
    countRefusal(this.#service, exchange, error);
  }

  reportLateError(exchange: Exchange, error: TrivetError): void {
    if (error.blame === "handler") reportFailure(this.#service, exchange, error);
    else this.#service.countError(error);
  }

  mayInform(exchange: Exchange): boolean {
    const { writing } = this.#life;
    // RFC 9110 section 15.2: a server must not send a 1xx to a client that speaks HTTP/1.0.
    if (this.writer.minorVersion === 0 || exchange !== this.exchange) return false;
    return writing === State.AWAITING || writing === State.HELD;
  }

  inform(_exchange: Exchange, status: number, fields: readonly string[]): void {
    this.writer.writeInformational(status, fields);
    this.#outbound.flush();
  }

  endHandlerTime(): void {
    const { exchange, writer } = this;
    if (exchange === null) return;
    if (this.#life.writing === State.HELD && writer.isReadingStored) {
      writer.cancel(undefined);
      this.#rollBack(exchange);
      this.#abortLate();
      return;
    }
    // The head of any other stream goes out within a turn, or gives its state back.
    if (this.#life.writing !== State.AWAITING) return;
    if (this.#rescued !== null) {
      // It is `onError` that has not answered: its time was the rest of the handler's.
      this.sendError(this.#rescued);
      return;
    }
    const extraMs = exchange.run?.overdue() ?? 0;
    if (extraMs > 0) this.#life.extendHandler(extraMs);
    else this.#abortLate();
  }

  // What the driver asks for.

  /**
   * Lets the peer send the content it has announced (RFC 9110 section 10.1.1). Returns whether that is still possible.
   */
  tellToContinue(): boolean {
    const { exchange } = this;
    if (exchange === null || !this.mayInform(exchange)) return false;
    this.#outbound.appendLatin1(CONTINUE);
    this.#life.enter(State.CONTENT, this.#life.writing);
    this.#outbound.flush();
    return true;
  }

  /**
   * Answers what is no request, or is not served.
   *
   * @param isOfHeadMethod RFC 9110 section 9.3.2: the response to HEAD has no content, whatever is wrong with the
   * request.
   * @returns Bytes of content that were gathered.
   */
  refuseRequest(error: TrivetError, isOfHeadMethod: boolean): number {
    this.#service.countError(error);
    this.writer.method = isOfHeadMethod ? "HEAD" : "GET";
    this.writer.minorVersion = 1;
    this.writer.contentBytes = 0;
    this.sendError(error);
    return this.writer.contentBytes;
  }

  /** Answers an exchange with an error although its handler may still be at work: its response is not awaited. */
  abort(error: TrivetError): void {
    const exchange = this.exchange!;
    exchange.abort(error);
    this.sendError(error);
    countRefusal(this.#service, exchange, error);
  }

  /** Sends the response to an error, of the exchange or of a request that is none. */
  sendError(error: TrivetError): void {
    const { exchange } = this;
    const source = createErrorResponse(error, this.#service.settings.retryAfterSeconds);
    if (exchange === null || (error.blame !== "handler" && error.code !== "handler-timeout")) this.isLast = true;
    exchange?.giveUpExtras();
    this.writer.begin(exchange, source, this.#mayPersist());
    if (exchange !== null) this.#complete();
  }

  /**
   * The stream of the response has come further.
   *
   * @returns The error with which the connection has to be cut off, since only that tells the peer; else `null`.
   */
  advance(): TrivetError | null {
    const life = this.#life;
    const { writer } = this;
    if (life.writing !== State.HELD && life.writing !== State.STREAMING) return null;
    if (writer.progress === Progress.HEAD_DUE) {
      const progress = writer.sendHead(this.#mayPersist());
      if (progress === Progress.STREAMING) life.enter(life.reading, State.STREAMING);
    }
    if (writer.progress === Progress.DONE) this.#complete();
    else if (writer.progress === Progress.FAILED) return this.#failStream(writer.error!);
    return null;
  }

  /** The response is complete: the connection goes on. */
  finish(exchange: Exchange): void {
    const { counters } = this.#service;
    this.exchange = null;
    counters.activeExchanges--;
    counters.responses++;
    if (this.#service.observer !== null) this.#tellObserver(exchange, true);
    // The last piece of a stream may have left before the stream ended.
    const hasLeft = this.#undelivered !== null && !this.#outbound.isCongested && this.#outbound.gatheredBytes === 0;
    if (hasLeft) this.everythingLeft();
  }

  /** The transport has taken everything that was gathered. */
  everythingLeft(): void {
    this.#undelivered?.deliver();
  }

  /** What was not delivered never will be. */
  leave(error: TrivetError): void {
    const { exchange } = this;
    this.exchange = null;
    this.writer.cancel(error);
    this.#undelivered?.abort(error);
    if (exchange === null) return;
    this.#service.counters.activeExchanges--;
    exchange.abort(error);
    this.#tellObserver(exchange, false);
  }

  /** Whether the loop has to turn again: a stream goes on that is not waited for, or the response is complete. */
  get isDue(): boolean {
    const { writing } = this.#life;
    if (writing === State.HELD) return this.writer.progress !== Progress.HOLDING;
    return writing === State.DONE && this.exchange !== null;
  }

  #tellObserver(exchange: Exchange, isWhole: boolean): void {
    const { observer } = this.#service;
    if (observer === null) return;
    const { status, contentBytes } = this.writer;
    observer.responseEnded(exchange, isWhole, status, contentBytes, this.#beganAtMs, this.#service.turnClock.nowMs());
  }

  #isAwaiting(exchange: Exchange): boolean {
    return exchange === this.exchange && this.#life.writing === State.AWAITING;
  }

  /** The response whose head was held is not sent: another one is made. */
  #rollBack(exchange: Exchange): void {
    exchange.rollBack();
    this.#life.enter(this.#life.reading, State.AWAITING);
  }

  #abortLate(): void {
    this.abort(new TrivetError("handler-timeout", "The server did not make a response in time."));
  }

  #send(exchange: Exchange, source: ResponseSource): void {
    const { writer } = this;
    try {
      writer.begin(exchange, source, this.#mayPersist());
    } catch (error) {
      this.fail(exchange, toTrivetError(error, "response-invalid", "The response could not be sent."));
      return;
    }
    if (writer.progress === Progress.DONE) {
      this.#complete();
    } else {
      exchange.begin();
      this.#life.enter(this.#life.reading, State.HELD);
      this.#wake();
    }
  }

  /** The last byte of the response was gathered. */
  #complete(): void {
    const exchange = this.exchange!;
    if (exchange.complete()) (this.#undelivered ??= new Undelivered()).add(exchange);
    if (!this.writer.persists) this.isLast = true;
    this.#life.enter(this.#life.reading, State.DONE);
    this.#wake();
  }

  #failStream(streamError: TrivetError): TrivetError | null {
    const exchange = this.exchange!;
    // What is made of content that the peer does not send whole fails with it, by whatever error it was wrapped in.
    const error = exchange.contentError ?? streamError;
    const isOfHandler = error.blame === "handler";
    if (this.writer.headIsOut) {
      // What the stream gave before it failed still goes out.
      this.#outbound.flush();
      if (isOfHandler) reportFailure(this.#service, exchange, error);
      return error;
    }
    this.#rollBack(exchange);
    if (isOfHandler) this.fail(exchange, error);
    else this.sendError(error);
    return null;
  }

  /** Whether the connection persists behind the response, as far as the response does not say otherwise. */
  #mayPersist(): boolean {
    const service = this.#service;
    if (this.isLast) return false;
    const { reading } = this.#life;
    // A pipelined request that has come already is served as well: only the last response says that it is the last.
    if (service.isEnding && (reading !== State.COMPLETE || this.#reading.pendingBytes === 0)) return false;
    const { maxRequestsPerConnection } = service.settings;
    if (maxRequestsPerConnection > 0 && this.#requests >= maxRequestsPerConnection) return false;
    // Content that was announced and not asked for may come or not: only a close makes that sure.
    if (reading === State.WITHHELD) return false;
    const remainingBytes = reading === State.CONTENT ? this.#reading.remainingBytes ?? 0 : 0;
    if (remainingBytes > MAX_SKIPPED_BYTES && !this.exchange!.content.isBeingRead) return false;
    return service.model.mayPersist();
  }
}
