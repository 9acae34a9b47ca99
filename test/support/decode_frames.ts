/**
 * What a decoder of frames finds in bytes that come in pieces.
 *
 * @module
 */

import {
  FAILED,
  FOUND_CLOSE,
  FOUND_MESSAGE,
  FOUND_PING,
  FOUND_PONG,
  FrameDecoder,
  NEED_MORE,
} from "../../src/websocket/codec/frame_decoder.ts";
import { type Found, hex, MAX_MESSAGE_BYTES } from "../fixtures/websocket_frames.ts";
import { decodeLatin1 } from "./parse_requests.ts";

/** Decodes pieces, of which each is overwritten before the next comes, as a transport may do. */
export function decodeFrames(pieces: Iterable<Uint8Array>, mayBeCompressed = false): Found[] {
  const decoder = new FrameDecoder({ maxMessageBytes: MAX_MESSAGE_BYTES, mayBeCompressed }, decodeLatin1);
  const found: Found[] = [];
  for (const piece of pieces) {
    const borrowed = piece.slice();
    decoder.feed(borrowed);
    for (let event = decoder.next(); event !== NEED_MORE; event = decoder.next()) found.push(show(decoder, event));
    borrowed.fill(0xaa);
  }
  return found;
}

function show(decoder: FrameDecoder, event: number): Found {
  const payload = decoder.bytes.subarray(decoder.start, decoder.end);
  switch (event) {
    case FOUND_MESSAGE:
      if (decoder.isCompressed) return `compressed ${decoder.isText ? "text" : "binary"} ${hex(payload)}`;
      return decoder.isText ? `text ${decoder.text}` : `binary ${hex(payload)}`;
    case FOUND_PING:
      return `ping ${decodeLatin1(payload, 0, payload.byteLength)}`;
    case FOUND_PONG:
      return `pong ${decodeLatin1(payload, 0, payload.byteLength)}`;
    case FOUND_CLOSE:
      return `close ${decoder.closeCode} ${decoder.closeReason}`;
    case FAILED:
      return `fail ${decoder.closeCode}`;
    default:
      throw new Error(`There is no event ${event}.`);
  }
}
