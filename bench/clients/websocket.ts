/**
 * A client with many WebSockets, for Node: it sends the same frame again and again and counts bytes, so that it costs far
 * less than the server.
 *
 * It is told what to do in lines, and answers each with a line of JSON. `open <port> <path> <count>` opens connections in
 * place of those before; `echo <bytes> <window> <ms>` keeps so many messages under way on each; `publish <bytes> <window>
 * <ms>` sends on the first connection and counts what comes on all; `stall <count>` stops reading so many. It ends when
 * its standard input does, and after its lifetime in any case.
 *
 * @module
 */

import { connect, type Socket } from "node:net";
import process from "node:process";
import { createInterface } from "node:readline";

/** What came of a load. */
export interface LoadReport {
  /** Messages that came. */
  readonly messages: number;
  readonly seconds: number;
  /** What was wrong; empty where nothing was. */
  readonly problem: string;
}

const LIFETIME_MS = 10 * 60_000;
const OPENING_AT_ONCE = 200;
const DRAIN_DEADLINE_MS = 5_000;
const MASK = [0x11, 0x22, 0x33, 0x44];

let sockets: Socket[] = [];
let problem = "";
let onData: (at: number, bytes: Uint8Array) => void = () => {};

/** A frame of a client: long ones are binary, others text. */
function frameOf(bytes: number): Uint8Array {
  const head = [bytes > 10_000 ? 0x82 : 0x81];
  if (bytes < 126) head.push(0x80 | bytes);
  else if (bytes < 65_536) head.push(0x80 | 126, bytes >> 8, bytes & 255);
  else head.push(0x80 | 127, 0, 0, 0, 0, 0, bytes >> 16, (bytes >> 8) & 255, bytes & 255);
  const payload = Uint8Array.from({ length: bytes }, (_, i) => (97 + i % 26) ^ MASK[i % 4]);
  return new Uint8Array([...head, ...MASK, ...payload]);
}

/** What the server sends for it: as long, less the mask. */
const answerBytes = (bytes: number): number => frameOf(bytes).byteLength - MASK.length;

function openOne(port: number, path: string, at: number): Promise<void> {
  return new Promise((resolve) => {
    const socket = connect({ port, host: "127.0.0.1", noDelay: true });
    sockets[at] = socket;
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
    socket.write(
      `GET ${path} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n` +
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
    );
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
  const sent = frameOf(bytes).slice(-bytes).map((byte, i) => byte ^ MASK[i % 4]);
  const expected = answerBytes(bytes);
  await new Promise<void>((resolve) => {
    const received = new Map(receivers.map((at) => [at, 0]));
    let whole = 0;
    onData = (at, data) => {
      // Behind the head of the frame the payload is compared as it comes.
      const before = received.get(at)! - (expected - bytes);
      if (data.some((byte, i) => before + i >= 0 && byte !== sent[before + i])) {
        problem ||= "What came is not what was sent.";
      }
      received.set(at, received.get(at)! + data.byteLength);
      if (received.get(at) === expected && ++whole === receivers.length) resolve();
    };
    setTimeout(resolve, DRAIN_DEADLINE_MS).unref();
    send();
  });
}

async function echo(bytes: number, window: number, ms: number): Promise<LoadReport> {
  const frame = frameOf(bytes);
  const frames = new Uint8Array(frame.byteLength * window);
  for (let i = 0; i < window; i++) frames.set(frame, i * frame.byteLength);
  const expected = answerBytes(bytes);
  await check(bytes, sockets.map((_, at) => at), () => sockets.forEach((socket) => socket.write(frame)));
  const partial = new Array<number>(sockets.length).fill(0);
  let underWay = 0;
  let messages = 0;
  let isOver = false;
  let onDrained = (): void => {};
  onData = (at, data) => {
    const total = partial[at] + data.byteLength;
    const count = Math.floor(total / expected);
    partial[at] = total - count * expected;
    if (count === 0) return;
    underWay -= count;
    messages += count;
    if (!isOver) send(at, count);
    else if (underWay === 0) onDrained();
  };
  const send = (at: number, count: number): void => {
    underWay += count;
    sockets[at].write(frames.subarray(0, count * frame.byteLength));
  };
  return await timed(ms, () => messages, () => sockets.forEach((_, at) => send(at, window)), () => {
    isOver = true;
    return new Promise((resolve) => {
      onDrained = resolve;
      if (underWay === 0) resolve();
    });
  });
}

async function publish(bytes: number, window: number, ms: number): Promise<LoadReport> {
  const frame = frameOf(bytes);
  const expected = answerBytes(bytes);
  const readers = sockets.map((_, at) => at).filter((at) => !sockets[at].isPaused());
  await check(bytes, readers, () => sockets[0].write(frame));
  let receivedBytes = 0;
  let published = 0;
  let isOver = false;
  let onDrained = (): void => {};
  const bytesEach = expected * readers.length;
  const send = (): void => {
    published++;
    sockets[0].write(frame);
  };
  onData = (_at, data) => {
    receivedBytes += data.byteLength;
    while (!isOver && receivedBytes >= bytesEach * (published - window + 1)) send();
    if (isOver && receivedBytes === bytesEach * published) onDrained();
  };
  return await timed(ms, () => receivedBytes / expected, send, () => {
    isOver = true;
    return new Promise((resolve) => {
      onDrained = resolve;
      if (receivedBytes === bytesEach * published) resolve();
    });
  });
}

async function timed(
  ms: number,
  count: () => number,
  start: () => void,
  drain: () => Promise<void>,
): Promise<LoadReport> {
  const startMs = performance.now();
  start();
  await new Promise((resolve) => setTimeout(resolve, ms));
  let deadline: ReturnType<typeof setTimeout> | undefined;
  await Promise.race([
    drain(),
    new Promise<void>((resolve) => {
      deadline = setTimeout(() => {
        problem ||= "Some messages never came.";
        resolve();
      }, DRAIN_DEADLINE_MS);
    }),
  ]);
  clearTimeout(deadline);
  onData = () => {};
  return { messages: Math.round(count()), seconds: (performance.now() - startMs) / 1000, problem };
}

setTimeout(() => process.exit(1), LIFETIME_MS).unref();
for await (const line of createInterface({ input: process.stdin })) {
  const [command, ...words] = line.split(" ");
  const [first, second, third] = words.map(Number);
  let report: LoadReport | { problem: string } = { problem };
  if (command === "open") await open(first, words[1], third);
  else if (command === "echo") report = await echo(first, second, third);
  else if (command === "publish") report = await publish(first, second, third);
  else if (command === "stall") { for (const socket of sockets.slice(-first)) socket.pause(); }
  console.log(JSON.stringify({ ...report, problem }));
}
process.exit(0);
