/**
 * `server.fetch()`: a client in the process of the server, with a connection for each request.
 *
 * It decides how a `Request` is sent and how the bytes that come back are a `Response`. Since they go through the
 * server as those of any client do, limits, deadlines, models and a stop need no second implementation. It must not
 * know them.
 *
 * @module
 */

import { createContentDecoder } from "../../http1/codec/request_content.ts";
import type { ContentDecoder } from "../../http1/codec/content_decoder.ts";
import { FieldSectionParser } from "../../http1/codec/field_section_parser.ts";
import { decideRequestFraming } from "../../http1/codec/framing.ts";
import { FieldSection } from "../../http/field_section.ts";
import { nativeResponse } from "../../web/native_body.ts";
import { joinPieces } from "../../web/pieces.ts";
import { TurnShare } from "../../web/turn_share.ts";
import type { Runtime } from "../../runtime.ts";
import type { Address, TransportEvents } from "../../transport.ts";
import { type LocalClient, LocalConnection } from "./local_connection.ts";
import { beginContent, type RequestContent, requestHead, sendContent } from "./request_bytes.ts";

/** What was sent by the server itself needs no bounds. */
const NO_LIMITS = { maxFieldSectionBytes: Infinity, maxFieldLines: Infinity, maxContentBytes: Infinity };
/** Content of a response that waits to be read, until the server waits too. */
const HIGH_WATER_BYTES = 16 * 1024;
const NO_BYTES = new Uint8Array(0);
/** `HTTP/1.1 200 OK`: where the status code and the reason phrase begin. */
const STATUS_AT = 9;
const REASON_AT = 13;
const LF = 10;

/** Where connections to the server are made. */
export interface LocalPlace {
  /** Take what a client does. */
  readonly events: TransportEvents;
  /** Where the server listens. */
  readonly address: Address;
}

/**
 * The request that is meant: a path, a URL or a Request, which may be that of a library.
 *
 * @throws {TypeError} For anything else.
 */
export function toRequest(input: string | URL | Request, init: RequestInit | undefined, base: string): Request {
  if (typeof input === "string" || input instanceof URL) return new Request(new URL(input, base), init);
  if (typeof input?.url !== "string" || typeof input.headers?.has !== "function") {
    const given = input === null ? "null" : typeof input;
    throw new TypeError(`server.fetch() got ${given}, expected a Request, a URL or a path.`);
  }
  return init === undefined ? input : new Request(input, init);
}

/**
 * Has the server answer a request.
 *
 * @param request The request.
 * @param runtime The runtime of the server.
 * @param place Tells where to connect, or throws when the server takes no connection.
 */
export async function fetchLocally(request: Request, runtime: Runtime, place: () => LocalPlace): Promise<Response> {
  if (request.headers.has("upgrade")) {
    throw new TypeError(
      "server.fetch() has no connection that could be upgraded. Connect to server.url for a WebSocket.",
    );
  }
  request.signal.throwIfAborted();
  const content = await beginContent(request, new TurnShare(runtime.clock));
  try {
    request.signal.throwIfAborted();
    return await new LocalExchange(request, content, runtime, place()).response;
  } catch (error) {
    content?.reader.cancel(error).catch(ignore);
    throw error;
  }
}

/** One request and its response, as their client sees them. */
class LocalExchange implements LocalClient {
  readonly response: Promise<Response>;
  readonly #request: Request;
  readonly #content: RequestContent | null;
  readonly #decodeLatin1: Runtime["decodeLatin1"];
  readonly #connection: LocalConnection;
  readonly #onAbort = (): void => this.#fail(this.#request.signal.reason);
  #resolve!: (response: Response) => void;
  #reject!: (error: unknown) => void;
  /** What came and was not understood yet. */
  #rest = NO_BYTES;
  #decoder: ContentDecoder | null = null;
  #body: ReadableStreamDefaultController<Uint8Array> | null = null;
  #isSent = false;
  #isAnswered = false;
  #isOver = false;

  constructor(request: Request, content: RequestContent | null, runtime: Runtime, place: LocalPlace) {
    this.#request = request;
    this.#content = content;
    this.#decodeLatin1 = runtime.decodeLatin1;
    this.response = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    this.#connection = new LocalConnection(place.events, this, place.address, runtime.clock.defer);
    request.signal.addEventListener("abort", this.#onAbort);
    this.#connection.open();
    this.#send().catch((error) => this.#fail(error));
  }

  onBytes(bytes: Uint8Array): boolean {
    if (this.#isOver) return true;
    try {
      this.#read(bytes);
    } catch (error) {
      this.#fail(error);
    }
    // A response that has come whole counts as delivered, whether it was read or not.
    return this.#isAnswered || this.#body === null || this.#body.desiredSize! > 0;
  }

  onEnd(): void {
    if (this.#isOver) return;
    if (this.#isAnswered) this.#leave();
    else this.#fail(new TypeError("The server has cut the response off."));
  }

  async #send(): Promise<void> {
    const sent = this.#connection.send(requestHead(this.#request, this.#content));
    if (this.#content !== null) await sendContent(this.#content, (bytes) => this.#connection.send(bytes));
    await sent;
    this.#isSent = true;
    if (this.#isAnswered) this.#leave();
  }

  #read(bytes: Uint8Array): void {
    const all = this.#rest.byteLength === 0
      ? bytes
      : joinPieces([this.#rest, bytes], this.#rest.byteLength + bytes.byteLength);
    let at = 0;
    while (!this.#isAnswered && at < all.byteLength) {
      const next = this.#decoder === null ? this.#readHead(all, at) : this.#readContent(this.#decoder, all, at);
      if (this.#decoder?.isComplete) this.#answered();
      if (next === at) break;
      at = next;
    }
    this.#rest = all.slice(at);
  }

  /** Returns where the head ends, or `at` while it is not whole. */
  #readHead(bytes: Uint8Array, at: number): number {
    const lineEnd = bytes.indexOf(LF, at);
    if (lineEnd < 0) return at;
    const fields = new FieldSectionParser(NO_LIMITS);
    fields.begin(lineEnd + 1 - at);
    if (!fields.advance(bytes, at, bytes.byteLength)) return at;
    const end = at + fields.position;
    const text = this.#decodeLatin1(bytes, at, end);
    const status = Number(text.slice(STATUS_AT, STATUS_AT + 3));
    // What is said before the response is not told: RFC 9110 section 15.2.
    if (status >= 200) {
      this.#begin(status, text.slice(REASON_AT, lineEnd - 1 - at), new FieldSection(text, fields.offsets));
    }
    return end;
  }

  #begin(status: number, statusText: string, fields: FieldSection): void {
    const headers = new Headers();
    for (let i = 0; i < fields.count; i++) headers.append(fields.nameAt(i), fields.valueAt(i));
    const hasContent = this.#request.method !== "HEAD" && status !== 204 && status !== 205 && status !== 304;
    const contentLength = fields.get("content-length");
    const framing = hasContent
      ? decideRequestFraming(1, {
        contentLength,
        contentLengthLines: 1,
        transferEncoding: fields.get("transfer-encoding"),
      })
      : 0;
    this.#decoder = createContentDecoder(framing, NO_LIMITS, this.#decodeLatin1);
    const Native = nativeResponse();
    this.#resolve(new Native(hasContent ? this.#openBody() : null, { status, statusText, headers }));
  }

  #openBody(): ReadableStream<Uint8Array> {
    return new ReadableStream<Uint8Array>({
      start: (controller) => void (this.#body = controller),
      pull: () => this.#connection.wantsMore(),
      cancel: () => this.#abandon(),
    }, { highWaterMark: HIGH_WATER_BYTES, size: (piece) => piece.byteLength });
  }

  #readContent(decoder: ContentDecoder, bytes: Uint8Array, at: number): number {
    const next = decoder.decode(bytes, at, bytes.byteLength);
    // A copy: the buffer behind the bytes has other responses too.
    if (decoder.pieceBytes > 0) this.#body?.enqueue(bytes.slice(next - decoder.pieceBytes, next));
    return next;
  }

  #answered(): void {
    this.#isAnswered = true;
    this.#request.signal.removeEventListener("abort", this.#onAbort);
    this.#body?.close();
    if (this.#isSent) this.#leave();
  }

  /** Both directions are done with. */
  #leave(): void {
    this.#isOver = true;
    this.#content?.reader.cancel().catch(ignore);
    this.#connection.endOfClient();
  }

  #fail(error: unknown): void {
    if (this.#isOver) return;
    if (!this.#isAnswered) this.#body?.error(error);
    this.#reject(error);
    this.#abandon();
  }

  #abandon(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#request.signal.removeEventListener("abort", this.#onAbort);
    this.#content?.reader.cancel().catch(ignore);
    this.#connection.reset();
  }
}

function ignore(): void {}
