/**
 * Frames as a client writes them, right or wrong, and as it reads those of a server.
 *
 * Written from RFC 6455 section 5.2 alone, so that tests do not ask the code under test what is right.
 *
 * @module
 */

/** What a frame may be told; the defaults make a right one. */
export interface FrameParts {
  readonly opcode: number;
  readonly payload?: Uint8Array | string;
  /** Default true. */
  readonly fin?: boolean;
  /** The three reserved bits, as a number from 0 to 7 of which 4 is RSV1. */
  readonly rsv?: number;
  /** The key, or `null` for a frame that is not masked. */
  readonly key?: readonly [number, number, number, number] | null;
  /** The form of the length: its bytes behind the first, which then says 126 or 127. */
  readonly lengthBytes?: 0 | 2 | 8;
  /** A length that is said in place of that of the payload. */
  readonly saidLength?: bigint;
}

/** One frame that came from a server. */
export interface ServerFrame {
  readonly fin: boolean;
  readonly rsv: number;
  readonly opcode: number;
  readonly payload: Uint8Array;
}

const KEY = [0x37, 0xfa, 0x21, 0x3d] as const;

/** The bytes of text, as UTF-8. */
export function utf8(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

/** Pieces one behind the other. */
export function concat(...pieces: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const all = new Uint8Array(pieces.reduce((sum, piece) => sum + piece.byteLength, 0));
  let at = 0;
  for (const piece of pieces) {
    all.set(piece, at);
    at += piece.byteLength;
  }
  return all;
}

/** A frame of a client. */
export function frame(parts: FrameParts): Uint8Array {
  const { opcode, fin = true, rsv = 0, key = KEY } = parts;
  const payload = typeof parts.payload === "string" ? utf8(parts.payload) : parts.payload ?? new Uint8Array(0);
  const length = parts.saidLength ?? BigInt(payload.byteLength);
  const lengthBytes = parts.lengthBytes ?? (length < 126n ? 0 : length < 65_536n ? 2 : 8);
  const head = [(fin ? 0x80 : 0) | (rsv << 4) | opcode];
  head.push((key === null ? 0 : 0x80) | (lengthBytes === 0 ? Number(length) : lengthBytes === 2 ? 126 : 127));
  for (let i = lengthBytes - 1; i >= 0; i--) head.push(Number((length >> BigInt(8 * i)) & 0xffn));
  if (key === null) return concat(Uint8Array.from(head), payload);
  return concat(Uint8Array.from([...head, ...key]), payload.map((byte, i) => byte ^ key[i % 4]));
}

/** The payload of a Close frame. */
export function closePayload(code: number, reason: string | Uint8Array = ""): Uint8Array {
  return concat(Uint8Array.of(code >> 8, code & 0xff), typeof reason === "string" ? utf8(reason) : reason);
}

/** The frames in what a server has sent; throws where they are none. What is not whole yet is left out. */
export function parseServerFrames(bytes: Uint8Array): ServerFrame[] {
  const frames: ServerFrame[] = [];
  let at = 0;
  while (bytes.byteLength - at >= 2) {
    const [first, second] = bytes.subarray(at, at + 2);
    if ((second & 0x80) !== 0) throw new Error("A frame of the server is masked.");
    const lengthBytes = second === 126 ? 2 : second === 127 ? 8 : 0;
    const payloadAt = at + 2 + lengthBytes;
    if (bytes.byteLength < payloadAt) break;
    let length = lengthBytes === 0 ? second : 0;
    for (let i = at + 2; i < payloadAt; i++) length = length * 256 + bytes[i];
    if (length < (lengthBytes === 2 ? 126 : lengthBytes === 8 ? 65_536 : 0)) throw new Error("A length is too long.");
    if (bytes.byteLength < payloadAt + length) break;
    frames.push({
      fin: (first & 0x80) !== 0,
      rsv: (first >> 4) & 7,
      opcode: first & 0x0f,
      payload: bytes.slice(payloadAt, payloadAt + length),
    });
    at = payloadAt + length;
  }
  return frames;
}
