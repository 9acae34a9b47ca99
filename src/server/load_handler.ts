/**
 * Objects that have a handler, and the modules that such an object comes from.
 *
 * It decides what counts as one and says what is wrong with another. It must not know on which thread it is.
 *
 * @module
 */

import { TrivetError } from "../api/errors.ts";
import type { Handler, HandlerObject } from "../api/handler.ts";
import { nameModule } from "../api/telling.ts";
import { adviseNodeFramework, describeValue, isPromise } from "../api/wrong_calls.ts";
import type { Clock, Runtime, Timer } from "../runtime.ts";

/**
 * A default export in a box: a promise of the bare object would call its `then`, which a router may
 * have for a route.
 */
export interface LoadedModule {
  readonly exported: HandlerObject;
}

/** `scheme ":"` with a scheme of two letters at least: a single one is a drive of Windows. */
const URL_START = /^[a-z][a-z0-9+.-]+:/i;

/** As on a thread: a module that is not loaded by then, such as one that awaits what never comes, will not be. */
const LOAD_TIMEOUT_MS = 30_000;

/**
 * The URL of a module.
 *
 * @param specifier Its URL, or its path.
 * @param base The URL that a relative path counts from.
 */
export function resolveModule(specifier: string, base: string): string {
  if (URL_START.test(specifier)) return specifier;
  // Of a path, unlike of a URL, a question mark is a part.
  const path = specifier.replace(/[%?#]/g, encodeURIComponent);
  if (/^[a-z]:[\\/]/i.test(path)) return new URL(`file:///${path}`).href;
  return new URL(path, path.startsWith("/") ? "file:///" : base).href;
}

/**
 * Loads a module.
 *
 * @param url Its URL.
 * @throws {TrivetError} `module-invalid`, naming the module: it does not exist, throws while it is loaded, is not loaded
 * in time, or has no default export with a fetch function.
 */
export async function loadHandlerModule(
  { files, clock }: Pick<Runtime, "files" | "clock">,
  url: string,
): Promise<LoadedModule> {
  const name = `The module ${nameModule(url)}`;
  let problem: string;
  try {
    if (url.startsWith("file:") && await files.kindOf(url) === null) {
      problem = "does not exist.";
    } else {
      const loaded = await inTime<{ default?: unknown }>(clock, import(url));
      if (loaded !== null && isHandlerObject(loaded.default)) return { exported: loaded.default };
      problem = loaded === null ? `is not loaded after ${LOAD_TIMEOUT_MS / 1000} s.` : describeExport(loaded.default);
    }
  } catch (cause) {
    throw new TrivetError("module-invalid", `${name} could not be loaded: ${reasonOf(cause)}`, { cause });
  }
  throw new TrivetError("module-invalid", `${name} ${problem}`);
}

/** What is wrong with a default export, and what to write. */
function describeExport(exported: unknown): string {
  const advice = adviseNodeFramework(exported, (handler) => `export default { fetch: ${handler} }`);
  if (advice !== null) return `exports ${advice}`;
  let found = `has ${describeValue(exported)} as its default export`;
  if (exported === undefined) found = "has no default export";
  else if (isPromise(exported)) found = "has a promise as its default export, which has to be awaited";
  else if (typeof exported === "object" && exported !== null) found = "has a default export without a fetch function";
  return `${found}, expected export default { fetch }, with a function that takes a Request.`;
}

function reasonOf(cause: unknown): string {
  const { code } = (cause ?? {}) as { code?: unknown };
  const [reason] = (cause instanceof Error ? cause.message : String(cause)).split("\n");
  // What Node has not learnt before 22.18, without a flag.
  const isTypeScript = code === "ERR_UNKNOWN_FILE_EXTENSION" && /"\.[cm]?tsx?"/.test(reason);
  return isTypeScript ? `${reason}: TypeScript needs Node 22.18 or newer, Deno or Bun, or to be compiled.` : reason;
}

/** What is loaded; `null` when its time is over. The process lives on until then, although nothing else may be to do. */
async function inTime<T>(clock: Clock, loading: Promise<T>): Promise<T | null> {
  let timer!: Timer;
  const late = new Promise<null>((resolve) => timer = clock.after(LOAD_TIMEOUT_MS, () => resolve(null)));
  try {
    return await Promise.race([loading, late]);
  } finally {
    timer.cancel();
  }
}

/** The handler of an object. It is called as its method, which that of an application may need. */
export function handlerOf(object: HandlerObject): Handler {
  return (request, info) => object.fetch(request, info);
}

/** Whether a value has a handler. */
export function isHandlerObject(value: unknown): value is HandlerObject {
  const isObject = (typeof value === "object" || typeof value === "function") && value !== null;
  return isObject && typeof (value as { fetch?: unknown }).fetch === "function";
}

/**
 * Whether an object may have options. One that was made by a class or is a function, and has a
 * handler, is the application of a framework: what it has under the names of options means
 * something else.
 */
export function mayHaveOptions(object: object): boolean {
  if (typeof object === "function") return false;
  if (!isHandlerObject(object)) return true;
  const prototype = Object.getPrototypeOf(object);
  return prototype === null || Object.getPrototypeOf(prototype) === null;
}
