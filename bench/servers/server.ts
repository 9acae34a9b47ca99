/**
 * A server under test: Trivet with any options, the own server of the runtime that runs this file, or one from npm.
 *
 * @module
 */

import cluster from "node:cluster";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import type { ServeInit } from "../../mod.ts";
import { type FetchHandler, importPackage } from "../load/handlers.ts";
import { announce, readLaunch } from "./launch.ts";
import { createNodeHandler } from "./node_handlers.ts";

/** What is used of Bun, whose type declarations are not here. */
interface BunGlobal {
  serve(options: object): { readonly port: number };
}

const HOSTNAME = "127.0.0.1";
/** Room for a thousand clients that connect at the same time, where the runtime's own default has less. */
const BACKLOG = 4_096;
/** Of what is measured, only the upload of a gigabyte is beyond the default. */
const MAX_BODY_BYTES = 2 ** 31;
const PATIENCE_MS = 600_000;
const PROCESSES = 2;

const launch = readLaunch();
const moduleUrl = new URL(launch.module, import.meta.url).href;
const handler = async (): Promise<FetchHandler> => (await import(moduleUrl)).default.fetch;

switch (launch.serves) {
  case "trivet":
    await serveTrivet();
    break;
  case "own":
    if ("Deno" in globalThis) await serveDeno();
    else if ("Bun" in globalThis) await serveBun();
    else if (launch.handler.startsWith("hono")) await serveHono();
    else if (launch.handler.startsWith("h3")) await serveSrvx();
    else serveNode();
    break;
  case "hono":
    await serveHono();
    break;
  case "srvx":
    await serveSrvx();
}

async function serveTrivet(): Promise<void> {
  const { trivet, responses, options, asModule, patient, handler: name } = launch;
  // First, as users import it: what is loaded later sees it.
  if (responses === "fast") await import(trivet.replace(/mod(\.[jt]s)$/, "src/entry/fast_response$1"));
  const { serve }: typeof import("../../mod.ts") = await import(trivet);
  const patience = { headersTimeout: PATIENCE_MS, requestTimeout: PATIENCE_MS, keepAliveTimeout: PATIENCE_MS };
  const server = serve(
    {
      port: 0,
      hostname: HOSTNAME,
      tcpBacklog: BACKLOG,
      onListen: () => {},
      // That all threads are busy is what is measured.
      onWarning: asModule ? () => {} : undefined,
      ...name === "count" && { maxRequestBodySize: MAX_BODY_BYTES },
      ...patient && patience,
      ...options,
      ...asModule ? { module: moduleUrl } : { fetch: await handler() },
    } as ServeInit,
  );
  await server.ready();
  announce(server.port, () => server.stats());
}

async function serveDeno(): Promise<void> {
  const fetch = await handler();
  Deno.serve({ port: 0, hostname: HOSTNAME, onListen: ({ port }) => announce(port) }, fetch);
}

async function serveBun(): Promise<void> {
  const { Bun } = globalThis as unknown as { Bun: BunGlobal };
  const { port } = Bun.serve({
    port: launch.sharedPort,
    hostname: HOSTNAME,
    reusePort: launch.sharedPort > 0,
    // In seconds; 10 is the default and 0 is never.
    idleTimeout: launch.patient ? 0 : 10,
    maxRequestBodySize: MAX_BODY_BYTES,
    fetch: await handler(),
  });
  announce(port);
}

/** Handlers as users of `node:http` write them: they pay neither for a Request nor for a Response. */
function serveNode(): void {
  if (launch.sharedPort > 0 && cluster.isPrimary) {
    for (let i = 0; i < PROCESSES; i++) cluster.fork();
    return;
  }
  const server = createServer(createNodeHandler(launch.handler));
  if (launch.patient) {
    server.headersTimeout = 0;
    server.requestTimeout = 0;
    server.keepAliveTimeout = PATIENCE_MS;
  }
  server.listen(launch.sharedPort, HOSTNAME, () => announce((server.address() as AddressInfo).port));
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
