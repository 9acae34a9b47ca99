/**
 * What stands for the connection on the thread that runs the handler.
 *
 * The exchange here is the same class as on the event loop, so that a handler finds the same request, content, signal
 * and `info`. It decides what of it has to be said to the event loop. It must not know sockets, nor which calls there
 * are beside its own.
 *
 * @module
 */

import { Exchange, type ExchangeOwner, type ExchangeResponder, type ExchangeServices } from "../exchange/exchange.ts";
import type { GoneClients } from "../exchange/gone_clients.ts";
import { StreamStart } from "../web/stream_start.ts";
import { toTrivetError, TrivetError } from "../api/errors.ts";
import { EMPTY_FIELD_SECTION, FieldSection } from "../http/field_section.ts";
import { RequestHead, UNKNOWN_LENGTH } from "../http/request_head.ts";
import type { Address, TlsInfo } from "../transport.ts";
import { discardSource } from "../web/read_response.ts";
import type { ResponseSource } from "../web/response_source.ts";
import type { OutgoingBatch } from "./batch.ts";
import type { ReceivedCall } from "./call_message.ts";
import { copyError, type ErrorCopy, restoreError, restoreTrivetError } from "./error_copy.ts";
import { HostedUpgrade } from "./hosted_upgrade.ts";
import type { AnswerContent, AnswerTrailers, FromThread, ToThread, WantedContent } from "./protocol.ts";
import { type ChunkTarget, CreditAccount, creditFor, ReceivedStream, SentStream, StreamSender } from "./stream_link.ts";

/** The way to the event loop: what is added leaves when the turn is over. */
export interface HostLink extends ExchangeServices {
  /** Watches upgraded connections that nothing has taken, or whose client may be gone. */
  readonly goneClients: GoneClients;
  /** How long a handler may take to take one; 0 is without a bound. */
  readonly takeTimeoutMs: number;
  /** Opens the batch of this turn. */
  outgoing(): OutgoingBatch;
}

/** One call on the thread's side. */
export class HostedExchange implements ExchangeOwner, ExchangeResponder {
  readonly exchange: Exchange;
  readonly responder: ExchangeResponder = this;
  readonly services: ExchangeServices;
  readonly #call: ReceivedCall;
  readonly #link: HostLink;
  readonly #credit: CreditAccount;
  #isContentComplete: boolean;
  /** What the event loop was asked for. */
  #demanded: WantedContent | null = null;
  /** Content that came and counts as taken once the reader is not held up by it. */
  #untakenBytes = 0;
  /** The first turn of the response's stream. */
  #start: StreamStart | null = null;
  #sender: StreamSender | SentStream | null = null;
  /** After an upgrade: what the handler has. */
  #upgraded: HostedUpgrade | null = null;

  /**
   * @param call The call.
   * @param content All of the content, where it came with the call.
   * @param link The way to the event loop.
   */
  constructor(call: ReceivedCall, content: Uint8Array<ArrayBuffer> | null, link: HostLink) {
    this.#call = call;
    this.#link = link;
    this.services = link;
    this.#credit = new CreditAccount({ credit: (bytes) => this.#say("credit", bytes), cancel: () => {} });
    const head = new RequestHead(call.method, "", true, call.fields);
    // The thread never asks how long content is, only whether there is some.
    if (call.content !== null) head.contentLength = UNKNOWN_LENGTH;
    head.upgrade = call.upgrade;
    this.#isContentComplete = call.content !== "to-come";
    this.exchange = new Exchange(head, call.uri, this, null);
    if (content !== null) {
      this.exchange.content.keep(content);
      this.exchange.completeContent(toFieldSection(call.trailers));
    }
  }

  get remoteAddress(): Address {
    return this.#call.remoteAddress;
  }

  get peerAddress(): Address {
    return this.#call.peerAddress;
  }

  get tls(): TlsInfo | null {
    return this.#call.tls;
  }

  get localAddress(): Address {
    return this.#call.localAddress;
  }

  // What the event loop tells.

  /** Takes a message of this call; `bytes` where it names some. Returns whether it was the last. */
  take(message: ToThread, bytes: readonly Uint8Array<ArrayBuffer>[]): boolean {
    switch (message[0]) {
      case "chunk":
        this.#takeChunk(bytes[message[2]]);
        return false;
      case "end":
        this.#endInput(message[2]);
        return false;
      case "fail":
        this.#failInput(message[2]);
        return false;
      case "credit":
        this.#sender?.grant(message[2]);
        return false;
      case "cancel":
        this.#sender?.cancel(restoreError(message[2]));
        return false;
      case "upgraded":
        this.#leaveHttp();
        return false;
      case "sent":
        this.exchange.deliver();
        this.#skipUnlessRead();
        return false;
      case "aborted":
        this.#abort(restoreTrivetError(message[2]));
        return true;
      default:
        return false;
    }
  }

  /** The response was delivered, and nothing more comes. */
  end(): void {
    this.exchange.deliver();
    if (!this.#isContentComplete) this.#skip();
  }

  // What the exchange asks of its connection.

  demandContent(): void {
    const wanted = this.exchange.waitsForTrailers ? "trailers" : "content";
    if (!this.#isContentComplete && wanted !== this.#demanded && this.#demanded !== "content") {
      this.#demanded = wanted;
      this.#say("demand", wanted);
    }
    this.#settleCredit();
  }

  contentKeptChanged(): void {
    this.#settleCredit();
    this.#skipUnlessRead();
  }

  // The time of the handler is watched by the event loop.

  endHandlerTime(): void {}

  answer(exchange: Exchange, source: ResponseSource): void {
    const { content } = source;
    if (exchange.progress !== "awaited") {
      discardSource(source);
      return;
    }
    if (content instanceof ReadableStream) {
      exchange.begin();
      this.#beginStream(source, content.getReader());
    } else this.#sayAnswer(source, this.#announce(content), this.#makeTrailers());
  }

  fail(exchange: Exchange, error: TrivetError): void {
    if (exchange.progress !== "awaited") return;
    this.#sayFailure(error);
  }

  reportLateError(_exchange: Exchange, error: TrivetError): void {
    this.#say("report", copyError(error));
  }

  refuse(exchange: Exchange, error: TrivetError): void {
    this.fail(exchange, error);
  }

  mayInform(exchange: Exchange): boolean {
    return exchange.progress === "awaited" || this.#start !== null;
  }

  inform(_exchange: Exchange, status: number, fields: readonly string[]): void {
    this.#say("inform", status, fields);
  }

  #say(kind: FromThread[0], ...rest: unknown[]): void {
    this.#link.outgoing().add([kind, this.#call.id, ...rest]);
  }

  #takeChunk(bytes: Uint8Array<ArrayBuffer>): void {
    if (this.#upgraded !== null) {
      this.#upgraded.input.push(bytes);
      return;
    }
    // Counted first: a reader that waits takes the buffer away.
    this.#untakenBytes += creditFor(bytes);
    this.exchange.content.keep(bytes);
    this.#settleCredit();
  }

  #endInput(trailers: readonly string[]): void {
    if (this.#upgraded !== null) {
      this.#upgraded.endInput();
      return;
    }
    this.#isContentComplete = true;
    this.exchange.completeContent(toFieldSection(trailers));
  }

  #failInput(copy: ErrorCopy): void {
    if (this.#upgraded !== null) {
      this.#upgraded.input.fail(restoreError(copy));
      return;
    }
    this.#isContentComplete = true;
    this.exchange.failContent(restoreTrivetError(copy));
  }

  /** Content whose reader has begun, or may be about to, is demanded before the response can end the call. */
  #demandIfRead(): void {
    if (!this.#isContentComplete && this.exchange.content.isBeingRead) this.demandContent();
  }

  /** Content comes until the handler throws it away, and behind the response only as long as it is read. */
  #skipUnlessRead(): void {
    const { progress, content } = this.exchange;
    if (this.#isContentComplete || content.isBeingRead) return;
    if (progress !== "delivered" && !content.isDiscarded) return;
    this.#skip();
    this.#say("cancel", copyError(new TrivetError("too-late", "The handler reads no further.")));
  }

  #skip(): void {
    this.#isContentComplete = true;
    this.exchange.discardContent();
  }

  #settleCredit(): void {
    if (this.exchange.content.isHeld || this.#untakenBytes === 0) return;
    const takenBytes = this.#untakenBytes;
    this.#untakenBytes = 0;
    this.#credit.taken(takenBytes);
  }

  /** Text and bytes go beside the message. */
  #announce(content: string | Uint8Array | null): AnswerContent {
    if (content === null) return null;
    const batch = this.#link.outgoing();
    return typeof content === "string" ? { textAt: batch.attachText(content) } : batch.attachCopy(content);
  }

  #sayAnswer(source: ResponseSource, content: AnswerContent, trailers: AnswerTrailers): void {
    const { status, statusText, fields, streamBytes } = source;
    const { exchange } = this;
    this.#demandIfRead();
    exchange.complete();
    const isUpgrade = status === 101 && exchange.pendingUpgrade !== null;
    if (!isUpgrade) exchange.pendingUpgrade?.reject(notUpgraded());
    const { id } = this.#call;
    const { isWatched } = exchange;
    this.#link.outgoing().add(
      [
        "answer",
        id,
        status,
        statusText,
        fields,
        content,
        streamBytes,
        trailers,
        isUpgrade,
        isWatched,
      ] satisfies FromThread,
    );
  }

  #sayFailure(error: unknown): void {
    // Another response takes the place of the handler's: an upgrade it has asked for will not come about.
    this.exchange.giveUpExtras();
    this.#demandIfRead();
    this.exchange.complete();
    this.#say("failed", copyError(error));
  }

  /** What a stream gives in its first turn decides here whether its length is known, as it does on the event loop. */
  #beginStream(source: ResponseSource, reader: ReadableStreamDefaultReader<Uint8Array>): void {
    const start = new StreamStart(reader, this.#link.streamShare, {
      onWhole: (content) => {
        this.#start = null;
        this.#sayAnswer(source, this.#announce(content), this.#makeTrailers());
      },
      onUnderWay: (pieces, pending) => {
        this.#start = null;
        this.#sayAnswer(source, "to-come", this.exchange.trailersToSend === null ? null : "to-come");
        const sender = this.#sender = new StreamSender(reader, this.#link.streamShare, this.#target(), pending);
        sender.sendFirst(pieces);
      },
      onStartFailure: (cause) => {
        this.#start = null;
        this.#sayFailure(toContentError(cause));
      },
    });
    this.#start = start;
  }

  /** Where the chunks of a response, or of an upgraded connection, go. */
  #target(): ChunkTarget {
    return {
      chunk: (bytes) => this.#say("chunk", this.#link.outgoing().attachCopy(bytes)),
      end: () => this.#say("end", this.#makeTrailers()),
      fail: (cause) => this.#say("fail", copyError(toContentError(cause))),
    };
  }

  /** The content of the response has ended: it is time to ask for its trailer section. */
  #makeTrailers(): AnswerTrailers {
    const { trailersToSend } = this.exchange;
    if (trailersToSend === null) return null;
    try {
      return { lines: [...new Headers(trailersToSend())].flat() };
    } catch (error) {
      return { error: copyError(error) };
    }
  }

  #leaveHttp(): void {
    const upgrade = this.exchange.pendingUpgrade;
    if (upgrade === null) return;
    this.exchange.deliver();
    const input = new ReceivedStream({
      credit: (bytes) => this.#say("credit", bytes),
      cancel: (reason) => this.#say("cancel", copyError(reason)),
    });
    const sent = this.#sender = new SentStream(this.#link.streamShare, this.#target());
    const { writable: output } = sent;
    const { remoteAddress: remoteAddr, localAddress: localAddr } = this;
    const isOver = (): boolean => sent.isOver;
    const { goneClients, takeTimeoutMs } = this.#link;
    this.#upgraded = new HostedUpgrade({ remoteAddr, localAddr, input, output, takeTimeoutMs, isOver }, goneClients);
    upgrade.resolve(this.#upgraded);
  }

  #abort(error: TrivetError): void {
    this.#start?.cancel(error);
    this.#sender?.cancel(error);
    this.#upgraded?.input.fail(error);
    this.exchange.abort(error);
  }
}

/** An error of the content that comes from the request is what it is; any other is the response's own. */
function toContentError(cause: unknown): TrivetError {
  return toTrivetError(cause, "response-content-failed", "The content of the response failed.");
}

function notUpgraded(): TrivetError {
  return new TrivetError("response-invalid", "The handler gave another response than 101.");
}

/** Names and values in turn, as a field section again. */
function toFieldSection(lines: readonly string[]): FieldSection {
  if (lines.length === 0) return EMPTY_FIELD_SECTION;
  const offsets: number[] = [];
  let at = 0;
  for (const part of lines) {
    offsets.push(at, at + part.length);
    at += part.length;
  }
  return new FieldSection(lines.join(""), offsets);
}
