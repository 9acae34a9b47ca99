/**
 * Bare sockets: Trivet's adapter, the handler and what it takes to send its response. Nothing is parsed, checked,
 * bounded or timed: what lies before an empty line is the head of the one request that is known beforehand. The head
 * of the response is made once and kept, and its content encoded into one buffer for all.
 */

import type { TransportConnection, TransportEvents, TransportSession } from "../../src/transport.ts";
import { announce, readLaunch } from "./launch.ts";
import { EmptyLineFinder } from "./raw.ts";

const { module, trivet, request: { url, fields, contentBytes } } = readLaunch();
const beside = (path: string): Promise<unknown> => import(new URL(path + trivet.slice(-3), trivet).href);
const { detectRuntime } = await beside("runtime/detect") as typeof import("../../runtime/detect.ts");
await import(trivet);
const web = await beside("src/web/http_response") as typeof import("../../src/web/http_response.ts");
const handle = (await import(new URL(module, import.meta.url).href)).default.fetch;

const SLAB_BYTES = 1024 * 1024;
const MAX_UTF8_BYTES_PER_CHAR = 3;

const runtime = detectRuntime();
const contents = runtime.responseContents(Response);
const headers = new Map(Object.entries(fields).map(([name, value]) => [name.toLowerCase(), value]));

let slab = new Uint8Array(SLAB_BYTES);
let usedBytes = 0;
let keptHead = new Uint8Array(0);
let keptLength = -1;

class BareConnection implements TransportSession {
  readonly #transport: TransportConnection;
  readonly #lines = new EmptyLineFinder();
  readonly #request: Request;
  #content: Uint8Array<ArrayBuffer> | null = null;
  #contentEnd = 0;
  /** Where the responses begin that leave in one write; -1 while there are none. */
  #gatheredFrom = -1;
  #isTaking = false;

  constructor(transport: TransportConnection) {
    this.#transport = transport;
    const arrayBuffer = (): Promise<ArrayBuffer> => {
      const { buffer } = this.#content!;
      this.#content = null;
      this.#contentEnd = 0;
      return Promise.resolve(buffer);
    };
    // All that the handlers of the benchmark look at.
    this.#request = { url, headers, arrayBuffer } as unknown as Request;
  }

  onData(borrowed: Uint8Array, end: number): void {
    const bytes = borrowed.subarray(0, end);
    this.#isTaking = true;
    for (let at = 0; at < bytes.byteLength;) {
      if (this.#content === null) {
        at = this.#lines.find(bytes, at);
        if (at < 0) break;
        if (contentBytes > 0) this.#content = new Uint8Array(contentBytes);
      } else {
        const contentEnd = Math.min(bytes.byteLength, at + contentBytes - this.#contentEnd);
        this.#content.set(bytes.subarray(at, contentEnd), this.#contentEnd);
        this.#contentEnd += contentEnd - at;
        at = contentEnd;
      }
      if (this.#contentEnd < contentBytes) continue;
      const response = handle(this.#request);
      if (response instanceof Promise) void response.then((settled) => this.#respond(settled));
      else this.#respond(response);
    }
    this.#isTaking = false;
    this.#flush();
  }

  onDrain(): void {}

  onEnd(): void {
    this.#transport.end();
  }

  onClose(): void {}

  #respond(response: Response): void {
    const own = web.takeHttpResponse(response);
    if (own !== null) return this.#send(own.status, own.fields, own.content as string | Uint8Array);
    const { status, headers } = response;
    const fields: string[] = [];
    headers.forEach((value, name) => fields.push(name, value));
    const whole = contents.takeWhole(response);
    if (typeof whole === "string" || whole instanceof Uint8Array) return this.#send(status, fields, whole);
    const bytes = whole instanceof Promise ? whole : response.bytes();
    void bytes.then((content) => this.#send(status, fields, content as string | Uint8Array));
  }

  #send(status: number, fields: readonly string[], content: string | Uint8Array): void {
    if (keptLength !== content.length) keepHead(status, fields, content.length);
    const neededBytes = keptHead.byteLength + content.length * MAX_UTF8_BYTES_PER_CHAR;
    if (usedBytes + neededBytes > SLAB_BYTES) {
      this.#flush();
      slab = new Uint8Array(SLAB_BYTES);
      usedBytes = 0;
    }
    if (this.#gatheredFrom < 0) this.#gatheredFrom = usedBytes;
    slab.set(keptHead, usedBytes);
    usedBytes += keptHead.byteLength;
    if (typeof content === "string") usedBytes += runtime.encodeUtf8(content, slab, usedBytes);
    else {
      slab.set(content, usedBytes);
      usedBytes += content.byteLength;
    }
    if (!this.#isTaking) this.#flush();
  }

  #flush(): void {
    if (this.#gatheredFrom < 0) return;
    this.#transport.write(slab, this.#gatheredFrom, usedBytes);
    this.#gatheredFrom = -1;
  }
}

function keepHead(status: number, fields: readonly string[], length: number): void {
  let text = `HTTP/1.1 ${status} OK\r\n`;
  for (let i = 0; i < fields.length; i += 2) text += `${fields[i]}: ${fields[i + 1]}\r\n`;
  text += `Date: Thu, 01 Jan 1970 00:00:00 GMT\r\nContent-Length: ${length}\r\n\r\n`;
  keptHead = new TextEncoder().encode(text);
  keptLength = length;
}

const events: TransportEvents = {
  onOpen: (transport) => void (transport.session = new BareConnection(transport)),
  onSecure: () => {},
  onData: ({ session }, borrowed, end) => session!.onData(borrowed, end),
  onDrain: ({ session }) => session!.onDrain(),
  onEnd: ({ session }) => session!.onEnd(),
  onClose: ({ session }) => session!.onClose(undefined),
  onAcceptError: (cause) => console.error(cause),
};
const { address } = await runtime.listen(
  { hostname: "127.0.0.1", port: 0, unixPath: undefined, tcpBacklog: undefined, reusePort: false, tls: undefined },
  events,
);
announce(address.transport === "tcp" ? address.port : 0);
