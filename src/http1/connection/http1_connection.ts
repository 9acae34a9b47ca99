/**
 * One connection that speaks HTTP/1.1: the driver of its decoder and its responder.
 *
 * It has one loop: decode, run, write, flush, then read or pause. Whatever happens, an event of the transport, the answer
 * of a handler or a deadline, changes a state (`lifecycle.ts`) and turns the loop; the only guard against re-entry is
 * there. It must not know how bytes become requests, nor how responses are chosen and become bytes.
 *
 * @module
 */

import { TrivetError } from "../../api/errors.ts";
import type { Connection } from "../../exchange/connection.ts";
import { Exchange, type ExchangeOwner } from "../../exchange/exchange.ts";
import { composeAuthority } from "../../http/authority.ts";
import type { Address, TransportConnection } from "../../runtime.ts";
import { transitionRecorder } from "../../states.ts";
import { Arrival } from "./arrival.ts";
import { type HalfClosed, PeerEnd } from "./gone_clients.ts";
import * as State from "./lifecycle.ts";
import { Lifecycle, READING } from "./lifecycle.ts";
import { Outbound } from "./outbound.ts";
import { FOUND_CONTENT, FOUND_HEAD, NEED_MORE, RequestDecoder } from "./request_decoder.ts";
import { Responder } from "./responder.ts";
import type { ConnectionService } from "./service.ts";
import { Undelivered } from "./undelivered.ts";
import { RawConnection } from "./upgraded_connection.ts";

/** What is read and thrown away after our FIN; a peer that sends more is cut off. */
const MAX_DISCARDED_BYTES = 32 * 1024 * 1024;
/** Responses to pipelined requests gathered before they are written within a turn. */
const MAX_GATHERED_BYTES = 64 * 1024;
/** What is kept of further requests, or before it is a connection's turn, before the peer is not read any more. */
const MAX_KEPT_BYTES = 64 * 1024;
/** How long one connection may answer pipelined requests before others are served. */
const MAX_TURN_MS = 4;
const CONTINUE = "HTTP/1.1 100 Continue\r\n\r\n";

/** One connection. */
export class Http1Connection implements Connection, ExchangeOwner, HalfClosed {
  placeAmongOpen = 0;
  placeInLine = 0;
  /** The one writer of its socket, for an upgraded connection too. */
  readonly outbound: Outbound;
  readonly responder: Responder;
  readonly nativeRequest: boolean;
  readonly #service: ConnectionService;
  readonly #transport: TransportConnection;
  readonly #life: Lifecycle;
  readonly #decoder: RequestDecoder;
  /** The content that comes: of the exchange in flight, or of one whose response is complete and that is read on. */
  #arrival: Arrival | null = null;
  #undelivered: Undelivered | null = null;
  #raw: RawConnection | null = null;
  /** What follows from the peer's FIN; `null` while it has not come. */
  #peerEnd: PeerEnd | null = null;
  /** What the connection is refused with. */
  #refusal: TrivetError | null = null;
  #discardedBytes = 0;
  /** Requests begun since bytes came or others were served, and when the second of them was. */
  #requestsOfTurn = 0;
  #turnBeganMs = 0;
  #isPaused = false;
  #isTurning = false;
  #flushIsDeferred = false;

  constructor(transport: TransportConnection, service: ConnectionService) {
    this.#transport = transport;
    this.#service = service;
    this.nativeRequest = service.settings.nativeRequest;
    this.#life = new Lifecycle(service.clock, service.timeouts);
    this.outbound = new Outbound(transport, service);
    this.#decoder = new RequestDecoder(service.headParsers, service.settings, service.decodeLatin1);
    this.responder = new Responder(service, this, this.#life, this.outbound, this.#decoder, () => this.#turn());
  }

  get remoteAddress(): Address {
    return this.#transport.remoteAddress;
  }

  get localAddress(): Address {
    return this.#transport.localAddress;
  }

  get wasRefused(): boolean {
    return this.#refusal !== null;
  }

  get isContentComplete(): boolean {
    const { reading } = this.#life;
    return reading !== State.CONTENT && reading !== State.WITHHELD && reading !== State.SKIPPING;
  }

  // What the concurrency model and the server ask for.

  serve(): void {
    if (this.#life.reading !== State.PARKED) return;
    // The client may have gone while the connection waited, and the timer has not looked yet.
    if (this.#peerEnd?.isOver() === true) this.#peerIsGone();
    else this.#enter(State.FIRST, State.NONE);
  }

  refuse(error: TrivetError): void {
    if (this.#life.reading !== State.PARKED) return;
    this.#refusal = error;
    if (!this.#service.mayTellRefusal(error)) {
      this.abort(error);
      return;
    }
    this.#enter(State.REFUSING, State.NONE);
    // A stop does not wait for what a client may have to say.
    if (this.#service.isDraining && this.#life.reading === State.REFUSING) this.#failPeer(error);
  }

  giveUp(idleForMs: number): boolean {
    const { reading, sinceMs } = this.#life;
    if (reading !== State.IDLE || this.#service.clock.nowMs - sinceMs < idleForMs) return false;
    this.#close();
    return true;
  }

  drain(): void {
    const { reading } = this.#life;
    if (reading === State.IDLE || reading === State.FIRST) this.#close();
    else if (reading === State.LINGERING) this.#life.hurryLinger();
  }

  abort(error: TrivetError): void {
    if (this.#life.reading === State.CLOSED) return;
    this.#service.countError(error);
    this.#cutOff(error);
  }

  // What the transport tells.

  onData(borrowed: Uint8Array): void {
    const { reading } = this.#life;
    if (reading === State.CLOSED) return;
    this.#service.counters.bytesReceived += borrowed.byteLength;
    if (reading === State.IN_UPGRADE) {
      this.#raw!.push(borrowed);
    } else if (reading >= State.DISCARDING) {
      this.#discardedBytes += borrowed.byteLength;
      if (this.#discardedBytes > MAX_DISCARDED_BYTES) this.#transport.abort();
    } else {
      this.#decoder.feed(borrowed);
      this.#requestsOfTurn = 0;
      this.#turn();
    }
  }

  onDrain(): void {
    if (!this.outbound.drained()) return;
    this.#everythingLeft();
    if (this.#raw !== null) this.#raw.drained();
    else this.#turn();
  }

  onEnd(): void {
    this.#peerEnd = new PeerEnd(this.#service.goneClients);
    this.#turn();
  }

  onClose(cause: Error | undefined): void {
    if (this.#life.reading === State.CLOSED) return;
    this.#raw?.closed(cause);
    const { exchange } = this.responder;
    // Nearly every connection is closed with nothing in flight, and an error costs a stack: it is made for those that
    // have something to learn from it.
    const isWaitedFor = exchange !== null || this.#arrival !== null || this.#undelivered?.isEmpty === false;
    const error = isWaitedFor
      ? new TrivetError("peer-disconnected", "The peer closed the connection.", { cause })
      : null;
    if (error !== null && exchange !== null) this.#service.countError(error);
    this.#leave(error, State.GONE);
  }

  /** A tick of the server's clock. */
  tick(elapsedMs: number): void {
    try {
      const life = this.#life;
      const { nowMs } = this.#service.clock;
      if (this.#arrival !== null && life.reading !== State.WITHHELD) this.#watchContent(this.#arrival, elapsedMs);
      if (nowMs >= this.outbound.writeAtMs && life.reading !== State.LINGERING) {
        this.abort(new TrivetError("write-timeout", "The peer did not take the response in time."));
      } else if (nowMs >= life.writingAtMs) {
        this.responder.endHandlerTime();
      } else if (nowMs >= life.readingAtMs) {
        this.#readingIsLate();
      }
    } catch (fault) {
      this.#breakDown(fault);
    }
  }

  watchGone(nowMs: number): boolean {
    if (this.#life.reading >= State.DISCARDING) return false;
    // A peer that takes what it gets is there, and the write deadline ends one that does not. A handler that holds a
    // stream of an upgraded connection ends that itself.
    if (nowMs < this.#peerEnd!.goneAtMs || this.outbound.isCongested || this.#raw?.isHeld === true) return true;
    this.#peerIsGone();
    return false;
  }

  // What the content of a request asks for.

  demandContent(): void {
    if (this.#life.reading === State.WITHHELD) this.#tellToContinue();
    this.contentKeptChanged();
  }

  contentKeptChanged(): void {
    if (!this.#isTurning) this.#readOrPause();
  }

  // What an upgraded connection asks for.

  /** Hands over what was gathered. Returns whether the peer keeps up. */
  flush(): boolean {
    if (!this.outbound.flush()) return false;
    if (this.#peerEnd !== null || this.#undelivered !== null) this.#everythingLeft();
    return true;
  }

  /** The writable side of an upgraded connection was closed. */
  end(): void {
    if (this.#life.writing !== State.UPGRADED) return;
    this.#enter(State.IN_UPGRADE, State.ENDED);
    this.#transport.end();
  }

  // The loop.

  #turn(): void {
    if (this.#isTurning) return;
    this.#isTurning = true;
    try {
      do {
        const error = this.responder.advance();
        if (error !== null) this.#cutShort(error);
        this.#decode();
        if (this.#service.isDraining) this.drain();
        if (this.#peerEnd !== null) this.#takePeerEnd(this.#peerEnd);
      } while (this.responder.isDue);
      this.#decoder.keepRest();
      this.#settle();
    } catch (fault) {
      this.#breakDown(fault);
    } finally {
      this.#isTurning = false;
    }
  }

  /** Takes from the bytes what the state allows. */
  #decode(): void {
    const life = this.#life;
    const decoder = this.#decoder;
    try {
      while (true) {
        if (life.writing === State.DONE && this.responder.exchange !== null) this.#endExchange(this.responder.exchange);
        const { reading, writing } = life;
        if (reading === State.COMPLETE || reading > State.SKIPPING || reading === State.PARKED) break;
        if (reading <= State.HEAD) {
          if (decoder.pendingBytes === 0) return;
          if (reading === State.REFUSING) throw this.#refusal!;
          if (this.#mustWait()) {
            if (reading < State.WAITING) life.enter(State.WAITING, writing);
            return;
          }
        }
        switch (decoder.next()) {
          case NEED_MORE:
            if (reading < State.HEAD) life.enter(State.HEAD, writing);
            // RFC 9110 section 10.1.1: a peer that has begun to send the content no longer waits for 100 (Continue).
            else if (reading === State.WITHHELD && decoder.contentBytes > 0) life.enter(State.CONTENT, writing);
            return;
          case FOUND_HEAD:
            this.#beginExchange();
            break;
          case FOUND_CONTENT:
            if (reading === State.WITHHELD) life.enter(State.CONTENT, writing);
            this.#arrival!.append(decoder.bytes, decoder.start, decoder.end);
            break;
          default:
            this.#completeContent();
        }
      }
    } catch (error) {
      if (!(error instanceof TrivetError)) throw error;
      this.#failPeer(error);
    }
    if (life.reading === State.IN_UPGRADE && decoder.pendingBytes > 0) this.#raw!.push(decoder.takeRest());
  }

  /** Whether no further request is begun now: the peer does not take the responses, or it is time for others. */
  #mustWait(): boolean {
    const { outbound } = this;
    if (outbound.isCongested || (outbound.gatheredBytes > MAX_GATHERED_BYTES && !this.flush())) return true;
    if (++this.#requestsOfTurn === 1) return false;
    const nowMs = this.#service.preciseNowMs();
    if (this.#requestsOfTurn === 2) this.#turnBeganMs = nowMs;
    const usedMs = nowMs - this.#turnBeganMs;
    if (usedMs < MAX_TURN_MS) return false;
    if (usedMs < Infinity) {
      // Whatever else turns the loop meanwhile waits as well, and does not ask once more.
      this.#turnBeganMs = -Infinity;
      this.#service.defer(() => {
        this.#requestsOfTurn = 0;
        this.#turn();
      });
    }
    return true;
  }

  #beginExchange(): void {
    const service = this.#service;
    const decoder = this.#decoder;
    const head = decoder.takeHead();
    service.counters.requests++;
    service.counters.activeExchanges++;
    const authority = head.authority ?? defaultAuthority(this.localAddress);
    const uri = service.targetUris.compose(authority, head.pathAndQuery, head.isPlainTarget);
    const exchange = new Exchange(head, uri, this);
    this.responder.expect(exchange, head);
    if (head.contentLength === 0) {
      this.#life.enter(State.COMPLETE, State.AWAITING);
    } else {
      const isWithheld = head.expectsContinue && decoder.pendingBytes === 0;
      this.#life.enter(isWithheld ? State.WITHHELD : State.CONTENT, State.AWAITING);
      this.#arrival = new Arrival(exchange);
      decoder.expectContent(head.contentLength);
    }
    if (service.isDraining) {
      const message = "The server is shutting down and takes no new requests.";
      this.responder.refuse(exchange, new TrivetError("draining", message));
    } else {
      service.run(exchange);
    }
  }

  #completeContent(): void {
    const life = this.#life;
    const arrival = this.#arrival!;
    this.#arrival = null;
    if (life.reading === State.SKIPPING) {
      life.enter(State.IDLE, State.NONE);
      return;
    }
    life.enter(State.COMPLETE, life.writing);
    arrival.exchange.completeContent(this.#decoder.trailers);
    if (life.writing === State.DONE) this.#goOn();
  }

  /** The response is complete: the connection goes on to its next phase. */
  #endExchange(exchange: Exchange): void {
    const { responder } = this;
    const { counters } = this.#service;
    const { reading } = this.#life;
    responder.exchange = null;
    counters.activeExchanges--;
    counters.responses++;
    if (exchange.isWatched) (this.#undelivered ??= new Undelivered()).add(exchange);
    if (exchange.pendingUpgrade !== null) {
      this.#leaveHttp(exchange);
    } else if (reading === State.COMPLETE) {
      this.#goOn();
    } else if (reading === State.WITHHELD || !exchange.content.isBeingRead) {
      // What is left of the content is not wanted. What is being read goes on, and the next request waits for it.
      if (responder.persists) {
        this.#life.enter(State.SKIPPING, State.DONE);
      } else {
        this.#arrival = null;
        this.#close();
      }
      exchange.discardContent();
    }
  }

  /** Request and response are both whole. */
  #goOn(): void {
    if (this.responder.persists) this.#life.enter(State.IDLE, State.NONE);
    else this.#close();
  }

  /** What was gathered goes out, and what the states ask of the transport is done. */
  #settle(): void {
    const life = this.#life;
    const { outbound, responder } = this;
    if (life.reading === State.CLOSED) return;
    if (outbound.gatheredBytes > 0) {
      // What stands before a response in the making may wait for it until the turn is over.
      if (responder.exchange === null || responder.writer.isUrgent) this.flush();
      else this.#deferFlush();
    }
    if (!outbound.isCongested) {
      if (life.writing === State.FLUSHING) this.#end();
      else if (life.writing === State.STREAMING) responder.writer.readOn();
    }
    this.#readOrPause();
  }

  #deferFlush(): void {
    if (this.#flushIsDeferred) return;
    this.#flushIsDeferred = true;
    this.#service.defer(() => {
      this.#flushIsDeferred = false;
      if (this.#life.reading !== State.CLOSED) this.flush();
    });
  }

  #readOrPause(): void {
    let isPaused = false;
    switch (READING[this.#life.reading].reads) {
      case "unless-congested":
        isPaused = this.outbound.isCongested;
        break;
      case "unless-held":
        isPaused = this.#arrival!.isHeld;
        break;
      case "until-kept":
        isPaused = this.#decoder.pendingBytes >= MAX_KEPT_BYTES;
        break;
      case "by-stream":
        return;
    }
    if (isPaused === this.#isPaused) return;
    this.#isPaused = isPaused;
    if (isPaused) this.#transport.pause();
    else this.#transport.resume();
  }

  // What the rows of the tables ask for: after the peer's FIN, and when a deadline has passed.

  #takePeerEnd(peerEnd: PeerEnd): void {
    switch (READING[this.#life.reading].fin) {
      case "close-unless-kept":
        if (this.#decoder.pendingBytes === 0) this.#close();
        else this.#expectGone(peerEnd);
        return;
      case "close":
        this.#close();
        return;
      case "end-of-head":
        // While the responses before are not taken, what was kept may be more than a part of a head.
        if (this.outbound.isCongested) return;
        if (this.#decoder.hasBegunHead) this.#failPeer(incompleteMessage());
        else this.#close();
        return;
      case "fails-content":
        this.#failContent(incompleteMessage());
        if (this.#life.reading === State.COMPLETE) this.#expectGone(peerEnd);
        return;
      case "to-stream":
        this.#raw!.endReading();
        this.#expectGone(peerEnd);
        return;
      case "gone":
        this.#expectGone(peerEnd);
    }
  }

  #readingIsLate(): void {
    switch (READING[this.#life.reading].late) {
      case "refuse":
        // The concurrency model has to forget it before it is refused.
        this.#service.connectionServed(this);
        this.refuse(new TrivetError("queue-timeout", "The connection has waited for its turn as long as it may."));
        return;
      case "answer":
        this.#failPeer(this.#refusal!);
        return;
      case "408":
        // RFC 9110 section 15.5.9 is for a request that was begun; a connection that never asked is just closed.
        if (this.#decoder.hasBegunHead) {
          this.#failPeer(new TrivetError("head-timeout", "The head of the request did not come whole in time."));
        } else {
          this.#close();
        }
        return;
      case "close":
        this.#close();
        return;
      case "fail-content":
        this.#failContent(this.#arrival!.timeout());
        return;
      case "abort":
        this.#transport.abort();
    }
  }

  #watchContent(arrival: Arrival, elapsedMs: number): void {
    if (arrival.isExcused) {
      this.#life.extendReading(elapsedMs);
      return;
    }
    const error = arrival.watch(elapsedMs, this.#decoder.contentBytes, this.#service.settings);
    if (error !== null) this.#failContent(error);
  }

  #expectGone(peerEnd: PeerEnd): void {
    if (peerEnd.expect(this)) this.#peerIsGone();
  }

  #peerIsGone(): void {
    this.abort(new TrivetError("peer-disconnected", "The peer ended the connection and does not take the response."));
  }

  #everythingLeft(): void {
    this.#peerEnd?.seen();
    this.#undelivered?.deliver();
  }

  #tellToContinue(): void {
    const { exchange } = this.responder;
    if (exchange !== null && this.responder.mayInform(exchange)) {
      this.outbound.appendLatin1(CONTINUE);
      this.#enter(State.CONTENT, this.#life.writing);
      this.flush();
    } else {
      const message = "The final response is out, so that the peer can't be asked for content.";
      this.#failContent(new TrivetError("too-late", message));
    }
  }

  // Errors.

  /** The peer has sent what can't be served, in the head or in the content. */
  #failPeer(error: TrivetError): void {
    const { exchange, writer } = this.responder;
    if (exchange !== null || this.#life.writing === State.DONE) {
      this.#failContent(error);
      return;
    }
    this.#service.countError(error);
    // RFC 9110 section 9.3.2: the response to HEAD has no content, whatever is wrong with the request.
    writer.method = this.#decoder.isOfHeadMethod ? "HEAD" : "GET";
    writer.minorVersion = 1;
    this.responder.sendError(error);
    this.#close();
  }

  /** The rest of the content will not come, or is not wanted. The peer is told if no response has begun. */
  #failContent(error: TrivetError): void {
    const { responder } = this;
    const { exchange } = responder;
    const arrival = this.#arrival;
    const { writing } = this.#life;
    this.#arrival = null;
    this.#decoder.giveUpContent();
    responder.isLast = true;
    if (exchange !== null) this.#enter(State.COMPLETE, writing);
    if (exchange !== null && writing === State.AWAITING) {
      responder.abort(error);
      return;
    }
    this.#service.countError(error);
    arrival?.exchange.failContent(error);
    if (exchange === null) this.#close();
  }

  /** The response has failed behind its head. What its stream gave before that still goes out. */
  #cutShort(error: TrivetError): void {
    this.outbound.flush();
    this.#cutOff(error);
  }

  /** Something is wrong with this program: this one connection pays for it. */
  #breakDown(fault: unknown): void {
    if (transitionRecorder.record !== null) throw fault;
    if (this.#life.reading === State.CLOSED) return;
    const error = new TrivetError("internal-error", "The server has failed this connection.", { cause: fault });
    this.#service.reportError(error);
    this.#cutOff(error);
  }

  // The ends of a connection.

  /** Enters a state from outside of the loop, and turns it. */
  #enter(reading: State.Reading, writing: State.Writing): void {
    try {
      this.#life.enter(reading, writing);
    } catch (fault) {
      this.#breakDown(fault);
    }
    this.#turn();
  }

  #leaveHttp(exchange: Exchange): void {
    const upgrade = exchange.pendingUpgrade!;
    this.flush();
    if (this.#isPaused) this.#transport.resume();
    this.#isPaused = false;
    this.#life.enter(State.IN_UPGRADE, State.UPGRADED);
    this.#raw = new RawConnection(this.#transport, this);
    exchange.deliver();
    upgrade.resolve(this.#raw);
  }

  /** Sends what is left, then FIN, then waits for the peer's. */
  #close(): void {
    this.#decoder.close();
    this.#enter(State.DISCARDING, State.FLUSHING);
  }

  #end(): void {
    const service = this.#service;
    this.#life.enter(State.LINGERING, State.ENDED);
    if (service.isDraining) this.#life.hurryLinger();
    service.connectionServed(this);
    this.#transport.end();
  }

  #cutOff(error: TrivetError): void {
    this.#raw?.closed(error);
    this.#leave(error, State.CUT);
    this.#transport.abort();
  }

  /**
   * The end of everything this connection owns.
   *
   * @param error Why, for what waits for something; `null` when nothing does.
   */
  #leave(error: TrivetError | null, writing: State.Writing): void {
    const service = this.#service;
    const wasServed = this.#life.reading === State.LINGERING;
    this.#life.enter(State.CLOSED, writing);
    this.#decoder.close();
    this.outbound.discard();
    if (error !== null) this.#failWaiting(error);
    if (!wasServed) service.connectionServed(this);
    service.connectionClosed(this);
  }

  #failWaiting(error: TrivetError): void {
    const { responder } = this;
    const { exchange } = responder;
    responder.writer.cancel(error);
    responder.exchange = null;
    this.#undelivered?.abort(error);
    this.#arrival?.exchange.failContent(error);
    this.#arrival = null;
    if (exchange === null) return;
    this.#service.counters.activeExchanges--;
    exchange.abort(error);
  }
}

/** RFC 9110 section 7.2 lets HTTP/1.0 come without Host; then the request is for where it arrived. */
function defaultAuthority(address: Address): string {
  return address.transport === "unix" ? "localhost" : composeAuthority(address.hostname, address.port);
}

function incompleteMessage(): TrivetError {
  return new TrivetError("message-incomplete", "The peer ended the connection before the request was complete.");
}
