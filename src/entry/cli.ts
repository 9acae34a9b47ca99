/**
 * The command-line program: `trivet ./app.ts --port 8000`, run the same way by Deno, Bun and Node.
 *
 * Importing this module runs it. It decides what the user sees: the address, the stop, or one line that says what went
 * wrong. It must not know how a server is made and stopped.
 *
 * @module
 */

import { detectRuntime } from "../../runtime/detect.ts";
import { type Command, parseArguments, UsageError } from "./cli_arguments.ts";
import { composeHelp, type Settings } from "./cli_flags.ts";
import { explainLoadFailure } from "./load_failure.ts";
import { THREAD_ENTRY } from "./thread_entry.ts";
import { createServer } from "../server/create_server.ts";
import type { AccessLog, AccessLogFormat } from "../api/access_log.ts";
import { handlerOf, loadHandlerModule, mayHaveOptions, resolveModule } from "../server/load_handler.ts";
import type { Handler, HandlerObject } from "../api/handler.ts";
import type { Model, ServeOptions } from "../api/options.ts";
import { findIneffective } from "../api/wrong_calls.ts";
import { OPTION_NAMES } from "../api/option_rules.ts";
import type { Host, Runtime, StopSignal } from "../runtime.ts";
import type { Server } from "../api/server.ts";
import type { ServerStats } from "../api/stats.ts";
import { TrivetError } from "../api/errors.ts";
import { withCode } from "../api/telling.ts";
import { serveFolder } from "../static/static_files.ts";
import { VERSION } from "../api/version.ts";
import { stopOnSignals } from "../server/stop_signals.ts";
import { optionsOfEnvironment } from "./environment.ts";
import { installFastResponse } from "../web/fast_response.ts";

/** The command line was wrong. */
const EXIT_USAGE = 2;
/** The command line was right, and what it asks for is not possible. */
const EXIT_FAILURE = 1;
/** The server has stopped, and something in flight was cut off. */
const EXIT_CUT_OFF = 3;
/** How long a stop is announced where a load balancer can hear of it. */
const DRAIN_DELAY_MS = 1_000;

async function main(runtime: Runtime): Promise<void> {
  const { host } = runtime;
  try {
    const command = parseArguments(host.args);
    if (command.name === "help") host.print(composeHelp());
    else if (command.name === "version") host.print(`trivet ${VERSION} on ${runtime.name} ${runtime.version}`);
    else if (command.settings.watch === true) host.exit(await host.runWatched(host.args.filter(isNotWatch)));
    else await serveModule(runtime, command);
  } catch (error) {
    const url = (error as { url?: string }).url;
    const where = url === undefined ? [] : await explainLoadFailure((error as Error).cause, url, host);
    host.printError([`trivet: ${describe(error)}`, ...where].join("\n"));
    host.exitOrAwaitChange(error instanceof UsageError ? EXIT_USAGE : EXIT_FAILURE);
  }
}

/** The process that is watched serves, and watches nothing itself. */
function isNotWatch(arg: string): boolean {
  return arg !== "--watch";
}

async function serveModule(runtime: Runtime, command: Command & { name: "serve" }): Promise<void> {
  const { host } = runtime;
  if (command.settings.fastResponse === true) installFastResponse();
  const url = resolveModule(command.target, host.workingFolder);
  // The first process of a container ignores signals that it does not listen to, and modules may take long to load.
  const ignoreSignals = host.onStopSignal((signal) => {
    host.print(`${signal}: stopped before it listened`);
    host.exit(0);
  });
  const given = mergeOptions(
    withEnvironment(await readTarget(runtime, url, command.settings.static), command.options, host),
    command.options,
  );
  const { model, loops, module } = given;
  if (module === undefined && (model === "hybrid" || Number(loops) > 1)) {
    throw new UsageError("The files of a folder are served by one event loop: leave out the model hybrid, and loops.");
  }
  const options = { ...given, accessLog: accessLogOf(command.settings, given.accessLog, host.terminal !== null) };
  const { handleSignals = true, drainDelay = options.healthPath === undefined ? 0 : DRAIN_DELAY_MS } = options;
  let server: Server;
  try {
    const own = { onListen: options.onListen ?? (() => {}), handleSignals: false, drainDelay };
    server = createServer(runtime, THREAD_ENTRY, { ...options, ...own });
  } catch (error) {
    // A bad option of the command line is the user's to mend, like a bad argument.
    throw error instanceof TypeError || error instanceof RangeError ? new UsageError(error.message) : error;
  }
  const stopped = handleSignals ? stopOnSignals(runtime, server, (signal) => tellOfStop(host, server, signal)) : null;
  ignoreSignals();
  await server.ready();
  const stats = server.stats();
  if (stats.state === "listening") {
    host.print(`Listening on ${server.url} (${runtime.name} ${runtime.version}, ${describeModel(stats)})`);
  }
  if (stopped === null) return;
  const { drained, aborted, durationMs } = await stopped;
  host.print(`Stopped: ${drained} connections drained, ${aborted} aborted, ${durationMs} ms`);
  host.exit(aborted > 0 ? EXIT_CUT_OFF : 0);
}

function tellOfStop(host: Host, server: Server, signal: StopSignal): void {
  host.print(`${signal}: finishing ${server.stats().activeExchanges} exchanges in flight; again to stop at once`);
}

/** The environment wins over the module, whatever kind of address either has. */
function withEnvironment(ofModule: ServeOptions, ofCommand: ServeOptions, host: Host): ServeOptions {
  const ofEnvironment = optionsOfEnvironment(host);
  const isElsewhere = ofCommand.unix !== undefined || ofCommand.fd !== undefined;
  if (Object.keys(ofEnvironment).length === 0 || (isElsewhere && ofEnvironment.fd === undefined)) return ofModule;
  const { unix: _1, unixMode: _2, fd: _3, port, hostname, ...rest } = ofModule;
  return { ...rest, ...(ofEnvironment.fd === undefined ? { port, hostname } : {}), ...ofEnvironment };
}

/**
 * A folder is served as it is; of a module, perhaps with a folder beside it, with what its default export tells
 * servers.
 */
async function readTarget(
  { files, host, clock }: Runtime,
  url: string,
  folder: string | undefined,
): Promise<ServeOptions> {
  if (await files.kindOf(url) === "folder") return { fetch: serveFolder(files, url) } as ServeOptions;
  const { exported } = await loadHandlerModule({ files, clock }, url)
    .catch((error: Error) => Promise.reject(Object.assign(error, { url })));
  const options = readModuleOptions(exported);
  if (folder === undefined) return { ...options, module: url };
  const folderUrl = resolveModule(folder, host.workingFolder);
  if (await files.kindOf(folderUrl) !== "folder") throw new UsageError(`There is no folder ${JSON.stringify(folder)}.`);
  const application = handlerOf(exported);
  const ofFolder = serveFolder(files, folderUrl, { notFound: application });
  const fetch: Handler = (request, info) =>
    request.method === "GET" || request.method === "HEAD" ? ofFolder(request, info) : application(request, info);
  return { ...options, fetch } as ServeOptions;
}

/**
 * What the default export of a module tells servers, as far as Trivet knows it; options of other servers are ignored.
 */
function readModuleOptions(exported: HandlerObject): ServeOptions {
  const options: Record<string, unknown> = {};
  if (mayHaveOptions(exported)) {
    const values = exported as Readonly<Record<string, unknown>> & HandlerObject;
    for (const name of OPTION_NAMES) {
      if (values[name] !== undefined) options[name] = values[name];
    }
  }
  delete options.fetch;
  return options;
}

/**
 * The command line wins: what the module sets for another model than it names, or for another kind of address, is
 * dropped.
 */
function mergeOptions(ofModule: ServeOptions, ofCommand: ServeOptions): ServeOptions {
  const merged: Record<string, unknown> = { ...ofModule, ...ofCommand };
  // A flag may set one part of an option that is an object.
  for (const name of ["tls", "trustProxy", "proxyProtocol"] as const) {
    if (name in ofCommand) merged[name] = { ...ofModule[name], ...ofCommand[name] };
  }
  if (ofCommand.model === undefined && ofCommand.unix === undefined) return merged;
  for (const name of findIneffective(merged, (merged.model ?? "event-driven") as Model)) {
    if (!(name in ofCommand)) delete merged[name];
  }
  return merged;
}

/**
 * Where requests are logged: as the flags say, else as the module does, else to a terminal, where the output is one.
 */
function accessLogOf({ log, logFile }: Settings, ofModule: AccessLog | undefined, isTerminal: boolean): AccessLog {
  if (log === "none") return false;
  if (log === undefined && logFile === undefined) return ofModule ?? isTerminal;
  return { format: log as AccessLogFormat | undefined, file: logFile };
}

/** The model, and how many of what it is made of. */
function describeModel({ model, workers, threads, loops }: ServerStats): string {
  if (model === "hybrid") return `hybrid, ${threads.ready} threads`;
  if (model === "worker-pool") return `worker-pool, ${workers.total} workers`;
  return loops > 1 ? `${model}, ${loops} loops` : model;
}

/** One line for an error. */
function describe(error: unknown): string {
  if (error instanceof TrivetError) return withCode(error).split("\n")[0];
  return (error instanceof Error ? error.message : String(error)).split("\n")[0];
}

main(detectRuntime());
