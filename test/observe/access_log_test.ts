/** The access log of a server: what it is told, when, and where that goes. In memory, on virtual time. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { AccessLog, AccessLogEntry } from "../../src/api/access_log.ts";
import type { Handler } from "../../src/api/handler.ts";
import type { ServeOptions } from "../../src/api/options.ts";
import type { LineSink, ParentThread } from "../../src/runtime.ts";
import { LoopHost } from "../../src/entry/loop_host.ts";
import type { FromLoop } from "../../src/models/loops/loop_protocol.ts";
import { HANDLER_MODULE_URL, setHandler } from "../support/handler_module.ts";
import { createMemoryRuntime } from "../support/memory_runtime.ts";
import { createGate, createMemoryServer, get, post, startMemoryServer, text } from "../support/memory_server.ts";
import { startThreadServer } from "../support/thread_server.ts";
import { VIRTUAL_EPOCH_MS } from "../support/virtual_clock.ts";

const hello: Handler = () => text("hello");

/** What stands in the log behind the time. */
const COMMON_HELLO = '10.0.0.2 - - [01/Jan/2026:00:00:00 +0000] "GET /a?b HTTP/1.1" 200 5';

/** A server that logs into a list. */
async function startLogging(handler: Handler, options: ServeOptions = {}) {
  const entries: AccessLogEntry[] = [];
  const started = await startMemoryServer(handler, { accessLog: (entry) => void entries.push(entry), ...options });
  return { ...started, entries };
}

/** A server whose sink notes each write. */
function startWriting(accessLog: AccessLog, terminal: { takesColour: boolean } | null = null) {
  const runtime = createMemoryRuntime();
  const writes: [text: string, lines: number][] = [];
  const opened: string[] = [];
  const flushes: number[] = [];
  const sink: LineSink = {
    write: (text, lines) => void writes.push([text, lines]),
    flushed: () => Promise.resolve(void flushes.push(writes.length)),
  };
  const openLog = (path: string): Promise<LineSink> => {
    opened.push(path);
    return path.startsWith("/no") ? Promise.reject(new Error("ENOENT: no such file")) : Promise.resolve(sink);
  };
  const host = { ...runtime.host, output: sink, terminal, openLog };
  const started = createMemoryServer({ ...runtime, host }, { accessLog }, hello);
  return { ...started, writes, flushes, opened };
}

describe("the access log", () => {
  test("is told of a request with everything that is known of it, when its response has ended", async () => {
    const gate = createGate();
    const { send, clock, entries } = await startLogging(async () => {
      await gate.opened;
      return text("hello");
    });
    await clock.advance(1_000);
    await send(post("/a?b=c", 3, "abc", "User-Agent: curl/8", "Referer: http://r.test/"));
    await clock.advance(250);
    assert.deepEqual(entries, []);
    gate.open();
    await clock.settle();
    assert.deepEqual(entries, [{
      time: VIRTUAL_EPOCH_MS + 1_000,
      remoteAddress: "10.0.0.2",
      method: "POST",
      target: "/a?b=c",
      protocol: "HTTP/1.1",
      status: 200,
      bytes: 5,
      durationMs: 250,
      referer: "http://r.test/",
      userAgent: "curl/8",
      aborted: false,
      error: null,
    }]);
  });

  const rows: readonly (readonly [name: string, request: string, options: ServeOptions, expected: object])[] = [
    ["a request in HTTP/1.0", "GET / HTTP/1.0\r\n\r\n", {}, { protocol: "HTTP/1.0", status: 200 }],
    ["what is no request", "nonsense\r\n\r\n", {}, { method: null, status: 400, error: "request-line-invalid" }],
    ["what is no request, with HEAD", "HEAD / HTTP/1.1\r\n\r\n", {}, { status: 400, bytes: 0, error: "host-missing" }],
    ["a connection that is refused", get(), { maxConnections: 1 }, {
      method: null,
      status: 503,
      error: "connection-limit",
    }],
    ["content that is too large, whose refusal was sent whole", post("/", 9), { maxRequestBodySize: 4 }, {
      status: 413,
      aborted: false,
    }],
    ["a health check", get("/health"), { healthPath: "/health" }, { method: "GET", status: 200 }],
  ];
  for (const [name, request, options, expected] of rows) {
    test(`is told of ${name} once`, async () => {
      const { send, connect, entries } = await startLogging(hello, options);
      if (options.maxConnections === 1) connect();
      const peer = await send(request);
      assert.equal(entries.length, 1);
      assert.equal(entries[0].bytes, peer.received().split("\r\n\r\n")[1].length);
      assert.deepEqual({ ...entries[0], ...expected }, entries[0]);
    });
  }

  test("is told of a handler that took too long, whose 503 was sent whole", async () => {
    const { send, clock, entries } = await startLogging(() => new Promise(() => {}), { handlerTimeout: 1_000 });
    await send(get());
    await clock.advance(2_000);
    assert.deepEqual(entries.map(({ status, aborted }) => [status, aborted]), [[503, false]]);
  });

  test("is told of a client that has left, with no status", async () => {
    const { send, clock, entries } = await startLogging(() => new Promise(() => {}));
    const peer = await send(get());
    peer.reset();
    await clock.settle();
    assert.deepEqual(entries.map(({ status, aborted }) => [status, aborted]), [[0, true]]);
  });

  test("that throws, or rejects, is printed and disturbs nothing", async () => {
    const runtime = createMemoryRuntime();
    let calls = 0;
    const accessLog = (): void => {
      if (++calls === 1) throw new Error("the log is broken");
      return Promise.reject(new Error("the log is broken too")) as never;
    };
    const { server, send } = createMemoryServer(runtime, { accessLog }, hello);
    await server.ready();
    const peer = await send(get(), get());
    assert.equal(peer.received().split("200 OK").length - 1, 2);
    assert.match(runtime.printed.join("\n"), /the log is broken\n(?:.*\n)*.*the log is broken too/);
  });
});

describe("the lines of the access log", () => {
  test("of one turn are written at once, each counted", async () => {
    const { server, send, writes, clock, connect } = startWriting("common");
    await server.ready();
    const peers = [connect(), connect()];
    for (const peer of peers) peer.send(get("/a?b").repeat(3));
    await clock.settle();
    assert.deepEqual(writes, [[`${COMMON_HELLO}\n`.repeat(6), 6]]);
    await send(get("/a?b"));
    assert.deepEqual(writes.slice(1), [[`${COMMON_HELLO}\n`, 1]]);
  });

  const formats: readonly (readonly [name: string, AccessLog, { takesColour: boolean } | null, RegExp])[] = [
    ["are combined where nothing else is said", true, null, /^10\.0\.0\.2 - - .* 5 "-" "-"\n$/],
    ["are short on a terminal", true, { takesColour: false }, /^\d\d:\d\d:\d\d 200 GET \/a\?b 0\.0 ms 5 B\n$/],
    ["are coloured where the terminal takes it", true, { takesColour: true }, /\S\[32m200\S\[0m/],
    ["are what was asked for on a terminal too", "common", { takesColour: true }, /^10\.0\.0\.2 - - .* 5\n$/],
    ["are JSON", "json", null, /^\{"time":"2026-01-01T00:00:00.000Z",.*\}\n$/],
    ["have no colour in a file", { format: "short", file: "/l" }, { takesColour: true }, /^\d\d:\d\d:\d\d 200 GET/],
    ["are combined in a file", { file: "/l" }, { takesColour: true }, /^10\.0\.0\.2 - - .* 5 "-" "-"\n$/],
  ];
  for (const [name, accessLog, terminal, line] of formats) {
    test(name, async () => {
      const { server, send, writes, opened } = startWriting(accessLog, terminal);
      await server.ready();
      await send(get("/a?b"));
      assert.equal(writes.length, 1);
      assert.match(writes[0][0], line);
      assert.deepEqual(opened, typeof accessLog === "object" ? ["/l"] : []);
    });
  }

  test("whose file can't be opened fail the start, with one line that says so", async () => {
    const { server } = startWriting({ file: "/no/log" });
    await assert.rejects(server.ready(), {
      code: "log-failed",
      message: "The log file /no/log can't be opened: ENOENT: no such file",
    });
  });

  test("are waited for when the server stops", async () => {
    const { server, send, clock, writes, flushes } = startWriting("common");
    await server.ready();
    const peer = await send(get("/a?b"));
    const stopped = server.shutdown();
    peer.end();
    await clock.settle();
    await stopped;
    assert.deepEqual([writes.length, flushes.length], [1, 1]);
  });

  test("cost nothing where none is asked for: there is no observer", async () => {
    const { server, send, writes } = startWriting(false);
    await server.ready();
    await send(get());
    assert.deepEqual(writes, []);
  });
});

describe("the access log under each model", () => {
  const models: readonly (readonly [string, ServeOptions])[] = [
    ["hybrid", { model: "hybrid", threads: 2 }],
    ["worker-pool on threads", { model: "worker-pool", workers: 2 }],
    ["event-driven on several loops", { loops: 3 }],
  ];
  for (const [name, options] of models) {
    test(`${name}: is told of each request once, on this thread`, async () => {
      const entries: AccessLogEntry[] = [];
      const accessLog = (entry: AccessLogEntry): void => void entries.push(entry);
      const started = await startThreadServer(() => text("hello"), { ...options, accessLog });
      const { server, connect, connectTo, until, clock } = started;
      const others = (options.loops ?? 1) - 1;
      const peers = [connect(), ...Array.from({ length: others }, (_, index) => connectTo(index + 1))];
      for (const [index, peer] of peers.entries()) peer.send(get(`/${index}`) + get(`/${index}/again`));
      await until(() => entries.length >= 2 * peers.length);
      await clock.settle();
      const targets = entries.map(({ target }) => target).sort();
      assert.deepEqual(targets, peers.flatMap((_, index) => [`/${index}`, `/${index}/again`]));
      const stopped = server.stop();
      let hasStopped = false;
      stopped.then(() => hasStopped = true);
      await until(() => hasStopped);
    });
  }

  test("a loop that is not heard drops requests beyond ten thousand, and counts them", async () => {
    const runtime = createMemoryRuntime();
    const said: FromLoop[] = [];
    const parent = { post: (message: unknown) => void said.push(message as FromLoop) } as ParentThread;
    const host = new LoopHost(
      runtime,
      parent,
      {
        role: "loop",
        options: { module: HANDLER_MODULE_URL },
        fastResponse: false,
        reportsErrors: false,
        rejectionsAreFatal: false,
        tellsRequests: true,
      },
    );
    setHandler(() => text("hello"));
    await host.load();
    host.take({ kind: "listen", port: 1 });
    while (!said.some(({ kind }) => kind === "listening")) await runtime.clock.settle();
    const peer = runtime.connect();
    const told = (): number =>
      said.reduce((sum, message) => sum + (message.kind === "requests" ? message.entries.length : 0), 0);
    const ask = async (count: number): Promise<void> => {
      for (let left = count; left > 0; left -= 500) peer.send(get().repeat(Math.min(500, left)));
      await runtime.clock.advance(100);
    };
    await ask(10_003);
    assert.equal(told(), 10_000);
    host.take({ kind: "requests-heard", count: 2 });
    await ask(3);
    assert.equal(told(), 10_002);
    const counts = said.flatMap((message) => message.kind === "counts" ? [message.counts] : []);
    assert.deepEqual([counts.at(-1)?.responses, counts.at(-1)?.droppedLines], [10_006, 4]);
    host.take({ kind: "cut-off" });
  });
});
