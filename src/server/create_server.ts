/**
 * Puts a server together from its parts: options, concurrency model, connections, runtime.
 *
 * @module
 */

import type { Handler } from "../api/handler.ts";
import { handlerOf, loadHandlerModule } from "./load_handler.ts";
import { OpenConnections } from "./open_connections.ts";
import {
  optionsOfLoop,
  type ResolvedOptions,
  resolveOptions,
  type ServeInit,
  type ServeOptions,
} from "../api/options.ts";
import type { Runtime } from "../runtime.ts";
import { callsHandlerHere, createScheduler } from "../models/models.ts";
import type { Server } from "../api/server.ts";
import { HttpServer } from "./server.ts";
import { Warnings } from "../api/warnings.ts";
import { linkResponsePrototype } from "../web/http_response.ts";
import { linkRequestPrototype } from "../web/lazy_request.ts";
import { nativeResponse } from "../web/native_body.ts";
import { readContentsWith } from "../web/read_response.ts";

/**
 * Starts a server on a runtime. `serve()` of the package is this with the runtime it finds itself on.
 *
 * @throws {TypeError} For a handler that is no function, an unknown option or one of the wrong type.
 * @throws {RangeError} For a number out of its range.
 */
export function createServer(
  runtime: Runtime,
  threadEntry: string,
  first: Handler | ServeOptions | ServeInit,
  second?: Handler,
): Server {
  const given = typeof first === "function" ? {} : first;
  if (typeof given !== "object" || given === null) {
    throw new TypeError("serve() takes a handler, options and a handler, or options with a handler as `fetch`.");
  }
  const options = resolveOptions(given, runtime.availableCores());
  const handler = typeof first === "function" ? first : second ?? (first as Partial<ServeInit>).fetch;
  const { handle, prepare } = takeHandler(runtime, options, handler);
  linkRequestPrototype();
  linkResponsePrototype();
  readContentsWith(runtime.responseContents(nativeResponse()));
  const warnings = new Warnings(runtime.clock, options.onWarning);
  const scheduler = createScheduler({
    options,
    runtime,
    handler: handle,
    module: options.module ?? null,
    threadEntry,
    loopOrders: { role: "loop", options: optionsOfLoop(options), reportsErrors: options.onError !== undefined },
    warnings,
    reportError: (error) => connections.reportError(error),
  });
  const connections = new OpenConnections(options, scheduler, runtime);
  return new HttpServer(options, runtime, connections, scheduler, prepare);
}

/** What the loop calls for each exchange, and what has to be done before it can. */
function takeHandler(runtime: Runtime, options: ResolvedOptions, handler: Handler | undefined): {
  handle: Handler;
  prepare: (() => Promise<void>) | null;
} {
  const { module } = options;
  if (module === undefined) {
    if (typeof handler === "function") return { handle: handler, prepare: null };
    throw new TypeError(`The handler is ${handler === undefined ? "missing" : typeof handler}, expected a function.`);
  }
  if (handler !== undefined) throw new TypeError("The handler is given twice: as a function and as a module.");
  let loaded: Handler | null = null;
  const load = async (): Promise<void> => {
    loaded = handlerOf(await loadHandlerModule(runtime.host, module));
  };
  return { handle: (request, info) => loaded!(request, info), prepare: callsHandlerHere(options.model) ? load : null };
}
