/**
 * The answering side of a connection: from the result of a handler, or an error, to a response under way.
 *
 * It decides which response is sent, whether the connection persists after it, and who is told whether it was delivered.
 * It must not know how requests are read.
 *
 * @module
 */

import { TrivetError } from "../../api/errors.ts";
import { RESPONSE_UNTIL_CLOSE, type ResponseFraming } from "../codec/response_head.ts";
import { readResponse } from "../../web/read_response.ts";
import type { ResponseSource } from "../../web/response_source.ts";
import { createErrorResponse } from "../../exchange/error_response.ts";
import type { Exchange, ExchangeResponder } from "../../exchange/exchange.ts";
import type { HttpConnection } from "./http_connection.ts";
import { sendResponse } from "./response_sender.ts";
import type { StreamedContent } from "./streamed_content.ts";

const CONTINUE = "HTTP/1.1 100 Continue\r\n\r\n";

/** Answers the requests of one connection. */
export class Responder implements ExchangeResponder {
  /** Whether the connection is closed when the response under way is out. */
  closesAfterResponse = false;
  readonly #connection: HttpConnection;
  #stream: StreamedContent | null = null;
  /** Exchanges that are complete and not delivered, and whose handler wants to know. */
  #undelivered: Exchange[] = NOBODY_WATCHES;

  /** @param connection The connection. */
  constructor(connection: HttpConnection) {
    this.#connection = connection;
  }

  /** Whether a response is under way whose content comes from a stream. */
  get isStreaming(): boolean {
    return this.#stream !== null;
  }

  /** Whether somebody waits to learn that a response, which is complete, was delivered. */
  get hasUndelivered(): boolean {
    return this.#undelivered.length > 0;
  }

  /** Takes the final response of an exchange. One that comes too late is thrown away. */
  answer(exchange: Exchange, source: ResponseSource): void {
    if (this.#isAwaited(exchange)) this.#send(exchange, source);
    else if (source.content instanceof ReadableStream) source.content.cancel().catch(ignore);
  }

  /** The handler has failed: the user is told, and the peer gets a response of the user's or the standard one. */
  failHandler(exchange: Exchange, error: TrivetError): void {
    if (!this.#isAwaited(exchange)) return;
    const { service } = this.#connection;
    service.countError(error);
    // What the handler had set is not meant for a response in its place.
    exchange.trailersToSend = null;
    const custom = service.reportHandlerError(error, exchange);
    // Only one chance is given to it: a custom response that fails too is replaced by the standard one.
    if (custom === undefined || exchange.hasCustomResponse) {
      ignoreOutcome(custom);
      this.sendError(exchange, error);
      return;
    }
    exchange.hasCustomResponse = true;
    Promise.resolve(custom).then(readResponse).then(
      (source) => this.#sendInsteadOf(exchange, error, source),
      () => this.#sendInsteadOf(exchange, error, null),
    );
  }

  /** Answers in place of the handler. */
  refuse(exchange: Exchange, error: TrivetError): void {
    if (!this.#isAwaited(exchange)) return;
    this.#connection.service.countError(error);
    this.sendError(exchange, error);
  }

  /** Whether an informational response can still come before the final one. */
  mayInform(exchange: Exchange): boolean {
    return exchange.progress === "awaited" || (exchange.progress === "begun" && this.#stream?.isHoldingHead === true);
  }

  /** Sends 100 (Continue). */
  sendContinue(): void {
    this.#connection.outbound.appendLatin1(CONTINUE);
    this.#connection.flush();
  }

  /** Sends an informational response. */
  sendInformational(exchange: Exchange, status: number, fields: readonly string[]): void {
    const { service, outbound } = this.#connection;
    const builder = service.headBuilder;
    builder.begin(status, "", fields);
    outbound.appendLatin1(builder.finish(builder.decideFraming(exchange.head, 0), "", ""));
    this.#connection.flush();
  }

  /** Sends the response to an error. An exchange that was aborted stays so: this is not its handler's response. */
  sendError(exchange: Exchange | null, error: TrivetError): void {
    const source = createErrorResponse(error, this.#connection.service.settings.retryAfterSeconds);
    if (error.blame !== "handler" && error.code !== "handler-timeout") this.closesAfterResponse = true;
    if (exchange !== null) {
      exchange.pendingUpgrade = null;
      exchange.trailersToSend = null;
    }
    sendResponse(this.#connection, exchange, source);
    if (exchange === null) this.#connection.startClosing();
    else this.gathered(exchange);
  }

  /** Whether the connection persists after this response: the connection option to send. */
  decideConnectionOption(
    exchange: Exchange | null,
    framing: ResponseFraming,
    handlerWantsClose: boolean,
    status: number,
  ): string {
    if (status === 101) return "";
    const persists = exchange !== null && exchange.head.persistent && !handlerWantsClose && !this.closesAfterResponse &&
      framing !== RESPONSE_UNTIL_CLOSE && this.#connection.mayPersist();
    this.closesAfterResponse = !persists;
    if (!persists) return "close";
    return exchange.head.minorVersion === 0 ? "keep-alive" : "";
  }

  /** The last byte of the response was gathered for sending. */
  gathered(exchange: Exchange): void {
    this.#stream = null;
    if (exchange.progress !== "aborted") exchange.progress = "complete";
    if (exchange.isWatched) {
      if (this.#undelivered === NOBODY_WATCHES) this.#undelivered = [];
      this.#undelivered.push(exchange);
    }
    this.#connection.endExchange(exchange);
  }

  /**
   * The content of a response has failed. When its head is out, only cutting it off tells the peer.
   *
   * A handler that answers with the content of the request fails with it; that error is not its own, and was counted
   * when it came up.
   */
  failContent(exchange: Exchange, error: TrivetError, isBegun: boolean): void {
    const { service, outbound } = this.#connection;
    const isOfHandler = error.blame === "handler";
    this.#stream = null;
    if (!isBegun) {
      exchange.progress = "awaited";
      if (isOfHandler) this.failHandler(exchange, error);
      else this.sendError(exchange, error);
      return;
    }
    if (isOfHandler) {
      service.countError(error);
      ignoreOutcome(service.reportHandlerError(error, exchange));
    }
    // What the stream gave before it failed still goes out.
    outbound.flush();
    this.#connection.cutOff(error);
  }

  /** The transport has taken everything: reads on from the stream, and tells who wants to know. */
  everythingLeft(): void {
    if (this.#undelivered.length > 0) {
      const delivered = this.#undelivered;
      this.#undelivered = NOBODY_WATCHES;
      for (const exchange of delivered) exchange.deliver();
    }
  }

  /** Reads on from the stream of the response under way. */
  resumeStream(): void {
    this.#stream?.resume();
  }

  /** The connection is gone. */
  close(error: TrivetError): void {
    this.#stream?.cancel(error);
    this.#stream = null;
    const aborted = this.#undelivered;
    this.#undelivered = NOBODY_WATCHES;
    for (const exchange of aborted) exchange.abort(error);
  }

  #isAwaited(exchange: Exchange): boolean {
    return exchange === this.#connection.exchange && exchange.progress === "awaited";
  }

  #send(exchange: Exchange, source: ResponseSource): void {
    if (!this.#agreesWithUpgrade(exchange, source)) {
      this.failHandler(
        exchange,
        new TrivetError("response-invalid", "A 101 is only for an exchange that was upgraded."),
      );
      return;
    }
    exchange.progress = "begun";
    this.#connection.handlerIsDone();
    try {
      this.#stream = sendResponse(this.#connection, exchange, source);
    } catch (error) {
      exchange.progress = "awaited";
      this.failHandler(exchange, toHandlerError(error));
      return;
    }
    if (this.#stream !== null) this.#stream.start();
    else this.gathered(exchange);
  }

  /** An upgrade and a 101 come together or not at all; a handler that answers otherwise has given its upgrade up. */
  #agreesWithUpgrade(exchange: Exchange, source: ResponseSource): boolean {
    if (source.status === 101) return exchange.pendingUpgrade !== null;
    exchange.pendingUpgrade?.reject(new TrivetError("response-invalid", "The handler gave another response than 101."));
    exchange.pendingUpgrade = null;
    return true;
  }

  #sendInsteadOf(exchange: Exchange, error: TrivetError, source: ResponseSource | null): void {
    if (!this.#isAwaited(exchange)) return;
    if (source === null || source.status === 101) this.sendError(exchange, error);
    else this.#send(exchange, source);
  }
}

/** Stands for an empty list, so that a connection has none of its own until it is needed; never written to. */
const NOBODY_WATCHES: Exchange[] = [];

function toHandlerError(error: unknown): TrivetError {
  if (error instanceof TrivetError) return error;
  return new TrivetError("response-invalid", "The response could not be sent.", { cause: error });
}

/** What `onError` gives for a response that can't be replaced any more is of no use, nor is its failure. */
function ignoreOutcome(given: Response | Promise<Response> | void): void {
  if (given instanceof Promise) given.catch(ignore);
}

function ignore(): void {}
