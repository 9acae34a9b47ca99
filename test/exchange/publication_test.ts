/** The way of publications between two threads: in order, a turn at a time, and not without a bound. */

import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { describe, test } from "node:test";
import type { TrivetError } from "../../src/api/errors.ts";
import {
  isPublicationBatch,
  type Publication,
  type PublicationBatch,
  PublicationLink,
} from "../../src/exchange/publication.ts";
import { VirtualClock } from "../support/virtual_clock.ts";

const MEBIBYTE = 1024 * 1024;

function createEnds() {
  const clock = new VirtualClock();
  const sent: PublicationBatch[] = [];
  const errors: TrivetError[] = [];
  const arrived: Publication[] = [];
  const answers: PublicationBatch[] = [];
  const near = new PublicationLink(clock.defer, (batch) => void sent.push(batch), (error) => void errors.push(error));
  const far = new PublicationLink(clock.defer, (batch) => void answers.push(batch), (error) => void errors.push(error));
  /** The far end takes what was sent, and the near end hears of it. */
  const pass = async (): Promise<void> => {
    await clock.settle();
    for (const batch of sent.splice(0)) far.take(batch, (publication) => void arrived.push(publication));
    await clock.settle();
    for (const batch of answers.splice(0)) near.take(batch, () => assert.fail("nothing comes back"));
  };
  return { clock, near, sent, errors, arrived, pass };
}

describe("publications on their way to another thread", () => {
  test("go together in a turn, in order, and as they were when they were published", async () => {
    const { near, clock, sent, arrived, pass } = createEnds();
    const bytes = Uint8Array.of(1, 2, 3, 4);
    near.tell({ topic: "a", message: "one" });
    near.tell({ topic: "b", message: bytes.subarray(1, 3) });
    bytes.fill(9);
    await clock.settle();
    assert.equal(sent.length, 1);
    assert.ok(isPublicationBatch(sent[0]));
    await pass();
    assert.deepEqual(arrived, [{ topic: "a", message: "one" }, { topic: "b", message: Uint8Array.of(2, 3) }]);
    assert.equal((arrived[1].message as Uint8Array).buffer.byteLength, 2, "and nothing beside them");
  });

  test("are copied also where they are parts of a Buffer, whose slice() is no copy", async () => {
    const { near, arrived, pass } = createEnds();
    const bytes = Buffer.from("secret message").subarray(7);
    near.tell({ topic: "a", message: bytes });
    bytes.fill(9);
    await pass();
    assert.equal(new TextDecoder().decode(arrived[0].message as Uint8Array), "message");
    assert.equal((arrived[0].message as Uint8Array).buffer.byteLength, 7, "and nothing beside it");
  });

  test("are dropped beyond 16 MiB that the thread has not taken, which is told once until it keeps up again", async () => {
    const { near, errors, arrived, pass } = createEnds();
    const publish = (count: number): void => {
      for (let i = 0; i < count; i++) near.tell({ topic: "a", message: new Uint8Array(MEBIBYTE) });
    };
    publish(20);
    assert.deepEqual(errors.map(({ code }) => code), ["publish-backlog"]);
    await pass();
    assert.equal(arrived.length, 16);
    await pass();
    publish(20);
    await pass();
    assert.equal(arrived.length, 32);
    assert.equal(errors.length, 2);
  });

  test("are none of what a module of the user may post", () => {
    for (const message of [null, "a", 7, [], {}, { published: [] }, { published: 1, takenBytes: 1 }]) {
      assert.equal(isPublicationBatch(message), false, JSON.stringify(message));
    }
  });
});
