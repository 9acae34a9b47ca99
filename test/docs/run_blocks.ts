/**
 * Runs code blocks of one page, one after the other, on the runtime that runs this.
 *
 * A block is a module; it runs by being imported. What it serves, or what it exports for a server to serve, gets a
 * request for `/` and must answer it with something else than a failure.
 *
 * @module
 */

import process from "node:process";
import { pathToFileURL } from "node:url";
import { serve, takeServers } from "./served.ts";

/** The last line that is printed when every block has run. */
export const DONE = "Every block has run.";

const GRACE_MS = 1_000;

/** Runs them. */
export async function runBlocks(paths: readonly string[]): Promise<void> {
  for (const path of paths) {
    const { default: exported } = await import(pathToFileURL(path).href);
    if (typeof exported?.fetch === "function") serve({ fetch: exported.fetch.bind(exported) });
    const servers = takeServers();
    for (const server of servers) {
      await server.ready();
      if (server.stats().state === "listening" && server.url.startsWith("http:")) {
        const response = await fetch(server.url);
        await response.body?.cancel();
        if (response.status >= 500) throw new Error(`${path} answered with ${response.status}.`);
      }
    }
    // One may ask another: none is stopped before all were asked.
    for (const server of servers.reverse()) await server.shutdown({ timeout: GRACE_MS });
  }
  console.log(DONE);
  // A block may have left a timer behind.
  process.exit(0);
}
