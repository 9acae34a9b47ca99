/**
 * Watches how many of the process's descriptors connections take.
 *
 * Where a process has no descriptor left, the runtimes accept no connection, and two of them do not even say so. So the
 * operator is warned before. It must not know what limits connections.
 *
 * @module
 */

import { descriptorMargin } from "../api/resolve_options.ts";
import type { Warnings } from "../api/warnings.ts";

/** Warns when connections have taken more descriptors than leaves enough. */
export class DescriptorWatch {
  readonly #limit: number;
  readonly #warnings: Warnings;
  readonly #warnFrom: number;

  /**
   * @param limit Descriptors that the process may have open; `null` where that is not known.
   * @param warnings Where the operator is warned.
   */
  constructor(limit: number | null, warnings: Warnings) {
    this.#limit = limit ?? Infinity;
    this.#warnings = warnings;
    // One more than `maxConnections` is by default: up to that, what was reserved is untouched.
    this.#warnFrom = limit === null ? Infinity : limit - descriptorMargin(limit) + 1;
  }

  /** Looks at the connections that are open now. */
  look(connections: number): void {
    if (connections < this.#warnFrom) return;
    this.#warnings.warn(
      "descriptors-low",
      `${connections} connections are open, and the process may have ${this.#limit} descriptors: few are left. Raise ` +
        "the limit (ulimit -n), or set maxConnections.",
    );
  }
}
