/**
 * One connection of a client, on which an exchange may end in any way: with a response, cut off, or not at all.
 *
 * It reads informational responses, tells how much came before a cut, and gives up waiting.
 *
 * @module
 */

/** How an exchange has ended. */
export type Outcome =
  /** With a final response; its head has no empty line and is in lower case. */
  | { kind: "answered"; status: number; head: string; content: string; persists: boolean }
  /** The connection was closed, orderly or not, or nothing whole came in time, after so many bytes of a response. */
  | { kind: "cut" | "hung"; receivedBytes: number }
  /** What came is no response. */
  | { kind: "malformed"; text: string };

/** Small, since there may be ten thousand connections. */
const READ_BYTES = 8 * 1024;
/** A piece of an upload. */
const WRITE_BYTES = 16 * 1024;
const NO_CONTENT: Uint8Array = new Uint8Array(0);
const INFORMATIONAL = /^http\/1\.1 1\d\d/;

const decoder = new TextDecoder("latin1");
const encoder = new TextEncoder();

/** One connection. Made by {@linkcode WireConnection.open}. */
export class WireConnection {
  readonly #conn: Deno.TcpConn | Deno.TlsConn;
  readonly #buffer = new Uint8Array(READ_BYTES);
  /** What came and was not used yet. */
  #received = "";
  #receivedBytes = 0;
  #isClosed = false;

  private constructor(conn: Deno.TcpConn | Deno.TlsConn) {
    this.#conn = conn;
  }

  /** Connects over loopback, with TLS where an authority is named in PEM. Rejects when no server listens. */
  static async open(port: number, authority: string | null = null): Promise<WireConnection> {
    if (authority !== null) {
      return new WireConnection(await Deno.connectTls({ port, hostname: "localhost", caCerts: [authority] }));
    }
    const conn = await Deno.connect({ port, hostname: "127.0.0.1" });
    conn.setNoDelay(true);
    return new WireConnection(conn);
  }

  /** Sends a request, its head and its content in one write. A broken connection is found out by the reading side. */
  async send(request: string): Promise<void> {
    await writeAll(this.#conn, encoder.encode(request)).catch(() => {});
  }

  /**
   * Sends a head and what is with it in one write and after it content in pieces, while the response is waited for: it may
   * come early.
   */
  async exchange(request: string, patienceMs: number, content = NO_CONTENT): Promise<Outcome> {
    return await this.finalResponse(patienceMs, this.#sendAll(request, content).catch(() => {}));
  }

  /** Waits for the head of an informational response. Returns its status, or 0 when something else has come. */
  async informationalStatus(patienceMs: number): Promise<number> {
    const head = await this.#within(patienceMs, () => this.#takeHead());
    return INFORMATIONAL.test(head) ? statusOf(head) : 0;
  }

  /** Waits for a final response behind informational ones, and then, within the same time, for what is to be sent. */
  async finalResponse(patienceMs: number, sent?: Promise<void>): Promise<Outcome> {
    this.#receivedBytes = this.#received.length;
    const outcome = await this.#within(patienceMs, async () => {
      let head = await this.#takeHead();
      while (INFORMATIONAL.test(head)) head = await this.#takeHead();
      const response = await this.#takeResponse(head);
      await sent;
      return response;
    });
    if (typeof outcome === "string") return { kind: outcome, receivedBytes: this.#receivedBytes };
    return this.#received === "" ? outcome : { kind: "malformed", text: this.#received };
  }

  /** Closes it. */
  close(): void {
    if (!this.#isClosed) this.#conn.close();
    this.#isClosed = true;
  }

  async #sendAll(request: string, content: Uint8Array): Promise<void> {
    await this.send(request);
    for (let at = 0; at < content.byteLength && !this.#isClosed; at += WRITE_BYTES) {
      await writeAll(this.#conn, content.subarray(at, at + WRITE_BYTES));
    }
  }

  /** Closes the connection when the time is over, so that whatever waits for it ends. */
  async #within<T>(patienceMs: number, wait: () => Promise<T>): Promise<T | "cut" | "hung"> {
    let isLate = false;
    const deadline = setTimeout(() => {
      isLate = true;
      this.close();
    }, patienceMs);
    try {
      return await wait();
    } catch {
      return isLate ? "hung" : "cut";
    } finally {
      clearTimeout(deadline);
    }
  }

  async #takeHead(): Promise<string> {
    return (await this.#takeUntil("\r\n\r\n")).toLowerCase();
  }

  async #takeResponse(head: string): Promise<Outcome> {
    const status = statusOf(head);
    const contentBytes = /\r\ncontent-length: (\d+)/.exec(head)?.[1];
    const isChunked = /\r\ntransfer-encoding: chunked(?:\r\n|$)/.test(head);
    if (status === 0 || isChunked === (contentBytes !== undefined)) return { kind: "malformed", text: head };
    const content = isChunked ? await this.#takeChunks() : await this.#take(Number(contentBytes));
    if (content === null) return { kind: "malformed", text: head };
    return { kind: "answered", status, head, content, persists: !/\r\nconnection: close(?:\r\n|$)/.test(head) };
  }

  /** The content of all chunks, or `null` where one is malformed. */
  async #takeChunks(): Promise<string | null> {
    for (let content = "";;) {
      const size = await this.#takeUntil("\r\n");
      const chunk = /^[\da-f]+$/i.test(size) ? await this.#take(parseInt(size, 16) + 2) : "";
      if (!chunk.endsWith("\r\n")) return null;
      if (chunk === "\r\n") return content;
      content += chunk.slice(0, -2);
    }
  }

  async #take(length: number): Promise<string> {
    while (this.#received.length < length) await this.#receive();
    const taken = this.#received.slice(0, length);
    this.#received = this.#received.slice(length);
    return taken;
  }

  /** Takes what stands before an end, and the end. */
  async #takeUntil(end: string): Promise<string> {
    while (!this.#received.includes(end)) await this.#receive();
    const taken = await this.#take(this.#received.indexOf(end) + end.length);
    return taken.slice(0, -end.length);
  }

  async #receive(): Promise<void> {
    const readBytes = await this.#conn.read(this.#buffer);
    if (readBytes === null) throw new Error("The connection was closed.");
    this.#receivedBytes += readBytes;
    this.#received += decoder.decode(this.#buffer.subarray(0, readBytes));
  }
}

function statusOf(head: string): number {
  return Number(/^http\/1\.1 (\d{3})/.exec(head)?.[1] ?? 0);
}

/** Writes all bytes: a write of Deno may take a part of them. */
export async function writeAll(conn: Deno.Conn, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.byteLength;) at += await conn.write(bytes.subarray(at));
}

/** A GET. */
export function get(target: string, ...lines: readonly string[]): string {
  return `GET ${target} HTTP/1.1\r\nHost: localhost\r\n${lines.map((line) => `${line}\r\n`).join("")}\r\n`;
}
