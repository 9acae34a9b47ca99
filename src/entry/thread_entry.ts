/**
 * Where threads start.
 *
 * @module
 */

/**
 * The URL of the module that threads start from. It stands beside this one, and is TypeScript in the sources and
 * JavaScript in the package; tools that rewrite import specifiers leave URLs alone. A single executable, in which this
 * module has the executable's own name, has JavaScript too.
 */
export const THREAD_ENTRY: string = findThreadEntry(import.meta.url);

/** @param url Of the module beside which it stands. */
export function findThreadEntry(url: string): string {
  const [extension] = /\.[cm]?[jt]s$/.exec(new URL(url).pathname) ?? [".js"];
  return new URL(`./thread_main${extension}`, url).href;
}
