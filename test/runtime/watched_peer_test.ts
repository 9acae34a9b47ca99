/** Whether the system asks a silent peer if it is still there, on each adapter (`watchPeer` of `src/transport.ts`). */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import process from "node:process";
import { describe, test } from "node:test";
import { detectRuntime } from "../../runtime/detect.ts";
import { connectRaw } from "../support/raw_client.ts";
import { TEST_AUTHORITY, TEST_SERVER_CERT, TEST_SERVER_KEY } from "../support/test_certificates.ts";
import { AT_ANY_PORT, EventRecorder, type RecordedConnection } from "./event_recorder.ts";
import { securing } from "./secured_events.ts";

const runtime = detectRuntime();

/**
 * The timer that runs for a socket of this machine: "00" for none, "02" for that of SO_KEEPALIVE (proc(5),
 * `/proc/net/tcp`). That of what the peer has still to acknowledge, "01", is waited for.
 */
async function timerOf({ addresses }: RecordedConnection): Promise<string> {
  const ends = [addresses.local, addresses.remote].map((address) => {
    const { port } = address as { readonly port: number };
    return `0100007F:${port.toString(16).toUpperCase().padStart(4, "0")}`;
  });
  for (let look = 0; look < 200; look++) {
    const line = readFileSync("/proc/net/tcp", "utf8").split("\n").find((each) => each.includes(ends.join(" ")))!;
    const timer = line.trim().split(/\s+/)[5].slice(0, 2);
    if (timer !== "01") return timer;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  return assert.fail("The peer has not acknowledged what was sent.");
}

describe(`a silent peer on ${runtime.name}`, { skip: process.platform !== "linux" }, () => {
  for (const isTls of [false, true]) {
    test(`is asked for by the system once it is watched, ${isTls ? "over TLS" : "over TCP"}`, async () => {
      const recorder = new EventRecorder();
      const tls = isTls ? { cert: TEST_SERVER_CERT, key: TEST_SERVER_KEY } : undefined;
      const listener = await runtime.listen({ ...AT_ANY_PORT, tls }, isTls ? securing(recorder) : recorder);
      const { port } = listener.address as { readonly port: number };
      const client = await connectRaw({ port, ...(isTls ? { tls: { ca: TEST_AUTHORITY } } : {}) });
      await recorder.until(() => recorder.connections.length === 1, "onOpen");
      const [connection] = recorder.connections;
      try {
        assert.equal(await timerOf(connection), "00");
        connection.watchPeer();
        connection.watchPeer();
        assert.equal(await timerOf(connection), "02");
      } finally {
        connection.abort();
        client.destroy();
        await listener.close();
      }
    });
  }
});
