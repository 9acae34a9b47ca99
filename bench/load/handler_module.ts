/**
 * The handler that a server is told to serve, as a module that every thread and every process can load.
 *
 * @module
 */

import { readLaunch } from "../servers/launch.ts";
import { createHandler, type FetchHandler, importPackage, type ResponseClass } from "./handlers.ts";

const { handler, responses, trivet, packages } = readLaunch();

async function responseClass(): Promise<ResponseClass> {
  if (responses === "own") return (await import(trivet) as typeof import("../../mod.ts")).HttpResponse;
  return responses === "srvx" ? (await importPackage(packages, "srvx")).FastResponse : Response;
}

const fetch: FetchHandler = await createHandler(handler, await responseClass(), packages);

export default { fetch };
