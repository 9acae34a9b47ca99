/** How many streams compress at a time, over all WebSockets: a bound on memory, and no way to stop the others. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Deflate } from "../../src/runtime.ts";
import { CompressionJobs, MessageCompressor } from "../../src/websocket/message_compression.ts";

/** As many as ws has. */
const MAX_JOBS = 10;

/** Compressors whose streams end when the test says so. */
function createCompressors(count: number) {
  const running: (() => void)[] = [];
  const deflate: Deflate = {
    compress: () => assert.fail("Nothing is compressed at once that is taken over."),
    decompress: () => assert.fail("Nothing is decompressed."),
    createDecompressor: () => assert.fail("Nothing is decompressed."),
    createCompressor: () => ({ run: (_bytes, _onPiece, onDone) => void running.push(() => onDone(null)), close() {} }),
  };
  const jobs = new CompressionJobs();
  const tools = { deflate, jobs, level: 1, serverTakesOver: true, serverWindowBits: 15 };
  const compressors = Array.from({ length: count }, () => new MessageCompressor(tools));
  const done: number[] = [];
  const compressAll = (): void => {
    for (const [at, compressor] of compressors.entries()) {
      compressor.compress(new Uint8Array(1), () => void done.push(at));
    }
  };
  return { compressors, running, done, compressAll };
}

describe("streams that compress", () => {
  test("are ten at a time, and the others follow in order", () => {
    const { running, done, compressAll } = createCompressors(25);
    compressAll();
    assert.equal(running.length, MAX_JOBS);
    for (let ended = 0; ended < 25; ended++) {
      running[ended]();
      assert.equal(running.length, Math.min(25, MAX_JOBS + ended + 1));
    }
    assert.deepEqual(done, Array.from({ length: 25 }, (_, at) => at));
  });

  test("of WebSockets that were closed give their turn to the next one, whether they work or wait", () => {
    const { compressors, running, compressAll } = createCompressors(2 * MAX_JOBS);
    compressAll();
    for (const waiting of compressors.slice(MAX_JOBS, MAX_JOBS + 5)) waiting.close();
    for (const working of compressors.slice(0, 5)) working.close();
    assert.equal(running.length, MAX_JOBS + 5);
  });

  test("are not held up by a hundred thousand WebSockets that were closed while they waited", () => {
    const count = MAX_JOBS + 100_000 + 1;
    const { compressors, running, done, compressAll } = createCompressors(count);
    compressAll();
    for (const waiting of compressors.slice(MAX_JOBS, -1)) waiting.close();
    running[0]();
    running[MAX_JOBS]();
    assert.deepEqual(done, [0, count - 1]);
  });
});
