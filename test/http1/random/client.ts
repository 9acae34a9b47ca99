/**
 * The clients of a play: what each is to send, and what it has sent and got so far.
 *
 * @module
 */

import type { MemoryPeer } from "../../support/memory_runtime.ts";
import type { Ask, Much } from "./script.ts";

/** One client. */
export interface Client {
  readonly peer: MemoryPeer;
  readonly names: readonly string[];
  readonly asks: readonly Ask[];
  readonly bytes: string;
  /** Where the head of each request ends in them. */
  readonly headEnds: readonly number[];
  /** Where each request ends. */
  readonly ends: readonly number[];
  /** How much was sent, and what had come, behind each act. */
  readonly looks: { readonly sent: number; readonly receivedBytes: number }[];
  sent: number;
  /** Whether it goes on taking what it gets, and stays. */
  isPatient: boolean;
}

/** A client that is to ask for these; the names of its requests begin with its number. */
export function createClient(peer: MemoryPeer, number: number, asks: readonly Ask[]): Client {
  const names = asks.map((_, index) => `${number}.${index}`);
  const headEnds: number[] = [];
  const ends: number[] = [];
  let bytes = "";
  asks.forEach((ask, index) => {
    const [head, content] = requestOf(ask, names[index]);
    headEnds.push(bytes.length + head.length);
    bytes += head + content;
    ends.push(bytes.length);
  });
  return { peer, names, asks, bytes, headEnds, ends, looks: [], sent: 0, isPatient: true };
}

/** The client sends more of what it asks for. */
export function send(client: Client, much: Much): void {
  const { peer, bytes, sent, headEnds, ends } = client;
  const next = (places: readonly number[]) => places.find((place) => place > sent) ?? bytes.length;
  const end = typeof much === "number"
    ? Math.min(sent + much, bytes.length)
    : much === "everything"
    ? bytes.length
    : next(much === "head" ? headEnds : ends);
  // What is sent behind an idle connection's end is asked again elsewhere.
  if (peer.serverSide !== "open") client.isPatient = false;
  peer.send(bytes.slice(sent, end));
  client.sent = end;
}

/** Head and content. */
function requestOf(ask: Ask, name: string): [head: string, content: string] {
  const { method, framing, bytes, minorVersion, expectsContinue, says, closes } = ask;
  const lines = [`${method} /${name} HTTP/1.${minorVersion}`, "Host: a.test"];
  if (expectsContinue) lines.push("Expect: 100-continue");
  if (says) lines.push("TE: trailers", "Connection: TE");
  const content = "c".repeat(bytes);
  let body = "";
  if (framing === "length") {
    lines.push(`Content-Length: ${bytes}`);
    body = content;
  } else if (framing === "chunked") {
    lines.push("Transfer-Encoding: chunked");
    body = bytes === 0 ? "0\r\n\r\n" : `${bytes.toString(16)}\r\n${content}\r\n0\r\n\r\n`;
  }
  if (closes) lines.push("Connection: close");
  return [`${lines.join("\r\n")}\r\n\r\n`, body];
}
