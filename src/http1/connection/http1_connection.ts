/**
 * One connection that speaks HTTP/1.1: the driver of its decoder and its writer.
 *
 * It has one loop: decode, run, write, flush, then read or pause. Whatever happens, an event or the answer of a handler,
 * changes a state and turns the loop; the only guard against re-entry is there.
 *
 * @module
 */

import { TrivetError } from "../../api/errors.ts";
import { composeAuthority } from "../../http/authority.ts";
import type { Address, TransportConnection } from "../../runtime.ts";
import { readResponse } from "../../web/read_response.ts";
import type { ResponseSource } from "../../web/response_source.ts";
import type { Connection } from "../../exchange/connection.ts";
import { createErrorResponse } from "../../exchange/error_response.ts";
import { Exchange, type ExchangeOwner, type WebSocketUpgrades } from "../../exchange/exchange.ts";
import {
  AWAITING,
  CLOSED,
  COMPLETE,
  CONTENT,
  CUT,
  DISCARDING,
  DONE,
  ENDED,
  FIN,
  FIN_CLOSE,
  FIN_FAILS_CONTENT,
  FIN_GONE_TIMER,
  FIN_HEAD,
  FIRST,
  FLUSHING,
  GONE,
  HEAD,
  HELD,
  IDLE,
  IN_UPGRADE,
  Lifecycle,
  LINGERING,
  NONE,
  PARKED,
  READ_BY_STREAM,
  READ_UNLESS_CONGESTED,
  READ_UNLESS_HELD,
  READ_UNTIL_KEPT,
  READS,
  recorder,
  SKIPPING,
  STREAMING,
  UPGRADED,
  WAITING,
  WITHHELD,
} from "./lifecycle.ts";
import { Outbound } from "./outbound.ts";
import { FOUND_CONTENT, FOUND_HEAD, NEED_MORE, RequestDecoder } from "./request_decoder.ts";
import * as Writer from "./response_writer.ts";
import { type Driver, ResponseWriter } from "./response_writer.ts";
import type { ConnectionService } from "./service.ts";
import { RawConnection } from "./upgraded_connection.ts";

/** What is read and thrown away after our FIN; a peer that sends more is cut off. */
const MAX_DISCARDED_BYTES = 32 * 1024 * 1024;
/** Responses to pipelined requests gathered before they are written within a turn. */
const MAX_GATHERED_BYTES = 64 * 1024;
/** What is kept of further requests, or before it is a connection's turn, before the peer is not read any more. */
const MAX_KEPT_BYTES = 64 * 1024;
/** Content that may be thrown away to keep a connection; beyond it, a new connection is cheaper for both sides. */
const MAX_SKIPPED_BYTES = 256 * 1024;
/** What one connection may do before others are served. */
const MAX_TURN_MS = 4;
const CONTINUE = "HTTP/1.1 100 Continue\r\n\r\n";

/** One connection. */
export class Http1Connection implements Connection, ExchangeOwner, Driver {
  /** The exchange in flight. */
  exchange: Exchange | null = null;
  placeAmongOpen = 0;
  placeInLine = 0;
  wasRefused = false;
  /** The one writer of its socket, for an upgraded connection too. */
  readonly outbound: Outbound;
  readonly nativeRequest: boolean;
  readonly #service: ConnectionService;
  readonly #transport: TransportConnection;
  readonly #life: Lifecycle;
  readonly #decoder: RequestDecoder;
  readonly #writer: ResponseWriter;
  #raw: RawConnection | null = null;
  /** The exchange whose content comes: that in flight, or one whose response is out and whose content is read on. */
  #arriving: Exchange | null = null;
  /** Exchanges that are complete and not delivered, and whose handler wants to know. */
  #undelivered: Exchange[] = NOBODY_WATCHES;
  #requests = 0;
  #discardedBytes = 0;
  #skippedBytes = 0;
  #contentActiveMs = 0;
  /** When the peer must have taken what the transport holds. */
  #writeAtMs = Infinity;
  /** When a peer that has sent FIN counts as gone. */
  #goneAtMs = 0;
  #turnBeganMs = 0;
  #isLast = false;
  #peerHasEnded = false;
  #isPaused = false;
  #isTurning = false;
  #flushIsDeferred = false;

  constructor(transport: TransportConnection, service: ConnectionService) {
    this.#transport = transport;
    this.#service = service;
    this.nativeRequest = service.settings.nativeRequest;
    this.#life = new Lifecycle(service.clock, service.timeouts, this);
    this.outbound = new Outbound(transport, service.slab, service.counters);
    this.#decoder = new RequestDecoder(service.headParsers, service.settings, service.decodeLatin1);
    this.#writer = new ResponseWriter(service, this.outbound, this);
  }

  get remoteAddress(): Address {
    return this.#transport.remoteAddress;
  }

  get localAddress(): Address {
    return this.#transport.localAddress;
  }

  get webSockets(): WebSocketUpgrades {
    return this.#service.webSockets;
  }

  /** Whether the content of the request in flight has come whole. */
  get isContentComplete(): boolean {
    const { reading } = this.#life;
    return reading !== CONTENT && reading !== WITHHELD && reading !== SKIPPING;
  }

  // What the concurrency model and the server ask for.

  serve(): void {
    if (this.#life.reading !== PARKED) return;
    if (this.#goneAtMs !== 0 && this.#service.preciseNowMs() >= this.#goneAtMs) {
      this.#peerIsGone();
      return;
    }
    this.#life.enter(FIRST, NONE);
    this.#turn();
  }

  refuse(error: TrivetError): void {
    if (this.#life.reading !== PARKED) return;
    this.wasRefused = true;
    if (this.#service.mayTellRefusal(error)) {
      this.#failPeer(error);
      this.#turn();
    } else {
      this.abort(error);
    }
  }

  giveUp(idleForMs: number): boolean {
    const life = this.#life;
    if (life.reading !== IDLE) return false;
    if (this.#service.clock.nowMs - life.sinceMs < idleForMs) return false;
    this.#close();
    return true;
  }

  drain(): void {
    const { reading } = this.#life;
    if (reading === IDLE || reading === FIRST) this.#close();
    else if (reading === LINGERING) this.#life.hurryLinger();
  }

  abort(error: TrivetError): void {
    if (this.#life.reading === CLOSED) return;
    this.#service.countError(error);
    this.#cutOff(error);
  }

  // What the transport tells.

  onData(borrowed: Uint8Array): void {
    const { reading } = this.#life;
    if (reading === CLOSED) return;
    this.#service.counters.bytesReceived += borrowed.byteLength;
    if (reading === IN_UPGRADE) {
      this.#raw!.push(borrowed);
    } else if (reading >= DISCARDING) {
      this.#discard(borrowed.byteLength);
    } else {
      this.#decoder.feed(borrowed);
      this.#turn();
    }
  }

  onDrain(): void {
    if (!this.outbound.drained()) {
      // It has taken some: the wait begins anew.
      this.#writeAtMs = this.#service.clock.deadlineAfter(this.#service.settings.writeTimeoutMs);
      return;
    }
    this.#everythingLeft();
    if (this.#life.writing === UPGRADED) this.#raw!.drained();
    else this.#turn();
  }

  onEnd(): void {
    this.#peerHasEnded = true;
    if (this.#life.reading === IN_UPGRADE) this.#raw!.endReading();
    else this.#turn();
  }

  onClose(cause: Error | undefined): void {
    if (this.#life.reading === CLOSED) return;
    this.#raw?.closed(cause);
    // Nearly every connection is closed with nothing in flight, and an error, with its stack, is worth making only for
    // somebody who learns of it.
    if (this.exchange === null && this.#arriving === null && this.#undelivered.length === 0) {
      this.#leave(null, GONE);
      return;
    }
    const error = new TrivetError("peer-disconnected", "The peer closed the connection.", { cause });
    if (this.exchange !== null) this.#service.countError(error);
    this.#leave(error, GONE);
  }

  /** A tick of the server's clock. */
  tick(elapsedMs: number): void {
    const life = this.#life;
    const { nowMs } = this.#service.clock;
    const { reading } = life;
    if ((reading === CONTENT || reading === SKIPPING) && this.#watchRate(elapsedMs)) return;
    if (nowMs >= this.#writeAtMs && reading !== LINGERING) {
      this.abort(new TrivetError("write-timeout", "The peer did not take the response in time."));
    } else if (nowMs >= life.writingAtMs) {
      this.endHandlerTime();
    } else if (nowMs >= life.readingAtMs) {
      this.#readingIsLate(reading);
    }
  }

  /** Looks at a peer that has sent FIN. Returns whether it has to be looked at again. */
  watchGone(nowMs: number): boolean {
    if (this.#life.reading === CLOSED || this.#life.reading >= DISCARDING) return false;
    // While the peer takes what it gets, it is there; the write deadline ends one that does not.
    if (nowMs < this.#goneAtMs || this.outbound.isCongested) return true;
    this.#peerIsGone();
    return false;
  }

  // What the exchange asks for.

  demandContent(): void {
    if (this.#life.reading === WITHHELD) this.#tellToContinue();
    if (!this.#isTurning) this.#readOrPause();
  }

  contentKeptChanged(): void {
    if (!this.#isTurning) this.#readOrPause();
  }

  restartHandlerTime(): void {
    this.#life.restartHandler();
  }

  endHandlerTime(): void {
    const { exchange } = this;
    const life = this.#life;
    // A head that is held goes out within a turn, or gives its state back.
    if (exchange === null || life.writing !== AWAITING) return;
    const extraMs = exchange.run?.overdue() ?? 0;
    if (extraMs > 0) {
      life.extendHandler(extraMs);
      return;
    }
    const error = new TrivetError("handler-timeout", "The server did not make a response in time.");
    this.#service.countError(error);
    exchange.abort(error);
    this.#sendError(exchange, error);
  }

  answer(exchange: Exchange, source: ResponseSource): void {
    if (exchange !== this.exchange || this.#life.writing !== AWAITING) {
      if (source.content instanceof ReadableStream) source.content.cancel().catch(ignore);
    } else if (source.status === 101 || exchange.pendingUpgrade !== null) {
      this.#answerUpgrade(exchange, source);
    } else {
      this.#send(exchange, source);
    }
  }

  failHandler(exchange: Exchange, error: TrivetError): void {
    if (exchange !== this.exchange || this.#life.writing !== AWAITING) return;
    const service = this.#service;
    service.countError(error);
    // What the handler had set is not meant for a response in its place.
    exchange.trailersToSend = null;
    const custom = service.reportHandlerError(error, exchange);
    // Only one chance is given to it: a custom response that fails too is replaced by the standard one.
    if (custom === undefined || exchange.hasCustomResponse) {
      ignoreOutcome(custom);
      this.#sendError(exchange, error);
      return;
    }
    exchange.hasCustomResponse = true;
    this.#life.boundRescue();
    Promise.resolve(custom).then(readResponse).then(
      (source) => this.#sendInstead(exchange, error, source),
      () => this.#sendInstead(exchange, error, null),
    );
  }

  reportLateError(exchange: Exchange, error: TrivetError): void {
    this.#service.countError(error);
    if (error.blame === "handler") ignoreOutcome(this.#service.reportHandlerError(error, exchange));
  }

  refuseExchange(exchange: Exchange, error: TrivetError): void {
    if (exchange !== this.exchange || this.#life.writing !== AWAITING) return;
    this.#service.countError(error);
    this.#sendError(exchange, error);
  }

  mayInform(exchange: Exchange): boolean {
    const { writing } = this.#life;
    // RFC 9110 section 15.2: a server must not send a 1xx to a client that speaks HTTP/1.0.
    if (this.#writer.minorVersion === 0) return false;
    return exchange === this.exchange && (writing === AWAITING || writing === HELD);
  }

  sendInformational(_exchange: Exchange, status: number, fields: readonly string[]): void {
    const { headBuilder } = this.#service;
    headBuilder.begin(status, "", fields);
    this.outbound.appendLatin1(headBuilder.finish(headBuilder.decideFraming(this.#writer, 0), "", ""));
    this.flush();
  }

  // What the writer and an upgraded connection ask for.

  streamAdvanced(): void {
    this.#turn();
  }

  /** Hands over what was gathered. Returns whether the peer keeps up. */
  flush(): boolean {
    if (this.outbound.flush()) {
      if (this.#writeAtMs !== Infinity || this.#goneAtMs !== 0 || this.#undelivered.length > 0) this.#everythingLeft();
      return true;
    }
    if (this.#writeAtMs === Infinity) {
      this.#writeAtMs = this.#service.clock.deadlineAfter(this.#service.settings.writeTimeoutMs);
    }
    return false;
  }

  /** Something is wrong with this program: this one connection pays for it. */
  breakDown(fault: Error): void {
    if (this.#life.reading === CLOSED) return;
    // The prototype has no error "internal-error" yet.
    const error = new TrivetError("handler-failed", "The server has failed this connection.", { cause: fault });
    this.abort(error);
  }

  // The loop.

  #turn(): void {
    if (this.#isTurning) return;
    this.#isTurning = true;
    try {
      const life = this.#life;
      do {
        if (life.writing === HELD || life.writing === STREAMING) this.#advanceStream();
        this.#decode();
      } while (life.writing === HELD && this.#writer.progress !== Writer.HOLDING);
      this.#decoder.keepRest();
      this.#settle();
    } catch (fault) {
      if (recorder.isStrict) throw fault;
      this.breakDown(fault as Error);
    } finally {
      this.#isTurning = false;
    }
  }

  /** Takes from the bytes what the state allows. */
  #decode(): void {
    const life = this.#life;
    const decoder = this.#decoder;
    let requests = 0;
    try {
      while (true) {
        const { reading } = life;
        if (reading === PARKED || reading === COMPLETE || reading > SKIPPING) break;
        if (reading <= HEAD) {
          if (decoder.at === decoder.limit) return;
          if (this.#mustWait(requests++)) {
            if (reading === IDLE || reading === FIRST) life.enter(WAITING, NONE);
            return;
          }
        }
        switch (decoder.next()) {
          case NEED_MORE:
            if (reading <= WAITING) life.enter(HEAD, NONE);
            // RFC 9110 section 10.1.1: who has begun to send the content no longer waits for 100 (Continue).
            else if (reading === WITHHELD && decoder.contentBytes > 0) life.enter(CONTENT, life.writing);
            return;
          case FOUND_HEAD:
            this.#beginExchange();
            break;
          case FOUND_CONTENT:
            this.#takeContent(reading);
            break;
          default:
            this.#completeContent();
        }
      }
    } catch (error) {
      if (!(error instanceof TrivetError)) throw error;
      this.#failPeer(error);
    }
    if (life.reading === IN_UPGRADE && decoder.pendingBytes > 0) this.#raw!.push(decoder.takeRest());
  }

  /** Whether no further request is begun now: the peer does not take the responses, or it is time for others. */
  #mustWait(requests: number): boolean {
    const { outbound } = this;
    if (outbound.isCongested || (outbound.gatheredBytes > MAX_GATHERED_BYTES && !this.flush())) return true;
    if (requests === 0) return false;
    const nowMs = this.#service.preciseNowMs();
    if (requests === 1) this.#turnBeganMs = nowMs;
    if (nowMs - this.#turnBeganMs < MAX_TURN_MS) return false;
    this.#service.defer(() => this.#turn());
    return true;
  }

  #beginExchange(): void {
    const service = this.#service;
    const decoder = this.#decoder;
    const head = decoder.head!;
    decoder.head = null;
    const { counters } = service;
    this.#requests++;
    counters.requests++;
    counters.activeExchanges++;
    const authority = head.authority ?? defaultAuthority(this.localAddress);
    const uri = service.targetUris.compose(authority, head.pathAndQuery, head.isPlainTarget);
    this.#writer.method = head.method;
    this.#writer.minorVersion = head.minorVersion;
    if (!head.persistent) this.#isLast = true;
    const exchange = this.exchange = new Exchange(head, uri, this);
    if (service.isDraining) {
      this.#life.enter(COMPLETE, AWAITING);
      throw new TrivetError("draining", "The server is shutting down and takes no new requests.");
    }
    if (head.contentLength === 0) {
      this.#life.enter(COMPLETE, AWAITING);
    } else {
      const isWithheld = head.expectsContinue && decoder.pendingBytes === 0;
      this.#life.enter(isWithheld ? WITHHELD : CONTENT, AWAITING);
      this.#contentActiveMs = 0;
      this.#arriving = exchange;
      decoder.expectContent(head.contentLength);
    }
    service.run(exchange);
  }

  #takeContent(reading: number): void {
    const decoder = this.#decoder;
    if (reading === WITHHELD) this.#life.enter(CONTENT, this.#life.writing);
    if (reading !== SKIPPING) {
      this.#arriving!.content.append(decoder.bytes, decoder.start, decoder.end);
      return;
    }
    this.#skippedBytes += decoder.end - decoder.start;
    if (this.#skippedBytes > MAX_SKIPPED_BYTES) this.#close();
  }

  #completeContent(): void {
    const life = this.#life;
    if (life.reading === SKIPPING) {
      life.enter(IDLE, NONE);
    } else {
      const exchange = this.#arriving!;
      this.#arriving = null;
      life.enter(COMPLETE, life.writing);
      exchange.completeContent(this.#decoder.trailers);
      if (life.writing === DONE) this.#goOn();
    }
  }

  /** The stream of the response has come further. */
  #advanceStream(): void {
    const life = this.#life;
    const exchange = this.exchange!;
    const writer = this.#writer;
    let { progress } = writer;
    if (progress === Writer.HEAD_DUE) {
      progress = writer.sendHead(this.#persists());
      if (progress === Writer.STREAMING) life.enter(life.reading, STREAMING);
    }
    if (progress === Writer.DONE) this.#endExchange(exchange);
    else if (progress === Writer.FAILED) this.#failStream(exchange, writer.error!);
  }

  /** What was gathered goes out, and what the states ask of the transport is done. */
  #settle(): void {
    const life = this.#life;
    const { outbound } = this;
    if (life.reading === CLOSED) return;
    if (this.#service.isDraining) this.drain();
    if (this.#peerHasEnded) {
      this.#takePeerEnd();
      if (life.reading === CLOSED) return;
    }
    if (outbound.gatheredBytes > 0) {
      if (this.exchange === null) this.flush();
      else this.#flushTurn();
    }
    if (!outbound.isCongested) {
      if (life.writing === FLUSHING) this.#end();
      else if (life.writing === STREAMING) this.#writer.readOn();
    }
    this.#readOrPause();
  }

  /** What stands before a response in the making may wait for it until the turn is over. */
  #flushTurn(): void {
    const { writing } = this.#life;
    if (writing === STREAMING && this.#writer.isUrgent) {
      this.flush();
    } else if (!this.#flushIsDeferred) {
      this.#flushIsDeferred = true;
      this.#service.defer(() => {
        this.#flushIsDeferred = false;
        if (this.#life.reading !== CLOSED) this.flush();
      });
    }
  }

  #readOrPause(): void {
    let isPaused = false;
    switch (READS[this.#life.reading]) {
      case READ_UNLESS_CONGESTED:
        isPaused = this.outbound.isCongested;
        break;
      case READ_UNLESS_HELD:
        isPaused = this.#arriving !== null && this.#arriving.content.isHeld;
        break;
      case READ_UNTIL_KEPT:
        isPaused = this.#decoder.pendingBytes >= MAX_KEPT_BYTES;
        break;
      case READ_BY_STREAM:
        return;
    }
    if (isPaused === this.#isPaused) return;
    this.#isPaused = isPaused;
    if (isPaused) this.#transport.pause();
    else this.#transport.resume();
  }

  #takePeerEnd(): void {
    const { reading } = this.#life;
    const isCongested = this.outbound.isCongested;
    switch (FIN[reading]) {
      case FIN_CLOSE:
        if (reading === PARKED && this.#decoder.pendingBytes > 0) this.#expectGone();
        else this.#close();
        return;
      case FIN_HEAD:
        if (isCongested) return;
        if (this.#decoder.hasBegunHead) this.#failPeer(incompleteMessage());
        else this.#close();
        return;
      case FIN_FAILS_CONTENT:
        this.#failContent(incompleteMessage());
        if (this.#life.reading === COMPLETE) this.#expectGone();
        return;
      case FIN_GONE_TIMER:
        this.#expectGone();
    }
  }

  #expectGone(): void {
    if (this.#goneAtMs !== 0) return;
    const { halfCloseTimeoutMs } = this.#service.settings;
    if (halfCloseTimeoutMs === 0) {
      this.#peerIsGone();
      return;
    }
    this.#goneAtMs = this.#service.preciseNowMs() + halfCloseTimeoutMs;
    if (halfCloseTimeoutMs !== Infinity) this.#service.watchGone(this);
  }

  #peerIsGone(): void {
    this.abort(new TrivetError("peer-disconnected", "The peer ended the connection and does not take the response."));
  }

  // Responses.

  #send(exchange: Exchange, source: ResponseSource): void {
    const life = this.#life;
    let progress: number;
    try {
      progress = this.#writer.begin(exchange, source, this.#persists());
    } catch (error) {
      this.failHandler(exchange, toHandlerError(error));
      return;
    }
    if (progress === Writer.DONE) {
      this.#endExchange(exchange);
    } else {
      exchange.begin();
      life.enter(life.reading, HELD);
      this.#turn();
    }
  }

  /** An upgrade and a 101 come together or not at all; a handler that answers otherwise has given its upgrade up. */
  #answerUpgrade(exchange: Exchange, source: ResponseSource): void {
    if (source.status !== 101) {
      exchange.pendingUpgrade!.reject(
        new TrivetError("response-invalid", "The handler gave another response than 101."),
      );
      exchange.pendingUpgrade = null;
    } else if (exchange.pendingUpgrade === null) {
      const error = new TrivetError("response-invalid", "A 101 is only for an exchange that was upgraded.");
      this.failHandler(exchange, error);
      return;
    }
    this.#send(exchange, source);
  }

  #sendInstead(exchange: Exchange, error: TrivetError, source: ResponseSource | null): void {
    if (exchange !== this.exchange || this.#life.writing !== AWAITING) return;
    if (source === null || source.status === 101) this.#sendError(exchange, error);
    else this.#send(exchange, source);
  }

  /** Sends the response to an error. An exchange that was aborted stays so: this is not its handler's response. */
  #sendError(exchange: Exchange | null, error: TrivetError): void {
    const source = createErrorResponse(error, this.#service.settings.retryAfterSeconds);
    if (error.blame !== "handler" && error.code !== "handler-timeout") this.#isLast = true;
    if (exchange === null) {
      this.#writer.begin(null, source, false);
      this.#close();
      return;
    }
    exchange.pendingUpgrade = null;
    exchange.trailersToSend = null;
    this.#writer.begin(exchange, source, this.#persists());
    this.#endExchange(exchange);
  }

  /** Whether the connection persists behind the response, as far as the response does not say otherwise. */
  #persists(): boolean {
    const service = this.#service;
    if (this.#isLast || service.isDraining) return false;
    const { maxRequestsPerConnection } = service.settings;
    if (maxRequestsPerConnection > 0 && this.#requests >= maxRequestsPerConnection) return false;
    const { reading } = this.#life;
    // Content that was announced and not asked for may come or not: only a close makes that sure.
    if (reading === WITHHELD) return false;
    if (reading === CONTENT && (this.#decoder.remainingBytes ?? 0) > MAX_SKIPPED_BYTES) {
      if (!this.#arriving!.content.isBeingRead) return false;
    }
    return service.mayPersist(this);
  }

  /** The last byte of the response was gathered: the connection goes on to its next phase. */
  #endExchange(exchange: Exchange): void {
    const life = this.#life;
    const { reading } = life;
    const { counters } = this.#service;
    this.exchange = null;
    counters.activeExchanges--;
    counters.responses++;
    exchange.complete();
    if (exchange.isWatched) {
      if (this.#undelivered === NOBODY_WATCHES) this.#undelivered = [];
      this.#undelivered.push(exchange);
    }
    life.enter(reading, DONE);
    if (exchange.pendingUpgrade !== null) {
      this.#leaveHttp(exchange);
    } else if (reading === COMPLETE) {
      this.#goOn();
    } else if (reading === WITHHELD || !exchange.content.isBeingRead) {
      this.#arriving = null;
      if (this.#isLast || !this.#writer.persists) {
        this.#close();
      } else {
        this.#skippedBytes = 0;
        life.enter(SKIPPING, DONE);
      }
      exchange.discardContent();
    }
    this.#turn();
  }

  /** Request and response are both whole. */
  #goOn(): void {
    if (this.#isLast || !this.#writer.persists) this.#close();
    else this.#life.enter(IDLE, NONE);
  }

  /** The content of a response has failed. When its head is out, only cutting it off tells the peer. */
  #failStream(exchange: Exchange, error: TrivetError): void {
    const isOfHandler = error.blame === "handler";
    if (!this.#writer.headIsOut) {
      exchange.rollBack();
      this.#life.enter(this.#life.reading, AWAITING);
      if (isOfHandler) this.failHandler(exchange, error);
      else this.#sendError(exchange, error);
      return;
    }
    if (isOfHandler) {
      this.#service.countError(error);
      ignoreOutcome(this.#service.reportHandlerError(error, exchange));
    }
    // What the stream gave before it failed still goes out.
    this.outbound.flush();
    this.#cutOff(error);
  }

  #everythingLeft(): void {
    this.#writeAtMs = Infinity;
    if (this.#goneAtMs !== 0) this.#goneAtMs = this.#service.preciseNowMs() + this.#service.settings.halfCloseTimeoutMs;
    if (this.#undelivered.length === 0) return;
    const delivered = this.#undelivered;
    this.#undelivered = NOBODY_WATCHES;
    for (const exchange of delivered) exchange.deliver();
  }

  // Errors and deadlines.

  #tellToContinue(): void {
    if (this.exchange !== null && this.mayInform(this.exchange)) {
      this.outbound.appendLatin1(CONTINUE);
      this.#life.enter(CONTENT, this.#life.writing);
      this.flush();
      return;
    }
    this.#failContent(
      new TrivetError("too-late", "The final response is out, so that the peer can't be asked for content."),
    );
  }

  /** The peer has sent what can't be served, in the head or in the content. */
  #failPeer(error: TrivetError): void {
    if (this.exchange !== null || this.#life.writing === DONE) {
      this.#failContent(error);
    } else {
      this.#service.countError(error);
      this.#sendError(null, error);
    }
  }

  /** The rest of the content will not come, or is not wanted. The peer is told if no response has begun. */
  #failContent(error: TrivetError): void {
    const { exchange } = this;
    const life = this.#life;
    this.#decoder.giveUpContent();
    this.#isLast = true;
    this.#service.countError(error);
    const arriving = this.#arriving;
    this.#arriving = null;
    if (exchange === null) {
      arriving?.failContent(error);
      this.#close();
      return;
    }
    life.enter(COMPLETE, life.writing);
    if (life.writing === AWAITING) {
      exchange.abort(error);
      this.#sendError(exchange, error);
    } else {
      exchange.failContent(error);
    }
  }

  #readingIsLate(reading: number): void {
    switch (reading) {
      case FIRST:
      case IDLE:
        this.#close();
        return;
      case HEAD:
        // RFC 9110 section 15.5.9 is for a request that was begun; a connection that never asked is just closed.
        if (!this.#decoder.hasBegunHead) {
          this.#close();
          return;
        }
        this.#failPeer(new TrivetError("head-timeout", "The head of the request did not come whole in time."));
        this.#turn();
        return;
      case CONTENT:
      case SKIPPING:
        this.#failContent(new TrivetError("content-timeout", "The content did not come whole in time."));
        this.#turn();
        return;
      case LINGERING:
        this.#transport.abort();
    }
  }

  /** Counts time in which the peer could send content. Returns whether that was all for this tick. */
  #watchRate(elapsedMs: number): boolean {
    // While the handler lets the content wait, the peer is not to blame for the time that passes.
    if (this.exchange !== null && this.exchange.content.isHeld && !this.exchange.waitsForTrailers) {
      this.#life.readingAtMs += elapsedMs;
      return false;
    }
    const { minContentBytesPerSecond, contentRateGraceMs } = this.#service.settings;
    this.#contentActiveMs += elapsedMs;
    if (minContentBytesPerSecond === 0 || this.#contentActiveMs <= contentRateGraceMs) return false;
    if (this.#decoder.contentBytes * 1000 >= minContentBytesPerSecond * this.#contentActiveMs) return false;
    this.#failContent(
      new TrivetError("data-rate-too-low", `The content came slower than ${minContentBytesPerSecond} bytes a second.`),
    );
    this.#turn();
    return true;
  }

  // The ends of a connection.

  #leaveHttp(exchange: Exchange): void {
    const upgrade = exchange.pendingUpgrade!;
    this.flush();
    if (this.#isPaused) {
      this.#isPaused = false;
      this.#transport.resume();
    }
    this.#life.enter(IN_UPGRADE, UPGRADED);
    this.#raw = new RawConnection(this.#transport, this);
    exchange.deliver();
    upgrade.resolve(this.#raw);
  }

  /** Sends what is left, then FIN, then waits for the peer's. */
  #close(): void {
    this.#life.enter(DISCARDING, FLUSHING);
    this.#decoder.close();
    this.#turn();
  }

  #end(): void {
    const service = this.#service;
    this.#life.enter(LINGERING, ENDED);
    if (service.isDraining) this.#life.hurryLinger();
    service.connectionServed(this);
    this.#transport.end();
  }

  #discard(bytes: number): void {
    this.#discardedBytes += bytes;
    if (this.#discardedBytes > MAX_DISCARDED_BYTES) this.#transport.abort();
  }

  #cutOff(error: TrivetError): void {
    this.#raw?.closed(error);
    this.#leave(error, CUT);
    this.#transport.abort();
  }

  /**
   * The end of everything this connection owns.
   *
   * @param error Why, for who waits for something; `null` when nobody does.
   */
  #leave(error: TrivetError | null, writing: number): void {
    const service = this.#service;
    const wasServed = this.#life.reading === LINGERING;
    this.#life.enter(CLOSED, writing);
    this.#decoder.close();
    this.outbound.discard();
    if (error !== null) this.#failWaiting(error);
    if (!wasServed) service.connectionServed(this);
    service.connectionClosed(this);
  }

  #failWaiting(error: TrivetError): void {
    this.#writer.cancel(error);
    const aborted = this.#undelivered;
    this.#undelivered = NOBODY_WATCHES;
    for (const exchange of aborted) exchange.abort(error);
    this.#arriving?.failContent(error);
    this.#arriving = null;
    const { exchange } = this;
    if (exchange === null) return;
    this.exchange = null;
    this.#service.counters.activeExchanges--;
    exchange.abort(error);
  }
}

/** Stands for an empty list, so that a connection has none of its own until it is needed; never written to. */
const NOBODY_WATCHES: Exchange[] = [];

/** RFC 9110 section 7.2 lets HTTP/1.0 come without Host; then the request is for where it arrived. */
function defaultAuthority(address: Address): string {
  return address.transport === "unix" ? "localhost" : composeAuthority(address.hostname, address.port);
}

function incompleteMessage(): TrivetError {
  return new TrivetError("message-incomplete", "The peer ended the connection before the request was complete.");
}

function toHandlerError(error: unknown): TrivetError {
  if (error instanceof TrivetError) return error;
  return new TrivetError("response-invalid", "The response could not be sent.", { cause: error });
}

/** What `onError` gives for a response that can't be replaced any more is of no use, nor is its failure. */
function ignoreOutcome(given: Response | Promise<Response> | void): void {
  if (given instanceof Promise) given.catch(ignore);
}

function ignore(): void {}
