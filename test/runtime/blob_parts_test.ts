/** A Blob is read in small parts, on any runtime (`runtime/blob_parts.ts`). */

import assert from "node:assert/strict";
import { test } from "node:test";
import { streamParts } from "../../runtime/blob_parts.ts";

const KIB = 1024;

for (const [byteLength, parts] of [[1, 1], [64 * KIB, 1], [64 * KIB + 1, 2], [128 * KIB, 2], [200_000, 4]]) {
  test(`a Blob of ${byteLength} bytes is ${parts} parts, each read when it is asked for, the last with the end`, async () => {
    const bytes = new Uint8Array(byteLength).map((_, at) => at % 251);
    const blob = new Blob([bytes]);
    let asked = 0;
    const slice = (start: number, end: number): Blob => (asked++, blob.slice(start, end));
    const reader = streamParts({ size: byteLength, slice } as Blob).getReader();
    await new Promise((resolve) => setTimeout(resolve));
    assert.equal(asked, 0, "nothing is read ahead");
    let at = 0;
    for (let part = 1; part <= parts; part++) {
      const { value } = await reader.read();
      assert.equal(value!.byteLength, Math.min(64 * KIB, byteLength - at));
      assert.deepEqual(value, bytes.subarray(at, at += value!.byteLength));
      assert.equal(asked, part);
    }
    assert.deepEqual([(await reader.read()).done, asked], [true, parts]);
  });
}
