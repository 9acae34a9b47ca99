/** The protocol that was negotiated in a TLS handshake, as each adapter tells it (RFC 7301). */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { connect } from "node:tls";
import { detectRuntime } from "../../runtime/detect.ts";
import type { TransportConnection, TransportEvents } from "../../src/transport.ts";
import { connectRaw } from "../support/raw_client.ts";
import { securing } from "./secured_events.ts";
import { TEST_AUTHORITY, TEST_SERVER_CERT, TEST_SERVER_KEY } from "../support/test_certificates.ts";

const runtime = detectRuntime();
const WHERE = { hostname: "127.0.0.1", port: 0, unixPath: undefined, tcpBacklog: undefined, reusePort: false };

/** Listens, lets a client come, and gives the protocol of its connection. */
async function negotiate(isTls: boolean, come: (port: number) => Promise<() => void>): Promise<string | null> {
  let opened!: (transport: TransportConnection) => void;
  const isOpen = new Promise<TransportConnection>((resolve) => opened = resolve);
  const tls = isTls ? { cert: TEST_SERVER_CERT, key: TEST_SERVER_KEY } : undefined;
  const events: TransportEvents = {
    onOpen: (transport) => opened(transport),
    onSecure: () => {},
    onData: () => {},
    onDrain: () => {},
    onEnd: (transport) => transport.abort(),
    onClose: () => {},
    onAcceptError: () => {},
  };
  const listener = await runtime.listen({ ...WHERE, tls }, isTls ? securing(events) : events);
  const { address } = listener;
  const leave = await come(address.transport === "tcp" ? address.port : 0);
  const transport = await isOpen;
  const protocol = transport.negotiatedProtocol;
  leave();
  transport.abort();
  await listener.close();
  return protocol;
}

function comeWithAlpn(...ALPNProtocols: string[]): (port: number) => Promise<() => void> {
  return (port) =>
    new Promise((resolve, reject) => {
      const socket = connect({ port, host: "127.0.0.1", ca: TEST_AUTHORITY, ALPNProtocols, servername: "localhost" });
      socket.once("secureConnect", () => resolve(() => socket.destroy())).once("error", reject);
    });
}

describe(`the negotiated protocol on ${runtime.name}`, () => {
  test("is the one that client and server have in common", async () => {
    assert.equal(await negotiate(true, comeWithAlpn("h2", "http/1.1")), "http/1.1");
  });

  test("is null for a client that offers none", async () => {
    assert.equal(await negotiate(true, comeWithAlpn()), null);
  });

  test("is null without TLS", async () => {
    const protocol = await negotiate(false, async (port) => {
      const client = await connectRaw({ port });
      return () => client.destroy();
    });
    assert.equal(protocol, null);
  });
});
