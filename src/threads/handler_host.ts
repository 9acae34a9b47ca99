/**
 * A thread that runs handlers: its side of the conversation with the event loop.
 *
 * It decides in which order calls are begun and when what they gave is sent back. It must not know where the calls come
 * from.
 *
 * @module
 */

import { TrivetError } from "../api/errors.ts";
import type { Handler } from "../api/handler.ts";
import { DrainSignal } from "../exchange/drain_signal.ts";
import { GoneClients } from "../exchange/gone_clients.ts";
import { callHandler } from "../exchange/handler_call.ts";
import type { WebSocketUpgrades } from "../exchange/exchange.ts";
import { isPublicationBatch, type Publication, PublicationLink } from "../exchange/publication.ts";
import type { Clock, ParentThread } from "../runtime.ts";
import { requestMaker } from "../web/remade_request.ts";
import type { RequestSource } from "../web/request_source.ts";
import { TurnShare } from "../web/turn_share.ts";
import { watchDelay } from "../observe/loop_delay.ts";
import { type Attachments, OutgoingBatch, readBatch } from "./batch.ts";
import { ReceivedCall } from "./call_message.ts";
import { CallTable } from "./call_table.ts";
import { Claims } from "./claims.ts";
import { copyError } from "./error_copy.ts";
import { HostedExchange, type HostLink } from "./hosted_exchange.ts";
import type { HandlerOrders, ToThread } from "./protocol.ts";

/**
 * When the calls of a batch take longer than this, what they gave is sent before the next is begun. It is sent at the
 * end of a turn like everything else, so that content that is there from the start leaves with its response.
 */
const MAX_TURN_MS = 1;

const DELAYS_TOLD_AT_ONCE = 10;

/** A message whose turn has not come. */
interface WaitingMessage {
  readonly message: ToThread;
  readonly attached: Attachments;
}

/** The WebSockets of a thread. */
export interface HostedWebSockets extends WebSocketUpgrades {
  /** Gives what was published on another thread to those of this one. */
  deliver(publication: Publication): void;
  /** Calls back with how many are open when that has changed. */
  onCountChanged(callback: (count: number) => void): void;
}

/** Runs the calls of one thread. */
export class HandlerHost implements HostLink {
  readonly streamShare: TurnShare;
  readonly toRequest: (source: RequestSource) => Request;
  readonly webSockets: HostedWebSockets;
  readonly drainSignal: DrainSignal = new DrainSignal();
  readonly goneClients: GoneClients;
  readonly takeTimeoutMs: number;
  readonly #parent: ParentThread;
  readonly #clock: Clock;
  readonly #handler: Handler;
  readonly #orders: HandlerOrders;
  readonly #claims: Claims;
  readonly #calls = new CallTable<HostedExchange>();
  readonly #outgoing = new OutgoingBatch();
  readonly #publications: PublicationLink;
  readonly #post: (message: unknown, transfer: ArrayBuffer[]) => void;
  /** What came and was not looked at, because the turn had taken long enough. */
  #waiting: WaitingMessage[] = [];
  #sendIsDeferred = false;
  /** How many WebSockets are open, where that has changed in this turn. */
  #openSockets: number | null = null;
  /** How many calls were looked at and begun in this turn, and since when. */
  #lookedAt = 0;
  #begun = 0;
  #beganAtMs = 0;

  /**
   * @param parent The way to the event loop.
   * @param clock The runtime's clock.
   * @param handler Called for each call.
   * @param orders What the thread was told first.
   * @param createWebSockets Makes what makes WebSockets of exchanges, and tells what is published on this thread.
   */
  constructor(
    parent: ParentThread,
    clock: Clock,
    handler: Handler,
    orders: HandlerOrders,
    createWebSockets: (tellElsewhere: (publication: Publication) => void) => HostedWebSockets,
  ) {
    this.toRequest = requestMaker(orders.nativeRequest);
    this.webSockets = createWebSockets((publication) => this.#publications.tell(publication));
    this.webSockets.onCountChanged((count) => this.#tellOpenSockets(count));
    this.#parent = parent;
    this.#clock = clock;
    this.streamShare = new TurnShare(clock);
    this.goneClients = new GoneClients(clock, orders.halfCloseTimeoutMs);
    this.takeTimeoutMs = orders.takeTimeoutMs;
    this.#handler = handler;
    this.#orders = orders;
    this.#claims = new Claims(orders.claims);
    if (orders.measuresDelay) this.#measureDelay();
    this.#post = (message, transfer) => parent.post(message, transfer);
    this.#publications = new PublicationLink(
      clock.defer,
      (batch) => parent.post(batch),
      (error) => this.outgoing().add(["error", 0, copyError(error)]),
    );
  }

  /** How many calls have not ended. */
  get callCount(): number {
    return this.#calls.size;
  }

  /** Takes a batch of the event loop. */
  take(received: unknown): void {
    if (isPublicationBatch(received)) {
      this.#publications.take(received, (publication) => this.webSockets.deliver(publication));
      return;
    }
    const batch = readBatch(received);
    for (const message of batch.messages as readonly ToThread[]) {
      // A sign of life is due at once, whatever there is to do.
      if (message[0] === "ping") this.outgoing().add(["pong", message[1]]);
      else this.#waiting.push({ message, attached: batch });
    }
    // Batches may follow each other without a turn of the event loop between them. What the one before has brought is
    // sent first, or a thread that never lacks work would never say what it has done.
    if (!this.#sendIsDeferred) this.#work();
  }

  /** Tells of a promise that was rejected and that nothing has handled: a fault of the handler that ends no thread. */
  reportRejection(thrown: unknown): void {
    this.outgoing().add(["error", 0, copyError(toRejection(thrown))]);
  }

  outgoing(): OutgoingBatch {
    if (!this.#sendIsDeferred) {
      this.#sendIsDeferred = true;
      this.#clock.defer(() => {
        this.#sendIsDeferred = false;
        if (!this.#outgoing.isEmpty) this.#outgoing.send(this.#post);
        if (this.#waiting.length > 0) this.#work();
      });
    }
    return this.#outgoing;
  }

  #tellOpenSockets(count: number): void {
    const isToldAlready = this.#openSockets !== null;
    this.#openSockets = count;
    if (isToldAlready) return;
    this.#clock.defer(() => {
      this.outgoing().add(["sockets", 0, this.#openSockets!]);
      this.#openSockets = null;
    });
  }

  /**
   * Begins calls until the turn has lasted long enough. Where the next handler may compute that is one call, so that
   * its response does not wait for the next one: what has begun can't be taken elsewhere.
   */
  #work(): void {
    this.#beganAtMs = this.#clock.nowMs();
    const { oneATurn } = this.#claims;
    const waiting = this.#waiting;
    let taken = 0;
    let isTurnOver = false;
    while (taken < waiting.length && !isTurnOver) {
      const { message, attached } = waiting[taken++];
      // What a handler before has entered (`AsyncLocalStorage`) is not for this one; before Node 24 it stays with the
      // port.
      if (message[0] === "call") this.#clock.callApart(() => this.#takeMessage(message, attached));
      else this.#takeMessage(message, attached);
      isTurnOver = message[0] === "call" && (oneATurn || this.#clock.nowMs() - this.#beganAtMs > MAX_TURN_MS);
    }
    this.#waiting = taken === waiting.length ? [] : waiting.slice(taken);
    // Says that calls were looked at even if none was answered: the event loop may have more of them. What is left
    // waits until that is sent.
    if (this.#lookedAt > 0) this.#sayPace();
  }

  #takeMessage(message: ToThread, attached: Attachments): void {
    if (message[0] === "call") {
      this.#begin(new ReceivedCall(message, attached.texts), attached);
    } else if (message[0] === "delivered") {
      for (const callId of message[2]) {
        this.#calls.get(callId)?.end();
        this.#calls.delete(callId);
      }
    } else if (message[0] === "drain") {
      this.drainSignal.begin();
    } else if (message[0] === "close") {
      // What the messages before this one have set off, such as a log line, still happens.
      this.#clock.defer(() => this.#parent.exit());
    } else {
      const [, callId] = message;
      const call = this.#calls.get(callId);
      if (call?.take(message, attached.bytes) === true) this.#calls.delete(callId);
    }
  }

  #begin(received: ReceivedCall, { bytes }: Attachments): void {
    this.#lookedAt++;
    if (!this.#claims.begin(received.sequence)) return;
    this.#begun++;
    const content = typeof received.content === "number" ? bytes[received.content] : null;
    const call = new HostedExchange(received, content, this);
    this.#calls.put(received.id, call);
    const hasReturned = this.#parent.runWithin(
      this.#orders.callLimitMs,
      () => callHandler(this.#handler, call.exchange),
    );
    // The handler was stopped in the middle of something, so nothing here can be relied on. The event loop has given
    // the call up, and gets a fresh thread.
    if (!hasReturned) this.#parent.exit();
  }

  /** Told about once a second, since each message wakes the other side. */
  #measureDelay(): void {
    let delaysMs: number[] = [];
    watchDelay(this.#clock, (delayMs) => {
      if (delaysMs.push(delayMs) < DELAYS_TOLD_AT_ONCE) return;
      this.outgoing().add(["delays", 0, delaysMs]);
      delaysMs = [];
    });
  }

  #sayPace(): void {
    this.outgoing().add(["pace", this.#claims.lookedAt, this.#begun, this.#clock.nowMs() - this.#beganAtMs]);
    this.#lookedAt = this.#begun = 0;
  }
}

function toRejection(cause: unknown): TrivetError {
  return new TrivetError("unhandled-rejection", "A promise was rejected on a thread, and nothing has handled it.", {
    cause,
  });
}
