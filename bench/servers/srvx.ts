/**
 * `srvx` under test, with its own class of responses or with the global one.
 *
 * @module
 */

import { createRequire } from "node:module";
import { createHandler, type FetchHandler, type ResponseClass } from "../handlers.ts";
import { announce, readLaunchOptions } from "./launch.ts";

/** What is used of the package. */
interface Srvx {
  readonly FastResponse: ResponseClass;
  serve(options: { fetch: FetchHandler; port: number; hostname: string; silent: boolean }): SrvxServer;
}
interface SrvxServer {
  readonly url?: string;
  ready(): Promise<SrvxServer>;
}

const { handler, responses, packages } = readLaunchOptions();
const { FastResponse, serve }: Srvx = createRequire(`${packages}/`)("srvx");
const fetch = createHandler(handler, responses === "own" ? FastResponse : Response);
const server = await serve({ fetch, port: 0, hostname: "127.0.0.1", silent: true }).ready();
announce(Number(new URL(server.url ?? "").port));
