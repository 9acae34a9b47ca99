/**
 * Telling users what went wrong.
 *
 * It decides how errors look in a log, and what becomes of a report that fails itself. It must not know where errors
 * come from.
 *
 * A report is short enough to be read at a glance: which request, what was thrown, and where in the user's own code. Of
 * the frames of a stack those of this package and of the runtime are left out, since there is nothing to mend there.
 * Nothing here can throw, whatever was thrown before: a value with a getter that throws, a circle of causes, a Proxy.
 *
 * @module
 */

import type { Host } from "../runtime.ts";
import { TrivetError } from "./errors.ts";

/** What is said of a handler that threw. */
export const HANDLER_THREW = "The handler threw instead of returning a Response.";

/** As many lines as are read at a glance. */
const MAX_LINES = 9;
/** Frames of the error itself; the rest of the lines is for its causes. */
const MAX_FRAMES = 5;
const MAX_FRAMES_OF_CAUSE = 2;
/** How many causes of an error are printed, one behind another. */
const MAX_CAUSES = 8;
const MAX_MESSAGE_LENGTH = 1_000;

/** What belongs to a runtime itself. */
const RUNTIME_FRAME = /(?:\(|\s)(?:node:|ext:|internal:|native:)|\[native code\]|\((?:unknown|:\d+)\)$|<anonymous>\)?$/;
let ownPlaces: readonly string[] | null = null;

/**
 * An error in a few lines: what it says, where in the user's code, and its causes.
 *
 * @param thrown The error, or whatever else was thrown.
 * @param request The request that it belongs to.
 */
export function describeError(thrown: unknown, request?: Request): string {
  const lines: string[] = [];
  let each = thrown;
  let beginning = nameRequest(thrown, request);
  if (beginning !== "" && saysNoMoreThanItsCause(thrown)) each = causeOf(thrown);
  for (let depth = 0; depth < MAX_CAUSES && lines.length < MAX_LINES; depth++) {
    lines.push(...describeOne(each, beginning, depth === 0 ? MAX_FRAMES : MAX_FRAMES_OF_CAUSE));
    each = causeOf(each);
    if (each === undefined) break;
    beginning = "Caused by: ";
  }
  return lines.slice(0, MAX_LINES).join("\n");
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

/** A message with the code by which docs/errors.md has it. */
export function withCode(error: TrivetError): string {
  return `${error.message} [${error.code}]`;
}

/** Where a request was lost: its method, its path, and the status that the client gets. The query may hold secrets. */
function nameRequest(thrown: unknown, request: Request | undefined): string {
  if (request === undefined || !(thrown instanceof TrivetError)) return "";
  try {
    const status = thrown.status === null ? "" : ` ${thrown.status}`;
    return `${request.method} ${new URL(request.url).pathname}${status}: `;
  } catch {
    return "";
  }
}

function describeOne(thrown: unknown, beginning: string, maxFrames: number): string[] {
  try {
    if (!(thrown instanceof Error)) return [`${beginning}A value that is no error was thrown: ${String(thrown)}`];
    const message = thrown instanceof TrivetError ? withCode(thrown) : thrown.message;
    const isNamed = thrown instanceof TrivetError && beginning !== "";
    const words = isNamed || message === "" ? message || thrown.name : `${thrown.name}: ${message}`;
    const headline = `${beginning}${words.slice(0, MAX_MESSAGE_LENGTH)}`;
    return [...headline.split("\n").slice(0, MAX_LINES - 1), ...framesOf(thrown).slice(0, maxFrames)];
  } catch {
    return [`${beginning}A value that can't be described was thrown.`];
  }
}

/** The frames of a thrown value that are the user's code. */
export function userFramesOf(thrown: unknown): string[] {
  try {
    return thrown instanceof Error ? framesOf(thrown).slice(0, MAX_FRAMES) : [];
  } catch {
    return [];
  }
}

function framesOf(error: Error): string[] {
  // Its stack is ours and tells nothing, and to read it ends Deno 2.9 when no descriptor is left.
  if (error instanceof TrivetError && error.blame === "transport") return [];
  const { stack } = error;
  if (typeof stack !== "string") return [];
  const frames = stack.split("\n").filter((line) => /^\s+at /.test(line)).map((line) => `    ${line.trim()}`);
  // A fault of ours is to be reported, and found.
  if (error instanceof TrivetError && error.code === "internal-error") return frames;
  const places = ownPlaces ??= findOwnPlaces(import.meta.url);
  return frames.filter((frame) => !RUNTIME_FRAME.test(frame) && !places.some((place) => frame.includes(place)));
}

/** Where the modules of this package stand, as URLs and as paths: in the repository, or joined into a few in `esm/`. */
function findOwnPlaces(url: string): string[] {
  const root = /^(.*\/)(?:src\/api\/telling\.[jt]s|esm\/[^/]+\.js)$/.exec(url)?.[1];
  if (root === undefined) return [];
  const places = ["src/", "runtime/", "esm/", "mod."].map((place) => root + place);
  return [...places, ...places.map((place) => decodeURIComponent(place.replace(/^file:\/\//, "")))];
}

/** What the handler threw says all that there is to say of it, where there is no advice. */
function saysNoMoreThanItsCause(thrown: unknown): boolean {
  return thrown instanceof TrivetError && thrown.message === HANDLER_THREW && causeOf(thrown) !== undefined;
}

function causeOf(thrown: unknown): unknown {
  try {
    return thrown instanceof Error ? thrown.cause : undefined;
  } catch {
    return undefined;
  }
}
