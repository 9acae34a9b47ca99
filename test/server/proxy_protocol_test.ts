/** Connections that begin with a header of the PROXY protocol: who may open them, and whose they are. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Handler } from "../../src/api/handler.ts";
import type { ServeOptions } from "../../src/api/options.ts";
import type { Address } from "../../src/transport.ts";
import type { MemoryPeer } from "../support/memory_runtime.ts";
import { get, startMemoryServer, statuses, text } from "../support/memory_server.ts";

const PROXY: Address = { transport: "tcp", hostname: "10.0.0.9", port: 40_000 };
const STRANGER: Address = { transport: "tcp", hostname: "203.0.113.5", port: 40_000 };
const UNIX: Address = { transport: "unix", path: "" };
const HEADER = "PROXY TCP4 192.0.2.1 198.51.100.1 12345 443\r\n";
/** A header of version 2 that speaks for nobody but the proxy itself. */
const LOCAL = "\r\n\r\n\0\r\nQUIT\n\x20\0\0\0";

const tellAddresses: Handler = (request, { remoteAddr, peerAddr, requestIP }) => {
  const hostOf = (address: Address): string => address.transport === "tcp" ? address.hostname : "unix";
  return text([request.url, hostOf(remoteAddr), hostOf(peerAddr), String(typeof requestIP)].join(" "));
};

async function start(options: ServeOptions = {}, handler: Handler = tellAddresses) {
  const started = await startMemoryServer(handler, { proxyProtocol: { from: ["10.0.0.0/8"] }, ...options });
  const { runtime, clock } = started;
  const send = async (from: Address, ...pieces: string[]): Promise<MemoryPeer> => {
    const peer = runtime.connect(from);
    await clock.settle();
    for (const piece of pieces) {
      peer.send(piece);
      await clock.settle();
    }
    return peer;
  };
  return { ...started, send };
}

function bodyOf(peer: MemoryPeer): string {
  return peer.received().split("\r\n\r\n")[1] ?? "";
}

describe("a server that expects the PROXY protocol", () => {
  test("takes the address that a trusted proxy tells for the client's", async () => {
    const { send } = await start();
    const peer = await send(PROXY, HEADER + get());
    assert.equal(bodyOf(peer), "http://a.test/ 192.0.2.1 10.0.0.9 function");
  });

  test("takes the proxy's own address where the header leaves it at that", async () => {
    const { send } = await start();
    for (const header of ["PROXY UNKNOWN\r\n", LOCAL]) {
      assert.equal(bodyOf(await send(PROXY, header + get())), "http://a.test/ 10.0.0.9 10.0.0.9 function");
    }
  });

  test("loses no byte however the header and what follows are split", async () => {
    const { send } = await start();
    const bytes = HEADER + get() + get("/b");
    for (let at = 1; at < HEADER.length + 20; at++) {
      const peer = await send(PROXY, bytes.slice(0, at), bytes.slice(at));
      assert.deepEqual(statuses(peer.received()), [200, 200], `split at ${at}`);
    }
    assert.deepEqual(statuses((await send(PROXY, ...bytes)).received()), [200, 200]);
  });

  test("closes what comes from elsewhere before it has said anything, and says so", async () => {
    for (
      const [stranger, name] of [[STRANGER, "203.0.113.5"], [UNIX, "the Unix domain socket"]] as const
    ) {
      const warnings: string[] = [];
      const { send, server } = await start({ onWarning: ({ code, message }) => void warnings.push(code, message) });
      const peer = await send(stranger, HEADER + get());
      assert.deepEqual([peer.serverSide, peer.received()], ["closed", ""]);
      assert.deepEqual(warnings, [
        "proxy-header-invalid",
        `A connection from ${name} was closed. ` +
        "It does not come from a proxy that the option proxyProtocol.from names.",
      ]);
      assert.equal(server.stats().errors["proxy-header-invalid"], 1);
    }
  });

  test("closes a proxy that sends no header, and says so", async () => {
    const { send, warned } = await start();
    const peer = await send(PROXY, get());
    assert.deepEqual([peer.serverSide, peer.received()], ["closed", ""]);
    assert.deepEqual(warned, ["proxy-header-invalid"]);
  });

  test("does not wait for a header without end (CVE-2021-23409, go-proxyproto)", async () => {
    for (const headersTimeout of [15_000, 0]) {
      const { send, clock, warned, server } = await start({ headersTimeout });
      const peer = await send(PROXY, "PROXY TCP4 192.");
      await clock.advance(4_900);
      assert.equal(peer.serverSide, "open");
      await clock.advance(1_100);
      assert.deepEqual([peer.serverSide, warned], ["closed", ["proxy-header-invalid"]]);
      assert.deepEqual(server.stats().errors, { "proxy-header-invalid": 1 });
      assert.equal(clock.pendingCount, 0);
    }
  });

  test("waits for a header no longer than for a head", async () => {
    const { send, clock } = await start({ headersTimeout: 1_000 });
    const peer = await send(PROXY);
    await clock.advance(1_500);
    assert.equal(peer.serverSide, "closed");
  });

  test("takes a second header for what it is: no request", async () => {
    const { send } = await start();
    assert.deepEqual(statuses((await send(PROXY, HEADER + HEADER + get())).received()), [400]);
  });

  test("limits connections by the address that is told", async () => {
    const { send } = await start({ maxConnectionsPerIp: 1 });
    const first = await send(PROXY, HEADER + get());
    const same = await send(PROXY, HEADER + get());
    const other = await send(PROXY, HEADER.replace("192.0.2.1", "192.0.2.2") + get());
    assert.deepEqual([first, same, other].flatMap((peer) => statuses(peer.received())), [200, 503, 200]);
  });

  test("counts a Unix domain socket as loopback", async () => {
    const { send } = await start({ proxyProtocol: { from: "loopback" } });
    const peer = await send(UNIX, HEADER + get());
    assert.equal(bodyOf(peer), "http://a.test/ 192.0.2.1 unix function");
    assert.equal((await send(PROXY, HEADER + get())).serverSide, "closed");
  });

  test("asks the address that is told for trustProxy, and not the socket's", async () => {
    const { send } = await start({ trustProxy: { from: ["192.0.2.0/24"] } });
    const peer = await send(PROXY, HEADER + get("/", "X-Forwarded-For: 198.51.100.7", "X-Forwarded-Proto: https"));
    assert.equal(bodyOf(peer), "https://a.test/ 198.51.100.7 10.0.0.9 function");
    const untrusted = HEADER.replace("192.0.2.1", "203.0.113.1");
    const other = await send(PROXY, untrusted + get("/", "X-Forwarded-For: 198.51.100.7"));
    assert.equal(bodyOf(other), "http://a.test/ 203.0.113.1 10.0.0.9 function");
  });

  test("speaks TLS behind the header, however both are split", async () => {
    const { send } = await start({ tls: { cert: "-", key: "-" } });
    const bytes = `${HEADER}http/1.1\n${get()}`;
    for (let at = 1; at < HEADER.length + 12; at++) {
      const peer = await send(PROXY, bytes.slice(0, at), bytes.slice(at));
      assert.equal(bodyOf(peer), "https://a.test/ 192.0.2.1 10.0.0.9 function", `split at ${at}`);
    }
  });
});

describe("a server with TLS, before its handshakes are done", () => {
  const tls = { cert: "-", key: "-" };

  test("tells the handler what was agreed on", async () => {
    const { runtime, clock } = await startMemoryServer((_, info) => text(JSON.stringify(info.tls)), { tls });
    const peer = runtime.connect();
    peer.send(`http/1.1\n${get()}`);
    await clock.settle();
    assert.equal(JSON.parse(bodyOf(peer)).cipher, "TLS_AES_128_GCM_SHA256");
  });

  test("gives up a handshake that takes longer than ten seconds, and counts it", async () => {
    const { runtime, clock, server, reported } = await startMemoryServer(tellAddresses, { tls });
    const peer = runtime.connect();
    await clock.advance(9_900);
    assert.equal(peer.serverSide, "open");
    await clock.advance(1_100);
    assert.equal(peer.serverSide, "closed");
    assert.equal(server.stats().errors["tls-handshake-failed"], 1);
    assert.deepEqual(reported, [], "that is no error of the server");
    assert.equal(clock.pendingCount, 0);
  });

  test("counts a handshake that fails", async () => {
    const { runtime, clock, server } = await startMemoryServer(tellAddresses, { tls });
    const peer = runtime.connect();
    peer.send("!\n");
    await clock.settle();
    assert.equal(peer.serverSide, "closed");
    assert.equal(server.stats().errors["tls-handshake-failed"], 1);
    assert.equal(server.stats().connections.open, 0);
  });

  test("serves a client that comes while others keep every connection busy with silence", async () => {
    const { runtime, clock, server } = await startMemoryServer(tellAddresses, { tls, maxConnections: 5 });
    const silent = Array.from({ length: 2_000 }, () => runtime.connect());
    await clock.settle();
    const peer = runtime.connect();
    peer.send(`http/1.1\n${get()}`);
    await clock.settle();
    assert.deepEqual(statuses(peer.received()), [200]);
    assert.ok(server.stats().connections.open <= 5);
    assert.equal(silent[0].serverSide, "closed");
    await clock.advance(11_000);
    assert.equal(server.stats().connections.open, 1);
  });

  test("leaves silence half of the places, those of the last that have come", async () => {
    const { runtime, clock, server } = await startMemoryServer(tellAddresses, { tls, maxConnections: 5 });
    const openOf = (peers: readonly MemoryPeer[]): boolean[] => peers.map(({ serverSide }) => serverSide === "open");
    const silent = Array.from({ length: 3 }, () => runtime.connect());
    await clock.settle();
    assert.deepEqual(openOf(silent), [true, true, true]);
    silent.push(runtime.connect());
    await clock.settle();
    assert.deepEqual(openOf(silent), [false, true, true, true]);
    const left: boolean[][] = [];
    for (let i = 0; i < 4; i++) {
      const peer = runtime.connect();
      peer.send(`http/1.1\n${get()}`);
      await clock.settle();
      assert.deepEqual(statuses(peer.received()), [200]);
      left.push(openOf(silent));
    }
    assert.deepEqual(left, [
      [false, false, true, true],
      [false, false, true, true],
      [false, false, true, true],
      [false, false, false, true],
    ], "one gives way to a client that begins, and one to the last that is served");
    assert.deepEqual(server.stats().connections, { open: 5, accepted: 8, refused: 0 });
  });

  test("closes them when it is to close what is idle", async () => {
    const { runtime, clock, server } = await startMemoryServer(tellAddresses, { tls });
    const peer = runtime.connect();
    await clock.settle();
    const report = server.shutdown({ delay: 0, closeIdle: true });
    await clock.settle();
    assert.equal(peer.serverSide, "closed");
    assert.equal((await report).aborted, 0);
  });
});
