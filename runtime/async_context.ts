/**
 * The async context (`AsyncLocalStorage`) of the adapters themselves.
 *
 * What is scheduled, and promises that are waited for, go on in the context of the code that asked for it. What a
 * runtime tells begins in its own context; but what one event leaves for later, for all connections, would go on in
 * that of the request which happened to ask for it first. So that is asked for in the context that there was at the
 * start.
 *
 * It decides in which context something is called. It must not know what.
 *
 * @module
 */

/** What this uses of an `AsyncResource`. */
interface Scope {
  runInAsyncScope<A extends unknown[]>(callback: (...args: A) => unknown, self: undefined, ...args: A): unknown;
}
interface AsyncHooks {
  readonly AsyncResource: new (type: string) => Scope;
}

const IS_DENO = "Deno" in globalThis;

/** The context of the adapters, once it is known. */
export let ownScope: Scope | null = null;
/** Makes one for a single call, where that is needed. */
let makeScope: (() => Scope) | null = null;

/**
 * Takes the context of now, once. Until the module is there, code is called in whichever context there is: Deno needs
 * some 10 ms for its first module of Node's, in which a server can listen already.
 */
export function keepAsyncContext(): void {
  if (ownScope !== null) return;
  const hooks = IS_DENO ? undefined : process.getBuiltinModule?.("node:async_hooks");
  if (hooks === undefined) import("node:async_hooks").then(takeHooks, () => {});
  else takeHooks(hooks);
}

function takeHooks({ AsyncResource }: AsyncHooks): void {
  if (ownScope !== null) return;
  // Deno needs 10 us to make one.
  if (!IS_DENO) makeScope = () => new AsyncResource("TrivetCall");
  ownScope = new AsyncResource("Trivet");
}

/** Calls what schedules something, or waits for a promise, in the adapter's own context; never the user's code. */
export function scheduleApart<A extends unknown[]>(schedule: (...args: A) => unknown, ...args: A): void {
  if (ownScope === null) schedule(...args);
  else ownScope.runInAsyncScope(schedule, undefined, ...args);
}

/**
 * Calls back in a context like the adapter's own, which ends with the callback: before Node 24 what code enters with
 * `enterWith` stays with the resource it runs in.
 */
export function callApart(callback: () => void): void {
  if (ownScope === null) callback();
  else if (makeScope === null) ownScope.runInAsyncScope(callback, undefined);
  else (ownScope.runInAsyncScope(makeScope!, undefined) as Scope).runInAsyncScope(callback, undefined);
}
