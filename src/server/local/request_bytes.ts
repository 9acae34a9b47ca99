/**
 * A `Request` as the bytes of HTTP/1.1, for a connection within the process.
 *
 * It decides which field lines are sent, and how the content is framed. It must not know what becomes of them.
 *
 * @module
 */

import { invalidPiece, toPiece } from "../../web/pieces.ts";
import type { TurnShare } from "../../web/turn_share.ts";
import { type StreamRead, StreamStart } from "../../web/stream_start.ts";

/** What frames the message is decided here, and a connection of its own needs no word about it. */
const NOT_SENT: ReadonlySet<string> = new Set([
  "host",
  "connection",
  "keep-alive",
  "content-length",
  "transfer-encoding",
]);

const LAST_CHUNK = latin1Bytes("0\r\n\r\n");
const END_OF_LINE = latin1Bytes("\r\n");

/** The content of a request that was begun to be read. */
export interface RequestContent {
  readonly reader: ReadableStreamDefaultReader<Uint8Array>;
  /** How much of a turn reading it may take. */
  readonly share: TurnShare;
  /** Its length, where it was there at once. */
  readonly byteLength: number | null;
  readonly pieces: readonly Uint8Array[];
  /** A read that is under way. */
  readonly pending: StreamRead | null;
}

/**
 * Begins to read the content of a request. What is there within a turn is sent with its length, as `fetch()` sends it.
 *
 * @returns `null` where there is none. Rejects with what the stream fails with.
 */
export function beginContent(
  { body }: Request,
  share: TurnShare,
): Promise<RequestContent | null> {
  if (body === null) return Promise.resolve(null);
  return new Promise((resolve, reject) => {
    const reader = (body as ReadableStream<Uint8Array>).getReader();
    new StreamStart(reader, share, {
      onWhole: (content) =>
        resolve({ reader, share, byteLength: content.byteLength, pieces: [content], pending: null }),
      onUnderWay: (pieces, pending) => resolve({ reader, share, byteLength: null, pieces, pending }),
      onStartFailure: reject,
    });
  });
}

/** The head of a request. */
export function requestHead({ method, url, headers }: Request, content: RequestContent | null): Uint8Array {
  const { host, pathname, search } = new URL(url);
  const lines = [`${method} ${pathname}${search} HTTP/1.1`, `host: ${headers.get("host") ?? host}`];
  headers.forEach((value, name) => {
    if (!NOT_SENT.has(name)) lines.push(`${name}: ${value}`);
  });
  if (content !== null) {
    const { byteLength } = content;
    lines.push(byteLength === null ? "transfer-encoding: chunked" : `content-length: ${byteLength}`);
  }
  return latin1Bytes(`${lines.join("\r\n")}\r\n\r\n`);
}

/**
 * Sends content, as fast as it is taken.
 *
 * @param content What to send.
 * @param send Resolves when the bytes were taken.
 */
export async function sendContent(content: RequestContent, send: (bytes: Uint8Array) => Promise<void>): Promise<void> {
  const { reader, share, byteLength, pieces, pending } = content;
  if (byteLength !== null) return await send(pieces[0]);
  const sendChunk = async (piece: Uint8Array): Promise<void> => {
    // A chunk without content would be the last one.
    if (piece.byteLength === 0) return;
    await Promise.all([send(latin1Bytes(`${piece.byteLength.toString(16)}\r\n`)), send(piece), send(END_OF_LINE)]);
  };
  for (const piece of pieces) await sendChunk(piece);
  for (let read = await (pending ?? reader.read()); !read.done; read = await reader.read()) {
    const piece = toPiece(read.value);
    if (piece === null) throw invalidPiece();
    await sendChunk(piece);
    if (!share.take()) await new Promise<void>((resolve) => share.wait(resolve));
  }
  await send(LAST_CHUNK);
}

function latin1Bytes(text: string): Uint8Array {
  return Uint8Array.from(text, (char) => char.charCodeAt(0));
}
