/**
 * A client that pipelines requests without pause and reads what comes, in a process of its own: `pipeliner.ts <port>
 * <connections> <seconds>` prints how many responses came, and how many connections the server has closed too early.
 *
 * @module
 */

import { get, writeAll } from "../../test/support/wire_connection.ts";

export type PipelinerReport = Readonly<Record<"responses" | "closed", number>>;

const REQUESTS = new TextEncoder().encode(get("/hello").repeat(2_000));
const STATUS_LINE = new TextEncoder().encode("HTTP/1.1 200");
const READ_BYTES = 256 * 1024;

const [port, connections, seconds] = Deno.args.map(Number);
const endMs = performance.now() + 1000 * seconds;
const report = { responses: 0, closed: 0 };

async function attack(): Promise<void> {
  const conn = await Deno.connect({ port, hostname: "127.0.0.1" });
  const timer = setTimeout(() => conn.close(), 1000 * seconds);
  await Promise.all([send(conn), receive(conn)]).catch(() => {});
  clearTimeout(timer);
  if (performance.now() < endMs - 50) report.closed++;
}

async function send(conn: Deno.TcpConn): Promise<void> {
  while (performance.now() < endMs) await writeAll(conn, REQUESTS);
}

async function receive(conn: Deno.TcpConn): Promise<void> {
  const buffer = new Uint8Array(READ_BYTES);
  for (let readBytes; (readBytes = await conn.read(buffer)) !== null;) {
    // One that is cut in two between reads is not counted: of the hundreds in each read it makes no difference.
    for (
      let at = buffer.indexOf(STATUS_LINE[0]);
      at >= 0 && at < readBytes;
      at = buffer.indexOf(STATUS_LINE[0], at + 1)
    ) {
      if (STATUS_LINE.every((byte, index) => buffer[at + index] === byte)) report.responses++;
    }
  }
}

await Promise.all(Array.from({ length: connections }, attack));
console.log(JSON.stringify(report satisfies PipelinerReport));
