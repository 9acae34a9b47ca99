/**
 * How one WebSocket opens and closes: its state, the Close that is sent, and the one that came (RFC 6455 section 7).
 *
 * It decides which Close frame is sent, with which code the connection has ended and when the server's FIN is due. It
 * must not know why a connection closes, nor what carries its bytes.
 *
 * @module
 */

import { CLOSE_ABNORMAL, CLOSE_INTERNAL_ERROR } from "./codec/frame.ts";
import { encodeCloseFrame } from "./codec/frame_encoder.ts";
import type { SocketDeadlines } from "./deadlines.ts";
import type { OutgoingFrames } from "./outgoing_frames.ts";
import { WEBSOCKET_STATES, type WebSocketState } from "./socket_states.ts";

/** The closing handshake of one WebSocket. */
export class ClosingHandshake {
  state: WebSocketState = WEBSOCKET_STATES.initial;
  /** The Close of the client; without one the connection was lost. */
  code = CLOSE_ABNORMAL;
  reason = "";
  wasClean = false;
  /** What the handler has asked for before the connection was open. */
  asked: { readonly code: number; readonly reason: string } | null = null;
  readonly #outgoing: OutgoingFrames;
  readonly #deadlines: SocketDeadlines;
  #hasEnded = false;

  /**
   * @param outgoing Where Close frames go.
   * @param deadlines Of the connection: its end has one.
   */
  constructor(outgoing: OutgoingFrames, deadlines: SocketDeadlines) {
    this.#outgoing = outgoing;
    this.#deadlines = deadlines;
  }

  /** The only way into another state. */
  enter(state: WebSocketState): void {
    this.state = WEBSOCKET_STATES.enter(this.state, state);
  }

  /** The server closes, behind all that was sent. */
  begin(code: number, reason: string): void {
    this.enter("closing");
    this.#outgoing.addLast(encodeCloseFrame(code, reason));
    this.#deadlines.closing();
  }

  /** What was to be sent can't be: the Close says so, also in place of one that waited behind it and is dropped. */
  giveUp(): void {
    if (this.state === "open") this.enter("closing");
    this.#outgoing.addControl(encodeCloseFrame(CLOSE_INTERNAL_ERROR, ""));
    this.#deadlines.closing();
  }

  /** The client's Close is answered with its own code and reason (RFC 6455 section 5.5.1). */
  take(code: number, reason: string): void {
    this.code = code;
    this.reason = reason;
    this.wasClean = true;
    this.answer(code, reason);
  }

  /** Nothing that comes is taken any more: the server's Close is due, unless it was sent, and then its FIN. */
  answer(code: number, reason: string): void {
    if (this.state === "open") this.#outgoing.addLast(encodeCloseFrame(code, reason));
    this.enter("ending");
    this.#deadlines.closing();
  }

  /**
   * Behind both Closes a server ends the connection first (RFC 6455 section 7.1.1). Returns whether that is due, once.
   */
  takeEnd(): boolean {
    if (this.state !== "ending" || this.#hasEnded || !this.#outgoing.isIdle) return false;
    return this.#hasEnded = true;
  }
}
