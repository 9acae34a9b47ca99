/**
 * One handler for every runtime: `README.md` beside it has the three commands that serve it.
 *
 * It answers with `HttpResponse`, since the runtimes do not agree on the Content-Type of their own `Response`.
 *
 * @module
 */

import process from "node:process";
import { type Handler, HttpResponse, type ServeInit } from "../mod.ts";

const fetch: Handler = async (request, info) => {
  const { pathname, searchParams } = new URL(request.url);
  if (pathname === "/") return new HttpResponse(`Hello, ${searchParams.get("name") ?? "world"}!\n`);
  if (pathname === "/length" && request.method === "POST") {
    let length = 0;
    for await (const bytes of request.body ?? []) length += bytes.byteLength;
    return HttpResponse.json({ length });
  }
  if (pathname === "/about") {
    return HttpResponse.json({
      runtime: runtimeName(),
      peer: info.remoteAddr,
      agent: request.headers.get("user-agent"),
    });
  }
  return new HttpResponse("There is nothing here.\n", { status: 404 });
};

/** Deno and Bun say which version of Node they are compatible with, so that Node comes last. */
function runtimeName(): string {
  const { versions } = process;
  return versions.deno !== undefined ? "Deno" : versions.bun !== undefined ? "Bun" : "Node";
}

/** The options of `serve()` may stand beside the handler; those of the command line win. */
const app: ServeInit = { fetch, maxRequestBodySize: 1024 * 1024 };

export default app;
