/**
 * Puts a server together from its parts: options, concurrency model, connections, runtime.
 *
 * It decides which parts a server has. It must not know what they do.
 *
 * @module
 */

import { openRequestChannel } from "../exchange/tracing.ts";
import type { Handler, HandlerObject } from "../api/handler.ts";
import { handlerOf, isHandlerObject, loadHandlerModule, mayHaveOptions, resolveModule } from "./load_handler.ts";
import { Certificates } from "./certificates.ts";
import { DescriptorWatch } from "./descriptor_watch.ts";
import { ConnectionServices } from "./connection_services.ts";
import { Preface, type ProtocolChoice, type Speaker } from "./preface.ts";
import { NOTHING_OBSERVED, type Observation, observe } from "./observation.ts";
import { Reports } from "./reports.ts";
import { Http1Connection } from "../http1/connection/http1_connection.ts";
import { TrustedPeers } from "../exchange/trusted_peers.ts";
import type { ModelTable, Scheduler } from "../models/scheduler.ts";
import type { Model, ServeOptions } from "../api/options.ts";
import { optionsOfLoop, type ResolvedOptions, resolveOptions } from "../api/resolve_options.ts";
import type { Host, Runtime } from "../runtime.ts";
import { MODELS } from "../models/models.ts";
import { HttpServer } from "./server.ts";
import { stopOnSignals } from "./stop_signals.ts";
import { Warnings } from "../api/warnings.ts";
import { isFastResponseInstalled } from "../web/fast_response.ts";
import { linkResponsePrototype } from "../web/http_response.ts";
import { linkRequestPrototype } from "../web/remade_request.ts";
import { nativeResponse } from "../web/native_body.ts";
import { rejectIneffective, rejectWrongCall } from "../api/wrong_calls.ts";
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
  first: Handler | HandlerObject | ServeOptions,
  second?: Handler | HandlerObject,
  models: ModelTable = MODELS,
): HttpServer {
  rejectWrongCall(first, second);
  const given = (mayHaveOptions(first) ? first : {}) as ServeOptions;
  const machine = { cores: runtime.availableCores(), descriptorLimit: runtime.descriptorLimit() };
  const options = withModuleUrl(resolveOptions(given, machine, Object.keys(models) as Model[]), runtime.host);
  rejectIneffective({ ...given }, options.model);
  const model = models[options.model];
  const handler = toHandler(second ?? first);
  const { handle, prepare } = takeHandler(runtime, options, handler, model.callsHandlerHere);
  openRequestChannel(runtime);
  linkRequestPrototype();
  linkResponsePrototype();
  readContentsWith(runtime.responseContents(nativeResponse()));
  const reports = new Reports(options.onError, runtime.host);
  const warnings = new Warnings(runtime.clock, runtime.host, options.onWarning);
  const descriptors = new DescriptorWatch(machine.descriptorLimit, warnings);
  const scheduler = model.create({
    options,
    runtime,
    handler: handle,
    module: options.module ?? null,
    threadEntry,
    loopOrders: {
      role: "loop",
      options: optionsOfLoop(options),
      fastResponse: isFastResponseInstalled(),
      reportsErrors: options.onError !== undefined,
      rejectionsAreFatal: options.unhandledRejections === "fatal",
      tellsRequests: typeof options.accessLog === "function",
    },
    warnings,
    reportError: (error) => reports.report(error),
    onPublished: (publication) => server.deliver(publication),
  });
  const observation = observe(options, runtime);
  const server = assembleServer({
    options,
    runtime,
    scheduler,
    reports,
    warnings,
    descriptors,
    prepare: inTurn(clearPlace(options, runtime, () => server.giveWay()), inTurn(observation.prepare, prepare)),
    observation,
  });
  if (options.handleSignals) stopOnSignals(runtime, server).catch(() => {});
  return server;
}

/**
 * Has the server end that an earlier evaluation of the program has left at the same place, as with `bun --hot`, which
 * evaluates a program again in its process.
 *
 * @returns What waits for that, where it takes a moment.
 */
function clearPlace(
  { unix, fd, hostname = "", port }: ResolvedOptions,
  runtime: Runtime,
  giveWay: () => Promise<void> | void,
): (() => Promise<void>) | null {
  const place = unix ?? (fd === undefined ? `${hostname} ${port}` : `descriptor ${fd}`);
  const given = runtime.takePlace?.(place, giveWay)?.();
  return given instanceof Promise ? () => given : null;
}

/**
 * Every thread finds the module at its URL, and a relative path counts from the folder of the program's main module.
 */
function withModuleUrl(options: ResolvedOptions, { mainModule, workingFolder }: Host): ResolvedOptions {
  const { module } = options;
  return module === undefined ? options : { ...options, module: resolveModule(module, mainModule ?? workingFolder) };
}

/** What a server is assembled from. */
export interface AssemblyParts {
  readonly options: ResolvedOptions;
  readonly runtime: Runtime;
  readonly scheduler: Scheduler;
  readonly reports: Reports;
  readonly warnings: Warnings;
  /** Told now and then how many connections are open. */
  readonly descriptors?: DescriptorWatch;
  /** What has to be done before anything else, such as loading the handler. */
  readonly prepare: (() => Promise<void>) | null;
  /** What is seen of this event loop; nothing unless given. */
  readonly observation?: Observation;
  /** Chooses the protocol of a connection; `http1` speaks HTTP/1.1. Default: HTTP/1.1 at once. */
  readonly choice?: (http1: Speaker) => ProtocolChoice;
}

/** Puts the parts of one server together. */
export function assembleServer(parts: AssemblyParts): HttpServer {
  const { options, runtime, scheduler, reports, warnings, observation = NOTHING_OBSERVED, choice = alwaysHttp1 } =
    parts;
  const { observer } = observation;
  const services = new ConnectionServices(options, runtime, scheduler, reports, observer);
  const { open, admission, clock } = services;
  services.onTick = () => parts.descriptors?.look(open.count + (scheduler.stats?.().elsewhere?.open ?? 0));
  const choose = choice((transport, source) => new Http1Connection(transport, services, source));
  const { proxyProtocol } = options;
  const prefaceParts = {
    choose,
    proxies: proxyProtocol === undefined ? null : new TrustedPeers(proxyProtocol.from),
    isTls: options.tls !== undefined,
    open,
    admission,
    clock,
    headersTimeoutMs: options.headersTimeout,
    maxConnections: options.maxConnections,
    reports,
    warnings,
    observer,
  };
  const events = new Preface(prefaceParts);
  const localEvents = new Preface({ ...prefaceParts, proxies: null, isTls: false });
  const certificates = new Certificates(runtime.clock, scheduler, warnings);
  return new HttpServer({ ...parts, observation, services, certificates, events, localEvents });
}

/** Does one thing after the other, as far as there is something to do. */
function inTurn(first: (() => Promise<void>) | null, second: (() => Promise<void>) | null): typeof first {
  if (first === null || second === null) return first ?? second;
  return async () => {
    await first();
    await second();
  };
}

function alwaysHttp1(http1: Speaker): ProtocolChoice {
  return () => http1;
}

/** The handler that an argument of `serve()` is or has, or what stands in its place. */
function toHandler(given: Handler | HandlerObject | ServeOptions): unknown {
  if (typeof given !== "object") return given;
  return isHandlerObject(given) ? handlerOf(given) : (given as { fetch?: unknown }).fetch;
}

/** What the loop calls for each exchange, and what has to be done before it can. */
function takeHandler(
  runtime: Runtime,
  options: ResolvedOptions,
  handler: unknown,
  callsHandlerHere: boolean,
): {
  handle: Handler;
  prepare: (() => Promise<void>) | null;
} {
  const { module } = options;
  if (module === undefined) {
    if (typeof handler === "function") return { handle: handler as Handler, prepare: null };
    throw new TypeError(
      `The handler is ${handler === undefined ? "missing" : typeof handler}, expected a function: ` +
        "serve({ port: 8000 }, handler), or fetch among the options.",
    );
  }
  if (handler !== undefined) throw new TypeError("The handler is given twice: as a function and as a module.");
  let loaded: Handler | null = null;
  const load = async (): Promise<void> => {
    loaded = handlerOf((await loadHandlerModule(runtime, module)).exported);
  };
  return { handle: (request, info) => loaded!(request, info), prepare: callsHandlerHere ? load : null };
}
