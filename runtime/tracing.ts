/**
 * Channels of `node:diagnostics_channel`, which all three runtimes have. Translation only.
 *
 * @module
 */

import type { Runtime, TracingChannel } from "../src/runtime.ts";

/**
 * Opens them. The module is imported, and not taken at once, because Deno needs some 10 ms for its first module of
 * Node's, in which a server can listen already.
 */
export function tracingChannels(): Pick<Runtime, "openTracingChannel"> {
  return {
    async openTracingChannel(name) {
      const { tracingChannel } = await import("node:diagnostics_channel");
      return tracingChannel(name) as TracingChannel;
    },
  };
}
