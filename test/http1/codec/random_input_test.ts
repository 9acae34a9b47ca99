/**
 * Inputs that no table has: fixtures with random changes, cut at random places. Whatever comes of them is a request or a
 * typed error of the peer, and the same for every way of cutting.
 */

import assert from "node:assert/strict";
import { test } from "node:test";
import { CONTENTS } from "../../fixtures/contents.ts";
import { REQUEST_HEADS } from "../../fixtures/request_heads.ts";
import { latin1, parseRequests } from "../../support/parse_requests.ts";
import { createRandom } from "../../support/random.ts";
import { roundsOf } from "../../support/splits.ts";

const INPUTS = [...Object.values(REQUEST_HEADS), ...Object.values(CONTENTS)].flat().map((fixture) => fixture.input);
const ROUNDS = roundsOf(20_000);
/** Bytes that mean something somewhere, tried more often than others. */
const TELLING_BYTES = [0x00, 0x09, 0x0a, 0x0d, 0x20, 0x22, 0x2c, 0x2f, 0x30, 0x3a, 0x3b, 0x3d, 0x5c, 0x7f, 0x80, 0xff];

function mutate(input: Uint8Array, random: (below: number) => number): Uint8Array {
  const bytes = [...input];
  for (let changes = 1 + random(3); changes > 0; changes--) {
    const at = random(bytes.length + 1);
    const byte = random(2) === 0 ? TELLING_BYTES[random(TELLING_BYTES.length)] : random(256);
    switch (random(4)) {
      case 0:
        bytes.splice(at, 1);
        break;
      case 1:
        bytes.splice(at, 0, byte);
        break;
      case 2:
        bytes.splice(at, 1, byte);
        break;
      default:
        bytes.splice(at, 0, ...bytes.slice(random(bytes.length + 1)).slice(0, random(40)));
    }
  }
  return Uint8Array.from(bytes);
}

function cut(bytes: Uint8Array, random: (below: number) => number): Uint8Array[] {
  const pieces: Uint8Array[] = [];
  for (let at = 0; at < bytes.byteLength;) {
    const end = Math.min(bytes.byteLength, at + 1 + random(20));
    pieces.push(bytes.subarray(at, end));
    at = end;
  }
  return pieces;
}

test("inputs with random changes give the same result whole and in random pieces", () => {
  const random = createRandom(9112);
  const ends = new Map<string, number>();
  for (let round = 0; round < ROUNDS; round++) {
    const bytes = mutate(latin1(INPUTS[random(INPUTS.length)]), random);
    const whole = parseRequests([bytes]);
    const inPieces = parseRequests(cut(bytes, random));
    assert.deepEqual(inPieces, whole, `round ${round}: ${JSON.stringify(String.fromCharCode(...bytes))}`);
    ends.set(whole.end, (ends.get(whole.end) ?? 0) + 1);
  }
  assert.ok(ends.size > 15, `the inputs reach ${ends.size} different ends`);
});
