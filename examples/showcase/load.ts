/**
 * Many requests at once from the server to itself, pipelined as densely as TCP carries them.
 *
 * @module
 */

import { connect } from "node:net";
import type { TcpAddress } from "../../mod.ts";

/** How a load was answered. */
export interface LoadReport {
  /** Requests that were sent. */
  readonly requests: number;
  /** Responses that came, all with status 200. */
  readonly responses: number;
  /** From the first byte sent to the last one received, in milliseconds. */
  readonly durationMs: number;
}

const CONNECTIONS = 10;
const REQUESTS_PER_CONNECTION = 5_000;
const DEADLINE_MS = 20_000;

const REQUEST = "GET /api/ping HTTP/1.1\r\nHost: localhost\r\n\r\n";
const LAST_REQUEST = "GET /api/ping HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";

/**
 * Sends the load and counts the responses.
 *
 * Client and server share one thread here, so that what it measures is both of them together.
 *
 * @param address The server itself.
 */
export async function sendLoad(address: TcpAddress): Promise<LoadReport> {
  const requests = REQUEST.repeat(REQUESTS_PER_CONNECTION - 1) + LAST_REQUEST;
  const startedAtMs = performance.now();
  const counts = await Promise.all(Array.from({ length: CONNECTIONS }, () => countResponses(address, requests)));
  return {
    requests: CONNECTIONS * REQUESTS_PER_CONNECTION,
    responses: counts.reduce((sum, count) => sum + count, 0),
    durationMs: performance.now() - startedAtMs,
  };
}

/** Sends requests over one connection and counts the responses until the server closes it. */
function countResponses(address: TcpAddress, requests: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const decoder = new TextDecoder();
    let received = "";
    const socket = connect({ host: address.hostname, port: address.port, noDelay: true }, () => socket.write(requests));
    const deadline = setTimeout(() => socket.destroy(), DEADLINE_MS);
    socket.on("data", (bytes: Uint8Array) => received += decoder.decode(bytes, { stream: true }));
    socket.on("error", reject);
    socket.on("close", () => {
      clearTimeout(deadline);
      resolve(received.split("HTTP/1.1 200 OK\r\n").length - 1);
    });
  });
}
