/** A server from start to stop, over real sockets. */

import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import {
  type Address,
  type Handler,
  HttpResponse,
  serve,
  type ServeOptions,
  type TcpAddress,
  TrivetError,
} from "../../mod.ts";
import type { Server } from "../../src/api/server.ts";
import { get, okText } from "../fixtures/differential.ts";
import { connectRaw } from "../support/raw_client.ts";
import { createGate } from "../support/memory_server.ts";

const WHERE = { port: 0, hostname: "127.0.0.1", onListen: () => {} } as const;
const IMF_FIXDATE = /^Date: .*GMT\r$/m;
const hello: Handler = () => new HttpResponse("hello");

function start(handler: Handler = hello, options: ServeOptions = {}): Promise<Server> {
  return serve({ ...WHERE, ...options }, handler).ready();
}

/** Waits until the system refuses a connection to this port. */
async function isRefused(port: number): Promise<boolean> {
  return await new Promise((resolve) => {
    const socket = connect({ port, host: "127.0.0.1" });
    socket.once("connect", () => {
      socket.destroy();
      resolve(false);
    });
    socket.once("error", () => resolve(true));
  });
}

/** A server with one exchange in flight, whose response waits for a gate. */
async function startBusy(options: ServeOptions = {}) {
  const called = createGate<AbortSignal>();
  const answer = createGate();
  const server = await start(async ({ signal }) => {
    called.open(signal);
    await answer.opened;
    return new HttpResponse("hello");
  }, options);
  const client = await connectRaw({ port: server.port });
  client.send(get("/"));
  return { server, client, answer, signal: await called.opened };
}

describe("a server that starts", () => {
  test("tells its address, port and URL, and gives itself to who waits for it", async () => {
    const server = serve(WHERE, hello);
    assert.equal(await server.ready(), server);
    const { addr, port, url } = server;
    assert.deepEqual(addr, { transport: "tcp", hostname: "127.0.0.1", port });
    assert.ok(port > 0);
    assert.equal(url, `http://127.0.0.1:${port}/`);
    assert.equal(server.stats().state, "listening");
    await server.shutdown();
  });

  test("calls onListen with the address, once", async () => {
    const told: Address[] = [];
    const server = await start(hello, { onListen: (address) => told.push(address) });
    assert.deepEqual(told, [server.addr]);
    await server.shutdown();
    assert.equal(told.length, 1);
  });

  for (const hostname of ["::1", "[::1]"]) {
    test(`has an address on the loop-back interface of IPv6, in brackets, also where it was asked for as ${hostname}`, async () => {
      const server = await start(hello, { hostname }).catch((error: TrivetError) => error);
      // A machine need not have IPv6.
      if (server instanceof TrivetError) return assert.equal(server.code, "listen-failed");
      assert.equal(server.url, `http://[::1]:${server.port}/`);
      assert.equal((server.addr as TcpAddress).hostname, "::1");
      assert.equal(await (await fetch(server.url)).text(), "hello");
      server.stop();
    });
  }

  test("at every interface has a URL under which this machine reaches it", async () => {
    const server = await start(hello, { hostname: "0.0.0.0" });
    assert.equal(server.url, `http://localhost:${server.port}/`);
    await server.shutdown();
  });

  test("knows no address before it listens, or knows it at once", async () => {
    const server = serve(WHERE, hello);
    try {
      assert.ok(server.port > 0);
    } catch (error) {
      assert.equal((error as TrivetError).code, "not-listening");
    }
    await (await server.ready()).shutdown();
  });
});

describe("a port that is taken", () => {
  test("rejects ready() and finished with listen-failed, which has the runtime's error as its cause", async () => {
    const first = await start();
    const second = serve({ ...WHERE, port: first.port }, hello);
    const finished = second.finished.catch((error) => error);
    await assert.rejects(second.ready(), (error) => {
      assert.ok(error instanceof TrivetError);
      assert.equal(error.code, "listen-failed");
      assert.equal(error.blame, "transport");
      assert.ok(error.message.startsWith(`Can't listen at 127.0.0.1:${first.port}: `), error.message);
      assert.equal((error.cause as { code?: string }).code, "EADDRINUSE");
      return true;
    });
    assert.equal((await finished).code, "listen-failed");
    assert.equal(second.stats().state, "stopped");
    await first.shutdown();
  });

  test("leaves a server that can be shut down all the same", async () => {
    const first = await start();
    const second = serve({ ...WHERE, port: first.port }, hello);
    await assert.rejects(second.ready());
    await assert.rejects(second.shutdown(), (error) => (error as TrivetError).code === "listen-failed");
    await first.shutdown();
  });
});

describe("the end of a scope", () => {
  test("of a server that could not start hides no error: ready() has told it", async () => {
    const first = await start();
    const second = serve({ ...WHERE, port: first.port }, hello);
    await assert.rejects(second.ready(), { code: "listen-failed" });
    await second[Symbol.asyncDispose]();
    await first.shutdown();
  });
});

describe("a graceful stop", () => {
  test("finishes the exchange in flight, says that the connection closes, and reports", async () => {
    const { server, client, answer } = await startBusy();
    const beganMs = performance.now();
    const stopping = server.shutdown({ timeout: 60_000 });
    assert.equal(server.stats().state, "draining");
    answer.open();
    const received = (await client.receiveAll()).replace(IMF_FIXDATE, "Date: <date>\r");
    assert.equal(received, okText("hello", "Connection: close"));
    client.end();
    const report = await stopping;
    assert.deepEqual([report.drained, report.aborted], [1, 0]);
    const tookMs = performance.now() - beganMs;
    assert.ok(report.durationMs >= 0 && report.durationMs <= tookMs + 1, `${report.durationMs} of ${tookMs} ms`);
    assert.equal(server.stats().state, "stopped");
    await server.finished;
  });

  test("frees the port while an exchange is in flight", async () => {
    const { server, client, answer } = await startBusy();
    const { port } = server;
    const stopping = server.shutdown();
    // What comes while the queue is being emptied is still accepted.
    const deadlineMs = performance.now() + 20_000;
    while (!await isRefused(port)) assert.ok(performance.now() < deadlineMs, "the port is still open");
    answer.open();
    await client.receiveAll();
    client.end();
    await stopping;
  });

  test("closes idle connections, new and used ones, if it is told to", async () => {
    const server = await start();
    const [unused, used] = await Promise.all([connectRaw({ port: server.port }), connectRaw({ port: server.port })]);
    used.send(get("/"));
    await used.receiveUntil((received) => received.endsWith("hello"));
    const stopping = server.shutdown({ closeIdle: true });
    await Promise.all([unused.receiveAll(), used.receiveAll()]);
    unused.end();
    used.end();
    const { aborted } = await stopping;
    assert.equal(aborted, 0);
  });

  test("does not wait for its deadline where a client keeps its side open", async () => {
    const server = await start();
    const client = await connectRaw({ port: server.port });
    client.send(get("/"));
    await client.receiveUntil((received) => received.endsWith("hello"));
    const { durationMs } = await server.shutdown({ closeIdle: true, timeout: 60_000 });
    assert.ok(durationMs < 30_000, `${durationMs} ms`);
    client.destroy();
  });

  test("cuts off at its deadline what is left, and the handler hears of it", async () => {
    const { server, client, signal } = await startBusy();
    const report = await server.shutdown({ timeout: 50 });
    assert.deepEqual([report.drained, report.aborted], [0, 1]);
    assert.ok(report.durationMs >= 45, `${report.durationMs} ms`);
    assert.equal(signal.aborted, true);
    assert.equal(signal.reason.code, "shutdown-timeout");
    // The end may be a FIN or a reset.
    await client.receiveAll().catch(() => {});
    assert.equal(client.received(), "");
    client.destroy();
  });

  test("with a timeout of 0 cuts off at once", async () => {
    const { server, client } = await startBusy();
    assert.equal((await server.shutdown({ timeout: 0 })).aborted, 1);
    client.destroy();
  });

  test("answers requests on open connections", async () => {
    const { server, client, answer } = await startBusy();
    const other = await connectRaw({ port: server.port });
    other.send("GET / HT");
    await until(() => server.stats().bytesReceived > get("/").length);
    const stopping = server.shutdown();
    other.send("TP/1.1\r\nHost: a.test\r\n\r\n");
    answer.open();
    assert.match(await other.receiveAll(), /^HTTP\/1\.1 200 OK\r\n.*\r\nConnection: close\r\n/s);
    await client.receiveAll();
    client.end();
    other.end();
    assert.equal((await stopping).aborted, 0);
  });

  test("that is asked for twice is one stop with one report, and the earlier deadline counts", async () => {
    const { server, client } = await startBusy();
    const first = server.shutdown({ timeout: 60_000 });
    const second = server.shutdown({ timeout: 10 });
    const third = server.shutdown({ timeout: 60_000 });
    assert.deepEqual(await first, await second);
    assert.deepEqual(await first, await third);
    assert.deepEqual(await first, await server.shutdown());
    client.destroy();
  });

  test("gives way to stop()", async () => {
    const { server, client } = await startBusy();
    const stopping = server.shutdown({ timeout: 60_000 });
    const stopped = await server.stop();
    assert.equal(stopped.aborted, 1);
    assert.deepEqual(await stopping, stopped);
    client.destroy();
  });

  test("is what asyncDispose does, and so the end of `await using`", async () => {
    const server = await start();
    assert.equal(await (await fetch(server.url)).text(), "hello");
    await server[Symbol.asyncDispose]();
    assert.equal(server.stats().state, "stopped");
  });

  test("follows from the AbortSignal that was given", async () => {
    const controller = new AbortController();
    const server = await start(hello, { signal: controller.signal });
    controller.abort();
    await server.finished;
    assert.equal(server.stats().state, "stopped");
  });

  test("follows at once from a signal that was aborted before", async () => {
    const server = serve({ ...WHERE, signal: AbortSignal.abort() }, hello);
    await server.finished;
    assert.equal(server.stats().state, "stopped");
  });

  test("before the port is bound leaves nothing behind", async () => {
    const server = serve(WHERE, hello);
    const report = await server.shutdown();
    assert.deepEqual([report.drained, report.aborted], [0, 0]);
    assert.equal(await isRefused((await server.ready()).port), true);
  });
});

describe("stop()", () => {
  test("cuts off exchanges in flight, whose handlers hear of it", async () => {
    const { server, client, signal } = await startBusy();
    const report = await server.stop();
    assert.deepEqual([report.drained, report.aborted], [0, 1]);
    assert.equal(signal.aborted, true);
    client.destroy();
  });

  test("of an idle server reports nothing", async () => {
    const report = await (await start()).stop();
    assert.deepEqual([report.drained, report.aborted], [0, 0]);
  });
});

describe("a Unix domain socket", () => {
  test("is served like a port, and its peers have no address", async () => {
    const folder = await mkdtemp(join(tmpdir(), "trivet-"));
    const path = join(folder, "socket");
    const server = await start((_request, info) => HttpResponse.json([info.remoteAddr, info.localAddr.transport]), {
      unix: path,
      port: undefined,
      hostname: undefined,
    });
    assert.deepEqual(server.addr, { transport: "unix", path });
    assert.equal(server.port, 0);
    assert.equal(server.url, `http+unix://${encodeURIComponent(path)}/`);
    const client = await connectRaw({ unixPath: path });
    client.send(get("/", "Connection: close"));
    assert.match(await client.receiveAll(), /\[\{"transport":"unix","path":""\},"unix"\]$/);
    client.end();
    const { aborted } = await server.shutdown();
    assert.equal(aborted, 0);
    await rm(folder, { recursive: true });
  });
});

/** Waits for later turns of the event loop until a condition holds. */
async function until(holds: () => boolean): Promise<void> {
  const deadline = Date.now() + 20_000;
  while (!holds()) {
    assert.ok(Date.now() < deadline, "the condition did not hold in time");
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}
