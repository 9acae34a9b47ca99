/**
 * The WebSockets of a play as handlers have them: what each was told, and what it was asked for.
 *
 * @module
 */

import type { HandlerInfo } from "../../../src/api/handler.ts";
import type { ServerWebSocket } from "../../../src/api/websocket.ts";
import type { Ask } from "./script.ts";

/** A client that lets the server wait for a Pong is lost soon, or never. */
const PINGS = { pingInterval: 1_000, pongTimeout: 1_000 };
const NO_PINGS = { pingInterval: 0 };
/** With which the handler closes. */
export const HANDLER_CODE = 4_000;

/** One WebSocket. */
export class PlayedSocket {
  /** The 101, which the handler may give or not. */
  readonly response: Response;
  /** What it was told, in order: `open`, `message`, `error` and `close` with its code. */
  readonly events: string[] = [];
  /** The messages of the client. */
  readonly got: string[] = [];
  /** What was sent while it was open. */
  readonly said: string[] = [];
  wasClean = false;
  /** Whether its handler has closed it while messages may still have come, which are dropped then. */
  wasClosedEarly = false;
  #isOver = false;
  readonly #socket: ServerWebSocket;

  constructor(info: HandlerInfo, { pings, echoes }: Ask) {
    const { response, socket } = info.upgradeWebSocket(pings ? PINGS : NO_PINGS);
    this.response = response;
    this.#socket = socket;
    socket.onopen = () => {
      this.events.push("open");
      if (this.#isOver) this.close();
    };
    socket.onmessage = ({ data }) => {
      this.events.push("message");
      this.got.push(data);
      if (echoes) this.say(data);
    };
    socket.onerror = ({ error }) => void this.events.push(`error ${error.code}`);
    socket.onclose = ({ code, wasClean }) => {
      this.events.push(`close ${code}`);
      this.wasClean = wasClean;
    };
  }

  /** Sends a message, where one can be sent. */
  say(message: string): void {
    if (this.#socket.readyState !== this.#socket.OPEN) return;
    this.said.push(message);
    this.#socket.send(message);
  }

  /** Closes it, also before it is open. */
  close(): void {
    if (!this.events.some((event) => event.startsWith("close"))) this.wasClosedEarly = true;
    this.#socket.close(HANDLER_CODE);
  }

  /** The play is over: it is closed, now or as soon as it is open. */
  end(): void {
    this.#isOver = true;
    if (this.#socket.readyState === this.#socket.OPEN) this.#socket.close(HANDLER_CODE);
  }
}
