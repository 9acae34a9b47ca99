/**
 * Errors on their way between threads.
 *
 * It decides what is left of a thrown value on the other side: of an error its name, message, stack, code and cause, of
 * anything else what JSON can write of it. It must not know what has thrown.
 *
 * @module
 */

import { type ErrorCode, TrivetError } from "../api/errors.ts";

/** A thrown value in a form that JSON can write. */
export interface ErrorCopy {
  readonly kind: "trivet" | "error" | "value";
  readonly name?: string;
  readonly message?: string;
  readonly stack?: string;
  readonly code?: unknown;
  readonly value?: unknown;
  readonly cause?: ErrorCopy;
}

/** A chain of causes is followed this far; it could be a circle. */
const MAX_CAUSES = 8;

const BUILT_IN_ERRORS: Readonly<Record<string, ErrorConstructor>> = {
  EvalError: EvalError as ErrorConstructor,
  RangeError: RangeError as ErrorConstructor,
  ReferenceError: ReferenceError as ErrorConstructor,
  SyntaxError: SyntaxError as ErrorConstructor,
  TypeError: TypeError as ErrorConstructor,
  URIError: URIError as ErrorConstructor,
};

/** Writes a thrown value down, whatever it is: a handler can throw what can't even be looked at. */
export function copyError(thrown: unknown): ErrorCopy {
  return copyAt(thrown, 0);
}

/** Each by itself: an error is told whatever its cause is. */
function copyAt(thrown: unknown, depth: number): ErrorCopy {
  try {
    return copyThrown(thrown, depth);
  } catch {
    return { kind: "error", name: "Error", message: "Something was thrown that can't be looked at." };
  }
}

function copyThrown(thrown: unknown, depth: number): ErrorCopy {
  if (!(thrown instanceof Error)) return { kind: "value", value: describeValue(thrown) };
  const { name, message, stack } = thrown;
  const { code } = thrown as { code?: unknown };
  const cause = thrown.cause === undefined || depth >= MAX_CAUSES ? undefined : copyAt(thrown.cause, depth + 1);
  const isPlainCode = typeof code === "string" || typeof code === "number";
  return {
    kind: thrown instanceof TrivetError ? "trivet" : "error",
    name: String(name),
    message: String(message),
    stack: typeof stack === "string" ? stack : undefined,
    code: isPlainCode ? code : undefined,
    cause,
  };
}

/** Makes the thrown value again. */
export function restoreError(copy: ErrorCopy): unknown {
  if (copy.kind === "value") return copy.value;
  const options = copy.cause === undefined ? undefined : { cause: restoreError(copy.cause) };
  const message = copy.message ?? "";
  if (copy.kind === "trivet") return withStack(new TrivetError(copy.code as ErrorCode, message, options), copy);
  const name = copy.name ?? "Error";
  const error = new (BUILT_IN_ERRORS[name] ?? Error)(message, options);
  if (error.name !== name) error.name = name;
  if (copy.code !== undefined) Object.assign(error, { code: copy.code });
  return withStack(error, copy);
}

/** Makes a `TrivetError` again, which the copy must be of. */
export function restoreTrivetError(copy: ErrorCopy): TrivetError {
  return restoreError(copy) as TrivetError;
}

function withStack<E extends Error>(error: E, copy: ErrorCopy): E {
  if (copy.stack !== undefined) error.stack = copy.stack;
  return error;
}

function describeValue(value: unknown): unknown {
  try {
    const text = JSON.stringify(value);
    return text === undefined ? String(value) : JSON.parse(text);
  } catch {
    return String(value);
  }
}
