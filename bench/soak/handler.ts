/**
 * The handler of the soak, as a module that every model can run: it answers, it ends its thread when it is told to, and
 * it writes each call down before anything else, so that calls can be counted across threads.
 *
 * @module
 */

import { appendFileSync } from "node:fs";
import process from "node:process";
import type { HandlerInfo } from "../../mod.ts";

/** How a thread may be ended. */
export type Crash = "throw" | "reject" | "exit";

/** How many chunks a stream has, and how long it waits before each. */
export const STREAM_CHUNKS = 12;
const STREAM_GAP_MS = 3;

const journal = process.env.SOAK_JOURNAL ?? "";

export default {
  async fetch(request: Request, info: HandlerInfo): Promise<Response> {
    const { pathname, searchParams } = new URL(request.url);
    const [, kind, id] = pathname.split("/");
    if (journal !== "") appendFileSync(journal, `${id}\n`);
    const waitMs = Number(searchParams.get("wait"));
    switch (kind) {
      case "get":
        if (waitMs > 0) await wait(waitMs);
        return new Response(`get ${id}`);
      case "put":
      case "post": {
        const content = await request.text();
        await wait(waitMs);
        return new Response(`${kind} ${id} ${content}`);
      }
      case "upload": {
        let bytes = 0;
        for await (const chunk of request.body!) bytes += chunk.byteLength;
        return new Response(`upload ${id} ${bytes}`);
      }
      case "stream":
        return new Response(streamLines(`stream ${id}`));
      case "held":
        // Tells the client that the handler is under way.
        info.inform(103);
        return await hold(`held ${id}`, waitMs, request.signal);
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

/** Waits, and stops waiting when nothing waits for the response any more: a timer of its own would be left behind. */
function hold(text: string, ms: number, signal: AbortSignal): Promise<Response> {
  return new Promise((resolve) => {
    const end = () => resolve(new Response(text));
    const timer = setTimeout(end, ms);
    signal.addEventListener("abort", () => {
      clearTimeout(timer);
      end();
    });
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
