/**
 * The frames of a server (RFC 6455 section 5): not masked, each message in one.
 *
 * It decides where the head of a frame ends and its payload begins. It must not know what sends it.
 *
 * @module
 */

import { CLOSE_WITHOUT_CODE, FIN_BIT, MAX_REASON_BYTES, OP_CLOSE, RSV1_BIT } from "./frame.ts";

/** The longest head of a frame that is not masked. */
export const MAX_FRAME_HEAD_BYTES = 10;

/** How many bytes stand before a payload of this length. */
export function frameHeadBytes(payloadBytes: number): number {
  if (payloadBytes < 126) return 2;
  return payloadBytes < 0x10000 ? 4 : MAX_FRAME_HEAD_BYTES;
}

/** Writes the head of a frame, which is a whole message or a control frame, and returns where its payload begins. */
export function writeFrameHead(
  target: Uint8Array,
  at: number,
  opcode: number,
  isCompressed: boolean,
  payloadBytes: number,
): number {
  target[at++] = FIN_BIT | (isCompressed ? RSV1_BIT : 0) | opcode;
  if (payloadBytes < 126) {
    target[at++] = payloadBytes;
    return at;
  }
  let lengthBytes = payloadBytes < 0x10000 ? 2 : 8;
  target[at++] = lengthBytes === 2 ? 126 : 127;
  let rest = payloadBytes;
  // From the last byte to the first: a length may have more bits than the operators for bits take.
  for (let place = at + lengthBytes; lengthBytes > 0; lengthBytes--) {
    target[--place] = rest % 256;
    rest = Math.floor(rest / 256);
  }
  return at + (payloadBytes < 0x10000 ? 2 : 8);
}

/** A frame with few bytes of payload, as control frames are. */
export function encodeFrame(opcode: number, payload: Uint8Array): Uint8Array<ArrayBuffer> {
  const headBytes = frameHeadBytes(payload.byteLength);
  const frame = new Uint8Array(headBytes + payload.byteLength);
  writeFrameHead(frame, 0, opcode, false, payload.byteLength);
  frame.set(payload, headBytes);
  return frame;
}

/**
 * A Close frame.
 *
 * @param code What may stand in one, or 1005 for a frame without a code.
 * @param reason At most 123 bytes as UTF-8.
 */
export function encodeCloseFrame(code: number, reason: string): Uint8Array<ArrayBuffer> {
  if (code === CLOSE_WITHOUT_CODE) return encodeFrame(OP_CLOSE, new Uint8Array(0));
  const payload = new Uint8Array(2 + MAX_REASON_BYTES);
  payload[0] = code >>> 8;
  payload[1] = code & 0xff;
  const { written } = new TextEncoder().encodeInto(reason, payload.subarray(2));
  return encodeFrame(OP_CLOSE, payload.subarray(0, 2 + written));
}
