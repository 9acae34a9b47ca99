/**
 * Telling users what went wrong: how errors look in a log, and what becomes of a report that fails itself.
 *
 * Nothing here can throw, whatever was thrown before: a value with a getter that throws, a circle of causes, a Proxy.
 *
 * @module
 */

import type { Host } from "../runtime.ts";
import { TrivetError } from "./errors.ts";

/** As many causes are told as anybody would read. */
const MAX_CAUSES = 8;

/** The stack of an error and of its causes; of another value what it is as a string. */
export function describeError(thrown: unknown): string {
  const parts: string[] = [];
  let each = thrown;
  for (let depth = 0; depth < MAX_CAUSES; depth++) {
    parts.push(`${depth === 0 ? "" : "Caused by: "}${describeOne(each)}`);
    const cause = causeOf(each);
    if (cause === undefined) break;
    each = cause;
  }
  return parts.join("\n");
}

/** A module as users know it: by its path where it is a file. */
export function nameModule(url: string): string {
  return JSON.stringify(url.startsWith("file:///") ? decodeURIComponent(url.slice("file://".length)) : url);
}

/** Calls what a user has given to be told of something. That it throws or rejects is printed, and does no harm. */
export function tellUser(host: Host, tell: () => unknown): void {
  const print = (thrown: unknown): void => host.printError(describeError(thrown));
  try {
    const told = tell();
    if (told instanceof Promise) told.catch(print);
  } catch (thrown) {
    print(thrown);
  }
}

function describeOne(thrown: unknown): string {
  try {
    if (!(thrown instanceof Error)) return `A value that is no error was thrown: ${String(thrown)}`;
    // Its stack is ours and tells nothing, and to read it ends Deno 2.9 when no descriptor is left.
    if (thrown instanceof TrivetError && thrown.blame === "transport") return String(thrown);
    const { stack } = thrown;
    // The stacks of Bun lack the name and the message, as may those that users set.
    return typeof stack === "string" && stack.includes(thrown.message) ? stack : `${thrown}\n${stack ?? ""}`.trimEnd();
  } catch {
    return "A value that can't be described was thrown.";
  }
}

function causeOf(thrown: unknown): unknown {
  try {
    return thrown instanceof Error ? thrown.cause : undefined;
  } catch {
    return undefined;
  }
}
