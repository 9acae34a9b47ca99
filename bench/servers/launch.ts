/**
 * What every server under test has in common: how it is told what to serve, and how it ends.
 *
 * A server is told its port by the system and tells it in one line of JSON. It ends when its standard input ends, which
 * is when the program that started it has ended, in whatever way; and after its lifetime in any case. The line "stats" on
 * standard input asks for the server's own counts, any other line makes it collect garbage; both are answered in a line.
 *
 * @module
 */

import process from "node:process";
import type { HandlerName } from "../load/handlers.ts";

/** What a server is told, as JSON in its environment. */
export interface ServerLaunch {
  readonly serves: "trivet" | "own" | "hono" | "srvx";
  /** The URL of the module of Trivet: its source, or what was emitted for Node. */
  readonly trivet: string;
  /** The module of the handler, beside the servers' folder. */
  readonly module: string;
  /** Options of Trivet; whether it is handed the module and not its function. */
  readonly options: Readonly<Record<string, unknown>>;
  readonly asModule: boolean;
  /** Whether connections may be idle or slow for as long as the measurement takes. */
  readonly patient: boolean;
  /** Of the handlers of the load benchmark: which one. */
  readonly handler: HandlerName;
  /** Which class makes the responses: Trivet's, the global one, the global one once it is Trivet's, or that of srvx. */
  readonly responses: "own" | "global" | "fast" | "srvx";
  /** The folder in which the packages of npm were installed, if they are needed. */
  readonly packages: string;
  /** Where to listen when others listen there too: then it is one of several processes. */
  readonly sharedPort: number;
  /** The request that will come, for a server that parses none. */
  readonly request: { readonly url: string; readonly fields: Record<string, string>; readonly contentBytes: number };
}

/** Nothing that is measured takes longer. */
const LIFETIME_MS = 20 * 60_000;
const STATS_LINE = "stats\n";
const COLLECTED = '{"collected":true}';

/** Reads what this server is told. */
export function readLaunch(): ServerLaunch {
  return JSON.parse(process.env.BENCH_LAUNCH ?? "null");
}

/**
 * Tells the port, and from now on listens for the end.
 *
 * @param port Where the server listens.
 * @param stats Gives what the server counts itself.
 */
export function announce(port: number, stats: () => unknown = () => null): void {
  process.stdin.on("data", async (line: Uint8Array) => {
    if (new TextDecoder().decode(line) === STATS_LINE) {
      console.log(JSON.stringify(await stats()));
      return;
    }
    collectGarbage();
    console.log(COLLECTED);
  });
  // One of several processes is ended by what started them.
  if (!(readLaunch()?.sharedPort > 0)) process.stdin.on("end", () => process.exit(0));
  setTimeout(() => process.exit(1), LIFETIME_MS).unref();
  console.log(JSON.stringify({ port }));
}

/** Needs `--expose-gc` on V8. */
function collectGarbage(): void {
  const { Bun, gc } = globalThis as { Bun?: { gc(synchronous: boolean): void }; gc?: () => void };
  if (Bun !== undefined) Bun.gc(true);
  else gc?.();
}
