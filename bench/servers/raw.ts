/**
 * Raw TCP: a listener, written as the runtime's users write one, that answers each empty line with fixed bytes. It
 * listens where this file is run, and only gives its parts where it is imported.
 */

import { createServer } from "node:net";
import { HELLO } from "../load/handlers.ts";
import { announce, Bun, HOSTNAME, listenOnNode } from "./launch.ts";

/** As long as what Trivet answers to "hello". */
const RESPONSE =
  "HTTP/1.1 200 OK\r\ncontent-type: text/plain;charset=UTF-8\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\n" +
  `Content-Length: ${HELLO.length}\r\n\r\n${HELLO}`;

const CR = 0x0d;
const LF = 0x0a;
const READ_BYTES = 16 * 1024;

export class EmptyLineFinder {
  #matched = 0;

  /** Where the next empty line ends that begins at or behind `start`; -1 if none does in these bytes. */
  find(bytes: Uint8Array, start: number): number {
    let matched = this.#matched;
    for (let i = start; i < bytes.length; i++) {
      const byte = bytes[i];
      if (byte === CR) matched = matched === 2 ? 3 : 1;
      else if (byte === LF && (matched === 1 || matched === 3)) matched++;
      else matched = 0;
      if (matched < 4) continue;
      this.#matched = 0;
      return i + 1;
    }
    this.#matched = matched;
    return -1;
  }
}

/** The responses to so many requests, in one piece; the same bytes each time. */
const answers: Uint8Array[] = [];

/** The fixed responses to as many empty lines as there are in these bytes; `null` for none. */
function answerTo(lines: EmptyLineFinder, bytes: Uint8Array): Uint8Array | null {
  let count = 0;
  for (let at = lines.find(bytes, 0); at >= 0; at = lines.find(bytes, at)) count++;
  return count === 0 ? null : answers[count] ??= new TextEncoder().encode(RESPONSE.repeat(count));
}

/** A promise per read and per write and no async function, which is the cheapest way that Deno documents. */
function serveOnDeno(conn: Deno.TcpConn): void {
  conn.setNoDelay(true);
  const buffer = new Uint8Array(READ_BYTES);
  const lines = new EmptyLineFinder();
  const close = () => conn.close();
  const read = () => void conn.read(buffer).then(take, close);
  const take = (readBytes: number | null): void => {
    if (readBytes === null) return close();
    const answer = answerTo(lines, buffer.subarray(0, readBytes));
    if (answer !== null) conn.write(answer);
    read();
  };
  read();
}

async function listenOnDeno(): Promise<void> {
  const listener = Deno.listen({ port: 0, hostname: HOSTNAME });
  announce(listener.addr.port);
  for await (const conn of listener) serveOnDeno(conn);
}

interface Socket {
  data: EmptyLineFinder;
  write(bytes: Uint8Array): unknown;
}

function take(socket: Pick<Socket, "write">, lines: EmptyLineFinder, bytes: Uint8Array): void {
  const answer = answerTo(lines, bytes);
  if (answer !== null) socket.write(answer);
}

function listenOnBun(): void {
  const socket = {
    open: (socket: Socket) => void (socket.data = new EmptyLineFinder()),
    data: (socket: Socket, bytes: Uint8Array) => take(socket, socket.data, bytes),
  };
  announce(Bun.listen({ port: 0, hostname: HOSTNAME, socket }).port);
}

if (import.meta.main) {
  if ("Deno" in globalThis) await listenOnDeno();
  else if ("Bun" in globalThis) listenOnBun();
  else {
    listenOnNode(createServer({ noDelay: true }, (socket) => {
      const lines = new EmptyLineFinder();
      socket.on("data", (bytes: Uint8Array) => take(socket, lines, bytes)).on("error", () => socket.destroy());
    }));
  }
}
