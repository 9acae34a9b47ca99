/**
 * A client with many WebSockets, for Node: it sends the same frame again and again and counts bytes, so that it costs far
 * less than the server.
 *
 * Told in lines: `open <port> <path> <count>` opens connections in place of those before; `echo <bytes> <window> <ms>`
 * keeps so many messages under way on each; `publish <bytes> <window> <ms>` sends on the first connection and counts what
 * comes on all; `stall <count>` stops reading so many.
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
const HANDSHAKE = "Host: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n" +
  "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

let sockets: Socket[] = [];
let problem = "";
let onData: (at: number, bytes: Uint8Array) => void = () => {};

/** A frame of a client, and what the server sends for it, which has no mask: long ones are binary, others text. */
function framesOf(bytes: number): { sent: Uint8Array; answer: Uint8Array } {
  const parts = { opcode: bytes > 10_000 ? 2 : 1, payload: Uint8Array.from({ length: bytes }, (_, i) => 97 + i % 26) };
  return { sent: frame(parts), answer: frame({ ...parts, key: null }) };
}

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

/** Waits for what becomes whole as data comes. */
async function inTime(whole: Promise<void>, otherwise: string): Promise<void> {
  const deadline = Promise.withResolvers<void>();
  const timer = setTimeout(() => {
    problem ||= otherwise;
    deadline.resolve();
  }, DRAIN_DEADLINE_MS);
  await Promise.race([whole, deadline.promise]);
  clearTimeout(timer);
  onData = () => {};
}

/** The first answer is compared whole. */
async function check(answer: Uint8Array, receivers: readonly number[], send: () => void): Promise<void> {
  const receivedBytes = new Map(receivers.map((at) => [at, 0]));
  const whole = Promise.withResolvers<void>();
  let count = 0;
  onData = (at, data) => {
    const before = receivedBytes.get(at)!;
    if (data.some((byte, i) => byte !== answer[before + i])) problem ||= "What came is not what was sent.";
    receivedBytes.set(at, before + data.byteLength);
    if (before + data.byteLength === answer.byteLength && ++count === receivers.length) whole.resolve();
  };
  send();
  await inTime(whole.promise, "The first answers did not come in time.");
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
  const { sent: one, answer } = framesOf(bytes);
  const frames = concat(...new Array<Uint8Array>(window).fill(one));
  const expected = answer.byteLength;
  const readers = sockets.map((_, at) => at).filter((at) => !sockets[at].isPaused());
  await check(answer, readers, () => sockets.slice(0, isEcho ? undefined : 1).forEach((socket) => socket.write(one)));
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
  await inTime(drained.promise, "Some messages never came.");
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
