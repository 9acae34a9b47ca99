/**
 * Calls of `serve()` that other servers would understand, and that it answers with what to write in their place.
 *
 * It decides what such a call was meant to be. It must not know what the options do.
 *
 * @module
 */

import type { Model } from "./options.ts";

type Properties = Readonly<Record<string, unknown>>;

/** Frameworks whose application takes Node's `(req, res)`: how each is recognised, and its listener. */
const NODE_FRAMEWORKS: readonly {
  readonly name: string;
  readonly recognises: (given: Properties) => boolean;
  readonly listener: string;
}[] = [
  {
    name: "an Express application",
    recognises: (given) => isFunction(given) && isFunction(given.handle) && isFunction(given.set),
    listener: "app",
  },
  {
    name: "a Koa application",
    recognises: (given) => isFunction(given.callback) && isFunction(given.use),
    listener: "app.callback()",
  },
  {
    name: "a Fastify instance",
    recognises: (given) => isFunction(given.inject) && isFunction(given.routing),
    listener: "(req, res) => app.routing(req, res)",
  },
];

/**
 * Refuses what was meant for another server.
 *
 * @param first The first argument of `serve()`.
 * @param second The second one.
 * @throws {TypeError} It says what to write.
 */
export function rejectWrongCall(first: unknown, second: unknown): void {
  for (const given of [first, second]) rejectNodeFramework(given);
  const isHandlerFirst = typeof first === "function" && second !== undefined;
  if (isHandlerFirst && typeof second === "object") {
    throw new TypeError(
      "serve() got a handler and then options, expected the options first: serve({ port: 8000 }, handler).",
    );
  }
  if (isHandlerFirst && typeof second === "function") throw new TypeError("serve() got two handlers, expected one.");
  if ([first, second].some(isPromise)) {
    throw new TypeError("serve() got a promise, expected what it is of: serve(await app).");
  }
  const isOptions = typeof first === "object" && first !== null;
  if (isOptions && second !== undefined && isFunction((first as Properties).fetch)) {
    throw new TypeError(
      "serve() got a handler as fetch and another argument behind it, expected one of them. " +
        "What is called once it listens is the option onListen.",
    );
  }
  if (typeof first !== "function" && !isOptions) {
    throw wrongArgument("serve()", first, "a handler, serve({ port: 8000 }, handler) or serve({ port: 8000, fetch })");
  }
}

function rejectNodeFramework(given: unknown): void {
  const advice = adviseNodeFramework(given, (handler) => `serve(${handler})`);
  if (advice !== null) throw new TypeError(`serve() got ${advice}`);
}

/**
 * What an application that takes Node's `(req, res)` is called, and how it is served; `null` for everything else.
 *
 * @param given What may be one.
 * @param write Writes the code that serves a handler.
 */
export function adviseNodeFramework(given: unknown, write: (handler: string) => string): string | null {
  if ((typeof given !== "object" || given === null) && typeof given !== "function") return null;
  const framework = NODE_FRAMEWORKS.find(({ recognises }) => recognises(given as Properties));
  if (framework === undefined || isFunction((given as Properties).fetch)) return null;
  const code = write(`toFetchHandler(${framework.listener})`);
  return `${framework.name}, which takes (req, res) of node:http and no Request. ` +
    `Wrap it with \`import { toFetchHandler } from "srvx/node"\`: ${code}.`;
}

/** What other servers call an option, and what to do here. */
const FOREIGN_NAMES: Readonly<Record<string, string>> = {
  // Deno.serve
  handler: "the handler is called fetch",
  cert: "write tls: { cert, key }",
  key: "write tls: { cert, key }",
  path: "a Unix domain socket is called unix",
  automaticCompression: "compress in the handler, or in the proxy in front",
  // Bun.serve
  error: "it is called onError, which gets a TrivetError and the request",
  idleTimeout: "it is called keepAliveTimeout, in milliseconds",
  routes: "route in the handler, with Hono for example",
  static: "route in the handler, with Hono for example",
  websocket: "call info.upgradeWebSocket() in the handler",
  development: "leave it out, there is only one mode",
  id: "leave it out",
  ipv6Only: 'leave it out: "::" takes both families, and an IPv6 address of the machine as hostname takes one',
  // node:http, node:https and node:net
  host: "it is called hostname",
  ca: "write tls: { cert, key, ca }",
  passphrase: "write tls: { cert, key, passphrase }",
  backlog: "it is called tcpBacklog",
  timeout: "set handlerTimeout, writeTimeout or requestTimeout",
  maxHeaders: "it is called maxHeadersCount",
  keepAlive: "set keepAliveTimeout",
  exclusive: "set reusePort, which is false by default",
  insecureHTTPParser: "leave it out, there is no lenient mode",
  noDelay: "leave it out, it is always on",
  connectionsCheckingInterval: "leave it out, deadlines are looked at as often as the shortest of them needs",
  // srvx, @hono/node-server and frameworks
  protocol: "set tls for https",
  silent: "write onListen: () => {}",
  middleware: "call it in the handler",
  plugins: "call them in the handler",
  manual: "leave it out, and call serve() when it should listen",
  gracefulShutdown: "set handleSignals, or call server.shutdown()",
  serverOptions: "write the options themselves",
  createServer: "write tls: { cert, key } for https",
  overrideGlobalObjects: 'write import "@trivet/http/fast-response" in its place',
  bodyLimit: "it is called maxRequestBodySize",
};

/** What to write in place of an option of another server, `null` for a name that is none. */
export function translateForeignName(name: string): string | null {
  return Object.hasOwn(FOREIGN_NAMES, name) ? FOREIGN_NAMES[name] : null;
}

/** Where an option has an effect, if not everywhere. */
interface Scope {
  readonly holds: (options: Properties, model: Model) => boolean;
  readonly where: string;
}

function only(...models: readonly Model[]): Scope {
  const names = models.map((each) => `"${each}"`);
  return { holds: (_options, model) => models.includes(model), where: `in the model ${names.join(" or ")}` };
}

const ON_THREADS: Scope = {
  holds: ({ module }, model) => model === "hybrid" || (model === "worker-pool" && module !== undefined),
  where: 'where handlers run on threads: in the model "hybrid", or "worker-pool" with a module',
};

const OVER_TCP: Scope = {
  holds: ({ unix, fd }) => unix === undefined && fd === undefined,
  where: "without unix and fd",
};

const SCOPES: Readonly<Record<string, Scope>> = {
  workers: only("worker-pool"),
  threads: only("hybrid"),
  loops: only("event-driven"),
  maxQueue: only("blocking", "worker-pool", "hybrid"),
  queueTimeout: only("blocking", "worker-pool", "hybrid"),
  maxRequestsPerThread: ON_THREADS,
  maxThreadMemory: ON_THREADS,
  unhandledRejections: {
    holds: (options, model) => ON_THREADS.holds(options, model) || Number(options.loops) > 1,
    where: `${ON_THREADS.where}, or "event-driven" with several loops`,
  },
  unix: { holds: ({ fd }) => fd === undefined, where: "without fd" },
  unixMode: { holds: ({ unix, fd }) => unix !== undefined && fd === undefined, where: "with unix" },
  port: OVER_TCP,
  hostname: OVER_TCP,
  reusePort: OVER_TCP,
};

/**
 * The options among these that have no effect beside the others.
 *
 * @param options As the user has set them.
 * @param model The model they are for.
 */
export function findIneffective(options: Properties, model: Model): string[] {
  return Object.keys(SCOPES).filter((name) => options[name] !== undefined && !SCOPES[name].holds(options, model));
}

/**
 * Refuses options that have no effect beside the others.
 *
 * @throws {TypeError} It names the option, and where it has one.
 */
export function rejectIneffective(options: Properties, model: Model): void {
  for (const name of findIneffective(options, model)) {
    throw new TypeError(`The option ${name} has no effect here, only ${SCOPES[name].where}.`);
  }
}

function isFunction(value: unknown): boolean {
  return typeof value === "function";
}

/** Whether a value is awaited before it is of use. */
export function isPromise(value: unknown): boolean {
  return typeof value === "object" && value !== null && isFunction((value as Properties).then);
}

/** A value as messages name it. */
export function describeValue(value: unknown): string {
  if (typeof value === "string") return JSON.stringify(value.slice(0, 100));
  if (typeof value === "function") return "a function";
  if (typeof value === "object" && value !== null) return "an object";
  return String(value);
}

/** The error of a call whose argument is something else than what it takes. */
export function wrongArgument(call: string, given: unknown, expected: string): TypeError {
  return new TypeError(`${call} got ${given === undefined ? "nothing" : describeValue(given)}, expected ${expected}.`);
}
