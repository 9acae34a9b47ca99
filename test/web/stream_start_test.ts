/** The first turn of a stream: what of it is told, once, and what becomes of the stream. */

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { detectRuntime } from "../../runtime/detect.ts";
import { readContentsWith } from "../../src/web/read_response.ts";
import { StreamStart } from "../../src/web/stream_start.ts";
import { TurnShare } from "../../src/web/turn_share.ts";
import { VirtualClock } from "../support/virtual_clock.ts";

/** Begins to read a stream, and writes down what is told of it. Each look at the time is so many milliseconds long. */
function begin(source: UnderlyingDefaultSource<Uint8Array>, lookMs = 0) {
  const told: string[] = [];
  const cancelled: unknown[] = [];
  const clock = new VirtualClock();
  let nowMs = 0;
  const share = new TurnShare({ defer: clock.defer, nowMs: () => nowMs += lookMs }, 1);
  const reader = new ReadableStream<Uint8Array>(
    { ...source, cancel: (reason) => void cancelled.push(reason) },
    { highWaterMark: 0 },
  ).getReader();
  const start = new StreamStart(reader, share, {
    onWhole: (content) => told.push(`whole: ${[...content]}`),
    onUnderWay: (pieces, pending) => {
      told.push(`under way: ${pieces.map((piece) => [...piece])}${pending === null ? "" : ", and a read"}`);
    },
    onStartFailure: (cause) => told.push(`failed: ${(cause as Error).name}`),
  });
  return { start, reader, clock, told, cancelled };
}

/** A stream of one byte after another, which has always a next one. */
function counting(): { source: UnderlyingDefaultSource<Uint8Array>; count(): number } {
  let count = 0;
  return { source: { pull: (stream) => stream.enqueue(new Uint8Array([count++])) }, count: () => count };
}

describe("the first turn of a stream", () => {
  const contents = detectRuntime().responseContents(Response);
  before(() => readContentsWith({ ...contents, streamTurns: 1 }));
  after(() => readContentsWith(contents));

  test("brings all of it where it ends by then", async () => {
    const pieces = [[1], [2, 3], [4]];
    const { clock, told } = begin({
      pull: (stream) => {
        const piece = pieces.shift();
        if (piece === undefined) stream.close();
        else stream.enqueue(new Uint8Array(piece));
      },
    });
    await clock.settle();
    assert.deepEqual(told, ["whole: 1,2,3,4"]);
  });

  test("brings what there is, and the read that is under way", async () => {
    const { clock, told } = begin({ start: (stream) => stream.enqueue(new Uint8Array([1])) });
    await clock.settle();
    assert.deepEqual(told, ["under way: 1, and a read"]);
  });

  test("brings no more than its share where the stream has always a next piece, and loses none of the rest", async () => {
    const { source, count } = counting();
    const { reader, clock, told } = begin(source, 4);
    await clock.settle();
    assert.deepEqual(told, ["under way: 0,1"]);
    assert.equal(count(), 2);
    assert.deepEqual((await reader.read()).value, new Uint8Array([2]));
  });

  test("keeps pieces whose memory is transferred when more has come", async () => {
    const pieces = [new Uint8Array([1]), new Uint8Array([2])];
    let at = 0;
    const { clock, told } = begin({
      pull: (stream) => {
        if (at < pieces.length) {
          stream.enqueue(pieces[at++]);
          return;
        }
        structuredClone(pieces[0].buffer, { transfer: [pieces[0].buffer] });
        stream.close();
      },
    });
    await clock.settle();
    assert.deepEqual(told, ["whole: 1,2"]);
  });

  test("fails once, and cancels the stream, where that gives what is neither bytes nor text", async () => {
    const { clock, told, cancelled } = begin({
      pull: (stream) => stream.enqueue(7 as unknown as Uint8Array),
    });
    await clock.settle();
    assert.deepEqual(told, ["failed: TypeError"]);
    assert.deepEqual(cancelled.map((reason) => (reason as Error).name), ["TypeError"]);
  });

  test("tells nothing once it is cancelled, also of a stream that has just failed", async () => {
    const reason = new Error("not wanted");
    const { source } = counting();
    for (const { start, clock, told, cancelled } of [begin(source), begin(source, 4)]) {
      start.cancel(reason);
      await clock.settle();
      assert.deepEqual([told, cancelled], [[], [reason]]);
    }
    let controller!: ReadableStreamDefaultController<Uint8Array>;
    const failing = begin({ start: (given) => void (controller = given) });
    controller.error(new Error("failed"));
    failing.start.cancel(reason);
    await failing.clock.settle();
    assert.deepEqual(failing.told, []);
  });
});
