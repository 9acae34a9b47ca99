/**
 * What the servers under attack do: ordinary handlers, and those that go wrong in the ways that an attack needs.
 *
 * @module
 */

import { isMainThread, parentPort } from "node:worker_threads";

type Handler = (request: Request) => Response | Promise<Response>;

/** Different in each thread. */
const THREAD = crypto.randomUUID().slice(0, 8);
/** What a bomb allocates at a time, 8 MiB, and when it pauses. */
const BOMB_ITEMS = 2 ** 20;
const BOMB_MIB = 8;
const BOMB_PAUSE_MS = 5;
let calls = 0;

const sleep = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));
const text = (content: string) => new Response(content, { headers: { "content-type": "text/plain;charset=UTF-8" } });

const ROUTES: Readonly<Record<string, (request: Request, number: number) => Response | Promise<Response>>> = {
  "/hello": () => text("hello"),
  "/thread": () => text(THREAD),
  "/calls": () => text(`${THREAD} ${calls}`),
  "/method": ({ method }) => text(method),
  "/sleep": async (_request, ms) => {
    await sleep(ms);
    return text("slept");
  },
  "/compute": (_request, ms) => {
    const untilMs = performance.now() + ms;
    while (performance.now() < untilMs);
    return text("computed");
  },
  "/read-late": async (request, ms) => {
    await sleep(ms);
    return text(String((await request.text()).length));
  },
  "/read-stream": async (request) => {
    let bytes = 0;
    for await (const chunk of request.body!) bytes += chunk.byteLength;
    return text(String(bytes));
  },
  "/names": ({ headers }) => {
    let chars = 0;
    for (const [name] of headers) chars += name.length;
    return text(String(chars));
  },
  // Going wrong.
  "/reject": async () => {
    Promise.reject(new Error("No part of the handler waits for this."));
    await sleep(100);
    return text("rejected");
  },
  "/throw": () => {
    throw new Error("A handler that throws.");
  },
  "/throw-later": async () => {
    await sleep(1);
    throw new Error("A handler that throws later.");
  },
  "/post-message": () => {
    if (!isMainThread) parentPort?.postMessage({});
    return text("posted");
  },
  "/bomb": async (_request, mib) => {
    const kept: number[][] = [];
    for (let i = 0; i < mib / BOMB_MIB; i++) {
      kept.push(new Array(BOMB_ITEMS).fill(i + 0.5));
      await sleep(BOMB_PAUSE_MS);
    }
    return text(String(kept.length));
  },
};

/** Answers by path; the path's number is that behind `?`. */
export const fetch: Handler = (request) => {
  calls++;
  const { pathname, search } = new URL(request.url);
  return ROUTES[pathname]?.(request, Number(search.slice(1))) ?? new Response("nothing here", { status: 404 });
};

export default { fetch };
