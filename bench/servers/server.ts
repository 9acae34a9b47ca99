/**
 * A server under test: Trivet with any options, the own server of the runtime that runs this file, or one from npm.
 */

import { Buffer } from "node:buffer";
import cluster from "node:cluster";
import { createServer, type IncomingMessage, type Server as NodeServer, type ServerResponse } from "node:http";
import { createServer as createTlsServer } from "node:https";
import { readdirSync } from "node:fs";
import process from "node:process";
import { Readable } from "node:stream";
import { setTimeout as rest } from "node:timers/promises";
import type { ServeInit, Server, ShutdownReport } from "../../mod.ts";
import {
  describeRequest,
  type FetchHandler,
  FLOOD_BYTES,
  HELLO,
  importPackage,
  JSON_FIELDS,
  STREAM_BYTES,
  streamOf,
  WHO,
} from "../load/handlers.ts";
import { announce, BACKLOG, Bun, HOSTNAME, listenOnNode, readLaunch } from "./launch.ts";
import { BUN_WEB_SOCKETS, upgradeWithWs } from "./websocket.ts";

/** Of what is measured, only the upload of a gigabyte is beyond the default. */
const MAX_BODY_BYTES = 2 ** 31;
const PATIENCE_MS = 600_000;
const PROCESSES = 2;
/** A graceful stop that is overtaken has begun for so long. */
const OVERTAKEN_AFTER_MS = 5;
const WATCH_INTERVAL_MS = 5;
/** Of the kinds of objects of Bun, those that hold something of the system. */
const BUN_OBJECTS = /Timeout|Timer|Socket|Listener|Worker|MessagePort|Immediate/;

type NodeHandler = (request: IncomingMessage, response: ServerResponse) => void;

function answerText(response: ServerResponse, content: string): void {
  response.setHeader("content-type", "text/plain;charset=UTF-8");
  response.end(content);
}

/** As users of `node:http` write them: they pay neither for a Request nor for a Response. */
const NODE_HANDLERS: Readonly<Record<string, NodeHandler>> = {
  hello: (_request, response) => answerText(response, HELLO),
  who: (_request, response) => answerText(response, WHO),
  json({ url, headers }, response) {
    const target = new URL(url ?? "/", `http://${headers.host}`);
    const answer = describeRequest(target, headers["user-agent"] ?? null, headers["accept-language"] ?? null);
    response.writeHead(200, { "content-type": "application/json", ...JSON_FIELDS });
    response.end(JSON.stringify(answer));
  },
  echo(request, response) {
    const chunks: Uint8Array[] = [];
    request.on("data", (chunk) => chunks.push(chunk)).on("end", () => response.end(Buffer.concat(chunks)));
  },
  count(request, response) {
    let byteLength = 0;
    request.on("data", (chunk) => byteLength += chunk.byteLength).on("end", () => response.end(`${byteLength}`));
  },
  stream: (_request, response) => void Readable.fromWeb(streamOf(STREAM_BYTES) as never).pipe(response),
  flood: (_request, response) => void Readable.fromWeb(streamOf(FLOOD_BYTES) as never).pipe(response),
};

/** How many threads were lost until when, in milliseconds since 1970, each time the number had changed. */
const losses: { atMs: number; lost: number }[] = [];
/** For how long so many threads were ready, in milliseconds; the index is the number. */
const readyMs: number[] = [];

const launch = readLaunch();
const { serves, handler: name = "", patient, sharedPort, tls } = launch;
const moduleUrl = new URL(launch.module, import.meta.url).href;
const handler = async (): Promise<FetchHandler> => (await import(moduleUrl)).default.fetch;

if (serves === "trivet") await serveTrivet();
else if (serves === "hono") await serveHono();
else if (serves === "srvx") await serveSrvx();
else if ("Deno" in globalThis) {
  const onListen = ({ port }: Deno.NetAddr) => announce(port);
  Deno.serve({ port: 0, hostname: HOSTNAME, tcpBacklog: BACKLOG, ...tls!, onListen }, await handler());
} else if ("Bun" in globalThis) await serveBun();
else if (name.startsWith("hono")) await serveHono();
else if (name.startsWith("h3")) await serveSrvx();
else await serveNode();

async function serveTrivet(): Promise<void> {
  const { trivet, responses, options, asModule, silent } = launch;
  // First, as users import it: what is loaded later sees it.
  if (responses === "fast") await import(trivet.replace(/mod(\.[jt]s)$/, "src/entry/fast_response$1"));
  const { serve }: typeof import("../../mod.ts") = await import(trivet);
  const patience = { headersTimeout: PATIENCE_MS, requestTimeout: PATIENCE_MS, keepAliveTimeout: PATIENCE_MS };
  const init = {
    port: 0,
    hostname: HOSTNAME,
    onListen: () => {},
    tls,
    ...Object.fromEntries(silent.map((event) => [event, () => {}])),
    ...name === "count" && { maxRequestBodySize: MAX_BODY_BYTES },
    ...patient && patience,
    ...options,
    ...asModule ? { module: moduleUrl } : { fetch: await handler() },
  } as ServeInit;
  let server = await serve(init).ready();
  announce(server.port, {
    stats: () => ({ stats: server.stats(), losses, readyMs }),
    watch: () => watchThreads(server),
    async start() {
      server = await serve(init).ready();
      return { port: server.port };
    },
    drain: () => stopped(server, server.shutdown({ closeIdle: true })),
    async cut() {
      const graceful = server.shutdown({ closeIdle: true });
      await rest(OVERTAKEN_AFTER_MS);
      await server.stop();
      return await stopped(server, graceful);
    },
    held: heldInside,
  });
}

export type Watched = { readonly losses: typeof losses; readonly readyMs: typeof readyMs };
export type StopReport = Awaited<ReturnType<typeof stopped>>;
export type HeldInside = Awaited<ReturnType<typeof heldInside>>;

/** Looks at the threads from inside: questions from outside would keep idle threads of Deno's own alive. */
function watchThreads(server: Server): void {
  let lastMs = Date.now();
  setInterval(() => {
    const nowMs = Date.now();
    const { lost, ready } = server.stats().threads;
    if (lost > (losses.at(-1)?.lost ?? 0)) losses.push({ atMs: nowMs, lost });
    readyMs[ready] = (readyMs[ready] ?? 0) + nowMs - lastMs;
    lastMs = nowMs;
  }, WATCH_INTERVAL_MS);
}

async function stopped(server: Server, stopping: Promise<ShutdownReport>) {
  const report = await stopping;
  const threadsAtEnd = readdirSync("/proc/self/task").length;
  await server.finished;
  return { ...report, threadsAtEnd };
}

/**
 * What only the runtime knows: the heap of the main thread, and what it waits for, which are handles of Node and Deno and
 * objects of Bun, whose own list is always empty.
 */
async function heldInside() {
  const { heapUsed: heapBytes } = process.memoryUsage();
  if (Bun === undefined) return { heapBytes, resources: process.getActiveResourcesInfo() };
  const module = "bun:jsc";
  const { heapStats } = await import(module);
  const counts = Object.entries<number>(heapStats().objectTypeCounts).filter(([name]) => BUN_OBJECTS.test(name));
  return { heapBytes, resources: counts.flatMap(([name, count]) => new Array<string>(count).fill(name)) };
}

async function serveBun(): Promise<void> {
  const { port } = Bun.serve({
    port: sharedPort,
    hostname: HOSTNAME,
    reusePort: sharedPort > 0,
    // In seconds; 10 is the default and 0 is never.
    idleTimeout: patient ? 0 : 10,
    maxRequestBodySize: MAX_BODY_BYTES,
    tls,
    fetch: await handler(),
    ...name === "ws" && { websocket: BUN_WEB_SOCKETS },
  });
  announce(port);
}

async function serveNode(): Promise<void> {
  if (sharedPort > 0 && cluster.isPrimary) {
    for (let i = 0; i < PROCESSES; i++) cluster.fork();
    return;
  }
  const answer = name === "ws" ? undefined : await nodeHandler();
  const server = tls === undefined ? createServer(answer) : createTlsServer(tls, answer);
  if (name === "ws") await upgradeWithWs(server as NodeServer, launch.packages);
  if (patient) {
    server.headersTimeout = 0;
    server.requestTimeout = 0;
    server.keepAliveTimeout = PATIENCE_MS;
  }
  listenOnNode(server, sharedPort);
}

/** A handler of the load benchmark, or the fetch handler of another module, with "/hello", which is compared. */
async function nodeHandler(): Promise<NodeHandler> {
  if (name in NODE_HANDLERS) return NODE_HANDLERS[name];
  const fetch = await handler();
  return (request, response) => {
    if (request.url === "/hello") answerText(response, "hello");
    else void answer(fetch, request, response);
  };
}

async function answer(fetch: FetchHandler, request: IncomingMessage, response: ServerResponse): Promise<void> {
  try {
    const { method = "GET", url = "/" } = request;
    const headers = Object.entries(request.headers).map(([name, value]): [string, string] => [name, String(value)]);
    const body = method === "GET" || method === "HEAD" ? null : Readable.toWeb(request) as ReadableStream<Uint8Array>;
    const init = { method, headers, body, duplex: "half" } as RequestInit;
    const { status, headers: fields, body: content } = await fetch(new Request(`http://localhost${url}`, init));
    response.writeHead(status, Object.fromEntries(fields));
    response.end(content === null ? "" : await new Response(content).text());
  } catch {
    if (!response.headersSent) response.writeHead(500);
    response.end();
  }
}

/** With the lightweight global classes that it installs when it starts: the handler is made when they are there. */
async function serveHono(): Promise<void> {
  const { serve } = await importPackage(launch.packages, "@hono/node-server");
  let fetch: FetchHandler | undefined;
  const forward: FetchHandler = (request) => fetch!(request);
  serve({ fetch: forward, port: 0, hostname: HOSTNAME }, async ({ port }: { port: number }) => {
    fetch = await handler();
    announce(port);
  });
}

async function serveSrvx(): Promise<void> {
  const { serve } = await importPackage(launch.packages, "srvx");
  const server = await serve({ fetch: await handler(), port: 0, hostname: HOSTNAME, silent: true }).ready();
  announce(Number(new URL(server.url ?? "").port));
}
