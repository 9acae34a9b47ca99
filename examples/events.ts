/**
 * Server-sent events: the time, once a second, until the client leaves or the server stops.
 *
 * ```sh
 * deno run -A src/entry/cli.ts serve examples/events.ts
 * curl -N http://localhost:8000/
 * ```
 *
 * Ctrl+C stops the server gracefully: the event streams hear of it and end, so that nothing has to be cut off.
 *
 * @module
 */

import type { Handler } from "../mod.ts";

const EVERY_MS = 1_000;

const handler: Handler = (_request, { draining }) => {
  let stop = (): void => {};
  const body = new ReadableStream<string>({
    start(controller) {
      const timer = setInterval(() => controller.enqueue(`data: ${new Date().toISOString()}\n\n`), EVERY_MS);
      const end = (): void => {
        stop();
        controller.close();
      };
      // The signal is that of the whole server: what listens to it is kept until it is taken away.
      stop = () => {
        clearInterval(timer);
        draining.removeEventListener("abort", end);
      };
      if (draining.aborted) end();
      else draining.addEventListener("abort", end);
    },
    cancel: () => stop(),
  });
  const headers = { "content-type": "text/event-stream", "cache-control": "no-store" };
  return new Response(body.pipeThrough(new TextEncoderStream()), { headers });
};

export default { fetch: handler };
