/**
 * What is refused because too much waits, or has waited too long: the same words in every model.
 *
 * @module
 */

import { TrivetError } from "../api/errors.ts";
import type { Warnings } from "../api/warnings.ts";

/** The queue is full, which the operator is warned of. */
export function queueFull(warnings: Warnings, what: "connections" | "requests"): TrivetError {
  warnings.warn("queue-full", `The queue is full: ${what} are refused with 503.`);
  return new TrivetError("queue-full", `The server has as many ${what} waiting as it takes.`);
}

/** It was not its turn in time. */
export function queueTimeout(): TrivetError {
  return new TrivetError("queue-timeout", "The server was too busy to take this up in time.");
}
