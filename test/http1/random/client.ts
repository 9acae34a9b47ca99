/**
 * The clients of a play: what each is to send, and what it has sent and got so far.
 *
 * @module
 */

import type { MemoryPeer } from "../../support/memory_runtime.ts";
import { latin1 } from "../../support/parse_requests.ts";
import { closePayload, frame, parseServerFrames, type ServerFrame } from "../../support/websocket_frames.ts";
import type { Ask, Much } from "./script.ts";

/** The key of RFC 6455 section 1.3. */
const KEY = "dGhlIHNhbXBsZSBub25jZQ==";
/** With which clients of WebSockets close. */
export const CLIENT_CODE = 4_001;

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
  /** Whether it goes on taking what it gets before any time passes, and stays. */
  isPatient: boolean;
  /** Whether it takes nothing for now. */
  isStalled: boolean;
  /** For how long it took nothing. */
  stalledMs: number;
  /** Whether it has sent FIN or a reset, so that it sends nothing more. */
  hasLeft: boolean;
  /** The messages that it has sent as frames, behind a request for a WebSocket. */
  readonly messages: string[];
  /** How many Pings it has sent, and how many of the server it has answered. */
  pings: number;
  pongs: number;
  hasSentClose: boolean;
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
  return {
    peer,
    names,
    asks,
    bytes,
    headEnds,
    ends,
    looks: [],
    sent: 0,
    isPatient: true,
    isStalled: false,
    stalledMs: 0,
    hasLeft: false,
    messages: [],
    pings: 0,
    pongs: 0,
    hasSentClose: false,
  };
}

/** The client sends more of what it asks for. */
export function send(client: Client, much: Much): void {
  const { peer, bytes, sent, headEnds, ends } = client;
  // Behind a frame only frames make sense.
  if (hasSentFrames(client)) return;
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
  if (end === sent) return;
  const { hasty = 0, bytes: messageBytes = 0 } = openAsk(client) ?? {};
  for (let i = 0; i < hasty; i++) sendFrame(client, "message", messageBytes);
}

/** The request for a WebSocket behind which the client has sent nothing of another one; undefined where it is none. */
function openAsk({ asks, ends, sent }: Client): Ask | undefined {
  const ask = asks[ends.indexOf(sent)];
  return ask?.asksSocket === true ? ask : undefined;
}

/** The client sends a frame, where it has asked for a WebSocket, whether that was answered or not. */
export function sendFrame(client: Client, does: "message" | "ping" | "close frame", bytes = 0): void {
  const { peer, messages } = client;
  if (client.hasLeft || client.hasSentClose || peer.serverSide !== "open" || openAsk(client) === undefined) return;
  if (does === "message") {
    messages.push(`${messages.length} `.padEnd(bytes, "m"));
    peer.send(frame({ opcode: 1, payload: messages.at(-1) }));
  } else if (does === "ping") {
    peer.send(frame({ opcode: 9, payload: String(client.pings++) }));
  } else {
    client.hasSentClose = true;
    peer.send(frame({ opcode: 8, payload: closePayload(CLIENT_CODE) }));
  }
}

/** Whether the client has sent more than requests. */
export function hasSentFrames({ messages, pings, hasSentClose }: Client): boolean {
  return messages.length > 0 || pings > 0 || hasSentClose;
}

/** What the server has sent behind its 101; null where there is none. */
export function framesTo({ peer }: Client): readonly ServerFrame[] | null {
  const received = peer.received();
  const answer = received.indexOf("HTTP/1.1 101 ");
  const end = received.indexOf("\r\n\r\n", answer);
  return answer < 0 || end < 0 ? null : parseServerFrames(latin1(received.slice(end + 4)));
}

/** The client answers the Pings and the Close that have come. */
export function answerFrames(client: Client): void {
  const ask = openAsk(client);
  if (ask === undefined || client.hasLeft || client.hasSentClose) return;
  const frames = framesTo(client) ?? [];
  for (const { payload } of frames.filter(({ opcode }) => opcode === 9).slice(client.pongs)) {
    client.pongs++;
    client.peer.send(frame({ opcode: 10, payload }));
  }
  const close = frames.find(({ opcode }) => opcode === 8);
  if (close === undefined || !ask.closesBack) return;
  client.hasSentClose = true;
  client.peer.send(frame({ opcode: 8, payload: close.payload }));
}

/** Head and content. */
function requestOf(ask: Ask, name: string): [head: string, content: string] {
  const { method, framing, bytes, minorVersion, expectsContinue, says, closes, asksSocket } = ask;
  const lines = [`${method} /${name} HTTP/1.${minorVersion}`, "Host: a.test"];
  if (expectsContinue) lines.push("Expect: 100-continue");
  if (says) lines.push("TE: trailers", "Connection: TE");
  if (asksSocket) {
    lines.push("Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", `Sec-WebSocket-Key: ${KEY}`);
  }
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
