/**
 * What happens to a connection when one of its deadlines has passed.
 *
 * It decides who is told and how the connection goes on. It must not know how time is kept: that is the deadlines' and
 * the clock's.
 *
 * @module
 */

import { TrivetError } from "../../api/errors.ts";
import type { Deadlines } from "./deadlines.ts";
import type { HttpConnection } from "./http_connection.ts";
import type { RequestReader } from "./request_reader.ts";

/** Looks at the deadlines at a tick of the server's clock. */
export function watchDeadlines(
  connection: HttpConnection,
  deadlines: Deadlines,
  reader: RequestReader,
  elapsedMs: number,
): void {
  if (!reader.isContentComplete) watchContent(connection, deadlines, reader, elapsedMs);
  switch (deadlines.passed()) {
    case "idle":
      connection.startClosing();
      return;
    case "head":
      failHead(connection, reader);
      return;
    case "content":
      connection.failContent(new TrivetError("content-timeout", "The content did not come whole in time."));
      return;
    case "handler":
      failHandler(connection, deadlines);
      return;
    case "write":
      connection.abort(new TrivetError("write-timeout", "The peer did not take the response in time."));
      return;
    case "linger":
      connection.endLingering();
  }
}

/** The handler's time is over: the peer gets a 503, unless it has to be found out first what holds the handler up. */
export function failHandler(connection: HttpConnection, deadlines: Deadlines): void {
  const { exchange } = connection;
  deadlines.responseGiven();
  if (exchange === null || exchange.progress !== "awaited") return;
  const extraMs = exchange.observer?.overdue() ?? 0;
  if (extraMs > 0) {
    deadlines.extendResponse(extraMs);
    return;
  }
  const error = new TrivetError("handler-timeout", "The server did not make a response in time.");
  connection.service.countError(error);
  exchange.abort(error);
  connection.responder.sendError(exchange, error);
}

function watchContent(
  connection: HttpConnection,
  deadlines: Deadlines,
  reader: RequestReader,
  elapsedMs: number,
): void {
  const { exchange } = connection;
  // While the handler lets the content wait, the peer is not to blame for the time that passes.
  const isOurs = exchange !== null &&
    (exchange.content.isHeld || (reader.owesContinue && connection.responder.mayInform(exchange)));
  if (isOurs) {
    deadlines.suspendContent(elapsedMs);
    return;
  }
  const error = reader.watchRate(elapsedMs);
  if (error !== null) connection.failContent(error);
}

function failHead(connection: HttpConnection, reader: RequestReader): void {
  // RFC 9110 section 15.5.9 is for a request that was begun; a connection that never asked is just closed.
  if (reader.hasBegunHead) {
    connection.failPeer(new TrivetError("head-timeout", "The head of the request did not come whole in time."));
  } else {
    connection.startClosing();
  }
}
