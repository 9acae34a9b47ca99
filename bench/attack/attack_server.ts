/**
 * A server under attack: Trivet, or the server of the runtime that runs this file.
 *
 * @module
 */

import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import process from "node:process";
import { Readable } from "node:stream";
import type { ServeOptions, ServerStats } from "../../mod.ts";
import { announce } from "../servers/launch.ts";
import { fetch } from "./attack_handler.ts";

/** What this server is told, as JSON in its first argument. */
export interface AttackLaunch {
  /** The URL of the module of Trivet: its source, or what was emitted for Node. */
  readonly trivet: string;
  readonly serves: "trivet" | "native";
  readonly options: Readonly<Record<string, unknown>>;
  /** Whether the handler is given as a module; else as a function. */
  readonly takesModule: boolean;
  /** Whether errors and warnings are counted here; else they are printed, as without options. */
  readonly counts: boolean;
}

/** What Trivet says of itself under attack. */
export interface AttackStats {
  readonly stats: ServerStats;
  readonly errors: Readonly<Record<string, number>>;
  readonly warnings: Readonly<Record<string, number>>;
}

const HOSTNAME = "127.0.0.1";
const launch: AttackLaunch = JSON.parse(process.argv[2] ?? "null");

if (launch.serves === "trivet") await serveTrivet(launch);
else if ("Deno" in globalThis) serveDeno();
else if ("Bun" in globalThis) serveBun();
else serveNode();

async function serveTrivet({ trivet, options, takesModule, counts }: AttackLaunch): Promise<void> {
  const { serve }: typeof import("../../mod.ts") = await import(trivet);
  const errors: Record<string, number> = {};
  const warnings: Record<string, number> = {};
  const all: ServeOptions = {
    port: 0,
    hostname: HOSTNAME,
    onListen: () => {},
    ...counts && {
      onError: ({ code }) => void (errors[code] = (errors[code] ?? 0) + 1),
      onWarning: ({ code }) => void (warnings[code] = (warnings[code] ?? 0) + 1),
    },
    ...options,
  };
  const module = new URL("attack_handler.ts", import.meta.url).href;
  const server = takesModule ? serve({ ...all, module }) : serve(all, fetch);
  await server.ready();
  announce(server.port, (): AttackStats => ({ stats: server.stats(), errors, warnings }));
}

function serveDeno(): void {
  const { addr } = Deno.serve({ port: 0, hostname: HOSTNAME, onListen: () => {} }, fetch);
  announce(addr.port);
}

function serveBun(): void {
  // The types of Bun are not here.
  const { Bun } = globalThis as unknown as { Bun: { serve(options: object): { port: number } } };
  announce(Bun.serve({ port: 0, hostname: HOSTNAME, fetch }).port);
}

/** Node's own takes no fetch handlers: the one that answers at once is written as its users write it. */
function serveNode(): void {
  const server = createServer((request, response) => {
    if (request.url !== "/hello") return void answer(request, response);
    response.setHeader("content-type", "text/plain;charset=UTF-8");
    response.end("hello");
  });
  server.listen(0, HOSTNAME, () => announce((server.address() as AddressInfo).port));
}

async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
  try {
    const { method = "GET", url = "/" } = request;
    const hasBody = method !== "GET" && method !== "HEAD";
    const headers = Object.entries(request.headers).map(([name, value]): [string, string] => [name, String(value)]);
    const body = hasBody ? Readable.toWeb(request) as ReadableStream<Uint8Array> : null;
    const init = { method, headers, body, duplex: "half" } as RequestInit;
    const { status, headers: fields, body: content } = await fetch(new Request(`http://localhost${url}`, init));
    response.writeHead(status, Object.fromEntries(fields));
    response.end(content === null ? "" : await new Response(content).text());
  } catch {
    if (!response.headersSent) response.writeHead(500);
    response.end();
  }
}
