/**
 * Deno's own server under test.
 *
 * @module
 */

import { createHandler } from "../handlers.ts";
import { announce, readLaunchOptions } from "./launch.ts";

const handler = createHandler(readLaunchOptions().handler, Response);
Deno.serve({ port: 0, hostname: "127.0.0.1", onListen: ({ port }) => announce(port) }, handler);
