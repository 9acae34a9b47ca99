/**
 * What may be sent and what may be published.
 *
 * It decides which values are text and which are bytes. It must not know how either is sent.
 *
 * @module
 */

import type { Publication } from "../exchange/publication.ts";

/** What is sent, in the forms the connection takes; anything else is sent as the Web does: as text. */
export function toPayload(message: unknown): string | Uint8Array | Blob {
  if (typeof message === "string" || message instanceof Uint8Array || message instanceof Blob) return message;
  if (ArrayBuffer.isView(message)) return new Uint8Array(message.buffer, message.byteOffset, message.byteLength);
  if (message instanceof ArrayBuffer) return new Uint8Array(message);
  if (typeof SharedArrayBuffer === "function" && message instanceof SharedArrayBuffer) return new Uint8Array(message);
  return String(message);
}

/**
 * What is published: there is no time to read a Blob.
 *
 * @throws {TypeError} For a Blob, or a topic that is no string.
 */
export function toPublication(topic: unknown, message: unknown): Publication {
  const payload = toPayload(message);
  if (payload instanceof Blob) throw new TypeError(BLOB_PUBLISHED);
  if (typeof topic !== "string") throw new TypeError(`A topic is a string, got ${typeof topic}.`);
  return { topic, message: payload as string | Uint8Array<ArrayBuffer> };
}

const BLOB_PUBLISHED = "Text or bytes can be published, and no Blob: read it first, or get bytes as they are with " +
  '`socket.binaryType = "arraybuffer"`.';
