/**
 * The package as the code blocks of the documentation get it: all of it, and a `serve` that takes a free port of
 * loopback, whatever the block says, and remembers the server, so that it can be asked and stopped.
 *
 * @module
 */

import { type Handler, serve as serveAnywhere, type ServeInit, type Server } from "../../mod.ts";

export * from "../../mod.ts";

const servers: Server[] = [];

/** The servers that were started since the last call. */
export function takeServers(): Server[] {
  return servers.splice(0);
}

/** Serves at a free port of loopback. */
export const serve: typeof serveAnywhere = (first: unknown, second?: unknown): Server => {
  const isPlain = typeof first === "object" && Object.getPrototypeOf(first) === Object.prototype;
  const given = isPlain ? first as Record<string, unknown> : { fetch: fetchOf(first) };
  const handler = second === undefined ? {} : { fetch: fetchOf(second) };
  const where = given.unix === undefined ? { port: 0, hostname: "127.0.0.1" } : {};
  const server = serveAnywhere({ ...given, ...handler, ...where } as ServeInit);
  servers.push(server);
  return server;
};

/** The handler that a function is, or an application has. */
function fetchOf(given: unknown): Handler {
  return typeof given === "function" ? given as Handler : (request, info) => (given as ServeInit).fetch(request, info);
}
