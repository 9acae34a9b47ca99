/**
 * What clients send when they are tried at random, mostly right: whole messages, fragments with control frames between
 * them, and now and then a fault of each kind that ws and Trivet answer alike.
 *
 * @module
 */

import { createRandom } from "../../support/random.ts";
import { closePayload, concat, frame, type FrameParts, utf8 } from "../../support/websocket_frames.ts";

const LENGTHS = [0, 1, 2, 3, 4, 23, 24, 25, 125, 126, 127, 128, 1_000, 4_095];
const CHARS = ["a", "~", "ß", "€", "𝄞", "\u0000", "\u007f", "\u07ff", "\ud7ff", "\uffff", "\u{10ffff}"];
const CODES = [1000, 1001, 1003, 1004, 1005, 1006, 1007, 1011, 1014, 1015, 2999, 3000, 4999, 5000, 0, 999];

/** So many rows, the same for the same seed. */
export function randomRows(count: number, seed: number): { readonly name: string; readonly input: Uint8Array }[] {
  const random = createRandom(seed);
  const pick = <T>(all: readonly T[]): T => all[random(all.length)];
  const key = (): [number, number, number, number] => [random(256), random(256), random(256), random(256)];
  const control = (): FrameParts => ({ opcode: pick([9, 9, 10]), payload: "ping".slice(random(5)), key: key() });
  const text = (): string => Array.from({ length: pick(LENGTHS) }, () => pick(CHARS)).join("").slice(0, 4_000);

  const message = (): FrameParts[] => {
    const isText = random(2) === 0;
    const payload = isText
      ? utf8(text().toWellFormed())
      : Uint8Array.from({ length: pick(LENGTHS) }, () => random(256));
    const parts: FrameParts[] = [];
    let at = 0;
    for (let left = random(4); left >= 0; left--) {
      const end = left === 0 ? payload.byteLength : at + random(payload.byteLength - at + 1);
      const opcode = at === 0 && parts.length === 0 ? (isText ? 1 : 2) : 0;
      parts.push({ opcode, payload: payload.slice(at, end), fin: left === 0, key: key() });
      if (left > 0 && random(3) === 0) parts.push(control());
      at = end;
    }
    return parts;
  };

  const fault = (): FrameParts => {
    const one = { payload: "fault", key: key() };
    switch (random(9)) {
      case 0:
        return { ...one, opcode: 1, rsv: 1 + random(7) };
      case 1:
        return { ...one, opcode: pick([3, 4, 5, 6, 7, 11, 12, 13, 14, 15]) };
      case 2:
        return { ...one, opcode: pick([1, 2, 9]), key: null };
      case 3:
        return { ...one, opcode: pick([8, 9, 10]), fin: false };
      case 4:
        return { ...one, opcode: 0 };
      case 5:
        return { ...one, opcode: pick([9, 10]), payload: "x".repeat(126) };
      case 6:
        return { ...one, opcode: 1, payload: Uint8Array.of(0x61, pick([0x80, 0xc0, 0xc3, 0xed, 0xf8, 0xff])) };
      case 7:
        return { ...one, opcode: 8, payload: closePayload(pick(CODES), "why") };
      default:
        return { ...one, opcode: 8, payload: pick([Uint8Array.of(3), closePayload(1000, Uint8Array.of(0xff))]) };
    }
  };

  return Array.from({ length: count }, (_, i) => {
    const parts: FrameParts[] = [];
    for (let left = 1 + random(6); left > 0; left--) parts.push(...(random(3) === 0 ? [control()] : message()));
    if (random(2) === 0) parts.push(fault(), ...message());
    return { name: `random frames ${i}`, input: concat(...parts.map(frame)) };
  });
}
