import assert from "node:assert/strict";
import { test } from "node:test";
import { ContentBuffer } from "../../src/web/content_buffer.ts";

const KIB = 1024;
const MIB = 1024 * KIB;

/** Bytes of which each tells its place. */
function numbered(byteLength: number): Uint8Array<ArrayBuffer> {
  return new Uint8Array(byteLength).map((_, index) => index % 251);
}

/** Appends content in pieces of a size, out of storage that is overwritten at once. */
function fill(buffer: ContentBuffer, content: Uint8Array, pieceBytes: number, wantedBytes: number): void {
  for (let at = 0; at < content.byteLength; at += pieceBytes) {
    const borrowed = new Uint8Array(pieceBytes + 2).fill(0xaa);
    const piece = content.subarray(at, at + pieceBytes);
    borrowed.set(piece, 1);
    buffer.append(borrowed, 1, 1 + piece.byteLength, wantedBytes);
    borrowed.fill(0xaa);
  }
}

for (const expectation of ["announced", "unknown"] as const) {
  for (const pieceBytes of [1, 100, 4096, 64 * KIB, 1 * MIB]) {
    test(`content of ${expectation} length in pieces of ${pieceBytes} bytes is given whole`, () => {
      const content = numbered(pieceBytes === 1 ? 300 : 300 * KIB);
      const buffer = new ContentBuffer();
      fill(buffer, content, pieceBytes, expectation === "announced" ? content.byteLength : Infinity);
      assert.equal(buffer.byteLength, content.byteLength);
      const taken = buffer.take();
      assert.ok(taken.every((byte, index) => byte === content[index]));
      assert.equal(taken.byteLength, content.byteLength);
      assert.equal(taken.buffer.byteLength, content.byteLength);
      assert.equal(buffer.byteLength, 0);
    });
  }
}

test("a peer who merely announces much gets little memory", () => {
  const buffer = new ContentBuffer();
  const wantedBytes = 16 * MIB;
  for (const [sentBytes, mostBytes] of [[1, KIB], [2 * KIB, 64 * KIB], [16 * KIB, 64 * KIB], [MIB, 4 * MIB]]) {
    fill(buffer, numbered(sentBytes - buffer.byteLength), sentBytes, wantedBytes);
    assert.ok(buffer.storageBytes <= mostBytes, `${buffer.storageBytes} bytes are held for ${sentBytes}`);
  }
});

test("there is no storage for more than is wanted, but for what came", () => {
  const buffer = new ContentBuffer();
  fill(buffer, numbered(50 * KIB), 25 * KIB, 64 * KIB);
  assert.equal(buffer.storageBytes, 64 * KIB);
  fill(buffer, numbered(50 * KIB), 50 * KIB, 64 * KIB);
  assert.equal(buffer.storageBytes, 100 * KIB);
});

for (const wantedBytes of [0, 64 * KIB, Infinity]) {
  test(`tiny pieces are not copied again with each one that comes, whether ${wantedBytes} bytes are wanted or less`, () => {
    const buffer = new ContentBuffer();
    const content = numbered(300 * KIB);
    let copiedBytes = 0;
    let storageBytes = 0;
    for (let at = 0; at < content.byteLength; at += 2) {
      buffer.append(content, at, at + 2, wantedBytes);
      if (buffer.storageBytes !== storageBytes) copiedBytes += at;
      storageBytes = buffer.storageBytes;
    }
    assert.ok(copiedBytes < 4 * content.byteLength, `${copiedBytes} bytes were copied`);
    assert.ok(storageBytes <= 4 * content.byteLength, `${storageBytes} bytes are held`);
    assert.deepEqual(buffer.take(), content);
  });
}

test("content of an announced length that came a little at first lies where it is taken", () => {
  const buffer = new ContentBuffer();
  for (const sentBytes of [4 * KIB, 60 * KIB]) {
    fill(buffer, numbered(sentBytes), 4 * KIB, 64 * KIB);
    assert.equal(buffer.storageBytes, 64 * KIB);
  }
  const { buffer: memory } = buffer.take();
  assert.equal(memory.byteLength, 64 * KIB);
});

test("a piece that is shared with nothing else is not copied", () => {
  const buffer = new ContentBuffer();
  const piece = numbered(10);
  buffer.add(piece, 20);
  assert.equal(buffer.take(), piece);
  buffer.add(piece, 20);
  buffer.add(piece, 20);
  assert.deepEqual([...buffer.take()], [...piece, ...piece]);
  assert.deepEqual([...piece], [...numbered(10)]);
});

test("what was taken stays as it is when more comes", () => {
  const buffer = new ContentBuffer();
  fill(buffer, numbered(10), 10, 10);
  const taken = buffer.take();
  fill(buffer, new Uint8Array(10), 10, 10);
  assert.deepEqual(taken, numbered(10));
});
