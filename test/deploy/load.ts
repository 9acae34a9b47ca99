/**
 * Clients that POST through a proxy without pause, each on a connection that it keeps, and count what is not answered as
 * it should be.
 *
 * @module
 */

import { WireConnection } from "../support/wire_connection.ts";

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
const REQUEST = `POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: ${CONTENT.length}\r\n\r\n${CONTENT}`;
/** Longer than any proxy waits for a server. */
const PATIENCE_MS = 60_000;

/** Lets so many clients POST until the signal aborts. */
export async function load(port: number, clients: number, signal: AbortSignal): Promise<LoadCount> {
  const count: LoadCount = { total: 0, lost: 0, ways: new Set() };
  await Promise.all(Array.from({ length: clients }, () => runClient(port, signal, count)));
  return count;
}

async function runClient(port: number, signal: AbortSignal, count: LoadCount): Promise<void> {
  let connection: WireConnection | null = null;
  while (!signal.aborted) {
    count.total++;
    let way = "";
    try {
      connection ??= await WireConnection.open(port);
      const outcome = await connection.exchange(REQUEST, PATIENCE_MS);
      const isAnswered = outcome.kind === "answered";
      if (!isAnswered || outcome.status !== 200 || outcome.content !== EXPECTED) way = JSON.stringify(outcome);
      if (!isAnswered || !outcome.persists) {
        connection.close();
        connection = null;
      }
    } catch (error) {
      way = String(error);
    }
    if (way === "") continue;
    count.lost++;
    count.ways.add(way.slice(0, 200));
  }
  connection?.close();
}
