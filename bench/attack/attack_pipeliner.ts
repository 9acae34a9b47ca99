/**
 * A client that pipelines requests without pause and reads what comes, for a bounded time, in a process of its own. It
 * prints how many responses came. Its argument is {@linkcode PipelinerPlan} as JSON.
 *
 * @module
 */

import { writeAll } from "../clients/wire_connection.ts";

/** What it does. */
export interface PipelinerPlan {
  readonly port: number;
  readonly connections: number;
  readonly seconds: number;
}

/** What came of it. */
export interface PipelinerReport {
  readonly responses: number;
  /** Connections that the server had closed before the time was over. */
  readonly closed: number;
}

const REQUEST = "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n";
const REQUESTS = new TextEncoder().encode(REQUEST.repeat(2_000));
const READ_BYTES = 256 * 1024;
const STATUS_LINE = new TextEncoder().encode("HTTP/1.1 200");

const plan: PipelinerPlan = JSON.parse(Deno.args[0]);
const endMs = performance.now() + 1000 * plan.seconds;
let responses = 0;
let closed = 0;

async function attack(): Promise<void> {
  const conn = await Deno.connect({ port: plan.port, hostname: "127.0.0.1" });
  const timer = setTimeout(() => conn.close(), 1000 * plan.seconds);
  await Promise.all([send(conn), receive(conn)]).catch(() => {});
  clearTimeout(timer);
  if (performance.now() < endMs - 50) closed++;
}

async function send(conn: Deno.TcpConn): Promise<void> {
  while (performance.now() < endMs) await writeAll(conn, REQUESTS);
}

async function receive(conn: Deno.TcpConn): Promise<void> {
  const buffer = new Uint8Array(READ_BYTES);
  for (;;) {
    const readBytes = await conn.read(buffer);
    if (readBytes === null) return;
    // One that is cut in two between reads is not counted: of the hundreds in each read it makes no difference.
    for (let at = 0; at < readBytes; at++) {
      if (buffer[at] !== STATUS_LINE[0]) continue;
      if (STATUS_LINE.every((byte, index) => buffer[at + index] === byte)) responses++;
    }
  }
}

await Promise.all(Array.from({ length: plan.connections }, attack));
console.log(JSON.stringify({ responses, closed } satisfies PipelinerReport));
