/**
 * A runtime in memory whose streams of zlib are counted and wait for a test.
 *
 * @module
 */

import type { DeflateStream } from "../../src/runtime.ts";
import { createMemoryRuntime, type MemoryRuntime } from "./memory_runtime.ts";
import type { Gate } from "./memory_server.ts";

/** What was counted. */
export interface Counted {
  /** Streams of zlib that are open. */
  openStreams: number;
  /** How often text was encoded. */
  encoded: number;
}

/** A runtime that counts streams of zlib, whose work waits for a gate, and how often text was encoded. */
export function createCountingRuntime(gate: Gate): { readonly runtime: MemoryRuntime; readonly counts: Counted } {
  const runtime = createMemoryRuntime();
  const counts: Counted = { openStreams: 0, encoded: 0 };
  const counted = (stream: DeflateStream): DeflateStream => {
    let isOpen = true;
    counts.openStreams++;
    return {
      run: (...args) => void gate.opened.then(() => isOpen && stream.run(...args)),
      close: () => {
        if (isOpen) counts.openStreams--;
        isOpen = false;
        stream.close();
      },
    };
  };
  const counting: MemoryRuntime = {
    ...runtime,
    deflate: {
      ...runtime.deflate,
      createCompressor: (windowBits, level) => counted(runtime.deflate.createCompressor(windowBits, level)),
      createDecompressor: (windowBits, isForOne) => counted(runtime.deflate.createDecompressor(windowBits, isForOne)),
    },
    encodeUtf8: (...args) => {
      counts.encoded++;
      return runtime.encodeUtf8(...args);
    },
  };
  return { runtime: counting, counts };
}
