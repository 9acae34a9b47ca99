/** Listening with the adapter of the runtime this runs on: ports, addresses, sharing, Unix domain sockets and TLS. */

import assert from "node:assert/strict";
import { existsSync, lstatSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { once } from "node:events";
import { type AddressInfo, connect, createServer, Server } from "node:net";
import { constants, tmpdir } from "node:os";
import process from "node:process";
import { join } from "node:path";
import { describe, test } from "node:test";
import { Worker } from "node:worker_threads";
import { detectRuntime } from "../../runtime/detect.ts";
import type { Address, Listener, ListenOptions, TcpAddress } from "../../src/transport.ts";
import { connectRaw, type RawClient, type RawClientOptions } from "../support/raw_client.ts";
import {
  TEST_AUTHORITY,
  TEST_CLIENT_CERT,
  TEST_CLIENT_KEY,
  TEST_SERVER_CERT,
  TEST_SERVER_KEY,
} from "../support/test_certificates.ts";
import { AT_ANY_PORT, EventRecorder, type RecordedConnection } from "./event_recorder.ts";
import { securing } from "./secured_events.ts";

const runtime = detectRuntime();
const DEADLINE_MS = 20_000;
const SERVER = { cert: TEST_SERVER_CERT, key: TEST_SERVER_KEY };

/** Connects and is echoed, 40 clients at a time, until it is told to stop. A client that is refused tries again. */
const CLIENTS = `
  const { parentPort, workerData: { port } } = require("node:worker_threads");
  const { connect } = require("node:net");
  let isAnswered = false;
  let isOver = false;
  const lost = [];
  const ask = () => new Promise((resolve) => {
    let outcome = "closed without an answer";
    const socket = connect({ port, host: "127.0.0.1" }, () => socket.write("hello"));
    socket.on("data", () => {
      outcome = "answered";
      socket.end();
    }).on("error", ({ code }) => outcome = code).on("close", () => resolve(outcome));
  });
  const run = async () => {
    while (!isOver) {
      const outcome = await ask();
      if (outcome === "answered") {
        if (!isAnswered) parentPort.postMessage("the first answer");
        isAnswered = true;
      } else if (outcome === "ECONNREFUSED") await new Promise((resolve) => setTimeout(resolve, 2));
      else lost.push(outcome);
    }
  };
  parentPort.once("message", () => isOver = true);
  Promise.all(Array.from({ length: 40 }, run)).then(() => parentPort.postMessage(lost));
`;

/** What Node listens with, as far as tests call it. */
interface ServerOfNode extends Server {
  _handle: { onconnection(status: number): void };
}

/** A listener, its events and what it takes to end with both. */
class Site {
  readonly recorder = new EventRecorder();
  readonly #listeners: Listener[] = [];
  readonly #clients: RawClient[] = [];

  async listen(options: Partial<ListenOptions> = {}): Promise<Listener> {
    const listener = await runtime.listen(
      { ...AT_ANY_PORT, ...options },
      options.tls === undefined ? this.recorder : securing(this.recorder),
    );
    this.#listeners.push(listener);
    return listener;
  }

  async connect(options: RawClientOptions): Promise<RawClient> {
    const client = await connectRaw(options);
    this.#clients.push(client);
    return client;
  }

  async end(): Promise<void> {
    for (const listener of this.#listeners) listener.close();
    for (const client of this.#clients) client.destroy();
    const { connections } = this.recorder;
    for (const connection of connections) connection.abort();
    await this.recorder.until(() => connections.every(({ isClosed }) => isClosed), "onClose of each connection");
    assert.deepEqual(this.recorder.violations, []);
  }
}

const echo = {
  onData: (connection: RecordedConnection, text: string) => void connection.write(text),
  onEnd: (connection: RecordedConnection) => connection.end(),
};

function at(title: string, run: (site: Site) => Promise<void>): void {
  void test(title, async () => {
    const site = new Site();
    site.recorder.hooks = echo;
    try {
      await run(site);
    } finally {
      await site.end();
    }
  });
}

function portOf({ address }: Listener): number {
  assert.equal(address.transport, "tcp");
  return (address as TcpAddress).port;
}

/** Whether something fails, and with which code. */
async function codeOf(act: () => unknown): Promise<unknown> {
  try {
    await act();
  } catch (error) {
    return (error as { code?: unknown }).code;
  }
  return "no error";
}

async function roundTrip(client: RawClient, text: string): Promise<void> {
  const before = client.receivedBytes;
  client.send(text);
  const all = await client.receiveUntil(before + text.length, DEADLINE_MS);
  assert.equal(all.slice(before), text);
}

describe(`listening on ${runtime.name}`, () => {
  at("port 0 becomes the port the system chose", async (site) => {
    const listener = await site.listen();
    assert.ok(portOf(listener) > 0);
    await roundTrip(await site.connect({ port: portOf(listener) }), "hello");
  });

  at("bytes are told soon although each turn of the loop leaves something to do in the next one", async (site) => {
    const client = await site.connect({ port: portOf(await site.listen()) });
    let turns = 0;
    let isOver = false;
    const compute = (): void => {
      if (isOver) return;
      turns++;
      for (const untilMs = performance.now() + 4; performance.now() < untilMs;);
      runtime.clock.defer(compute);
    };
    compute();
    try {
      for (let trip = 0; trip < 5; trip++) {
        const before = turns;
        await roundTrip(client, "x");
        assert.ok(turns - before < 30, `${turns - before} turns`);
      }
    } finally {
      isOver = true;
    }
  });

  at("the address of a listener at a name is an IP address", async (site) => {
    const { address } = await site.listen({ hostname: "localhost" });
    assert.match((address as TcpAddress).hostname, /^(?:127\.0\.0\.1|::1)$/);
  });

  at("a port in use fails with EADDRINUSE", async (site) => {
    const port = portOf(await site.listen());
    assert.equal(await codeOf(() => site.listen({ port })), "EADDRINUSE");
  });

  at("an address that is not this machine's fails with EADDRNOTAVAIL", async (site) => {
    assert.equal(await codeOf(() => site.listen({ hostname: "192.0.2.1" })), "EADDRNOTAVAIL");
  });

  at("close frees the port at once and may be called again", async (site) => {
    const first = await site.listen();
    await roundTrip(await site.connect({ port: portOf(first) }), "first");
    first.close();
    first.close();
    const second = await site.listen({ port: portOf(first) });
    first.close();
    await roundTrip(await site.connect({ port: portOf(second) }), "second");
  });

  at("close leaves open connections alone and accepts no other", async (site) => {
    const listener = await site.listen();
    const port = portOf(listener);
    const client = await site.connect({ port });
    await roundTrip(client, "before");
    listener.close();
    await roundTrip(client, "after");
    assert.equal(await codeOf(() => connectRaw({ port })), "ECONNREFUSED");
    client.end();
    await client.closed(DEADLINE_MS);
    assert.equal(site.recorder.connections.length, 1);
  });

  at("ref and unref may be called at any time", async (site) => {
    const listener = await site.listen();
    listener.unref();
    listener.ref();
    await roundTrip(await site.connect({ port: portOf(listener) }), "hello");
    listener.close();
    listener.unref();
    listener.ref();
  });

  at("a connection knows both its addresses, and still when it is closed", async (site) => {
    const listener = await site.listen();
    const client = await site.connect({ port: portOf(listener) });
    await roundTrip(client, "hello");
    const expected: { remote: Address; local: Address } = {
      remote: { transport: "tcp", hostname: "127.0.0.1", port: client.localPort! },
      local: listener.address,
    };
    const [connection] = site.recorder.connections;
    client.end();
    await connection.until("close");
    assert.deepEqual(connection.addresses, expected);
  });

  at("an IPv4 peer of an IPv6 listener has an IPv4 address", async (site) => {
    const listener = await site.listen({ hostname: "::" });
    await roundTrip(await site.connect({ port: portOf(listener) }), "hello");
    const { remote, local } = site.recorder.connections[0].addresses;
    assert.deepEqual([(remote as TcpAddress).hostname, (local as TcpAddress).hostname], ["127.0.0.1", "127.0.0.1"]);
  });

  at("300 connections at once each get their own bytes", async (site) => {
    const port = portOf(await site.listen({ tcpBacklog: 511 }));
    const clients = await Promise.all(
      Array.from({ length: 300 }, () => site.connect({ port, deadlineMs: DEADLINE_MS })),
    );
    await Promise.all(clients.map((client, i) => roundTrip(client, `I am ${i}.`)));
    for (const client of clients) client.end();
    await Promise.all(clients.map((client) => client.closed(DEADLINE_MS)));
    const { connections } = site.recorder;
    await site.recorder.until(() => connections.every(({ isClosed }) => isClosed), "300 closes");
    assert.equal(connections.length, 300);
    assert.deepEqual(connections.filter(({ cause }) => cause !== undefined), []);
  });

  at("peers that reset before they are accepted are nobody's error and hold nobody up", async (site) => {
    const port = portOf(await site.listen());
    const resets = Array.from({ length: 60 }, () => {
      const socket = connect({ port, host: "127.0.0.1" });
      socket.on("error", () => {});
      socket.once("connect", () => socket.resetAndDestroy());
      return new Promise<void>((resolve) => socket.once("close", () => resolve()));
    });
    await Promise.all(resets);
    await roundTrip(await site.connect({ port }), "still here");
    assert.deepEqual(site.recorder.acceptErrors, []);
  });

  at("a small write is not held back until the peer has confirmed the one before", async (site) => {
    const writeTwice = (connection: RecordedConnection): void => {
      connection.write("a");
      setTimeout(() => connection.write("b"), 1);
    };
    site.recorder.hooks = { onData: writeTwice };
    const client = await site.connect({ port: portOf(await site.listen()) });
    // At first the system confirms everything at once; later it waits for 40 ms, which no trip is to take less than
    // if the second write is held back. Without that one of many is quick on any machine.
    let fastestMs = Infinity;
    for (let trip = 1; trip <= 25 || (trip <= 300 && fastestMs >= 30); trip++) {
      const beginMs = performance.now();
      client.send(".");
      await client.receiveUntil(2 * trip, DEADLINE_MS);
      if (trip > 25) fastestMs = Math.min(fastestMs, performance.now() - beginMs);
    }
    assert.ok(fastestMs < 30, `the fastest took ${fastestMs} ms`);
  });

  if (runtime.name === "node") {
    /** What `node:net` listens with at a port. */
    const findServer = (port: number): ServerOfNode => {
      const handles = (process as unknown as { _getActiveHandles(): unknown[] })._getActiveHandles();
      const servers = handles.filter((handle) => handle instanceof Server);
      return servers.find((server) => (server.address() as AddressInfo | null)?.port === port) as ServerOfNode;
    };

    at("a failure of the listening socket is told, and it goes on accepting", async (site) => {
      const port = portOf(await site.listen());
      const { _handle: handle } = findServer(port);
      handle.onconnection(-constants.errno.ENFILE);
      assert.deepEqual(site.recorder.acceptErrors.map((error) => (error as { code?: string }).code), ["ENFILE"]);
      await roundTrip(await site.connect({ port }), "hello");
    });

    at("a socket that the server is given by Node itself is served like one that was accepted", async (site) => {
      const server = findServer(portOf(await site.listen()));
      const options = { allowHalfOpen: true, pauseOnConnect: true };
      const other = createServer(options, (socket) => server.emit("connection", socket)).listen(0, "127.0.0.1");
      await once(other, "listening");
      const client = await site.connect({ port: (other.address() as AddressInfo).port });
      other.close();
      await roundTrip(client, "hello");
      client.end();
      const [connection] = site.recorder.connections;
      await connection.until("end");
    });
  }

  for (const [name, port] of [["of its choice", 0], ["given", 45_831]] as const) {
    at(`two listeners share a port ${name} with reusePort, or the runtime says that it can't`, async (site) => {
      let first: Listener;
      try {
        first = await site.listen({ reusePort: true, port });
      } catch (error) {
        assert.equal((error as { code?: string }).code, "ERR_REUSE_PORT_UNSUPPORTED");
        assert.match((error as Error).message, /can't share a port/);
        return;
      }
      const second = await site.listen({ reusePort: true, port: portOf(first) });
      assert.equal(portOf(second), portOf(first));
      await roundTrip(await site.connect({ port: portOf(first) }), "one of them");
    });
  }
});

describe(`Unix domain sockets on ${runtime.name}`, () => {
  at("a Unix domain socket serves, and its file is gone after close", async (site) => {
    const folder = mkdtempSync(join(tmpdir(), "trivet-"));
    try {
      const unixPath = join(folder, "socket");
      const listener = await site.listen({ unixPath });
      assert.deepEqual(listener.address, { transport: "unix", path: unixPath });
      const client = await site.connect({ unixPath });
      await roundTrip(client, "hello");
      const [connection] = site.recorder.connections;
      const expected = { remote: { transport: "unix", path: "" }, local: { transport: "unix", path: unixPath } };
      assert.deepEqual(connection.addresses, expected);
      assert.equal(await codeOf(() => site.listen({ unixPath })), "EADDRINUSE");
      listener.close();
      await roundTrip(client, "still here");
      client.end();
      await connection.until("close");
      assert.equal(existsSync(unixPath), false);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});

/** Runs with a folder that is gone afterwards. */
async function inFolder(run: (folder: string) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "trivet-"));
  try {
    await run(folder);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** The file of a Unix domain socket at which nothing listens, as a killed server leaves it. */
async function leaveSocket(path: string): Promise<void> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(`${path}-`, () => resolve()));
  renameSync(`${path}-`, path);
  await new Promise((resolve) => server.close(resolve));
}

describe(`the file of a Unix domain socket on ${runtime.name}`, () => {
  at("is replaced where a killed server has left it", (site) =>
    inFolder(async (folder) => {
      const unixPath = join(folder, "socket");
      await leaveSocket(unixPath);
      assert.ok(lstatSync(unixPath).isSocket());
      const listener = await site.listen({ unixPath });
      await roundTrip(await site.connect({ unixPath }), "hello");
      listener.close();
    }));

  at("stays where something listens, or where it is no socket", (site) =>
    inFolder(async (folder) => {
      const unixPath = join(folder, "socket");
      await site.listen({ unixPath });
      assert.equal(await codeOf(() => site.listen({ unixPath })), "EADDRINUSE");
      await roundTrip(await site.connect({ unixPath }), "hello");
      const file = join(folder, "file");
      writeFileSync(file, "precious");
      assert.equal(await codeOf(() => site.listen({ unixPath: file })), "EADDRINUSE");
      assert.equal(readFileSync(file, "utf8"), "precious");
    }));

  at("has the permissions that were asked for", (site) =>
    inFolder(async (folder) => {
      for (const unixMode of [0o600, 0o660, 0o666]) {
        const unixPath = join(folder, `socket-${unixMode}`);
        await site.listen({ unixPath, unixMode });
        assert.equal(lstatSync(unixPath).mode & 0o777, unixMode);
      }
    }));
});

describe(`closing when the queue is empty on ${runtime.name}`, () => {
  /** Keeps the event loop from accepting while clients connect, which the system does by itself. */
  async function connectUnnoticed(clients: number, where: { port: number; host: string } | { path: string }) {
    const arriving = Array.from({ length: clients }, (_, i) =>
      new Promise<string>((resolve) => {
        let received = "";
        const socket = connect(where, () => socket.write(`I am ${i}.`));
        socket.setEncoding("utf8").on("data", (text: string) => {
          received += text;
          socket.end();
        }).on("error", (error) => resolve(String(error))).on("close", () => resolve(received));
      }));
    await new Promise<void>((resolve) => setImmediate(resolve));
    return arriving;
  }

  for (const kind of ["tcp", "unix"] as const) {
    at(`opens every connection that was established before: ${kind}`, (site) =>
      inFolder(async (folder) => {
        const unixPath = join(folder, "socket");
        const listener = await site.listen(kind === "tcp" ? { tcpBacklog: 511 } : { unixPath });
        const where = kind === "tcp" ? { port: portOf(listener), host: "127.0.0.1" } : { path: unixPath };
        const clients = await connectUnnoticed(60, where);
        await listener.closeWhenEmpty();
        const answers = await Promise.all(clients);
        const refused = answers.filter((answer) => /ECONNREFUSED|ENOENT/.test(answer));
        const answered = answers.filter((answer, i) => answer === `I am ${i}.`);
        assert.equal(answered.length + refused.length, 60, answers.join(", "));
        assert.ok(answered.length > 0);
        assert.equal(site.recorder.connections.length, answered.length, "none of them is our own");
      }));
  }

  /** Closes listeners at one port, one behind another, while clients connect. Returns how those ended that were lost. */
  async function lostMeanwhile(site: Site, reusePort: boolean): Promise<readonly unknown[]> {
    const listener = await site.listen({ reusePort });
    const port = portOf(listener);
    const clients = new Worker(CLIENTS, { eval: true, workerData: { port } });
    const heard = () => new Promise<unknown>((resolve) => clients.once("message", resolve));
    try {
      await heard();
      await listener.closeWhenEmpty();
      for (let round = 0; round < 15; round++) {
        const next = await site.listen({ port, reusePort });
        await new Promise<void>((resolve) => setTimeout(resolve, 20));
        await next.closeWhenEmpty();
      }
      const lost = heard();
      clients.postMessage("stop");
      return await lost as readonly unknown[];
    } finally {
      await clients.terminate();
    }
  }

  /**
   * Node has no way to have the system answer no new client: of those that connect in the very instant of the close all
   * but one may be lost (docs/restarts.md). Closing at once loses some at each try.
   */
  const tries = runtime.name === "node" ? 3 : 1;
  at("loses nothing while others connect without pause", async (site) => {
    const lost: unknown[] = [];
    for (let left = tries; left > 0; left--) {
      const each = await lostMeanwhile(site, false);
      if (each.length === 0) return;
      lost.push(...each);
    }
    assert.deepEqual(lost, []);
  });

  const why = runtime.whyNotShared({ ...AT_ANY_PORT, reusePort: true });
  if (why === null && runtime.name === "node") {
    at("leaves the queue of a shared port one place, so that most who come meanwhile ask again", async (site) => {
      const listener = await site.listen({ reusePort: true, tcpBacklog: 511 });
      const closed = listener.closeWhenEmpty();
      const clients = await connectUnnoticed(60, { port: portOf(listener), host: "127.0.0.1" });
      await closed;
      const refused = (await Promise.all(clients)).filter((answer) => answer.includes("ECONNREFUSED"));
      assert.ok(refused.length >= 30, `${refused.length} of 60`);
    });
  } else if (why === null) {
    at("loses nothing at a shared port while others connect without pause", async (site) => {
      assert.deepEqual(await lostMeanwhile(site, true), []);
    });
  }

  at("does not silence another listener that has the port by now", async (site) => {
    const first = await site.listen();
    first.close();
    const second = await site.listen({ port: portOf(first) });
    await first.closeWhenEmpty();
    await roundTrip(await site.connect({ port: portOf(second) }), "hello");
  });

  at("frees the port, and may be called again and behind close", async (site) => {
    const listener = await site.listen();
    const port = portOf(listener);
    await Promise.all([listener.closeWhenEmpty(), listener.closeWhenEmpty()]);
    await listener.closeWhenEmpty();
    assert.equal(await codeOf(() => connectRaw({ port })), "ECONNREFUSED");
    const second = await site.listen({ port });
    second.close();
    await second.closeWhenEmpty();
    assert.deepEqual(site.recorder.acceptErrors, []);
  });

  at("leaves open connections alone", async (site) => {
    const listener = await site.listen();
    const client = await site.connect({ port: portOf(listener) });
    await roundTrip(client, "before");
    await listener.closeWhenEmpty();
    await roundTrip(client, "after");
  });
});

describe(`TLS on ${runtime.name}`, () => {
  at("a failed handshake is silent, and the next one works", async (site) => {
    const port = portOf(await site.listen({ tls: SERVER }));
    const plain = await site.connect({ port });
    plain.send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
    await plain.receiveAll(DEADLINE_MS).catch(() => assert.equal(plain.state, "closed"));
    const gone = await site.connect({ port });
    gone.reset();
    assert.notEqual(await codeOf(() => connectRaw({ port, tls: { ca: TEST_SERVER_CERT } })), "no error");
    await roundTrip(await site.connect({ port, tls: { ca: TEST_AUTHORITY } }), "hello");
    assert.equal(site.recorder.connections.filter(({ received }) => received !== "").length, 1);
    assert.deepEqual(site.recorder.acceptErrors, []);
  });

  at("a connection is secure when its handshake is done, not before", async (site) => {
    const port = portOf(await site.listen({ tls: SERVER }));
    const silent = await site.connect({ port });
    await roundTrip(await site.connect({ port, tls: { ca: TEST_AUTHORITY } }), "hello");
    assert.equal(site.recorder.connections.length, 1);
    assert.equal(silent.state, "open");
  });

  at("with ca a client needs a certificate", async (site) => {
    const port = portOf(await site.listen({ tls: { ...SERVER, ca: TEST_AUTHORITY } }));
    const known = { ca: TEST_AUTHORITY, cert: TEST_CLIENT_CERT, key: TEST_CLIENT_KEY };
    await roundTrip(await site.connect({ port, tls: known }), "hello");
    // With TLS 1.3 a client learns only after its own handshake that it was refused.
    const unknown = await connectRaw({ port, tls: { ca: TEST_AUTHORITY } }).catch(() => null);
    if (unknown !== null) {
      unknown.send("let me in");
      const received = await unknown.receiveAll(DEADLINE_MS).catch(() => unknown.received());
      assert.deepEqual([received, unknown.state === "open"], ["", false]);
    }
    assert.equal(site.recorder.connections.length, 1);
  });

  at("a certificate that is none fails when listening begins", async (site) => {
    const codes = [
      await codeOf(() => site.listen({ tls: { cert: "no certificate", key: TEST_SERVER_KEY } })),
      await codeOf(() => site.listen({ tls: { cert: TEST_SERVER_CERT, key: "no key" } })),
    ];
    assert.deepEqual(codes, ["ERR_TLS_MATERIAL", "ERR_TLS_MATERIAL"]);
  });
});
