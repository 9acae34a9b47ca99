import assert from "node:assert/strict";
import { test } from "node:test";
import { ContentBuffer } from "../../src/exchange/content_buffer.ts";

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

test("there is no storage for more than is wanted, but for what came and half as much", () => {
  const buffer = new ContentBuffer();
  fill(buffer, numbered(50 * KIB), 25 * KIB, 64 * KIB);
  assert.equal(buffer.storageBytes, 64 * KIB);
  fill(buffer, numbered(50 * KIB), 50 * KIB, 64 * KIB);
  assert.equal(buffer.storageBytes, 150 * KIB);
});

test("what comes byte by byte beyond what is wanted is copied a few times, and not for each byte", () => {
  const buffer = new ContentBuffer();
  const sizes = new Set<number>();
  for (let i = 0; i < 200 * KIB; i++) {
    buffer.append(numbered(1), 0, 1, 64 * KIB);
    sizes.add(buffer.storageBytes);
  }
  assert.ok(sizes.size < 20, `${sizes.size} storages were made`);
});

test("content of an announced length that came a little at first lies where it is taken", () => {
  const buffer = new ContentBuffer();
  fill(buffer, numbered(64 * KIB), 4 * KIB, 64 * KIB);
  assert.equal(buffer.storageBytes, 64 * KIB);
  const { buffer: memory } = buffer.take();
  assert.equal(memory.byteLength, 64 * KIB);
});

test("a piece that belongs to nobody else is not copied", () => {
  const buffer = new ContentBuffer();
  const piece = numbered(10);
  buffer.add(piece, 20);
  assert.equal(buffer.take(), piece);
  buffer.add(piece, 20);
  buffer.add(piece, 20);
  assert.deepEqual([...buffer.take()], [...piece, ...piece]);
  assert.deepEqual([...piece], [...numbered(10)]);
});
