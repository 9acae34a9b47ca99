/**
 * Where threads start.
 *
 * @module
 */

/**
 * The URL of the module that threads start from. It stands beside this one, and is TypeScript in the sources and
 * JavaScript in the package; tools that rewrite import specifiers leave URLs alone.
 */
export const THREAD_ENTRY: string = findThreadEntry();

function findThreadEntry(): string {
  const { pathname } = new URL(import.meta.url);
  return new URL(`./thread_main${pathname.slice(pathname.lastIndexOf("."))}`, import.meta.url).href;
}
