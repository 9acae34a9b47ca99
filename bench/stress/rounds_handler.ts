/**
 * The handler of the start and stop rounds, as a module that every model can run.
 *
 * @module
 */

import type { HandlerInfo } from "../../mod.ts";

/** How many chunks of how many bytes the stream has. */
export const STREAM_CHUNKS = 16;
export const STREAM_CHUNK_BYTES = 4 * 1024;

export default {
  fetch(request: Request, info: HandlerInfo): Response | Promise<Response> {
    const { pathname, search } = new URL(request.url);
    switch (pathname) {
      case "/text":
        return new Response("text");
      case "/echo":
        return request.text().then((text) => new Response(text));
      case "/count":
        return countContent(request);
      case "/stream":
        return new Response(streamChunks());
      case "/held":
        // Tells the client that the handler is under way.
        info.inform(103);
        return hold(Number(search.slice(1)), request.signal);
      default:
        return new Response("There is no such page.", { status: 404 });
    }
  },
};

async function countContent(request: Request): Promise<Response> {
  let bytes = 0;
  for await (const chunk of request.body!) bytes += chunk.byteLength;
  return new Response(String(bytes));
}

function streamChunks(): ReadableStream<Uint8Array> {
  let sent = 0;
  return new ReadableStream({
    async pull(controller) {
      await new Promise((resolve) => setTimeout(resolve, 0));
      controller.enqueue(new Uint8Array(STREAM_CHUNK_BYTES).fill(97 + sent));
      if (++sent === STREAM_CHUNKS) controller.close();
    },
  });
}

/** Waits, and stops waiting when nobody waits for the response any more: a timer of its own would be left behind. */
function hold(ms: number, signal: AbortSignal): Promise<Response> {
  return new Promise((resolve) => {
    const end = () => resolve(new Response("held"));
    const timer = setTimeout(end, ms);
    signal.addEventListener("abort", () => {
      clearTimeout(timer);
      end();
    });
  });
}
