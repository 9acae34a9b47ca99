/**
 * One connection of the load client: sends requests as they are and reads the responses to their last byte.
 *
 * It understands as much of HTTP/1.1 as the servers of the comparison send: a head, and content of a known length or in
 * chunks without trailers. Anything else is an answer that is wrong.
 *
 * @module
 */

import { writeAll } from "../verify.ts";

/** An answer. */
export interface Answer {
  /** 0 where it is not one that is understood. */
  readonly status: number;
  readonly content: string;
  /** Whether the connection may be used again. */
  readonly persists: boolean;
  readonly isChunked: boolean;
  /** All of it, as it came. */
  readonly text: string;
}

/** The server has closed the connection before an answer. */
export class ClosedError extends Error {}

const READ_BYTES = 4096;
const STATUS_LINE = /^HTTP\/1\.1 (\d{3}) /;
const CONTENT_LENGTH = /\r\ncontent-length: (\d+)/;
const CHUNKED = /\r\ntransfer-encoding: chunked(?:\r\n|$)/;
const CHUNK_SIZE = /^([\da-f]+)\r\n/i;
const CLOSE = /\r\nconnection: close(?:\r\n|$)/;

const decoder = new TextDecoder("latin1");

/** One connection. */
export class RawConnection {
  readonly #conn: Deno.TcpConn;
  readonly #buffer = new Uint8Array(READ_BYTES);

  private constructor(conn: Deno.TcpConn) {
    this.#conn = conn;
    conn.setNoDelay(true);
  }

  /**
   * Connects over loopback.
   *
   * @throws {ClosedError} There is nobody, or nobody who has room.
   */
  static async open(port: number): Promise<RawConnection> {
    try {
      return new RawConnection(await Deno.connect({ port, hostname: "127.0.0.1" }));
    } catch (cause) {
      throw new ClosedError("The connection was not accepted.", { cause });
    }
  }

  /**
   * Sends a request and waits for its answer.
   *
   * @throws {ClosedError} The connection was closed, by either side, before the answer was complete.
   */
  async exchange(request: Uint8Array): Promise<Answer> {
    let text = "";
    try {
      await writeAll(this.#conn, request);
      for (;;) {
        const readBytes = await this.#conn.read(this.#buffer);
        if (readBytes === null) break;
        text += decoder.decode(this.#buffer.subarray(0, readBytes));
        const answer = readAnswer(text);
        if (answer !== null) return answer;
      }
    } catch (cause) {
      throw new ClosedError("The connection was cut off.", { cause });
    }
    if (text === "") throw new ClosedError("The connection was closed.");
    return wrong(text);
  }

  /** Closes it; an exchange that is under way fails. */
  close(): void {
    try {
      this.#conn.close();
    } catch {
      // It was closed already.
    }
  }
}

/** Reads an answer; `null` if it is not complete. */
function readAnswer(text: string): Answer | null {
  const headEnd = text.indexOf("\r\n\r\n");
  if (headEnd < 0) return null;
  const head = text.slice(0, headEnd).toLowerCase();
  const status = STATUS_LINE.exec(text)?.[1];
  const isChunked = CHUNKED.test(head);
  const contentBytes = CONTENT_LENGTH.exec(head)?.[1];
  if (status === undefined || isChunked === (contentBytes !== undefined)) return wrong(text);
  const rest = text.slice(headEnd + 4);
  const content = isChunked ? readChunks(rest) : readWhole(rest, Number(contentBytes));
  if (content === "incomplete") return null;
  if (content === "malformed") return wrong(text);
  return { status: Number(status), content: content.text, persists: !CLOSE.test(head), isChunked, text };
}

/** Content that ends where what came ends, or why it is none. */
type Content = { readonly text: string } | "incomplete" | "malformed";

function readWhole(text: string, contentBytes: number): Content {
  if (text.length < contentBytes) return "incomplete";
  return text.length > contentBytes ? "malformed" : { text };
}

function readChunks(text: string): Content {
  let content = "";
  for (let rest = text;;) {
    const size = CHUNK_SIZE.exec(rest);
    if (size === null) return rest.includes("\r\n") ? "malformed" : "incomplete";
    const start = size[0].length;
    const end = start + parseInt(size[1], 16);
    if (rest.length < end + 2) return "incomplete";
    if (rest.slice(end, end + 2) !== "\r\n") return "malformed";
    if (end === start) return rest.length === end + 2 ? { text: content } : "malformed";
    content += rest.slice(start, end);
    rest = rest.slice(end + 2);
  }
}

function wrong(text: string): Answer {
  return { status: 0, content: "", persists: false, isChunked: false, text };
}
