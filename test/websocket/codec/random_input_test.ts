/** Frames that were damaged at random, split at random: always the same, never a crash. And UTF-8 against the runtime. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Utf8Check } from "../../../src/websocket/codec/utf8_check.ts";
import { FRAMES } from "../../fixtures/websocket_frames.ts";
import { decodeFrames } from "../../support/decode_frames.ts";
import { createRandom } from "../../support/random.ts";
import { roundsOf } from "../../support/splits.ts";
import { concat } from "../../support/websocket_frames.ts";

const ROUNDS = roundsOf(4_000);
const SEED = 6455;

describe("random input", () => {
  const inputs = Object.values(FRAMES).flat().map(({ input }) => input).filter(({ byteLength }) => byteLength < 300);

  for (const mayBeCompressed of [false, true]) {
    test(`gives the same however it is split${mayBeCompressed ? ", with compression" : ""}`, () => {
      const random = createRandom(SEED);
      for (let round = 0; round < ROUNDS; round++) {
        const bytes = concat(...Array.from({ length: 1 + random(4) }, () => inputs[random(inputs.length)]));
        for (let damage = random(4); damage > 0; damage--) bytes[random(bytes.byteLength)] = random(256);
        const pieces: Uint8Array[] = [];
        for (let at = 0; at < bytes.byteLength;) {
          const end = at + 1 + random(random(2) === 0 ? 5 : 120);
          pieces.push(bytes.subarray(at, end));
          at = end;
        }
        assert.deepEqual(
          decodeFrames(pieces, mayBeCompressed),
          decodeFrames([bytes], mayBeCompressed),
          `round ${round}`,
        );
      }
    });
  }
});

describe("the check of UTF-8", () => {
  const decoder = new TextDecoder("utf-8", { fatal: true });
  const isValid = (bytes: Uint8Array): boolean => {
    try {
      decoder.decode(bytes);
      return true;
    } catch {
      return false;
    }
  };
  const check = new Utf8Check();
  const isTaken = (bytes: Uint8Array): boolean => {
    check.reset();
    return check.take(bytes, 0, bytes.byteLength) && check.isAtBoundary;
  };

  test("says the same as the runtime's decoder of all sequences of one, two and three bytes at the edges", () => {
    const edges = [0x00, 0x41, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xc1, 0xc2, 0xdf, 0xe0, 0xe1, 0xec];
    const all = [...edges, 0xed, 0xee, 0xef, 0xf0, 0xf1, 0xf3, 0xf4, 0xf5, 0xf7, 0xf8, 0xfd, 0xfe, 0xff];
    for (let first = 0; first < 256; first++) {
      assert.equal(isTaken(Uint8Array.of(first)), isValid(Uint8Array.of(first)), String(first));
      for (let second = 0; second < 256; second++) {
        const two = Uint8Array.of(first, second);
        assert.equal(isTaken(two), isValid(two), `${first} ${second}`);
      }
    }
    for (const first of all) {
      for (const second of all) {
        for (const third of all) {
          const three = Uint8Array.of(first, second, third);
          assert.equal(isTaken(three), isValid(three), String(three));
          for (const fourth of [0x41, 0x7f, 0x80, 0xbf, 0xc0]) {
            const four = Uint8Array.of(first, second, third, fourth);
            assert.equal(isTaken(four), isValid(four), String(four));
          }
        }
      }
    }
  });
});
