/**
 * What a connection does with its peer's side of the byte stream: when it reads on, and what the end of it means.
 *
 * It decides both from what the connection is doing. It must not know how reading is stopped, nor what is read.
 *
 * @module
 */

import { TrivetError } from "../../api/errors.ts";
import type { HttpConnection } from "./http_connection.ts";
import type { RequestReader } from "./request_reader.ts";

/** Whether there is something to do with what the peer sends. */
export function mayRead(connection: HttpConnection, reader: RequestReader): boolean {
  const { exchange } = connection;
  switch (connection.state) {
    case "parked":
      return !reader.hasKeptBytes;
    case "idle":
    case "head":
      return !connection.outbound.isCongested;
    case "exchange":
      if (reader.isContentComplete) return !reader.hasKeptBytes;
      return exchange === null || !exchange.content.isHeld;
    default:
      return true;
  }
}

/** The peer has sent FIN, and what came before it was used as far as the state allows. */
export function takePeerEnd(connection: HttpConnection, reader: RequestReader): void {
  switch (connection.state) {
    case "parked":
      // Nothing has come, and nothing will: there is no need to wait for its turn.
      if (!reader.hasKeptBytes) connection.startClosing();
      return;
    case "idle":
    case "skipping":
      connection.startClosing();
      return;
    case "head":
      if (connection.outbound.isCongested) return;
      if (reader.hasBegunHead) connection.failPeer(incompleteMessage());
      else connection.startClosing();
      return;
    case "exchange":
      if (!reader.isContentComplete) connection.failContent(incompleteMessage());
  }
}

function incompleteMessage(): TrivetError {
  return new TrivetError("message-incomplete", "The peer ended the connection before the request was complete.");
}
