/**
 * The routes of the lanes: which there are, and a run of traffic through all of them, told while it goes on.
 *
 * @module
 */

import { HttpResponse } from "../../../mod.ts";
import { LANES } from "./lanes.ts";
import { type LaneProcesses, MODELS } from "./processes.ts";
import { RUN_MS, sendThrough, TRAFFICS } from "./traffic.ts";

/** Describes the lanes. */
export function sendLanes(): Response {
  const lanes = MODELS.map((model) => {
    const { code, text } = LANES[model];
    return { model, code, text };
  });
  return HttpResponse.json({ lanes, runMs: RUN_MS });
}

/** Makes the route that runs traffic through the lanes. One run at a time. */
export function createRun(processes: LaneProcesses): (request: Request) => Promise<Response> {
  let isUnderWay = false;
  return async (request) => {
    const traffic = TRAFFICS[new URL(request.url).searchParams.get("traffic") ?? ""];
    if (traffic === undefined) return new HttpResponse("There is no such traffic.\n", { status: 400 });
    if (isUnderWay) {
      return new HttpResponse("A run is under way.\n", { status: 503, headers: { "retry-after": "7" } });
    }
    isUnderWay = true;
    let ports: readonly number[];
    try {
      ports = await Promise.all(MODELS.map((model) => processes.port(model)));
    } catch (error) {
      isUnderWay = false;
      return new HttpResponse(`${error instanceof Error ? error.message : error}\n`, { status: 500 });
    }
    const left = new AbortController();
    const body = new ReadableStream<string>({
      start(controller) {
        const tell = (event: object): void => {
          if (!left.signal.aborted) controller.enqueue(`${JSON.stringify(event)}\n`);
        };
        tell({ ports: Object.fromEntries(MODELS.map((model, i) => [model, ports[i]])) });
        const runs = MODELS.map((model, i) => {
          // Where there are no threads it would be the whole lane that ends.
          const endsThreads = traffic.endsThreads && LANES[model].hasThreads;
          return sendThrough(model, ports[i], { ...traffic, endsThreads }, left.signal, tell);
        });
        void Promise.allSettled(runs).then(() => {
          isUnderWay = false;
          if (!left.signal.aborted) controller.close();
        });
      },
      cancel: () => left.abort(),
    });
    return new HttpResponse(body.pipeThrough(new TextEncoderStream()), {
      headers: { "content-type": "application/x-ndjson", "cache-control": "no-store" },
    });
  };
}
