/**
 * One connection that speaks HTTP/1.1: the driver of its decoder and its responder.
 *
 * It has one loop: decode, run, write, flush, then read or pause. Whatever happens, an event of the transport, the
 * answer of a handler or a deadline, changes a state (`lifecycle.ts`) and turns the loop; the only guard against
 * re-entry is there. It must not know how bytes become requests, nor how responses are chosen and become bytes.
 *
 * @module
 */

import { TrivetError } from "../../api/errors.ts";
import type { ConnectionActivity } from "../../api/stats.ts";
import { AcceptedConnection } from "../../exchange/accepted_connection.ts";
import type { Connection } from "../../exchange/connection.ts";
import { Exchange, type ExchangeOwner } from "../../exchange/exchange.ts";
import { type HalfClosed, PeerEnd } from "../../exchange/gone_clients.ts";
import type { Address, TransportConnection } from "../../transport.ts";
import { transitionRecorder } from "../../states.ts";
import { TurnShare } from "../../web/turn_share.ts";
import { Arrival } from "./arrival.ts";
import * as State from "./lifecycle.ts";
import { Outbound } from "./outbound.ts";
import { ReadGate } from "./read_gate.ts";
import { FOUND_CONTENT, FOUND_HEAD, NEED_MORE, RequestDecoder } from "./request_decoder.ts";
import { Responder } from "./responder.ts";
import type { ConnectionService } from "./service.ts";
import { RawConnection } from "./upgraded_connection.ts";
import * as Verdicts from "./verdicts.ts";

export class Http1Connection extends AcceptedConnection
  implements Connection, ExchangeOwner, HalfClosed, State.LifecycleOwner {
  /** The one writer of its socket, for an upgraded connection too. */
  readonly outbound: Outbound;
  readonly responder: Responder;
  readonly services: ConnectionService;
  readonly #life: State.Lifecycle;
  readonly #decoder: RequestDecoder;
  readonly #gate: ReadGate;
  /** The content that comes: of the exchange in flight, or of one whose response is complete and that is read on. */
  #arrival: Arrival | null = null;
  #raw: RawConnection | null = null;
  /** What follows from the peer's FIN; `null` while it has not come. */
  #peerEnd: PeerEnd | null = null;
  /** What the connection is refused with. */
  #refusal: TrivetError | null = null;
  /** Whether one of the requests that have come was begun: the others share the turn with other connections. */
  #hasBegunOne = false;
  #share: TurnShare | null = null;
  #isTurning = false;

  constructor(transport: TransportConnection, service: ConnectionService, source: Address | null) {
    super(transport, source);
    this.services = service;
    this.#life = new State.Lifecycle(service.clock, service.timeouts, this);
    this.outbound = new Outbound(transport, service);
    this.#decoder = new RequestDecoder(service.headParsers, service.settings, service.decodeLatin1);
    this.responder = new Responder(service, this.#life, this.outbound, this.#decoder, this.#turn);
    this.#gate = new ReadGate(transport);
  }

  // What the concurrency model and the server ask for.

  get activity(): ConnectionActivity {
    return State.READING[this.#life.reading].activity;
  }

  serve(): void {
    if (this.#life.reading !== State.PARKED) return;
    // The client has sent FIN while the connection waited for its turn.
    if (this.#peerEnd?.isLate === true) this.abort(Verdicts.gone());
    else this.#life.enter(State.FIRST, State.NONE);
    this.#turn();
  }

  refuse(error: TrivetError): void {
    if (this.#life.reading !== State.PARKED) return;
    this.#refusal = error;
    this.wasRefused = true;
    this.services.connectionRefused(this);
    this.#life.enter(State.REFUSING, State.NONE);
    // A stop does not wait for what a client may have to say.
    if (this.services.isDraining) this.#failPeer(error);
    this.#turn();
  }

  answerRefusal(): void {
    if (this.#life.reading === State.REFUSING) this.#failPeer(this.#refusal!);
  }

  giveUp(idleForMs: number): boolean {
    const { reading, sinceMs } = this.#life;
    if (reading !== State.IDLE || this.services.clock.nowMs - sinceMs < idleForMs) return false;
    this.#close();
    return true;
  }

  get isBusy(): boolean {
    const { reading } = this.#life;
    if (reading === State.PARKED) return this.#decoder.pendingBytes > 0;
    return reading !== State.FIRST && reading !== State.IDLE && reading < State.LINGERING;
  }

  drain(closesIdle: boolean): void {
    const { reading } = this.#life;
    if (reading === State.LINGERING) this.#life.hurryLinger();
    else if (closesIdle && (reading === State.IDLE || reading === State.FIRST)) this.#close();
  }

  abort(error: TrivetError): void {
    const { reading } = this.#life;
    if (reading === State.CLOSED) return;
    // A connection that has said everything loses nothing.
    if (reading !== State.LINGERING) this.services.countError(error);
    this.#cutOff(error);
  }

  // What the transport tells.

  onData(borrowed: Uint8Array, end: number): void {
    const { reading } = this.#life;
    if (reading === State.CLOSED) return;
    this.services.counters.bytesReceived += end;
    if (reading === State.IN_UPGRADE) {
      this.#raw!.push(borrowed, end);
    } else if (reading >= State.DISCARDING) {
      if (!this.#decoder.discard(end)) this.transport.abort();
    } else {
      this.#decoder.feed(borrowed, end);
      this.#turn();
    }
  }

  onDrain(): void {
    this.outbound.drained();
    if (!this.flush()) return;
    if (this.#raw !== null) this.#raw.drained();
    else this.#turn();
  }

  onEnd(): void {
    this.#peerEnd = new PeerEnd(this.services.goneClients);
    this.#turn();
  }

  onClose(cause: Error | undefined): void {
    if (this.#life.reading === State.CLOSED) return;
    this.#raw?.closed(cause);
    // An error costs a stack: it is made where something has to learn of it.
    const error = this.responder.isAwaited || this.#arrival !== null ? Verdicts.disconnected(cause) : null;
    if (this.responder.exchange !== null) this.services.countError(error!);
    this.#leave(error, State.GONE);
  }

  /** A tick of the server's clock. */
  tick(elapsedMs: number): void {
    try {
      const life = this.#life;
      const { nowMs } = this.services.clock;
      if (this.#arrival !== null && life.reading !== State.WITHHELD) {
        const error = this.#arrival.watch(elapsedMs, this.#decoder.contentBytes, this.services.settings, life);
        if (error !== null) this.#failContent(error);
      }
      if (nowMs >= this.outbound.writeAtMs && life.reading !== State.LINGERING) {
        this.abort(new TrivetError("write-timeout", "The peer did not take the response in time."));
      } else if (nowMs >= life.writingAtMs) {
        this.responder.endHandlerTime();
      } else if (nowMs >= life.readingAtMs) {
        const verdict = Verdicts.onLateness(life.reading, this.#decoder);
        this.#carryOut(verdict, () => Verdicts.late(this.#arrival));
      } else if (life.isUnbounded) this.transport.watchPeer();
    } catch (fault) {
      this.breakDown(fault);
    }
  }

  watchGone(nowMs: number): boolean {
    if (this.#life.reading >= State.DISCARDING) return false;
    // A peer that takes what it gets is there, and the write deadline ends one that does not. A handler that holds a
    // stream of an upgraded connection ends that itself.
    if (nowMs < this.#peerEnd!.goneAtMs || this.outbound.isCongested || this.#raw?.isHeld === true) return true;
    this.abort(Verdicts.gone());
    return false;
  }

  // What the content of a request asks for.

  demandContent(): void {
    const canCome = this.#life.reading !== State.WITHHELD || this.responder.tellToContinue();
    if (!canCome) this.#failContent(Verdicts.tooLate());
    this.contentKeptChanged();
  }

  contentKeptChanged(): void {
    const { reading, writing } = this.#life;
    // Behind the response the content is skipped once its reader has let go, or has turned out to be none.
    if (reading === State.CONTENT && writing === State.DONE) this.#skipUnlessRead(this.#arrival!.exchange);
    if (!this.#isTurning) this.#readOrPause();
  }

  /** Hands over what was gathered. Returns whether the peer keeps up. */
  flush(): boolean {
    if (!this.outbound.flush()) {
      if (this.outbound.hasLostBytes) this.abort(Verdicts.lostBytes());
      return false;
    }
    this.#peerEnd?.seen();
    this.responder.everythingLeft();
    return true;
  }

  pass(bytes: Uint8Array, start: number, end: number, areBorrowed: boolean): boolean {
    return this.outbound.pass(bytes, start, end, areBorrowed) && this.flush();
  }

  readonly #turn = (): void => {
    if (this.#isTurning) return;
    this.#isTurning = true;
    try {
      const life = this.#life;
      do {
        const failure = life.writing === State.NONE ? null : this.responder.advance();
        if (failure !== null) this.#cutOff(failure);
        this.#decode();
        if (this.services.isDraining && this.services.closesIdle) this.drain(true);
        if (this.#peerEnd !== null) {
          this.#carryOut(Verdicts.onFin(life.reading, this.#decoder, this.outbound, this.#share), Verdicts.incomplete);
        }
      } while (life.writing !== State.NONE && this.responder.isDue);
      this.#decoder.keepRest();
      this.#settle();
    } catch (fault) {
      this.breakDown(fault);
    } finally {
      this.#isTurning = false;
    }
  };

  /** Takes from the bytes what the state allows. */
  #decode(): void {
    const life = this.#life;
    const decoder = this.#decoder;
    try {
      while (true) {
        if (life.writing === State.DONE && this.responder.exchange !== null) this.#endExchange(this.responder.exchange);
        const { reading, writing } = life;
        if (reading === State.COMPLETE || reading > State.SKIPPING) break;
        if (reading === State.PARKED && !this.responder.answersBeforeTurn(decoder)) break;
        if (reading <= State.HEAD) {
          if (decoder.pendingBytes === 0) return;
          if (reading === State.REFUSING) throw this.#refusal!;
          if (this.#hasBegunOne ? this.#mustWait() : this.outbound.isCongested) {
            if (reading === State.IDLE) life.enter(State.WAITING, writing);
            return;
          }
          this.#hasBegunOne = true;
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
    if (this.outbound.isCongested || (this.outbound.isFull && !this.flush())) return true;
    const share = this.#share ??= new TurnShare(this.services.turnClock, 1);
    if (share.take()) return false;
    if (!share.isAwaited) share.wait(this.#turn);
    return true;
  }

  #beginExchange(): void {
    const service = this.services;
    const decoder = this.#decoder;
    const head = decoder.head!;
    decoder.head = null;
    service.counters.requests++;
    const origin = service.origins === null ? null : service.origins.find(head, this);
    const uri = origin === null ? service.targetUris.compose(head, this) : origin.uri;
    const exchange = new Exchange(head, uri, this, origin === null ? null : origin.client);
    this.responder.expect(exchange, head);
    if (head.contentLength === 0) {
      this.#life.enter(State.COMPLETE, State.AWAITING);
    } else {
      const isWithheld = head.expectsContinue && decoder.pendingBytes === 0;
      this.#life.enter(isWithheld ? State.WITHHELD : State.CONTENT, State.AWAITING);
      this.#arrival = new Arrival(exchange);
      decoder.expectContent(head.contentLength);
    }
    service.runner.run(exchange, this);
  }

  #completeContent(): void {
    const life = this.#life;
    const arrival = this.#arrival!;
    this.#arrival = null;
    if (life.reading === State.SKIPPING) return life.enter(State.IDLE, State.NONE);
    life.enter(State.COMPLETE, life.writing);
    arrival.exchange.completeContent(this.#decoder.trailers);
    if (life.writing !== State.DONE) return;
    // The response was complete before.
    if (this.responder.isLast) this.#close();
    else life.enter(State.IDLE, State.NONE);
  }

  /** The response is complete: the connection goes on to its next phase. */
  #endExchange(exchange: Exchange): void {
    this.responder.finish(exchange);
    if (exchange.pendingUpgrade !== null) {
      this.#leaveHttp(exchange);
    } else if (this.#life.reading !== State.COMPLETE) {
      this.#skipUnlessRead(exchange);
    } else if (this.responder.isLast) {
      this.#close();
    } else {
      this.#life.enter(State.IDLE, State.NONE);
    }
  }

  /** Skips the rest of the content, unless the handler still reads it: then the next request waits for that. */
  #skipUnlessRead(exchange: Exchange): void {
    if (this.#life.reading !== State.WITHHELD && exchange.content.isBeingRead) return;
    if (this.responder.isLast) {
      this.#arrival = null;
      this.#close();
    } else {
      this.#life.enter(State.SKIPPING, State.DONE);
    }
    exchange.discardContent();
  }

  /** What was gathered goes out, and what the states ask of the transport is done. */
  #settle(): void {
    const life = this.#life;
    const { outbound, responder } = this;
    if (life.reading === State.CLOSED) return;
    if (outbound.gatheredBytes > 0) {
      // What stands before a response in the making may wait for it until the turn is over.
      if (responder.exchange === null || responder.writer.isUrgent) this.flush();
      else outbound.flushLater(() => this.flush());
    }
    if (responder.exchange === null && this.#decoder.pendingBytes === 0) this.#hasBegunOne = false;
    if (!outbound.isCongested) {
      if (life.writing === State.FLUSHING) {
        this.linger();
        this.transport.end();
      } else if (life.writing === State.STREAMING) responder.writer.readOn();
    }
    this.#readOrPause();
  }

  #readOrPause(): void {
    const { reads } = State.READING[this.#life.reading];
    const isHeld = reads === "unless-held" && this.#arrival!.isHeld;
    this.#gate.settle(reads, this.outbound.isCongested, isHeld, this.#decoder.pendingBytes);
  }

  // What follows from the client's FIN, from deadlines and from errors.

  /** Does what was decided by the tables, for one of the errors where there has to be one. */
  #carryOut(verdict: Verdicts.Verdict, error: () => TrivetError): void {
    switch (verdict) {
      case "close":
        return this.#close();
      case "fail-head":
        this.#failPeer(error());
        return;
      case "fail-content":
        this.#failContent(error());
        if (this.#life.reading === State.COMPLETE && this.#peerEnd?.expect(this) === true) this.abort(Verdicts.gone());
        return;
      case "end-stream":
      case "expect-gone":
        if (verdict === "end-stream") this.#raw!.endReading();
        if (this.#peerEnd!.expect(this)) this.abort(Verdicts.gone());
        return;
      case "refuse":
        // The concurrency model has to forget it before it is refused.
        this.services.connectionServed(this);
        this.refuse(new TrivetError("queue-timeout", "The connection has waited for its turn as long as it may."));
        return;
      case "answer-refusal":
        return this.answerRefusal();
      case "abort":
        this.abort(Verdicts.untakenUpgrade());
    }
  }

  /** The peer has sent what can't be served, in the head or in the content. */
  #failPeer(error: TrivetError): void {
    if (this.responder.exchange !== null || this.#life.writing === State.DONE) {
      this.#failContent(error);
      return;
    }
    const { observer, turnClock } = this.services;
    const contentBytes = this.responder.refuseRequest(error, this.#decoder.isOfHeadMethod());
    observer?.requestRefused(this, error, contentBytes, turnClock.nowMs());
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
    if (exchange !== null) this.#life.enter(State.COMPLETE, writing);
    if (exchange !== null && writing === State.AWAITING) {
      responder.abort(error);
      return;
    }
    this.services.countError(error);
    arrival?.exchange.failContent(error);
    if (exchange === null) this.#close();
    else this.#turn();
  }

  /** Something is wrong with this program: this one connection pays for it. */
  breakDown(fault: unknown): void {
    if (transitionRecorder.record !== null) throw fault;
    if (this.#life.reading === State.CLOSED) return;
    const error = new TrivetError("internal-error", "The server has failed this connection.", { cause: fault });
    this.services.reportError(error);
    this.#cutOff(error);
  }

  // The ends of a connection.

  #leaveHttp(exchange: Exchange): void {
    const upgrade = exchange.pendingUpgrade!;
    this.#gate.open();
    this.#life.enter(State.IN_UPGRADE, State.UPGRADED);
    this.#raw = new RawConnection(this.transport, exchange.remoteAddress, this, this.#life);
    exchange.deliver();
    upgrade.resolve(this.#raw);
  }

  /** Everything was said, or the handler has let go of what it had upgraded: only the peer's FIN is waited for. */
  linger(): void {
    this.#life.enter(State.LINGERING, State.ENDED);
    if (this.services.isDraining) this.#life.hurryLinger();
    this.services.connectionServed(this);
    this.#readOrPause();
  }

  /** Sends what is left, then FIN, then waits for the peer's. */
  #close(): void {
    this.#decoder.close();
    this.#life.enter(State.DISCARDING, State.FLUSHING);
    this.#turn();
  }

  #cutOff(error: TrivetError): void {
    // To HTTP/1.0 only a reset says that content is not whole. It takes what came before along, which FIN does not.
    const isUnderWay = this.#life.writing === State.STREAMING;
    const mustReset = this.outbound.isCongested || (isUnderWay && this.responder.writer.minorVersion === 0);
    this.#raw?.closed(error);
    this.#leave(error, State.CUT);
    if (mustReset) this.transport.cutOff();
    else if (isUnderWay) this.transport.end();
    this.transport.abort();
  }

  /** The end of everything this connection owns. Without an error nothing waits for anything. */
  #leave(error: TrivetError | null, writing: State.Writing): void {
    const service = this.services;
    const wasServed = this.#life.reading === State.LINGERING;
    this.#life.enter(State.CLOSED, writing);
    this.#decoder.close();
    this.outbound.discard();
    if (error !== null) {
      this.responder.leave(error);
      this.#arrival?.exchange.failContent(error);
      this.#arrival = null;
    }
    if (!wasServed) service.connectionServed(this);
    service.connectionClosed(this);
  }
}
