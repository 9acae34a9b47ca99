/**
 * The lanes of the showcase: one for each concurrency model, with the options that make it.
 *
 * @module
 */

import type { Model, ServeModule } from "../../../mod.ts";

/** One model, as it is shown. */
export interface Lane {
  readonly options: ServeModule;
  /** The line of code that makes the difference. */
  readonly code: string;
  /** What is to be seen. */
  readonly text: string;
  /** Whether handlers run on threads that can be ended. */
  readonly hasThreads: boolean;
}

const module = new URL("./handler.ts", import.meta.url);

/** Every model, in the order in which one grows out of the other. */
export const LANES: Readonly<Record<Model, Lane>> = {
  blocking: {
    options: { module, model: "blocking" },
    code: 'serve({ model: "blocking", module })',
    text: "One connection at a time. A client that says nothing stops all the others.",
    hasThreads: false,
  },
  "worker-pool": {
    options: { module, model: "worker-pool", workers: 4 },
    code: 'serve({ model: "worker-pool", workers: 4, module })',
    text: "Four connections at a time. Four silent clients stop the others.",
    hasThreads: true,
  },
  "event-driven": {
    options: { module, model: "event-driven" },
    code: 'serve({ model: "event-driven", module })',
    text:
      "Every connection at once, on one loop. Silent clients cost nothing; a handler that computes stops the others.",
    hasThreads: false,
  },
  hybrid: {
    options: { module, model: "hybrid", threads: 2 },
    code: 'serve({ model: "hybrid", threads: 2, module })',
    text: "A loop that does nothing but I/O, and threads for the handlers. Neither stops the others.",
    hasThreads: true,
  },
};
