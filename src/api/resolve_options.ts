/**
 * From options to settings: every option checked, every default filled in.
 *
 * It decides the defaults that depend on the machine or on another option. It must not know what the settings are used
 * for.
 *
 * @module
 */

import type { AccessLog, AccessLogEntry, AccessLogOptions } from "./access_log.ts";
import {
  LOG_FORMATS,
  MIN_DATA_RATE_RULES,
  NUMBER_RULES,
  OPTION_NAMES,
  REJECTIONS,
  rejectUnknown,
  resolveName,
  resolveNumbers,
  resolveType,
  wrongType,
} from "./option_rules.ts";
import { findIneffective, wrongArgument } from "./wrong_calls.ts";
import type { ShutdownOptions } from "./server.ts";
import type {
  MinDataRate,
  Model,
  ProxyProtocolOptions,
  ProxyTrustOptions,
  ServeModule,
  ServeOptions,
  UnhandledRejections,
} from "./options.ts";
import { resolveProxyProtocol, resolveProxyTrust, resolveTls, resolveTlsWatch } from "./resolve_proxies_and_tls.ts";
import type { TlsOptions } from "../transport.ts";

/** The options after defaults and checks. */
export interface ResolvedOptions {
  readonly port: number;
  /** Every address, unless set. */
  readonly hostname: string | undefined;
  readonly unix: string | undefined;
  readonly unixMode: number | undefined;
  readonly fd: number | undefined;
  readonly signal: AbortSignal | undefined;
  readonly onListen: ServeOptions["onListen"];
  readonly onError: ServeOptions["onError"];
  readonly tls: TlsOptions | undefined;
  readonly tlsWatch: boolean;
  readonly trustProxy: ProxyTrustOptions | undefined;
  readonly proxyProtocol: ProxyProtocolOptions | undefined;
  readonly reusePort: boolean;
  readonly handleSignals: boolean;
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
  readonly metrics: boolean;
  /** Where requests are logged; `undefined` where they are not. */
  readonly accessLog: AccessLogOptions | ((entry: AccessLogEntry) => void) | undefined;
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
  readonly drainDelay: number;
  readonly drainTimeout: number;
  readonly minDataRate: MinDataRate;
  readonly maxHeaderSize: number;
  readonly maxHeadersCount: number;
  readonly maxRequestTargetSize: number;
  readonly maxRequestBodySize: number;
  readonly maxConnections: number;
  readonly maxConnectionsPerIp: number;
  readonly maxRequestsPerSocket: number;
}

/** What the machine has, as far as defaults depend on it. */
export interface Machine {
  /** Processors that this process may use. */
  readonly cores: number;
  /** Descriptors that this process may have open; `null` where that is not known. */
  readonly descriptorLimit: number | null;
}

/**
 * Descriptors that connections leave to files, threads and listeners, and to clients that are told that there are too
 * many of them: an eighth, at least 64.
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
  const numbers = resolveNumbers("", { ...options, port: resolvePort(options.port) }, NUMBER_RULES);
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
    metrics: resolveType("metrics", options.metrics, "boolean") ?? false,
    accessLog: resolveAccessLog(options.accessLog),
    blockingPersists: options.keepAliveTimeout !== undefined,
    minDataRate: resolveNumbers("minDataRate.", rate, MIN_DATA_RATE_RULES) as { [K in keyof MinDataRate]: number },
    hostname: resolveHostname(options.hostname),
    unix: resolvePath(options.unix),
    unixMode: resolveMode(options.unixMode),
    fd: numbers.fd,
    reusePort: resolveType("reusePort", options.reusePort, "boolean") ?? false,
    handleSignals: resolveType("handleSignals", options.handleSignals, "boolean") ?? false,
    nativeRequest: resolveType("nativeRequest", options.nativeRequest, "boolean") ?? false,
    onListen: resolveType("onListen", options.onListen, "function"),
    onError: resolveType("onError", options.onError, "function"),
    onWarning: resolveType("onWarning", options.onWarning, "function"),
    signal: resolveSignal(options.signal),
    tls: resolveTls(options.tls),
    tlsWatch: resolveTlsWatch(options.tlsWatch, options.tls),
    trustProxy: resolveProxyTrust(options.trustProxy),
    proxyProtocol: resolveProxyProtocol(options.proxyProtocol),
  };
}

/** How a server is shut down, after defaults and checks. */
export interface ResolvedShutdown {
  readonly delayMs: number;
  readonly timeoutMs: number;
  readonly closesIdle: boolean;
}

const WAIT_RULES = { delay: NUMBER_RULES.drainDelay, timeout: NUMBER_RULES.drainTimeout };

/**
 * Checks what `shutdown()` was given.
 *
 * @throws {TypeError} For anything but options, an unknown option or one of the wrong type.
 * @throws {RangeError} For a delay or a timeout out of its range.
 */
export function resolveShutdown(
  options: ShutdownOptions = {},
  { drainDelay, drainTimeout }: Pick<ResolvedOptions, "drainDelay" | "drainTimeout">,
): ResolvedShutdown {
  if (typeof options !== "object" || options === null) {
    throw wrongArgument("shutdown()", options, "options, such as shutdown({ timeout: 5000 })");
  }
  rejectUnknown("option of shutdown()", options, [...Object.keys(WAIT_RULES), "closeIdle"]);
  const { delay = drainDelay, timeout = drainTimeout, closeIdle } = options;
  const waits = resolveNumbers("", { delay, timeout }, WAIT_RULES) as { delay: number; timeout: number };
  const closesIdle = resolveType("closeIdle", closeIdle, "boolean") ?? false;
  return { delayMs: waits.delay, timeoutMs: waits.timeout, closesIdle };
}

/** The options of a server that is one of several event loops: what can be sent to its thread. */
export function optionsOfLoop(options: ResolvedOptions): ServeModule {
  const {
    onListen: _1,
    onError: _2,
    onWarning: _3,
    signal: _4,
    unix: _5,
    blockingPersists: _6,
    handleSignals: _7,
    ...rest
  } = options;
  const given: Record<string, unknown> = { ...rest, loops: 1, reusePort: true };
  // The first loop watches for all.
  delete given.tlsWatch;
  // A function can't go there: what it would be told is told from there.
  if (typeof rest.accessLog === "function") delete given.accessLog;
  for (const name of findIneffective(given, rest.model)) delete given[name];
  return { ...given, module: rest.module ?? "" };
}

/** An environment variable is text, and what other servers take. */
function resolvePort(port: number | string | undefined): number | string | undefined {
  return typeof port === "string" && /^[0-9]{1,5}$/.test(port) ? Number(port) : port;
}

function resolveMode(mode: number | string | undefined): number | undefined {
  if (mode === undefined) return undefined;
  const bits = typeof mode === "string" && /^[0-7]{3,4}$/.test(mode) ? Number.parseInt(mode, 8) : mode;
  if (typeof bits === "number" && Number.isInteger(bits) && bits >= 0 && bits <= 0o777) return bits;
  throw wrongType("unixMode", mode, 'file permissions from 0 to 0o777, such as 0o660 or "660"');
}

/** An IPv6 address may stand in brackets, as it does in a URL. */
function resolveHostname(hostname: string | undefined): string | undefined {
  const given = resolveType("hostname", hostname, "string");
  if (given === undefined) return undefined;
  if (/\/|^[^:]*:\d*$|\]:/.test(given)) {
    throw wrongType("hostname", given, "an address or a name, without a scheme or a port");
  }
  return /^\[[0-9a-f:.]+\]$/i.test(given) ? given.slice(1, -1) : given;
}

/** What no system can bind: it has room for a byte behind it. Node 20 would cut the path off and listen elsewhere. */
const MAX_PATH_BYTES = 107;

function resolvePath(path: string | undefined): string | undefined {
  const given = resolveType("unix", path, "string");
  if (given === undefined) return undefined;
  const byteLength = new TextEncoder().encode(given).byteLength;
  if (byteLength <= MAX_PATH_BYTES) return given;
  throw new RangeError(`The option unix is ${byteLength} bytes long, allowed are ${MAX_PATH_BYTES} for a path.`);
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

function resolveAccessLog(log: AccessLog | undefined): ResolvedOptions["accessLog"] {
  if (log === undefined || log === false) return undefined;
  if (log === true) return {};
  if (typeof log === "function") return log;
  if (typeof log === "string") return { format: resolveName("accessLog", log, LOG_FORMATS) };
  if (typeof log !== "object" || log === null) {
    throw wrongType("accessLog", log, "true, false, a format, an object with format and file, or a function");
  }
  rejectUnknown("option accessLog", log, ["format", "file"]);
  const format = resolveName("accessLog.format", log.format, LOG_FORMATS);
  return { format, file: resolveType("accessLog.file", log.file, "string") };
}

function resolveSignal(signal: AbortSignal | undefined): AbortSignal | undefined {
  if (signal !== undefined && !(signal instanceof AbortSignal)) throw wrongType("signal", signal, "an AbortSignal");
  return signal;
}
