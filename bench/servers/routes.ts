/**
 * The handler of the lab, the attacks and the soak, as a module that every model can run. A path is `/name` with a
 * number behind `?`, or, of the soak, `/name/id?wait=MS`, where each call is written down first, so that calls can be
 * counted across threads. What it answers is known beforehand.
 */

import { once } from "node:events";
import { appendFileSync } from "node:fs";
import process from "node:process";
import { setTimeout as sleep } from "node:timers/promises";
import type { HandlerInfo } from "../../mod.ts";
import { countBytes } from "../load/handlers.ts";
import { readLaunch } from "./launch.ts";

export type Crash = "throw" | "reject" | "exit";

interface Call {
  readonly request: Request;
  readonly info: HandlerInfo;
  readonly id: string;
  /** What stands behind `?`: a number, or parameters. */
  readonly number: number;
  readonly waitMs: number;
  readonly how: Crash;
}

const FNV_OFFSET = 0x811c9dc5;
const FNV_PRIME = 0x01000193;
/** How many chunks a stream has, and how long it waits before each. */
export const STREAM_CHUNKS = 12;
const STREAM_GAP_MS = 3;
const BOMB_MIB = 8;
const BOMB_PAUSE_MS = 5;

const { journal } = readLaunch();

const ROUTES: Readonly<Record<string, (call: Call) => string | Response | Promise<string | Response>>> = {
  hello: () => "hello",
  hash: ({ number }) => hash(number),
  sleep: ({ number }) => sleep(number, "slept"),
  compute({ number }) {
    const untilMs = performance.now() + number;
    while (performance.now() < untilMs);
    return "computed";
  },
  "read-late": async ({ request, number }) => {
    await sleep(number);
    return String((await request.text()).length);
  },
  "read-stream": async ({ request }) => String(await countBytes(request)),
  names: ({ request }) => String([...request.headers].reduce((chars, [name]) => chars + name.length, 0)),

  // Of the soak.
  get: async ({ id, waitMs }) => {
    if (waitMs > 0) await sleep(waitMs);
    return `get ${id}`;
  },
  put: answerContent,
  post: answerContent,
  upload: async ({ request, id }) => `upload ${id} ${await countBytes(request)}`,
  stream: ({ id }) => new Response(streamLines(`stream ${id}`)),
  held({ info, id, waitMs, request }) {
    // Tells the client that the handler is under way.
    info.inform(103);
    // Until the server stops, and for longer: but no longer than something waits for the response.
    const { signal } = request;
    const stopping = once(info.draining, "abort", { signal });
    return stopping.then(() => sleep(waitMs, `held ${id}`, { signal })).catch(() => "given up");
  },

  // Going wrong.
  kill({ id, waitMs, how }) {
    setTimeout(() => crash(how), waitMs);
    return `kill ${id}`;
  },
  spin: () => {
    for (;;);
  },
  reject() {
    Promise.reject(new Error("No part of the handler waits for this."));
    return sleep(100, "rejected");
  },
  throw: () => {
    throw new Error("A handler that throws.");
  },
  "throw-later": async () => {
    await sleep(1);
    throw new Error("A handler that throws later.");
  },
  bomb: async ({ number }) => {
    const kept: number[][] = [];
    for (let i = 0; i < number / BOMB_MIB; i++) {
      kept.push(new Array(BOMB_MIB * 2 ** 17).fill(i + 0.5));
      await sleep(BOMB_PAUSE_MS);
    }
    return String(kept.length);
  },
};

export default {
  fetch(request: Request, info: HandlerInfo): Response | Promise<Response> {
    const { pathname, search, searchParams } = new URL(request.url);
    const [, kind, id = ""] = pathname.split("/");
    if (journal !== "") appendFileSync(journal, `${id}\n`);
    const [waitMs, how] = [Number(searchParams.get("wait")), searchParams.get("how") as Crash];
    const content = ROUTES[kind]?.({ request, info, id, number: Number(search.slice(1)), waitMs, how });
    if (content === undefined) return new Response("nothing here", { status: 404 });
    return content instanceof Promise ? content.then(responseOf) : responseOf(content);
  },
};

function responseOf(content: string | Response): Response {
  if (typeof content !== "string") return content;
  return new Response(content, { headers: { "content-type": "text/plain;charset=UTF-8" } });
}

/**
 * Computes, and does nothing else: FNV-1a over so many bytes, each of which depends on the hash so far, so that no round
 * can begin before the one before it is done and none can be left out.
 */
export function hash(rounds: number): string {
  let hash = FNV_OFFSET;
  for (let i = 0; i < rounds; i++) hash = Math.imul(hash ^ (i & 0xff) ^ (hash >>> 24), FNV_PRIME);
  return (hash >>> 0).toString(16).padStart(8, "0");
}

async function answerContent({ request, id, waitMs }: Call): Promise<string> {
  const content = await request.text();
  await sleep(waitMs);
  return `${request.method.toLowerCase()} ${id} ${content}`;
}

function streamLines(line: string): ReadableStream<Uint8Array> {
  const encoder = new TextEncoder();
  let sent = 0;
  return new ReadableStream({
    async pull(controller) {
      await sleep(STREAM_GAP_MS);
      controller.enqueue(encoder.encode(`${line} ${sent}\n`));
      if (++sent === STREAM_CHUNKS) controller.close();
    },
  });
}

function crash(how: Crash): void {
  if (how === "exit") process.exit(7);
  const error = new Error("A thread was told to crash.");
  if (how === "throw") throw error;
  Promise.reject(error);
}
