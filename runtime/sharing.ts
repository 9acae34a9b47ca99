/**
 * Whether the system gives each listener of a shared port its part of the connections.
 *
 * @module
 */

import type { ListenOptions } from "../src/transport.ts";

/**
 * Why listeners of several threads can't share connections whatever the runtime, or `null`.
 *
 * SO_REUSEPORT spreads connections on Linux alone. On macOS and the BSDs one of the sockets gets all of them, and
 * Windows has no such option.
 */
export function whyNotBalanced({ unixPath, descriptor }: ListenOptions, platform: string): string | null {
  if (descriptor !== undefined) return "a socket that was handed over can have only one listener";
  if (unixPath !== undefined) return "a Unix domain socket can have only one listener";
  return platform === "linux" ? null : "only Linux spreads connections over several listeners";
}
