/**
 * What ended a thread, in a form that crosses to the thread that is told of it.
 *
 * An error that is sent as it is loses its name where that is not one of the language's own, and its code everywhere.
 * It knows nothing of threads.
 *
 * @module
 */

/** An error in plain values. */
export interface ThreadFailure {
  readonly name: string;
  readonly message: string;
  readonly stack: string | undefined;
  readonly code: string | number | undefined;
}

/** Describes what was thrown, whatever it is; it never throws itself. */
export function describeFailure(thrown: unknown): ThreadFailure {
  try {
    if (!(thrown instanceof Error)) return describe(new Error(`${String(thrown)} was thrown, which is not an Error.`));
    return describe(thrown);
  } catch {
    return describe(new Error("Something was thrown that can't be looked at."));
  }
}

/** The error that was described. */
export function failureToError({ name, message, stack, code }: ThreadFailure): Error {
  const error = new Error(message);
  Object.defineProperty(error, "name", { value: name, configurable: true, writable: true });
  Object.defineProperty(error, "stack", { value: stack, configurable: true, writable: true });
  return code === undefined ? error : Object.assign(error, { code });
}

function describe(error: Error & { code?: unknown }): ThreadFailure {
  const { name, message, stack, code } = error;
  return {
    name: String(name),
    message: String(message),
    stack: typeof stack === "string" ? stack : undefined,
    code: typeof code === "string" || typeof code === "number" ? code : undefined,
  };
}
