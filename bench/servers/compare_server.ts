/**
 * Trivet under comparison: one handler under the model it is told, on the runtime that runs this file.
 *
 * @module
 */

import process from "node:process";
import type { ServeInit } from "../../mod.ts";
import { announce } from "./launch.ts";

/** What this server is told, as JSON in its first argument. */
export interface CompareLaunch {
  /** The URL of the module of Trivet: its source, or what was emitted for Node. */
  readonly trivet: string;
  /** The model and its numbers. */
  readonly options: Readonly<Record<string, unknown>>;
  /** Whether the handler is handed over as a module, which a thread can load, or as a function. */
  readonly asModule: boolean;
  /** The file of the handler, beside this one; `compare_handler.ts` unless told otherwise. */
  readonly handler?: string;
}

/** Room for a thousand clients that connect at the same time, where the runtime's own default has less. */
const BACKLOG = 4_096;

const { trivet, options, asModule, handler = "compare_handler.ts" }: CompareLaunch = JSON.parse(
  process.argv[2] ?? "null",
);
// For handlers that make responses of Trivet's own class: a thread is told nothing but the module it loads.
process.env.BENCH_TRIVET = trivet;
const { serve }: typeof import("../../mod.ts") = await import(trivet);

const handlerUrl = new URL(handler, import.meta.url).href;
const server = serve(
  {
    port: 0,
    hostname: "127.0.0.1",
    tcpBacklog: BACKLOG,
    onListen: () => {},
    ...options,
    ...(asModule ? { module: handlerUrl } : { fetch: (await import(handlerUrl)).default.fetch }),
  } as ServeInit,
);
await server.ready();
announce(server.port, () => server.stats());
