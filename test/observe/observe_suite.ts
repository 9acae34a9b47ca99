/**
 * What others make of what a server tells of itself, with the package as npm has it, on every runtime: Prometheus,
 * OpenTelemetry and a browser.
 *
 * It needs npm's registry, and Prometheus and chromium as Debian has them; what needs a program that is not installed is left out, and
 * counted as skipped. It runs by `deno task test:observe`.
 *
 * @module
 */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { findRuntimes, installInto, makeFolder, packPackage, succeed } from "../package/installation.ts";
import { ServingProgram } from "../package/serving_program.ts";
import { IS_PROMETHEUS_INSTALLED, lintMetrics, Prometheus } from "./prometheus.ts";

const APPS = new URL("./apps/", import.meta.url);
const PACKAGES = [
  "@opentelemetry/api@1.9.0",
  "@opentelemetry/context-async-hooks@2",
  "@opentelemetry/core@2",
  "@opentelemetry/sdk-trace-base@2",
  "playwright-core@1.65.1",
];
const MODELS = ["alone", "loops", "pool", "hybrid"];
/** What each model is asked. */
const REQUESTS: readonly (readonly [method: string, path: string])[] = [
  ["GET", "200"],
  ["POST", "201"],
  ["GET", "404"],
  ["PROPFIND", "500"],
];

const TRACE_ID = "0af7651916cd43dd8448eb211c80319c";
const PARENT_ID = "b7ad6b7169203331";
const DEADLINE_MS = 10_000;
/** Enough for some pages on a busy machine. */
const BROWSER_DEADLINE_MS = 60_000;
const BROWSER = Deno.env.get("CHROMIUM") ?? "/usr/bin/chromium";

const folder = await makeFolder();
const [runtimes, { tarball }] = await Promise.all([findRuntimes(), packPackage(folder)]);
const user = `${folder}/user`;
await installInto(user, tarball, ...PACKAGES);
// One that imports a package is kept as text, because `deno check` would look for the package.
for await (const { name } of Deno.readDir(APPS)) {
  await Deno.copyFile(new URL(name, APPS), `${user}/${name.replace(/\.txt$/, "")}`);
}

const isBrowserInstalled = await Deno.stat(BROWSER).then(() => true, () => false);
if (!isBrowserInstalled) console.log("SKIPPED: chromium is not installed (apt-get install chromium).");
if (!IS_PROMETHEUS_INSTALLED) console.log("SKIPPED: Prometheus is not installed (apt-get install prometheus).");

/** Loops of one thread tell the others what they have counted; a connection a request lets them take turns. */
async function sendRequests(urls: Readonly<Record<string, string>>): Promise<void> {
  for (const url of Object.values(urls)) {
    for (const [method, path] of REQUESTS) {
      const response = await fetch(url + path, { method, headers: { connection: "close" } });
      await response.arrayBuffer();
    }
  }
}

for (const runtime of runtimes) {
  describe(`metrics on ${runtime.name} (${runtime.version})`, { skip: !IS_PROMETHEUS_INSTALLED }, () => {
    it("are what promtool wants, and what Prometheus scrapes, in both formats and under each model", async () => {
      const program = new ServingProgram(runtime.command(`${user}/measured.mjs`), user);
      let prometheus: Prometheus | null = null;
      try {
        const url = await program.listening();
        await sendRequests(await (await fetch(`${url}urls`)).json());
        for (const model of MODELS) {
          const text = await (await fetch(`${url}metrics/${model}`)).text();
          assert.equal(await lintMetrics(text), "", `${model}:\n${text}`);
        }
        const paths = MODELS.flatMap((model) => [`/metrics/${model}`, `/plain/${model}`]);
        prometheus = new Prometheus(`${folder}/${runtime.name}`, new URL(url).host, paths);
        const wanted = (value: number) => Object.fromEntries(paths.map((path) => [path, value]));
        const isWanted = (value: number) => (values: Record<string, number>): boolean =>
          paths.every((path) => values[path] === value);
        assert.deepEqual(await prometheus.query("up", isWanted(1)), wanted(1));
        const sums: readonly (readonly [query: string, value: number])[] = [
          ["sum by (job) (trivet_requests_total)", 4],
          ['sum by (job) (trivet_requests_total{method="_OTHER",status="5xx"})', 1],
          ["sum by (job) (trivet_request_duration_seconds_count)", 4],
          ['sum by (job) (trivet_request_duration_seconds_bucket{le="+Inf"})', 4],
          ["trivet_connections_accepted_total", 4],
        ];
        for (const [query, value] of sums) {
          assert.deepEqual(await prometheus.query(query, isWanted(value)), wanted(value), query);
        }
      } finally {
        await prometheus?.stop();
        await program.stop();
      }
    });
  });

  describe(`the status page on ${runtime.name} (${runtime.version})`, { skip: !isBrowserInstalled }, () => {
    it("lives in a browser, under strict policies too, and asks no other place", async () => {
      const program = new ServingProgram(runtime.command(`${user}/measured.mjs`), user);
      const load = new AbortController();
      try {
        const url = await program.listening();
        const urls = await (await fetch(`${url}urls`)).json() as Record<string, string>;
        keepAsking(Object.values(urls), load.signal);
        const pages = [`${url}status/hybrid`, `${url}status/loops`, `${url}strict/pool`];
        const argv = ["node", `${user}/look.mjs`, BROWSER, Deno.env.get("SCREENSHOTS") ?? folder, ...pages];
        const seen = JSON.parse((await succeed(argv, user, BROWSER_DEADLINE_MS)).trim().split("\n").at(-1)!);
        for (const page of pages) assertLooksAlive(page, seen[page]);
        assert.match(seen[pages[0]].figures.threads, /^2$/);
        assert.match(seen[pages[0]].summary, /^listening · hybrid · 1 event loop · up for \d+ s · [\d,]+ responses$/);
        assert.match(seen[pages[2]].figures.workers, /^[0-2] of 2$/);
      } finally {
        load.abort();
        await program.stop();
      }
    });
  });

  describe(`spans on ${runtime.name} (${runtime.version})`, () => {
    for (const model of ["event-driven", "hybrid"]) {
      it(`have what the conventions want, and are active where the handler runs: ${model}`, async () => {
        const program = new ServingProgram(runtime.command(`${user}/traced.mjs`, model), user);
        try {
          const url = await program.listening();
          const ask = async (path: string, init?: RequestInit): Promise<void> => {
            await (await fetch(url + path, init)).arrayBuffer();
          };
          const traced = { traceparent: `00-${TRACE_ID}-${PARENT_ID}-01`, "user-agent": "test" };
          await ask("a?b=c", { headers: { ...traced, "x-forwarded-for": "203.0.113.7" } });
          for (const path of ["missing", "busy", "throws"]) await ask(path);
          await ask("", { method: "PROPFIND" });
          // One for each request, and those that were made within.
          const spans = await readSpans(program, 7);
          assertSpans(spans, new URL(url));
        } finally {
          await program.stop();
        }
      });
    }
  });
}

/** What a browser has seen of a page. */
interface SeenPage {
  readonly figures: Readonly<Record<string, string>>;
  /** Whatever the browser complains of. */
  readonly problems: readonly string[];
  /** What it has asked for. */
  readonly asked: readonly string[];
  /** Whether the style was taken. */
  readonly columns: string;
}

function assertLooksAlive(page: string, { figures, problems, asked, columns }: SeenPage): void {
  assert.deepEqual(problems, [], page);
  const parts = asked.filter((url) => !url.endsWith("?icon"));
  assert.deepEqual([...parts].sort(), ["", "?figures", "?script", "?style"].map((query) => page + query).sort());
  assert.equal(columns, "grid");
  assert.ok(Number(figures.rate.replaceAll(",", "")) > 0, `requests a second: ${figures.rate}`);
  assert.match(figures.latency, /^[\d.]+ m?s$/);
  assert.match(figures.delay, /^[\d.]+ m?s$/);
  assert.match(figures.traffic, /^[\d.]+ k?B · [\d.]+ k?B$/);
  assert.match(figures.connections, /^\d+$/);
}

/** A light load, until it is aborted. */
function keepAsking(urls: readonly string[], signal: AbortSignal): void {
  const ask = async (): Promise<void> => {
    while (!signal.aborted) {
      for (const url of urls) await (await fetch(url, { signal })).arrayBuffer();
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  };
  ask().catch(() => {});
}

/** What the handler prints of a span. */
interface PrintedSpan {
  readonly name: string;
  readonly kind: number;
  readonly traceId: string;
  readonly spanId: string;
  readonly parentId: string | null;
  readonly status: { readonly code: number; readonly message?: string };
  readonly attributes: Readonly<Record<string, unknown>>;
  readonly exceptions: readonly string[];
}

async function readSpans(program: ServingProgram, count: number): Promise<PrintedSpan[]> {
  const untilMs = Date.now() + DEADLINE_MS;
  while (true) {
    const lines = program.output.split("\n").filter((line) => line.startsWith("span ") && line.endsWith("}"));
    if (lines.length >= count) return lines.map((line) => JSON.parse(line.slice("span ".length)));
    if (Date.now() > untilMs) throw new Error(`There are ${lines.length} spans of ${count}:\n${program.output}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

function assertSpans(spans: readonly PrintedSpan[], url: URL): void {
  const of = (path: string): PrintedSpan => {
    const span = spans.find(({ attributes }) => attributes["url.path"] === path);
    assert.ok(span !== undefined, path);
    return span;
  };
  const first = of("/a");
  const { "network.peer.port": peerPort, ...attributes } = first.attributes;
  assert.equal(typeof peerPort, "number");
  assert.deepEqual([first.name, first.kind, first.traceId, first.parentId], ["GET", 1, TRACE_ID, PARENT_ID]);
  assert.deepEqual(attributes, {
    "http.request.method": "GET",
    "url.scheme": "http",
    "url.path": "/a",
    "url.query": "b=c",
    "server.address": "127.0.0.1",
    "server.port": Number(url.port),
    "network.protocol.name": "http",
    "user_agent.original": "test",
    "client.address": "203.0.113.7",
    "network.peer.address": "127.0.0.1",
    "http.response.status_code": 200,
  });
  const work = spans.filter(({ name }) => name === "work");
  assert.equal(work.length, 2);
  assert.ok(work.some(({ traceId, parentId }) => traceId === TRACE_ID && parentId === first.spanId));
  const [missing, busy, throws, other] = [of("/missing"), of("/busy"), of("/throws"), of("/")];
  assert.deepEqual([missing.attributes["http.response.status_code"], missing.status.code], [404, 0]);
  assert.deepEqual([busy.attributes["error.type"], busy.status.code], ["503", 2]);
  assert.deepEqual([throws.attributes["error.type"], throws.status], ["RangeError", { code: 2, message: "too far" }]);
  assert.deepEqual(throws.exceptions, ["too far"]);
  assert.equal(throws.attributes["http.response.status_code"], 500);
  assert.equal(other.name, "HTTP");
  assert.equal(other.attributes["http.request.method"], "_OTHER");
  assert.equal(other.attributes["http.request.method_original"], "PROPFIND");
}
