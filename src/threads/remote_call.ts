/**
 * One exchange whose handler runs on a thread: the event loop's side of it.
 *
 * It decides what of the exchange goes to the thread, what becomes of what comes back, and whether the call can be made
 * again on another thread. It must not know which thread it is, nor how threads are kept alive.
 *
 * @module
 */

import type { Exchange, HandlerRun } from "../exchange/exchange.ts";
import { PendingUpgrade } from "../exchange/pending_upgrade.ts";
import type { TrivetError } from "../api/errors.ts";
import type { UpgradedConnection } from "../api/handler.ts";
import type { FieldSection } from "../http/field_section.ts";
import type { Attachments, OutgoingBatch } from "./batch.ts";
import { writeCall } from "./call_message.ts";
import { copyError, restoreError, restoreTrivetError } from "./error_copy.ts";
import type { AnswerContent, AnswerTrailers, FromThread, ToThread } from "./protocol.ts";
import { ReceivedStream, StreamSender } from "./stream_link.ts";

/** The thread as its calls see it. */
export interface CallLink {
  /** Opens the batch of this turn. */
  outgoing(): OutgoingBatch;
  /** The exchange has ended, and the thread need not hurry to know unless somebody there waits for it. */
  delivered(call: RemoteCall, isWatched: boolean): void;
  /** The exchange can't be delivered any more. */
  aborted(call: RemoteCall, cause: TrivetError): void;
  /** The time of the handler is over. Returns how long it takes to find out whether the thread is at fault. */
  overdue(call: RemoteCall): number;
}

/** Who has the call while no thread has it. */
export interface CallKeeper {
  /** The exchange can't be delivered any more: the call need not be made. */
  abandoned(call: RemoteCall): void;
}

/** A call is made at most so often: one that loses every thread it is given to may be what ends them. */
const MAX_ATTEMPTS = 3;

/** RFC 9110 section 9.2.2: methods whose effect is the same if they are carried out twice. */
const IDEMPOTENT_METHODS = new Set(["GET", "HEAD", "OPTIONS", "PUT", "DELETE", "TRACE"]);

/** One call. */
export class RemoteCall implements HandlerRun {
  readonly exchange: Exchange;
  /** Where the call stands while it waits for a thread, which the model knows. */
  placeInLine = 0;
  /** The number by which both ends know the call, while a thread has it. */
  id = 0;
  /** Its place among the calls that were written down for its thread; `null` while it is not. */
  sequence: number | null = null;
  /** Whether the thread has said what became of the call: nothing but the rest of its content is awaited from it. */
  isAnswered = false;
  readonly #keeper: CallKeeper;
  #link: CallLink | null = null;
  #attempts = 0;
  /** Content that came with the request, kept until the response has begun, so that the call can be made again. */
  #content: Uint8Array<ArrayBuffer> | null = null;
  #contentIsTaken = false;
  #hasInformed = false;
  #isOverdue = false;
  #isWatched = false;
  #sender: StreamSender | null = null;
  #received: ReceivedStream | null = null;
  #trailers: AnswerTrailers = null;
  #upgrade: PendingUpgrade | null = null;
  /** The thread does not read the upgraded connection any more. */
  #endUpgradedInput: (() => void) | null = null;

  /**
   * @param exchange The exchange.
   * @param keeper Who has the call while no thread has it.
   */
  constructor(exchange: Exchange, keeper: CallKeeper) {
    this.exchange = exchange;
    this.#keeper = keeper;
    exchange.run = this;
  }

  /** Whether the exchange still waits for the response. */
  get isAwaited(): boolean {
    return this.exchange.progress === "awaited";
  }

  /** Gives the call to a thread, with the number by which it is to know it. */
  giveTo(link: CallLink, id: number): void {
    this.#link = link;
    this.id = id;
    this.sequence = null;
    this.#attempts++;
  }

  /** Writes the call down, with what has come of its content until now. */
  write(batch: OutgoingBatch, sequence: number): void {
    const { exchange } = this;
    const { head, connection } = exchange;
    this.sequence = sequence;
    this.#content ??= head.contentLength === 0 ? null : exchange.content.takeWhole();
    const hasMore = head.contentLength !== 0 && this.#content === null;
    writeCall(batch, this.id, sequence, {
      method: head.method,
      uri: exchange.url(),
      fields: head.fields,
      upgrade: head.upgrade,
      content: hasMore ? "to-come" : this.#content === null ? null : batch.attachCopy(this.#content),
      trailers: hasMore ? [] : fieldLinesOf(exchange.trailerSection),
      remoteAddress: connection.remoteAddress,
      localAddress: connection.localAddress,
    });
  }

  /**
   * Whether the call can be made again although its thread was lost: nothing was sent of a response, the content is
   * still here, and the handler was not called, or calling it twice does no harm.
   */
  canBeMadeAgain(wasBegun: boolean): boolean {
    if (!this.isAwaited || this.isAnswered || this.#hasInformed || this.#contentIsTaken) return false;
    if (this.#attempts >= MAX_ATTEMPTS) return false;
    return !wasBegun || IDEMPOTENT_METHODS.has(this.exchange.method);
  }

  /** The thread is lost, and the call is not made again. */
  lose(error: TrivetError): void {
    this.#link = null;
    this.#sender?.cancel(error);
    this.#received?.fail(error);
    if (!this.isAnswered) this.exchange.refuse(error);
  }

  /** The thread is lost, and the call goes back to its keeper, with all its time: it may have to wait once more. */
  takeBack(): void {
    this.#link = null;
    this.#isOverdue = false;
    this.exchange.connection.responder.restartHandlerTime();
  }

  /** Takes a message of the thread, with what came beside it. */
  take(message: FromThread, attached: Attachments): void {
    switch (message[0]) {
      case "answer":
        this.#answer(message, attached);
        return;
      case "failed":
        this.isAnswered = true;
        this.exchange.fail(restoreError(message[2]));
        return;
      case "report":
        this.exchange.connection.responder.reportLateError(this.exchange, restoreTrivetError(message[2]));
        return;
      case "inform":
        this.#inform(message[2], message[3]);
        return;
      case "demand":
        this.#sendContent();
        return;
      case "chunk":
        this.#received?.push(attached.bytes[message[2]]);
        return;
      case "end":
        this.#trailers = message[2];
        this.#received?.end();
        return;
      case "fail":
        this.#received?.fail(restoreError(message[2]));
        return;
      case "credit":
        this.#sender?.grant(message[2]);
        return;
      case "cancel":
        this.#sender?.cancel(restoreError(message[2]));
        this.#endUpgradedInput?.();
    }
  }

  // What becomes of the exchange.

  delivered(): void {
    if (this.#upgrade === null) this.#link?.delivered(this, this.#isWatched);
  }

  aborted(cause: TrivetError): void {
    if (this.#link === null) {
      this.#keeper.abandoned(this);
      return;
    }
    this.#sender?.cancel(cause);
    this.#link.aborted(this, cause);
  }

  overdue(): number {
    if (this.#link === null || this.#isOverdue || this.isAnswered) return 0;
    this.#isOverdue = true;
    return this.#link.overdue(this);
  }

  // The rest is its own.

  #say(kind: ToThread[0], ...rest: unknown[]): void {
    this.#link?.outgoing().add([kind, this.id, ...rest]);
  }

  #answer(message: FromThread & readonly ["answer", ...unknown[]], attached: Attachments): void {
    const [, , status, statusText, fields, form, streamBytes, trailers, isUpgrade, isWatched] = message;
    const { exchange } = this;
    this.isAnswered = true;
    this.#content = null;
    this.#isWatched = isWatched;
    if (trailers !== null) exchange.trailersToSend = () => toPairs(this.#trailers);
    this.#trailers = trailers;
    if (isUpgrade && this.isAwaited) this.#expectUpgrade();
    const isUnderWay = form === "to-come";
    const content = isUnderWay ? this.#receive() : wholeContent(form, attached);
    exchange.answer({ status, statusText, fields, content, streamBytes, isUnderWay });
  }

  /** Content that comes in chunks. */
  #receive(): ReadableStream<Uint8Array> {
    this.#received = new ReceivedStream({
      credit: (credit) => this.#say("credit", credit),
      cancel: (reason) => this.#say("cancel", copyError(reason)),
    });
    return this.#received.readable;
  }

  #inform(status: number, fields: readonly string[]): void {
    const { exchange } = this;
    const { responder } = exchange.connection;
    if (!responder.mayInform(exchange)) return;
    this.#hasInformed = true;
    responder.inform(exchange, status, fields);
  }

  /** The handler reads the content. */
  #sendContent(): void {
    if (this.#contentIsTaken) return;
    this.#contentIsTaken = true;
    const { exchange } = this;
    this.#sender = new StreamSender(exchange.content.stream(true).getReader(), {
      chunk: (bytes) => {
        const batch = this.#link?.outgoing();
        batch?.add(["chunk", this.id, batch.attach(bytes as Uint8Array<ArrayBuffer>)]);
      },
      end: () => this.#say("end", fieldLinesOf(exchange.trailerSection)),
      fail: (cause) => this.#say("fail", copyError(cause)),
    });
  }

  #expectUpgrade(): void {
    const upgrade = new PendingUpgrade();
    this.#upgrade = upgrade;
    this.exchange.pendingUpgrade = upgrade;
    upgrade.connection.then((connection) => this.#bridge(connection), () => {});
  }

  /** Passes the bytes of an upgraded connection to and from the thread. */
  #bridge(connection: UpgradedConnection): void {
    this.#say("upgraded");
    const received = new ReceivedStream({
      credit: (credit) => this.#say("credit", credit),
      cancel: (reason) => this.#say("cancel", copyError(reason)),
    });
    this.#received = received;
    const toThread = new Promise<void>((resolve) => {
      this.#endUpgradedInput = resolve;
      this.#sender = new StreamSender(connection.readable.getReader(), {
        chunk: (bytes) => {
          const batch = this.#link?.outgoing();
          batch?.add(["chunk", this.id, batch.attachCopy(bytes)]);
        },
        end: () => {
          this.#say("end", []);
          resolve();
        },
        fail: (cause) => {
          this.#say("fail", copyError(cause));
          resolve();
        },
      });
    });
    const fromThread = received.readable.pipeTo(connection.writable).catch(() => {});
    Promise.all([toThread, fromThread]).then(() => this.#link?.delivered(this, false));
  }
}

function wholeContent(form: AnswerContent, { bytes, texts }: Attachments): string | Uint8Array | null {
  if (form === null || form === "to-come") return null;
  return typeof form === "number" ? bytes[form] : texts[form.textAt];
}

/** The trailer section, or what was thrown when it was made. */
function toPairs(trailers: AnswerTrailers): [string, string][] {
  const pairs: [string, string][] = [];
  if (trailers === null || trailers === "to-come") return pairs;
  if ("error" in trailers) throw restoreError(trailers.error);
  const { lines } = trailers;
  for (let i = 0; i < lines.length; i += 2) pairs.push([lines[i], lines[i + 1]]);
  return pairs;
}

function fieldLinesOf(section: FieldSection | null): string[] {
  const lines: string[] = [];
  for (let i = 0; section !== null && i < section.count; i++) lines.push(section.nameAt(i), section.valueAt(i));
  return lines;
}
