/**
 * What stands around a WebSocket: what it tells, and what it shares with the others of its thread. Types only.
 *
 * @module
 */

import type { TrivetError } from "../api/errors.ts";
import type { FrameSlab } from "./frame_slab.ts";
import type { Message } from "./incoming_frames.ts";
import type { OpenSockets } from "./open_sockets.ts";
import type { SendTurns } from "./send_turns.ts";
import type { Subscriber, Topics } from "./topics.ts";

/** What is told of a WebSocket. What is thrown within is its own matter. */
export interface SocketReceiver {
  /** Messages can be sent. */
  opened(): void;
  /** A message came. Returns whether the next one is wanted; where it is not, `resume` of the connection says when. */
  message(message: Message): boolean;
  /** The client keeps up again. */
  drained(): void;
  /** The connection has failed; `closed` follows. */
  failed(error: TrivetError): void;
  /** The connection is gone. Always the last. */
  closed(code: number, reason: string, wasClean: boolean): void;
}

/** What all WebSockets of a thread share. */
export interface SocketService {
  readonly open: OpenSockets;
  readonly slab: FrameSlab;
  readonly turns: SendTurns;
  readonly topics: Topics;
  /** Gives a message to all subscribers of a topic but one, on every thread. */
  publish(topic: string, message: string | Uint8Array<ArrayBuffer>, except: Subscriber | null): void;
  /** The runtime's way from bytes to a string. */
  decodeLatin1(bytes: Uint8Array, start: number, end: number): string;
}
