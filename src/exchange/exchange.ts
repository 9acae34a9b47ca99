/**
 * One exchange: a request and its response.
 *
 * It decides how far the exchange has come and what the handler may still do with it. It must not know how bytes are
 * read or written, nor on which thread it is: it asks its connection, or what stands for the connection on a thread.
 *
 * @module
 */

import { toTrivetError, TrivetError } from "../api/errors.ts";
import type { HandlerInfo } from "../api/handler.ts";
import { HANDLER_THREW } from "../api/telling.ts";
import type { WebSocketAnswer, WebSocketOptions } from "../api/websocket.ts";
import { EMPTY_FIELD_SECTION, type FieldSection } from "../http/field_section.ts";
import type { RequestHead } from "../http/request_head.ts";
import type { Address, TlsInfo } from "../transport.ts";
import { StateTable } from "../states.ts";
import { readResponse } from "../web/read_response.ts";
import type { RequestSource } from "../web/request_source.ts";
import type { ResponseSource } from "../web/response_source.ts";
import type { TurnShare } from "../web/turn_share.ts";
import type { DrainSignal } from "./drain_signal.ts";
import { type ContentSupply, IncomingContent } from "./incoming_content.ts";
import type { PendingUpgrade } from "./pending_upgrade.ts";

/** How far the response has come. */
export type ResponseProgress = "awaited" | "begun" | "complete" | "delivered" | "aborted";

/** The states of an exchange. */
export const EXCHANGE_STATES: StateTable<ResponseProgress> = new StateTable<ResponseProgress>(
  "an exchange",
  "awaited",
  {
    awaited: {
      begun: "the handler, or the server in its place, has given a response whose content is still to come",
      complete: "the whole response was given and gathered for sending at once",
      aborted: "it can't be delivered any more",
    },
    begun: {
      awaited: "the content has failed before the head was out: another response is made",
      complete: "the last byte was gathered for sending",
      aborted: "it can't be delivered any more",
    },
    complete: {
      delivered: "the transport has taken all of it",
      aborted: "it can't be delivered any more",
    },
    delivered: {},
    aborted: {},
  },
);

/** What an exchange asks of the connection it takes place on, or of what stands for that on another thread. */
export interface ExchangeOwner extends ContentSupply {
  /** The peer's address, or by the PROXY protocol that of the client it speaks for. */
  readonly remoteAddress: Address;
  /** The address at the other end of the socket. */
  readonly peerAddress: Address;
  /** What was agreed on in the TLS handshake, if there was one. */
  readonly tls: TlsInfo | null;
  /** The address at which the connection was accepted. */
  readonly localAddress: Address;
  /** What takes the response. */
  readonly responder: ExchangeResponder;
  /** What all exchanges share. */
  readonly services: ExchangeServices;
}

/** What the exchanges of one server, on one thread, share. */
export interface ExchangeServices {
  /** Makes the request that a handler gets. */
  toRequest(source: RequestSource): Request;
  /** Makes WebSockets of exchanges. */
  readonly webSockets: WebSocketUpgrades;
  /** Tells handlers that the server drains. */
  readonly drainSignal: DrainSignal;
  /** Bounds how much of a turn of the event loop the streams of handlers take. */
  readonly streamShare: TurnShare;
}

/**
 * Makes WebSockets of exchanges. What does stands above this room, since it is a protocol beside HTTP; whatever carries
 * exchanges is given one, and hands it on here.
 */
export interface WebSocketUpgrades {
  /** Loads what a request for a WebSocket needs, before its handler is called; `null` where nothing is to be loaded. */
  load(head: RequestHead): Promise<void> | null;
  /** See `HandlerInfo.upgradeWebSocket`. */
  upgrade(exchange: Exchange, info: HandlerInfo, options: WebSocketOptions): WebSocketAnswer;
  /** See `HandlerInfo.publish`. */
  publish(topic: string, message: string | ArrayBufferLike | ArrayBufferView): void;
}

/** What takes the response of an exchange, in whichever version of HTTP that is written. */
export interface ExchangeResponder {
  /** Takes the final response. One that comes too late is thrown away. */
  answer(exchange: Exchange, source: ResponseSource): void;
  /** The handler has failed, or its response can't be sent. */
  fail(exchange: Exchange, error: TrivetError): void;
  /** Counts an error that came behind the response, and tells the user of it if it is the handler's. */
  reportLateError(exchange: Exchange, error: TrivetError): void;
  /** Answers in place of a handler that is not called, or whose result is not waited for. */
  refuse(exchange: Exchange, error: TrivetError): void;
  /** Whether an informational response can still come before the final one. */
  mayInform(exchange: Exchange): boolean;
  /** Sends an informational response. */
  inform(exchange: Exchange, status: number, fields: readonly string[]): void;
  /** The handler's time is over, and it is not waited for any longer. */
  endHandlerTime(): void;
}

/** A run of the handler on another thread, which has to know how the exchange ends. */
export interface HandlerRun {
  /** Whether the handler awaits the end of content that it does not read. */
  readonly waitsForTrailers: boolean;
  /** The transport has taken the whole response. */
  delivered(): void;
  /** The response can't be delivered any more. */
  aborted(cause: TrivetError): void;
  /** The time of the handler is over. Returns how many milliseconds more it takes to find out why; 0 ends the wait. */
  overdue(): number;
}

/** A wait for something that happens once. */
interface Settlement<T> {
  readonly promise: Promise<T>;
  resolve(value: T): void;
  reject(error: unknown): void;
}

/** One request and its response. */
export class Exchange implements RequestSource {
  /** The head of the request. */
  readonly head: RequestHead;
  /** The connection it takes place on. */
  readonly connection: ExchangeOwner;
  /** Where the handler runs, if that is another thread. */
  run: HandlerRun | null = null;
  /** Whether `onError` has given a response in place of the handler's. */
  hasCustomResponse = false;
  /** Gives the trailer section of the response, if the handler has set one. */
  trailersToSend: (() => HeadersInit) | null = null;
  /** The upgrade the handler has asked for. */
  pendingUpgrade: PendingUpgrade | null = null;
  readonly #uri: string;
  readonly #client: Address | null;
  #progress: ResponseProgress = EXCHANGE_STATES.initial;
  #request: Request | null = null;
  #content: IncomingContent | null = null;
  #abortCause: TrivetError | null = null;
  #controller: AbortController | null = null;
  #completion: Settlement<void> | null = null;
  #contentError: TrivetError | null = null;
  #trailers: FieldSection | null = null;
  #trailersSettlement: Settlement<Headers> | null = null;

  /**
   * @param head The head of the request.
   * @param uri Its target URI.
   * @param connection The connection it came on.
   * @param client The address of the client, where a proxy was trusted to tell it; `null` where it is the connection's.
   */
  constructor(head: RequestHead, uri: string, connection: ExchangeOwner, client: Address | null) {
    this.head = head;
    this.#uri = uri;
    this.#client = client;
    this.connection = connection;
  }

  /** How far the response has come. */
  get progress(): ResponseProgress {
    return this.#progress;
  }

  /** The address of the client. */
  get remoteAddress(): Address {
    return this.#client ?? this.connection.remoteAddress;
  }

  get method(): string {
    return this.head.method;
  }

  get fields(): FieldSection {
    return this.head.fields;
  }

  /** The content of the request, made when it is asked for: most requests have none. */
  get content(): IncomingContent {
    return this.#content ??= new IncomingContent(this.head.contentLength, this.connection);
  }

  /** What the handler is called with. */
  get request(): Request {
    return this.#request ??= this.connection.services.toRequest(this);
  }

  url(): string {
    return this.#uri;
  }

  signal(): AbortSignal {
    if (this.#controller === null) {
      this.#controller = new AbortController();
      if (this.progress === "aborted") this.#controller.abort(this.#abortCause);
    }
    return this.#controller.signal;
  }

  /** Resolves when the response has been delivered; rejects when it can't be. */
  get completed(): Promise<void> {
    if (this.#completion === null) {
      this.#completion = createSettlement();
      // It need not be looked at: a response that could not be delivered is nothing to end the process for.
      this.#completion.promise.catch(ignore);
      if (this.progress === "delivered") this.#completion.resolve();
      if (this.progress === "aborted") this.#completion.reject(this.#abortCause);
    }
    return this.#completion.promise;
  }

  /** The trailer section of the request, when its content is complete. */
  get trailers(): Promise<Headers> {
    if (this.#trailersSettlement === null) {
      this.#trailersSettlement = createSettlement();
      this.#trailersSettlement.promise.catch(ignore);
      if (this.head.contentLength === 0) this.#trailers = EMPTY_FIELD_SECTION;
      if (this.#trailers !== null) this.#trailersSettlement.resolve(toHeaders(this.#trailers));
      else if (this.#contentError !== null) this.#trailersSettlement.reject(this.#contentError);
      // They come behind the content, which is sent on only when it is asked for.
      else this.connection.demandContent();
    }
    return this.#trailersSettlement.promise;
  }

  /** Whether the content of the request has come whole. */
  get isContentComplete(): boolean {
    return this.head.contentLength === 0 || this.#trailers !== null;
  }

  /** Why the content of the request does not come whole; `null` while it may. */
  get contentError(): TrivetError | null {
    return this.#contentError;
  }

  /** The trailer section as it came; `null` while the content is not complete. */
  get trailerSection(): FieldSection | null {
    return this.head.contentLength === 0 ? EMPTY_FIELD_SECTION : this.#trailers;
  }

  /** Whether the handler awaits the end of content that it does not read. */
  get waitsForTrailers(): boolean {
    if (this.run !== null) return this.run.waitsForTrailers;
    return this.#trailersSettlement !== null && !this.content.isBeingRead;
  }

  /** Whether anything waits to know if the response was delivered. */
  get isWatched(): boolean {
    return this.run !== null || this.#controller !== null || this.#completion !== null;
  }

  /** Takes what the handler returned. What comes too late is thrown away. */
  respond(response: unknown): void {
    let source: ResponseSource | Promise<ResponseSource>;
    try {
      source = readResponse(response);
    } catch (error) {
      this.fail(error);
      return;
    }
    if (source instanceof Promise) source.then((read) => this.answer(read), (error) => this.fail(error));
    else this.connection.responder.answer(this, source);
  }

  /** Takes the final response in parts. */
  answer(source: ResponseSource): void {
    this.connection.responder.answer(this, source);
  }

  /** Answers with an error in place of the handler, which is not called or not waited for. */
  refuse(error: TrivetError): void {
    this.connection.responder.refuse(this, error);
  }

  /** Takes what the handler threw. What only the peer is to blame for is answered, and is no failure of the handler. */
  fail(thrown: unknown): void {
    const error = toTrivetError(thrown, "handler-failed", handlerFailure(thrown));
    if (error.blame === "peer" && error.status !== null) this.refuse(error);
    else this.connection.responder.fail(this, error);
  }

  /** The content of the request is complete. */
  completeContent(trailers: FieldSection): void {
    this.#trailers = trailers;
    this.content.complete();
    this.#trailersSettlement?.resolve(toHeaders(trailers));
  }

  /** The rest of the content will not come. */
  failContent(error: TrivetError): void {
    if (this.head.contentLength !== 0) this.content.fail(error);
    if (this.#trailers !== null) return;
    this.#contentError = error;
    this.#trailersSettlement?.reject(error);
  }

  /** The rest of the content is not given any more: the response is out, and a reader must not wait for ever. */
  discardContent(): void {
    this.failContent(new TrivetError("too-late", "The response was complete before the content of the request was."));
    this.content.discard();
  }

  /**
   * An upgrade and a 101 come together or not at all; a handler that answers otherwise has given its upgrade up.
   *
   * @returns What is wrong with a response of this status, or `null`.
   */
  settleUpgrade(status: number): TrivetError | null {
    if (status !== 101) this.#rejectUpgrade("The handler gave another response than 101.");
    else if (this.pendingUpgrade === null) {
      return new TrivetError("response-invalid", "A 101 is only for an exchange that was upgraded.");
    }
    return null;
  }

  /** Another response is sent than the handler's: what it had set for its own is not meant for that one. */
  giveUpExtras(): void {
    this.trailersToSend = null;
    this.#rejectUpgrade("The response to the upgrade could not be sent.");
  }

  /** A response was given whose content is still to come. */
  begin(): void {
    this.#enter("begun");
  }

  /** The response that was begun will not be sent, and its head was not: another one is made. */
  rollBack(): void {
    this.#enter("awaited");
  }

  /**
   * The last byte of the response was gathered. That of an exchange that was aborted is not its handler's response.
   *
   * @returns Whether its delivery is waited for.
   */
  complete(): boolean {
    if (this.#progress === "aborted") return false;
    this.#progress = EXCHANGE_STATES.enter(this.#progress, "complete");
    return this.run !== null || this.#controller !== null || this.#completion !== null;
  }

  /** The transport has taken the whole response. */
  deliver(): void {
    if (this.#progress !== "complete") return;
    this.#enter("delivered");
    this.#completion?.resolve();
    this.run?.delivered();
  }

  /** The response can't be delivered any more. */
  abort(cause: TrivetError): void {
    if (this.#progress === "delivered" || this.#progress === "aborted") return;
    this.#enter("aborted");
    this.#abortCause = cause;
    this.failContent(cause);
    this.pendingUpgrade?.reject(cause);
    this.#completion?.reject(cause);
    this.#controller?.abort(cause);
    this.run?.aborted(cause);
  }

  #rejectUpgrade(message: string): void {
    this.pendingUpgrade?.reject(new TrivetError("response-invalid", message));
    this.pendingUpgrade = null;
  }

  #enter(progress: ResponseProgress): void {
    this.#progress = EXCHANGE_STATES.enter(this.#progress, progress);
  }
}

function createSettlement<T>(): Settlement<T> {
  let resolve!: (value: T) => void;
  let reject!: (error: unknown) => void;
  const promise = new Promise<T>((resolvePromise, rejectPromise) => {
    resolve = resolvePromise;
    reject = rejectPromise;
  });
  return { promise, resolve, reject };
}

function toHeaders(section: FieldSection): Headers {
  const headers = new Headers();
  for (let i = 0; i < section.count; i++) headers.append(section.nameAt(i), section.valueAt(i));
  return headers;
}

/** What is wrong with a handler that threw: for the one error that says nothing of its cause, what to do. */
function handlerFailure(thrown: unknown): string {
  return HANDLER_THREW +
    (isOfRemake(thrown)
      ? " It gave the request to `new Request()` or `fetch()`, which take none but the runtime's own here: set the" +
        " option nativeRequest to true, or give them request.clone()."
      : "");
}

function isOfRemake(thrown: unknown): boolean {
  try {
    return thrown instanceof TypeError && /private (?:member|field) #state\b/.test(thrown.message);
  } catch {
    return false;
  }
}

function ignore(): void {}
