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
import { obey } from "../obey.ts";

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
  await new Promise<void>((resolve) => {
    onData = (at, data) => {
      // Behind the head of the frame the payload is compared as it comes.
      const before = received.get(at)! - (expected - bytes);
      const isWrong = data.some((byte, i) => before + i >= 0 && byte !== sent[before + i]);
      if (isWrong) problem ||= "What came is not what was sent.";
      received.set(at, received.get(at)! + data.byteLength);
      if (received.get(at) === expected && ++whole === receivers.length) resolve();
    };
    setTimeout(resolve, DRAIN_DEADLINE_MS).unref();
    send();
  });
}

/** Sends so many messages on each connection, and for each answer another one. */
async function echo(bytes: number, window: number, ms: number): Promise<LoadReport> {
  const one = frameOf(bytes);
  const frames = concat(...new Array<Uint8Array>(window).fill(one));
  const expected = answerBytes(bytes);
  await check(bytes, sockets.map((_, at) => at), () => sockets.forEach((socket) => socket.write(one)));
  const partial = new Array<number>(sockets.length).fill(0);
  let [underWay, messages] = [0, 0];
  const send = (at: number, count: number): void => {
    underWay += count;
    sockets[at].write(frames.subarray(0, count * one.byteLength));
  };
  return await timed(
    ms,
    () => sockets.forEach((_, at) => send(at, window)),
    () => messages,
    () => underWay === 0,
    (isOver, at, data) => {
      const total = partial[at] + data.byteLength;
      const count = Math.floor(total / expected);
      partial[at] = total - count * expected;
      underWay -= count;
      messages += count;
      if (!isOver && count > 0) send(at, count);
    },
  );
}

/** Sends messages that go to all connections which are read, so many under way at a time. */
async function publish(bytes: number, window: number, ms: number): Promise<LoadReport> {
  const one = frameOf(bytes);
  const expected = answerBytes(bytes);
  const readers = sockets.map((_, at) => at).filter((at) => !sockets[at].isPaused());
  await check(bytes, readers, () => sockets[0].write(one));
  const bytesEach = expected * readers.length;
  let [receivedBytes, published] = [0, 0];
  const send = (): void => {
    published++;
    sockets[0].write(one);
  };
  return await timed(
    ms,
    send,
    () => receivedBytes / expected,
    () => receivedBytes === bytesEach * published,
    (isOver, _at, data) => {
      receivedBytes += data.byteLength;
      while (!isOver && receivedBytes >= bytesEach * (published - window + 1)) send();
    },
  );
}

/** Runs a load for its time, and waits for what is under way then. */
async function timed(
  ms: number,
  start: () => void,
  count: () => number,
  isDrained: () => boolean,
  take: (isOver: boolean, at: number, data: Uint8Array) => void,
): Promise<LoadReport> {
  const startMs = performance.now();
  let isOver = false;
  const drained = Promise.withResolvers<void>();
  onData = (at, data) => {
    take(isOver, at, data);
    if (isOver && isDrained()) drained.resolve();
  };
  start();
  await rest(ms);
  isOver = true;
  if (isDrained()) drained.resolve();
  const deadline = setTimeout(() => {
    problem ||= "Some messages never came.";
    drained.resolve();
  }, DRAIN_DEADLINE_MS);
  await drained.promise;
  clearTimeout(deadline);
  onData = () => {};
  return { messages: Math.round(count()), seconds: (performance.now() - startMs) / 1000, problem };
}

obey({
  async open(port, path, count) {
    await open(Number(port), path, Number(count));
    return { problem };
  },
  echo: (...words) => echo(...words.map(Number) as [number, number, number]),
  publish: (...words) => publish(...words.map(Number) as [number, number, number]),
  stall(count) {
    for (const socket of sockets.slice(-count)) socket.pause();
    return { problem };
  },
}, LIFETIME_MS);
