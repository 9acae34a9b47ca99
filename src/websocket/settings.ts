/**
 * The options of one WebSocket, checked and with their defaults.
 *
 * It decides what may be set. It must not know what the settings are used for.
 *
 * @module
 */

import type { WebSocketCompression, WebSocketOptions } from "../api/websocket.ts";
import type { DeflateSettings } from "./codec/extensions.ts";

/** How messages are compressed, where the client offers it. */
export interface CompressionSettings extends DeflateSettings {
  readonly thresholdBytes: number;
  readonly level: number;
}

/** The bounds of a WebSocket; a timeout of `Infinity` is none. */
export interface WebSocketSettings {
  readonly compression: CompressionSettings | null;
  readonly maxMessageBytes: number;
  readonly maxBufferedBytes: number;
  readonly pingIntervalMs: number;
  readonly pongTimeoutMs: number;
  readonly idleTimeoutMs: number;
  readonly closeTimeoutMs: number;
}

interface NumberRule {
  readonly default: number;
  readonly min: number;
  readonly max: number;
}

const MAX_BYTES = 2 ** 30;
const MAX_MS = 2 ** 31 - 1;
const BYTES: NumberRule = { default: 16 * 2 ** 20, min: 1, max: MAX_BYTES };
const WINDOW_BITS: NumberRule = { default: 15, min: 9, max: 15 };

const NUMBERS = {
  maxMessageSize: BYTES,
  maxBufferedAmount: BYTES,
  pingInterval: { default: 30_000, min: 0, max: MAX_MS },
  // As long as engine.io waits for an answer.
  pongTimeout: { default: 20_000, min: 0, max: MAX_MS },
  idleTimeout: { default: 3_600_000, min: 0, max: MAX_MS },
  closeTimeout: { default: 10_000, min: 0, max: MAX_MS },
} as const satisfies Partial<Record<keyof WebSocketOptions, NumberRule>>;

const COMPRESSION_NUMBERS = {
  // As ws: below it DEFLATE costs more than it gains.
  threshold: { default: 1024, min: 0, max: MAX_BYTES },
  level: { default: 6, min: 1, max: 9 },
  serverMaxWindowBits: WINDOW_BITS,
  clientMaxWindowBits: WINDOW_BITS,
} as const satisfies Partial<Record<keyof WebSocketCompression, NumberRule>>;

const OPTION_NAMES: ReadonlySet<string> = new Set([...Object.keys(NUMBERS), "protocol", "origin", "compress"]);
const COMPRESSION_NAMES: ReadonlySet<string> = new Set([...Object.keys(COMPRESSION_NUMBERS), "contextTakeover"]);

/**
 * Makes settings of options.
 *
 * @throws {TypeError} For an unknown option or one of the wrong type.
 * @throws {RangeError} For a number out of its range.
 */
export function resolveWebSocketOptions(options: WebSocketOptions): WebSocketSettings {
  if (typeof options !== "object" || options === null) throw new TypeError("upgradeWebSocket() takes an object.");
  refuseUnknown(options, OPTION_NAMES, "upgradeWebSocket()");
  checkOrigin(options.origin);
  checkProtocol(options.protocol);
  const number = (name: keyof typeof NUMBERS): number => readNumber(name, options[name], NUMBERS[name]);
  const timeout = (name: keyof typeof NUMBERS): number => number(name) || Infinity;
  return {
    compression: resolveCompression(options.compress),
    maxMessageBytes: number("maxMessageSize"),
    maxBufferedBytes: number("maxBufferedAmount"),
    pingIntervalMs: timeout("pingInterval"),
    pongTimeoutMs: timeout("pongTimeout"),
    idleTimeoutMs: timeout("idleTimeout"),
    closeTimeoutMs: timeout("closeTimeout"),
  };
}

function resolveCompression(compress: WebSocketOptions["compress"]): CompressionSettings | null {
  if (compress === undefined || compress === false) return null;
  const given = compress === true ? {} : compress;
  if (typeof given !== "object" || given === null) {
    throw new TypeError("The option compress is a boolean or an object.");
  }
  refuseUnknown(given, COMPRESSION_NAMES, "compress");
  const { contextTakeover = false } = given;
  if (typeof contextTakeover !== "boolean") throw new TypeError("The option compress.contextTakeover is a boolean.");
  const number = (name: keyof typeof COMPRESSION_NUMBERS): number =>
    readNumber(`compress.${name}`, given[name], COMPRESSION_NUMBERS[name]);
  return {
    contextTakeover,
    thresholdBytes: number("threshold"),
    level: number("level"),
    serverMaxWindowBits: number("serverMaxWindowBits"),
    clientMaxWindowBits: number("clientMaxWindowBits"),
  };
}

function readNumber(name: string, value: number | undefined, rule: NumberRule): number {
  if (value === undefined) return rule.default;
  if (typeof value !== "number") throw new TypeError(`The option ${name} is a number, got ${typeof value}.`);
  if (Number.isInteger(value) && value >= rule.min && value <= rule.max) return value;
  throw new RangeError(`The option ${name} is a whole number from ${rule.min} to ${rule.max}, got ${value}.`);
}

function refuseUnknown(options: object, names: ReadonlySet<string>, where: string): void {
  for (const name of Object.keys(options)) {
    if (!names.has(name)) throw new TypeError(`${where} has no option "${name}": known are ${[...names].join(", ")}.`);
  }
}

function checkOrigin(origin: WebSocketOptions["origin"]): void {
  if (origin === undefined || origin === "same" || typeof origin === "function") return;
  if (Array.isArray(origin) && origin.every((element) => typeof element === "string")) return;
  throw new TypeError('The option origin is "same", a list of origins or a function.');
}

function checkProtocol(protocol: WebSocketOptions["protocol"]): void {
  if (protocol === undefined || typeof protocol === "string" || typeof protocol === "function") return;
  if (Array.isArray(protocol) && protocol.every((element) => typeof element === "string")) return;
  throw new TypeError("The option protocol is a string, a list of strings or a function.");
}
