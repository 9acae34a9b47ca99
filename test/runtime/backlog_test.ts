import assert from "node:assert/strict";
import { test } from "node:test";
import { HIGH_WATER_BYTES, WriteBacklog } from "../../runtime/backlog.ts";

const KIB = 1024;

/** Pieces whose bytes, one after another, tell their place. */
function numberedPieces(sizes: readonly number[]): Uint8Array[] {
  let at = 0;
  return sizes.map((size) => new Uint8Array(size).map(() => at++ % 251));
}

/** Has a socket take at most so many bytes at once. Returns how many writes that took. */
function drain(backlog: WriteBacklog, mostBytes: number): number {
  let at = 0;
  let writes = 0;
  while (backlog.byteLength > 0) {
    const next = backlog.next();
    assert.ok(next.byteLength > 0);
    const taken = next.subarray(0, mostBytes);
    assert.ok(taken.every((byte) => byte === at++ % 251), `the bytes before ${at} are out of order`);
    backlog.advance(taken.byteLength);
    writes++;
  }
  return writes;
}

function filled(sizes: readonly number[]): WriteBacklog {
  const backlog = new WriteBacklog();
  for (const piece of numberedPieces(sizes)) backlog.add(piece);
  return backlog;
}

test("framing and 64 KiB of content leave in one write", () => {
  assert.equal(drain(filled([9, 64 * KIB, 2]), Infinity), 1);
  assert.equal(drain(filled([9, 64 * KIB, 2, 7, 64 * KIB, 2]), Infinity), 2);
  assert.equal(drain(filled([8 * KIB, 64 * KIB]), Infinity), 1);
  assert.equal(drain(filled([8 * KIB + 1, 64 * KIB]), Infinity), 2);
  assert.equal(drain(filled(Array(100).fill(100)), Infinity), 1);
});

test("a piece alone leaves as it is", () => {
  const [piece] = numberedPieces([200 * KIB]);
  const backlog = new WriteBacklog();
  backlog.add(piece);
  assert.equal(backlog.next(), piece);
});

test("what has left is kept no longer, and what comes then leaves like the first", () => {
  const backlog = new WriteBacklog();
  for (const mostBytes of [1, 5, Infinity]) {
    for (const piece of numberedPieces([3, 9, 0, 1, 0, 5])) backlog.add(piece);
    drain(backlog, mostBytes);
    assert.equal(backlog.next().buffer.byteLength, 0);
  }
});

test("a backlog that was cleared is as new", () => {
  const backlog = filled([9, HIGH_WATER_BYTES, 2, 7]);
  backlog.advance(10);
  backlog.advance(HIGH_WATER_BYTES);
  backlog.clear();
  assert.deepEqual([backlog.byteLength, backlog.owesDrain, backlog.next().buffer.byteLength], [0, false, 0]);
  for (const piece of numberedPieces([3, 9, 1])) backlog.add(piece);
  assert.equal(drain(backlog, Infinity), 1);
});

test("few bytes are joined in memory of their own, and many so that the large piece is aligned", () => {
  assert.equal(filled([3, 4]).next().buffer.byteLength, 7);
  for (const framingBytes of [1, 9, 63, 64, 65, 8 * KIB - 1]) {
    const { byteOffset, byteLength } = filled([framingBytes, 64 * KIB]).next();
    assert.deepEqual([byteLength, (byteOffset + framingBytes) % 64], [framingBytes + 64 * KIB, 0]);
  }
});

test("a copy keeps its bytes until all of it has left, whatever is copied meanwhile", () => {
  for (const mostBytes of [1, 7 * KIB, 30 * KIB, Infinity]) {
    const backlogs = Array.from({ length: 3 }, () => {
      const backlog = new WriteBacklog();
      for (const piece of numberedPieces([40 * KIB, 300, 20 * KIB])) {
        const lent = Uint8Array.of(0, ...piece, 0);
        backlog.addCopy(lent, 1, lent.byteLength - 1);
        lent.fill(255);
      }
      return backlog;
    });
    for (const backlog of backlogs) drain(backlog, mostBytes);
  }
});

test("a copy that was sent leaves its memory to the next", () => {
  const [first, second] = [new WriteBacklog(), new WriteBacklog()];
  const bytes = new Uint8Array(40 * KIB);
  first.addCopy(bytes, 0, bytes.byteLength);
  const { buffer } = first.next();
  first.advance(30 * KIB);
  second.addCopy(bytes, 0, bytes.byteLength);
  assert.notEqual(second.next().buffer, buffer, "the first is not sent whole");
  first.advance(10 * KIB);
  first.addCopy(bytes, 0, bytes.byteLength);
  assert.equal(first.next().buffer, buffer);
});

test("copies that wait behind others leave their memory too, each when it has left", () => {
  const [first, second] = [new WriteBacklog(), new WriteBacklog()];
  const bytes = new Uint8Array(40 * KIB);
  const used = new Set<ArrayBufferLike>();
  for (const _ of [1, 2, 3]) {
    first.addCopy(bytes, 0, bytes.byteLength);
    first.add(new Uint8Array(60 * KIB));
  }
  for (const leavesBytes of [40, 60, 40]) {
    if (leavesBytes === 40) used.add(first.next().buffer);
    first.advance(leavesBytes * KIB);
  }
  assert.equal(used.size, 2);
  for (const _ of [1, 2]) {
    second.addCopy(bytes, 0, bytes.byteLength);
    assert.equal(used.delete(second.next().buffer), true);
    second.clear();
  }
  second.addCopy(bytes, 0, bytes.byteLength);
  first.advance(60 * KIB);
  assert.notEqual(second.next().buffer, first.next().buffer, "the third has not left");
});

test("copies that leave together keep their bytes, and leave their memory, each when it has left", () => {
  const SHARED_BYTES = 20 * KIB;
  const backlog = new WriteBacklog();
  const bytes = numberedPieces([3 * SHARED_BYTES])[0].map((byte) => byte || 1);
  for (const copy of [0, 1, 2]) backlog.addCopy(bytes, copy * SHARED_BYTES, (copy + 1) * SHARED_BYTES);
  /** How many copies lie in memory that was used before: what is new is all zeros. */
  const countUsed = (copies: number): number => {
    const backlogs = Array.from({ length: copies }, () => new WriteBacklog());
    for (const other of backlogs) other.addCopy(new Uint8Array(8 * KIB), 0, 8 * KIB);
    return backlogs.filter((other) => new Uint8Array(other.next().buffer)[12 * KIB] !== 0).length;
  };
  countUsed(40);
  assert.equal(backlog.next().byteLength, 3 * SHARED_BYTES);
  backlog.advance(2.5 * SHARED_BYTES);
  assert.equal(countUsed(9), 3, "those of the two copies that have left, and what was joined in");
  assert.deepEqual(backlog.next(), bytes.subarray(2.5 * SHARED_BYTES));
  backlog.advance(0.5 * SHARED_BYTES);
  assert.equal(countUsed(9), 1);
});

test("a copy whose connection is gone leaves its memory to no other one, since the write may go on", () => {
  const [gone, next] = [new WriteBacklog(), new WriteBacklog()];
  const [bytes] = numberedPieces([40 * KIB]);
  gone.addCopy(bytes, 0, bytes.byteLength);
  const written = gone.next();
  gone.clear();
  gone.add(new Uint8Array(1));
  gone.advance(1);
  next.addCopy(bytes, 0, bytes.byteLength);
  assert.notEqual(next.next().buffer, written.buffer);
});

test("what is copied may be longer than what is joined, and lie anywhere in its memory", () => {
  for (const [start, byteLength] of [[0, 200 * KIB], [190 * KIB, 10 * KIB]]) {
    const bytes = new Uint8Array(start + byteLength);
    bytes.set(numberedPieces([byteLength])[0], start);
    const backlog = new WriteBacklog();
    backlog.addCopy(bytes, start, bytes.byteLength);
    drain(backlog, Infinity);
  }
});

for (const mostBytes of [1, 7, 1000, 40 * KIB, 70 * KIB]) {
  test(`order is kept when a socket takes ${mostBytes} bytes at once`, () => {
    const sizes = mostBytes < 1000 ? [3, 9, 1, 300, 2] : [9, 64 * KIB, 2, 500, 100 * KIB, 7, 20 * KIB, 20 * KIB, 5];
    drain(filled(sizes), mostBytes);
  });
}

test("what several backlogs have joined at the same time stays apart", () => {
  const sizes = [9, 30 * KIB, 2];
  const backlogs = Array.from({ length: 40 }, () => filled(sizes));
  for (const backlog of backlogs) backlog.next();
  for (const backlog of backlogs) assert.equal(drain(backlog, 20 * KIB), 2);
});

test("storage for joined pieces is used again, and no more of it is kept than a busy server needs", () => {
  const joinAtOnce = (count: number): Set<ArrayBufferLike> => {
    const backlogs = Array.from({ length: count }, () => filled([9, 30 * KIB, 2]));
    const storages = new Set(backlogs.map((backlog) => backlog.next().buffer));
    for (const backlog of backlogs) backlog.advance(backlog.byteLength);
    return storages;
  };
  const before = joinAtOnce(200);
  assert.equal(before.size, 200);
  const reused = [...joinAtOnce(200)].filter((storage) => before.has(storage)).length;
  assert.equal(reused, 32);
});

test("a backlog that was cleared during a write does not give its storage to others", () => {
  const cleared = filled([9, 30 * KIB]);
  const underWay = cleared.next();
  const before = underWay.slice();
  cleared.clear();
  cleared.add(new Uint8Array(1));
  cleared.advance(1);
  drain(filled([100, 30 * KIB, 1]), Infinity);
  assert.deepEqual(underWay, before);
});

test("it tells when there is enough, and may take more", () => {
  const backlog = new WriteBacklog();
  assert.equal(backlog.add(new Uint8Array(HIGH_WATER_BYTES - 1)), true);
  assert.equal(backlog.owesDrain, false);
  assert.equal(backlog.add(new Uint8Array(1)), false);
  assert.equal(backlog.owesDrain, true);
});
