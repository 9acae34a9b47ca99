/**
 * What is said between the event loop that has the connections and a thread that runs handlers.
 *
 * A call is one exchange whose handler runs on the thread. Both ends know it by a number. The content of the request
 * flows to the thread and the content of the response from it, each as chunks with credit; after an upgrade the bytes of
 * the connection flow the same two ways.
 *
 * | to the thread | from the thread |
 * |---|---|
 * | `call`: run the handler | `answer`: its response; `failed`: it threw, or its response can't be sent |
 * | `chunk`, `end`, `fail`: content of the request | `demand`: it is wanted; `cancel`: it is not read any more |
 * | `credit`, `cancel`: about the content of the response | `chunk`, `end`, `fail`: the content of the response |
 * | | `credit`: content was taken; `inform`: an informational response; `report`: an error behind the response |
 * | `upgraded`: the connection has left HTTP | |
 * | `sent`: the response was delivered, and the content of the request goes on | |
 * | `delivered`, `aborted`: how the exchange ended; the last of a call | |
 * | `ping`: say so when you hear this; `drain`: tell handlers; `close`: end | `pong`: it was heard; `pace`: how fast calls are begun |
 * | | `error`: one that belongs to no call, such as a promise that was rejected; `sockets`: how many WebSockets are open |
 * | | `delays`: how late its event loop was, where that is measured |
 *
 * What is published to WebSockets goes beside that, see `exchange/publication.ts`.
 *
 * @module
 */

import type { Address, PeerCertificate, TlsInfo } from "../transport.ts";
import type { Message } from "./batch.ts";
import type { ErrorCopy } from "./error_copy.ts";

/** The content of a request when the call is made: none, all of it (the number of its bytes), or still to come. */
export type CallContent = null | number | "to-come";

/** The content of a response: none, text (its number), all of it (the number of its bytes), or chunks that follow. */
export type AnswerContent = null | { readonly textAt: number } | number | "to-come";

/** What of the content is wanted: all of it, or only to know its end, whose trailers are awaited. */
export type WantedContent = "content" | "trailers";

/** A field section: names and values, one after the other. */
export type FieldLines = readonly string[];

/** The trailer section of a response: none, made already, failed to be made, or made when the content has ended. */
export type AnswerTrailers = null | { readonly lines: FieldLines } | { readonly error: ErrorCopy } | "to-come";

/** The port of an address whose host name goes with it; `null` when that is the path of a Unix domain socket. */
export type SentPort = number | null;

/** What was agreed on in a TLS handshake; the bytes of a certificate as char codes. */
export interface TlsCopy extends Omit<TlsInfo, "peerCertificate"> {
  readonly peerCertificate: Omit<PeerCertificate, "raw"> & { readonly raw: string } | null;
}

/** Run the handler. */
export type CallMessage = readonly [
  kind: "call",
  callId: number,
  sequence: number,
  /** The number of the text of the field section, which is followed by the strings below, in this order. */
  textAt: number,
  fieldTextLength: number,
  methodLength: number,
  uriLength: number,
  remoteLength: number,
  fieldOffsets: readonly number[],
  upgrade: string | null,
  content: CallContent,
  trailers: FieldLines,
  remotePort: SentPort,
  localPort: SentPort,
  /** The other end of the socket, where that is not the client. */
  peer: Address | null,
  tls: TlsCopy | null,
];

/** What the event loop tells a thread. */
export type ToThread =
  | CallMessage
  | readonly [kind: "chunk", callId: number, bytesAt: number]
  | readonly [kind: "end", callId: number, trailers: FieldLines]
  | readonly [kind: "fail", callId: number, error: ErrorCopy]
  | readonly [kind: "credit", callId: number, bytes: number]
  | readonly [kind: "cancel", callId: number, reason: ErrorCopy]
  | readonly [kind: "upgraded", callId: number]
  | readonly [kind: "sent", callId: number]
  /** All exchanges that have ended in this turn, and whose response was delivered. */
  | readonly [kind: "delivered", callId: 0, callIds: readonly number[]]
  | readonly [kind: "aborted", callId: number, error: ErrorCopy]
  | readonly [kind: "ping", question: number]
  /** The server drains. */
  | readonly [kind: "drain", callId: 0]
  | readonly [kind: "close", callId: 0];

/** What a thread tells the event loop. */
export type FromThread =
  | readonly [
    kind: "answer",
    callId: number,
    status: number,
    statusText: string,
    fields: FieldLines,
    content: AnswerContent,
    streamBytes: number | null,
    trailers: AnswerTrailers,
    isUpgrade: boolean,
    isWatched: boolean,
  ]
  | readonly [kind: "failed", callId: number, error: ErrorCopy]
  | readonly [kind: "report", callId: number, error: ErrorCopy]
  | readonly [kind: "inform", callId: number, status: number, fields: FieldLines]
  | readonly [kind: "demand", callId: number, wanted: WantedContent]
  | readonly [kind: "chunk", callId: number, bytesAt: number]
  | readonly [kind: "end", callId: number, trailers: AnswerTrailers]
  | readonly [kind: "fail", callId: number, error: ErrorCopy]
  | readonly [kind: "credit", callId: number, bytes: number]
  | readonly [kind: "cancel", callId: number, reason: ErrorCopy]
  | readonly [kind: "pong", question: number]
  /** All calls up to one were looked at in this turn. So many of them were begun, and it took so long. */
  | readonly [kind: "pace", sequence: number, begun: number, elapsedMs: number]
  | readonly [kind: "error", callId: 0, error: ErrorCopy]
  | readonly [kind: "sockets", callId: 0, open: number]
  | readonly [kind: "delays", callId: 0, delaysMs: readonly number[]];

/** The first message to a thread that runs handlers, not in a batch. */
export interface HandlerOrders {
  readonly role: "handler";
  /** The URL of the module whose handler is called. */
  readonly module: string;
  /** Whether handlers get a Request of the runtime itself. */
  readonly nativeRequest: boolean;
  /** Whether `HttpResponse` stands in place of the global `Response`. */
  readonly fastResponse: boolean;
  /** Where a call that has not returned is cut short, on a runtime that can't be told so from outside; 0 is never. */
  readonly callLimitMs: number;
  /** How long a client that has sent FIN counts as present. */
  readonly halfCloseTimeoutMs: number;
  /** How long a handler may take to take a connection that it has upgraded; 0 is without a bound. */
  readonly takeTimeoutMs: number;
  /** Whether a rejection that nothing handles ends the thread; else it is told. */
  readonly rejectionsAreFatal: boolean;
  /** Whether it is measured how late the thread is. */
  readonly measuresDelay: boolean;
  /** The memory in which calls are claimed, see `claims.ts`. */
  readonly claims: Int32Array<SharedArrayBuffer>;
}

/** The first message from a thread, not in a batch: it is ready, or can't be. */
export type Readiness = { readonly isReady: true } | { readonly isReady: false; readonly error: ErrorCopy };

/** Whether a message is that one. Code of the user's module can post messages as well, which mean nothing here. */
export function isReadiness(received: unknown): received is Readiness {
  return typeof received === "object" && received !== null && "isReady" in received;
}

// Every message is one that a batch can hold.
type AssertMessage<T extends Message> = T;
export type AnyMessage = AssertMessage<ToThread> | AssertMessage<FromThread>;
