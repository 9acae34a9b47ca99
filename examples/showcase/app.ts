/**
 * The routes of the showcase.
 *
 * The default export runs under `trivet serve` on every runtime. It has no server whose counts it could show there;
 * `main.ts`, which has one, hands it in.
 *
 * @module
 */

import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { setTimeout as delay } from "node:timers/promises";
import { type HandlerInfo, HttpResponse, type ServeInit, type ServerStats } from "../../mod.ts";
import { runtimeName } from "./about.ts";
import { streamStats } from "./events.ts";
import { LaneProcesses } from "./lanes/processes.ts";
import { createRun, sendLanes } from "./lanes/routes.ts";
import { sendLoad } from "./load.ts";
import { talk } from "./wire.ts";
import { WIRE_CASES } from "./wire_cases.ts";

type Route = (request: Request, info: HandlerInfo) => Response | Promise<Response>;

const MAX_SLOW_MS = 5_000;

/** The page loads nothing from anywhere else. */
const PAGE_POLICY = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:";

/** The files of the page; nothing else of the disk can be asked for. */
const PAGE_FILES = [
  ["/", "index.html", "text/html;charset=UTF-8"],
  ["/style.css", "style.css", "text/css;charset=UTF-8"],
  ["/sections.css", "sections.css", "text/css;charset=UTF-8"],
  ["/lanes.css", "lanes.css", "text/css;charset=UTF-8"],
  ["/lanes.js", "lanes.js", "text/javascript;charset=UTF-8"],
  ["/live.js", "live.js", "text/javascript;charset=UTF-8"],
  ["/routes.js", "routes.js", "text/javascript;charset=UTF-8"],
  ["/wire.js", "wire.js", "text/javascript;charset=UTF-8"],
] as const;

/**
 * Makes the showcase: a handler with the options it wants.
 *
 * @param stats Gives the counts of the server that runs it, where they are known.
 * @param processes Where the lanes run; ended by the caller, or with this process.
 */
export function createShowcase(stats?: () => ServerStats, processes = new LaneProcesses()): ServeInit {
  let isLoadUnderWay = false;
  const runLoad: Route = async (_request, { localAddr }) => {
    if (localAddr.transport !== "tcp") return refuseWithoutTcp();
    if (isLoadUnderWay) {
      return new HttpResponse("A load is under way.\n", { status: 503, headers: { "retry-after": "2" } });
    }
    isLoadUnderWay = true;
    try {
      return HttpResponse.json(await sendLoad(localAddr));
    } finally {
      isLoadUnderWay = false;
    }
  };
  const routes = new Map<string, Route>([
    ...PAGE_FILES.map(([path, file, type]): [string, Route] => [`GET ${path}`, () => sendFile(file, type)]),
    ["GET /api/about", () => HttpResponse.json({ runtime: runtimeName, hasStats: stats !== undefined })],
    ["GET /api/events", () => sendEvents(stats)],
    ["GET /api/lanes", sendLanes],
    ["POST /api/lanes", createRun(processes)],
    ["GET /api/ping", () => new HttpResponse("pong\n")],
    ["GET /api/time", sendTime],
    ["POST /api/echo", echo],
    ["POST /api/length", sendLength],
    ["GET /api/slow", sendSlowly],
    ["GET /api/hints", sendHints],
    ["GET /api/failing", fail],
    ["GET /api/wire", sendWireCases],
    ["POST /api/wire", runWireCase],
    ["POST /api/load", runLoad],
  ]);
  return {
    fetch: (request, info) => {
      const { pathname } = new URL(request.url);
      const method = request.method === "HEAD" ? "GET" : request.method;
      const route = routes.get(`${method} ${pathname}`);
      return route === undefined ? refuse(routes, pathname) : route(request, info);
    },
    // Short enough to be watched.
    headersTimeout: 5_000,
  };
}

/** Says everything about a request that a handler can know. */
function sendTime(request: Request, info: HandlerInfo): Response {
  const { pathname, searchParams } = new URL(request.url);
  return HttpResponse.json({
    time: new Date().toISOString(),
    runtime: runtimeName,
    path: pathname,
    query: Object.fromEntries(searchParams),
    note: request.headers.get("x-note"),
    language: request.headers.get("accept-language"),
    peer: info.remoteAddr,
  });
}

/** Sends the content back as it comes: what the client does not take is not read from it either. */
function echo(request: Request, info: HandlerInfo): Response {
  const digest = createHash("sha256");
  const content = request.body?.pipeThrough(
    new TransformStream<Uint8Array<ArrayBuffer>, Uint8Array<ArrayBuffer>>({
      transform(bytes, controller) {
        digest.update(bytes);
        controller.enqueue(bytes);
      },
    }),
  );
  // RFC 9530 section 2: the digest of content that is made on the way is known at its end.
  info.sendTrailers(() => ({ "content-digest": `sha-256=:${digest.digest("base64")}:` }));
  // What a client sends in must not come out as a document of this origin.
  const headers = { "content-type": "application/octet-stream", "x-content-type-options": "nosniff" };
  return new HttpResponse(content ?? null, { headers });
}

/** Reads content of any length without keeping it. */
async function sendLength(request: Request): Promise<Response> {
  let length = 0;
  for await (const bytes of request.body ?? []) length += bytes.byteLength;
  return HttpResponse.json({ length });
}

/** Waits as long as it is asked to, or until the client has left. */
async function sendSlowly(request: Request): Promise<Response> {
  const asked = Number(new URL(request.url).searchParams.get("ms") ?? 1_000);
  if (!(asked >= 0 && asked <= MAX_SLOW_MS)) {
    return new HttpResponse(`ms must be from 0 to ${MAX_SLOW_MS}\n`, { status: 400 });
  }
  await delay(asked, undefined, { signal: request.signal });
  return HttpResponse.json({ waitedMs: asked });
}

function sendHints(_request: Request, info: HandlerInfo): Response {
  info.inform(103, { link: "</style.css>; rel=preload; as=style" });
  return new HttpResponse("The style sheet was hinted at before this.\n");
}

function fail(): Response {
  throw new Error("The showcase was asked to fail.");
}

function sendEvents(stats: (() => ServerStats) | undefined): Response {
  if (stats === undefined) return new HttpResponse("Start main.ts to see the counts.\n", { status: 404 });
  return new HttpResponse(streamStats(stats), {
    headers: { "content-type": "text/event-stream", "cache-control": "no-store" },
  });
}

function sendWireCases(): Response {
  return HttpResponse.json(WIRE_CASES.map(({ pieces: _, ...shown }) => shown));
}

/** Sends one of the known conversations to this server itself: never other bytes, and never to anywhere else. */
async function runWireCase(request: Request, info: HandlerInfo): Promise<Response> {
  const id = new URL(request.url).searchParams.get("id");
  const found = WIRE_CASES.find((wireCase) => wireCase.id === id);
  if (found === undefined) return new HttpResponse("There is no such case.\n", { status: 404 });
  const { localAddr } = info;
  if (localAddr.transport !== "tcp") return refuseWithoutTcp();
  return HttpResponse.json(await talk(localAddr, found.pieces));
}

function refuseWithoutTcp(): Response {
  return new HttpResponse("This needs a server that listens at a TCP port.\n", { status: 409 });
}

async function sendFile(file: string, type: string): Promise<Response> {
  const content = await readFile(new URL(`./page/${file}`, import.meta.url), "utf8");
  return new HttpResponse(content, {
    headers: { "content-type": type, "content-security-policy": PAGE_POLICY, "cache-control": "no-cache" },
  });
}

function refuse(routes: ReadonlyMap<string, Route>, pathname: string): Response {
  const allowed = ["GET", "POST"].filter((method) => routes.has(`${method} ${pathname}`));
  if (allowed.length === 0) return new HttpResponse("There is nothing here.\n", { status: 404 });
  // RFC 9110 section 15.5.6: Allow says what would have been possible.
  return new HttpResponse(`Allowed: ${allowed.join(", ")}\n`, { status: 405, headers: { allow: allowed.join(", ") } });
}

const showcase: ServeInit = createShowcase();

export default showcase;
