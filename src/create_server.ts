/**
 * Puts a server together from its parts: options, concurrency model, connections, runtime.
 *
 * @module
 */

import type { Handler } from "./handler.ts";
import { OpenConnections } from "./open_connections.ts";
import { resolveOptions, type ServeInit, type ServeOptions } from "./options.ts";
import type { Runtime } from "./runtime.ts";
import { EventDrivenScheduler } from "./scheduling/event_driven.ts";
import { HttpServer, type Server } from "./server.ts";
import { linkResponsePrototype } from "./web/http_response.ts";
import { linkRequestPrototype } from "./web/lazy_request.ts";

/**
 * Starts a server on a runtime. `serve()` of the package is this with the runtime it finds itself on.
 *
 * @throws {TypeError} For a handler that is no function, an unknown option or one of the wrong type.
 * @throws {RangeError} For a number out of its range.
 */
export function createServer(runtime: Runtime, first: Handler | ServeOptions | ServeInit, second?: Handler): Server {
  const options = typeof first === "function" ? {} : first;
  if (typeof options !== "object" || options === null) {
    throw new TypeError("serve() takes a handler, options and a handler, or options with a handler as `fetch`.");
  }
  const handler = typeof first === "function" ? first : second ?? (first as Partial<ServeInit>).fetch;
  if (typeof handler !== "function") {
    throw new TypeError(`The handler is ${handler === undefined ? "missing" : typeof handler}, expected a function.`);
  }
  const resolved = resolveOptions(options);
  linkRequestPrototype();
  linkResponsePrototype();
  const connections = new OpenConnections(resolved, new EventDrivenScheduler(handler), runtime);
  return new HttpServer(resolved, runtime, connections);
}
