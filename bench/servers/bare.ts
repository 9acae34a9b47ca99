/**
 * The floor: what the sockets, the handler and its response cost, with as little as possible between them.
 *
 * Nothing is parsed, checked, bounded or timed: what lies before an empty line counts as the head of the one request that
 * is known beforehand. The sockets are those of Trivet's adapters. What Trivet takes beyond this is HTTP.
 *
 * @module
 */

import type { Address, TransportConnection, TransportEvents, TransportSession } from "../../src/runtime.ts";
import type { ResponseSource } from "../../src/web/response_source.ts";
import { createHandler } from "../handlers.ts";
import { announce, readLaunchOptions } from "./launch.ts";
import { EmptyLineFinder } from "./raw.ts";

const { handler: handlerName, responses, trivet, request: prepared } = readLaunchOptions();
const extension = trivet.slice(trivet.lastIndexOf("."));
const beside = (path: string): Promise<unknown> => import(new URL(path + extension, trivet).href);
const { HttpResponse } = await import(trivet) as typeof import("../../mod.ts");
const { detectRuntime } = await beside("runtime/detect") as typeof import("../../runtime/detect.ts");
const web = await beside("src/web/http_response") as typeof import("../../src/web/http_response.ts");

const SLAB_BYTES = 32 * 1024;
/** Content up to this size is copied behind its head. */
const MAX_COPIED_BYTES = 8 * 1024;
const MAX_UTF8_BYTES_PER_CHAR = 3;
const DATE_LINE = "Date: Thu, 01 Jan 1970 00:00:00 GMT\r\n";

const runtime = detectRuntime();
const handle = createHandler(handlerName, responses === "own" ? HttpResponse : Response);
const isStreamed = handlerName === "stream";
const { url, fields, contentBytes } = prepared!;
const headers = new Map(Object.entries(fields).map(([name, value]) => [name.toLowerCase(), value]));
const encoder = new TextEncoder();
const lineEnd = encoder.encode("\r\n");

let slab = new Uint8Array(SLAB_BYTES);
let usedBytes = 0;

/** One connection, on which one request is answered at a time. */
class BareConnection implements TransportSession {
  readonly #transport: TransportConnection;
  readonly #lines = new EmptyLineFinder();
  readonly #request: Request;
  /** The content that is coming, and how much of it has come. */
  #content: Uint8Array<ArrayBuffer> | null = null;
  #contentEnd = 0;
  /** Where in the slab that begins which is gathered while bytes are taken; -1 while nothing is. */
  #gatheredFrom = -1;
  #isTaking = false;
  /** Reads on from the stream that waits for the peer. */
  onDrain: () => void = () => {};

  constructor(transport: TransportConnection) {
    this.#transport = transport;
    const content = () => Promise.resolve(this.#takeContent());
    // All that the handlers of the benchmark look at.
    this.#request = { url, headers, arrayBuffer: content } as unknown as Request;
  }

  /** Answers pipelined requests in one write. */
  onData(bytes: Uint8Array): void {
    this.#isTaking = true;
    this.#takeAll(bytes);
    this.#isTaking = false;
    this.#flush();
  }

  #takeAll(bytes: Uint8Array): void {
    let at = 0;
    while (at < bytes.byteLength) {
      if (this.#content === null) {
        at = this.#lines.find(bytes, at);
        if (at < 0) return;
        if (contentBytes > 0) this.#content = new Uint8Array(contentBytes);
      } else {
        const end = Math.min(bytes.byteLength, at + contentBytes - this.#contentEnd);
        this.#content.set(bytes.subarray(at, end), this.#contentEnd);
        this.#contentEnd += end - at;
        at = end;
      }
      if (this.#contentEnd === contentBytes) this.#answer();
    }
  }

  #takeContent(): ArrayBuffer {
    const { buffer } = this.#content!;
    this.#content = null;
    this.#contentEnd = 0;
    return buffer;
  }

  onEnd(): void {
    this.#transport.end();
  }

  onClose(): void {}

  #answer(): void {
    const response = handle(this.#request);
    if (response instanceof Promise) void response.then((settled) => this.#respond(settled));
    else this.#respond(response);
  }

  #respond(response: Response): void {
    const own = web.takeHttpResponse(response);
    if (own !== null) this.#send(linesOf(own), own.content instanceof Response ? own.content.body : own.content);
    else this.#respondGlobal(response);
  }

  #respondGlobal({ status, headers, body }: Response): void {
    let lines = statusLine(status);
    headers.forEach((value, name) => lines += `${name}: ${value}\r\n`);
    if (isStreamed || body === null) {
      this.#send(lines, body);
      return;
    }
    const reader = body.getReader();
    // Such content is one piece.
    void reader.read().then(({ value }) => reader.read().then(() => this.#send(lines, value!)));
  }

  #send(lines: string, content: ResponseSource["content"]): void {
    if (typeof content === "string") {
      this.#write(`${lines}${DATE_LINE}Content-Length: ${content.length}\r\n\r\n${content}`);
    } else if (content instanceof Uint8Array) {
      this.#sendBytes(`${lines}${DATE_LINE}Content-Length: ${content.byteLength}\r\n\r\n`, content);
    } else if (content !== null) {
      this.#write(`${lines}${DATE_LINE}Transfer-Encoding: chunked\r\n\r\n`);
      this.#sendStream(content.getReader());
    }
  }

  #sendBytes(head: string, content: Uint8Array): void {
    if (content.byteLength > MAX_COPIED_BYTES) {
      this.#flush();
      this.#transport.writeAll([encoder.encode(head), content]);
      return;
    }
    this.#reserve(head.length * MAX_UTF8_BYTES_PER_CHAR + content.byteLength);
    usedBytes += runtime.encodeUtf8(head, slab, usedBytes);
    slab.set(content, usedBytes);
    usedBytes += content.byteLength;
    if (!this.#isTaking) this.#flush();
  }

  #sendStream(reader: ReadableStreamDefaultReader<Uint8Array>): void {
    const read = (): void => void reader.read().then(send);
    const send = ({ done, value }: ReadableStreamReadResult<Uint8Array>): void => {
      if (done) {
        this.#write("0\r\n\r\n");
        return;
      }
      const sizeLine = encoder.encode(`${value.byteLength.toString(16)}\r\n`);
      if (this.#transport.writeAll([sizeLine, value, lineEnd])) read();
      else this.onDrain = read;
    };
    read();
  }

  #write(text: string): void {
    this.#reserve(text.length * MAX_UTF8_BYTES_PER_CHAR);
    usedBytes += runtime.encodeUtf8(text, slab, usedBytes);
    if (!this.#isTaking) this.#flush();
  }

  /** Makes sure that so many bytes are free behind what is gathered. */
  #reserve(neededBytes: number): void {
    if (usedBytes + neededBytes > SLAB_BYTES) {
      this.#flush();
      slab = new Uint8Array(SLAB_BYTES);
      usedBytes = 0;
    }
    if (this.#gatheredFrom < 0) this.#gatheredFrom = usedBytes;
  }

  #flush(): void {
    if (this.#gatheredFrom < 0) return;
    this.#transport.write(slab, this.#gatheredFrom, usedBytes);
    this.#gatheredFrom = -1;
  }
}

function statusLine(status: number): string {
  return `HTTP/1.1 ${status} OK\r\n`;
}

function linesOf({ status, fields }: Pick<ResponseSource, "status" | "fields">): string {
  let lines = statusLine(status);
  for (let i = 0; i < fields.length; i += 2) lines += `${fields[i]}: ${fields[i + 1]}\r\n`;
  return lines;
}

const events: TransportEvents = {
  onOpen: (transport) => void (transport.session = new BareConnection(transport)),
  onData: ({ session }, bytes) => session!.onData(bytes),
  onDrain: ({ session }) => session!.onDrain(),
  onEnd: ({ session }) => session!.onEnd(),
  onClose: ({ session }) => session!.onClose(undefined),
  onAcceptError: (cause) => console.error(cause),
};
const listener = await runtime.listen(
  {
    hostname: "127.0.0.1",
    port: 0,
    unixPath: undefined,
    tcpBacklog: undefined,
    reusePort: false,
    tls: undefined,
  },
  events,
);
announce(portOf(listener.address));

function portOf(address: Address): number {
  return address.transport === "tcp" ? address.port : 0;
}
