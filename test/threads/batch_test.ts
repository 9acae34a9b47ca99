/** Batches: what a message says arrives as it was, and bytes move or stay as their owner wants. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { type Message, OutgoingBatch, readBatch, type ReceivedBatch } from "../../src/threads/batch.ts";

/** Sends a batch as between two threads: what is transferred is empty here afterwards. */
function cross(batch: OutgoingBatch): ReceivedBatch & { readonly moved: number } {
  let received: unknown;
  let moved = 0;
  batch.send((message, transfer) => {
    received = structuredClone(message, { transfer });
    moved = transfer.length;
  });
  return { ...readBatch(received), moved };
}

/** Bytes that can be told from others. */
function bytesOf(length: number): Uint8Array<ArrayBuffer> {
  return Uint8Array.from({ length }, (_, index) => index * 7 + 1);
}

describe("messages of a batch", () => {
  test("arrive in the order in which they were added, with all they say", () => {
    const messages: Message[] = [
      ["call", 1, "GET", "http://a.test/", [0, 4, 4, 9], null, { transport: "tcp" }],
      ["answer", 2, 200, "", ["x", 'a "quoted" text', "y", "caf\xe9 \u2028 \ud83d\ude00"], { text: "hällo" }],
      ["credit", -3, 65_536],
      ["ping", 0],
    ];
    const batch = new OutgoingBatch();
    for (const message of messages) batch.add(message);
    assert.deepEqual(cross(batch).messages, messages);
  });

  test("are sent once: behind them the batch is empty", () => {
    const batch = new OutgoingBatch();
    assert.equal(batch.isEmpty, true);
    batch.add(["ping", 0]);
    batch.attach(bytesOf(10));
    assert.equal(batch.isEmpty, false);
    cross(batch);
    assert.equal(batch.isEmpty, true);
    batch.add(["close", 0]);
    assert.deepEqual(cross(batch), { messages: [["close", 0]], bytes: [], texts: [], moved: 0 });
  });

  test("can be added while the batch is sent: they are of the next one", () => {
    const batch = new OutgoingBatch();
    batch.add(["ping", 0]);
    batch.send(() => batch.add(["close", 0]));
    assert.deepEqual(cross(batch).messages, [["close", 0]]);
  });
});

test("texts of a batch are named by their number, and arrive as they were", () => {
  const batch = new OutgoingBatch();
  const texts = [
    "",
    "plain",
    'a "quoted" text\r\n',
    "caf\xe9 \u2028 \ud83d\ude00",
    "half a pair: \ud83d",
    "x".repeat(100_000),
  ];
  assert.deepEqual(texts.map((text) => batch.attachText(text)), [0, 1, 2, 3, 4, 5]);
  batch.add(["ping", 0]);
  assert.deepEqual(cross(batch).texts, texts);
  batch.add(["ping", 0]);
  assert.deepEqual(cross(batch).texts, []);
});

describe("bytes of a batch", () => {
  test("are named by their number", () => {
    const batch = new OutgoingBatch();
    const sizes = [0, 1, 5_000, 2_047, 2_048, 100_000];
    const numbers = sizes.map((size, index) =>
      index % 2 === 0 ? batch.attach(bytesOf(size)) : batch.attachCopy(bytesOf(size))
    );
    const { bytes } = cross(batch);
    assert.deepEqual(numbers, [0, 1, 2, 3, 4, 5]);
    assert.deepEqual(numbers.map((number) => bytes[number]), sizes.map(bytesOf));
  });

  const given: { name: string; bytes: () => Uint8Array<ArrayBuffer>; moves: boolean }[] = [
    { name: "all of a large buffer", bytes: () => bytesOf(2_048), moves: true },
    { name: "all of a small buffer", bytes: () => bytesOf(2_047), moves: false },
    { name: "the beginning of a larger buffer", bytes: () => bytesOf(10_000).subarray(0, 5_000), moves: false },
    { name: "the end of a larger buffer", bytes: () => bytesOf(10_000).subarray(5_000), moves: false },
    { name: "nothing", bytes: () => bytesOf(0), moves: false },
  ];
  for (const { name, bytes, moves } of given) {
    test(`that are given away ${moves ? "move" : "are copied"}: ${name}`, () => {
      const batch = new OutgoingBatch();
      const original = bytes();
      const expected = original.slice();
      batch.attach(original);
      const received = cross(batch);
      assert.deepEqual(received.bytes, [expected]);
      assert.equal(original.byteLength, moves ? 0 : expected.byteLength);
    });
  }

  for (const size of [0, 10, 2_047, 2_048, 100_000]) {
    test(`of which a copy is attached stay the caller's: ${size} of them`, () => {
      const batch = new OutgoingBatch();
      const original = bytesOf(size);
      batch.attachCopy(original);
      assert.deepEqual(cross(batch).bytes, [bytesOf(size)]);
      assert.deepEqual(original, bytesOf(size));
    });

    test(`of which a copy is attached may be changed before the batch is sent: ${size} of them`, () => {
      const batch = new OutgoingBatch();
      const original = bytesOf(size);
      batch.attachCopy(original);
      original.fill(0);
      assert.deepEqual(cross(batch).bytes, [bytesOf(size)]);
    });
  }

  test("arrive each in a buffer of its own, which who gets them may give away", () => {
    const batch = new OutgoingBatch();
    const sizes = [3, 0, 2_047, 5_000, 7, 1_000, 2_000, 1_500];
    for (const size of sizes) batch.attach(bytesOf(size));
    const { bytes } = cross(batch);
    assert.deepEqual(bytes, sizes.map(bytesOf));
    assert.deepEqual(bytes.map(({ buffer }) => buffer.byteLength), sizes);
    assert.equal(new Set(bytes.map(({ buffer }) => buffer)).size, sizes.length);
  });

  test("are of the batch they were attached to", () => {
    const batch = new OutgoingBatch();
    batch.attach(bytesOf(100));
    const first = cross(batch);
    batch.attach(bytesOf(50));
    assert.deepEqual(cross(batch).bytes, [bytesOf(50)]);
    assert.deepEqual(first.bytes, [bytesOf(100)]);
  });

  test("of one buffer can be attached twice as copies", () => {
    const batch = new OutgoingBatch();
    const original = bytesOf(5_000);
    batch.attachCopy(original);
    batch.attachCopy(original);
    assert.deepEqual(cross(batch).bytes, [bytesOf(5_000), bytesOf(5_000)]);
  });
});
