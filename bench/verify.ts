/**
 * One request before the load, whose response is looked at in full.
 *
 * @module
 */

import type { Scenario } from "./scenarios.ts";

const DEADLINE_MS = 5_000;
const READ_BYTES = 64 * 1024;

/** What is to be known of a response of which many will come. */
export interface VerifiedResponse {
  /** Its bytes with its head; `null` where it is chunked, so that the next may have another size. */
  readonly responseBytes: number | null;
  /** Whether it says that the connection will be closed. */
  readonly saysClose: boolean;
  /** Fields that are not as expected. */
  readonly problems: readonly string[];
}

/**
 * Sends the request of a scenario and compares the response with what is expected.
 *
 * @throws {Error} The response has the wrong status or content, or does not come.
 */
export async function verifyResponse(port: number, scenario: Scenario): Promise<VerifiedResponse> {
  using conn = await Deno.connect({ port, hostname: "127.0.0.1" });
  const deadline = setTimeout(() => conn.close(), DEADLINE_MS);
  try {
    await writeAll(conn, requestBytes(port, scenario));
    const received = new Received(conn);
    const head = await received.untilEmptyLine();
    const fields = fieldsOf(head);
    if (!head.startsWith("HTTP/1.1 200 ")) throw new Error(`The response begins with ${head.split("\r\n")[0]}.`);
    const problems = Object.entries(scenario.expected.fields)
      .filter(([name, value]) => !sameMediaType(fields.get(name), value))
      .map(([name, value]) => `the field ${name} is ${fields.get(name) ?? "missing"}, expected ${value}`);
    const isChunked = fields.get("transfer-encoding") === "chunked";
    const content = isChunked
      ? await received.untilLastChunk()
      : await received.take(Number(fields.get("content-length")));
    const { content: expected } = scenario.expected;
    if (content.length !== expected.length || content.some((byte, index) => byte !== expected[index])) {
      throw new Error(`The content has ${content.length} bytes which are not the ${expected.length} expected.`);
    }
    const saysClose = /\bclose\b/i.test(fields.get("connection") ?? "");
    return { responseBytes: isChunked ? null : received.takenBytes, saysClose, problems };
  } finally {
    clearTimeout(deadline);
  }
}

/** The request as the load generators send it. */
function requestBytes(port: number, { method, target, fields, content }: Scenario): Uint8Array {
  let head = `${method} ${target} HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\n`;
  for (const [name, value] of Object.entries(fields)) head += `${name}: ${value}\r\n`;
  if (content !== null) head += `Content-Length: ${content.byteLength}\r\n`;
  const headBytes = new TextEncoder().encode(`${head}\r\n`);
  const all = new Uint8Array(headBytes.byteLength + (content?.byteLength ?? 0));
  all.set(headBytes);
  if (content !== null) all.set(content, headBytes.byteLength);
  return all;
}

/** Servers write parameters of media types with and without a space and in any case. */
function sameMediaType(got: string | undefined, expected: string): boolean {
  const normalized = (value: string) =>
    value.toLowerCase().replaceAll(" ", "").replace(/^(application\/json);.*$/, "$1");
  return got !== undefined && normalized(got) === normalized(expected);
}

function fieldsOf(head: string): Map<string, string> {
  return new Map(
    head.split("\r\n").slice(1).map((line) => {
      const colon = line.indexOf(":");
      return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()];
    }),
  );
}

/** Writes all bytes: a write of Deno may take a part of them. */
export async function writeAll(conn: Deno.Conn, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.byteLength;) at += await conn.write(bytes.subarray(at));
}

/** What came on a connection, taken piece by piece. */
class Received {
  takenBytes = 0;
  readonly #conn: Deno.Conn;
  #buffer = new Uint8Array(READ_BYTES);
  #receivedBytes = 0;

  constructor(conn: Deno.Conn) {
    this.#conn = conn;
  }

  async take(byteLength: number): Promise<Uint8Array> {
    const start = this.takenBytes;
    while (this.#receivedBytes < start + byteLength) await this.#receive();
    this.takenBytes = start + byteLength;
    return this.#buffer.slice(start, start + byteLength);
  }

  /** A head or a line of a chunk, as text without the line end. */
  async untilEmptyLine(): Promise<string> {
    return await this.#until("\r\n\r\n");
  }

  async untilLastChunk(): Promise<Uint8Array> {
    const content: number[][] = [];
    for (;;) {
      const chunkBytes = parseInt(await this.#until("\r\n"), 16);
      const chunk = await this.take(chunkBytes);
      await this.take(2);
      if (chunkBytes === 0) return Uint8Array.from(content.flat());
      content.push([...chunk]);
    }
  }

  async #until(end: string): Promise<string> {
    const start = this.takenBytes;
    const decoder = new TextDecoder("latin1");
    for (;;) {
      const text = decoder.decode(this.#buffer.subarray(start, this.#receivedBytes));
      const at = text.indexOf(end);
      if (at >= 0) {
        this.takenBytes += at + end.length;
        return text.slice(0, at);
      }
      await this.#receive();
    }
  }

  async #receive(): Promise<void> {
    if (this.#receivedBytes === this.#buffer.byteLength) {
      const larger = new Uint8Array(this.#buffer.byteLength * 2);
      larger.set(this.#buffer);
      this.#buffer = larger;
    }
    const readBytes = await this.#conn.read(this.#buffer.subarray(this.#receivedBytes));
    if (readBytes === null) throw new Error("The connection was closed before the response was complete.");
    this.#receivedBytes += readBytes;
  }
}
