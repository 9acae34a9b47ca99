/**
 * Bun's own server under test.
 *
 * @module
 */

import { createHandler, type FetchHandler } from "../handlers.ts";
import { announce, readLaunchOptions } from "./launch.ts";

/** What is used of Bun, whose type declarations are not here. */
interface BunGlobal {
  serve(
    options: { port: number; hostname: string; idleTimeout: number; maxRequestBodySize: number; fetch: FetchHandler },
  ): {
    readonly port: number;
  };
}

const { Bun } = globalThis as unknown as { Bun: BunGlobal };
const { handler, patient } = readLaunchOptions();
const server = Bun.serve({
  port: 0,
  hostname: "127.0.0.1",
  // In seconds; 10 is the default and 0 is never.
  idleTimeout: patient ? 0 : 10,
  maxRequestBodySize: 2 ** 31,
  fetch: createHandler(handler, Response),
});
announce(server.port);
