/**
 * Bytes that came in pieces.
 *
 * @module
 */

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
