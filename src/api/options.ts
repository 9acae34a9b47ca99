/**
 * The options of `serve()`: their names, defaults and bounds in one table.
 *
 * It decides what a user may set and turns it into settings with units. It must not know what the settings are used for.
 *
 * @module
 */

import type { TrivetError } from "./errors.ts";
import type { Handler } from "./handler.ts";
import type { Address, TlsOptions } from "../runtime.ts";
import { findNearestName } from "./nearest_name.ts";
import type { Warning } from "./warnings.ts";

/** The concurrency models: when a connection is served, and where its handler runs. */
export type Model = "blocking" | "worker-pool" | "event-driven" | "hybrid";

/** What a rejection on a thread that nothing handles does. */
export type UnhandledRejections = "report" | "fatal";

/** How slow the content of a request may come. */
export interface MinDataRate {
  /** Bytes per second, on average since the content began; 0 is no bound. Default 240, as in Kestrel. */
  readonly bytesPerSecond: number;
  /** Milliseconds in which it may be slower. Default 5000, as in Kestrel. */
  readonly gracePeriod: number;
}

/**
 * What `serve()` can be told. Times are in milliseconds and sizes in bytes; a timeout of 0 is none.
 *
 * @example
 * ```ts
 * import { type ServeOptions } from "@trivet/http";
 *
 * const options: ServeOptions = { port: 0, hostname: "127.0.0.1", keepAliveTimeout: 5_000 };
 * ```
 */
export interface ServeOptions {
  /** The TCP port, 0 to 65535; 0 lets the system choose. Default 8000. */
  readonly port?: number;
  /** The address to listen at. Default "0.0.0.0": every IPv4 address of the machine. */
  readonly hostname?: string;
  /** The path of a Unix domain socket to listen at in place of TCP. */
  readonly unix?: string;
  /** Shuts the server down gracefully when it aborts. */
  readonly signal?: AbortSignal;
  /** Called once the server listens. Default: prints the address. */
  readonly onListen?: (address: Address) => void;
  /**
   * Told of errors that are the user's: a handler that threw, a response that can't be sent, a failure to accept. The
   * thrown value is the error's `cause`. May return the response to send in place of the standard one. Default: prints
   * the error.
   */
  readonly onError?: (error: TrivetError, request?: Request) => Response | Promise<Response> | void;
  /** Speaks TLS with this certificate. */
  readonly tls?: TlsOptions;
  /** Shares the port with other processes through SO_REUSEPORT. Default false. */
  readonly reusePort?: boolean;
  /** Connections the system holds until they are accepted, 1 to 65535. Default: the runtime's. */
  readonly tcpBacklog?: number;
  /**
   * Told of what an operator should know and no request is to blame for: a full queue, hardly a free worker. Each at most
   * once in 10 seconds. Default: prints the message.
   */
  readonly onWarning?: (warning: Warning) => void;
  /**
   * The concurrency model. Default "event-driven".
   *
   * - `"blocking"`: one connection at a time, from accept to close, the others wait in line. One slow client stops
   *   all others until a deadline ends it. Each response closes its connection unless `keepAliveTimeout` is set. It is
   *   there to learn from and to compare with.
   * - `"worker-pool"`: `workers` workers, each of which owns a connection from start to close; up to `maxQueue` further
   *   ones wait in line. With `fetch` a worker is a slot on the event loop, with `module` it is a thread.
   * - `"event-driven"`: everything at once on one event loop, or with `module` on `loops` of them.
   * - `"hybrid"`: all reading and writing on the event loop, every call of the handler, given as `module`, on one of
   *   `threads` threads; up to `maxQueue` exchanges wait for one.
   */
  readonly model?: Model;
  /**
   * In place of a handler: the path, relative to the working directory, or the URL of a module whose default export has a
   * `fetch` function. Where handlers run on threads, each thread loads the module for itself.
   */
  readonly module?: string | URL;
  /** Workers of the model "worker-pool", 1 to 1024. Default: twice the cores. */
  readonly workers?: number;
  /** Threads of the model "hybrid", 1 to 256. Default: the cores. */
  readonly threads?: number;
  /** Event loops of the model "event-driven", 1 to 256; more than one need `module`. Default 1. */
  readonly loops?: number;
  /**
   * Connections ("blocking", "worker-pool") or exchanges ("hybrid") that wait for their turn; further ones get a 503.
   * 0 to 1 000 000; with 0 nothing waits. Default 1000.
   */
  readonly maxQueue?: number;
  /**
   * For a connection ("blocking", "worker-pool") or an exchange ("hybrid", "worker-pool") that waits for its turn; then
   * it gets a 503. Default 30 000.
   */
  readonly queueTimeout?: number;
  /**
   * Calls of the handler that one thread makes before a fresh one takes its place; it makes more only while no fresh
   * thread can be started. Default 0: no bound.
   */
  readonly maxRequestsPerThread?: number;
  /**
   * How large the heap of a thread may grow before the thread is ended and replaced, on Node. Deno and Bun can't bound
   * it: there a warning says so. 16 MiB to 64 GiB. Default 0: the runtime's own bound.
   */
  readonly maxThreadMemory?: number;
  /**
   * What a promise that is rejected on a thread, and that nothing handles, does: "report" tells `onError` and counts it,
   * "fatal" ends the thread, which is replaced. On the thread of `serve()` the process decides. Default "report".
   */
  readonly unhandledRejections?: UnhandledRejections;
  /**
   * A path, such as "/health", at which GET and HEAD are answered with 200 by the event loop itself, without the handler
   * and its threads. Default: none.
   */
  readonly healthPath?: string;
  /** Hands the handler a Request of the runtime itself, at the cost of making one for each request. Default false. */
  readonly nativeRequest?: boolean;
  /** Seconds a refused peer is asked to wait, 0 to 86 400. Default 5. */
  readonly retryAfter?: number;
  /** For a head, from its first byte (or the accept) to its last. Default 15 000. */
  readonly headersTimeout?: number;
  /** For a whole request, from its first byte to its last, less the time it waits for the handler. Default 120 000. */
  readonly requestTimeout?: number;
  /** For the next request on a persistent connection. Default 75 000. */
  readonly keepAliveTimeout?: number;
  /** For the handler to give a response, from its call on. Default 0: none. */
  readonly handlerTimeout?: number;
  /** For the peer to take 64 KiB of a response. Default 30 000. */
  readonly writeTimeout?: number;
  /**
   * For a client that has ended its own side of the connection behind a complete request. Nearly always it has closed the
   * connection, and sometimes, as `nc -N` does, it still reads: so its response is waited for this long, and after each
   * part of it that the client could take once more; then the request aborts. 0 aborts it at once, and `Infinity` never,
   * unlike the other timeouts. Default 1 000.
   */
  readonly halfCloseTimeout?: number;
  /** The slowest the content of a request may come. */
  readonly minDataRate?: Partial<MinDataRate>;
  /** Of a header or trailer section. 256 to 1 MiB, default 16 KiB. */
  readonly maxHeaderSize?: number;
  /** Field lines of a header or trailer section. 1 to 10 000, default 100. */
  readonly maxHeadersCount?: number;
  /** Of a request-target. 16 to 1 MiB, default 8 KiB. */
  readonly maxRequestTargetSize?: number;
  /** Of the content of a request. Default 16 MiB. */
  readonly maxRequestBodySize?: number;
  /**
   * Open connections, on each event loop; further ones get a 503. 0 is no bound. Default: seven eighths of the descriptors
   * that the process may have open, divided among the loops; 0 where that is not known (on other systems than Linux, and on
   * Deno without the permission to read `/proc/self/limits`).
   */
  readonly maxConnections?: number;
  /** Open connections from one address, on each event loop; further ones get a 503. Default 0: no bound. */
  readonly maxConnectionsPerIp?: number;
  /** Requests on one connection. Default 0: no bound. */
  readonly maxRequestsPerSocket?: number;
}

/** Options and handler in one object, as `export default { fetch }` modules have them. */
export interface ServeInit extends ServeOptions {
  /** The handler. */
  readonly fetch: Handler;
}

/** Options that name the module of the handler, in place of the handler itself. */
export interface ServeModule extends ServeOptions {
  /** See {@linkcode ServeOptions.module}. */
  readonly module: string | URL;
}

/** The options after defaults and checks. */
export interface ResolvedOptions {
  readonly port: number;
  readonly hostname: string;
  readonly unix: string | undefined;
  readonly signal: AbortSignal | undefined;
  readonly onListen: ServeOptions["onListen"];
  readonly onError: ServeOptions["onError"];
  readonly tls: TlsOptions | undefined;
  readonly reusePort: boolean;
  readonly tcpBacklog: number | undefined;
  readonly onWarning: ServeOptions["onWarning"];
  readonly model: Model;
  readonly module: string | undefined;
  readonly workers: number;
  readonly threads: number;
  readonly loops: number;
  readonly maxQueue: number;
  readonly queueTimeout: number;
  readonly maxRequestsPerThread: number;
  readonly maxThreadMemory: number;
  readonly unhandledRejections: UnhandledRejections;
  readonly healthPath: string | undefined;
  /** Whether the model "blocking" lets connections persist: only when the user has set a time for that. */
  readonly blockingPersists: boolean;
  readonly nativeRequest: boolean;
  readonly retryAfter: number;
  readonly headersTimeout: number;
  readonly requestTimeout: number;
  readonly keepAliveTimeout: number;
  readonly handlerTimeout: number;
  readonly writeTimeout: number;
  readonly halfCloseTimeout: number;
  readonly minDataRate: MinDataRate;
  readonly maxHeaderSize: number;
  readonly maxHeadersCount: number;
  readonly maxRequestTargetSize: number;
  readonly maxRequestBodySize: number;
  readonly maxConnections: number;
  readonly maxConnectionsPerIp: number;
  readonly maxRequestsPerSocket: number;
}

const KIB = 1024;
const MIB = 1024 * KIB;
/** The longest delay that timers of every runtime take; about 24 days. */
const MAX_TIMEOUT_MS = 2 ** 31 - 1;
const MAX_COUNT = 2 ** 31 - 1;

/** A whole number with its default and bounds. No default: it depends on the machine. */
interface NumberRule {
  readonly default: number | undefined;
  readonly min: number;
  readonly max: number;
  readonly unit: string;
  /** Whether `Infinity` is allowed too. */
  readonly canBeInfinite?: boolean;
}

function timeout(defaultMs: number): NumberRule {
  return { default: defaultMs, min: 0, max: MAX_TIMEOUT_MS, unit: "milliseconds" };
}

function count(defaultCount: number, min = 0, max = MAX_COUNT): NumberRule {
  return { default: defaultCount, min, max, unit: "" };
}

function size(defaultBytes: number, min: number, max: number): NumberRule {
  return { default: defaultBytes, min, max, unit: "bytes" };
}

/**
 * The numbers, each with the precedent of its default: headersTimeout and keepAliveTimeout are near those of Kestrel (30
 * s, 130 s) and nginx (60 s, 75 s); requestTimeout is less than half of Node's 300 s; maxHeaderSize is Node's;
 * maxHeadersCount is Kestrel's; maxRequestTargetSize is what RFC 9110 section 4.1 asks for (8000) and Kestrel has;
 * halfCloseTimeout is near the half second in which the runtimes'
 * own servers notice a client that has gone, and leaves one that still reads time for an answer;
 * maxRequestBodySize is half of Kestrel's 30 MB, since content may be collected in memory; retryAfter is short because
 * a queue that is full now is empty in seconds; maxQueue is that of many a thread pool, and with handlers of 100 ms
 * more than a client would wait for; queueTimeout is the time for which most clients and proxies wait.
 */
const NUMBER_RULES = {
  port: { default: 8000, min: 0, max: 65535, unit: "" },
  tcpBacklog: { default: undefined, min: 1, max: 65535, unit: "" },
  retryAfter: { default: 5, min: 0, max: 86_400, unit: "seconds" },
  headersTimeout: timeout(15_000),
  requestTimeout: timeout(120_000),
  keepAliveTimeout: timeout(75_000),
  handlerTimeout: timeout(0),
  writeTimeout: timeout(30_000),
  halfCloseTimeout: { ...timeout(1_000), canBeInfinite: true },
  maxHeaderSize: size(16 * KIB, 256, MIB),
  maxHeadersCount: count(100, 1, 10_000),
  maxRequestTargetSize: size(8 * KIB, 16, MIB),
  maxRequestBodySize: size(16 * MIB, 0, Number.MAX_SAFE_INTEGER),
  maxConnections: { ...count(0), default: undefined },
  maxConnectionsPerIp: count(0),
  maxRequestsPerSocket: count(0),
  workers: { default: undefined, min: 1, max: 1024, unit: "" },
  threads: { default: undefined, min: 1, max: 256, unit: "" },
  loops: count(1, 1, 256),
  maxQueue: count(1000, 0, 1_000_000),
  queueTimeout: timeout(30_000),
  maxRequestsPerThread: count(0),
  maxThreadMemory: size(0, 0, 64 * 1024 * MIB),
} as const satisfies Record<string, NumberRule>;

const MIN_DATA_RATE_RULES = {
  bytesPerSecond: size(240, 0, MAX_COUNT),
  gracePeriod: timeout(5_000),
} as const satisfies Record<string, NumberRule>;

const REJECTIONS: readonly UnhandledRejections[] = ["report", "fatal"];

const OTHER_NAMES = [
  "fetch",
  "module",
  "hostname",
  "unix",
  "signal",
  "onListen",
  "onError",
  "onWarning",
  "tls",
  "reusePort",
  "model",
  "nativeRequest",
  "unhandledRejections",
  "minDataRate",
  "healthPath",
];

/** The names of the options that are whole numbers. */
export const NUMBER_OPTION_NAMES: readonly string[] = Object.keys(NUMBER_RULES);

/** Of these, the ones that can be `Infinity` too. */
export const INFINITE_OPTION_NAMES: readonly string[] = Object.entries<NumberRule>(NUMBER_RULES)
  .filter(([, rule]) => rule.canBeInfinite === true).map(([name]) => name);

/** The names of all options, `fetch` among them. */
export const OPTION_NAMES: readonly string[] = [...OTHER_NAMES, ...NUMBER_OPTION_NAMES].sort();

/** The options of a server that is one of several event loops: what can be sent to its thread. */
export function optionsOfLoop(options: ResolvedOptions): ServeModule {
  const { onListen: _1, onError: _2, onWarning: _3, signal: _4, unix: _5, blockingPersists: _6, ...rest } = options;
  return { ...rest, module: rest.module ?? "", loops: 1, reusePort: true };
}

/** What the machine has, as far as defaults depend on it. */
export interface Machine {
  /** Processors that this process may use. */
  readonly cores: number;
  /** Descriptors that this process may have open; `null` where that is not known. */
  readonly descriptorLimit: number | null;
}

/**
 * Descriptors that connections leave to files, threads and listeners, and to clients that are told that there are too many
 * of them: an eighth, at least 64.
 */
export function descriptorMargin(limit: number): number {
  return Math.max(64, Math.ceil(limit / 8));
}

function defaultMaxConnections(descriptorLimit: number | null, loops: number): number {
  if (descriptorLimit === null) return 0;
  return Math.max(1, Math.floor((descriptorLimit - descriptorMargin(descriptorLimit)) / loops));
}

/**
 * Checks options and fills in the defaults.
 *
 * @param machine What the machine has, for the defaults that depend on it.
 * @param models The names of the concurrency models that there are.
 * @throws {TypeError} For an unknown option or one of the wrong type.
 * @throws {RangeError} For a number out of its range.
 */
export function resolveOptions(options: ServeOptions, machine: Machine, models: readonly Model[]): ResolvedOptions {
  rejectUnknown("option", options, OPTION_NAMES);
  const numbers = resolveNumbers("", options, NUMBER_RULES);
  const { minDataRate: rate = {} } = options;
  if (typeof rate !== "object" || rate === null) throw wrongType("minDataRate", rate, "an object");
  rejectUnknown("option minDataRate", rate, Object.keys(MIN_DATA_RATE_RULES));
  const { cores, descriptorLimit } = machine;
  const model = resolveName("model", options.model, models) ?? "event-driven";
  return {
    ...numbers as { [Name in keyof typeof NUMBER_RULES]: number },
    tcpBacklog: numbers.tcpBacklog,
    maxConnections: numbers.maxConnections ??
      defaultMaxConnections(descriptorLimit, model === "event-driven" ? numbers.loops! : 1),
    workers: numbers.workers ?? 2 * cores,
    threads: numbers.threads ?? cores,
    model,
    unhandledRejections: resolveName("unhandledRejections", options.unhandledRejections, REJECTIONS) ?? "report",
    module: resolveModule(options.module),
    healthPath: resolveHealthPath(options.healthPath),
    blockingPersists: options.keepAliveTimeout !== undefined,
    minDataRate: resolveNumbers("minDataRate.", rate, MIN_DATA_RATE_RULES) as { [K in keyof MinDataRate]: number },
    hostname: resolveType("hostname", options.hostname, "string") ?? "0.0.0.0",
    unix: resolveType("unix", options.unix, "string"),
    reusePort: resolveType("reusePort", options.reusePort, "boolean") ?? false,
    nativeRequest: resolveType("nativeRequest", options.nativeRequest, "boolean") ?? false,
    onListen: resolveType("onListen", options.onListen, "function"),
    onError: resolveType("onError", options.onError, "function"),
    onWarning: resolveType("onWarning", options.onWarning, "function"),
    signal: resolveSignal(options.signal),
    tls: resolveTls(options.tls),
  };
}

function resolveNumbers<Rules extends Record<string, NumberRule>>(
  prefix: string,
  values: { readonly [Name in keyof Rules]?: unknown },
  rules: Rules,
): { [Name in keyof Rules]: number | undefined } {
  const resolved = {} as { [Name in keyof Rules]: number | undefined };
  for (const name of Object.keys(rules) as (keyof Rules & string)[]) {
    resolved[name] = resolveNumber(prefix + name, values[name], rules[name]);
  }
  return resolved;
}

function resolveNumber(name: string, value: unknown, rule: NumberRule): number | undefined {
  if (value === undefined) return rule.default;
  const unit = rule.unit === "" ? "" : ` of ${rule.unit}`;
  const orInfinity = rule.canBeInfinite === true ? ", or Infinity" : "";
  const allowed = `a whole number${unit} from ${rule.min} to ${rule.max}${orInfinity}`;
  if (typeof value !== "number") throw wrongType(name, value, allowed);
  if (value === Infinity && rule.canBeInfinite === true) return value;
  if (!Number.isInteger(value) || value < rule.min || value > rule.max) {
    throw new RangeError(`The option ${name} is ${value}, allowed is ${allowed}.`);
  }
  return value;
}

function resolveType<T>(name: string, value: T, type: "string" | "boolean" | "function"): T {
  if (value !== undefined && typeof value !== type) throw wrongType(name, value, `a ${type}`);
  if (value === "") throw wrongType(name, value, "a string that is not empty");
  return value;
}

function resolveName<Name extends string>(
  option: string,
  name: Name | undefined,
  allowed: readonly Name[],
): Name | undefined {
  if (name === undefined || allowed.includes(name)) return name;
  throw wrongType(option, name, `one of ${allowed.map((each) => `"${each}"`).join(", ")}`);
}

function resolveModule(module: string | URL | undefined): string | undefined {
  if (module instanceof URL) return module.href;
  return resolveType("module", module, "string");
}

function resolveHealthPath(path: string | undefined): string | undefined {
  resolveType("healthPath", path, "string");
  if (path !== undefined && !/^\/[!-~]*$/.test(path)) {
    throw wrongType("healthPath", path, "a path in printable ASCII that begins with a slash");
  }
  return path;
}

function resolveSignal(signal: AbortSignal | undefined): AbortSignal | undefined {
  if (signal !== undefined && !(signal instanceof AbortSignal)) throw wrongType("signal", signal, "an AbortSignal");
  return signal;
}

function resolveTls(tls: TlsOptions | undefined): TlsOptions | undefined {
  if (tls === undefined) return undefined;
  if (typeof tls !== "object" || tls === null) throw wrongType("tls", tls, "an object with cert and key");
  rejectUnknown("option tls", tls, ["cert", "key", "ca"]);
  for (const name of ["cert", "key"] as const) {
    if (typeof tls[name] !== "string") throw wrongType(`tls.${name}`, tls[name], "a string in PEM");
  }
  if (tls.ca !== undefined && typeof tls.ca !== "string") throw wrongType("tls.ca", tls.ca, "a string in PEM");
  return tls;
}

function rejectUnknown(what: string, values: object, known: readonly string[]): void {
  for (const name of Object.keys(values)) {
    if (known.includes(name)) continue;
    const nearest = findNearestName(name, known);
    const hint = nearest === null ? ", allowed are" : `, did you mean ${nearest}? Allowed are`;
    throw new TypeError(`Unknown ${what} ${JSON.stringify(name.slice(0, 100))}${hint} ${known.join(", ")}.`);
  }
}

function wrongType(name: string, value: unknown, allowed: string): TypeError {
  return new TypeError(`The option ${name} is ${describe(value)}, allowed is ${allowed}.`);
}

function describe(value: unknown): string {
  if (typeof value === "string") return JSON.stringify(value.slice(0, 100));
  if (typeof value === "function") return "a function";
  if (typeof value === "object" && value !== null) return "an object";
  return String(value);
}
