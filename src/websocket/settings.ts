/**
 * The options of one WebSocket, checked and with their defaults.
 *
 * It decides what may be set. It must not know what the settings are used for.
 *
 * @module
 */

import { type NumberRule, rejectUnknown, resolveNumbers, resolveType, wrongType } from "../api/option_rules.ts";
import { wrongArgument } from "../api/wrong_calls.ts";
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

const MAX_BYTES = 2 ** 30;
const MAX_MS = 2 ** 31 - 1;
const BYTES: NumberRule = { default: 16 * 2 ** 20, min: 1, max: MAX_BYTES, unit: "bytes" };
const WINDOW_BITS: NumberRule = { default: 15, min: 9, max: 15, unit: "" };

const NUMBERS = {
  maxMessageSize: BYTES,
  maxBufferedAmount: BYTES,
  pingInterval: { default: 30_000, min: 0, max: MAX_MS, unit: "milliseconds" },
  // As long as engine.io waits for an answer.
  pongTimeout: { default: 20_000, min: 0, max: MAX_MS, unit: "milliseconds" },
  idleTimeout: { default: 3_600_000, min: 0, max: MAX_MS, unit: "milliseconds" },
  closeTimeout: { default: 10_000, min: 0, max: MAX_MS, unit: "milliseconds" },
} as const satisfies Partial<Record<keyof WebSocketOptions, NumberRule>>;

const COMPRESSION_NUMBERS = {
  // As ws: below it DEFLATE costs more than it gains.
  threshold: { default: 1024, min: 0, max: MAX_BYTES, unit: "bytes" },
  level: { default: 6, min: 1, max: 9, unit: "" },
  serverMaxWindowBits: WINDOW_BITS,
  clientMaxWindowBits: WINDOW_BITS,
} as const satisfies Partial<Record<keyof WebSocketCompression, NumberRule>>;

const OPTION_NAMES: readonly string[] = [...Object.keys(NUMBERS), "protocol", "origin", "compress"];
const COMPRESSION_NAMES: readonly string[] = [...Object.keys(COMPRESSION_NUMBERS), "contextTakeover"];

/**
 * Makes settings of options.
 *
 * @throws {TypeError} For an unknown option or one of the wrong type.
 * @throws {RangeError} For a number out of its range.
 */
export function resolveWebSocketOptions(options: WebSocketOptions): WebSocketSettings {
  if (typeof options !== "object" || options === null) {
    throw wrongArgument("upgradeWebSocket()", options, "options");
  }
  rejectUnknown("option of upgradeWebSocket()", options, OPTION_NAMES);
  checkOrigin(options.origin);
  checkProtocol(options.protocol);
  const numbers = resolveNumbers("", options, NUMBERS);
  return {
    compression: resolveCompression(options.compress),
    maxMessageBytes: numbers.maxMessageSize!,
    maxBufferedBytes: numbers.maxBufferedAmount!,
    pingIntervalMs: numbers.pingInterval || Infinity,
    pongTimeoutMs: numbers.pongTimeout || Infinity,
    idleTimeoutMs: numbers.idleTimeout || Infinity,
    closeTimeoutMs: numbers.closeTimeout || Infinity,
  };
}

function resolveCompression(compress: WebSocketOptions["compress"]): CompressionSettings | null {
  if (compress === undefined || compress === false) return null;
  const given = compress === true ? {} : compress;
  if (typeof given !== "object" || given === null) throw wrongType("compress", given, "a boolean or an object");
  rejectUnknown("option compress", given, COMPRESSION_NAMES);
  const numbers = resolveNumbers("compress.", given, COMPRESSION_NUMBERS);
  return {
    contextTakeover: resolveType("compress.contextTakeover", given.contextTakeover, "boolean") ?? false,
    thresholdBytes: numbers.threshold!,
    level: numbers.level!,
    serverMaxWindowBits: numbers.serverMaxWindowBits!,
    clientMaxWindowBits: numbers.clientMaxWindowBits!,
  };
}

function checkOrigin(origin: WebSocketOptions["origin"]): void {
  if (origin === undefined || origin === "same" || typeof origin === "function" || isListOfStrings(origin)) return;
  throw wrongType("origin", origin, '"same", a list of origins or a function');
}

function checkProtocol(protocol: WebSocketOptions["protocol"]): void {
  if (protocol === undefined || typeof protocol === "string" || typeof protocol === "function") return;
  if (!isListOfStrings(protocol)) throw wrongType("protocol", protocol, "a string, a list of strings or a function");
}

function isListOfStrings(value: unknown): boolean {
  return Array.isArray(value) && value.every((element) => typeof element === "string");
}
