/**
 * A Blob in memory as a stream of small parts.
 *
 * It decides how much is read at once. The stream that a runtime makes of a Blob gives nearly all of it in one piece: a
 * second copy for each response, whose memory is new and costs many times what is copied into it.
 *
 * @module
 */

/** The largest single write of the core. */
const PART_BYTES = 64 * 1024;

/** Reads a Blob, which is not empty. */
export function streamParts(blob: Blob): ReadableStream<Uint8Array<ArrayBuffer>> {
  let at = 0;
  return new ReadableStream({
    async pull(controller) {
      const part = blob.slice(at, at += PART_BYTES);
      controller.enqueue(new Uint8Array(await part.arrayBuffer()));
      if (at >= blob.size) controller.close();
    },
  }, { highWaterMark: 0 });
}
