/**
 * `HttpResponse` in place of the global `Response`, for code that makes its responses by that name, as frameworks do.
 *
 * It decides what the global name means, and nothing else. It must be asked for: the package
 * patches no global by itself.
 *
 * @module
 */

import { HttpResponse, linkResponsePrototype } from "./http_response.ts";
import { nativeResponse } from "./native_body.ts";

let isInstalled = false;
/** The runtime's own, while another one stands in its place. */
let nativeStructuredClone: typeof structuredClone | null = null;

/** Whether `HttpResponse` stands in place of the global `Response`. */
export function isFastResponseInstalled(): boolean {
  return isInstalled;
}

/**
 * Puts `HttpResponse` in place of the global `Response`. Objects of either class pass `instanceof`
 * of the other, and what is fetched stays the runtime's own. Later calls do nothing.
 */
export function installFastResponse(): void {
  if (isInstalled) return;
  isInstalled = true;
  const native = nativeResponse();
  linkResponsePrototype();
  Object.defineProperty(HttpResponse, Symbol.hasInstance, {
    configurable: true,
    value(this: unknown, value: unknown): boolean {
      if (this === HttpResponse) return value instanceof native;
      // A class that extends it.
      return Function.prototype[Symbol.hasInstance].call(this as typeof HttpResponse, value);
    },
  });
  Object.defineProperty(HttpResponse, "name", { configurable: true, value: "Response" });
  setGlobal("Response", HttpResponse);
  nativeStructuredClone = globalThis.structuredClone;
  setGlobal("structuredClone", cloneStructured);
}

/**
 * A response can't be cloned like that. An object of a class of our own would lose everything, and
 * nothing would fail.
 */
function cloneStructured<T>(value: T, options?: StructuredSerializeOptions): T {
  if (value instanceof HttpResponse) throw new DOMException("A Response could not be cloned.", "DataCloneError");
  return nativeStructuredClone!(value, options);
}

/** Puts the runtime's own `Response` back. */
export function uninstallFastResponse(): void {
  if (!isInstalled) return;
  isInstalled = false;
  Reflect.deleteProperty(HttpResponse, Symbol.hasInstance);
  Object.defineProperty(HttpResponse, "name", { configurable: true, value: "HttpResponse" });
  // What was put in its place since is not ours to take away.
  if (globalThis.Response as unknown === HttpResponse) setGlobal("Response", nativeResponse());
  if (globalThis.structuredClone === cloneStructured) setGlobal("structuredClone", nativeStructuredClone);
}

function setGlobal(name: string, value: unknown): void {
  const enumerable = Object.getOwnPropertyDescriptor(globalThis, name)?.enumerable ?? false;
  Object.defineProperty(globalThis, name, { configurable: true, enumerable, writable: true, value });
}
