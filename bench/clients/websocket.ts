/**
 * A client with many WebSockets, for Node: it sends the same frame again and again and counts bytes, so that it costs far
 * less than the server.
 *
 * Told in lines: `open <port> <path> <count>` opens connections in place of those before; `echo <bytes> <window> <ms>`
 * keeps so many messages under way on each; `publish <bytes> <window> <ms>` sends on the first connection and counts what
 * comes on all; `stall <count>` stops reading so many.
 *
 * @module
 */

import { connect, type Socket } from "node:net";
import { setTimeout as rest } from "node:timers/promises";
import { concat, frame } from "../../test/support/websocket_frames.ts";
import { obey } from "../servers/launch.ts";

/** Messages that came in a load, and what was wrong; empty where nothing was. */
export interface LoadReport {
  readonly messages: number;
  readonly seconds: number;
  readonly problem: string;
}

const LIFETIME_MS = 10 * 60_000;
const OPENING_AT_ONCE = 200;
const DRAIN_DEADLINE_MS = 5_000;
const MASK_BYTES = 4;
const HANDSHAKE = "Host: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n" +
  "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

let sockets: Socket[] = [];
let problem = "";
let onData: (at: number, bytes: Uint8Array) => void = () => {};

const payloadOf = (bytes: number) => Uint8Array.from({ length: bytes }, (_, i) => 97 + i % 26);

/** A frame of a client: long ones are binary, others text. */
function frameOf(bytes: number): Uint8Array {
  return frame({ opcode: bytes > 10_000 ? 2 : 1, payload: payloadOf(bytes) });
}

/** What the server sends for it: as long, less the mask. */
const answerBytes = (bytes: number): number => frameOf(bytes).byteLength - MASK_BYTES;

function openOne(port: number, path: string, at: number): Promise<void> {
  return new Promise((resolve) => {
    const socket = sockets[at] = connect({ port, host: "127.0.0.1", noDelay: true });
    socket.on("error", (error) => problem ||= `A connection has failed: ${error.message}`);
    socket.on("close", () => {
      if (sockets[at] === socket) problem ||= "The server has closed a connection.";
      resolve();
    });
    let head = "";
    const onHead = (bytes: Uint8Array): void => {
      head += new TextDecoder().decode(bytes);
      if (!head.includes("\r\n\r\n")) return;
      if (!head.startsWith("HTTP/1.1 101")) problem ||= `The handshake was answered with ${head.split("\r\n", 1)[0]}`;
      socket.off("data", onHead);
      socket.on("data", (data: Uint8Array) => onData(at, data));
      resolve();
    };
    socket.on("data", onHead);
    socket.write(`GET ${path} HTTP/1.1\r\n${HANDSHAKE}`);
  });
}

async function open(port: number, path: string, count: number): Promise<void> {
  const before = sockets;
  sockets = [];
  for (const socket of before) socket.destroy();
  let next = 0;
  await Promise.all(Array.from({ length: OPENING_AT_ONCE }, async () => {
    while (next < count) await openOne(port, path, next++);
  }));
}

/** The first answer is compared whole. */
async function check(bytes: number, receivers: readonly number[], send: () => void): Promise<void> {
  const sent = payloadOf(bytes);
  const expected = answerBytes(bytes);
  const received = new Map(receivers.map((at) => [at, 0]));
  let whole = 0;
  let deadline: ReturnType<typeof setTimeout> | undefined;
  await new Promise<void>((resolve) => {
    onData = (at, data) => {
      // Behind the head of the frame the payload is compared as it comes.
      const before = received.get(at)! - (expected - bytes);
      const isWrong = data.some((byte, i) => before + i >= 0 && byte !== sent[before + i]);
      if (isWrong) problem ||= "What came is not what was sent.";
      received.set(at, received.get(at)! + data.byteLength);
      if (received.get(at) === expected && ++whole === receivers.length) resolve();
    };
    deadline = setTimeout(() => {
      problem ||= "The first answers did not come in time.";
      resolve();
    }, DRAIN_DEADLINE_MS);
    send();
  });
  clearTimeout(deadline);
}

/** Connections of which the first sends and all get what is sent: one of an echo, all of what is published. */
interface Group {
  readonly sender: Socket;
  readonly members: number;
  sent: number;
  receivedBytes: number;
}

/** Keeps so many messages under way in each group for some time, and waits for what is under way then. */
async function load(isEcho: boolean, bytes: number, window: number, ms: number): Promise<LoadReport> {
  const one = frameOf(bytes);
  const frames = concat(...new Array<Uint8Array>(window).fill(one));
  const expected = answerBytes(bytes);
  const readers = sockets.map((_, at) => at).filter((at) => !sockets[at].isPaused());
  await check(bytes, readers, () => sockets.slice(0, isEcho ? undefined : 1).forEach((socket) => socket.write(one)));
  const groups: Group[] = (isEcho ? sockets : sockets.slice(0, 1)).map((sender) => (
    { sender, members: isEcho ? 1 : readers.length, sent: 0, receivedBytes: 0 }
  ));
  let [awaitedBytes, receivedBytes, isOver] = [0, 0, false];
  const drained = Promise.withResolvers<void>();
  const send = (group: Group): void => {
    const count = window - group.sent + Math.floor(group.receivedBytes / (expected * group.members));
    if (isOver || count === 0) return;
    group.sent += count;
    awaitedBytes += count * expected * group.members;
    group.sender.write(frames.subarray(0, count * one.byteLength));
  };
  onData = (at, { byteLength }) => {
    const group = groups[isEcho ? at : 0];
    group.receivedBytes += byteLength;
    receivedBytes += byteLength;
    send(group);
    if (isOver && receivedBytes === awaitedBytes) drained.resolve();
  };
  const startMs = performance.now();
  groups.forEach(send);
  await rest(ms);
  isOver = true;
  if (receivedBytes === awaitedBytes) drained.resolve();
  const deadline = setTimeout(() => {
    problem ||= "Some messages never came.";
    drained.resolve();
  }, DRAIN_DEADLINE_MS);
  await drained.promise;
  clearTimeout(deadline);
  onData = () => {};
  return { messages: Math.round(receivedBytes / expected), seconds: (performance.now() - startMs) / 1000, problem };
}

obey({
  async open(port, path, count) {
    await open(Number(port), path, Number(count));
    return { problem };
  },
  echo: (bytes, window, ms) => load(true, Number(bytes), Number(window), Number(ms)),
  publish: (bytes, window, ms) => load(false, Number(bytes), Number(window), Number(ms)),
  stall(count) {
    for (const socket of sockets.slice(-count)) socket.pause();
    return { problem };
  },
}, LIFETIME_MS);
