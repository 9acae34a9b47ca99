/**
 * Starts and stops servers in one process, as it is told in lines, and says what the process has.
 *
 * It never ends itself: when its standard input has ended, nothing but a leak can keep it alive.
 *
 * @module
 */

import process from "node:process";
import type { ServeInit, Server, ShutdownReport } from "../../mod.ts";
import { sampleProcess, threadCount } from "./process_sample.ts";

/** What the program is told, as JSON in its first argument. */
export interface RoundsLaunch {
  /** The URL of the module of Trivet: its source, or what was emitted for Node. */
  readonly trivet: string;
  readonly options: Readonly<Record<string, unknown>>;
  /** Whether the handler is handed over as a module or as a function. */
  readonly asModule: boolean;
}

/** How a server has stopped. */
export interface RoundReport extends ShutdownReport {
  /** Threads of the process in the moment in which the stop was told to be over. */
  readonly threadsAtEnd: number;
}

/** A graceful stop that is overtaken has begun for so long. */
const OVERTAKEN_AFTER_MS = 5;

const { trivet, options, asModule }: RoundsLaunch = JSON.parse(process.argv[2] ?? "null");
const { serve }: typeof import("../../mod.ts") = await import(trivet);
const handlerUrl = new URL("rounds_handler.ts", import.meta.url).href;
const handler = asModule ? { module: handlerUrl } : { fetch: (await import(handlerUrl)).default.fetch };

let server: Server;

const COMMANDS: Readonly<Record<string, () => Promise<unknown>>> = {
  async start() {
    server = serve({ port: 0, hostname: "127.0.0.1", onListen: () => {}, ...options, ...handler } as ServeInit);
    await server.ready();
    return { port: server.port };
  },
  drain: () => reportOf(server.shutdown()),
  async cut() {
    const graceful = server.shutdown();
    await new Promise((resolve) => setTimeout(resolve, OVERTAKEN_AFTER_MS));
    await server.stop();
    return await reportOf(graceful);
  },
  waiting: () => Promise.resolve(server.stats().queue.waiting),
  measure: sampleProcess,
};

async function reportOf(stopping: Promise<ShutdownReport>): Promise<RoundReport> {
  const report = await stopping;
  const threadsAtEnd = threadCount();
  await server.finished;
  return { ...report, threadsAtEnd };
}

process.stdin.on("data", async (line: Uint8Array) => {
  const command = COMMANDS[new TextDecoder().decode(line).trim()];
  try {
    console.log(JSON.stringify(await command()));
  } catch (error) {
    console.log(JSON.stringify({ error: String((error as Error).stack ?? error) }));
  }
});
