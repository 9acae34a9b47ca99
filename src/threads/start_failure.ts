/**
 * Why a thread could not be started, where it is not for what the thread was to do.
 *
 * A bundler joins modules that are imported, and that of threads is only started by its URL. The error that follows
 * would be told of the user's module, which the thread had not come to.
 *
 * @module
 */

import { nameModule } from "../api/telling.ts";
import { TrivetError } from "../api/errors.ts";
import type { Files } from "../runtime.ts";

/**
 * The error to tell of a start that has failed.
 *
 * @param entry The URL of the module that threads start from.
 * @param failure What the failure looked like.
 */
export async function explainStartFailure(files: Files, entry: string, failure: TrivetError): Promise<TrivetError> {
  // Whether there is one that may not be looked at can't be said.
  const kind = entry.startsWith("file:") ? await files.kindOf(entry).catch(() => "file") : "file";
  if (kind !== null) return failure;
  const message = `Threads start from ${nameModule(entry)}, a module of @trivet/http that does not exist there. ` +
    "If a bundler has left it out, have it leave out the whole package, or bundle esm/thread_main.js of the package " +
    "as a second entry point, under that name.";
  return new TrivetError("module-invalid", message, { cause: failure.cause });
}
