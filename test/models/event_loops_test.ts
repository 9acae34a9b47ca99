/** The model "event-driven" with a module: on this loop, and with `loops` on others that have a listener of their own. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { TrivetError } from "../../src/api/errors.ts";
import type { Handler } from "../../src/api/handler.ts";
import type { ServeOptions } from "../../src/api/options.ts";
import type { Warning } from "../../src/api/warnings.ts";
import type { MemoryPeer } from "../support/memory_runtime.ts";
import { createGate, get, okText, post, statuses, text } from "../support/memory_server.ts";
import { latin1 } from "../support/parse_requests.ts";
import {
  createThreadServer,
  startThreadServer,
  type ThreadServer,
  type ThreadServerSetup,
} from "../support/thread_server.ts";
import { frame, parseServerFrames } from "../support/websocket_frames.ts";

const boom = new Error("boom");
const path: Handler = (request) => text(new URL(request.url).pathname);
const never: Handler = () => new Promise(() => {});
const CLOSE = "Connection: close";
/** What other loops count is told every tenth of a second. */
const COUNTS_INTERVAL_MS = 100;

const UPGRADE = get(
  "/",
  "Connection: Upgrade",
  "Upgrade: websocket",
  "Sec-WebSocket-Version: 13",
  "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
);

/** The texts that have come to a WebSocket. */
function messagesTo(peer: MemoryPeer): string[] {
  const [head] = peer.received().split("\r\n\r\n", 1);
  const texts = parseServerFrames(latin1(peer.received().slice(head.length + 4))).filter(({ opcode }) => opcode === 1);
  return texts.map(({ payload }) => new TextDecoder().decode(payload));
}

/** Starts a server with three loops: this thread's, and those of the threads 1 and 2. */
function start(handler: Handler, options: ServeOptions = {}, setup?: ThreadServerSetup): Promise<ThreadServer> {
  return startThreadServer((request, _place, info) => handler(request, info), { loops: 3, ...options }, setup);
}

/** A connection to each of the three loops, with a request on it. */
async function sendToAll({ connect, connectTo, clock }: ThreadServer, input: string): Promise<MemoryPeer[]> {
  const peers = [connect(), connectTo(1), connectTo(2)];
  for (const peer of peers) peer.send(input);
  await clock.settle();
  return peers;
}

describe("several event loops", () => {
  test("are all ready when the server is, each with a listener of its own", async () => {
    const started = await start(path);
    assert.equal(started.server.stats().loops, 3);
    assert.equal(started.threads.length, 2);
    const peers = await sendToAll(started, get("/a"));
    assert.deepEqual(peers.map((peer) => peer.received()), Array(3).fill(okText("/a")));
    assert.deepEqual(started.threads.map((thread) => thread.isReferenced), [false, false]);
  });

  test("have one sum of what they count", async () => {
    const started = await start((request) => {
      if (request.url.endsWith("/fail")) throw new Error("secret");
      return text("hello");
    });
    await sendToAll(started, get("/a"));
    await sendToAll(started, get("/fail"));
    await started.clock.advance(COUNTS_INTERVAL_MS);
    const { connections, requests, responses, activeExchanges, errors } = started.server.stats();
    assert.deepEqual(connections, { open: 6, accepted: 6, refused: 0 });
    assert.deepEqual([requests, responses, activeExchanges], [6, 6, 0]);
    assert.deepEqual(errors, { "handler-failed": 3 });
  });

  test("tell errors of handlers to the one onError, and send what it gives", async () => {
    const told: [string, string | undefined, string][] = [];
    const started = await start(() => Promise.reject(new RangeError("secret")), {
      onError(error, request) {
        told.push([error.code, request?.headers.get("x") ?? undefined, String(error.cause)]);
        return text(`${error.code} ${request?.method}`);
      },
    });
    const peers = await sendToAll(started, get("/", "X: y"));
    await started.until(() => peers.every((peer) => peer.received() !== ""));
    assert.deepEqual(peers.map((peer) => peer.received()), Array(3).fill(okText("handler-failed GET")));
    assert.deepEqual(told, Array(3).fill(["handler-failed", "y", "RangeError: secret"]));
  });

  test("send the standard response when onError gives none", async () => {
    const started = await start(() => Promise.reject(new Error("secret")));
    const peers = await sendToAll(started, get());
    await started.until(() => peers.every((peer) => peer.received() !== ""));
    assert.deepEqual(peers.map((peer) => statuses(peer.received())), [[500], [500], [500]]);
    assert.deepEqual(started.reported.map(({ code }) => code), Array(3).fill("handler-failed"));
  });

  test("have the same limits and the same health check", async () => {
    const started = await start(path, { maxRequestBodySize: 10, healthPath: "/health", maxConnections: 1 });
    const peers = await sendToAll(started, post("/", 11));
    assert.deepEqual(peers.map((peer) => statuses(peer.received())), [[413], [413], [413]]);
    for (const peer of peers) peer.reset();
    await started.clock.settle();
    const checks = await sendToAll(started, get("/health"));
    assert.ok(checks.every((peer) => peer.received().endsWith("\r\n\r\nok\n")));
    const beyond = await sendToAll(started, get());
    assert.deepEqual(beyond.map((peer) => statuses(peer.received())), [[503], [503], [503]]);
  });

  test("tell each other what is published, each once, and not the one that has published it", async () => {
    const started = await start((_request, info) => {
      const { response, socket } = info.upgradeWebSocket();
      socket.onopen = () => socket.subscribe("room");
      socket.onmessage = ({ data }) => socket.publish("room", data);
      return response;
    });
    const peers = await sendToAll(started, UPGRADE);
    started.server.publish("room", "from the server");
    await started.clock.settle();
    for (const [place, peer] of peers.entries()) {
      peer.send(frame({ opcode: 1, payload: `from ${place}` }));
      await started.clock.settle();
    }
    assert.deepEqual(peers.map(messagesTo), [
      ["from the server", "from 1", "from 2"],
      ["from the server", "from 0", "from 2"],
      ["from the server", "from 0", "from 1"],
    ]);
    const report = started.server.shutdown({ delay: 1_000 });
    await started.clock.settle();
    peers[1].send(frame({ opcode: 1, payload: "while they drain" }));
    await started.clock.settle();
    assert.deepEqual(peers.map((peer) => messagesTo(peer).at(-1)), ["while they drain", "from 2", "while they drain"]);
    for (const peer of peers) peer.end();
    await started.clock.advance(1_000);
    await started.until(() => started.server.stats().state === "stopped");
    await report;
  });

  test("are one where the port can't be shared, and a warning says why", async () => {
    const warnings: Warning[] = [];
    const options: ServeOptions = { onWarning: (warning) => warnings.push(warning) };
    const started = await start(path, options, { whyNotShared: "the system has no SO_REUSEPORT" });
    assert.deepEqual(warnings, [{
      code: "loops-unavailable",
      message: "Running one event loop instead of 3: the system has no SO_REUSEPORT.",
    }]);
    assert.deepEqual([started.server.stats().loops, started.threads.length], [1, 0]);
    assert.deepEqual(started.listenedWith.map(({ reusePort }) => reusePort), [false], "it can't be asked for");
    assert.equal((await started.send(get("/a"))).received(), okText("/a"));
  });

  test("share the port", async () => {
    const started = await start(path);
    assert.deepEqual(started.listenedWith.map(({ reusePort }) => reusePort), [false, true], "if it is free");
  });

  test("share the port with others where that is asked for, and do not look whether it is free", async () => {
    const started = await start(path, { reusePort: true });
    assert.deepEqual(started.listenedWith.map(({ reusePort }) => reusePort), [true]);
  });

  test("have as many listeners there, which close together", async () => {
    const started = await start(path);
    assert.deepEqual(started.listenedWith.at(-1)?.listeners, 3);
  });

  test("share a port that the system chooses, which is free", async () => {
    const started = await start(path, { port: 0 });
    assert.deepEqual(started.listenedWith.map(({ reusePort }) => reusePort), [true]);
  });

  test("are one unless asked for: then a module is loaded here", async () => {
    const started = await start(path, { loops: 1 });
    assert.deepEqual([started.server.stats().loops, started.threads.length], [1, 0]);
    assert.equal((await started.send(get("/a"))).received(), okText("/a"));
  });
});

describe("the start of several event loops", () => {
  /** Starts a server that can't start; gives it with the error. */
  async function failToStart(setup: ThreadServerSetup): Promise<[ThreadServer, TrivetError]> {
    const started = createThreadServer(() => text("hello"), { loops: 3 }, setup);
    let failure: unknown;
    started.server.ready().catch((error) => failure = error);
    await started.until(() => failure !== undefined);
    assert.ok(failure instanceof TrivetError);
    return [started, failure];
  }

  function assertNothingIsLeft({ alive, clock, server, runtime }: ThreadServer): void {
    assert.deepEqual([alive(), clock.pendingCount, server.stats().state], [[], 0, "stopped"]);
    assert.throws(() => runtime.connect(), /There is no listener/);
  }

  const rows: { name: string; setup: ThreadServerSetup; code: string; message: RegExp }[] = [
    {
      name: "a loop does not find the module",
      setup: { lacksModule: (number) => number === 2 },
      code: "module-invalid",
      message: /^The module ".*\/handler_module\.[jt]s" does not exist\.$/,
    },
    {
      name: "a loop can't listen",
      setup: { cannotListen: (number) => number === 2 },
      code: "listen-failed",
      message: /^Can't listen at port 8000: The port is taken\.$/,
    },
    {
      name: "a thread crashes while it loads the module",
      setup: { begin: (number, thread) => number === 2 ? thread.crash(boom) : undefined },
      code: "module-invalid",
      message: /thread has ended/,
    },
    {
      name: "the runtime starts no thread",
      setup: { isNotStarted: (number) => number === 2 },
      code: "module-invalid",
      message: /thread could be started/,
    },
  ];
  for (const { name, setup, code, message } of rows) {
    test(`fails when ${name}, and nothing is left`, async () => {
      const [started, error] = await failToStart(setup);
      assert.equal(error.code, code);
      assert.match(error.message, message);
      assertNothingIsLeft(started);
      await assert.rejects(started.server.finished, (thrown) => thrown === error);
    });
  }

  test("fails when a loop can't listen, and ends another that says nothing after a second", async () => {
    const started = createThreadServer(() => text("hello"), { loops: 3 }, {
      cannotListen: (number) => number === 2,
      listens: () => started.threads[0].freeze(),
    });
    let failure: TrivetError | null = null;
    started.server.ready().catch((error) => failure = error);
    await started.until(() => started.server.stats().state !== "starting");
    await started.clock.advance(999);
    assert.equal(failure, null, "a thread is left");
    await started.clock.advance(1);
    assert.equal((failure as TrivetError | null)?.code, "listen-failed");
    assertNothingIsLeft(started);
  });

  test("fails when a loop can't listen, and cuts off who has connected to another meanwhile", async () => {
    const early: MemoryPeer[] = [];
    const started = createThreadServer(() => text("hello"), { loops: 2 }, {
      cannotListen: () => true,
      listens: () => early.push(started.connect()),
    });
    let failure: TrivetError | null = null;
    started.server.ready().catch((error) => failure = error);
    await started.until(() => failure !== null);
    await started.clock.settle();
    // One came when it was looked whether the port is free.
    assert.deepEqual(early.map(({ serverSide }) => serverSide), ["closed", "closed"]);
    assertNothingIsLeft(started);
  });

  test("is given up by stop", async () => {
    const started = createThreadServer(() => text("hello"), { loops: 3 }, {
      begin: (number) => number === 2 ? new Promise(() => {}) : undefined,
    });
    await started.until(() => started.threads.length === 2);
    await started.clock.settle();
    const report = started.server.stop();
    await started.until(() => started.server.stats().state === "stopped");
    assert.deepEqual(await report, { drained: 0, aborted: 0, durationMs: 0 });
    assertNothingIsLeft(started);
  });

  test("is given up by stop when the port is bound, and not every loop listens yet", async () => {
    const started = createThreadServer(() => text("hello"), { loops: 3 }, {
      listens: () => started.threads[1].freeze(),
    });
    await started.until(() => started.listenedWith.some(({ reusePort }) => reusePort));
    await started.clock.settle();
    assert.equal(started.server.stats().state, "starting");
    const report = started.server.stop();
    assert.equal(started.server.stats().state, "draining");
    started.threads[1].thaw();
    await started.until(() => started.server.stats().state === "stopped");
    assert.equal((await report).aborted, 0);
    assertNothingIsLeft(started);
  });
});

describe("a lost event loop", () => {
  test("is started again after a second, and what it has counted stays counted", async () => {
    const started = await start(path);
    const { server, threads, clock, until, connectTo } = started;
    const peers = await sendToAll(started, get("/a"));
    await clock.advance(COUNTS_INTERVAL_MS);
    threads[0].crash(boom);
    await clock.settle();
    assert.equal(server.stats().loops, 2);
    assert.equal(server.stats().requests, 3);
    assert.equal(server.stats().connections.open, 2);
    assert.deepEqual(started.warned, ["thread-replaced"]);
    assert.deepEqual(started.reported.map(({ code, cause }) => [code, (cause as Error).message]), [
      ["thread-crashed", "boom"],
    ]);
    await clock.advance(999);
    assert.equal(threads.length, 2);
    await clock.advance(1);
    await until(() => server.stats().loops === 3);
    const peer = connectTo(3);
    peer.send(get("/b"));
    await clock.settle();
    assert.equal(peer.received(), okText("/b").replace("00:00:00 GMT", "00:00:01 GMT"));
    assert.equal(peers[1].received(), okText("/a"));
    await clock.advance(COUNTS_INTERVAL_MS);
    assert.equal(server.stats().requests, 4);
  });

  test("is tried to be started again each second, and not in silence", async () => {
    const told: string[] = [];
    const onWarning = ({ code, message }: Warning): void => void told.push(`${code}: ${message}`);
    const started = await start(path, { onWarning }, { lacksModule: (number) => number > 2 && number < 6 });
    const { server, threads, clock, until, startedAtMs } = started;
    threads[1].crash(boom);
    for (let second = 1; second <= 4; second++) {
      await clock.advance(1_000);
      await until(() => startedAtMs.length === 2 + second);
      await clock.settle();
      await clock.settle();
    }
    await until(() => server.stats().loops === 3);
    assert.deepEqual(startedAtMs.slice(2), [1_000, 2_000, 3_000, 4_000]);
    assert.equal(told.length, 2, "each at most once in ten seconds");
    assert.match(told[1], /^thread-not-started: No thread can be started .*: The module ".*" does not exist\.$/);
    const report = server.shutdown();
    await until(() => server.stats().state === "stopped");
    await report;
    assert.equal(clock.pendingCount, 0);
  });

  test("takes what was active there with it, and who waits for its certificates waits no longer", async () => {
    const reloads = createGate<boolean>();
    let asked = 0;
    const started = await startThreadServer(() => new Promise(() => {}), {
      loops: 2,
      tls: { cert: "certificate", key: "key" },
    }, { reloadTls: () => asked++ === 0 ? Promise.resolve(true) : reloads.opened });
    const { server, threads, clock } = started;
    let isReloaded = false;
    server.reloadTls().then((hasChanged) => isReloaded = hasChanged);
    await clock.settle();
    assert.deepEqual([asked, isReloaded], [2, false]);
    threads[0].crash(boom);
    await clock.settle();
    assert.equal(isReloaded, true);
  });

  test("gets no answer of onError that is in its place, where errors have the same numbers", async () => {
    const answers = [createGate<Response>(), createGate<Response>()];
    let asked = 0;
    const fails = (): never => {
      throw new Error("secret");
    };
    const started = await start(fails, { loops: 2, onError: (_error, request) => request && answers[asked++].opened });
    const { server, threads, clock, until, connectTo } = started;
    connectTo(1).send(get());
    await until(() => asked === 1);
    threads[0].crash(boom);
    await clock.advance(1_000);
    await until(() => server.stats().loops === 2);
    const peer = connectTo(2);
    peer.send(get());
    await until(() => asked === 2);
    answers[0].open(text("of the client before"));
    await clock.settle();
    assert.equal(peer.received(), "");
    answers[1].open(text("its own"));
    await until(() => peer.received() !== "");
    assert.equal(peer.received().split("\r\n\r\n")[1], "its own");
  });

  test("has no active exchanges any more", async () => {
    const { server, threads, clock, connectTo } = await start(() => new Promise(() => {}));
    connectTo(1).send(get());
    await clock.advance(COUNTS_INTERVAL_MS);
    assert.equal(server.stats().activeExchanges, 1);
    threads[0].crash(boom);
    await clock.settle();
    assert.equal(server.stats().activeExchanges, 0);
  });

  test("that was stopping leaves no connection in the counts, and what was active is reported as cut off", async () => {
    const { server, threads, clock, until, connectTo } = await start(() => new Promise(() => {}));
    connectTo(1).send(get());
    const idle = connectTo(2);
    await clock.advance(COUNTS_INTERVAL_MS);
    const report = server.shutdown({ closeIdle: true });
    await clock.settle();
    idle.end();
    threads[0].crash(boom);
    await until(() => server.stats().state === "stopped");
    assert.deepEqual(await report, { drained: 1, aborted: 1, durationMs: 0 });
    const { connections, activeExchanges } = server.stats();
    assert.deepEqual([connections, activeExchanges], [{ open: 0, accepted: 2, refused: 0 }, 0]);
  });

  test("is not started again by a server that stops", async () => {
    const { server, threads, clock, until, alive } = await start(path);
    threads[0].crash(boom);
    await clock.settle();
    const report = server.shutdown();
    await until(() => server.stats().state === "stopped");
    assert.deepEqual(await report, { drained: 0, aborted: 0, durationMs: 0 });
    assert.deepEqual([alive(), clock.pendingCount, threads.length], [[], 0, 2]);
  });
});

describe("a graceful stop of several event loops", () => {
  test("drains each of them, adds up their reports, ends the threads, and leaves nothing behind", async () => {
    const gate = createGate();
    const started = await start(async () => {
      await gate.opened;
      return text("hello");
    });
    const { server, clock, until, alive } = started;
    const idle = [started.connectTo(1), started.connectTo(2)];
    const peers = await sendToAll(started, get());
    const report = server.shutdown({ closeIdle: true });
    await clock.settle();
    assert.deepEqual(idle.map((peer) => peer.serverSide), ["ended", "ended"]);
    assert.throws(() => started.connectTo(1), /There is no listener/);
    assert.equal(server.stats().draining, true);
    gate.open();
    await clock.settle();
    assert.deepEqual(peers.map((peer) => peer.received()), Array(3).fill(okText("hello", CLOSE)));
    for (const peer of [...idle, ...peers]) peer.end();
    await until(() => server.stats().state === "stopped");
    assert.deepEqual(await report, { drained: 5, aborted: 0, durationMs: 0 });
    assert.deepEqual([alive(), clock.pendingCount, server.stats().loops], [[], 0, 1]);
    await server.finished;
  });

  test("is announced on each of them for a while, and a later call may end that sooner", async () => {
    const started = await start(path, { healthPath: "/health", drainDelay: 5_000 });
    const { server, clock, until } = started;
    const idle = await sendToAll(started, get("/a"));
    const report = server.shutdown();
    await clock.advance(1_000);
    const checks = await sendToAll(started, get("/health"));
    assert.deepEqual(checks.map((peer) => statuses(peer.received())), [[503], [503], [503]]);
    const late = await sendToAll(started, get("/b"));
    for (const peer of late) assert.match(peer.received(), /\r\nConnection: close\r\n[^]*\/b$/);
    server.shutdown({ delay: 1_000 });
    await clock.advance(1_000);
    await clock.settle();
    assert.throws(() => started.connectTo(1), /There is no listener/);
    for (const peer of idle) peer.send(get("/c"));
    await clock.settle();
    for (const peer of idle) assert.match(peer.received(), /\/a[^]*\r\nConnection: close\r\n[^]*\/c$/);
    for (const peer of [...checks, ...late, ...idle]) peer.end();
    await until(() => server.stats().state === "stopped");
    assert.deepEqual(await report, { drained: 9, aborted: 0, durationMs: 2_000 });
  });

  test("closes idle connections everywhere when a later call asks for that", async () => {
    const started = await start(path);
    const { server, clock, until } = started;
    const idle = await sendToAll(started, get());
    const report = server.shutdown();
    await clock.settle();
    assert.deepEqual(idle.map((peer) => peer.serverSide), ["open", "open", "open"]);
    server.shutdown({ closeIdle: true });
    await clock.settle();
    assert.deepEqual(idle.map((peer) => peer.serverSide), ["ended", "ended", "ended"]);
    for (const peer of idle) peer.end();
    await until(() => server.stats().state === "stopped");
    assert.deepEqual(await report, { drained: 3, aborted: 0, durationMs: 0 });
  });

  test("cuts off everywhere at its deadline what is left", async () => {
    const started = await start(never);
    const peers = await sendToAll(started, get());
    const report = started.server.shutdown({ timeout: 3_000 });
    await started.clock.advance(2_999);
    assert.deepEqual(peers.map((peer) => peer.serverSide), ["open", "open", "open"]);
    await started.clock.advance(1);
    await started.until(() => started.server.stats().state === "stopped");
    assert.deepEqual(peers.map((peer) => peer.serverSide), ["closed", "closed", "closed"]);
    assert.deepEqual(await report, { drained: 0, aborted: 3, durationMs: 3_000 });
    assert.deepEqual([started.alive(), started.clock.pendingCount], [[], 0]);
  });

  test("terminates a loop that stands still a second after its deadline", async () => {
    const { server, threads, clock, until, alive } = await start(path);
    threads[0].freeze();
    const report = server.shutdown({ timeout: 2_000 });
    await clock.advance(2_999);
    assert.deepEqual([alive(), server.stats().state], [[1], "draining"]);
    await clock.advance(1);
    await until(() => server.stats().state === "stopped");
    assert.equal((await report).durationMs, 3_000);
    assert.deepEqual([alive(), clock.pendingCount], [[], 0]);
  });

  test("twice is harmless, and stop works during it", async () => {
    const started = await start(never);
    await sendToAll(started, get());
    const { server, until, clock } = started;
    const reports = [server.shutdown(), server.shutdown(), server.stop(), server.stop()];
    await until(() => server.stats().state === "stopped");
    const [first, ...others] = await Promise.all(reports);
    assert.deepEqual(first, { drained: 0, aborted: 3, durationMs: 0 });
    for (const other of others) assert.deepEqual(other, first);
    assert.equal(clock.pendingCount, 0);
  });
});

describe("a loop that ends while another one is still loading", () => {
  /** Two loops: one is ready and then crashes, the other one loads for as long as the test likes. */
  async function crashEarly() {
    const second = createGate();
    const started = createThreadServer(() => text("hello"), { loops: 3 }, {
      begin: (number) => number === 2 ? second.opened : undefined,
    });
    let outcome = "pending";
    started.server.ready().then(() => outcome = "ready", (error: TrivetError) => outcome = error.code);
    await started.until(() => started.threads.length === 2);
    for (let turn = 0; turn < 100; turn++) await started.clock.settle();
    await started.clock.advance(30);
    started.threads[0].crash(boom);
    await started.clock.settle();
    return { ...started, second, outcomeOf: () => outcome };
  }

  test("lets the start fail, as soon as the other one is loaded, and nothing is left", async () => {
    const { second, until, outcomeOf, alive, clock, server, listenedWith } = await crashEarly();
    second.open();
    await until(() => outcomeOf() !== "pending");
    assert.equal(outcomeOf(), "thread-crashed");
    assert.deepEqual(listenedWith, [], "no connection is taken meanwhile");
    assert.deepEqual([alive(), clock.pendingCount, server.stats().state], [[], 0, "stopped"]);
  });

  test("lets a stop settle at once, and the start with it", async () => {
    const { until, outcomeOf, alive, clock, server } = await crashEarly();
    const report = server.stop();
    await until(() => server.stats().state === "stopped");
    assert.deepEqual(await report, { drained: 0, aborted: 0, durationMs: 0 });
    await until(() => outcomeOf() === "ready");
    assert.deepEqual([alive(), clock.pendingCount], [[], 0]);
  });
});
