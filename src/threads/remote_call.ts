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
import { type ChunkSource, type ChunkTarget, ReceivedStream, StreamSender, WrittenStream } from "./stream_link.ts";
import { CALL_STATES, type CallState, isUnanswered } from "./thread_states.ts";

/** The thread as its calls see it. */
export interface CallLink {
  /** Opens the batch of this turn. */
  outgoing(): OutgoingBatch;
  /** Sees which calls have begun. */
  look(): void;
  /** The exchange has ended, and the thread need not hurry to know unless something there waits for it. */
  delivered(call: RemoteCall, isWatched: boolean): void;
  /** The exchange can't be delivered any more. `from` is the state in which the call was. */
  aborted(call: RemoteCall, from: CallState, cause: TrivetError): void;
  /** The time of the handler is over. Returns how long it takes to find out whether the thread is at fault. */
  overdue(call: RemoteCall): number;
  /** A call was not begun in the time that a handler has. */
  notBegun(): void;
  /** Something that a call was told from outside has failed within it, which is a fault of this program. */
  onFault(call: RemoteCall, fault: unknown): void;
}

/** The concurrency model, which has the call while no thread has it. */
export interface CallKeeper {
  /** How long a handler may take from its call on; 0 is without a bound. */
  readonly handlerTimeoutMs: number;
  /** Milliseconds on the clock of the runtime. */
  nowMs(): number;
  /** The exchange can't be delivered any more: the call need not be made. */
  abandoned(call: RemoteCall): void;
}

/** The handler is called at most so often: a call that loses every thread it is given to may be what ends them. */
const MAX_ATTEMPTS = 3;

/** RFC 9110 section 9.2.2: methods whose effect is the same if they are carried out twice. */
const IDEMPOTENT_METHODS = new Set(["GET", "HEAD", "OPTIONS", "PUT", "DELETE", "TRACE"]);

/** One call. */
export class RemoteCall implements HandlerRun {
  readonly exchange: Exchange;
  /** Where the call stands while it waits for a thread, which the model knows. */
  placeInLine = 0;
  /** Since when it waits, as far as that was noticed; `Infinity` while it does not. */
  waitsSinceMs = Infinity;
  waitsForTrailers = false;
  /** The number by which both ends know the call, while a thread has it. */
  id = 0;
  /** Its place among the calls that were written down for its thread; `null` while it is not. */
  sequence: number | null = null;
  readonly #keeper: CallKeeper;
  #state: CallState = CALL_STATES.initial;
  #link: CallLink | null = null;
  /** How often the thread was lost after the handler was called. */
  #attempts = 0;
  #begunAtMs = 0;
  /** Whether nothing was seen of the handler yet: no informational response, and no content read. */
  #isRepeatable = true;
  /** Content that came with the request, kept until the response has begun, so that the call can be made again. */
  #content: Uint8Array<ArrayBuffer> | null = null;
  #isWatched = false;
  #sender: StreamSender | null = null;
  #received: ReceivedStream | WrittenStream | null = null;
  #trailers: AnswerTrailers = null;
  /** The thread does not read the upgraded connection any more. */
  #endUpgradedInput: (() => void) | null = null;

  /**
   * @param exchange The exchange.
   * @param keeper Has the call while no thread has it.
   */
  constructor(exchange: Exchange, keeper: CallKeeper) {
    this.exchange = exchange;
    this.#keeper = keeper;
    exchange.run = this;
  }

  get state(): CallState {
    return this.#state;
  }

  /** Whether the thread still has to say what becomes of the call. */
  get isUnanswered(): boolean {
    return isUnanswered(this.#state);
  }

  /** Whether the exchange still waits for the response. */
  get #isAwaited(): boolean {
    return this.exchange.progress === "awaited";
  }

  // What becomes of the call, as its keeper and its thread tell.

  /** Gives the call to a thread, with the number by which it is to know it. */
  give(link: CallLink, id: number): void {
    this.#enter("given");
    this.#link = link;
    this.id = id;
    this.sequence = null;
    this.waitsSinceMs = Infinity;
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
      remoteAddress: exchange.remoteAddress,
      peerAddress: connection.peerAddress,
      tls: connection.tls,
      localAddress: connection.localAddress,
    });
  }

  /** It was seen that the call waits, whatever it was given to. */
  waitFrom(nowMs: number): void {
    if (this.waitsSinceMs === Infinity) this.waitsSinceMs = nowMs;
  }

  /** The handler was called, at this time at the latest. A call may have been answered before that was noticed. */
  begin(nowMs: number): void {
    if (this.#state !== "given") return;
    this.#enter("begun");
    this.#begunAtMs = nowMs;
    this.waitsSinceMs = Infinity;
  }

  /** The call goes back to its keeper: the thread will not begin it, or was lost. */
  takeBack(): void {
    if (this.#state !== "given") this.#attempts++;
    this.#enter("waiting");
    this.#link = null;
  }

  /**
   * Whether the call can be made again although its thread was lost. One that had not begun can; one that had, and that
   * is not to blame, if it was an idempotent method and nothing was seen of the handler.
   */
  canBeMadeAgain(wasBegun: boolean, isBlameless: boolean): boolean {
    if (!this.isUnanswered || !this.#isAwaited) return false;
    if (!wasBegun) return true;
    if (!isBlameless || !this.#isRepeatable || this.#attempts + 1 >= MAX_ATTEMPTS) return false;
    return IDEMPOTENT_METHODS.has(this.exchange.method);
  }

  /** The call is not made, or its thread is lost and it is not made again: the exchange is answered with an error. */
  giveUp(error: TrivetError): void {
    const { isUnanswered } = this;
    this.#enter("over");
    this.#link = null;
    this.#sender?.cancel(error);
    this.#received?.fail(error);
    if (isUnanswered) this.exchange.refuse(error);
  }

  /** Takes a message of the thread, with what came beside it. */
  take(message: FromThread, attached: Attachments): void {
    switch (message[0]) {
      case "answer":
        this.#answer(message, attached);
        return;
      case "failed":
        this.#enter("answered");
        this.exchange.fail(restoreError(message[2]));
        return;
      case "report":
        this.exchange.connection.responder.reportLateError(this.exchange, restoreTrivetError(message[2]));
        return;
      case "inform":
        this.#inform(message[2], message[3]);
        return;
      case "demand":
        this.waitsForTrailers = message[2] === "trailers";
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
        this.#cancelContent(restoreError(message[2]));
    }
  }

  // What becomes of the exchange. It is told in the middle of other things, which a fault here must not keep from
  // ending.

  delivered(): void {
    this.#guard(() => this.#endIfOver());
  }

  aborted(cause: TrivetError): void {
    if (this.#state !== "over") this.#guard(() => this.#abort(cause));
  }

  overdue(): number {
    const { handlerTimeoutMs } = this.#keeper;
    if (this.#state === "given") this.#link!.look();
    if (this.#state === "given") this.#link!.notBegun();
    // The time of a handler that was not called has not begun.
    if (this.#state === "waiting" || this.#state === "given") return handlerTimeoutMs;
    if (this.#state !== "begun") return 0;
    const leftMs = this.#begunAtMs + handlerTimeoutMs - this.#keeper.nowMs();
    if (leftMs > 0) return leftMs;
    this.#enter("overdue");
    return this.#link!.overdue(this);
  }

  /** The response may be out before the handler has read the content: only with both of them the call is over. */
  #endIfOver(): void {
    const { progress, pendingUpgrade } = this.exchange;
    if (progress !== "delivered" || pendingUpgrade !== null) return;
    if (this.#state !== "answered" && this.#state !== "reading") return;
    if (this.#sender?.isOver !== false) {
      this.#finish();
    } else if (this.#state === "answered") {
      this.#enter("reading");
      this.#say("sent");
    }
  }

  #finish(): void {
    const link = this.#link;
    this.#enter("over");
    link?.delivered(this, this.#isWatched);
  }

  #abort(cause: TrivetError): void {
    const from = this.#state;
    const link = this.#link;
    this.#enter("over");
    this.#sender?.cancel(cause);
    if (link === null) this.#keeper.abandoned(this);
    else link.aborted(this, from, cause);
  }

  #say(kind: ToThread[0], ...rest: unknown[]): void {
    this.#link?.outgoing().add([kind, this.id, ...rest]);
  }

  #answer(message: FromThread & readonly ["answer", ...unknown[]], attached: Attachments): void {
    const [, , status, statusText, fields, form, streamBytes, trailers, isUpgrade, isWatched] = message;
    const { exchange } = this;
    this.#enter("answered");
    this.#content = null;
    this.#isWatched = isWatched;
    if (trailers !== null) exchange.trailersToSend = () => toPairs(this.#trailers);
    this.#trailers = trailers;
    if (isUpgrade && this.#isAwaited) this.#expectUpgrade();
    const isUnderWay = form === "to-come";
    const received = isUnderWay ? new ReceivedStream(this.#source()) : null;
    const content = received === null ? wholeContent(form, attached) : received.readable;
    this.#received = received;
    exchange.answer({ status, statusText, fields, content, streamBytes, isUnderWay });
  }

  /** Where the chunks of a response, or of an upgraded connection, come from. */
  #source(): ChunkSource {
    return {
      credit: (credit) => this.#say("credit", credit),
      cancel: (reason) => this.#say("cancel", copyError(reason)),
    };
  }

  #inform(status: number, fields: readonly string[]): void {
    const { exchange } = this;
    const { responder } = exchange.connection;
    if (!responder.mayInform(exchange)) return;
    this.#isRepeatable = false;
    responder.inform(exchange, status, fields);
  }

  /** The handler reads the content. */
  #sendContent(): void {
    if (this.#sender !== null) return;
    this.#isRepeatable = false;
    const { exchange } = this;
    this.#sender = this.#sendFrom(exchange.content.stream(true), {
      chunk: (bytes) => {
        const batch = this.#link?.outgoing();
        batch?.add(["chunk", this.id, batch.attach(bytes as Uint8Array<ArrayBuffer>)]);
      },
      end: () => {
        this.#say("end", fieldLinesOf(exchange.trailerSection));
        this.#guard(() => this.#endIfOver());
      },
      fail: (cause) => {
        this.#say("fail", copyError(cause));
        this.#guard(() => this.#endIfOver());
      },
    });
  }

  /** Sends what the client sends. That it fails is told at once: the thread may never read what waits for credit. */
  #sendFrom(readable: ReadableStream<Uint8Array>, target: ChunkTarget): StreamSender {
    const reader = readable.getReader();
    const sender = new StreamSender(reader, this.exchange.connection.services.streamShare, target);
    reader.closed.catch((cause) => sender.fail(cause));
    return sender;
  }

  /** The handler reads no further. */
  #cancelContent(reason: unknown): void {
    this.#isRepeatable = false;
    if (this.#sender === null) this.exchange.content.discard();
    else this.#sender.cancel(reason);
    this.#endUpgradedInput?.();
    this.#endIfOver();
  }

  #expectUpgrade(): void {
    const upgrade = new PendingUpgrade();
    this.exchange.pendingUpgrade = upgrade;
    upgrade.connection.then((connection) => this.#guard(() => this.#bridge(connection)), () => {});
  }

  /** Passes the bytes of an upgraded connection to and from the thread. */
  #bridge(connection: UpgradedConnection): void {
    if (this.#state !== "answered") return;
    this.#enter("upgraded");
    this.#say("upgraded");
    const written = this.#received = new WrittenStream(connection.writable, this.#source());
    const toThread = new Promise<void>((resolve) => {
      this.#endUpgradedInput = resolve;
      this.#sender = this.#sendFrom(connection.readable, {
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
    Promise.all([toThread, written.closed]).then(() => {
      if (this.#state === "upgraded") this.#guard(() => this.#finish());
    });
  }

  #enter(state: CallState): void {
    this.#state = CALL_STATES.enter(this.#state, state);
  }

  #guard(act: () => void): void {
    const link = this.#link;
    try {
      act();
    } catch (fault) {
      // A call that no thread has only leaves a line, where nothing can fail.
      link?.onFault(this, fault);
    }
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
