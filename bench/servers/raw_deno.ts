/**
 * The ceiling on Deno.
 *
 * @module
 */

import { announce } from "./launch.ts";
import { EmptyLineFinder } from "./raw.ts";

const READ_BYTES = 16 * 1024;

/** A promise per read and per write and no async function, which is the cheapest way Deno has. */
function serveConnection(conn: Deno.TcpConn): void {
  conn.setNoDelay(true);
  const buffer = new Uint8Array(READ_BYTES);
  const lines = new EmptyLineFinder();
  const close = () => conn.close();
  const read = () => void conn.read(buffer).then(take, close);
  const take = (readBytes: number | null): void => {
    if (readBytes === null) return close();
    const answer = lines.answer(buffer.subarray(0, readBytes));
    if (answer !== null) conn.write(answer);
    read();
  };
  read();
}

const listener = Deno.listen({ port: 0, hostname: "127.0.0.1" });
announce(listener.addr.port);
for await (const conn of listener) serveConnection(conn);
