/**
 * Bytes that come in pieces.
 *
 * It decides what counts as bytes. It must not know what they are a piece of.
 *
 * @module
 */

const UTF8_ENCODER = new TextEncoder();
const NO_BYTES = new Uint8Array(0);

/**
 * A chunk of a response's stream as bytes, or `null` when it is none. The Fetch Standard takes nothing but a
 * `Uint8Array`. Some frameworks give text, which their runtimes send as UTF-8, and other views of bytes.
 */
export function toPiece(chunk: unknown): Uint8Array | null {
  if (chunk instanceof Uint8Array) return areGone(chunk) ? null : chunk;
  if (typeof chunk === "string") return UTF8_ENCODER.encode(chunk);
  try {
    if (ArrayBuffer.isView(chunk)) return new Uint8Array(chunk.buffer, chunk.byteOffset, chunk.byteLength);
    return chunk instanceof ArrayBuffer ? new Uint8Array(chunk) : null;
  } catch {
    // Their memory is gone.
    return null;
  }
}

/**
 * Whether bytes have lost their memory: it was transferred, or WebAssembly has taken other memory. They look empty, and
 * fail when they are copied, which must not be when their length was announced.
 */
export function areGone(bytes: Uint8Array): boolean {
  if (bytes.byteLength > 0) return false;
  try {
    NO_BYTES.set(bytes);
    return false;
  } catch {
    return true;
  }
}

/** The error of a chunk that is none of them. */
export function invalidPiece(): TypeError {
  return new TypeError(
    "The stream of a Response gave a chunk that is neither bytes nor text, or whose memory was transferred.",
  );
}

/** Puts pieces together; one alone is given as it is. */
export function joinPieces<Storage extends ArrayBufferLike>(
  pieces: readonly Uint8Array<Storage>[],
  byteLength: number,
): Uint8Array<Storage | ArrayBuffer> {
  if (pieces.length === 1) return pieces[0];
  const whole = new Uint8Array(byteLength);
  let at = 0;
  for (const piece of pieces) {
    whole.set(piece, at);
    at += piece.byteLength;
  }
  return whole;
}
