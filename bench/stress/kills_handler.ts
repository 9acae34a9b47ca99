/**
 * The handler of the kills, as a module: it answers, it ends its thread when it is told to, and it writes each call down
 * before anything else, so that calls can be counted across threads.
 *
 * @module
 */

import { appendFileSync } from "node:fs";
import process from "node:process";

/** How a thread may be ended. */
export type Crash = "throw" | "reject" | "exit";

/** How many chunks a stream has, and how long it waits before each. */
export const STREAM_CHUNKS = 12;
const STREAM_GAP_MS = 3;

const journal = process.env.STRESS_JOURNAL;

export default {
  fetch(request: Request): Response | Promise<Response> {
    const { pathname, searchParams } = new URL(request.url);
    const [, kind, id] = pathname.split("/");
    if (journal !== undefined) appendFileSync(journal, `${id}\n`);
    const waitMs = Number(searchParams.get("wait"));
    switch (kind) {
      case "get":
        return waitMs === 0 ? new Response(`get ${id}`) : wait(waitMs).then(() => new Response(`get ${id}`));
      case "put":
      case "post":
        return answerContent(request, `${kind} ${id}`, waitMs);
      case "upload":
        return countContent(request, `upload ${id}`);
      case "stream":
        return new Response(streamLines(`stream ${id}`));
      case "kill":
        setTimeout(() => crash(searchParams.get("how") as Crash), waitMs);
        return new Response(`kill ${id}`);
      case "spin":
        for (;;);
      default:
        return new Response("There is no such page.", { status: 404 });
    }
  },
};

async function answerContent(request: Request, start: string, waitMs: number): Promise<Response> {
  const content = await request.text();
  await wait(waitMs);
  return new Response(`${start} ${content}`);
}

async function countContent(request: Request, start: string): Promise<Response> {
  let bytes = 0;
  for await (const chunk of request.body!) bytes += chunk.byteLength;
  return new Response(`${start} ${bytes}`);
}

function streamLines(line: string): ReadableStream<Uint8Array> {
  const encoder = new TextEncoder();
  let sent = 0;
  return new ReadableStream({
    async pull(controller) {
      await wait(STREAM_GAP_MS);
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

function wait(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
