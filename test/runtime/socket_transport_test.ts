/** The adapter of the runtime this runs on keeps the contract of `src/transport.ts`, whatever it listens on. */

import { describe } from "node:test";
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { detectRuntime } from "../../runtime/detect.ts";
import type { ListenOptions, TransportEvents } from "../../src/transport.ts";
import { connectRaw, type RawClient, type RawClientOptions } from "../support/raw_client.ts";
import { TEST_AUTHORITY, TEST_SERVER_CERT, TEST_SERVER_KEY } from "../support/test_certificates.ts";
import { AT_ANY_PORT } from "./event_recorder.ts";
import { securing } from "./secured_events.ts";
import { testTransport, type TransportHarness, type TransportPeer } from "./transport_rules.ts";

const runtime = detectRuntime();
const TLS = { cert: TEST_SERVER_CERT, key: TEST_SERVER_KEY };
/** Megabytes to a peer that reads slowly take seconds on a busy machine. */
const DEADLINE_MS = 20_000;

/** More than the kernel's buffers of both ends take on loopback. */
const CONGESTING_BYTES = 24 << 20;

describe(`TCP on ${runtime.name}`, () => {
  testTransport({
    listen: (events) => listen(AT_ANY_PORT, {}, events),
    congestingBytes: CONGESTING_BYTES,
    systemBytes: 1 << 20,
    canReset: true,
    canCutOff: runtime.name !== "deno",
  });
});

describe(`TLS on ${runtime.name}`, () => {
  testTransport({
    listen: (events) => listen({ ...AT_ANY_PORT, tls: TLS }, { tls: { ca: TEST_AUTHORITY } }, securing(events)),
    congestingBytes: CONGESTING_BYTES,
    systemBytes: 1 << 20,
    canReset: false,
    canCutOff: runtime.name !== "deno",
  });
});

describe(`Unix domain sockets on ${runtime.name}`, () => {
  testTransport({
    listen: listenOnUnixSocket,
    congestingBytes: CONGESTING_BYTES,
    systemBytes: 100 << 10,
    canReset: false,
    canCutOff: false,
  });
});

async function listenOnUnixSocket(events: TransportEvents): Promise<TransportHarness> {
  const folder = mkdtempSync(join(tmpdir(), "trivet-"));
  const path = join(folder, "socket");
  const harness = await listen({ ...AT_ANY_PORT, unixPath: path }, { unixPath: path }, events);
  return {
    ...harness,
    async close() {
      await harness.close();
      rmSync(folder, { recursive: true });
    },
  };
}

async function listen(
  options: ListenOptions,
  clientOptions: RawClientOptions,
  events: TransportEvents,
): Promise<TransportHarness> {
  const listener = await runtime.listen(options, events);
  const where = listener.address.transport === "tcp" ? { port: listener.address.port } : {};
  const clients: RawClient[] = [];
  return {
    async connect() {
      const client = await connectRaw({ ...where, ...clientOptions });
      clients.push(client);
      return createPeer(client);
    },
    close() {
      listener.close();
      for (const client of clients) client.destroy();
    },
  };
}

function createPeer(client: RawClient): TransportPeer {
  let takenBytes = 0;
  return {
    send: (content) => client.send(content),
    async receive(byteLength) {
      const all = await client.receiveUntil(takenBytes + byteLength, DEADLINE_MS);
      const taken = all.slice(takenBytes, takenBytes + byteLength);
      takenBytes += byteLength;
      return taken;
    },
    async receiveAll() {
      // What a server has sent before it aborts may arrive or not; how the connection ends is not the peer's test.
      await client.receiveAll(DEADLINE_MS).catch((error) => assert.equal(client.state, "closed", error));
      return client.received().slice(takenBytes);
    },
    sawReset: () => client.cause !== null,
    closed: () => client.closed(DEADLINE_MS),
    pause: () => client.pause(),
    resume: () => client.resume(),
    end: () => client.end(),
    reset: () => client.reset(),
  };
}
