/**
 * `@hono/node-server` under test, with the lightweight global classes it installs unless told otherwise.
 *
 * @module
 */

import { createRequire } from "node:module";
import { createHandler, type FetchHandler } from "../handlers.ts";
import { announce, readLaunchOptions } from "./launch.ts";

/** What is used of the package. */
interface HonoNodeServer {
  serve(
    options: { fetch: FetchHandler; port: number; hostname: string },
    onListen: (info: { port: number }) => void,
  ): void;
}

const { handler, packages } = readLaunchOptions();
const { serve }: HonoNodeServer = createRequire(`${packages}/`)("@hono/node-server");
// Looked up when it is called, because the package replaces the global class when it is started.
const fetchHandler: FetchHandler = (request) => inner(request);
let inner: FetchHandler = createHandler(handler, Response);
serve({ fetch: fetchHandler, port: 0, hostname: "127.0.0.1" }, ({ port }) => {
  inner = createHandler(handler, Response);
  announce(port);
});
