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
import { LaneProcesses } from "./lanes/processes.ts";

/** Longer than the longest wait of the slow route. */
const SHUTDOWN_TIMEOUT_MS = 8_000;
/** A terminal sends Ctrl+C to all processes of a task, and a task runner passes it on: one key press comes twice. */
const SAME_SIGNAL_MS = 500;

async function main(): Promise<void> {
  const processes = new LaneProcesses();
  const server: Server = serve({
    ...createShowcase(() => server.stats(), processes),
    port: Number(process.env.PORT ?? 8000),
    // The page has a button for a handler that throws: a line is enough.
    onError: (error) => console.error(`${error.code}: ${error.message}`),
    onListen: () => {},
  });
  await server.ready();
  console.log(`Listening on ${server.url} (${runtimeName}). Stop it with Ctrl+C.`);

  await stopOnSignal(server);
  processes.end();
}

/** The first signal stops gracefully, a later one at once. Resolves when the server has stopped. */
async function stopOnSignal(server: Server): Promise<void> {
  let stopBeganAtMs = -Infinity;
  const firstSignal = new Promise<string>((resolve) => {
    const onSignal = (signal: string): void => {
      if (stopBeganAtMs === -Infinity) {
        stopBeganAtMs = performance.now();
        resolve(signal);
      } else if (performance.now() - stopBeganAtMs > SAME_SIGNAL_MS) {
        server.stop();
      }
    };
    process.on("SIGINT", onSignal).on("SIGTERM", onSignal);
  });
  const signal = await firstSignal;
  console.log(`${signal}: finishing ${server.stats().activeExchanges} exchanges in flight; again to stop at once.`);
  const { drained, aborted, durationMs } = await server.shutdown({ timeout: SHUTDOWN_TIMEOUT_MS, closeIdle: true });
  console.log(`Stopped after ${durationMs} ms: ${drained} connections closed in order, ${aborted} cut off.`);
}

main().catch((error: unknown) => {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
});
