/**
 * What a connection does when its client sends FIN, and when the deadline of what it reads has passed.
 *
 * It decides by the row of the present state (`lifecycle.ts`) and what was read so far. It must not know how that is
 * done.
 *
 * @module
 */

import { TrivetError } from "../../api/errors.ts";
import type { TurnShare } from "../../web/turn_share.ts";
import type { Arrival } from "./arrival.ts";
import { READING, type Reading } from "./lifecycle.ts";
import type { Outbound } from "./outbound.ts";
import type { RequestDecoder } from "./request_decoder.ts";

/** What is done. */
export type Verdict =
  | "nothing"
  /** The connection is closed in order. */
  | "close"
  /** The client may be gone: its timer begins. */
  | "expect-gone"
  /** What the streams of an upgraded connection read has ended; the client may be gone. */
  | "end-stream"
  /** The connection is refused before its turn. */
  | "refuse"
  /** The refusal is sent although nothing was read. */
  | "answer-refusal"
  /** The content of the request will not come whole: of this error. */
  | "fail-content"
  /** What has come is no request: of this error. */
  | "fail-head"
  | "abort";

/** What follows from the client's FIN. */
export function onFin(
  reading: Reading,
  decoder: RequestDecoder,
  outbound: Pick<Outbound, "isCongested">,
  share: Pick<TurnShare, "isAwaited"> | null,
): Verdict {
  switch (READING[reading].fin) {
    case "close":
      return "close";
    case "close-unless-kept":
      return decoder.pendingBytes === 0 ? "close" : "expect-gone";
    case "end-of-head":
      // While the responses before are not taken, or others have their turn, what was kept may be more than a part of
      // a head.
      if (outbound.isCongested || share?.isAwaited === true) return "nothing";
      return decoder.hasBegunHead ? "fail-head" : "close";
    case "fails-content":
      return "fail-content";
    case "gone":
      return "expect-gone";
    case "to-stream":
      return "end-stream";
    default:
      return "nothing";
  }
}

/** What follows when the deadline of reading has passed. */
export function onLateness(reading: Reading, decoder: RequestDecoder): Verdict {
  switch (READING[reading].late) {
    case "refuse":
      return "refuse";
    case "answer":
      return "answer-refusal";
    case "408":
      // RFC 9110 section 15.5.9 is for a request that was begun; a connection that never asked is just closed.
      return decoder.hasBegunHead ? "fail-head" : "close";
    case "close":
      return "close";
    case "fail-content":
      return "fail-content";
    case "abort":
      return "abort";
    default:
      return "nothing";
  }
}

/** The error of a request that its client has ended in the middle. */
export function incomplete(): TrivetError {
  return new TrivetError("message-incomplete", "The peer ended the connection before the request was complete.");
}

/** The error of a request whose head, or whose content, did not come in time. */
export function late(arrival: Arrival | null): TrivetError {
  if (arrival !== null) return arrival.timeout();
  return new TrivetError("head-timeout", "The head of the request did not come whole in time.");
}

/** The error of content that is asked for when its peer can't be told any more to send it. */
export function tooLate(): TrivetError {
  return new TrivetError("too-late", "The final response is out, so that the peer can't be asked for content.");
}

/** The error of a response whose length was announced, and whose bytes are not there any more. */
export function lostBytes(): TrivetError {
  return new TrivetError(
    "response-content-failed",
    "The memory of the response's body was transferred before the client had taken it: give the response a copy.",
  );
}

/** The error of a connection whose handler has upgraded and dropped it; one that lingers ends without a word of it. */
export { untakenUpgrade } from "../../exchange/pending_upgrade.ts";

/** The error of a client that has sent FIN and is not there any more. */
export function gone(): TrivetError {
  return new TrivetError("peer-disconnected", "The peer ended the connection and does not take the response.");
}

/** The error of a connection that its client has closed. */
export function disconnected(cause: Error | undefined): TrivetError {
  return new TrivetError("peer-disconnected", "The peer closed the connection.", { cause });
}
