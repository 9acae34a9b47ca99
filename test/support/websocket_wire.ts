/**
 * A WebSocket on the wire: its opening handshake, and what a server that echoes has to send for what a client sent.
 *
 * @module
 */

import type { InflateRaw } from "node:zlib";
import { constants } from "node:zlib";
import type { Handler } from "../../src/api/handler.ts";
import type { WebSocketOptions } from "../../src/api/websocket.ts";
import { type Found, hex } from "../fixtures/websocket_frames.ts";
import { decodeLatin1, latin1 } from "./parse_requests.ts";
import { concat, parseServerFrames, type ServerFrame } from "./websocket_frames.ts";

/** The key of RFC 6455 section 1.3, and what proves that it was read. */
export const KEY = "dGhlIHNhbXBsZSBub25jZQ==";
export const ACCEPT = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/** A request for a WebSocket, with further field lines. */
export function webSocketRequest(path = "/", ...fieldLines: string[]): string {
  const lines = [
    `GET ${path} HTTP/1.1`,
    "Host: a.test",
    "Connection: Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Version: 13",
    `Sec-WebSocket-Key: ${KEY}`,
    ...fieldLines,
  ];
  return `${lines.join("\r\n")}\r\n\r\n`;
}

/** A handler that sends back each message. */
export function echo(options?: WebSocketOptions): Handler {
  return (_request, info) => {
    const { response, socket } = info.upgradeWebSocket(options);
    socket.binaryType = "arraybuffer";
    socket.onmessage = (event) => socket.send(event.data);
    return response;
  };
}

/** At the ends of what is longer than both, bytes come one by one; decoders alone get every byte so. */
const MAX_BYTES_APART = 300;

/** Bytes one by one; of many those at the beginning and at the end, where heads and chars may be parted. */
export function bytewise(input: Uint8Array): Uint8Array[] {
  const apart = (bytes: Uint8Array): Uint8Array[] => Array.from(bytes, (_, i) => bytes.subarray(i, i + 1));
  if (input.byteLength <= 2 * MAX_BYTES_APART) return apart(input);
  return [
    ...apart(input.subarray(0, MAX_BYTES_APART)),
    input.subarray(MAX_BYTES_APART, -MAX_BYTES_APART),
    ...apart(input.subarray(-MAX_BYTES_APART)),
  ];
}

/** The head of the response, and the bytes behind it; throws where it is not whole. */
export function splitResponse(received: string): { readonly head: string; readonly bytes: Uint8Array } {
  const end = received.indexOf("\r\n\r\n");
  if (end < 0) throw new Error(`There is no whole head in ${JSON.stringify(received)}.`);
  return { head: received.slice(0, end), bytes: latin1(received.slice(end + 4)) };
}

/** The frames behind the head of the response. */
export function framesOf(received: string): ServerFrame[] {
  return parseServerFrames(splitResponse(received).bytes);
}

/** What a server has sent, as rows say it: `text`, `binary`, `ping`, `pong` and `close` with its code and reason. */
export function show(frames: readonly ServerFrame[]): Found[] {
  return frames.map(({ fin, rsv, opcode, payload }) => {
    if (!fin || rsv !== 0) throw new Error("A frame is not a whole message.");
    if (opcode === 1) return `text ${new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(payload)}`;
    if (opcode === 2) return `binary ${hex(payload)}`;
    if (opcode === 9) return `ping ${decodeLatin1(payload, 0, payload.byteLength)}`;
    if (opcode === 10) return `pong ${decodeLatin1(payload, 0, payload.byteLength)}`;
    if (opcode !== 8) throw new Error(`A server has no frame with the opcode ${opcode}.`);
    return `close ${payload.byteLength === 0 ? 1005 : payload[0] * 256 + payload[1]}`;
  });
}

/** What a server that echoes has to send for what it finds. */
export function answersTo(found: readonly Found[]): Found[] {
  return found.flatMap((what) => {
    const [kind, code] = what.split(" ", 2);
    if (kind === "ping") return [`pong${what.slice(4)}`];
    if (kind === "pong") return [];
    return kind === "close" || kind === "fail" ? [`close ${code}`] : [what];
  });
}

/** Whether a connection ends by what is found. */
export function endsIt(found: readonly Found[]): boolean {
  return found.some((what) => /^(?:close|fail) /.test(what));
}

/** The payload of a message, by a stream that has had those before, to which it may refer. */
export function inflateNext(inflater: InflateRaw, payload: Uint8Array): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    const pieces: Uint8Array[] = [];
    const take = (piece: Uint8Array): void => void pieces.push(piece);
    inflater.on("data", take);
    inflater.once("error", reject);
    // RFC 7692 section 7.2.2: these four bytes were not sent.
    inflater.write(concat(payload, Uint8Array.of(0, 0, 0xff, 0xff)));
    inflater.flush(constants.Z_SYNC_FLUSH, () => {
      inflater.off("data", take);
      inflater.off("error", reject);
      resolve(concat(...pieces));
    });
  });
}
