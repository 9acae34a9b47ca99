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
import type { HandlerName } from "../handlers.ts";

/** What a server is told, as JSON in its first argument. */
export interface LaunchOptions {
  /** What it serves. */
  readonly handler: HandlerName;
  /** Which class makes the responses: the server's own, where it has one, or the global one. */
  readonly responses: "own" | "global";
  /** The URL of the module of Trivet: its source, or what was emitted for Node. */
  readonly trivet: string;
  /** The folder in which the packages of npm were installed, if they are needed. */
  readonly packages: string;
  /** Whether connections may be idle or slow for as long as the measurement takes. */
  readonly patient: boolean;
  /** The request that will come, for a server that parses none. */
  readonly request?: PreparedRequest;
}

/** A request that is known beforehand. */
export interface PreparedRequest {
  readonly url: string;
  readonly fields: Readonly<Record<string, string>>;
  readonly contentBytes: number;
}

/** Nothing that is measured takes longer. */
const LIFETIME_MS = 20 * 60_000;
const STATS_LINE = "stats\n";
const COLLECTED = '{"collected":true}';

/** Reads what this server is told. */
export function readLaunchOptions(): LaunchOptions {
  return JSON.parse(process.argv[2] ?? "null");
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
  process.stdin.on("end", () => process.exit(0));
  setTimeout(() => process.exit(1), LIFETIME_MS).unref();
  console.log(JSON.stringify({ port }));
}

/** Needs `--expose-gc` on V8. */
function collectGarbage(): void {
  const { Bun, gc } = globalThis as { Bun?: { gc(synchronous: boolean): void }; gc?: () => void };
  if (Bun !== undefined) Bun.gc(true);
  else gc?.();
}
