/**
 * A server under test: Trivet with any options, the own server of the runtime that runs this file, or one from npm.
 */

import cluster from "node:cluster";
import { createServer, type Server as NodeServer } from "node:http";
import { createServer as createTlsServer } from "node:https";
import { readdirSync } from "node:fs";
import process from "node:process";
import { setTimeout as rest } from "node:timers/promises";
import type { ServeInit, Server, ShutdownReport } from "../../mod.ts";
import { type FetchHandler, importPackage } from "../load/handlers.ts";
import { announce, BACKLOG, Bun, HOSTNAME, listenOnNode, readLaunch } from "./launch.ts";
import { createNodeHandler } from "./node_handlers.ts";
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
else if ("Deno" in globalThis) await serveDeno();
else if ("Bun" in globalThis) await serveBun();
else if (name.startsWith("hono")) await serveHono();
else if (name.startsWith("h3")) await serveSrvx();
else await serveNode();

async function serveTrivet(): Promise<void> {
  const { trivet, responses, options, asModule, counted } = launch;
  // First, as users import it: what is loaded later sees it.
  if (responses === "fast") await import(trivet.replace(/mod(\.[jt]s)$/, "src/entry/fast_response$1"));
  const { serve }: typeof import("../../mod.ts") = await import(trivet);
  const patience = { headersTimeout: PATIENCE_MS, requestTimeout: PATIENCE_MS, keepAliveTimeout: PATIENCE_MS };
  const counts: Record<"onError" | "onWarning", Record<string, number>> = { onError: {}, onWarning: {} };
  const counters = counted.map((event) => [event, ({ code }: { code: string }) => {
    counts[event][code] = (counts[event][code] ?? 0) + 1;
  }]);
  const init = {
    port: 0,
    hostname: HOSTNAME,
    onListen: () => {},
    tls,
    ...Object.fromEntries(counters),
    ...name === "count" && { maxRequestBodySize: MAX_BODY_BYTES },
    ...patient && patience,
    ...options,
    ...asModule ? { module: moduleUrl } : { fetch: await handler() },
  } as ServeInit;
  let server = await serve(init).ready();
  announce(server.port, {
    stats: () => ({ stats: server.stats(), errors: counts.onError, warnings: counts.onWarning, losses, readyMs }),
    watch: () => watchThreads(server),
    /** Starts it anew, once it was stopped. */
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

/** How a server has stopped, and how many threads the process has in the moment in which that is told. */
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

async function serveDeno(): Promise<void> {
  const onListen = ({ port }: Deno.NetAddr) => announce(port);
  Deno.serve({ port: 0, hostname: HOSTNAME, tcpBacklog: BACKLOG, ...tls!, onListen }, await handler());
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

/** Handlers as users of `node:http` write them: they pay neither for a Request nor for a Response. */
async function serveNode(): Promise<void> {
  if (sharedPort > 0 && cluster.isPrimary) {
    for (let i = 0; i < PROCESSES; i++) cluster.fork();
    return;
  }
  const answer = name === "ws" ? undefined : await createNodeHandler(name, handler);
  const server = tls === undefined ? createServer(answer) : createTlsServer(tls, answer);
  if (name === "ws") await upgradeWithWs(server as NodeServer, launch.packages);
  if (patient) {
    server.headersTimeout = 0;
    server.requestTimeout = 0;
    server.keepAliveTimeout = PATIENCE_MS;
  }
  listenOnNode(server, sharedPort);
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
