/**
 * A server under stress, on the runtime that runs this file: a handler of this folder under the model it is told.
 *
 * @module
 */

import process from "node:process";
import type { ServeModule, ServerStats } from "../../mod.ts";
import { announce } from "../servers/launch.ts";

/** What this server is told, as JSON in its first argument. */
export interface StressLaunch {
  /** The URL of the module of Trivet: its source, or what was emitted for Node. */
  readonly trivet: string;
  readonly options: Readonly<Record<string, unknown>>;
  /** The file of the handler. */
  readonly handler: string;
  /** Where the handler writes down what it does. */
  readonly journal: string;
}

/** What the server says of itself. */
export interface StressStats {
  readonly stats: ServerStats;
  /** How many threads were lost until when, in milliseconds since 1970, each time the number had changed. */
  readonly losses: readonly { readonly atMs: number; readonly lost: number }[];
  /** For how long so many threads were ready, in milliseconds; the index is the number. */
  readonly readyMs: readonly number[];
  /** How often what was told to `onError`, by code, and of each code the first. */
  readonly errors: Readonly<Record<string, { count: number; first: string }>>;
  readonly warnings: Readonly<Record<string, number>>;
}

const WATCH_INTERVAL_MS = 5;

const { trivet, options, handler, journal }: StressLaunch = JSON.parse(process.argv[2] ?? "null");
const { serve }: typeof import("../../mod.ts") = await import(trivet);
// Threads that are started from now on see it.
process.env.STRESS_JOURNAL = journal;

const losses: { atMs: number; lost: number }[] = [];
const readyMs: number[] = [];
const errors: Record<string, { count: number; first: string }> = {};
const warnings: Record<string, number> = {};

const server = serve(
  {
    port: 0,
    hostname: "127.0.0.1",
    onListen: () => {},
    onError(error) {
      const cause = error.cause instanceof Error ? `: ${error.cause.message}` : "";
      const entry = errors[error.code] ??= { count: 0, first: `${error.message}${cause}` };
      entry.count++;
    },
    onWarning({ code }) {
      warnings[code] = (warnings[code] ?? 0) + 1;
    },
    ...options,
    module: new URL(handler, import.meta.url).href,
  } satisfies ServeModule,
);
await server.ready();

let watchedAtMs = Date.now();
function watch(): void {
  const nowMs = Date.now();
  const { lost, ready } = server.stats().threads;
  if (lost > (losses.at(-1)?.lost ?? 0)) losses.push({ atMs: nowMs, lost });
  readyMs[ready] = (readyMs[ready] ?? 0) + nowMs - watchedAtMs;
  watchedAtMs = nowMs;
}

setInterval(watch, WATCH_INTERVAL_MS);
announce(server.port, (): StressStats => {
  watch();
  return { stats: server.stats(), losses, readyMs: Array.from(readyMs, (ms) => ms ?? 0), errors, warnings };
});
