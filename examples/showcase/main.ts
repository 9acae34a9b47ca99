/**
 * Starts the showcase at http://localhost:8000; the variable PORT of the environment says another port.
 *
 * The same file runs under Deno, Bun and Node (22.18 or newer). It decides when the server starts and stops; what it
 * answers is `app.ts`.
 *
 * @module
 */

import process from "node:process";
import { serve, type Server } from "../../mod.ts";
import { createShowcase } from "./app.ts";
import { runtimeName } from "./about.ts";

/** Longer than the longest wait of the slow route. */
const SHUTDOWN_TIMEOUT_MS = 8_000;

async function main(): Promise<void> {
  const server: Server = serve({
    ...createShowcase(() => server.stats()),
    port: Number(process.env.PORT ?? 8000),
    // The page has a button for a handler that throws: a line is enough.
    onError: (error) => console.error(`${error.code}: ${error.message}`),
    onListen: () => {},
  });
  await server.ready();
  console.log(`The showcase is at ${server.url} (${runtimeName}). Stop it with Ctrl+C.`);

  const stop = (signal: string): void => {
    // Taking the listeners back lets a second signal end the process at once.
    process.off("SIGINT", stop).off("SIGTERM", stop);
    console.log(`${signal}: finishing ${server.stats().activeExchanges} exchanges in flight.`);
    server.shutdown({ timeout: SHUTDOWN_TIMEOUT_MS }).then(({ drained, aborted, durationMs }) => {
      console.log(`Stopped after ${durationMs} ms: ${drained} connections closed in order, ${aborted} cut off.`);
    });
  };
  process.on("SIGINT", stop).on("SIGTERM", stop);
}

main().catch((error: unknown) => {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
});
