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
import type { Files } from "../runtime.ts";

/**
 * A default export in a box: a promise of the bare object would call its `then`, which a router may
 * have for a route.
 */
export interface LoadedModule {
  readonly exported: HandlerObject;
}

/** `scheme ":"` with a scheme of two letters at least: a single one is a drive of Windows. */
const URL_START = /^[a-z][a-z0-9+.-]+:/i;

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
 * @throws {TrivetError} `module-invalid`, naming the module: it does not exist, throws while it is loaded, or has no
 * default export with a fetch function.
 */
export async function loadHandlerModule(files: Files, url: string): Promise<LoadedModule> {
  const name = `The module ${nameModule(url)}`;
  if (url.startsWith("file:") && await files.kindOf(url) === null) {
    throw new TrivetError("module-invalid", `${name} does not exist.`);
  }
  let loaded: { default?: unknown };
  try {
    loaded = await import(url);
  } catch (cause) {
    const reason = (cause instanceof Error ? cause.message : String(cause)).split("\n")[0];
    throw new TrivetError("module-invalid", `${name} could not be loaded: ${reason}`, { cause });
  }
  const found = loaded.default;
  if (!isHandlerObject(found)) {
    throw new TrivetError("module-invalid", `${name} has no default export with a fetch function.`);
  }
  return { exported: found };
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
