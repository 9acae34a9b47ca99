/**
 * A Blob behind the contract of `src/runtime.ts`.
 *
 * Translation only. The stream that a runtime makes of a Blob gives nearly all of it in one piece: a second copy for
 * each response, whose memory is new and costs many times what is copied into it.
 *
 * @module
 */

import type { StoredBytes } from "../src/runtime.ts";

/** Makes it. */
export function blobBytes(blob: Blob): StoredBytes {
  return {
    byteLength: blob.size,
    async read(buffer, position) {
      const copy = await blob.slice(position, position + buffer.byteLength).arrayBuffer();
      buffer.set(new Uint8Array(copy));
      const { byteLength } = copy;
      // Freed here, since the collector is late for memory that large.
      copy.transfer(0);
      return byteLength;
    },
    close: () => Promise.resolve(),
  };
}
