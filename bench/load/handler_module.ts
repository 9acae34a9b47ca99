/** The handler that a server is told to serve, as a module that every thread and every process can load. */

import { readLaunch } from "../servers/launch.ts";
import { upgradeWithBun, upgradeWithDeno, upgradeWithTrivet } from "../servers/websocket.ts";
import { importPackage, MAKERS, type ResponseClass } from "./handlers.ts";

const { serves, handler, responses, trivet, packages } = readLaunch();

async function responseClass(): Promise<ResponseClass> {
  if (responses === "own") return (await import(trivet) as typeof import("../../mod.ts")).HttpResponse;
  return responses === "srvx" ? (await importPackage(packages, "srvx")).FastResponse : Response;
}

async function find() {
  if (handler !== "ws") return await MAKERS[handler!](await responseClass(), packages);
  return serves === "trivet" ? upgradeWithTrivet : "Deno" in globalThis ? upgradeWithDeno : upgradeWithBun;
}

export default { fetch: await find() };
