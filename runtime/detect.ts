/**
 * Finds out which runtime this is.
 *
 * @module
 */

import type { Runtime } from "../src/runtime.ts";
import { createBunRuntime } from "./bun.ts";
import { createDenoRuntime } from "./deno.ts";
import { createNodeRuntime } from "./node.ts";

/**
 * The adapter of the runtime this code runs on.
 *
 * @throws {Error} On a runtime that is neither Deno nor Bun nor Node.
 */
export function detectRuntime(): Runtime {
  const globals = globalThis as { Bun?: unknown; Deno?: unknown; process?: { versions?: { node?: string } } };
  // Bun and Deno have a process object too, so Node is what is left.
  if (globals.Bun !== undefined) return createBunRuntime();
  if (globals.Deno !== undefined) return createDenoRuntime();
  if (globals.process?.versions?.node !== undefined) return createNodeRuntime();
  throw new Error("Trivet needs TCP sockets: it runs on Deno, Bun and Node, and this is none of them.");
}
