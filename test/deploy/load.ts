/**
 * Clients that POST through a proxy without pause, each on a connection that it keeps, and count what is not answered as
 * it should be.
 *
 * @module
 */

/** How requests were answered. */
export interface LoadCount {
  total: number;
  /** Anything but the expected 200. */
  lost: number;
  /** How, each once. */
  readonly ways: Set<string>;
}

/** The content of each request; `app.ts` answers with it and a word. */
const CONTENT = "a line of content\n";
const EXPECTED = `got ${CONTENT}`;
const REQUEST = new TextEncoder().encode(
  `POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: ${CONTENT.length}\r\n\r\n${CONTENT}`,
);

/** Lets so many clients POST until the signal aborts. */
export async function load(port: number, clients: number, signal: AbortSignal): Promise<LoadCount> {
  const count: LoadCount = { total: 0, lost: 0, ways: new Set() };
  await Promise.all(Array.from({ length: clients }, () => runClient(port, signal, count)));
  return count;
}

async function runClient(port: number, signal: AbortSignal, count: LoadCount): Promise<void> {
  let conn: Deno.Conn | null = null;
  while (!signal.aborted) {
    count.total++;
    try {
      conn ??= await Deno.connect({ hostname: "127.0.0.1", port });
      await conn.write(REQUEST);
      const { status, content, persists } = await readResponse(conn);
      if (status !== 200 || content !== EXPECTED) {
        count.lost++;
        count.ways.add(`${status} ${JSON.stringify(content.slice(0, 60))}`);
      }
      if (persists) continue;
    } catch (error) {
      count.lost++;
      count.ways.add(String(error));
    }
    conn?.close();
    conn = null;
  }
  conn?.close();
}

async function readResponse(conn: Deno.Conn): Promise<{ status: number; content: string; persists: boolean }> {
  const decoder = new TextDecoder();
  const buffer = new Uint8Array(4 * 1024);
  for (let received = "";;) {
    const readBytes = await conn.read(buffer);
    if (readBytes === null) throw new Error(`The connection ended after ${received.length} bytes of a response.`);
    received += decoder.decode(buffer.subarray(0, readBytes));
    const end = received.indexOf("\r\n\r\n");
    if (end < 0) continue;
    const head = received.slice(0, end);
    const length = Number(/^content-length: (\d+)/im.exec(head)?.[1]);
    if (Number.isNaN(length)) throw new Error(`A response without a length: ${head.split("\r\n")[0]}`);
    const content = received.slice(end + 4);
    if (content.length < length) continue;
    return { status: Number(head.slice(9, 12)), content, persists: !/^connection: close/im.test(head) };
  }
}
