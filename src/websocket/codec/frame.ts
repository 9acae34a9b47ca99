/**
 * The vocabulary of frames: opcodes and close codes (RFC 6455 sections 5.2, 7.4 and 11.7).
 *
 * It decides which close codes may stand in a Close frame. It must not know what a connection does with them.
 *
 * @module
 */

/** A further fragment of a message. */
export const OP_CONTINUATION = 0x0;
/** The first frame of a message that is text. */
export const OP_TEXT = 0x1;
/** The first frame of a message that is bytes. */
export const OP_BINARY = 0x2;
/** The end of what its sender has to say. */
export const OP_CLOSE = 0x8;
/** Asks whether the peer is there. */
export const OP_PING = 0x9;
/** Says that the peer is there. */
export const OP_PONG = 0xa;

/** The last frame of a message. */
export const FIN_BIT = 0x80;
/** The payload of the message is compressed (RFC 7692 section 6). */
export const RSV1_BIT = 0x40;
/** Bits that no extension has claimed. */
export const RESERVED_BITS = 0x30;
/** The opcodes of control frames. */
export const CONTROL_BIT = 0x8;
/** The payload is masked, as that of every frame of a client is. */
export const MASK_BIT = 0x80;

/** The payload of a control frame has at most this many bytes (RFC 6455 section 5.5). */
export const MAX_CONTROL_BYTES = 125;
/** The reason of a Close frame stands behind its code. */
export const MAX_REASON_BYTES = 123;

/** The purpose is fulfilled. */
export const CLOSE_NORMAL = 1000;
/** The server stops, or the page is left. */
export const CLOSE_GOING_AWAY = 1001;
/** A frame that the protocol does not allow. */
export const CLOSE_PROTOCOL_ERROR = 1002;
/** Never sent: the Close frame had no code. */
export const CLOSE_WITHOUT_CODE = 1005;
/** Never sent: there was no Close frame. */
export const CLOSE_ABNORMAL = 1006;
/** Text that is not UTF-8, or compressed content that is not DEFLATE. */
export const CLOSE_INVALID_PAYLOAD = 1007;
/** More than the receiver takes. */
export const CLOSE_TOO_BIG = 1009;
/** The server met something that it did not expect. */
export const CLOSE_INTERNAL_ERROR = 1011;

/**
 * Whether a Close frame may have this code: 1000 to 1014 as registered, less those that only stand for the absence of
 * something (RFC 6455 section 7.4.1), and 3000 to 4999 (section 7.4.2).
 */
export function isCloseCode(code: number): boolean {
  if (code < 3000) return code >= 1000 && code <= 1014 && (code < 1004 || code > 1006);
  return code <= 4999;
}
