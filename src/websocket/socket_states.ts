/**
 * The states of a WebSocket.
 *
 * It decides which of them may follow on which. It must not know what brings them about.
 *
 * @module
 */

import { StateTable } from "../states.ts";

/** How far a WebSocket has come. */
export type WebSocketState = "connecting" | "open" | "closing" | "ending" | "closed";

/** The states of a WebSocket. */
export const WEBSOCKET_STATES: StateTable<WebSocketState> = new StateTable<WebSocketState>(
  "a WebSocket",
  "connecting",
  {
    connecting: {
      open: "the 101 was sent",
      closed: "the 101 will never be sent",
    },
    open: {
      closing: "the server's Close is due, that of the client has not come",
      ending: "the client's Close has come, or it has broken the protocol: the server's Close is due, then FIN",
      closed: "the connection is gone or is cut off",
    },
    closing: {
      ending: "the client's Close has come, or it has broken the protocol: FIN is due",
      closed: "the connection is gone or is cut off",
    },
    ending: {
      closed: "the connection is gone or is cut off",
    },
    closed: {},
  },
);
