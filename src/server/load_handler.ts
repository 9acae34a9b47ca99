/**
 * Loads the module that a handler comes from.
 *
 * It decides what counts as such a module and says what is wrong with another. It must not know on which thread it is.
 *
 * @module
 */

import { TrivetError } from "../api/errors.ts";
import type { Handler } from "../api/handler.ts";
import type { Host } from "../runtime.ts";

/** What a module exports by default: a handler, and perhaps what servers may be told. */
export type HandlerModule = Readonly<Record<string, unknown>> & { readonly fetch: Handler };

/** A default export in a box: a promise of the bare object would call its `then`, which a router may have for a route. */
export interface LoadedModule {
  readonly exported: HandlerModule;
}

/** `scheme ":"` with a scheme of two letters at least: a single one is a drive of Windows. */
const URL_START = /^[a-z][a-z0-9+.-]+:/i;

/**
 * Loads a module.
 *
 * @param specifier Its URL, or its path relative to the working directory.
 * @throws {TrivetError} `module-invalid`, naming the module: it does not exist, throws while it is loaded, or has no
 * default export with a fetch function.
 */
export async function loadHandlerModule(host: Host, specifier: string): Promise<LoadedModule> {
  const name = `The module ${JSON.stringify(specifier)}`;
  const url = URL_START.test(specifier) ? specifier : await host.locate(specifier);
  if (url === null) throw new TrivetError("module-invalid", `${name} does not exist.`);
  let loaded: { default?: unknown };
  try {
    loaded = await import(url);
  } catch (cause) {
    const reason = (cause instanceof Error ? cause.message : String(cause)).split("\n")[0];
    throw new TrivetError("module-invalid", `${name} could not be loaded: ${reason}`, { cause });
  }
  const found = loaded.default;
  if (!hasFetch(found)) {
    throw new TrivetError("module-invalid", `${name} has no default export with a fetch function.`);
  }
  return { exported: found };
}

/** The handler of a loaded module. It may be a method that needs its object, as that of a framework's application. */
export function handlerOf({ exported }: LoadedModule): Handler {
  return (request, info) => exported.fetch(request, info);
}

function hasFetch(found: unknown): found is HandlerModule {
  const isObject = (typeof found === "object" || typeof found === "function") && found !== null;
  return isObject && typeof (found as { fetch?: unknown }).fetch === "function";
}
