/**
 * Threads as an adapter offers them. What starts them is loaded with the first.
 *
 * It decides in what the threads of the runtimes differ. It knows nothing of what is sent.
 *
 * @module
 */

import type { ParentThread, Runtime } from "../src/runtime.ts";

/** In what the threads of a runtime differ. */
export interface ThreadTraits {
  /** Whether a thread can be ended that never returns to its event loop. */
  readonly canEndBusyThreads: boolean;
  /**
   * Whether the heap of a thread can be bounded: Bun 1.4 takes `resourceLimits` and ignores them, and Deno 2.9 tells
   * nothing of a thread that reaches them while it takes a message.
   */
  readonly limitsThreadMemory: boolean;
  /**
   * Whether the runtime searches each message that comes for ports, through every element of a typed array: Deno 2.9
   * takes 10 ms for 64 KiB. It does not search what is in a Map, so that is what such messages are sent in.
   */
  readonly searchesMessages: boolean;
}

/** Makes the part of an adapter that is about threads. */
export function createThreads(
  traits: ThreadTraits,
): Pick<Runtime, "startThread" | "parentThread" | "limitsThreadMemory"> {
  return {
    limitsThreadMemory: traits.limitsThreadMemory,
    async startThread(entry, events, maxHeapBytes = 0) {
      const { startThread } = await import("./worker_threads.ts");
      return await startThread(entry, events, maxHeapBytes, traits);
    },
    parentThread: () => parent ??= findParent(traits),
  };
}

/** The parent of this thread: looked for once, since it hears of this thread's uncaught errors from then on. */
let parent: Promise<ParentThread | null> | undefined;

async function findParent(traits: ThreadTraits): Promise<ParentThread | null> {
  const { connectParent } = await import("./worker_threads.ts");
  return await connectParent(traits);
}
