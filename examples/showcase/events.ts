/**
 * The counts of a server as server-sent events.
 *
 * @module
 */

import type { ServerStats } from "../../mod.ts";
import { memoryBytes } from "./about.ts";

const TICK_MS = 500;

const encoder = new TextEncoder();

/**
 * An event with the counts now and at each tick. The stream ends when its reader cancels it, which the server does when
 * the client has left, and when the server drains: an exchange that goes on for ever would hold up the stop.
 *
 * @param stats Gives the counts.
 */
export function streamStats(stats: () => ServerStats): ReadableStream<Uint8Array<ArrayBuffer>> {
  let timer: ReturnType<typeof setInterval> | undefined;
  return new ReadableStream({
    start(controller) {
      const tick = (): void => {
        const counts = stats();
        if (counts.draining) {
          clearInterval(timer);
          controller.enqueue(encodeEvent("stop", {}));
          controller.close();
          return;
        }
        // A client that does not keep up misses ticks instead of having them pile up here.
        if ((controller.desiredSize ?? 0) <= 0) return;
        controller.enqueue(encodeEvent("stats", { ...counts, memoryBytes: memoryBytes() }));
      };
      timer = setInterval(tick, TICK_MS);
      tick();
    },
    cancel() {
      clearInterval(timer);
    },
  });
}

function encodeEvent(name: string, value: unknown): Uint8Array<ArrayBuffer> {
  return encoder.encode(`event: ${name}\ndata: ${JSON.stringify(value)}\n\n`);
}
