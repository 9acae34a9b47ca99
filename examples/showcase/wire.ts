/**
 * A client without a mind of its own: sends bytes over TCP as they are and notes what comes back, and when.
 *
 * @module
 */

import { connect } from "node:net";
import type { TcpAddress } from "../../mod.ts";

/** Something that was sent or received. */
export interface WireEvent {
  /** Which way it went. */
  readonly direction: "sent" | "received";
  /** The bytes as text. */
  text: string;
  /** Milliseconds since the connection was made. */
  readonly atMs: number;
}

/** Between two pieces, so that they arrive as two reads. */
const PAUSE_MS = 40;
/** Longer than any answer of the showcase takes. */
const DEADLINE_MS = 9_000;
const MAX_RECEIVED_CHARS = 64 * 1024;

/**
 * Sends the pieces one after another and reads until the server closes.
 *
 * Rejects when the connection cannot be made; a reset after that is just the end.
 *
 * @param address Where to.
 * @param pieces What to send.
 */
export function talk(address: TcpAddress, pieces: readonly string[]): Promise<WireEvent[]> {
  return new Promise((resolve, reject) => {
    const events: WireEvent[] = [];
    const decoder = new TextDecoder();
    const startedAtMs = performance.now();
    let sentPieces = 0;
    let receivedChars = 0;
    let pause: ReturnType<typeof setTimeout> | undefined;

    const note = (direction: WireEvent["direction"], text: string): void => {
      const last = events.at(-1);
      if (last?.direction === direction && direction === "received") last.text += text;
      else events.push({ direction, text, atMs: performance.now() - startedAtMs });
    };
    const sendNext = (): void => {
      if (sentPieces === pieces.length || !socket.writable) return;
      const piece = pieces[sentPieces++];
      note("sent", piece);
      socket.write(piece);
      pause = setTimeout(sendNext, PAUSE_MS);
    };
    const socket = connect({ host: address.hostname, port: address.port, noDelay: true }, sendNext);
    const deadline = setTimeout(() => socket.destroy(), DEADLINE_MS);
    socket.on("data", (bytes: Uint8Array) => {
      const text = decoder.decode(bytes, { stream: true });
      receivedChars += text.length;
      note("received", text);
      if (receivedChars > MAX_RECEIVED_CHARS) socket.destroy();
    });
    // What the socket cannot do after it was connected shows in what came, or did not come.
    socket.on("error", (error: Error) => sentPieces === 0 ? reject(error) : undefined);
    socket.on("close", () => {
      clearTimeout(pause);
      clearTimeout(deadline);
      resolve(events);
    });
  });
}
