/**
 * One connection that speaks HTTP/1.1: from its first byte to its close.
 *
 * It decides what the connection is doing, when an exchange begins and ends, which deadlines run, and how it is closed.
 * It must not know sockets, nor who calls the handler, nor how messages look: reading is the {@linkcode RequestReader}'s,
 * answering the {@linkcode Responder}'s.
 *
 * Requests that come pipelined are answered in order, one at a time: while one is in flight the bytes of the next wait,
 * and the transport is paused as soon as there are some.
 *
 * @module
 */

import { TrivetError } from "../../api/errors.ts";
import { composeAuthority } from "../../http/authority.ts";
import type { FieldSection } from "../../http/field_section.ts";
import type { RequestHead } from "../codec/request_head.ts";
import type { Address, TransportConnection } from "../../runtime.ts";
import { type ConnectionState, isBehindHttp } from "./connection_state.ts";
import { failHandler, watchDeadlines } from "./deadline_watch.ts";
import { Deadlines } from "./deadlines.ts";
import { Exchange, type ExchangeOwner } from "../../exchange/exchange.ts";
import { Outbound } from "./outbound.ts";
import { mayRead, takePeerEnd } from "./peer_input.ts";
import { RequestReader } from "./request_reader.ts";
import { Responder } from "./responder.ts";
import type { ConnectionService } from "./service.ts";
import { RawConnection } from "./upgraded_connection.ts";

/** What is read and thrown away after our FIN; a peer that sends more is cut off. */
const MAX_LINGER_BYTES = 32 * 1024 * 1024;
/** Responses to pipelined requests gathered before they are written within a turn. */
const MAX_GATHERED_BYTES = 64 * 1024;

/** One connection. */
export class HttpConnection implements ExchangeOwner {
  /** The server it belongs to. */
  readonly service: ConnectionService;
  /** The one writer of its socket. */
  readonly outbound: Outbound;
  /** The exchange in flight. */
  exchange: Exchange | null = null;
  /** What the connection is doing. */
  state: ConnectionState = "parked";
  /** Where the connection stands among those of its server, which the server knows. */
  placeAmongOpen = 0;
  /** Where the connection stands while it waits to be served, which the model knows. */
  placeInLine = 0;
  /** Whether it was answered with an error instead of being served. */
  wasRefused = false;
  readonly #transport: TransportConnection;
  readonly #deadlines: Deadlines;
  readonly #reader: RequestReader;
  readonly #responder: Responder;
  #raw: RawConnection | null = null;
  #requests = 0;
  #lingerBytes = 0;
  #peerHasEnded = false;
  #isPaused = false;

  /**
   * @param transport The accepted connection.
   * @param service The server.
   */
  constructor(transport: TransportConnection, service: ConnectionService) {
    this.#transport = transport;
    this.service = service;
    this.#deadlines = new Deadlines(service.clock, service.settings);
    this.outbound = new Outbound(transport, service.slab, service.counters);
    this.#reader = new RequestReader(this);
    this.#responder = new Responder(this);
  }

  /** The peer's address. */
  get remoteAddress(): Address {
    return this.#transport.remoteAddress;
  }

  /** The address at which the connection was accepted. */
  get localAddress(): Address {
    return this.#transport.localAddress;
  }

  /** The answering side. */
  get responder(): Responder {
    return this.#responder;
  }

  get nativeRequest(): boolean {
    return this.service.settings.nativeRequest;
  }

  /** Whether the content of the request in flight has come whole. */
  get isContentComplete(): boolean {
    return this.#reader.isContentComplete;
  }

  // What the concurrency model and the server ask for.

  /** Serves the connection: its requests are read and answered from now on. */
  serve(): void {
    if (this.state !== "parked") return;
    this.state = "idle";
    this.#deadlines.expectFirstRequest();
    this.#goOn();
  }

  /** Answers with an error and closes, without a request. */
  refuse(error: TrivetError): void {
    if (this.state !== "parked") return;
    this.wasRefused = true;
    if (this.service.mayTellRefusal(error)) this.failPeer(error);
    else this.abort(error);
  }

  /** Closes a connection that has merely waited for another request for so long. Returns whether it did. */
  giveUp(idleForMs: number): boolean {
    if (this.state !== "idle" || this.#requests === 0 || this.#reader.hasKeptBytes) return false;
    if (!this.#deadlines.hasBeenIdleFor(idleForMs)) return false;
    this.startClosing();
    return true;
  }

  /** Takes nothing new: a connection without a request under way has nothing to wait for, and not long for its end. */
  drain(): void {
    if (this.state === "idle" && !this.#reader.hasKeptBytes) this.startClosing();
    else if (this.state === "lingering") this.#deadlines.expectPeerEnd(true);
  }

  /** Closes at once, whatever is in flight. */
  abort(error: TrivetError): void {
    if (this.state === "closed") return;
    this.service.countError(error);
    this.cutOff(error);
  }

  // What the transport tells.

  /** Bytes came. */
  onData(borrowed: Uint8Array): void {
    if (this.state === "closed") return;
    this.service.counters.bytesReceived += borrowed.byteLength;
    if (isBehindHttp(this.state)) {
      this.takeRest(borrowed);
      return;
    }
    this.#reader.receive(borrowed);
    this.#settle();
  }

  /** The transport has sent what it held. */
  onDrain(): void {
    if (!this.outbound.drained()) {
      this.#deadlines.expectDrain(true);
      return;
    }
    this.#deadlines.drained();
    this.#responder.everythingLeft();
    if (this.state === "upgraded") this.#raw?.drained();
    else if (this.state === "closing") this.#endAndLinger();
    else if (this.#responder.isStreaming) this.#responder.resumeStream();
    else this.#goOn();
  }

  /** The peer has sent FIN. */
  onEnd(): void {
    this.#peerHasEnded = true;
    if (this.state === "upgraded") this.#raw?.endReading();
    else this.#settle();
  }

  /** The connection is gone. */
  onClose(cause: Error | undefined): void {
    if (this.state === "closed") return;
    this.#raw?.closed(cause);
    // Nearly every connection is closed with nothing in flight, and an error, with its stack, is worth making only for
    // somebody who learns of it.
    if (this.exchange === null && !this.#responder.hasUndelivered) {
      this.#release(null);
      return;
    }
    const error = new TrivetError("peer-disconnected", "The peer closed the connection.", { cause });
    if (this.exchange !== null) this.service.countError(error);
    this.#release(error);
  }

  /** A tick of the server's clock. */
  tick(elapsedMs: number): void {
    watchDeadlines(this, this.#deadlines, this.#reader, elapsedMs);
  }

  // What the reader finds.

  /** Whether so many responses wait for the peer that no more should be made. */
  isBackedUp(): boolean {
    if (this.outbound.gatheredBytes > MAX_GATHERED_BYTES) this.flush();
    return this.outbound.isCongested;
  }

  /** The first byte of a head has come. */
  beginHead(): void {
    this.state = "head";
    this.#deadlines.expectHead();
  }

  /**
   * A head has come whole: the handler is called.
   *
   * @param hasMore Whether bytes have come behind it.
   * @throws {TrivetError} When the request can't be served.
   */
  beginExchange(head: RequestHead, hasMore: boolean): void {
    const { service } = this;
    const { counters } = service;
    this.#deadlines.expectResponse();
    this.#requests++;
    counters.requests++;
    const authority = head.authority ?? defaultAuthority(this.localAddress);
    const uri = service.targetUris.compose(authority, head.pathAndQuery, head.isPlainTarget);
    const exchange = new Exchange(head, uri, this);
    this.state = "exchange";
    this.exchange = exchange;
    counters.activeExchanges++;
    if (service.isDraining) {
      throw new TrivetError("draining", "The server is shutting down and takes no new requests.");
    }
    if (head.framing !== 0) {
      this.#reader.beginContent(head, hasMore);
      this.#deadlines.expectContent();
    }
    service.run(exchange);
  }

  /** The content has come whole. */
  completeContent(trailers: FieldSection): void {
    this.#deadlines.contentSettled();
    if (this.state === "skipping") this.#becomeIdle();
    else this.exchange?.completeContent(trailers);
  }

  /** Bytes behind the last request. */
  takeRest(bytes: Uint8Array): void {
    if (this.state === "upgraded") {
      this.#raw?.push(bytes);
      return;
    }
    this.#lingerBytes += bytes.byteLength;
    if (this.#lingerBytes > MAX_LINGER_BYTES) this.#transport.abort();
  }

  /** The peer has sent what can't be served, in the head or in the content. */
  failPeer(error: TrivetError): void {
    if (this.state === "exchange" || this.state === "skipping") {
      this.failContent(error);
      return;
    }
    this.service.countError(error);
    this.#responder.sendError(null, error);
  }

  // What the content of the request asks for.

  demandContent(): void {
    if (this.#reader.owesContinue) this.#settleContinue();
    this.#updateReading();
  }

  contentKeptChanged(): void {
    this.#updateReading();
  }

  // What the exchange asks for.

  restartHandlerTime(): void {
    this.#deadlines.expectResponse();
  }

  endHandlerTime(): void {
    failHandler(this, this.#deadlines);
  }

  // What the responder asks for.

  /** The handler has given its response. */
  handlerIsDone(): void {
    this.#deadlines.responseGiven();
  }

  /** Whether anything but the two messages themselves speaks against keeping the connection. */
  mayPersist(): boolean {
    const { service } = this;
    const { maxRequestsPerConnection } = service.settings;
    if (service.isDraining || !service.mayPersist(this)) return false;
    if (maxRequestsPerConnection > 0 && this.#requests >= maxRequestsPerConnection) return false;
    return this.#reader.canSkipContent;
  }

  /** Closes at once. */
  cutOff(error: TrivetError): void {
    this.#raw?.closed(error);
    this.#release(error);
    this.#transport.abort();
  }

  /** Hands over what was gathered. Returns whether the peer keeps up. */
  flush(): boolean {
    if (this.outbound.flush()) {
      this.#responder.everythingLeft();
      return true;
    }
    this.#deadlines.expectDrain(false);
    return false;
  }

  /** The last byte of the response was gathered: the connection goes on to its next phase. */
  endExchange(exchange: Exchange): void {
    this.exchange = null;
    this.service.counters.activeExchanges--;
    this.service.counters.responses++;
    this.#deadlines.responseGiven();
    if (exchange.pendingUpgrade !== null) {
      this.#leaveHttp(exchange);
    } else if (this.#responder.closesAfterResponse) {
      if (!this.#reader.isContentComplete) exchange.discardContent();
      this.startClosing();
    } else if (this.#reader.isContentComplete) {
      this.#becomeIdle();
    } else {
      this.state = "skipping";
      exchange.discardContent();
    }
    if (!this.#reader.isAdvancing) this.#goOn();
  }

  /** Sends what is left, then FIN, then waits for the peer's. */
  startClosing(): void {
    if (this.state === "closing" || this.state === "lingering" || this.state === "closed") return;
    this.state = "closing";
    this.#reader.close();
    this.#deadlines.stopReading();
    if (this.flush()) this.#endAndLinger();
    else this.#updateReading();
  }

  // What the deadlines ask for.

  /** The rest of the content will not come, or is not wanted. The peer is told if no response has begun. */
  failContent(error: TrivetError): void {
    const { exchange } = this;
    this.#reader.giveUpContent();
    this.#deadlines.contentSettled();
    this.#responder.closesAfterResponse = true;
    this.service.countError(error);
    if (exchange === null) {
      this.startClosing();
    } else if (exchange.progress === "awaited") {
      exchange.abort(error);
      this.#responder.sendError(exchange, error);
    } else {
      exchange.failContent(error);
    }
  }

  /** The peer has had its time to read the last response. */
  endLingering(): void {
    this.#transport.abort();
  }

  // The rest is the connection's own.

  #goOn(): void {
    this.#reader.goOn();
    this.#settle();
  }

  /** After every event: what is gathered goes out, and what the state asks of the transport is done. */
  #settle(): void {
    if (this.state === "closed") return;
    if (this.outbound.gatheredBytes > 0 && !this.#responder.isStreaming) this.#flushTurn();
    if (this.service.isDraining) this.drain();
    if (this.#peerHasEnded) takePeerEnd(this, this.#reader);
    this.#updateReading();
  }

  /** Responses gathered before the exchange in flight may wait for its response until the turn is over. */
  #flushTurn(): void {
    if (this.exchange === null) {
      this.flush();
      return;
    }
    this.service.defer(() => {
      if (this.state !== "closed" && !this.#responder.isStreaming) this.flush();
    });
  }

  #becomeIdle(): void {
    this.state = "idle";
    this.#deadlines.expectRequest();
  }

  /** Reads from the peer exactly while there is something to do with what it sends. */
  #updateReading(): void {
    if (this.state === "upgraded" || this.state === "closed") return;
    const isPaused = !mayRead(this, this.#reader);
    if (isPaused === this.#isPaused) return;
    this.#isPaused = isPaused;
    if (isPaused) this.#transport.pause();
    else this.#transport.resume();
  }

  /** Somebody wants content that the peer sends only when it is told to go on, if that can still be told. */
  #settleContinue(): void {
    if (this.exchange !== null && this.#responder.mayInform(this.exchange)) {
      this.#reader.settleContinue();
      this.#responder.sendContinue();
      return;
    }
    this.failContent(
      new TrivetError("too-late", "The final response is out, so that the peer can't be asked for content."),
    );
  }

  #leaveHttp(exchange: Exchange): void {
    const upgrade = exchange.pendingUpgrade!;
    this.#deadlines.clear();
    this.flush();
    if (this.#isPaused) {
      this.#isPaused = false;
      this.#transport.resume();
    }
    this.state = "upgraded";
    this.#raw = new RawConnection(this.#transport, this);
    exchange.deliver();
    upgrade.resolve(this.#raw);
  }

  #endAndLinger(): void {
    this.state = "lingering";
    this.service.connectionServed(this);
    this.#deadlines.expectPeerEnd(this.service.isDraining);
    this.#transport.end();
    this.#updateReading();
  }

  /**
   * The end of everything this connection owns.
   *
   * @param error Why, for who waits for something; `null` when nobody does.
   */
  #release(error: TrivetError | null): void {
    const wasServed = this.state === "lingering";
    this.state = "closed";
    this.#deadlines.clear();
    this.#reader.close();
    this.outbound.discard();
    if (error !== null) this.#failWaiting(error);
    if (!wasServed) this.service.connectionServed(this);
    this.service.connectionClosed(this);
  }

  #failWaiting(error: TrivetError): void {
    this.#responder.close(error);
    const { exchange } = this;
    if (exchange === null) return;
    this.exchange = null;
    this.service.counters.activeExchanges--;
    exchange.abort(error);
  }
}

/** RFC 9110 section 7.2 lets HTTP/1.0 come without Host; then the request is for where it arrived. */
function defaultAuthority(address: Address): string {
  return address.transport === "unix" ? "localhost" : composeAuthority(address.hostname, address.port);
}
