/** What a server measures, and how it is shown to Prometheus. In memory, on virtual time. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Handler } from "../../src/api/handler.ts";
import type { ServeOptions } from "../../src/api/options.ts";
import type { Histogram, Measurements, ServerStats } from "../../src/api/stats.ts";
import type { Server } from "../../src/api/server.ts";
import { METHOD_NAMES, placeOfMethod } from "../../src/http/methods.ts";
import { writeMetrics } from "../../src/observe/exposition.ts";
import { addHistograms, Durations, NO_DURATIONS } from "../../src/observe/histogram.ts";
import { chooseFormat, metricsHandler } from "../../src/observe/metrics_handler.ts";
import { HttpResponse } from "../../src/web/http_response.ts";
import { createGate, get, post, startMemoryServer, text } from "../support/memory_server.ts";
import { startThreadServer } from "../support/thread_server.ts";

const hello: Handler = () => text("hello");

function start(handler: Handler, options: ServeOptions = {}) {
  return startMemoryServer(handler, { metrics: true, ...options });
}

function measuredBy(server: Server): Measurements {
  const { measured } = server.stats();
  assert.ok(measured !== null);
  return measured;
}

/** How many durations a histogram has, and how long they were together. */
function sumOf({ counts, sum }: Histogram): [count: number, sumMs: number] {
  return [counts.reduce((total, count) => total + count, 0), sum];
}

/** The samples of a metric: the labels, and the value. */
async function samplesOf(server: Server, name: string): Promise<Record<string, number>> {
  const lines = (await server.metrics()).split("\n").filter((line) => line.startsWith(name) && !line.startsWith("#"));
  return Object.fromEntries(lines.map((line) => {
    const [, labels = "", value] = /^[a-z_]+(?:\{(.*)\})? (\S+)$/.exec(line)!;
    return [labels, Number(value)];
  }));
}

describe("a server that measures", () => {
  test("counts requests by method and class of status", async () => {
    const { server, send } = await start((request) => {
      const status = Number(new URL(request.url).pathname.slice(1));
      return new HttpResponse(status === 204 ? null : "hello", { status });
    });
    await send(get("/200"), get("/204"), get("/404"), get("/500"), post("/201", 3, "abc"));
    assert.deepEqual(measuredBy(server).responses, {
      GET: { "none": 0, "1xx": 0, "2xx": 2, "3xx": 0, "4xx": 1, "5xx": 1 },
      POST: { "none": 0, "1xx": 0, "2xx": 1, "3xx": 0, "4xx": 0, "5xx": 0 },
    });
    assert.deepEqual(await samplesOf(server, "trivet_requests_total"), {
      'method="GET",status="2xx"': 2,
      'method="GET",status="3xx"': 0,
      'method="GET",status="4xx"': 1,
      'method="GET",status="5xx"': 1,
      'method="POST",status="2xx"': 1,
      'method="POST",status="3xx"': 0,
      'method="POST",status="4xx"': 0,
      'method="POST",status="5xx"': 0,
    });
  });

  test("has one name for all methods that it does not know, so that no client makes names", async () => {
    const { server, send } = await start(hello);
    for (const method of ["PATCH", "get", "PROPFIND", "X".repeat(20)]) await send(get().replace("GET", method));
    assert.deepEqual(Object.keys(measuredBy(server).responses).sort(), ["PATCH", "_OTHER"]);
    assert.deepEqual(METHOD_NAMES.map((name) => METHOD_NAMES[placeOfMethod(name)]), [...METHOD_NAMES]);
  });

  test("has no label that a client could choose", async () => {
    const { server, send } = await start(hello);
    await send(get("/secret-path?secret-query", "X-Secret: secret-value").replace("a.test", "secret-host"));
    await send("SECRET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert.doesNotMatch(await server.metrics(), /secret/i);
  });

  test("measures how long each request took, and which client has left", async () => {
    const gate = createGate();
    const { server, send, clock } = await start(async () => {
      await gate.opened;
      return text("hello");
    });
    await clock.advance(5_000);
    const [, , third] = [await send(get()), await send(get()), await send(get())];
    await clock.advance(300);
    third.reset();
    await clock.settle();
    gate.open();
    await clock.settle();
    const { durations, aborted, responses } = measuredBy(server);
    assert.deepEqual([sumOf(durations["2xx"]), sumOf(durations.none), aborted], [[2, 600], [1, 300], 1]);
    assert.equal(responses.GET.none, 1);
    const buckets = await samplesOf(server, "trivet_request_duration_seconds_bucket");
    assert.equal(buckets['status="2xx",le="0.25"'], 0);
    assert.equal(buckets['status="2xx",le="0.5"'], 2);
    assert.equal(buckets['status="2xx",le="+Inf"'], 2);
    assert.deepEqual((await samplesOf(server, "trivet_request_duration_seconds_sum"))['status="2xx"'], 0.6);
  });

  test("says what open connections do", async () => {
    const { server, connect, send, clock } = await start(() => new Promise(() => {}), { maxConnections: 4 });
    connect();
    await send(get());
    await send("GET / HT");
    await send("nonsense\r\n\r\n");
    await send(get());
    await clock.settle();
    assert.deepEqual(measuredBy(server).connections, { waiting: 0, idle: 1, active: 2, upgraded: 0, closing: 2 });
  });

  test("says what waits for its turn, and measures for how long it did", async () => {
    const gate = createGate();
    const { server, send, clock } = await start(async () => {
      await gate.opened;
      return text("hello");
    }, { model: "worker-pool", workers: 1 });
    await send(get("/", "Connection: close"));
    await send(get("/", "Connection: close"));
    assert.deepEqual(measuredBy(server).connections, { waiting: 1, idle: 0, active: 1, upgraded: 0, closing: 0 });
    await clock.advance(700);
    gate.open();
    await clock.settle();
    assert.deepEqual(sumOf(measuredBy(server).queueWaits), [1, 700]);
    assert.deepEqual(await samplesOf(server, "trivet_queue_wait_seconds_sum"), { "": 0.7 });
  });

  test("measures how late its event loop is, until it stops", async () => {
    const { server, clock } = await start(hello);
    await clock.advance(1_000);
    const [looks, sumMs] = sumOf(measuredBy(server).loopDelay);
    assert.deepEqual([looks, sumMs], [10, 0]);
    await server.shutdown();
    assert.equal(clock.pendingCount, 0);
  });

  test("counts timeouts by their phase and refusals by their reason", async () => {
    const { server, send, clock, connect } = await start(() => new Promise(() => {}), {
      headersTimeout: 1_000,
      handlerTimeout: 2_000,
      maxConnections: 2,
    });
    await send("GET / HT");
    await send(get());
    await clock.advance(4_000);
    const timeouts = await samplesOf(server, "trivet_timeouts_total");
    assert.deepEqual([timeouts['phase="head"'], timeouts['phase="handler"'], timeouts['phase="write"']], [1, 1, 0]);
    connect();
    connect();
    await send(get());
    const refusals = await samplesOf(server, "trivet_refusals_total");
    assert.deepEqual([refusals['reason="connection-limit"'], refusals['reason="queue-full"']], [1, 0]);
    assert.equal((await samplesOf(server, "trivet_errors_total"))['code="head-timeout"'], 1);
  });

  test("adds up what its event loops measure, also those that were lost", async () => {
    const handler = (request: Request) => request.method === "PUT" ? new Promise<Response>(() => {}) : text("hello");
    const started = await startThreadServer(handler, { loops: 3, metrics: true });
    const { server, connect, connectTo, clock, threads, until } = started;
    for (const peer of [connect(), connectTo(1), connectTo(2)]) peer.send(get() + get("/again"));
    const gone = [connect(), connectTo(1), connectTo(1), connectTo(2)];
    for (const peer of gone) peer.send(get().replace("GET", "PUT"));
    connectTo(2).send(get("/", "Connection: close").replace("GET", "DELETE"));
    await clock.advance(200);
    for (const peer of gone) peer.reset();
    await clock.advance(1_000);
    assert.equal(measuredBy(server).responses.GET["2xx"], 6);
    assert.deepEqual([measuredBy(server).responses.PUT.none, measuredBy(server).aborted], [4, 4]);
    assert.equal(measuredBy(server).responses.DELETE["2xx"], 1);
    assert.equal(measuredBy(server).connections.idle, 3);
    assert.equal(sumOf(measuredBy(server).durations["2xx"])[0], 7);
    const [looks] = sumOf(measuredBy(server).loopDelay);
    assert.ok(looks >= 4, `each loop is looked at: ${looks}`);
    threads[0].crash(new Error("lost"));
    await until(() => server.stats().loops === 2);
    assert.equal(measuredBy(server).responses.GET["2xx"], 6);
    assert.equal(measuredBy(server).connections.idle, 2);
  });

  test("that does not measure has nothing to add of a loop that was lost either", async () => {
    const { server, threads, until } = await startThreadServer(() => text("hello"), { loops: 2 });
    threads[0].crash(new Error("lost"));
    await until(() => server.stats().loops === 1);
    assert.equal(server.stats().measured, null);
  });

  test("measures how late the threads of handlers are", async () => {
    const { server, clock } = await startThreadServer(() => text("hello"), {
      model: "hybrid",
      threads: 2,
      metrics: true,
    });
    await clock.advance(2_100);
    assert.deepEqual(sumOf(measuredBy(server).threadDelay), [40, 0]);
    const counts = await samplesOf(server, "trivet_event_loop_delay_seconds_count");
    assert.equal(counts['thread="handlers"'], 40);
  });

  test("does so only if it was asked to, and says so", async () => {
    const { server, send, clock } = await startMemoryServer(hello);
    await send(get());
    assert.equal(server.stats().measured, null);
    await assert.rejects(server.metrics(), {
      name: "TypeError",
      message: "Nothing was measured: metrics() needs a server with the option metrics: true.",
    });
    await server.stop();
    assert.equal(clock.pendingCount, 0);
  });
});

describe("durations", () => {
  const rows: readonly (readonly [durationMs: number, bucket: number])[] = [
    [0, 0],
    [0.5, 0],
    [0.500001, 1],
    [10_000, 13],
    [10_000.1, 14],
    [Infinity, 14],
  ];
  for (const [durationMs, bucket] of rows) {
    test(`of ${durationMs} ms are in bucket ${bucket}`, () => {
      const durations = new Durations();
      durations.add(durationMs);
      assert.equal(durations.histogram.counts.indexOf(1), bucket);
    });
  }

  test("of two are added bucket by bucket", () => {
    const durations = new Durations();
    for (const durationMs of [1, 3, 3]) durations.add(durationMs);
    const sum = addHistograms(durations.histogram, addHistograms(durations.histogram, NO_DURATIONS));
    assert.deepEqual(sum.counts.slice(0, 5), [0, 2, 0, 4, 0]);
    assert.equal(sum.sum, 14);
  });
});

describe("the text of metrics", () => {
  async function linesOf(format: "prometheus" | "openmetrics"): Promise<string[]> {
    const { server, send } = await start(hello);
    await send(get());
    return (await server.metrics(format)).split("\n");
  }

  test("has every count of the server under its name", async () => {
    const { server } = await start(hello);
    const measured: Measurements = {
      ...measuredBy(server),
      connections: { waiting: 1, idle: 2, active: 3, upgraded: 4, closing: 5 },
      aborted: 6,
    };
    const stats: ServerStats = {
      ...server.stats(),
      uptimeMs: 7_500,
      connections: { open: 15, accepted: 8, refused: 9 },
      webSockets: { open: 10 },
      activeExchanges: 11,
      bytesReceived: 12,
      bytesSent: 13,
      queue: { waiting: 14, longestWaitMs: 0, refused: 0 },
      workers: { total: 19, busy: 16 },
      threads: { ready: 17, started: 18, lost: 19, renewed: 20 },
      loops: 21,
      droppedLines: 22,
    };
    const written = (draining: boolean): string[] =>
      writeMetrics({ ...stats, draining }, measured, { version: "1.2.3", runtime: "memory" }, "prometheus").split("\n");
    const others = /_(?:seconds_(?:bucket|sum|count)|requests_total|timeouts_total|refusals_total)\b/;
    assert.deepEqual(written(false).filter((line) => line !== "" && !line.startsWith("#") && !others.test(line)), [
      'trivet_info{version="1.2.3",runtime="memory",model="event-driven"} 1',
      "trivet_uptime_seconds 7.5",
      "trivet_draining 0",
      'trivet_connections{state="waiting"} 1',
      'trivet_connections{state="idle"} 2',
      'trivet_connections{state="active"} 3',
      'trivet_connections{state="upgraded"} 4',
      'trivet_connections{state="closing"} 5',
      "trivet_connections_accepted_total 8",
      "trivet_connections_refused_total 9",
      "trivet_websockets 10",
      "trivet_requests_active 11",
      "trivet_requests_aborted_total 6",
      "trivet_received_bytes_total 12",
      "trivet_sent_bytes_total 13",
      "trivet_queue_waiting 14",
      'trivet_workers{state="busy"} 16',
      'trivet_workers{state="idle"} 3',
      "trivet_threads 17",
      "trivet_threads_started_total 18",
      "trivet_threads_lost_total 19",
      "trivet_threads_renewed_total 20",
      "trivet_event_loops 21",
      "trivet_dropped_lines_total 22",
    ]);
    assert.ok(written(true).includes("trivet_draining 1"));
  });

  test("of durations has the classes that every server has, and others only once they were sent", async () => {
    const { server, send } = await start(() => new HttpResponse(null, { status: 404 }));
    await send(get());
    assert.deepEqual(Object.keys(await samplesOf(server, "trivet_request_duration_seconds_count")), [
      'status="2xx"',
      'status="3xx"',
      'status="4xx"',
      'status="5xx"',
    ]);
  });

  test("of Prometheus ends with a line feed, and names counters with their suffix", async () => {
    const lines = await linesOf("prometheus");
    assert.equal(lines.at(-1), "");
    assert.ok(!lines.includes("# EOF"));
    assert.ok(lines.includes("# HELP trivet_draining Whether a graceful stop is under way."));
    assert.ok(lines.includes("# TYPE trivet_draining gauge"));
    assert.ok(lines.includes("# TYPE trivet_request_duration_seconds histogram"));
    assert.ok(lines.includes("# TYPE trivet_requests_total counter"));
    assert.ok(lines.includes('trivet_request_duration_seconds_bucket{status="2xx",le="1"} 1'));
  });

  test("of OpenMetrics ends with its end, and names families of counters without it", async () => {
    const lines = await linesOf("openmetrics");
    assert.deepEqual(lines.slice(-2), ["# EOF", ""]);
    assert.ok(lines.includes("# TYPE trivet_requests counter"));
    assert.ok(lines.includes('trivet_requests_total{method="GET",status="2xx"} 1'));
    assert.ok(lines.includes('trivet_request_duration_seconds_bucket{status="2xx",le="1.0"} 1'));
    assert.ok(!lines.slice(0, -2).includes(""), "no line is empty");
  });

  test("has each family once, with its type and what it means before its samples", async () => {
    for (const format of ["prometheus", "openmetrics"] as const) {
      const lines = await linesOf(format);
      const families = lines.filter((line) => line.startsWith("# TYPE")).map((line) => line.split(" ")[2]);
      assert.deepEqual(families, [...new Set(families)]);
      assert.equal(lines.filter((line) => line.startsWith("# HELP")).length, families.length);
      for (const line of lines) {
        assert.match(line, /^(?:|# (?:HELP|TYPE) trivet_.*|# EOF|trivet_[a-z_]+(?:\{.*\})? \d\S*)$/);
      }
    }
  });
});

describe("the handler of metrics", () => {
  const PROMETHEUS_3 = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6," +
    "application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4," +
    "text/plain;version=0.0.4;q=0.3,*/*;q=0.2";
  const rows: readonly (readonly [name: string, accept: string | null, "prometheus" | "openmetrics"])[] = [
    ["nothing", null, "prometheus"],
    ["anything", "*/*", "prometheus"],
    ["a browser", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", "prometheus"],
    ["Prometheus 3", PROMETHEUS_3, "openmetrics"],
    ["OpenMetrics", "application/openmetrics-text", "openmetrics"],
    ["OpenMetrics, in capitals", "Application/OpenMetrics-Text; version=1.0.0", "openmetrics"],
    ["both alike", "text/plain, application/openmetrics-text", "openmetrics"],
    ["the old one before the new", "application/openmetrics-text;q=0.3, text/plain;q=0.4", "prometheus"],
    ["no OpenMetrics", "application/openmetrics-text;q=0, text/plain", "prometheus"],
    ["a weight that is none", "application/openmetrics-text;q=2", "prometheus"],
    ["a longer name", "application/openmetrics-text-x", "prometheus"],
  ];
  for (const [name, accept, format] of rows) {
    test(`gives ${format} to a client that asks for ${name}`, () => assert.equal(chooseFormat(accept), format));
  }

  const server: Pick<Server, "metrics"> = { metrics: (format) => Promise.resolve(`as ${format}`) };
  const ask = (init?: RequestInit): Promise<Response> => metricsHandler(server)(new Request("http://a.test/", init));

  test("says which format it is, and that it is not to be kept", async () => {
    const response = await ask({ headers: { accept: "application/openmetrics-text" } });
    assert.deepEqual([response.status, await response.text()], [200, "as openmetrics"]);
    assert.deepEqual([...response.headers].sort(), [
      ["cache-control", "no-store"],
      ["content-type", "application/openmetrics-text; version=1.0.0; charset=utf-8"],
      ["vary", "accept"],
    ]);
    assert.equal((await ask()).headers.get("content-type"), "text/plain; version=0.0.4; charset=utf-8");
  });

  test("answers HEAD, and refuses what is neither that nor GET", async () => {
    assert.equal((await ask({ method: "HEAD" })).status, 200);
    const refused = await ask({ method: "POST" });
    assert.deepEqual([refused.status, refused.headers.get("allow")], [405, "GET, HEAD"]);
  });
});
