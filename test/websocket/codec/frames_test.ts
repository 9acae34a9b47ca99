/**
 * Every row is fed whole, byte by byte and in two pieces, and has to give the same each time; and what stops early gives
 * nothing that was not there.
 */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { type Found, FRAMES, INVALID_UTF8, VALID_UTF8 } from "../../fixtures/websocket_frames.ts";
import { decodeFrames } from "../../support/decode_frames.ts";
import { splitsOf } from "../../support/splits.ts";
import { concat, frame, utf8 } from "../../support/websocket_frames.ts";

/** Longer inputs are split at a few places only: they are about lengths. */
const MAX_BYTES_FOR_EVERY_SPLIT = 600;
const SPLITS_OF_LONG_INPUTS = 30;

function bytewise(bytes: Uint8Array): Uint8Array[] {
  return Array.from(bytes, (_, i) => bytes.subarray(i, i + 1));
}

function assertHoweverSplit(input: Uint8Array, expected: readonly Found[]): void {
  assert.deepEqual(decodeFrames([input]), expected, "whole");
  assert.deepEqual(decodeFrames(bytewise(input)), expected, "byte by byte");
  const most = input.byteLength <= MAX_BYTES_FOR_EVERY_SPLIT ? Infinity : SPLITS_OF_LONG_INPUTS;
  for (const at of splitsOf(input.byteLength, most)) {
    assert.deepEqual(decodeFrames([input.subarray(0, at), input.subarray(at)]), expected, `split at ${at}`);
  }
}

for (const [heading, fixtures] of Object.entries(FRAMES)) {
  describe(heading, () => {
    for (const { name, rfc, input, found } of fixtures) {
      test(`${name} (RFC ${rfc})`, () => assertHoweverSplit(input, found));
    }
  });
}

describe("text that comes in pieces", () => {
  for (const [name, text] of VALID_UTF8) {
    test(`${name}: every split into three fragments gives the text`, () => {
      const bytes = utf8(text);
      for (let first = 0; first <= bytes.byteLength; first++) {
        for (let second = first; second <= bytes.byteLength; second++) {
          const input = concat(
            frame({ opcode: 1, fin: false, payload: bytes.subarray(0, first) }),
            frame({ opcode: 9 }),
            frame({ opcode: 0, fin: false, payload: bytes.subarray(first, second) }),
            frame({ opcode: 0, payload: bytes.subarray(second) }),
          );
          assert.deepEqual(decodeFrames([input]), ["ping ", `text ${text}`], `${first}, ${second}`);
        }
      }
    });
  }

  for (const [name, bytes, knownAfter] of INVALID_UTF8) {
    test(`${name}: is refused at the first byte that shows it`, () => {
      const before = utf8("ok ä ");
      const payload = concat(before, Uint8Array.from(bytes), new Uint8Array(20));
      const head = frame({ opcode: 1, payload }).byteLength - payload.byteLength;
      const input = frame({ opcode: 1, payload, fin: false });
      // Where only the end of the text would show it, the zero behind it does.
      const needed = before.byteLength + (knownAfter === 0 ? bytes.length + 1 : knownAfter);
      assert.deepEqual(decodeFrames([input.subarray(0, head + needed)]), ["fail 1007"]);
      assert.deepEqual(decodeFrames(bytewise(input.subarray(0, head + needed))), ["fail 1007"]);
      assert.deepEqual(decodeFrames([input.subarray(0, head + needed - 1)]), []);
    });
  }
});

describe("an input that stops early", () => {
  test("gives only what was whole", () => {
    for (const { name, input, found } of Object.values(FRAMES).flat()) {
      if (input.byteLength > MAX_BYTES_FOR_EVERY_SPLIT) continue;
      for (let length = 0; length < input.byteLength; length++) {
        const early = decodeFrames([input.subarray(0, length)]);
        assert.deepEqual(early, found.slice(0, early.length), `${name}, the first ${length} bytes`);
      }
    }
  });
});

describe("the cost of a message", () => {
  test("grows with its bytes, not with the number of its fragments or reads", () => {
    const count = 20_000;
    const middle = frame({ opcode: 0, fin: false, payload: "x" });
    const all = concat(
      frame({ opcode: 1, fin: false }),
      ...Array.from({ length: count }, () => middle),
      frame({ opcode: 0 }),
    );
    let allocatedBytes = 0;
    const { set } = Uint8Array.prototype;
    Uint8Array.prototype.set = function (source, at): void {
      allocatedBytes += source.length;
      set.call(this, source, at);
    };
    try {
      assert.equal(decodeFrames([all])[0].length, count + 5);
    } finally {
      Uint8Array.prototype.set = set;
    }
    // Each byte is copied when it comes, and once or twice more as the buffer doubles.
    assert.ok(allocatedBytes < count * 4, `${allocatedBytes} bytes were copied`);
  });
});
