/**
 * What the value of an option may be: the names, defaults and bounds in one table, and the messages about those that
 * are out of them.
 *
 * It decides what is allowed, and knows one value at a time. It must not know how options depend on each other.
 *
 * @module
 */

import { findNearestName } from "./nearest_name.ts";
import type { AccessLogFormat } from "./access_log.ts";
import type { UnhandledRejections } from "./options.ts";
import { describeValue, translateForeignName } from "./wrong_calls.ts";

const KIB = 1024;
const MIB = 1024 * KIB;
/** With half of it a thread can run out of memory while it starts, which ends the whole process. */
const MIN_THREAD_MEMORY = 16 * MIB;
/** The longest delay that timers of every runtime take; about 24 days. */
const MAX_TIMEOUT_MS = 2 ** 31 - 1;
const MAX_COUNT = 2 ** 31 - 1;

/** A whole number with its default and bounds. No default: it depends on the machine. */
export interface NumberRule {
  readonly default: number | undefined;
  readonly min: number;
  readonly max: number;
  readonly unit: string;
  /** Whether `Infinity` is allowed too. */
  readonly canBeInfinite?: boolean;
  /** Whether 0 is allowed below the least value. */
  readonly canBeZero?: boolean;
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
 * The numbers, each with the precedent of its default: headersTimeout is half of Kestrel's 30 s, and keepAliveTimeout
 * that of nginx; requestTimeout is less than half of Node's 300 s; maxHeaderSize is Node's; maxHeadersCount is
 * Kestrel's; maxRequestTargetSize is what RFC 9110 section 4.1 asks for (8000) and Kestrel has; halfCloseTimeout leaves
 * a client that has only ended its own side, as `nc` does, time for an answer; maxRequestBodySize is about half of
 * Kestrel's 30 MB, since content may be collected in memory; retryAfter is short because a queue that is full now is
 * empty in seconds; maxQueue is that of many a thread pool, and with handlers of 100 ms more than a client would wait
 * for; queueTimeout is the time for which most clients and proxies wait; drainTimeout is a third of the 30 s that
 * Kubernetes waits before it kills.
 */
export const NUMBER_RULES = {
  port: { default: 8000, min: 0, max: 65535, unit: "" },
  fd: { default: undefined, min: 0, max: MAX_COUNT, unit: "" },
  tcpBacklog: { default: undefined, min: 1, max: 65535, unit: "" },
  retryAfter: { default: 5, min: 0, max: 86_400, unit: "seconds" },
  headersTimeout: timeout(15_000),
  requestTimeout: timeout(120_000),
  keepAliveTimeout: timeout(75_000),
  handlerTimeout: timeout(0),
  writeTimeout: timeout(30_000),
  halfCloseTimeout: { ...timeout(1_000), canBeInfinite: true },
  drainDelay: timeout(0),
  drainTimeout: timeout(10_000),
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
  maxThreadMemory: { ...size(0, MIN_THREAD_MEMORY, 64 * 1024 * MIB), canBeZero: true },
} as const satisfies Record<string, NumberRule>;

/** The numbers of `minDataRate`, which are Kestrel's. */
export const MIN_DATA_RATE_RULES = {
  bytesPerSecond: size(240, 0, MAX_COUNT),
  gracePeriod: timeout(5_000),
} as const satisfies Record<string, NumberRule>;

export const LOG_FORMATS: readonly AccessLogFormat[] = ["short", "common", "combined", "json"];

export const REJECTIONS: readonly UnhandledRejections[] = ["report", "fatal"];

const OTHER_NAMES = [
  "fetch",
  "module",
  "hostname",
  "unix",
  "unixMode",
  "signal",
  "handleSignals",
  "onListen",
  "onError",
  "onWarning",
  "tls",
  "tlsWatch",
  "trustProxy",
  "proxyProtocol",
  "reusePort",
  "model",
  "nativeRequest",
  "unhandledRejections",
  "minDataRate",
  "healthPath",
  "accessLog",
  "metrics",
];

/** The names of the options that are whole numbers. */
export const NUMBER_OPTION_NAMES: readonly string[] = Object.keys(NUMBER_RULES);

/** The names of all options, `fetch` among them. */
export const OPTION_NAMES: readonly string[] = [...OTHER_NAMES, ...NUMBER_OPTION_NAMES].sort();

export function resolveNumbers<Rules extends Record<string, NumberRule>>(
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
  const zeroOr = rule.canBeZero === true ? "0, or " : "";
  const allowed = `${zeroOr}a whole number${unit} from ${rule.min} to ${rule.max}${orInfinity}`;
  if (typeof value !== "number") throw wrongType(name, value, allowed);
  if (value === Infinity && rule.canBeInfinite === true) return value;
  if (value === 0 && rule.canBeZero === true) return value;
  if (!Number.isInteger(value) || value < rule.min || value > rule.max) {
    throw new RangeError(`The option ${name} is ${value}, allowed is ${allowed}.`);
  }
  return value;
}

export function resolveType<T>(name: string, value: T, type: "string" | "boolean" | "function"): T {
  if (value !== undefined && typeof value !== type) throw wrongType(name, value, `a ${type}`);
  if (value === "") throw wrongType(name, value, "a string that is not empty");
  return value;
}

export function resolveName<Name extends string>(
  option: string,
  name: Name | undefined,
  allowed: readonly Name[],
): Name | undefined {
  if (name === undefined || allowed.includes(name)) return name;
  throw wrongType(option, name, `one of ${allowed.map((each) => `"${each}"`).join(", ")}`);
}

export function rejectUnknown(what: string, values: object, known: readonly string[]): void {
  for (const name of Object.keys(values)) {
    if (known.includes(name)) continue;
    const translated = what === "option" ? translateForeignName(name) : null;
    if (translated !== null) throw new TypeError(`Unknown option ${name}: ${translated}.`);
    const nearest = findNearestName(name, known);
    const hint = nearest === null ? `allowed are ${known.join(", ")}.` : `did you mean ${nearest}?`;
    throw new TypeError(`Unknown ${what} ${JSON.stringify(name.slice(0, 100))}, ${hint}`);
  }
}

export function wrongType(name: string, value: unknown, allowed: string): TypeError {
  return new TypeError(`The option ${name} is ${describeValue(value)}, allowed is ${allowed}.`);
}
